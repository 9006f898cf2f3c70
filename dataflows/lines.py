"""Transitions as lines, for people and for programs."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

import msgspec

from engine.records import TransitionRecord


def json_line(record: TransitionRecord) -> str:
    return msgspec.json.encode(record).decode()


def text_line(record: TransitionRecord) -> str:
    return (
        f"{record.effective_at}  {record.type:<7}  {record.audience}  {visible(record.user_id)}  "
        f"{cause_text(record.cause)}"
    )


def cause_text(cause: Mapping[str, str]) -> str:
    why = cause.get("message_id") or cause.get("condition") or cause.get("pull") or ""
    return f"{cause['kind']}{' ' + visible(why) if why else ''}"


def visible(text: str) -> str:
    """Whoever sends events does not get to control the terminal that shows them."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def print_lines(lines: Sequence[str]) -> None:
    """Write to standard output, at once; nothing where its reader has gone.

    Not through Python's buffer: a thread that is kept waiting there keeps the process from ending.
    """
    stream = sys.stdout
    rest = memoryview("".join(f"{line}\n" for line in lines).encode(stream.encoding, "replace"))
    try:
        while rest:
            rest = rest[os.write(stream.fileno(), rest) :]
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
