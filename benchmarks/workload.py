"""The recording that everything is measured on: a day of a web shop in Segment's format.

`EVENTS` lines of about 650 bytes: 100,000 users, drawn with Zipf's exponent 0.9, come in sessions
(geometric, 8 events on average, some 25 s apart) over 24 hours.  One event in a hundred arrives
up to a minute late, and one line in two hundred is a copy of an earlier one, as retries make
them.  The same seed makes the same bytes.  Files are kept in `.cache/benchmarks` and made again
when this file changes.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

CACHE = Path(__file__).parent.parent / ".cache" / "benchmarks"

USERS = 100_000
START = 1_772_323_200_000  # 2026-03-01T00:00:00Z in milliseconds
DAY = 86_400_000
ZIPF = 0.9
SESSION_EVENTS = 8
SESSION_GAP = 25_000
LATE, LATE_BY = 0.01, 60_000
COPIES, COPY_BY = 0.005, 30_000

PATHS = (
    "/", "/pricing", "/cart", "/checkout", "/sale", "/account", "/help", "/search",
    *(f"/category/{name}" for name in ("shoes", "coats", "bags", "hats", "sport", "home")),
    *(f"/product/{number}" for number in range(1, 33)),
)  # fmt: skip
CHANNELS = ("direct", "email", "search", "social", "ads")
CATEGORIES = ("shoes", "coats", "bags", "hats", "sport", "home")
KINDS = ("page", "Product Viewed", "Product Added", "Order Completed")
KIND_WEIGHTS = (0.62, 0.24, 0.10, 0.04)

_BLOCK = 50_000


@dataclass(frozen=True)
class Workload:
    """Where the recording and the shop's users are."""

    lines: int
    events: Path
    users: Path

    def blocks(self) -> Iterator[list[bytes]]:
        """Yield the recording's lines, some thousand at a time, as a reader would hold them."""
        with self.events.open("rb") as file:
            while lines := file.readlines(8 << 20):
                yield lines


def workload(lines: int) -> Workload:
    """Make the recording of that many lines, unless it is there already."""
    recipe = hashlib.blake2b(Path(__file__).read_bytes(), digest_size=4).hexdigest()
    folder = CACHE / f"{lines}-{recipe}"
    made = Workload(lines, folder / "events.jsonl", folder / "users.parquet")
    if not made.events.exists():
        for outdated in CACHE.glob(f"{lines}-*"):
            shutil.rmtree(outdated)
        folder.mkdir(parents=True)
        _write_users(made.users)
        aside = made.events.with_suffix(".part")
        with aside.open("w", encoding="ascii") as file:
            for block in _blocks(lines, np.random.default_rng(20260301)):
                file.write(block)
        aside.rename(made.events)
    return made


def _write_users(path: Path) -> None:
    random = np.random.default_rng(7)
    pq.write_table(
        pa.table(
            {
                "user_id": [f"u{number:06d}" for number in range(USERS)],
                "plan": random.choice(["free", "pro", "team"], USERS, p=[0.7, 0.2, 0.1]),
                "ltv": np.round(random.exponential(200.0, USERS), 2),
                "country": random.choice(["DE", "FR", "PL", "US", "JP"], USERS),
            }
        ),
        path,
    )


def _blocks(lines: int, random: np.random.Generator) -> Iterator[str]:
    """Yield text of whole lines in order of arrival."""
    copies = round(lines * COPIES)
    events = lines - copies
    users, happened = _sessions(events, random)
    arrived = happened + 20
    late = random.random(events) < LATE
    arrived[late] += random.integers(0, LATE_BY, int(late.sum()))

    again = random.choice(events, copies, replace=False)
    which = np.concatenate([np.arange(events), again])
    received = np.concatenate([arrived, arrived[again] + random.integers(100, COPY_BY, copies)])
    order = np.argsort(received, kind="stable")

    facts = _Facts.drawn(events, random)
    for start in range(0, lines, _BLOCK):
        rows = order[start : start + _BLOCK]
        yield "".join(_lines(which[rows], users, happened, received[rows], facts))


def _sessions(
    events: int, random: np.random.Generator
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return each event's user and the instant at which it happened, in milliseconds."""
    lengths = random.geometric(1 / SESSION_EVENTS, 2 * events // SESSION_EVENTS)
    lengths = lengths[: int(np.searchsorted(np.cumsum(lengths), events)) + 1]
    weights = np.arange(1, USERS + 1) ** -ZIPF
    ranks = random.choice(USERS, len(lengths), p=weights / weights.sum())
    users = random.permutation(USERS)[ranks]

    begins = random.integers(0, DAY - 600_000, len(lengths))
    gaps = random.exponential(SESSION_GAP, int(lengths.sum())).astype(np.int64) + 1
    elapsed = np.cumsum(gaps)
    firsts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    instants = np.repeat(begins - elapsed[firsts], lengths) + elapsed
    return np.repeat(users, lengths)[:events], START + np.minimum(instants[:events], DAY - 1)


@dataclass(frozen=True)
class _Facts:
    """What else an event says, as numbers into the vocabularies above."""

    kinds: npt.NDArray[np.int64]
    paths: npt.NDArray[np.int64]
    channels: npt.NDArray[np.int64]
    categories: npt.NDArray[np.int64]
    cents: npt.NDArray[np.int64]
    ids: npt.NDArray[np.int64]

    @classmethod
    def drawn(cls, events: int, random: np.random.Generator) -> _Facts:
        popularity = 1 / np.arange(2, len(PATHS) + 2)
        return cls(
            kinds=random.choice(len(KINDS), events, p=KIND_WEIGHTS),
            paths=random.choice(len(PATHS), events, p=popularity / popularity.sum()),
            channels=random.choice(len(CHANNELS), events, p=[0.4, 0.2, 0.2, 0.12, 0.08]),
            categories=random.integers(0, len(CATEGORIES), events),
            cents=random.integers(500, 50_000, events),
            ids=random.integers(0, 1 << 62, events),
        )


def _lines(
    which: npt.NDArray[np.int64],
    users: npt.NDArray[np.int64],
    happened: npt.NDArray[np.int64],
    received: npt.NDArray[np.int64],
    facts: _Facts,
) -> Iterator[str]:
    columns = zip(
        which.tolist(),
        users[which].tolist(),
        _iso(happened[which]),
        _iso(received),
        facts.kinds[which].tolist(),
        facts.paths[which].tolist(),
        facts.channels[which].tolist(),
        facts.categories[which].tolist(),
        facts.cents[which].tolist(),
        facts.ids[which].tolist(),
        strict=True,
    )
    for number, user, ts, at, kind, path, channel, category, cents, id_ in columns:
        call = '"type":"page"' if kind == 0 else f'"type":"track","event":"{KINDS[kind]}"'
        yield (
            f'{{"anonymousId":"{id_:016x}-{user:06x}","channel":"client","context":{{"ip":'
            f'"203.0.113.{number % 256}","library":{{"name":"analytics.js",'
            f'"version":"next-1.70.0"}},"locale":"en-US","page":{{"path":"{PATHS[path]}","referrer":'
            f'"https://www.google.com/","title":"Example shop","url":"https://shop.example'
            f'{PATHS[path]}"}},"userAgent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 '
            f'Chrome/132.0.0.0 Safari"}},'
            f'"messageId":"ajs-next-{id_:016x}{number:08x}","properties":{{"path":"{PATHS[path]}",'
            f'"channel":"{CHANNELS[channel]}","category":"{CATEGORIES[category]}",'
            f'"amount":{cents // 100}.{cents % 100:02d}}},"receivedAt":"{at}",'
            f'"timestamp":"{ts}",{call},"userId":"u{user:06d}","version":2}}\n'
        )


def _iso(milliseconds: npt.NDArray[np.int64]) -> list[str]:
    instants = milliseconds.astype("datetime64[ms]")
    texts: list[str] = np.datetime_as_string(instants, timezone="UTC").tolist()
    return texts
