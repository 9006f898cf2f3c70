"""The time of an event whose client's clock may be wrong.

The client says by its own clock when the event happened and when it was sent.  The difference is
right even if the clock is not, and the collector knows when the request came.

What a request needs to come is no difference of clocks.  A clock that is right but for that is
believed: so an event has one time, however often it is sent.
"""

from __future__ import annotations

from audience_dsl.instants import EARLIEST, SECOND

# A correction beyond this says that one of the instants is nonsense; and what is older than this
# when it is sent is history, of which it does not matter by which clock it was.
_LARGEST = 7 * 86_400 * SECOND
# And below this it is the way, or an instant that was cut to a second.
_SMALLEST = 10 * SECOND


def corrected(original: int | None, sent: int | None, received: int) -> int:
    """When the event happened by the collector's clock; never later than it was received."""
    if original is None or sent is None or not _SMALLEST < abs(received - sent) <= _LARGEST:
        return believed(original, received)
    return max(EARLIEST, min(received - (sent - original), received))


def believed(told: int | None, received: int) -> int:
    """When it happened by the client's word; but nothing does after it was received."""
    return received if told is None else min(told, received)


def is_history(original: int | None, sent: int | None) -> bool:
    """Whether it happened so long before it was sent that it was not waiting for that."""
    return original is not None and sent is not None and sent - original > _LARGEST
