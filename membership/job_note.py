"""How far the job has come, as it notes now and then for those who are not beside it.

A server elsewhere is ready only while somebody evaluates, and this is how it sees that.  The note
lies where the journal lies, so whoever can read the one can read the other.
"""

from __future__ import annotations

import msgspec

from membership.database import Database, handed_over
from membership.schema import PROGRESS, check_readable

_NAME = "job"


class JobNote(msgspec.Struct, frozen=True):
    """`clock` is the instant up to which all is evaluated, `noted_at` the wall clock."""

    clock: int
    has_caught_up: bool
    noted_at: int


class JobNotes:
    """Where the job leaves its note; to be closed.

    Raises:
        StoreMissing: nothing has been recorded yet.
        StoreError: by all methods.
    """

    def __init__(self, database: Database) -> None:
        with handed_over(database):
            check_readable(database)
        self._database = database

    def write(self, note: JobNote) -> None:
        with self._database.transaction():
            self._database.upsert(PROGRESS, [(_NAME, msgspec.json.encode(note).decode())])

    def close(self) -> None:
        self._database.close()


def job_note(database: Database) -> JobNote | None:
    """The last one, if there ever was one."""
    found = database.query("SELECT value FROM progress WHERE name = ?", (_NAME,))
    return msgspec.json.decode(found[0][0], type=JobNote) if found else None
