"""Run all measurements: `python -m benchmarks`, or a tenth of them with `--quick`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks import results
from benchmarks.backtest import backtests, peak_bytes
from benchmarks.collected import collected_costs
from benchmarks.core import core_seconds
from benchmarks.deliveries import delivery_costs
from benchmarks.live import latencies
from benchmarks.live_switch import switch_latencies
from benchmarks.lookups import lookup_costs
from benchmarks.membership_api import EVENTS, RATE, api_costs
from benchmarks.memory import bytes_a_user
from benchmarks.outage import bytes_added
from benchmarks.process import Failed
from benchmarks.pull import COLUMNS, pulled
from benchmarks.recovery import recovery
from benchmarks.results import Result
from benchmarks.store import store_costs
from benchmarks.suites import SUITES
from benchmarks.switch import switched
from benchmarks.workload import CACHE, Workload, workload

BACKTEST_TARGETS = {"five": 2.0, "fifty": 4.0}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the events, unjudged")
    quick = parser.parse_args().quick
    try:
        measured = list(_measured(quick=quick))
    except Failed as failed:
        print(failed, file=sys.stderr)
        return 1
    results.show(measured, judged=not quick)
    if quick:
        return 0
    print(f"written to {results.write(measured)}")
    return 0 if all(result.passed for result in measured) else 1


def _measured(*, quick: bool) -> Iterator[Result]:
    day = _recording(100_000 if quick else 1_000_000)
    yield from _speed(day, rounds=1 if quick else 3)
    seconds = 5.0 if quick else 20.0
    _tell(f"live job, {seconds:g} s of events")
    live = latencies(day, CACHE / "live", seconds=seconds)
    yield Result("live: event appended to entry written, p50", live.entry(50), "ms")
    yield Result("live: event appended to entry written, p99", live.entry(99), "ms", 250)
    yield Result("live: lateness of exits while idle, p99", live.exit(99), "ms", 250)
    _tell("the membership store")
    store = store_costs(100_000 if quick else 500_000, rounds=1 if quick else 3)
    # Fifty thousand a second are 20 µs each.
    yield Result("store: a transition recorded, SQLite", store.recording, "µs", 20)
    yield Result("store: to a bare executemany", store.recording / store.bare, "×")
    yield from _deliveries(4_000 if quick else 20_000, 3.0 if quick else 15.0)
    yield from _collected(20_000 if quick else 200_000, seconds=5.0 if quick else 20.0)
    users = 100_000 if quick else 1_000_000
    _tell(f"looking up {users:,} users")
    found = lookup_costs(users)
    yield Result("collections: a user looked up by the key, with the record", found.key, "µs", 50)
    yield Result("collections: the same by an index", found.index, "µs", 50)
    yield Result("collections: a pull with one index, to that without", found.pull, "×")
    yield from _api(day, seconds=5.0 if quick else 20.0)
    yield from _recovery(day, quick=quick)
    users = 500_000 if quick else 5_000_000
    yield from _pull(users)
    yield from _switch(users)
    yield from _live_switch(users, seconds=12.0 if quick else 45.0)
    _tell("memory of a million users")
    yield Result("memory a user with one matched condition", bytes_a_user(), "bytes", 400)
    if not quick:
        long = _recording(5_000_000)
        _tell("peak memory of the long backtest")
        peak = peak_bytes(long) / 1e9
        yield Result("backtest of 5,000,000 lines: peak memory", peak, "GB", 1.5)


def _deliveries(messages: int, seconds: float) -> Iterator[Result]:
    _tell(f"{messages:,} deliveries to a webhook")
    cost = delivery_costs(messages, seconds)
    yield Result("webhook: a delivery, signed, one a request", cost.cpu, "µs")
    yield Result("webhook: to a loop over requests.Session", cost.cpu / cost.bare_cpu, "×")
    name = "webhook: time a delivery under load, to that of the loop"
    yield Result(name, cost.bare_rate / cost.rate, "×", 1 / 3)
    yield Result("webhook: journal to answer at 500 a second, p99", cost.p99, "ms", 100)
    yield Result("webhook: the same beside a dead destination", cost.beside_dead, "×", 1.1)
    piled = 15 * messages
    _tell(f"{piled:,} transitions recorded while a destination is dead")
    name = f"webhook: memory added by a dead destination, {piled:,} transitions"
    yield Result(name, bytes_added(piled) / 1e6, "MB", 10)


def _collected(events: int, seconds: float) -> Iterator[Result]:
    _tell(f"{events:,} events collected")
    cost = collected_costs(events, seconds)
    yield Result("collector's log: an event acknowledged, CPU time", cost.cpu, "µs")
    yield Result(
        "collector's log: time an event of 200 clients, to a bare durable write",
        cost.bare_rate / cost.rate,
        "×",
        1 / 4,
    )
    yield Result("collector's log: acknowledged at 2,000 a second, p99", cost.p99, "ms")
    yield Result(
        "collector's log: the same, to bare durable writes at that pace",
        cost.p99 / cost.bare_p99,
        "×",
        3,
    )


def _api(day: Workload, *, seconds: float) -> Iterator[Result]:
    _tell(f"the membership API, {seconds:g} s of requests beside {EVENTS:,} events a second")
    cost = api_costs(day, CACHE / "api", seconds=seconds)
    answers = _p99(cost.answers)
    yield Result(f"api: {RATE:,} answers a second, p99", answers, "ms", 10)
    yield Result("api: the same, to a bare route of Starlette", answers / _p99(cost.bare), "×")
    yield Result("api: acknowledged to in the answers, p99", _p99(cost.writes), "ms", 250)
    records = _p99(cost.records)
    yield Result(f"api: {RATE:,} records with audiences a second, p99", records, "ms", 10)
    details = _p99(cost.details)
    yield Result(f"api: with details, {RATE // 10} a second, p99", details, "ms")
    yield Result("api: CPU time of an answer", cost.cpu, "µs")
    yield Result("api: the same, to a bare route of Starlette", cost.cpu / cost.bare_cpu, "×")


def _recovery(day: Workload, *, quick: bool) -> Iterator[Result]:
    _tell("recovery with the state of a million users")
    events, rounds = (500_000, 1) if quick else (4_000_000, 3)
    cost = recovery(CACHE / "recovery", day.users, events=events, rounds=rounds)
    yield Result("recovery: time to read events, to that without", cost.wall, "×", 1 / 0.85)
    yield Result("recovery: CPU time to read events, to that without", cost.cpu, "×", 1 / 0.85)
    yield Result("recovery: state on disk", cost.stored_bytes / 1e6, "MB")
    yield Result("recovery: a restart", cost.restart, "s", 30)


def _switch(users: int) -> Iterator[Result]:
    _tell(f"a switch of {users:,} users, of whom one in a hundred moved")
    cost = switched(CACHE / "switch", users=users, moved=users // 100)
    name = f"switch of {users:,} users, 1 % moved"
    yield Result(f"{name}: nothing else is evaluated for", cost.seconds, "s", 1)
    yield Result(f"{name}: had everybody been looked at", cost.whole_seconds, "s")
    yield Result(f"{name}: peak memory added", cost.memory / 1e6, "MB", 100)
    yield Result(f"{name}: state to be stored after it", cost.stored / 1e6, "MB")
    yield Result(f"{name}: had everybody been looked at", cost.whole_stored / 1e6, "MB")


def _pull(users: int) -> Iterator[Result]:
    _tell(f"a pull of {users:,} users")
    cost = pulled(CACHE / f"pull-{users}", users=users)
    name = f"pull of {users:,} users, {COLUMNS} columns, 1 % moved"
    yield Result(f"{name}: CPU time", cost.pull.cpu, "s")
    yield Result(f"{name}: to a bare COPY to Parquet", cost.pull.cpu / cost.bare.cpu, "×", 3)
    yield Result(f"{name}: peak memory", cost.pull.peak_bytes / 1e9, "GB")
    memory = cost.pull.peak_bytes / cost.bare.peak_bytes
    yield Result(f"{name}: peak memory to a bare COPY's", memory, "×", 1.5)


def _live_switch(users: int, *, seconds: float) -> Iterator[Result]:
    _tell(f"live job, a switch of {users:,} users in its midst")
    found = switch_latencies(CACHE / "live-switch", users=users, seconds=seconds)
    name = f"live: switch of {users:,} users, 1 % moved"
    yield Result(f"{name}: added to an event's p99", found.added, "ms", 1000)
    yield Result(f"{name}: the latest event", found.worst, "ms")
    yield Result(f"{name}: from publication to the last of them written", found.seconds, "s")


def _speed(day: Workload, rounds: int) -> Iterator[Result]:
    _tell(f"backtests, {rounds} rounds")
    whole = backtests(day, rounds)
    micro = 1e6 / day.lines
    yield Result("yardstick: decoding a line", whole.yardstick * micro, "µs")
    for suite in SUITES:
        name = f"backtest, {suite}"
        ratio = whole.seconds[suite] / whole.yardstick
        yield Result(f"{name}: a line", whole.seconds[suite] * micro, "µs")
        yield Result(f"{name}: to the yardstick", ratio, "×", BACKTEST_TARGETS.get(suite))
        yield Result(f"{name}: transitions a line", whole.transitions[suite] / day.lines, "")
    for suite in SUITES:
        _tell(f"core alone, {suite}")
        seconds = core_seconds(day, suite, rounds)
        target = 0.5 if suite == "five" else None
        yield Result(f"core alone, {suite}: an event", seconds * micro, "µs", target)
        yield Result(f"core alone, {suite}: to the yardstick", seconds / whole.yardstick, "×")


def _p99(found: Sequence[float]) -> float:
    return float(np.percentile(found, 99))


def _recording(lines: int) -> Workload:
    _tell(f"recording of {lines:,} lines")
    return workload(lines)


def _tell(what: str) -> None:
    print(f"· {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
