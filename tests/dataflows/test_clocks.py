"""Clocks: when the snapshot takes force, what is history, and how far time has come."""

from __future__ import annotations

from collections.abc import Iterable

from dataflows.clocks import LiveClock, VirtualClock
from dataflows.steps import Step
from engine.inputs import Inputs
from tests.engine.columns import Seen, inputs_of

START, UNTIL = 100, 200


def events(*arrivals: int, tallied: bool = True) -> dict[str, Inputs]:
    return {"users": inputs_of([Seen("u", arrival, tallied=tallied) for arrival in arrivals])}


def told(steps: Iterable[Step]) -> list[tuple[int | None, list[int], int]]:
    """When a snapshot takes force, which arrivals, the instant reached."""
    return [
        (
            step.take_force_at,
            [one for inputs in step.inputs.values() for one in inputs.arrivals.tolist()],
            step.tick,
        )
        for step in steps
    ]


class TestVirtualClock:
    def test_what_arrived_before_the_start_is_history(self) -> None:
        clock = VirtualClock(START, UNTIL)
        assert told(clock.steps(events(50, 99, 100, 150), 150)) == [
            (None, [50, 99], START),
            (START, [], START),
            (None, [100, 150], 150),
        ]

    def test_the_snapshot_takes_force_once(self) -> None:
        clock = VirtualClock(START, UNTIL)
        assert told(clock.steps(events(40), 40)) == [(None, [40], 40)]
        assert told(clock.steps(events(120), 120)) == [(START, [], START), (None, [120], 120)]
        assert told(clock.steps(events(130), 130)) == [(None, [130], 130)]

    def test_a_recording_that_ends_before_the_start(self) -> None:
        clock = VirtualClock(START, UNTIL)
        assert told(clock.steps(events(40), 40)) == [(None, [40], 40)]
        assert told(clock.last_step()) == [(START, [], START), (None, [], UNTIL + 1)]

    def test_no_recording_at_all(self) -> None:
        last = told(VirtualClock(START, UNTIL).last_step())
        assert last == [(START, [], START), (None, [], UNTIL + 1)]

    def test_what_arrives_at_the_end_counts_and_what_comes_after_is_told_apart(self) -> None:
        clock = VirtualClock(START, UNTIL)
        assert told(clock.steps(events(150, 200, 201, 300), 300))[-1] == (None, [150, 200], UNTIL)
        assert clock.beyond == 2
        assert told(clock.steps(events(301), 301)) == [(None, [], UNTIL)]
        assert clock.beyond == 3
        assert told(clock.last_step()) == [(None, [], UNTIL + 1)]

    def test_only_tallied_inputs_are_counted_beyond_the_end(self) -> None:
        clock = VirtualClock(START, UNTIL)
        list(clock.steps(events(300, tallied=False), 300))
        assert clock.beyond == 0


class TestLiveClock:
    ALLOWANCE = 10

    def clock(self, *sources: str) -> LiveClock:
        return LiveClock(START, self.ALLOWANCE, sources or ("web",))

    def test_time_goes_on_while_nothing_arrives(self) -> None:
        clock = self.clock()
        assert told(clock.steps("web", {}, None, True, 105)) == []
        assert told(clock.steps("web", {}, None, True, 110)) == [
            (START, [], START),
            (None, [], START),
        ]
        assert told(clock.steps("web", {}, None, True, 150)) == [(None, [], 140)]

    def test_a_source_that_is_behind_holds_time_back(self) -> None:
        clock = self.clock()
        assert told(clock.steps("web", events(20, 50), 50, False, 150)) == [(None, [20, 50], 50)]
        assert told(clock.steps("web", events(60, 120), 120, False, 151)) == [
            (None, [60], START),
            (START, [], START),
            (None, [120], 120),
        ]
        assert told(clock.steps("web", events(140), 140, True, 155)) == [(None, [140], 145)]

    def test_the_slowest_source_decides(self) -> None:
        clock = self.clock("web", "app")
        assert told(clock.steps("web", {}, None, True, 150)) == []
        assert told(clock.steps("app", events(120), 120, False, 150)) == [
            (START, [], START),
            (None, [120], 120),
        ]
        assert told(clock.steps("web", {}, None, True, 160)) == [(None, [], 120)]
        assert told(clock.steps("app", {}, None, True, 161)) == [(None, [], 150)]

    def test_a_source_that_is_not_heard_of_holds_time_back(self) -> None:
        clock = self.clock("web", "app")
        for now in (150, 160):
            list(clock.steps("app", {}, None, True, now))
            list(clock.steps("web", {}, None, True, now))
        assert told(clock.steps("app", events(180), 180, True, 190)) == [(None, [180], 150)]
        assert told(clock.steps("web", {}, None, True, 200)) == [(None, [], 180)]

    def test_many_silent_sources_are_no_reason_for_many_steps(self) -> None:
        clock = LiveClock(START, self.ALLOWANCE, ["web", "app"], pace=20)
        assert told(clock.steps("web", {}, None, True, 150)) == []
        assert len(told(clock.steps("app", {}, None, True, 150))) == 2
        assert told(clock.steps("web", {}, None, True, 160)) == []
        assert told(clock.steps("app", {}, None, True, 160)) == []
        assert told(clock.steps("app", events(161), 161, True, 165)) == [(None, [161], 150)]
        assert told(clock.steps("web", {}, None, True, 170)) == []
        assert told(clock.steps("web", {}, None, True, 190)) == []
        assert told(clock.steps("app", {}, None, True, 190)) == [(None, [], 180)]

    def test_an_event_of_a_source_that_is_caught_up_does_not_wait_for_the_others(self) -> None:
        clock = self.clock("web", "app")
        steps = told(clock.steps("web", events(150), 150, True, 150))
        assert steps[:1] == [(START, [], START)]
        assert steps[1][1] == [150]
        assert steps[1][2] < START  # nothing else may be said of the time that "app" has seen
