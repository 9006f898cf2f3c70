"""`usher preview`: sizes, parts, members and overlaps, from recordings or from a running job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cli.main import usher
from dataflows.sampling import Sample
from tests.cli.jobs import eventually, now, running
from tests.cli.projects import DEFINITION, changed, page, write_project

MINUTE = "2026-03-01T10:00"
AT = f"{MINUTE}:05Z"


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(usher, [str(argument) for argument in arguments])


def facts(root: Path, audience: str, *arguments: object) -> dict[str, list[dict[str, Any]]]:
    """What is printed, by type."""
    result = invoke("-C", root, "preview", audience, "--format", "json", *arguments)
    assert result.exit_code == 0, result.output
    found: dict[str, list[dict[str, Any]]] = {}
    for line in result.stdout.splitlines():
        fact = json.loads(line)
        found.setdefault(fact["type"], []).append(fact)
    return found


def sizes(found: dict[str, list[dict[str, Any]]]) -> list[tuple[int, str, int]]:
    return [(one["depth"], one["words"], one["size"]) for one in found["condition"]]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """u1 is keen at second 5, u2 has too little, u3 is not in the warehouse."""
    root = write_project(tmp_path / "project")
    events = [
        page("u1", 1, f"{MINUTE}:04Z"),
        page("u1", 2, f"{MINUTE}:04.5Z"),
        page("u2", 3, f"{MINUTE}:04Z"),
        page("u2", 4, f"{MINUTE}:05Z"),
        page("u3", 5, f"{MINUTE}:01Z"),
        page("u1", 6, f"{MINUTE}:09Z"),
    ]
    (root / "live" / "events.jsonl").write_text("".join(events))
    return root


def test_sizes_members_and_overlaps(project: Path) -> None:
    found = facts(project, "keen", "--at", AT)
    (head,) = found["preview"]
    assert (head["size"], head["users"], head["as_of"]) == (1, 2, f"{MINUTE}:05.000000Z")
    assert (head["events_from"], head["events_read"]) == ("recordings", 6)
    assert head["latest_event"] == f"{MINUTE}:05.000000Z"  # what comes later does not count
    assert sizes(found) == [
        (0, "all of", 1),
        (1, "performed page_viewed at least 2 times within 2s", 2),
        (1, "ltv greater than 10", 1),
    ]
    assert found["member"] == [{"type": "member", "user_id": "u1", "properties": {"ltv": 20}}]
    ((overlap),) = found["overlap"]
    assert (overlap["audience"], overlap["size"], overlap["both"]) == ("quiet", 1, 0)


def test_a_stranger_is_a_member_once_seen(project: Path) -> None:
    found = facts(project, "quiet", "--at", AT)
    assert [one["user_id"] for one in found["member"]] == ["u3"]
    assert found["member"][0]["properties"] == {}


def test_it_agrees_with_a_backtest(project: Path) -> None:
    for second in range(12):
        at = f"{MINUTE}:{second:02d}Z"
        result = invoke("-C", project, "backtest", "--from", at, "--until", at, "--summary", "json")
        told = [json.loads(line) for line in result.stdout.splitlines()[1:]]
        for one in told:
            (head,) = facts(project, one["audience"], "--at", at)["preview"]
            assert head["size"] == one["members"], (at, one)


def test_as_text(project: Path) -> None:
    result = invoke("-C", project, "preview", "keen", "--at", AT)
    assert result.stdout.splitlines() == [
        "keen: 1 of 2 users in the warehouse",
        (
            f"as of {MINUTE}:05.000000Z; 6 recorded events, the latest of {MINUTE}:05.000000Z; "
            f"snapshot of {MINUTE}:05.000000Z, pulled for this preview"
        ),
        "",
        "1  all of",
        "2    performed page_viewed at least 2 times within 2s",
        "1    ltv greater than 10",
        "",
        "member  ltv",
        "u1      20",
        "",
        "other audience  size  in both",
        "quiet           1     0",
    ]


def test_groups_are_indented_and_references_named(tmp_path: Path, project: Path) -> None:
    where = {
        "any": [
            {"not_in_audience": "keen"},
            {"none": [{"property": "ltv", "exists": False}, {"in_audience": "quiet"}]},
            {"not": {"all": [{"property": "ltv", "at_least": 5}]}},
        ]
    }
    audiences = {**DEFINITION["audiences"], "draft": {"parent_model": "users", "where": where}}
    write_project(project, changed(audiences=audiences))
    found = facts(project, "draft", "--at", AT)
    assert sizes(found) == [
        (0, "any of", 3),
        (1, "not in audience keen", 2),
        (1, "none of", 2),
        (2, "ltv is missing", 1),
        (2, "in audience quiet", 1),
        (1, "not", 1),
        (2, "all of", 2),
        (3, "ltv at least 5", 2),
    ]


def test_nothing_is_left_behind(project: Path) -> None:
    before = sorted(project.rglob("*"))
    facts(project, "keen")
    assert sorted(project.rglob("*")) == before


def test_named_events_and_the_clock_of_their_arrival(project: Path, tmp_path: Path) -> None:
    late = tmp_path / "late.jsonl"
    late.write_text(
        page("u1", 1, f"{MINUTE}:04Z")
        + page("u1", 2, f"{MINUTE}:04.5Z", receivedAt=f"{MINUTE}:05.5Z")
    )
    assert facts(project, "keen", "--at", AT, "--events", late)["preview"][0]["size"] == 1
    found = facts(project, "keen", "--at", AT, "--events", late, "--clock", "arrival")
    assert found["preview"][0]["size"] == 0


def test_the_snapshot_in_force_is_asked(project: Path) -> None:
    with running(project):
        pass
    (project / "users.csv").write_text("user_id,ltv\nu1,1\n")
    (head,) = facts(project, "keen", "--at", AT)["preview"]
    assert head["snapshot_in_force"]
    assert head["size"] == 1
    audiences = dict(DEFINITION["audiences"])
    audiences["keen"] = {"parent_model": "users", "where": {"property": "ltv", "at_least": 1}}
    write_project(project, changed(audiences=audiences), users="user_id,ltv\nu1,1\n")
    (head,) = facts(project, "keen", "--at", AT)["preview"]
    assert not head["snapshot_in_force"]
    assert head["size"] == 1


def test_a_running_job_is_asked(tmp_path: Path) -> None:
    audiences = dict(DEFINITION["audiences"])
    audiences["keen"] = {
        "parent_model": "users",
        "where": {
            "all": [
                {"performed": "page_viewed", "at_least": 2, "within": "1h"},
                {"property": "ltv", "greater_than": 10},
            ]
        },
    }
    root = write_project(tmp_path / "project", changed(audiences=audiences))
    with running(root) as job:
        events = root / "live" / "a.jsonl"
        events.write_text(page("u1", 1, now()) + page("u1", 2, now()) + page("u4", 3, now()))
        job.await_told(("u1", "entered", "keen", "event"))
        events.write_text("")  # what the job has counted is in its state

        def previewed() -> dict[str, list[dict[str, Any]]] | None:
            found = facts(root, "keen")
            return found if found["preview"][0]["size"] else None

        found = eventually(previewed, job)
        assert found is not None
        assert found["preview"][0]["events_from"] == "state"
        assert found["member"] == [{"type": "member", "user_id": "u1", "properties": {"ltv": 20}}]
        # A draft that asks for nothing that the job does not count.
        once = {"performed": "page_viewed", "at_least": 1, "within": "1h"}
        draft = {"all": [once, {"performed": "page_viewed", "at_most": 1, "within": "1h"}]}
        drafted = {**audiences, "draft": {"parent_model": "users", "where": draft}}
        write_project(root, changed(audiences=drafted))
        found = facts(root, "draft")
        assert found["preview"][0]["events_from"] == "state"
        assert [one["user_id"] for one in found["member"]] == ["u4"]
        # Of strangers the job keeps only what it needs itself, so of the second there may be more.
        assert [one["complete"] for one in found["condition"]] == [True, True, False]
        assert "≥ 2    performed" in invoke("-C", root, "preview", "draft").stdout


def test_a_sample_comes_with_its_error(tmp_path: Path) -> None:
    users = "user_id,ltv\n" + "".join(f"u{n},{n % 20}\n" for n in range(2000))
    root = write_project(tmp_path / "project", users=users)
    (root / "live" / "none.jsonl").write_text("")
    found = facts(root, "keen", "--sample", "25%")
    (part,) = (one for one in found["condition"] if one["words"] == "ltv greater than 10")
    least, most = part["interval"]
    assert least < part["size"] < most
    assert least <= 900 <= most
    assert most - least < 250
    assert found["preview"][0]["sample"] == 0.25
    text = invoke("-C", root, "preview", "keen", "--sample", "25%").stdout
    assert "estimated from 25 % of the users, with 95 % certainty" in text
    assert f"{part['size']:,} ({least:,} – {most:,})" in text


def test_the_interval_holds_what_it_says() -> None:
    """Of many numbers of users, about 95 % lie in the interval of what a sample finds."""

    random = np.random.default_rng(7)
    for users in (0, 1, 30, 5_000):
        draws = random.binomial(users, 0.01, size=2_000).tolist()
        hits = sum(one.least <= users <= one.most for one in map(Sample(0.01).estimate, draws))
        assert hits / len(draws) > 0.93


def test_members_are_as_many_as_asked_for(project: Path) -> None:
    found = facts(project, "quiet", "--at", "2026-03-02T00:00:00Z", "--members", 2)
    assert len(found["member"]) == 2
    assert "member" not in facts(project, "quiet", "--members", 0)


def test_without_recorded_events(project: Path) -> None:
    (project / "live" / "events.jsonl").unlink()
    result = invoke("-C", project, "preview", "keen")
    assert result.exit_code == 2
    assert "'keen' counts events" in result.stderr
    audiences = dict(DEFINITION["audiences"])
    audiences["rich"] = {"parent_model": "users", "where": {"property": "ltv", "at_least": 10}}
    write_project(project, changed(audiences=audiences))
    found = facts(project, "rich")
    assert found["preview"][0]["size"] == 1
    assert "overlap" not in found  # the others count events


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["kean"], "unknown audience 'kean'; the project has keen, quiet"),
        (["keen", "--sample", "0%"], "is no share of the users; write it as 1%"),
        (["keen", "--sample", "half"], "is no share of the users; write it as 1%"),
        (["keen", "--sample", "nan%"], "is no share of the users; write it as 1%"),
        (["keen", "--at", "soon"], "is no instant"),
    ],
)
def test_mistakes(project: Path, arguments: list[str], reason: str) -> None:
    result = invoke("-C", project, "preview", *arguments)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.split())


def test_damaged_state_is_said(project: Path) -> None:
    with running(project) as job:
        eventually(lambda: any((project / ".usher" / "state").glob("*")), job)
        job.stop()
    for file in (project / ".usher" / "state").glob("users*"):
        file.write_bytes(b"")
    result = invoke("-C", project, "preview", "keen")
    assert result.exit_code == 3
    assert "is damaged" in result.stderr
    assert facts(project, "keen", "--at", AT)["preview"][0]["size"] == 1
