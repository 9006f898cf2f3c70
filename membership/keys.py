"""The keys of the HTTP server's users: what each may do, and until when.

A key itself is never stored, only its digest: who reads the store can use none of them.  A key that
is revoked stays in the list, so that one can see that it was.
"""

from __future__ import annotations

import msgspec

from membership.database import Database


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """Instants are microseconds; `None` is never.  `audiences` are all if there is no list."""

    id: str
    digest: str
    name: str
    scopes: tuple[str, ...]
    audiences: tuple[str, ...] | None
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None

    def is_valid(self, now: int) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class ApiKeys:
    """Of a store; all methods raise a `StoreError` where it cannot be read or written."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> list[ApiKey]:
        """Every key that was ever made, the oldest first."""
        rows = self._database.query(
            "SELECT id, digest, name, scopes, audiences, created_at, expires_at, revoked_at "
            "FROM api_keys ORDER BY created_at, id"
        )
        return [
            ApiKey(
                id=id,
                digest=digest,
                name=name,
                scopes=tuple(scopes.split()),
                audiences=None if audiences is None else tuple(audiences.split()),
                created_at=created_at,
                expires_at=expires_at,
                revoked_at=revoked_at,
            )
            for id, digest, name, scopes, audiences, created_at, expires_at, revoked_at in rows
        ]

    def add(self, key: ApiKey) -> None:
        """Store a new key; its id must be new, too."""
        with self._database.transaction():
            self._database.execute(
                "INSERT INTO api_keys VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    key.id,
                    key.digest,
                    key.name,
                    " ".join(key.scopes),
                    None if key.audiences is None else " ".join(key.audiences),
                    key.created_at,
                    key.expires_at,
                    key.revoked_at,
                ),
            )

    def revoke(self, id: str, now: int) -> bool:
        """End a key for good; whether there is one of that id.  The first time counts."""
        with self._database.transaction():
            found = self._database.execute(
                "UPDATE api_keys SET revoked_at = COALESCE(revoked_at, ?) WHERE id = ?", (now, id)
            )
        return found > 0
