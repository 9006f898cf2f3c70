"""Clocks: when the snapshot takes force, what is history, and how far time has come."""

from __future__ import annotations

from collections.abc import Iterable

from dataflows.clocks import LiveClock, VirtualClock
from dataflows.steps import Step
from dataflows.switches import Switch
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

    def test_no_switch_comes_before_what_the_state_has_come_to(self) -> None:
        """Somebody has set the clock back, from 500; a pull takes force when that has come."""
        clock = LiveClock(START, 10, ["web"], resumed_at=500)
        list(clock.steps("web", events(120), None, True, 150))
        assert clock.next_instant == 501
        clock.switch(Switch(501, {"users": "v2"}))
        assert told(clock.steps("web", events(160), None, True, 400)) == [(None, [160], 390)]
        found = list(clock.steps("web", events(420), None, True, 520))
        assert [step.take_force_at for step in found] == [None, 501, None]

    def test_nothing_is_reconciled_before_the_start(self) -> None:
        clock = self.clock()
        early = list(clock.steps("web", events(103), 103, True, 105))
        assert told(early) == [(START, [], START), (None, [103], 95)]
        assert [step.reconciled for step in early] == [None, None]
        assert [step.reconciled for step in clock.steps("web", {}, None, True, 112)] == [0]

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


def switches(steps: Iterable[Step]) -> list[tuple[int, dict[str, str]]]:
    return [(step.tick, dict(step.versions)) for step in steps if step.versions is not None]


class TestSwitches:
    def clock(self, *sources: str) -> LiveClock:
        clock = LiveClock(START, 10, sources)
        for source in sources:
            list(clock.steps(source, {}, None, caught_up=True, now=START + 50))
        return clock

    def test_what_arrives_at_its_instant_waits_for_all_sources(self) -> None:
        clock = self.clock("web", "app")
        assert list(clock.steps("web", events(155), None, caught_up=True, now=160))
        at = clock.next_instant
        assert at == 161
        clock.switch(Switch(at, {"users": "v2"}))
        assert not clock.can_switch
        steps = list(clock.steps("web", events(159, 161, 165), None, caught_up=True, now=200))
        assert told(steps) == [(None, [159], 140)]
        assert [one["users"].arrivals.tolist() for one in clock.held] == [[161, 165]]
        steps = list(clock.steps("app", events(160, 170), None, caught_up=True, now=220))
        assert told(steps) == [
            (None, [160], 161),
            (161, [], 161),
            (None, [161, 165], 161),
            (None, [170], 190),
        ]
        assert switches(steps) == [(161, {"users": "v2"})]
        assert not clock.held

    def test_it_waits_until_sources_have_caught_up(self) -> None:
        clock = self.clock("web", "app")
        list(clock.steps("app", events(155), None, caught_up=False, now=160))
        assert not clock.can_switch

    def test_an_instant_is_later_than_any_arrival(self) -> None:
        clock = self.clock("web")
        list(clock.steps("web", events(400), None, caught_up=True, now=160))
        assert clock.next_instant == 401

    def test_switches_of_an_earlier_job_are_repeated_before_the_start(self) -> None:
        coming = [Switch(40, {"users": "v2"}), Switch(60, {"users": "v3"})]
        clock = LiveClock(START, 10, ["web"], coming=coming, held=[events(45)])
        steps = list(clock.steps("web", events(50, 60, 70), None, caught_up=True, now=200))
        assert told(steps) == [
            (40, [], 40),
            (None, [45], 40),
            (None, [50], 60),
            (60, [], 60),
            (None, [60, 70], START),
            (START, [], START),
            (None, [], 190),
        ]

    def test_a_backtest_switches_between_arrivals(self) -> None:
        later = [Switch(at, {"users": f"v{at}"}) for at in (90, 150, 170, 190, 201)]
        clock = VirtualClock(START, UNTIL, later)
        steps = list(clock.steps(events(100, 149, 150, 175), 175))
        assert told(steps) == [
            (START, [], START),
            (None, [100, 149], 150),
            (150, [], 150),
            (None, [150], 170),
            (170, [], 170),
            (None, [175], 175),
        ]
        assert told(clock.last_step()) == [(190, [], 190), (None, [], UNTIL + 1)]
