"""Play visitors of the shop, now: send what they do to the collector of a running job.

    python simulate.py --seconds 30 --rate 60

It is sent by Segment's client for Python, which is told the collector's address and nothing else.
With `--output FILE` records are appended to a file instead.

Time runs faster in this shop than in the recorded day: a visitor thinks for about half a second,
and stays away for some seconds after a visit.  With the short windows of `live.env` people enter
audiences and leave them while one looks on.  The visitors are customers of the warehouse that
generate.py writes.
"""

from __future__ import annotations

import argparse
import heapq
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import msgspec
from customers import user_id
from segment.analytics import Client
from traffic import Step, Visitor, context_of, page_of, record, visit

# A pause of the recorded day's visitors becomes this part of it.
_HASTE = 1 / 50
_LONGEST_PAUSE = 1.2
_AWAY = (4.0, 12.0)

Send = Callable[[Visitor, Step], None]


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

    def next_step(self) -> tuple[Visitor, Step]:
        due, number, visitor, steps = heapq.heappop(self._due)
        step = steps.pop()
        if steps:
            pause = min(steps[-1].pause * _HASTE, _LONGEST_PAUSE)
            heapq.heappush(self._due, (due + pause, number, visitor, steps))
        else:
            self._enter(due + self._random.uniform(*_AWAY), number, visitor)
        return visitor, step

    def _enter(self, when: float, number: int, visitor: Visitor) -> None:
        steps = list(visit(self._random))
        heapq.heappush(self._due, (when, number, visitor, steps[::-1]))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    arguments.add_argument("--seconds", type=float, default=30.0, help="how long (default 30)")
    arguments.add_argument(
        "--rate", type=float, default=60.0, help="about how many events a second"
    )
    arguments.add_argument("--url", default="http://127.0.0.1:8080", help="where usher run listens")
    arguments.add_argument("--output", type=Path, help="append to this file instead")
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    crowd_of = max(1, round(options.rate * 1.5))
    if options.output is None:
        count = _to_collector(options.url, options.seconds, crowd_of, options.seed)
    else:
        count = _to_file(options.output, options.seconds, crowd_of, options.seed)
    print(f"{count} events were sent")


def simulate(send: Send, seconds: float, size: int, seed: int) -> int:
    """Let visitors come for some seconds; return how many steps they have taken."""
    start = time.time()
    # A visitor makes some seven steps in two to four seconds and then is away for eight.
    crowd = Crowd(Random(f"{seed} live"), size, start)
    count = 0
    while (due := crowd.next_due()) < start + seconds:
        time.sleep(max(0.0, due - time.time()))
        send(*crowd.next_step())
        count += 1
    return count


def _to_collector(url: str, seconds: float, size: int, seed: int) -> int:
    refusals: list[object] = []
    client = Client(
        "shop", host=url, upload_interval=0.1, on_error=lambda error, _: refusals.append(error)
    )

    def send(visitor: Visitor, step: Step) -> None:
        page = page_of(visitor, step)
        about = {"anonymous_id": visitor.anonymous_id, "context": context_of(visitor, page)}
        if step.kind == "page":
            client.page(visitor.user_id, properties=page, **about)
        else:
            client.track(visitor.user_id, step.kind, step.properties, **about)

    count = simulate(send, seconds, size, seed)
    client.shutdown()
    if refusals:
        sys.exit(f"{url} has not taken all events: {refusals[0]}")
    return count


def _to_file(output: Path, seconds: float, size: int, seed: int) -> int:
    random = Random(f"{seed} records")
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("ab", buffering=0) as file:

        def send(visitor: Visitor, step: Step) -> None:
            now = int(time.time() * 1000)
            one = record(random, visitor, step, now, now, now)
            file.write(msgspec.json.encode(one) + b"\n")

        return simulate(send, seconds, size, seed)


if __name__ == "__main__":
    main()
