"""The closest known name for a misspelt one."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches


class Suggestions:
    """Finds close names, within a bound on the work that a file full of mistakes may cause."""

    def __init__(self) -> None:
        self._comparisons_left = 50_000

    def closest(self, word: str, known: Collection[str]) -> str | None:
        """The known name that is most like the word, or `None` if none is."""
        self._comparisons_left -= len(known)
        if self._comparisons_left < 0 or len(word) > 100:
            return None
        folded = {name.casefold().replace("-", "_"): name for name in known}
        close = get_close_matches(word.casefold().replace("-", "_"), folded, n=1, cutoff=0.65)
        return folded[close[0]] if close else None
