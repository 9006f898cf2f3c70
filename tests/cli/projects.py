"""A small project on disk, and its events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Audiences with a condition that events fulfil, that the lack of them fulfils, and a column.
DEFINITION: dict[str, Any] = {
    "project": "tiny",
    "sources": {"web": {"type": "file", "format": "segment", "path": "live"}},
    "destinations": {"archive": {"type": "file", "path": "out/transitions.jsonl"}},
    "syncs": {"all": {"audience": "keen", "destination": "archive"}},
    "parent_models": {
        "users": {
            "from": {"csv": "users.csv"},
            "primary_key": "user_id",
            "properties": {"ltv": "number"},
        }
    },
    "events": {
        "page_viewed": {
            "source": "web",
            "type": "page",
            "parent_model": "users",
            "properties": {"path": "properties.path"},
        }
    },
    "audiences": {
        "keen": {
            "parent_model": "users",
            "where": {
                "all": [
                    {"performed": "page_viewed", "at_least": 2, "within": "2s"},
                    {"property": "ltv", "greater_than": 10},
                ]
            },
        },
        "quiet": {
            "parent_model": "users",
            "where": {"did_not_perform": "page_viewed", "within": "2s"},
        },
    },
}
USERS = "user_id,ltv\nu1,20\nu2,5\n"


def changed(**sections: Any) -> dict[str, Any]:
    """The definition with other sections, or without those that are `None`."""
    definition = {**DEFINITION, **sections}
    return {key: section for key, section in definition.items() if section is not None}


def write_project(
    root: Path, definition: Mapping[str, Any] = DEFINITION, users: str = USERS
) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "usher.yml").write_text(json.dumps(definition, indent=2))
    (root / "users.csv").write_text(users)
    (root / "live").mkdir(exist_ok=True)
    return root


def page(user: str, number: int | str, at: str, **more: Any) -> str:
    """A line: `user` views a page at the instant `at`, and it is received at once.

    So a job that is slow to read it judges it all the same as one that is quick.
    """
    record = {
        "type": "page",
        "userId": user,
        "messageId": f"m{number}",
        "timestamp": at,
        "receivedAt": at,
        "properties": {"path": "/"},
    }
    return json.dumps({**record, **more}) + "\n"
