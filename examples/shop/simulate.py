"""Play visitors of the shop, now: append their records to a file that grows.

    python simulate.py --seconds 30 --rate 60 --output data/live/live.jsonl

Time runs faster in this shop than in the recorded day: a visitor thinks for about half a second,
and stays away for some seconds after a visit.  With the short windows of `live.env` people enter
audiences and leave them while one looks on.  The visitors are customers of the warehouse that
generate.py writes.
"""

from __future__ import annotations

import argparse
import heapq
import time
from pathlib import Path
from random import Random
from typing import BinaryIO

import msgspec
from customers import user_id
from traffic import Step, Visitor, record, visit

# A pause of the recorded day's visitors becomes this part of it.
_HASTE = 1 / 50
_LONGEST_PAUSE = 1.2
_AWAY = (4.0, 12.0)


class Crowd:
    """Visitors in the order of their next steps."""

    def __init__(self, random: Random, size: int, start: float) -> None:
        self._random = random
        self._due: list[tuple[float, int, Visitor, list[Step]]] = []
        for number in range(size):
            visitor = Visitor.of(random, user_id(number))
            self._enter(start + random.uniform(0, _AWAY[1]), number, visitor)

    def next_due(self) -> float:
        """When the next step happens; seconds since 1970."""
        return self._due[0][0]

    def next_record(self) -> bytes:
        """The next step as a record, received at the moment it happens."""
        due, number, visitor, steps = heapq.heappop(self._due)
        step = steps.pop()
        if steps:
            pause = min(steps[-1].pause * _HASTE, _LONGEST_PAUSE)
            heapq.heappush(self._due, (due + pause, number, visitor, steps))
        else:
            self._enter(due + self._random.uniform(*_AWAY), number, visitor)
        now = int(due * 1000)
        return msgspec.json.encode(record(self._random, visitor, step, now, now, now))

    def _enter(self, when: float, number: int, visitor: Visitor) -> None:
        steps = list(visit(self._random))
        heapq.heappush(self._due, (when, number, visitor, steps[::-1]))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--seconds", type=float, default=30.0, help="how long (default 30)")
    arguments.add_argument(
        "--rate", type=float, default=60.0, help="about how many events a second"
    )
    arguments.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "data" / "live" / "live.jsonl"
    )
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    options.output.parent.mkdir(parents=True, exist_ok=True)
    with options.output.open("ab", buffering=0) as file:
        print(f"{simulate(file, options.seconds, options.rate, options.seed)} events were sent")


def simulate(file: BinaryIO, seconds: float, rate: float, seed: int) -> int:
    """Append records for some seconds; return how many."""
    start = time.time()
    # A visitor makes some seven steps in two to four seconds and then is away for eight.
    crowd = Crowd(Random(f"{seed} live"), max(1, round(rate * 1.5)), start)
    count = 0
    while (due := crowd.next_due()) < start + seconds:
        time.sleep(max(0.0, due - time.time()))
        file.write(crowd.next_record() + b"\n")
        count += 1
    return count


if __name__ == "__main__":
    main()
