"""The membership API beside a real job: what has happened is told, and what is to come."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.cli.jobs import Job, eventually, now, running
from tests.cli.projects import changed, page, write_project
from tests.serving.asking import ANYWHERE, ask, loaded_from, new_key
from tests.serving.test_job import addresses, serving_alone

DEFINITION = changed(
    serving=ANYWHERE,
    audiences={
        "keen": {
            "parent_model": "users",
            "where": {"performed": "page_viewed", "at_least": 2, "within": "1h"},
        },
        "brief": {
            "parent_model": "users",
            "where": {"performed": "page_viewed", "at_least": 2, "within": "3s"},
        },
        "rich": {"parent_model": "users", "where": {"property": "ltv", "greater_than": 10}},
    },
    syncs=None,
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", DEFINITION)


@pytest.fixture(params=[(), ("--workers", "2")], ids=["one process", "two workers"])
def job(project: Path, request: pytest.FixtureRequest) -> Iterator[Job]:
    with running(project, *request.param) as one:
        yield one


def details(url: str, key: str, user: str) -> dict[str, Any]:
    answer = ask(f"{url}/v1/audiences/users/{user}?include=details", key)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_what_has_happened_and_what_is_to_come(project: Path, job: Job) -> None:
    url, _ = addresses(job)
    key = new_key(loaded_from(project), "audiences:read")
    eventually(lambda: ask(f"{url}/readyz").status_code == 200, job)
    first, second = now(-0.5), now()
    lines = page("u1", 1, first) + page("u1", 2, second)
    (project / "live" / "1.jsonl").write_text(lines)

    def audiences() -> list[str]:
        found: list[str] = ask(f"{url}/v1/audiences/users/u1", key).json()["audience_ids"]
        return found

    eventually(lambda: audiences() == ["brief", "keen", "rich"], job)
    eventually(lambda: details(url, key, "u1")["as_of"], job)
    found = details(url, key, "u1")
    assert found["as_of"] >= second.replace("+00:00", "Z")
    of = {one["audience_id"]: one for one in found["audiences"]}
    for audience, seconds in {"keen": 3_600, "brief": 3}.items():
        if audience in of:  # a slow machine may have seen the brief one end
            change = instant(of[audience]["next_change_at"]) - instant(first)
            assert change.total_seconds() == seconds
            assert instant(of[audience]["since"]) == instant(second)
    assert of["rich"]["next_change_at"] is None
    # It does, at that very instant.
    exited = eventually(lambda: [one for one in job.transitions() if one["type"] == "exited"], job)
    assert (exited[0]["audience"], exited[0]["user_id"]) == ("brief", "u1")
    assert (instant(exited[0]["effective_at"]) - instant(first)).total_seconds() == 3
    eventually(lambda: audiences() == ["keen", "rich"], job)
    # Whoever goes on from the cursor misses nothing.
    page_ = ask(f"{url}/v1/transitions?after={found['cursor']}", key).json()
    told = [(one["audience"], one["type"]) for one in page_["transitions"]]
    assert ("brief", "exited") in told or "brief" not in of
    unknown = details(url, key, "somebody%20else")
    assert unknown["as_of"] is not None
    assert unknown["audiences"] == []
    # A server of its own asks the same job, and without it does not know what is to come.
    with serving_alone(project) as (server, other, _figures):
        apart = details(other, key, "u1")
        assert apart["as_of"] >= found["as_of"]
        of = {one["audience_id"]: one for one in apart["audiences"]}
        assert sorted(of) == ["keen", "rich"]
        change = instant(of["keen"]["next_change_at"]) - instant(first)
        assert change.total_seconds() == 3_600
        assert job.stop() == 0
        apart = details(other, key, "u1")
        assert apart["as_of"] is None
        assert [one["audience_id"] for one in apart["audiences"]] == ["keen", "rich"]
        assert all("next_change_at" not in one for one in apart["audiences"])
        # The next job is asked, too.
        with running(project, "--only", "evaluate"):
            eventually(lambda: details(other, key, "u1")["as_of"], server)


def test_questions_outlive_a_change_of_definitions(project: Path, job: Job) -> None:
    url, _ = addresses(job)
    key = new_key(loaded_from(project), "audiences:read")
    eventually(lambda: details(url, key, "u1")["as_of"], job)
    users = [f"u{number}" for number in range(1_000)]
    body = {"user_ids": users, "include": ["details"]}

    def all_told() -> list[dict[str, Any]]:
        answer = ask(f"{url}/v1/audiences/users", key, "POST", json=body)
        found: list[dict[str, Any]] = answer.json()["users"] if answer.ok else []
        return [one for one in found if one["as_of"] is not None]

    eventually(lambda: len(all_told()) == 1_000, job)
    audiences = {"rich": DEFINITION["audiences"]["rich"]}
    write_project(project, {**DEFINITION, "audiences": audiences})
    eventually(lambda: "as_of" in details(url, key, "u1"), job)
    eventually(
        lambda: (
            (found := details(url, key, "u1"))["as_of"] is not None
            and found["audience_ids"] == ["rich"]
        ),
        job,
    )
    assert job.stop() == 0
