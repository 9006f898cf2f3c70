"""Jobs that are killed at random points: from outside at any time, or by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.faults.harm import Harm
from tests.faults.processes import Process, process
from tests.faults.story import Story


@contextmanager
def doomed(story: Story, *arguments: str) -> Iterator[Process]:
    """A job that has begun, and for which something has happened since.

    It may kill itself at any time in the midst of storing an epoch.
    """
    kill_at = story.random.choice((None, story.random.randint(1, 300)))
    with process(story.root, *arguments, harm=Harm(kill_at=kill_at)) as one:
        one.await_begin()
        story.go_on(story.random.uniform(0.0, 1.5))
        yield one


def ended(story: Story, one: Process) -> int:
    """The exit code of a job that is killed if it still runs, or now and then is stopped."""
    if story.random.random() < 0.2 and one.runs:
        return one.stop()
    one.kill()
    return one.end()
