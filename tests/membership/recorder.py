"""Records without end, and says what it has recorded: a process to be killed.

`python -m tests.membership.recorder sqlite PATH` or `… postgres URL SCHEMA`
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.membership.places import PostgresPlace, SqlitePlace
from tests.membership.stories import NOW, proposals


def main(kind: str, *where: str) -> None:
    place = SqlitePlace(Path(where[0])) if kind == "sqlite" else PostgresPlace(*where)
    store = place.owner()
    second = place.reader().end() // 2
    while True:
        second += 1
        entries = store.record([proposals(f"ann+{second} ben-{second}@2")], NOW).journal_entries()
        entries += store.record([proposals(f"ann-{second}@2 ben+{second}")], NOW).journal_entries()
        for entry in entries:
            print(entry.position, entry.record.id, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
