"""A request, its answer, and what happens instead of an answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Request:
    """`target` is what stands behind the host: path and query, encoded."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Reply:
    """`body` is the beginning of the answer's; the names of `headers` may be asked in any case."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Unanswered(Exception):
    """There was no answer, or no whole one; the request may have been acted on all the same."""


class InnerAddress(Exception):
    """The host leads into an inner network, where nothing is sent."""
