"""Lines from standard input, as messages of a topic; each user's in one partition.

    python ../shop/simulate.py --output /dev/stdout | python produce.py 127.0.0.1:9092 web-events

    python produce.py 127.0.0.1:9092 --make web-events transitions

The second form makes topics and ends.
"""

from __future__ import annotations

import sys

import msgspec
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

_PARTITIONS = 3


def make(servers: str, names: list[str]) -> None:
    """Make topics; wait until the broker is there and has made them."""
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    wanted = [NewTopic(name, _PARTITIONS, 1) for name in names]
    for made in admin.create_topics(wanted, operation_timeout=30, request_timeout=60).values():
        made.result(60)


def produce(servers: str, topic: str) -> None:
    """Send each line as it comes, keyed by its user."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5})
    for line in sys.stdin.buffer:
        if line.startswith(b"{"):
            user = msgspec.json.decode(line).get("userId")
            producer.produce(topic, line.rstrip(b"\n"), key=user)
        producer.poll(0)
    producer.flush(30)


if __name__ == "__main__":
    if sys.argv[2] == "--make":
        make(sys.argv[1], sys.argv[3:])
    else:
        produce(*sys.argv[1:3])
