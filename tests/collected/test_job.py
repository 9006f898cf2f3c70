"""The job follows the log of a collector, in whichever process that is, and ends with the truth."""

from __future__ import annotations

import json
import random
import signal
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from audience_dsl.instants import format_instant
from cli.main import usher
from connectors.collected.folder import log_folder
from connectors.collected.limits import Sizes
from connectors.wall_clock import wall_clock
from tests.cli.jobs import PATIENCE, eventually, finished, job, now, running
from tests.cli.projects import changed, page, write_project
from tests.collected.logs import collect, collecting, letter, segments
from tests.collected.story import BESIDE, SOURCE, LogStory
from tests.faults.kills import doomed, ended
from tests.faults.processes import process
from tests.faults.shares import KILLS
from tests.faults.verdict import assert_true_in_the_end, await_stored, begin

# Users of whose events the job may have learned later than it waits for them, at most.
_TARDY = 0.8


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200, 202))
def test_a_job_that_is_killed_again_and_again_ends_with_the_truth(
    tmp_path: Path, seed: int
) -> None:
    story = LogStory(tmp_path / "project", seed)
    with closing(story):
        begin(story)
        kills = 0
        while kills < KILLS:
            if story.random.random() < 0.3:  # the collector starts anew as well
                story.close()
                story.open()
            story.go_on(story.random.uniform(0.0, 0.3))
            workers = str(story.random.choice((1, 1, 2, 3)))
            with doomed(story, *BESIDE, "--workers", workers) as one:
                code = ended(story, one)
                assert code in {0, -signal.SIGKILL}, one.said()
                kills += code != 0
        assert_true_in_the_end(story)
    users = {event.record["userId"] for event in story.events}
    assert len(story.tardy) <= _TARDY * len(users)


def test_a_job_that_begins_before_the_collector_is_told_of_everything(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project", changed(sources={"web": SOURCE}))
    with running(root, *BESIDE) as one:
        with collecting(root) as log:
            for number in (1, 2):
                log.append([json.loads(page("u1", number, now()))]).result()
            one.await_told(("u1", "entered", "keen", "event"))
            log.append([], [letter(1)]).result()
            eventually((root / ".usher" / "dead-letters.jsonl").exists, one)
        with collecting(root) as log:  # another one, later
            for number in (3, 4):
                log.append([json.loads(page("u1", number, now()))]).result()
            one.await_told(("u1", "exited", "keen", "window_expired"))
        assert one.stop() == 0
    listed = CliRunner().invoke(usher, ["-C", str(root), "dead-letters", "--format", "json"])
    (letters,) = [json.loads(line) for line in listed.stdout.splitlines()]
    assert (letters["file"], letters["reason"]) == ("collected/web", "not a JSON object")


def test_a_damaged_log_stops_the_job_with_a_sentence(tmp_path: Path) -> None:
    root = write_project(tmp_path / "project", changed(sources={"web": SOURCE}))
    collect(root, range(3))
    (segment,) = segments(root)
    segment.write_bytes(segment.read_bytes()[:-5])
    code, said = finished(root, "--only", "evaluate,deliver,pull")
    assert code == 3
    assert f"usher: {segment} is damaged at byte" in said
    assert said.count("\n") == 1


def test_several_machines_do_not_share_what_one_collects(tmp_path: Path) -> None:
    store = {"type": "postgres", "url": "postgresql://nobody@localhost/none"}
    root = write_project(tmp_path / "project", changed(sources={"web": SOURCE}, store=store))
    machines = ["--machines", "127.0.0.1:2101,127.0.0.1:2102", "--machine", "0"]
    code, said = finished(root, *machines)
    assert code == 2
    assert "source 'web' is of type http" in said


def recorded_story(root: Path, seed: int) -> tuple[Path, Path]:
    """The same events collected, and in a file: two projects."""
    chance = random.Random(seed)
    collected = write_project(root / "collected", changed(sources={"web": SOURCE}))
    followed = write_project(root / "followed")
    lines = []
    arrivals = [0]
    sizes = Sizes(segment=20_000)
    with collecting(collected, sizes=sizes, clock=lambda: arrivals[-1]) as log:
        for number in range(600):
            arrivals.append(1_800_000_000_000_000 + number * 100_000)
            arrival = arrivals[-1]
            happened = arrival - chance.choice((0, 0, 5_000_000, chance.randrange(10**7)))
            user = f"u{chance.randrange(4)}"
            lines.append(page(user, number % 550, format_instant(happened)))
            record = json.loads(lines[-1]) | {"receivedAt": format_instant(arrival)}
            lines[-1] = json.dumps(record) + "\n"
            # Only the log knows.
            log.append([record | {"receivedAt": format_instant(happened)}]).result()
        log.append([], [letter(1)]).result()
    (followed / "live" / "events.jsonl").write_text("".join(lines) + "broken\n")
    return collected, followed


@pytest.mark.parametrize("clock", ["event", "arrival"])
def test_a_log_is_a_recording(tmp_path: Path, clock: str) -> None:
    found = []
    for root in recorded_story(tmp_path, 1):
        output = tmp_path / f"{root.name}.jsonl"
        said = backtested(root, "--source", "web", "--clock", clock, "--output", str(output))
        found.append((output.read_bytes(), [one for one in said if "audience" in one]))
        assert said[0]["records"]["read"] == 601
        assert said[0]["records"]["invalid"] == 1
    assert found[0] == found[1]
    assert found[0][0].count(b"\n") > 30


def test_a_backtest_needs_no_log_beside_other_recordings(tmp_path: Path) -> None:
    files = {"type": "file", "format": "segment", "path": "live"}
    sources = {"web": files, "app": SOURCE}
    root = write_project(tmp_path / "project", changed(sources=sources))
    (root / "live" / "events.jsonl").write_text(page("u1", 1, "2026-03-01T10:00:00Z"))
    assert backtested(root)[0]["records"]["read"] == 1
    arguments = ["-C", str(root), "backtest", "--source", "app"]
    refused = CliRunner().invoke(usher, arguments)
    assert refused.exit_code == 2
    assert "source 'app' has no recorded files" in refused.stderr
    (root / "live" / "events.jsonl").unlink()
    collect(root, range(3), folder=log_folder(root, "app"))
    segment = next(log_folder(root, "app").glob("*.events"))
    copied = root / "copy.anything"
    copied.write_bytes(segment.read_bytes() + b"\xff\xfeUF torn")
    assert backtested(root, "--events", str(copied))[0]["records"]["read"] == 3


def backtested(root: Path, *arguments: str) -> list[dict[str, Any]]:
    """What `usher backtest` says: the records' counts, then each audience."""
    command = ["-C", str(root), "backtest", "--summary", "json", *arguments]
    result = CliRunner().invoke(usher, command)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_backfill_reads_the_log(tmp_path: Path) -> None:
    nobody = {"performed": "page_viewed", "where": {"path": "/none"}, "within": "1m"}
    viewers = {"performed": "page_viewed", "at_least": 2, "within": "1h"}

    def defined(**audiences: Any) -> Path:
        listed = {
            key: {"parent_model": "users", "where": where} for key, where in audiences.items()
        }
        sections = {"sources": {"web": SOURCE}, "audiences": listed, "syncs": None}
        return write_project(tmp_path / "project", changed(**sections))

    root = defined(nobody=nobody)
    with collecting(root) as log:
        for number in range(4):
            happened = now(-600.0 if number < 2 else -7_200.0)
            record = json.loads(page(f"u{number // 2}", number, happened))
            log.append([record]).result()
        with process(root, *BESIDE) as one:
            one.await_begin()
            await_stored(one, root, wall_clock())
            assert one.stop() == 0
    defined(nobody=nobody, viewers=viewers)
    with job(root, words=["backfill"]) as backfill:
        assert backfill.process.wait(PATIENCE) == 0, backfill.errors()
    members = CliRunner().invoke(usher, ["-C", str(root), "members", "viewers"])
    assert [line.split()[1] for line in members.stdout.splitlines()] == ["u0"]
