"""A child process ends with whoever has started it, also while it is still starting."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest


@pytest.mark.parametrize("kind", ["worker", "puller", "hosted"])
def test_a_child_whose_job_is_gone_at_once_ends_without_a_word(kind: str) -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-v", "-P", "-m", "cli.child", kind, str(theirs.fileno()), "2"]
    with (
        theirs,
        subprocess.Popen(
            command, pass_fds=[theirs.fileno()], stderr=subprocess.PIPE, text=True
        ) as child,
    ):
        ours.close()
        theirs.close()
        _, said = child.communicate(timeout=60)
    assert child.returncode == 3
    assert "Traceback" not in said
    assert "import 'bytewax" not in said  # which takes seconds where the machine is busy
