"""The three sets of audiences that are measured, written as ordinary audience projects.

`one` is a single condition; `five` is what a small team runs (8 conditions, 2 warehouse
predicates, one absence); `fifty` is meant to hurt: 120 conditions with windows from a minute to a
day, nested groups, and a transition for about every second event.  `live` is for the measurement
of latency, `pulled` for the same while a snapshot takes force.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from benchmarks.workload import CATEGORIES, CHANNELS, PATHS

SUITES = ("one", "five", "fifty")

Node = dict[str, Any]

_EVENTS = {
    "page_viewed": "page",
    "product_viewed": "Product Viewed",
    "product_added": "Product Added",
    "order_completed": "Order Completed",
}

_WINDOWS = ("1m", "2m", "5m", "10m", "30m", "1h", "2h", "6h", "12h", "24h")


def write_project(suite: str, folder: Path, users: Path, events: str, **usher: Node) -> Path:
    """Write the suite as a project over those users and that followed or recorded file.

    `usher` are more sections of usher.yml.
    """
    folder.mkdir(parents=True, exist_ok=True)
    settings: Node = {
        "project": f"benchmark_{suite}",
        "warehouse": {"type": "duckdb"},
        "sources": {"web": {"type": "file", "format": "segment", "path": events}},
    }
    schema: Node = {
        "parent_models": {
            "users": {
                "from": {"parquet": str(users)},
                "primary_key": "user_id",
                "properties": {"plan": "string", "ltv": "number", "country": "string"},
            }
        },
        "events": {
            key: {
                "source": "web",
                "type": kind,
                "parent_model": "users",
                "properties": {
                    "path": "properties.path",
                    "channel": "properties.channel",
                    "category": "properties.category",
                    "amount": {"column": "properties.amount", "type": "number"},
                },
            }
            for key, kind in _EVENTS.items()
        },
    }
    sections = {
        "usher.yml": settings | usher,
        "schema.yml": schema,
        "audiences.yml": {"audiences": audiences(suite)},
    }
    for name, section in sections.items():
        (folder / name).write_text(yaml.safe_dump(section, sort_keys=False), encoding="utf-8")
    return folder


def audiences(suite: str) -> Node:
    """The suite's `audiences` section."""
    made = {"one": _one, "five": _five, "fifty": _fifty, "live": _live, "pulled": _pulled}
    wheres = made[suite]()
    return {key: {"parent_model": "users", "where": where} for key, where in wheres.items()}


def _performed(event: str, at_least: int, within: str, **where: object) -> Node:
    node: Node = {"performed": event, "at_least": at_least, "within": within}
    return node | ({"where": where} if where else {})


def _one() -> Node:
    return {"pricing": _performed("page_viewed", 3, "10m", path="/pricing")}


def _live() -> Node:
    """Short enough for entries and exits within seconds."""
    return {"active": _performed("page_viewed", 3, "5s")}


def _pulled() -> Node:
    """The same, and one that pulls decide."""
    return _live() | {"valuable": {"property": "ltv", "greater_than": 300}}


def _five() -> Node:
    return {
        "free_on_pricing": {
            "all": [
                _performed("page_viewed", 2, "10m", path="/pricing"),
                {"property": "plan", "equals": "free"},
            ]
        },
        "left_cart": {
            "all": [
                _performed("product_added", 3, "1h"),
                {"did_not_perform": "order_completed", "within": "30m"},
            ]
        },
        "big_spenders": {
            "all": [
                _performed("order_completed", 2, "24h", amount={"greater_than": 200}),
                {"property": "ltv", "greater_than": 300},
            ]
        },
        "engaged": {
            "any": [
                _performed("page_viewed", 15, "30m"),
                _performed("product_viewed", 8, "15m"),
            ]
        },
        "returned_by_mail": {
            "all": [
                _performed("page_viewed", 3, "2h", channel="email"),
                _performed("product_viewed", 2, "1h", category="shoes"),
            ]
        },
    }


def _fifty() -> Node:
    """Fifty audiences over 120 different conditions, drawn from a seed."""
    draw = random.Random(50)
    conditions: list[Node] = []
    while len(conditions) < 120:
        condition = _drawn_condition(draw)
        if condition not in conditions:
            conditions.append(condition)
    left = iter(conditions)
    wheres: Node = {}
    for number in range(50):
        # Twenty audiences have three conditions, thirty have two.
        first, second = next(left), next(left)
        match number % 5:
            case 0:
                tree: Node = {"all": [{"any": [first, second]}, {"not": next(left)}]}
            case 1:
                tree = {"any": [{"all": [first, second]}, next(left)]}
            case 2:
                tree = {"any": [first, second]}
            case 3:
                tree = {"all": [first, {"none": [second]}]}
            case _:
                tree = {"any": [first, {"all": [second, {"property": "plan", "equals": "pro"}]}]}
        wheres[f"audience_{number:02d}"] = tree
    return wheres


def _drawn_condition(draw: random.Random) -> Node:
    event = draw.choice(("page_viewed", "page_viewed", "product_viewed", "product_added"))
    where: Node = draw.choice(
        (
            {},
            {"channel": draw.choice(CHANNELS)},
            {"category": draw.choice(CATEGORIES)},
            {"path": draw.choice(PATHS[:8])},
            {"amount": {"greater_than": draw.choice((50, 100, 200, 300))}},
        )
    )
    at_least = draw.randint(5, 9) if where else draw.randint(10, 24)
    return _performed(event, at_least, draw.choice(_WINDOWS), **where)
