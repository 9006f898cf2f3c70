"""The file destination: a file of JSON lines, or Parquet files, by day, hour and size.

`{date}` and `{hour}` in the path are those, in UTC, at which a transition is written, so a file
whose day is over does not change any more.  With `max_bytes` a file that is full is followed by the
next: `name.jsonl`, `name.2.jsonl`, `name.3.jsonl`.

A transition is accepted when it would survive a power cut.  Every one is written at least once:
what a crash has interrupted is sent again, and appended again with the id that it had.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from typing_extensions import override

from audience_dsl.connections import FILE
from audience_dsl.definitions import Settings
from audience_dsl.durations import DAY
from audience_dsl.shapes import Choice, Duration, Field, Integer, Record
from connectors.destinations.appending import append
from connectors.destinations.blocking import Blocking, Item, said
from connectors.destinations.destination import ACCEPTED, Capacity, Outcome, Verdict
from connectors.destinations.place import Place

OPTIONS = Record(
    "file",
    "Files of JSON lines, or Parquet files.",
    (
        Field(
            "path",
            FILE,
            "The file; `{date}` becomes the day on which a transition is written, `{hour}` the "
            "hour, both in UTC.",
            required=True,
        ),
        Field(
            "format",
            Choice(
                {
                    "jsonl": "a file of JSON lines that grows",
                    "parquet": "Parquet files that appear when they are complete",
                }
            ),
            "What is written.",
            default="`jsonl`",
        ),
        Field(
            "max_bytes",
            Integer(1, 10**12, "nothing could be written", "that is more than a disk holds"),
            "How large a file may become before the next is begun: `name.jsonl`, `name.2.jsonl`. "
            "Of Parquet files it counts what they are made of, which is larger.",
            default="no limit; for Parquet 64 MiB",
        ),
        Field(
            "complete_after",
            Duration(DAY, "a file would cover more than a day"),
            "How long transitions may wait until their Parquet file is complete. They are safe "
            "beside it meanwhile.",
            default="`5m`",
        ),
    ),
)

DATE, HOUR = "{date}", "{hour}"

# What only people can mend: the file is not there to be written, or not by us.
_HOPELESS = frozenset(
    {
        errno.EACCES,
        errno.EEXIST,
        errno.EPERM,
        errno.EROFS,
        errno.EINVAL,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
    }
)


class Files(Blocking):
    """JSON lines.  Several may append to the same file: messages of one request stay together."""

    capacity = Capacity(messages=1000, requests=1)

    def __init__(self, settings: Settings, place: Place) -> None:
        path = str(settings.options["path"])
        super().__init__(settings, path)
        self.pattern = str(place.root / path)
        most = settings.options.get("max_bytes")
        self.most = None if most is None else int(str(most))
        self._path: Path | None = None
        self._number = 1

    @override
    def deliver(self, items: Sequence[Item]) -> Sequence[Outcome]:
        self.write(Path(dated(self.pattern, datetime.now(UTC))), items)
        return [ACCEPTED] * len(items)

    def write(self, path: Path, items: Sequence[Item]) -> None:
        """Append to a file, or to one of those that follow it."""
        if path != self._path:
            self._path, self._number = path, 1
        lines = b"".join(one.body + b"\n" for one in items)
        while not append(numbered(path, self._number), lines, self.most):
            self._number += 1

    @override
    def explain(self, error: Exception) -> Outcome:
        hopeless = isinstance(error, OSError) and error.errno in _HOPELESS
        what = error.strerror if isinstance(error, OSError) and error.strerror else said(error)
        return Outcome(
            Verdict.REFUSED if hopeless else Verdict.RETRY,
            f"{self._where} cannot be written: {what}",
        )

    @override
    def probe(self) -> None:
        path = Path(dated(self.pattern, datetime.now(UTC)))
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "not an ordinary file", str(path))
        found = path
        while not found.exists():
            found = found.parent
        if not os.access(found, os.W_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(found))

    @override
    def disconnect(self) -> None:
        """Nothing is kept open."""


def open_file(settings: Settings, place: Place) -> Files:
    """The destination for the format that is asked for; Arrow is loaded where it is needed."""
    if settings.options.get("format") != "parquet":
        return Files(settings, place)
    from connectors.destinations.parquet import ParquetFiles

    return ParquetFiles(settings, place)


def dated(pattern: str, now: datetime) -> str:
    """A path with the date and the hour in the place of their names."""
    return pattern.replace(DATE, f"{now:%Y-%m-%d}").replace(HOUR, f"{now:%H}")


def numbered(path: Path, number: int) -> Path:
    """The first file is `name.jsonl`, the second one `name.2.jsonl`."""
    return path if number == 1 else path.with_name(f"{path.stem}.{number}{path.suffix}")
