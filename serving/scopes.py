"""What a key can allow."""

from __future__ import annotations

from enum import StrEnum


class Scope(StrEnum):
    EVENTS_WRITE = "events:write"
    AUDIENCES_READ = "audiences:read"
    COLLECTIONS_READ = "collections:read"
    WAREHOUSE_PULL = "warehouse:pull"
    ADMIN = "admin"
    """All of the others as well."""
