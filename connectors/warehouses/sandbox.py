"""DuckDB connections that can reach only what they were given.

A project's query is code that somebody wrote, and DuckDB can read any file, attach databases and
load extensions.  So each connection is locked before the first query runs: no files but those
below the given folders, no extensions, no Python variables, and no way to change the settings
back.  The warehouse itself is attached read-only.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import duckdb

from audience_dsl.sql import quoted_name, quoted_text

# Sorting and grouping beyond this spill to disk: a pull stays small beside the live job.
_MEMORY_LIMIT = "768MB"

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "memory_limit": _MEMORY_LIMIT,
    "max_temp_directory_size": "20GB",
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_community_extensions": False,
    "allow_unsigned_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,
    "arrow_lossless_conversion": True,  # between two of these connections
    # DuckDB 2.0.0 that writes a file with threads of their own waits for ever where a statement
    # fails meanwhile: aborting holds the lock which the last write needs to end.
    "async_threads": 0,
}

# Names of databases that every connection already has.
_RESERVED = frozenset({"memory", "system", "temp"})


def open_sandbox(
    readable: Iterable[Path], *, spill: Path | None = None, attach: Path | None = None
) -> duckdb.DuckDBPyConnection:
    """An in-memory connection that sees the folders `readable` and the database `attach`.

    `spill` is the folder for what exceeds memory; without one, nothing spills.

    Raises:
        duckdb.Error: the database cannot be attached.
    """
    connection = duckdb.connect(
        ":memory:", config={**_SETTINGS, "temp_directory": str(spill or "")}
    )
    try:
        if attach is not None:
            # Views inside may name their own database, which is called after the file.
            name = attach.stem if attach.stem.lower() not in _RESERVED else f"{attach.stem}_file"
            connection.execute(
                f"ATTACH {quoted_text(str(attach))} AS {quoted_name(name)} (READ_ONLY, TYPE duckdb)"
            )
            connection.execute(f"USE {quoted_name(name)}")
        connection.execute("SET TimeZone = 'UTC'")
        folders = ", ".join(quoted_text(f"{folder}/") for folder in readable)
        connection.execute(f"SET allowed_directories = [{folders}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
    except BaseException:
        connection.close()
        raise
    return connection
