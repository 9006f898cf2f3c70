"""Runs the stories of this folder: straight, an event at a time, and with restarts."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests import oracle
from tests.harness import Rig, Way

PAGES = sorted(Path(__file__).parent.glob("[0-9]*.md"))
DAY = date(2026, 3, 1)


class Scenario(NamedTuple):
    audiences: dict[str, Any]
    history: list[oracle.Step]
    until: int
    expected: list[oracle.Transition]


@pytest.fixture(params=PAGES, ids=lambda page: page.stem)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    return read_page(request.param.read_text())


def test_the_oracle_tells_the_same_story(scenario: Scenario) -> None:
    rig = Rig(scenario.audiences)
    assert rig.expected(scenario.history, scenario.until) == scenario.expected


def test_in_one_go(scenario: Scenario) -> None:
    rig = Rig(scenario.audiences)
    assert rig.run(scenario.history, scenario.until) == scenario.expected


def test_one_event_at_a_time(scenario: Scenario) -> None:
    rig = Rig(scenario.audiences)
    assert rig.run(scenario.history, scenario.until, Way(cut=1.0)) == scenario.expected


def test_with_a_restart_at_every_step(scenario: Scenario) -> None:
    rig = Rig(scenario.audiences)
    found = rig.run(scenario.history, scenario.until, Way(cut=1.0, restart=1.0))
    assert found == scenario.expected


def read_page(text: str) -> Scenario:
    """The audiences, the history and the expected transitions of a page."""
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    *warehouses, happens, expected = _tables(text)
    history: list[oracle.Step] = []
    until = 0
    rows = iter([_warehouse(table) for table in warehouses] or [{}])
    for row in happens:
        at = _instant(row["time"])
        match row["what"]:
            case "the warehouse is read":
                history.append(oracle.Pull(at, next(rows)))
            case "the clock is here":
                history.append(oracle.Tick(at))
            case "end":
                until = at
            case _:
                history.append(oracle.Event(_record(row), at))
    return Scenario(
        yaml.safe_load(block)["audiences"], history, until, sorted(map(_transition, expected))
    )


def _tables(text: str) -> list[list[dict[str, str]]]:
    tables: list[list[dict[str, str]]] = []
    for lines in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        header, _, *body = [
            [cell.strip() for cell in line.strip().strip("|").split("|")]
            for line in lines.splitlines()
        ]
        tables.append([dict(zip(header, cells, strict=True)) for cells in body])
    return tables


def _warehouse(table: list[dict[str, str]]) -> dict[str, dict[str, Any]]:
    return {
        row["user"]: {name: yaml.safe_load(cell) for name, cell in row.items() if name != "user"}
        for row in table
    }


def _record(row: dict[str, str]) -> dict[str, Any]:
    """The event as Segment's libraries would send it."""
    kinds = {"page_viewed": {"type": "page"}, "order_completed": {"event": "Order Completed"}}
    return {
        "type": "track",
        **kinds.get(row["what"], {"event": row["what"].capitalize()}),
        "userId": row["who"],
        "messageId": row.get("id") or row["#"],
        "timestamp": _moment(row.get("happened") or row["time"]).isoformat(),
        "properties": yaml.safe_load("{" + row.get("details", "") + "}"),
    }


def _transition(row: dict[str, str]) -> oracle.Transition:
    causes = {
        "time": "window_expired",
        "first population": "initial",
        "warehouse": "warehouse_pull",
    }
    cause, _, message_id = row["because"].partition("event ")
    return oracle.Transition(
        _instant(row["time"]),
        row["who"],
        row["audience"],
        int(row["sequence"]),
        row["change"],
        causes[cause] if cause else "event",
        message_id,
    )


def _moment(text: str) -> datetime:
    """`10:05`, `10:05:30` or `10:05:30.000001` of the day on which all scenarios play."""
    return datetime.combine(DAY, time.fromisoformat(text), UTC)


def _instant(text: str) -> int:
    return oracle.read_instant(_moment(text).isoformat())
