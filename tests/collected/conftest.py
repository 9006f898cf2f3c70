"""Tests that open a log thousands of times do not wait for the disk."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def no_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _descriptor: None)
