"""Requests of all vendors."""

from __future__ import annotations

from connectors.sources.requests.calls import read_calls
from connectors.sources.requests.payloads import read_payloads
from connectors.sources.requests.request import Received, Request


def read_request(request: Request, vendor: str) -> Received:
    """The events of a request, by the name of its source's format.

    Nothing that a client sends is an error: what cannot be read is among the `rejected`.
    """
    return read_payloads(request) if vendor == "snowplow" else read_calls(request, vendor)
