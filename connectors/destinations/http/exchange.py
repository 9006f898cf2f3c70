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
    """The names of `headers` may be asked in any case.

    Of the answer's body, `body` is the beginning if it `is_cut_off`, and else all.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    is_cut_off: bool = False


class Unanswered(Exception):
    """There was no answer, or no whole one; the request may have been acted on all the same."""


class InnerAddress(Exception):
    """The host leads into an inner network, where nothing is sent."""
