"""`usher backtest`: every option of the contract, and output that nothing but the input decides."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from cli.main import usher
from dataflows import backtest
from tests.cli.projects import DEFINITION, changed, page, write_project

MINUTE = "2026-03-01T10:00"
KEYS = (
    "id",
    "type",
    "audience",
    "audience_version",
    "parent_model",
    "user_id",
    "effective_at",
    "sequence",
    "cause",
)


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(usher, [str(argument) for argument in arguments])


def run(root: Path, *arguments: object) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The summary by audience (the records' counts at ""), and the transitions."""
    output = root.parent / "found.jsonl"
    result = invoke("-C", root, "backtest", "--output", output, "--summary", "json", *arguments)
    assert result.exit_code == 0, result.output
    facts = [json.loads(line) for line in result.stdout.splitlines()]
    summary = {fact.get("audience", ""): fact for fact in facts}
    return summary, [json.loads(line) for line in output.read_text().splitlines()]


def told(transitions: list[dict[str, Any]]) -> list[tuple[str, str, str, str, str]]:
    return [
        (
            one["effective_at"][17:26],
            one["user_id"],
            one["type"],
            one["audience"],
            one["cause"]["kind"],
        )
        for one in transitions
    ]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two files that overlap in time, with all that can become of a record."""
    root = write_project(tmp_path / "project")
    (root / "live" / "b.jsonl").write_text(
        page("u1", 1, f"{MINUTE}:00Z", receivedAt=f"{MINUTE}:00.5Z")
        + page("u1", 3, f"{MINUTE}:03Z", receivedAt=f"{MINUTE}:03.5Z")
        + page("u1", 1, f"{MINUTE}:00Z", receivedAt=f"{MINUTE}:04Z")  # again
        + "{broken\n"
        + page("u2", 9, f"{MINUTE}:05Z", receivedAt=f"{MINUTE}:05Z", type="screen")
        + page("u2", 5, f"{MINUTE}:06Z", receivedAt=f"{MINUTE}:06Z")
    )
    (root / "live" / "a.jsonl.gz").write_bytes(
        gzip.compress(
            page("u1", 2, f"{MINUTE}:01Z", receivedAt=f"{MINUTE}:01.25Z").encode()
            + page("stranger", 4, f"{MINUTE}:02Z", receivedAt=f"{MINUTE}:05.5Z").encode()
            + json.dumps({"type": "page", "messageId": "m6"}).encode()
        )
    )
    return root


def test_by_the_events_own_clock(project: Path) -> None:
    summary, transitions = run(project)
    assert told(transitions) == [
        ("00.000000", "u1", "entered", "quiet", "initial"),
        ("00.000000", "u1", "exited", "quiet", "event"),
        ("00.000000", "u2", "entered", "quiet", "initial"),
        ("01.000000", "u1", "entered", "keen", "event"),
        ("02.000000", "u1", "exited", "keen", "window_expired"),
        ("04.000000", "stranger", "entered", "quiet", "window_expired"),
        ("05.000000", "u1", "entered", "quiet", "window_expired"),
        ("06.000000", "u2", "exited", "quiet", "event"),
    ]
    assert all(tuple(one) == KEYS for one in transitions)
    assert transitions[3]["cause"] == {"kind": "event", "message_id": "m2"}
    records = summary[""]["records"]
    assert records == {
        "read": 9,
        "matched": 5,
        "ignored": 1,
        "duplicate": 1,
        "late": 0,
        "invalid": 2,
        "ahead": 0,
    }
    assert sum(summary[""]["invalid"].values()) == 2
    assert summary["keen"] == {
        "audience": "keen",
        "entries": 1,
        "exits": 1,
        "members": 0,
        "peak_members": 1,
        "median_stay": 1_000_000,
    }
    assert summary["quiet"]["members"] == 2


def test_by_arrival_lateness_shows(project: Path) -> None:
    summary, transitions = run(project, "--clock", "arrival")
    assert told(transitions) == [
        ("00.500000", "u1", "entered", "quiet", "initial"),
        ("00.500000", "u1", "exited", "quiet", "event"),
        ("00.500000", "u2", "entered", "quiet", "initial"),
        ("01.250000", "u1", "entered", "keen", "event"),
        ("02.000000", "u1", "exited", "keen", "window_expired"),
        ("03.000000", "u1", "entered", "quiet", "window_expired"),
        ("03.500000", "u1", "exited", "quiet", "event"),
        ("05.000000", "u1", "entered", "quiet", "window_expired"),
        ("05.500000", "stranger", "entered", "quiet", "event"),
        ("06.000000", "u2", "exited", "quiet", "event"),
    ]
    # Received when their windows had passed: what the stranger saw, and the repeated one.
    records = summary[""]["records"]
    assert (records["late"], records["duplicate"]) == (2, 0)
    assert records["read"] == sum(records.values()) - records["read"] - records["ahead"]


@pytest.mark.parametrize("arguments", [("--from", f"{MINUTE}:00.5Z", "--until", f"{MINUTE}:02Z")])
def test_from_and_until(project: Path, arguments: tuple[str, ...]) -> None:
    summary, transitions = run(project, *arguments)
    assert told(transitions) == [
        ("00.500000", "u2", "entered", "quiet", "initial"),
        ("01.000000", "u1", "entered", "keen", "event"),
        ("02.000000", "u1", "exited", "keen", "window_expired"),
    ]
    records = summary[""]["records"]
    assert records["read"] == sum(records.values()) - records["read"] - records["ahead"]
    assert summary["keen"]["members"] == 0


def test_time_goes_on_to_until(project: Path) -> None:
    _, transitions = run(project, "--until", f"{MINUTE}:08Z")
    assert told(transitions)[-1] == ("08.000000", "u2", "entered", "quiet", "window_expired")
    _, transitions = run(project, "--until", f"{MINUTE}:07.999999Z")
    assert told(transitions)[-1] == ("06.000000", "u2", "exited", "quiet", "event")


def test_until_before_the_first_event(project: Path) -> None:
    summary, transitions = run(project, "--until", "2026-02-28")
    assert transitions == []
    assert summary[""]["records"]["ignored"] == 7
    assert (
        "nothing was evaluated" in invoke("-C", project, "backtest", "--until", "2026-02-28").stdout
    )


def test_from_after_the_last_event(project: Path) -> None:
    _, transitions = run(project, "--from", "1772359207", "--until", "1772359210")
    assert told(transitions) == [
        ("07.000000", "stranger", "entered", "quiet", "initial"),
        ("07.000000", "u1", "entered", "quiet", "initial"),
        ("08.000000", "u2", "entered", "quiet", "window_expired"),
    ]


def test_without_any_event(project: Path) -> None:
    empty = project.parent / "empty.jsonl"
    empty.write_text("")
    (project.parent / "found.jsonl").write_text("of an earlier run\n")
    assert run(project, "--events", empty)[1] == []
    _, transitions = run(project, "--events", empty, "--from", f"{MINUTE}:00Z")
    assert told(transitions) == [
        ("00.000000", "u1", "entered", "quiet", "initial"),
        ("00.000000", "u2", "entered", "quiet", "initial"),
    ]


def test_only_some_audiences(project: Path) -> None:
    _, everything = run(project)
    summary, transitions = run(project, "--audience", "keen")
    assert transitions == [one for one in everything if one["audience"] == "keen"]
    assert set(summary) == {"", "keen"}
    assert run(project, "--audience", "keen", "--audience", "quiet")[1] == everything


def test_events_may_lie_anywhere(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = run(project)
    assert run(project, "--events", project / "live") == everything
    assert run(project, "--events", f"{project}/live/*", "--format", "segment") == everything
    two = ("--events", project / "live/b.jsonl", "--events", project / "live/a.jsonl.gz")
    assert run(project, *two) == everything
    monkeypatch.chdir(project)
    result = invoke("backtest", "--events", "live", "--output", "o.jsonl")
    assert result.exit_code == 0, result.output
    assert [json.loads(line) for line in Path("o.jsonl").read_text().splitlines()] == everything[1]


def test_only_what_one_source_has_recorded(project: Path) -> None:
    sources = {
        **DEFINITION["sources"],
        "app": {"type": "file", "format": "segment", "path": "app/*.jsonl"},
        "pipe": {"type": "file", "path": "-"},
    }
    events = {
        **DEFINITION["events"],
        "screen_viewed": {"source": "app", "type": "page", "parent_model": "users"},
    }
    audiences = {
        **DEFINITION["audiences"],
        "on_app": {
            "parent_model": "users",
            "where": {"performed": "screen_viewed", "within": "1s"},
        },
    }
    write_project(project, changed(sources=sources, events=events, audiences=audiences))
    (project / "app").mkdir()
    (project / "app" / "1.jsonl").write_text(page("u2", 1, f"{MINUTE}:03Z"))
    summary, transitions = run(project, "--source", "app")
    assert summary[""]["records"]["read"] == 1
    assert ("03.000000", "u2", "entered", "on_app", "event") in told(transitions)
    summary, _ = run(project)
    assert summary[""]["records"]["read"] == 10
    assert summary["on_app"]["entries"] == 1
    pipe = invoke("-C", project, "backtest", "--source", "pipe")
    assert (pipe.exit_code, pipe.stderr) == (
        2,
        "usher: source 'pipe' has no recorded files; name some with --events PATH\n",
    )


def test_parquet_says_the_same_as_json_lines(project: Path) -> None:
    _, transitions = run(project)
    output = project.parent / "found.parquet"
    assert invoke("-C", project, "backtest", "--output", output).exit_code == 0
    rows = pq.read_table(output).to_pylist()
    assert [row["id"] for row in rows] == [one["id"] for one in transitions]
    instants = [row["effective_at"].strftime("%Y-%m-%dT%H:%M:%S.%fZ") for row in rows]
    assert instants == [one["effective_at"] for one in transitions]
    causes = [{k: v for k, v in row["cause"].items() if v is not None} for row in rows]
    assert causes == [one["cause"] for one in transitions]


def test_the_table_is_for_people(project: Path) -> None:
    printed = invoke("-C", project, "backtest").stdout
    assert "events read  matched  ignored  duplicate  late  invalid" in printed
    assert "invalid: 1 × " in printed
    keen = next(line for line in printed.splitlines() if line.startswith("keen"))
    assert keen.split() == ["keen", "1", "1", "0", "1", "1s"]


def test_long_names_are_not_cut_off(project: Path) -> None:
    key = "a" * 60
    write_project(project, changed(audiences={key: DEFINITION["audiences"]["keen"]}, syncs=None))
    printed = invoke("-C", project, "backtest").stdout
    assert printed.count("a") > 60
    assert "…" not in printed


def test_an_output_that_cannot_be_written(project: Path) -> None:
    result = invoke("-C", project, "backtest", "--output", project / "users.csv" / "found.jsonl")
    assert result.exit_code == 3
    assert result.stderr == f"usher: {project / 'users.csv'}: File exists\n"


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three thousand events of two hundred users in three files, many at one instant."""
    random = Random(4)
    root = write_project(
        tmp_path_factory.mktemp("crowd") / "project",
        users="user_id,ltv\n" + "".join(f"u{n},{n % 23}\n" for n in range(150)),
    )
    for name in ("1.jsonl", "2.jsonl", "3.jsonl"):
        lines = []
        for number in range(1000):
            at = number // 20  # seconds
            late = random.choice([0, 0, 0, 0.25, 3])
            lines.append(
                page(
                    f"u{int(random.paretovariate(0.6)) % 200}",
                    random.choice([f"{name}{number}", str(number)]),
                    f"{MINUTE}:{at:02}Z",
                    receivedAt=f"{MINUTE}:{at + late:05.2f}Z",
                )
            )
        (root / "live" / name).write_text("".join(lines))
    return root


@pytest.mark.parametrize("clock", ["event", "arrival"])
def test_neither_workers_nor_blocks_change_a_byte(
    crowd: Path, clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs, tables = set(), set()
    for workers, block in ((1, 1 << 17), (2, 1 << 17), (1, 100), (2, 313), (3, 1000)):
        monkeypatch.setattr(backtest, "_BLOCK", block)
        output = crowd.parent / "found.jsonl"
        result = invoke(
            *("-C", crowd, "backtest", "--clock", clock, "--workers", workers),
            *("--output", output),
        )
        assert result.exit_code == 0, result.output
        outputs.add(output.read_bytes())
        tables.add(result.stdout)
    assert len(outputs) == 1
    assert len(tables) == 1
    transitions = [json.loads(line) for line in outputs.pop().splitlines()]
    order = [
        (one["effective_at"], one["parent_model"], one["user_id"], one["audience"], one["sequence"])
        for one in transitions
    ]
    assert len(order) > 200
    assert order == sorted(order)
    assert len({one["id"] for one in transitions}) == len(transitions)
    latest: dict[tuple[str, str], int] = {}
    for one in transitions:
        key = one["user_id"], one["audience"]
        assert one["sequence"] == latest.get(key, 0) + 1
        assert one["type"] == ("entered" if one["sequence"] % 2 else "exited")
        latest[key] = one["sequence"]


def test_the_figures_are_those_of_the_output(crowd: Path) -> None:
    summary, transitions = run(crowd)
    records = summary[""]["records"]
    assert records["read"] == 3000
    assert records["duplicate"] > 0
    assert records["read"] == sum(records.values()) - records["read"] - records["ahead"]
    for key in ("keen", "quiet"):
        types = [one["type"] for one in transitions if one["audience"] == key]
        assert summary[key]["entries"] == types.count("entered")
        assert summary[key]["exits"] == types.count("exited")
        assert summary[key]["members"] == types.count("entered") - types.count("exited")
        size = peak = 0
        for place, one in enumerate(transitions):
            if one["audience"] == key:
                size += 1 if one["type"] == "entered" else -1
            following = transitions[place + 1 : place + 2]
            if not following or following[0]["effective_at"] != one["effective_at"]:
                peak = max(peak, size)
        assert summary[key]["peak_members"] == peak


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--engine", "sql"), "--engine sql is not available yet"),
        (("--report", "r.html"), "--report is not available yet"),
        (("--compare", "."), "--compare is not available yet"),
        (("--audience", "kee"), "unknown audience 'kee'; the project has keen, quiet"),
        (("--source", "wep"), "unknown source 'wep'; the project has web"),
        (("--source", "web", "--events", "x"), "use one"),
        (("--from", "2026-03-02", "--until", "2026-03-01"), "--until lies before --from"),
        (("--output", "found.csv"), "--output is to end in .jsonl or .parquet, not as found.csv"),
        (("--from", "yesterday"), "'yesterday' is no instant; write it as 2026-03-01T10:00:00Z"),
        (("--clock", "wall"), "'wall' is not one of 'event', 'arrival'"),
        (("--workers", "0"), "0 is not in the range"),
        (("--format", "xml"), "'xml' is not one of"),
    ],
)
def test_mistakes_in_arguments(project: Path, arguments: tuple[str, ...], sentence: str) -> None:
    result = invoke("-C", project, "backtest", *arguments)
    assert result.exit_code == 2
    assert sentence in result.stderr
    assert result.stdout == ""


def test_the_stream_engine_may_be_named(project: Path) -> None:
    assert run(project, "--engine", "stream") == run(project)


@pytest.mark.parametrize(
    ("break_it", "sentence"),
    [
        (lambda root: (root / "users.csv").unlink(), "users.csv"),
        (lambda root: (root / "users.csv").write_text("user_id,ltv\nu1,1\nu1,2\n"), "not unique"),
        (lambda root: [file.unlink() for file in (root / "live").iterdir()], "no recording"),
        (lambda root: (root / "live" / "x.parquet").write_bytes(b"PAR1 and no more"), "x.parquet"),
    ],
)
def test_what_is_wrong_around_the_project(project: Path, break_it: Any, sentence: str) -> None:
    break_it(project)
    output = project.parent / "found.jsonl"
    result = invoke("-C", project, "backtest", "--output", output)
    assert result.exit_code == 3, result.output
    assert sentence in result.stderr
    assert "Traceback" not in result.output
    assert not output.is_file()


def test_the_project_itself_is_left_as_it_was(project: Path) -> None:
    before = sorted(project.rglob("*"))
    run(project)
    assert sorted(project.rglob("*")) == before
