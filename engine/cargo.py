"""Message ids that bring something along: what deliveries want to know of an event.

The core knows an event by its message id, and copies the id of the one that caused a transition
into it.  Whatever is written behind the id therefore travels with the event through clocks,
switches and processes, and arrives with the transitions that it causes, without anybody on the way
knowing of it.  Events are told apart by the hashes of their bare ids.

A separator that JSON never contains stands between the two.  An id that has one itself is followed
by one more, so that the last always ends the id.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from engine.texts import Texts

_SEPARATOR = "\x1f"


def loaded(ids: Texts, cargo: Sequence[str | None] = ()) -> Texts:
    """The ids, each with the JSON behind it that it brings along, if it does."""
    if any(cargo) or (ids.data[ids.starts[0] : ids.starts[-1]] == ord(_SEPARATOR)).any():
        texts = ids.tolist()
        return Texts.of([_loaded(*one) for one in zip_longest(texts, cargo)])
    return ids


def unloaded(text: str) -> tuple[str, str | None]:
    """The id, and what it has brought along."""
    if _SEPARATOR not in text:
        return text, None
    id_, _, cargo = text.rpartition(_SEPARATOR)
    return id_, cargo or None


def _loaded(id_: str, cargo: str | None) -> str:
    return f"{id_}{_SEPARATOR}{cargo or ''}" if cargo or _SEPARATOR in id_ else id_
