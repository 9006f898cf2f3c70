"""Sentences for whoever looks after a job; some say more than that it goes on.

They are texts, so that nobody who passes them on needs to know.
"""

from __future__ import annotations


class Trouble(str):
    """Something does not work; it is tried again, or goes on without."""

    __slots__ = ()


class Alarm(str):
    """Something does not work, and does not before somebody sees to it."""

    __slots__ = ()


def level_of(sentence: str) -> str:
    match sentence:
        case Alarm():
            return "error"
        case Trouble():
            return "warning"
    return "info"
