"""Everything is tested as it is from its second start on: the core is compiled.

How thorough the random tests are: `default` for every change, `soak` for nights.

Both repeat exactly, the default one because a test that fails now and then helps nobody, the
other one except for its seed, which pytest prints (`--hypothesis-seed`).
"""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from cli.compiling import compile_core
from tests.shared_servers import broker, new_topic, own_broker, postgres

__all__ = ["broker", "new_topic", "own_broker", "postgres"]

settings.register_profile(
    "default",
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile(
    "soak", settings.get_profile("default"), max_examples=1000, derandomize=False
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# Who runs the tests in the background may ignore Ctrl-C, and whom we start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    compile_core()
