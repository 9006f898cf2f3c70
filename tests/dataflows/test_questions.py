"""Questions to the state: whose answer is complete when, and what becomes of those nobody takes."""

from __future__ import annotations

import pytest

from dataflows import questions
from dataflows.questions import Answer, Question, Questions
from dataflows.steps import Step, group_key, split_by_group
from engine.forecasts import Foreseen

SOON = {"keen": Foreseen(1, 5)}


def test_an_answer_is_complete_when_all_key_groups_have_given_theirs() -> None:
    asked = Questions()
    number, future = asked.ask("users", ["ann", "ben", "ann"])
    (taken,) = asked.taken()
    assert taken == Question(number, "users", ["ann", "ben"])
    assert not asked.taken()
    asked.answer([Answer(number, 7, {"ann": SOON})])
    assert not future.done()
    asked.answer([Answer(number, 6, {"ben": {}})])
    forecast = future.result(0)
    assert (forecast.clock, forecast.foreseen) == (6, {"ann": SOON, "ben": {}})
    asked.answer([Answer(number, 8, {"ann": {}}), Answer(99, 8, {})])  # too late for anybody


def test_who_waits_no_more_harms_nobody() -> None:
    asked = Questions()
    number, future = asked.ask("users", ["ann"])
    (taken,) = asked.taken()
    assert not future.cancel()
    asked.withdraw(number)
    asked.answer([Answer(taken.number, 7, {"ann": SOON})])
    assert not future.done()
    number, _ = asked.ask("users", ["ann"])
    asked.withdraw(number)
    assert not asked.taken()


def test_no_more_is_asked_than_can_be_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(questions, "_MOST", 3)
    asked = Questions()
    first, _ = asked.ask("users", ["ann", "ben"])
    second, _ = asked.ask("users", ["cat", "dan"])
    assert [one.number for one in asked.taken()] == [first]
    asked.withdraw(second)
    asked.withdraw(first)
    third, _ = asked.ask("users", ["cat", "dan", "eve"])
    assert [one.number for one in asked.taken()] == [third]


def test_each_key_group_is_asked_about_its_own_users() -> None:
    users = [f"user {number}" for number in range(500)]
    step = Step(None, {}, 0, asked=[Question(1, "users", users), Question(2, "others", ["x"])])
    parts = dict(split_by_group([step], ["users", "others", "third"]))
    found = [user for part in parts.values() for one in part.asked for user in one.user_ids]
    assert sorted(found) == sorted([*users, "x"])
    assert sum(bool(part.asked) for part in parts.values()) <= 65
    assert all(not parts[group_key("third", group)].asked for group in range(64))
