"""Recorded events: files that are complete, read from the first line to the last.

JSON lines and Snowplow's tab-separated lines, plain or compressed with gzip or Zstandard, Parquet,
and what a collector has written.  The content tells which, not the name.  Nothing is held but one
block of lines.
"""

from __future__ import annotations

import glob
import gzip
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow  # type: ignore[import-untyped]
import zstandard

from connectors.collected.recording import read_segment
from connectors.collected.segments import MAGIC, SUFFIX
from connectors.sources.chunks import Chunk, DeadLetter
from connectors.sources.cutting import LineCutter, ReadInto
from connectors.sources.errors import SourceError
from connectors.sources.parquet import read_parquet
from connectors.sources.zstd import ZstdReader

# What is read in a folder; a file that is named may be called anything.
ENDINGS = (
    ".jsonl", ".ndjson", ".json", ".tsv", ".txt", ".log", ".parquet", ".gz", ".zst", SUFFIX
)  # fmt: skip

_PARQUET = b"PAR1"
_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"

# What decompressors say of data that is not what it should be.
DAMAGES = (EOFError, gzip.BadGzipFile, zlib.error, zstandard.ZstdError)


@dataclass(frozen=True, slots=True)
class RecordedFile:
    """`number` is its place in the order of the names, which decides between equal instants."""

    path: Path
    number: int
    size: int

    @property
    def name(self) -> str:
        return str(self.path)


def find_files(patterns: Iterable[str | Path]) -> list[RecordedFile]:
    """The files that some paths stand for (files, folders, globs), in the order of their names.

    Raises:
        SourceError: a path stands for no file.
    """
    patterns = list(patterns)
    for pattern in patterns:
        if not matching_files([pattern]):
            raise SourceError(_nothing_at(str(pattern)))
    files = matching_files(patterns)
    return [RecordedFile(path, number, path.stat().st_size) for number, path in enumerate(files)]


def read_file(file: RecordedFile) -> Iterator[Chunk]:
    """The chunks of a file; their sizes add up to the file's.

    Where compressed data is damaged or cut off, what comes before is read, and a dead letter says
    where it ends.

    Raises:
        SourceError: the file cannot be opened, or is damaged Parquet.
    """
    line = 1
    try:
        with file.path.open("rb", buffering=0) as raw:
            for chunk in read_open_file(file, raw):
                yield chunk
                line = chunk.end_line
    except DAMAGES as error:
        yield damaged(file.name, file.number, line, error)
    except (OSError, pyarrow.ArrowException) as error:
        raise SourceError(f"cannot read {file.name}: {error}") from error


def read_files(files: Iterable[RecordedFile]) -> Iterator[Chunk]:
    for file in files:
        yield from read_file(file)


def read_open_file(file: RecordedFile, raw: BinaryIO) -> Iterator[Chunk]:
    """The same, leaving damages to the caller.

    Raises:
        DAMAGES: compressed data is damaged or cut off.
        pyarrow.ArrowException: Parquet is.
    """
    magic = raw.read(4)
    raw.seek(0)
    if magic == _PARQUET:
        yield from read_parquet(file.name, file.number, raw, file.size)
        return
    if magic == MAGIC[:4]:
        yield from read_segment(file.path, file.number, raw.fileno(), file.size)
        return
    cutter = LineCutter(file.name, file.number)
    read_into: ReadInto
    if magic.startswith(_GZIP):
        read_into = gzip.GzipFile(fileobj=raw).readinto
    elif magic == _ZSTD:
        read_into = ZstdReader(raw).readinto
    else:
        read_into = raw.readinto  # type: ignore[attr-defined]
    done = 0
    while chunk := cutter.read(read_into):
        chunk.size = raw.tell() - done
        done += chunk.size
        yield chunk
    if last := cutter.finish():
        yield last


def damaged(name: str, number: int, line: int, error: Exception) -> Chunk:
    """The chunk that reports the end of what can be read of a file."""
    letter = DeadLetter(name, line, f"the file is damaged or cut off here: {error}", "")
    return Chunk(name, number, line, dead_letters=(letter,))


def is_complete(magic: bytes) -> bool:
    """Whether a file that begins so is of a kind that is written once, and not appended to."""
    return magic in (_PARQUET, _ZSTD) or magic.startswith(_GZIP)


def matching_files(patterns: Iterable[str | Path]) -> list[Path]:
    """The files that some paths stand for at the moment, each once, in the order of their names."""
    found = {path.absolute(): path for one in patterns for path in _files_of(str(one))}
    return sorted(found.values(), key=lambda path: path.parts)


def _files_of(pattern: str) -> list[Path]:
    path = Path(pattern)
    if path.is_dir():
        return [
            one
            for one in path.rglob("*")
            if one.suffix.lower() in ENDINGS
            and one.is_file()
            and not any(part.startswith(".") for part in one.relative_to(path).parts)
        ]
    if path.exists():
        return [path]
    # Unlike `Path.glob`, this takes absolute patterns.
    return [one for one in map(Path, glob.glob(pattern, recursive=True)) if one.is_file()]  # noqa: PTH207


def _nothing_at(pattern: str) -> str:
    if Path(pattern).is_dir():
        return f"the folder {pattern} holds no recording ({', '.join(ENDINGS)})"
    if glob.has_magic(pattern):
        return f"no file matches {pattern}"
    return f"there is no file {pattern}"
