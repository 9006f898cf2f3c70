"""What an answer means: the one table from statuses to verdicts."""

from __future__ import annotations

import math
from datetime import UTC
from email.utils import parsedate_to_datetime

from connectors.destinations.destination import ACCEPTED, Outcome, Verdict
from connectors.destinations.http.exchange import Reply

_SECOND = 1_000_000
_TOLD_MOST = 3600  # seconds, for a message as for its sync: who names a later instant is mistaken
# A number beyond this is an instant since 1970, and beyond the second one of milliseconds.
_INSTANT_LEAST = 1e9
_MILLISECONDS_LEAST = 1e12

_TOO_MANY = 429
_UNAVAILABLE = 503
_AGAIN = frozenset({408, 425, _TOO_MANY})
# The headers that are in use for saying how long to wait.
_WAITS = {
    _TOO_MANY: ("Retry-After", "RateLimit-Reset", "X-RateLimit-Reset", "X-Rate-Limit-Reset"),
    _UNAVAILABLE: ("Retry-After",),
}
_REFUSED = frozenset({401, 403})
_TOO_LARGE = 413
_GONE = 410
# Something in the request is not to its liking; among several messages it may be one of them.
_AT_FAULT = frozenset({400, 422})


def judge(reply: Reply, now: float, messages: int = 1) -> Outcome:
    """What an answer's status says of a request; `now` is in seconds since 1970.

    A request of several messages that is found faulty is too large: taken apart, the faulty ones
    are rejected alone.
    """
    status = reply.status
    if 200 <= status < 300:
        return ACCEPTED
    reason = said(reply)
    if status in _AGAIN or status >= 500:
        return Outcome(Verdict.RETRY, reason, told_wait(reply, now))
    if status in _REFUSED:
        return Outcome(Verdict.REFUSED, f"{reason}; check the credentials")
    if status == _GONE:
        return Outcome(Verdict.GONE, reason)
    if status == _TOO_LARGE or (status in _AT_FAULT and messages > 1):
        return Outcome(Verdict.TOO_LARGE, reason)
    if 300 <= status < 400:
        where = "the host has moved" if "Location" in reply.headers else "no redirect is followed"
        return Outcome(Verdict.REJECTED, f"{reason}: {where}; write the URL that it leads to")
    return Outcome(Verdict.REJECTED, reason)


def said(reply: Reply) -> str:
    """A status in words."""
    return f"answered {reply.status}"


def told_wait(reply: Reply, now: float) -> int | None:
    """How long to wait, in microseconds, where an answer asks for that.

    Many say in each answer when their limit begins anew: that matters to those who are beyond it.
    A fault that one message provokes is no reason for all others to wait so long.
    """
    for name in _WAITS.get(reply.status, ()):
        seconds = _seconds(reply.headers.get(name, ""), now)
        if seconds is not None:
            return int(min(max(seconds, 0.0), _TOLD_MOST) * _SECOND)
    return None


def _seconds(written: str, now: float) -> float | None:
    """Seconds from now: a number of them, an instant, or a date as HTTP writes it."""
    try:
        number = float(written)
    except ValueError:
        try:
            date = parsedate_to_datetime(written)
        except ValueError:
            return None
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now
    if not math.isfinite(number) or number < 0:
        return None
    if number >= _MILLISECONDS_LEAST:
        return number / 1000 - now
    return number - now if number >= _INSTANT_LEAST else number
