"""Ids of events to which their clients gave none."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from connectors.sources.requests.request import Request


def id_of(told: Mapping[str, object], happened: int | None, request: Request) -> str:
    """An id for what a client has told; `happened` is when by its own clock, if it has told that.

    Who sends an event once more tells the same of it, its time included.  Without a time, two that
    tell the same may well be two, and each counts.
    """
    if happened is None:
        return request.new_id()
    content = msgspec.json.encode(told, order="sorted")
    return hashlib.blake2b(content, digest_size=16).hexdigest()
