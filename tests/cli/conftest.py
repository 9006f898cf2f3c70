"""Commands are tested as they are from their second start on: the core is compiled."""

from __future__ import annotations

import pytest

from cli.compiling import compile_core


@pytest.fixture(scope="session", autouse=True)
def compiled() -> None:
    compile_core()
