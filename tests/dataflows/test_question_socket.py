"""Questions over the socket of a project: who is told what, and whom nobody waits for."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from dataflows.question_socket import Answering, Asking
from dataflows.questions import Answer, Question, Questions
from engine.forecasts import Foreseen
from tests.cli.jobs import eventually

SOON = {"keen": Foreseen(1, 5), "quiet": Foreseen(2, None)}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Deeper than the path of a socket may be."""
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    return folder


def answered(job: Answering, user: str) -> Question:
    """The job says what will become of its user, once it is asked."""
    (asked,) = eventually(job.questions.taken)
    job.questions.answer([Answer(asked.number, 7, {user: SOON})])
    return asked


def test_each_server_has_the_answers_to_its_questions(root: Path) -> None:
    with closing(Answering(root)) as job:
        servers = [Questions(), Questions()]
        with closing(Asking(root, servers[0])), closing(Asking(root, servers[1])):
            for one, user in zip(servers, ("ann", 'ü\n"'), strict=True):
                assert one.is_heard
                number, future = one.ask("users", [user])
                assert answered(job, user) == Question(number, "users", [user])
                forecast = future.result(10)
                assert (forecast.clock, forecast.foreseen) == (7, {user: SOON})


def test_a_server_may_come_before_the_job_and_outlive_it(root: Path) -> None:
    questions = Questions()
    with closing(Asking(root, questions)):
        assert not questions.is_heard
        for _ in range(2):
            with closing(Answering(root)) as job:
                eventually(lambda: questions.is_heard)
                _, future = questions.ask("users", ["ann"])
                answered(job, "ann")
                assert future.result(10).foreseen == {"ann": SOON}
            eventually(lambda: not questions.is_heard)


def test_what_a_killed_job_has_left_is_in_nobodys_way(root: Path) -> None:
    with closing(Answering(root)) as job:
        file = root / ".usher" / "questions.sock"
        os.link(file, root / "kept")
    (root / "kept").rename(file)
    questions = Questions()
    with closing(Asking(root, questions)):
        assert not questions.is_heard
        with closing(Answering(root)) as job:
            eventually(lambda: questions.is_heard)
            _, future = questions.ask("users", ["ann"])
            answered(job, "ann")
            assert future.result(10).clock == 7


@pytest.mark.parametrize(
    "harm", [lambda other: None, lambda other: other.sendall(b'[1]\n{"')], ids=["hangs", "babbles"]
)
def test_who_does_not_read_or_make_sense_is_waited_for_by_nobody(
    root: Path, harm: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    questions = Questions()
    with closing(Answering(root)) as job, closing(Asking(root, questions)):
        monkeypatch.chdir(root / ".usher")
        with socket.socket(socket.AF_UNIX) as other:
            other.connect("questions.sock")
            harm(other)
            began = time.monotonic()
            for _ in range(3_000):
                job.questions.answer([Answer(1, 7, {"x" * 1_000: SOON})])
            assert time.monotonic() - began < 10
            _, future = questions.ask("users", ["ann"])
            answered(job, "ann")
            assert future.result(10).foreseen == {"ann": SOON}
