"""The journal against the oracle: every transition of every user, and nothing else.

Where all events of a user reached the job in time, the user's transitions are those of the oracle:
kind, instant, cause and number, however often the job was killed.  There are two exceptions.

- An event that was written too late is evaluated at the job's clock, which may have passed it by
  then.  After a crash it may be read in time.
- A job that was killed before it had stored anything begins its life again.

What such users' transitions may be is said by `_unexplained`; their last memberships are those of
the oracle all the same.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from click.testing import CliRunner

from audience_dsl.instants import format_instant
from cli.main import usher
from tests import oracle
from tests.faults.story import Member, Story

Record = dict[str, Any]


def assert_journal_is_true(
    story: Story, truth: Sequence[oracle.Transition], *, since_the_first_start: bool = True
) -> None:
    """To be asked when nothing runs that could still record, an hour after the last event.

    Args:
        truth: All transitions of the story, by the oracle.
        since_the_first_start: Whether the first job has stored something.
    """
    entries = journal(story.root)
    assert_sound(entries, by_a_steady_clock=not story.clock_was_set)
    assert_members(story.root, entries)
    assert_one_content(entries, printed(story.root), delivered(story.root))
    expected, found = _by_user(map(_expected, truth)), _by_user(map(_found, entries))
    others = {user for user in expected.keys() | found.keys() if expected[user] != found[user]}
    if since_the_first_start:
        story.note_tardy(entries)
        wrong = others - story.tardy
        assert not wrong, {user: _difference(expected[user], found[user]) for user in wrong}
    unexplained = _unexplained(story, truth, [one for one in entries if one["user_id"] in others])
    assert not unexplained, unexplained


def began(root: Path) -> int:
    """When a project's first job has begun."""
    first = next(one for one in journal(root) if one["cause"]["kind"] == "initial")
    return oracle.read_instant(first["effective_at"])


def journal(root: Path) -> list[Record]:
    return asked(root, "transitions")


def printed(root: Path) -> list[Record]:
    """The whole lines that all jobs of a project have printed, job by job."""
    files = sorted(root.parent.glob("*.out"), key=lambda path: int(path.stem))
    return [record for path in files for record in whole_lines(path)]


def delivered(root: Path) -> list[Record]:
    """All that was delivered, some of it more than once."""
    archive = root / "out" / "transitions.jsonl"
    return whole_lines(archive) if archive.exists() else []


def whole_lines(path: Path) -> list[Record]:
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def assert_sound(entries: Iterable[Record], *, by_a_steady_clock: bool = True) -> None:
    """Sequences are 1, 2, 3 …, kinds alternate, instants do not fall and have been reached."""
    heads: dict[Member, tuple[int, str]] = {}
    for one in entries:
        member = one["user_id"], one["audience"]
        sequence, since = heads.get(member, (0, ""))
        assert one["sequence"] == sequence + 1, one
        assert one["type"] == ("exited" if sequence % 2 else "entered"), one
        assert one["effective_at"] >= since, one
        if by_a_steady_clock:
            assert one["effective_at"] <= one["emitted_at"], one
        heads[member] = one["sequence"], one["effective_at"]


def assert_members(root: Path, entries: Iterable[Record]) -> None:
    """The members are those of whom the journal says last that they have entered."""
    heads = {(one["audience"], one["user_id"]): one for one in entries}
    expected = [
        {
            "parent_model": one["parent_model"],
            "user_id": user,
            "audience": audience,
            "since": one["effective_at"],
            "sequence": one["sequence"],
            "cause": one["cause"],
        }
        for (audience, user), one in sorted(heads.items())
        if one["type"] == "entered"
    ]
    audiences = sorted({audience for audience, _ in heads})
    assert [one for key in audiences for one in asked(root, "members", key)] == expected


def assert_one_content(entries: Iterable[Record], *shown: Iterable[Record]) -> None:
    """What was printed or delivered is in the journal, word for word; no id stands for two."""
    contents: dict[str, Record] = {}
    for one in entries:
        assert contents.setdefault(one["id"], one) is one, (one, contents[one["id"]])
    for records in shown:
        for one in records:
            assert contents.get(one["id"]) == one, (one, contents.get(one["id"]))


def asked(root: Path, *arguments: str) -> list[Record]:
    result = CliRunner().invoke(usher, ["-C", str(root), *arguments, "--format", "json"])
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


class _Told(NamedTuple):
    user_id: str
    audience: str
    sequence: int
    type: str
    effective_at: str
    cause: str
    message_id: str


def _expected(one: oracle.Transition) -> _Told:
    instant = format_instant(one.effective_at)
    return _Told(
        one.user_id, one.audience, one.sequence, one.type, instant, one.cause, one.message_id
    )


def _found(one: Record) -> _Told:
    values = {name: one[name] for name in _Told._fields[:5]}
    cause = one["cause"]
    return _Told(**values, cause=cause["kind"], message_id=cause.get("message_id", ""))


def _by_user(told: Iterable[_Told]) -> defaultdict[str, set[_Told]]:
    found: defaultdict[str, set[_Told]] = defaultdict(set)
    for one in told:
        found[one.user_id].add(one)
    return found


def _difference(expected: set[_Told], found: set[_Told]) -> dict[str, list[_Told]]:
    return {"missing": sorted(expected - found), "wrong": sorted(found - expected)}


def _unexplained(
    story: Story, truth: Iterable[oracle.Transition], entries: Iterable[Record]
) -> list[Record]:
    """The entries that no exception excuses.

    A first population happens when a life begins; what an event causes, at its arrival, or later if
    it was tardy; what ages out, at an instant at which an event of the user does; what a pull
    causes, when it takes force.  A correction makes the user at its instant what the oracle says,
    and is needed.
    """
    arrivals, receptions, ageings = story.arrivals(), story.receptions(), story.ageings()
    changes: dict[Member, list[tuple[int, str]]] = {}
    for one in truth:
        changes.setdefault((one.user_id, one.audience), []).append((one.effective_at, one.type))

    def is_explained(one: Record) -> bool:
        user, instant = one["user_id"], oracle.read_instant(one["effective_at"])
        match one["cause"]["kind"]:
            case "initial":
                return True
            case "event":
                event = user, one["cause"]["message_id"]
                if user in story.tardy:
                    return instant >= min(receptions[event])
                return instant in arrivals[event]
            case "window_expired":
                return (user, one["effective_at"]) in ageings
            case "warehouse_pull":
                return story.has_pulled(one["cause"]["pull"])
            case "reconciled":
                known = changes.get((user, one["audience"]), [])
                last = bisect_right(known, instant, key=lambda change: change[0])
                return one["type"] == (known[last - 1][1] if last else "exited")
            case _:
                return False

    return [one for one in entries if not is_explained(one)]
