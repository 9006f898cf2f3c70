"""The figures of a backtest."""

from __future__ import annotations

from dataclasses import asdict

from dataflows.chronicle import Chronicle
from dataflows.summary import AudienceFigures, RecordCounts, Summary
from engine.group import Counts
from engine.hashing import GROUPS
from tests.dataflows.found import Row, group_transitions, plans

PLANS = plans()


def summary_of(*stretches: list[Row]) -> Summary:
    chronicle, summary = Chronicle(PLANS), Summary(PLANS, ["a", "b", "paying"])
    for number, rows in enumerate(stretches, 1):
        for plan in PLANS:
            for group in range(GROUPS):
                mine = rows if (plan.parent_model, group) == ("users", 0) else []
                done = chronicle.add(group_transitions(plan, group, mine, 1000 * number))
                if done is not None:
                    summary.add(done)
    return summary


def test_entries_exits_members_peak_and_median_stay() -> None:
    summary = summary_of(
        [
            ("u", "a", 10, 1),
            ("v", "a", 20, 1),
            ("u", "a", 110, 2),
            ("u", "a", 200, 3),
            ("w", "a", 300, 1),
        ],
        [("v", "a", 1020, 2), ("u", "a", 1400, 4)],
    )
    figures = summary.audiences["a"]
    assert (figures.entries, figures.exits, figures.members) == (4, 3, 1)
    assert figures.peak_members == 3
    assert figures.median_stay == 1000


def test_members_are_counted_at_the_end_of_an_instant() -> None:
    summary = summary_of(
        [("u", "a", 10, 1), ("u", "a", 20, 2), ("v", "a", 20, 1), ("w", "b", 20, 1)]
    )
    assert summary.audiences["a"].peak_members == 1
    assert summary.audiences["b"].peak_members == 1


def test_an_audience_without_transitions() -> None:
    assert asdict(summary_of().audiences["paying"]) == asdict(AudienceFigures())
    assert summary_of().audiences["paying"].median_stay is None


def test_counts_of_the_groups_are_added_up() -> None:
    records = RecordCounts(read=20, ignored=3, invalid=2)
    records.add_evaluated(Counts(matched=5, duplicate=2, late=1, ahead=4))
    records.add_evaluated(Counts(matched=5, duplicate=1, late=1, ahead=0))
    total = records.matched + records.ignored + records.duplicate + records.late + records.invalid
    assert total == records.read
    assert records.ahead == 4
