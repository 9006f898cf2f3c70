"""Whether a consumer hears from the brokers that lead its partitions.

librdkafka tells about lost connections, but not about those that have fallen silent, and not when
one is back.  Its statistics do: an idle broker answers a fetch twice a second.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

INTERVAL = 1_000  # milliseconds between two statistics
_SILENCE = 5_000_000  # microseconds without any answer


class _Broker(msgspec.Struct):
    nodeid: int
    state: str
    rxidle: int = 0


class _Partition(msgspec.Struct):
    leader: int


class _Topic(msgspec.Struct):
    partitions: dict[str, _Partition]


class _Statistics(msgspec.Struct):
    brokers: dict[str, _Broker]
    topics: dict[str, _Topic]


_DECODER = msgspec.json.Decoder(_Statistics)


def all_answer(statistics: str, topic: str, partitions: Collection[int]) -> bool:
    """Whether every leader of these partitions of the topic is connected and has answered."""
    told = _DECODER.decode(statistics)
    answering = {
        one.nodeid
        for one in told.brokers.values()
        if one.state in {"UP", "UPDATE"} and one.rxidle < _SILENCE
    }
    known = told.topics[topic].partitions if topic in told.topics else {}
    leaders = {known[str(one)].leader if str(one) in known else -1 for one in partitions}
    return leaders <= answering
