"""Where deliveries are tested: a server of hooks, and the secrets that it is reached with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.hooks import Hooks, hooks
from tests.cli.operating import KEY, SECRET


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hooks]:
    monkeypatch.setenv("HOOK_SECRET", SECRET)
    monkeypatch.setenv("HOOK_KEY", KEY)
    with hooks() as found:
        yield found
