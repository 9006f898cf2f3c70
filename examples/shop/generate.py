"""Write the shop's warehouse and one recorded day of its events.

    python generate.py --users 20000 --day 2026-03-01 --output data

The same arguments give the same events, byte for byte, and a warehouse of the same content.  As
real recordings do, the day has records that were sent twice, that come minutes or hours late, of
clocks that run ahead, of visitors who never signed in, of a robot, and lines that are no records.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Iterator
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from random import Random

import msgspec
from customers import user_id, write_warehouse
from traffic import PRODUCTS, Record, Step, Visitor, instant, record, visit

HOUR = 3_600_000
DAY = 24 * HOUR
HOURS_PER_FILE = 4

# Visits by hour of the day, UTC: quiet nights, busy lunch breaks, busier evenings.
_BY_HOUR = (2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 11, 13, 11, 9, 9, 10, 11, 13, 16, 17, 14, 9, 5)

_BROKEN = (
    b'{"timestamp": "2026-03-01T10:00:00.000Z", "type": "page", "userId": "u0000',
    b"502 Bad Gateway",
    b"[]",
    b'{"type": "page", "userId": "u000001", "properties": {"path": "/"}, "timestamp": "soon"}',
    b"\xff\xfe\x00broken",
)

# A record with the milliseconds at which it was received.
Received = tuple[int, Record]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--users", type=int, default=20_000, help="customers (default 20000)")
    arguments.add_argument("--day", default="2026-03-01", help="the recorded day, UTC")
    arguments.add_argument("--output", type=Path, default=Path(__file__).parent / "data")
    arguments.add_argument("--seed", type=int, default=1, help="another seed, another day")
    options = arguments.parse_args()
    day = datetime.strptime(options.day, "%Y-%m-%d").replace(tzinfo=UTC)
    (options.output / "events").mkdir(parents=True, exist_ok=True)
    write_warehouse(
        options.output / "warehouse.duckdb", Random(f"{options.seed} users"), options.users, day
    )
    records = write_events(
        options.output / "events", Random(f"{options.seed} events"), options.users, day
    )
    print(f"{options.users} users and {records} records are in {options.output}")


def write_events(folder: Path, random: Random, users: int, day: datetime) -> int:
    """Write the day's records into files of some hours each; return how many lines there are."""
    midnight = int(day.timestamp()) * 1000
    received = sorted(_day(random, users, midnight), key=itemgetter(0))
    lines: list[list[bytes]] = [[] for _ in range(24 // HOURS_PER_FILE)]
    for moment, one in received:
        lines[(moment - midnight) // (HOURS_PER_FILE * HOUR)].append(msgspec.json.encode(one))
    for number, broken in enumerate(_BROKEN * 3):
        some = lines[number % len(lines)]
        some.insert(random.randint(0, len(some)), broken)
    for old in folder.glob("*.jsonl.gz"):
        old.unlink()
    for number, some in enumerate(lines):
        name = f"{day:%Y-%m-%d}T{number * HOURS_PER_FILE:02d}.jsonl.gz"
        # Without name and time in its header, the file depends on its content alone.
        with (
            (folder / name).open("wb") as file,
            gzip.GzipFile("", "wb", compresslevel=3, fileobj=file, mtime=0) as compressed,
        ):
            compressed.write(b"".join(line + b"\n" for line in some))
    return sum(map(len, lines))


def _day(random: Random, users: int, midnight: int) -> Iterator[Received]:
    """Everything received before the day's end, in no order."""
    for moment, one in _visits(random, users, midnight):
        if moment >= midnight + DAY:
            continue
        yield moment, one
        # Answered too late, so the browser sends it again: the same record, received again.
        again = moment + random.randint(1, 90) * 1000
        if random.random() < 0.006 and again < midnight + DAY:
            yield again, one | {"receivedAt": _later(one["receivedAt"], again - moment)}


def _visits(random: Random, users: int, midnight: int) -> Iterator[Received]:
    for number in range(users):
        # Few come often, many not at all.
        for _ in range(min(int(random.paretovariate(1.3) * random.random()), 12)):
            signed_in = random.random() < 0.97
            visitor = Visitor.of(random, user_id(number) if signed_in else None)
            yield from _recorded(random, visitor, visit(random), _start(random, midnight))
    for number in range(users, users + users // 100):  # signed up after the warehouse was read
        visitor = Visitor.of(random, user_id(number))
        yield from _recorded(random, visitor, visit(random), _start(random, midnight))
    robot = Visitor.of(random, user_id(7 % users))
    yield from _recorded(random, robot, _crawl(), midnight + 3 * HOUR)


def _crawl() -> Iterator[Step]:
    """Somebody's script reads the whole catalogue, over and over, a page a second."""
    for _ in range(40):
        for product in PRODUCTS:
            yield Step(1.0, "Product Viewed", f"/products/{product['sku']}", dict(product))


def _start(random: Random, midnight: int) -> int:
    hour = random.choices(range(24), _BY_HOUR)[0]
    return midnight + hour * HOUR + random.randrange(HOUR)


def _recorded(
    random: Random, visitor: Visitor, steps: Iterator[Step], start: int
) -> Iterator[Received]:
    skew = int(random.gauss(0, 2_000)) if random.random() < 0.2 else 0
    offline = random.random() < 0.004  # in a tunnel: everything is sent once back
    now = start
    for step in steps:
        now += int(step.pause * 1000)
        delay = random.randint(20, 400)
        if offline:
            delay += random.randint(2 * 60_000, 3 * HOUR)
        elif random.random() < 0.004:
            delay += random.randint(1_000, 120_000)
        received = now + delay
        one = record(random, visitor, step, now + skew, received + skew - 15, received)
        if random.random() < 0.0002:  # a clock that runs ahead, and a client that tells no sentAt
            ahead = received + random.randint(60_000, 2 * HOUR)
            one |= {"timestamp": _later(one["timestamp"], ahead - received)}
            del one["sentAt"]
        yield received, one


def _later(text: str, milliseconds: int) -> str:
    moment = datetime.fromisoformat(text)
    return instant(round(moment.timestamp() * 1000) + milliseconds)


if __name__ == "__main__":
    main()
