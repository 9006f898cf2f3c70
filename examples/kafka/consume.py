"""What a topic holds, in short.

python consume.py 127.0.0.1:9092 transitions
"""

from __future__ import annotations

import sys

import msgspec
from confluent_kafka import Consumer, TopicPartition

_SILENCE = 3.0  # seconds after which a topic is taken to have ended


def main(servers: str, topic: str) -> None:
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "look", "log_level": 0})
    partitions = consumer.list_topics(topic, 10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, one, 0) for one in partitions])
    count = 0
    while message := consumer.poll(_SILENCE):
        count += 1
        if count <= 3 and (value := message.value()):
            record = msgspec.json.decode(value)
            print(record["effective_at"], record["type"], record["audience"], record["user_id"])
    print(f"... {count} transitions in {len(partitions)} partitions")
    consumer.close()


if __name__ == "__main__":
    main(*sys.argv[1:3])
