"""A topic as a source: what is delivered, from where on, and what becomes of it meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from audience_dsl.definitions import Settings
from connectors.sources.chunks import Chunk
from connectors.sources.errors import SourceError
from connectors.sources.kafka.source import KafkaSource
from examples.kafka.broker import PASSWORD, USER
from tests.cli.jobs import eventually
from tests.kafka.broker import Broker, Topic
from tests.shared_servers import NewTopic

GROUP = "usher-tests"
BLOCK = 1 << 20


class Reader:
    """A source that is followed, and everything that it has delivered."""

    def __init__(self, source: KafkaSource, said: Sequence[str]) -> None:
        self.source = source
        self.said = said
        self.chunks: list[Chunk] = []

    def poll(self) -> list[Chunk]:
        chunks = self.source.poll(BLOCK)
        self.chunks += chunks
        return chunks

    def values(self) -> list[bytes]:
        return [one.line(i) for one in self.chunks for i in range(len(one.lines.starts))]

    def arrivals(self) -> list[int]:
        return [
            instant
            for one in self.chunks
            if one.arrivals is not None
            for instant in one.arrivals.tolist()
        ]

    def read_to_end(self) -> list[bytes]:
        eventually(lambda: self.poll() is not None and self.source.caught_up)
        return self.values()

    def read(self, count: int) -> list[bytes]:
        eventually(lambda: self.poll() is not None and len(self.values()) >= count)
        return self.values()

    def fail(self) -> str:
        with pytest.raises(SourceError) as failure:
            eventually(lambda: self.poll() and False)
        return str(failure.value)


def settings(topic: Topic, options: Mapping[str, Any] = {}) -> Settings:
    needed = {"topic": topic.name, "bootstrap_servers": topic.servers, "format": "segment"}
    return Settings("web", "kafka", needed | dict(options))


@contextmanager
def reading(topic: Topic, position: bytes | None = None, /, **options: Any) -> Iterator[Reader]:
    said: list[str] = []
    source = KafkaSource(settings(topic, options), GROUP, said.append)
    try:
        yield Reader(source.follow([] if position is None else [position]), said)
    finally:
        source.close()


def refused(topic: Topic, position: bytes | None = None, /, **options: Any) -> str:
    with pytest.raises(SourceError) as failure, reading(topic, position, **options):
        pass
    return str(failure.value)


def numbered(first: int, end: int) -> list[bytes]:
    return [f'{{"n":{number}}}'.encode() for number in range(first, end)]


def test_what_is_there_and_what_comes_is_delivered_in_order(topic: Topic) -> None:
    topic.send(*numbered(0, 10))
    with reading(topic) as one:
        assert one.read_to_end() == numbered(0, 10)
        assert one.source.lag == 0
        topic.send(*numbered(10, 20))
        assert one.read(20) == numbered(0, 20)


def test_partitions_keep_their_order_and_share_a_chunk(new_topic: NewTopic) -> None:
    topic = new_topic(12)
    for partition in range(12):
        topic.send(*[f"{partition} {i}" for i in range(5)], partition=partition)
    with reading(topic) as one:
        values = [tuple(map(int, value.split())) for value in one.read_to_end()]
    assert sorted(values) == [(partition, i) for partition in range(12) for i in range(5)]
    for partition in range(12):
        assert [i for one_of, i in values if one_of == partition] == list(range(5))
    assert len(one.chunks) < 12


def test_the_arrival_is_the_messages_timestamp_and_never_falls(new_topic: NewTopic) -> None:
    topic = new_topic(2)
    for at in (5_000, 7_000, 6_000):
        topic.send("{}", partition=0, at=at)
    topic.send("{}", partition=1, at=4_000)
    with reading(topic) as one:
        one.read_to_end()
        assert sorted(one.arrivals()) == [4_000_000, 5_000_000, 7_000_000, 7_000_000]
        position = one.source.position()
    topic.send("{}", at=6_500)
    topic.send("{}", at=int(time.time() + 3_600) * 1_000)  # from the future
    with reading(topic, position) as two:
        two.read_to_end()
        late, ahead = two.arrivals()
    assert late == 7_000_000
    assert ahead <= time.time() * 1e6


def test_a_source_that_is_behind_tells_how_far_it_has_come(new_topic: NewTopic) -> None:
    topic = new_topic(2)
    topic.send(*["x" * 1_000] * 3_000, partition=0, at=1_000)
    topic.send("{}", partition=1, at=2_000)
    with reading(topic) as one:
        assert not one.source.caught_up
        eventually(one.poll)
        assert one.source.reached <= 1_000_000
        one.read_to_end()


def test_reading_goes_on_at_the_position_and_never_at_the_groups_offsets(topic: Topic) -> None:
    topic.send(*numbered(0, 10))
    with reading(topic) as one:
        one.read_to_end()
        position = one.source.position()
        one.source.position()
    assert topic.committed(GROUP) == {0: 10}
    topic.send(*numbered(10, 12))
    with reading(topic, position) as two:
        assert two.read_to_end() == numbered(10, 12)
    with reading(topic) as fresh:
        assert fresh.read_to_end() == numbered(0, 12)


def test_the_group_shows_what_is_stored(topic: Topic) -> None:
    topic.send(*numbered(0, 4))
    with reading(topic, group="seen-by-tools") as one:
        one.read_to_end()
        one.source.position()
        topic.send(*numbered(4, 9))
        one.read(9)
        assert topic.committed("seen-by-tools") in ({}, {0: 0})
        one.source.position()  # by then, the one before is stored
        eventually(lambda: one.poll() or topic.committed("seen-by-tools") == {0: 4})
    assert topic.committed("seen-by-tools") == {0: 9}


def test_where_a_first_start_begins(new_topic: NewTopic) -> None:
    topic = new_topic(2)
    topic.send(b"old", at=1_000)
    topic.send(b"young", at=1_767_225_600_000)
    with reading(topic, start="2026-01-01") as one:
        assert one.read_to_end() == [b"young"]
    with reading(topic, start="2026-01-01T00:00:00.001Z") as one:
        assert one.read_to_end() == []
    with reading(topic, start="latest") as one:
        assert one.read_to_end() == []
        topic.send(b"new")
        assert one.read(1) == [b"new"]


def test_partitions_that_are_added_are_read_from_their_beginning(topic: Topic) -> None:
    with reading(topic, start="latest") as one:
        one.read_to_end()
        topic.enlarge(3)
        topic.send(b"a", partition=1)
        topic.send(b"b", partition=2)
        assert sorted(one.read(2)) == [b"a", b"b"]
        position = one.source.position()
    topic.enlarge(4)
    topic.send(b"c", partition=3)
    with reading(topic, position, start="latest") as two:
        assert two.read_to_end() == [b"c"]


def test_messages_that_are_missing_stop_the_job_or_are_skipped(topic: Topic) -> None:
    topic.send(*numbered(0, 10))
    with reading(topic) as one:
        position = one.source.position()
    topic.truncate(0, 7)
    said = refused(topic, position)
    assert said.startswith("source 'web': 7 offsets are missing in partition 0")
    assert "on_missing: skip" in said
    assert "--rebuild" in said
    with reading(topic, position, on_missing="skip") as two:
        assert two.read_to_end() == numbered(7, 10)
        assert "7 offsets are missing" in two.said[0]
    with reading(topic) as three:
        assert three.read_to_end() == numbered(7, 10)


@pytest.mark.parametrize("skips", [True, False])
def test_messages_that_vanish_before_they_are_read(topic: Topic, skips: bool) -> None:
    value = "x" * 500_000
    topic.send(*[value] * 200)  # more than is read ahead
    with reading(topic, on_missing="skip" if skips else "stop") as one:
        eventually(one.poll)
        topic.truncate(0, 199)
        if skips:
            one.read_to_end()
            assert any("offsets are missing" in sentence for sentence in one.said)
            assert one.source.lag == 0
        else:
            assert "offsets are missing" in one.fail()


def test_a_topic_that_is_deleted_or_made_anew_is_noticed(topic: Topic) -> None:
    topic.send(*numbered(0, 10))
    with reading(topic) as one:
        one.read_to_end()
        position = one.source.position()
        topic.delete()
        assert "does not exist any more" in one.fail()
    eventually(lambda: _is_made(topic))
    topic.send(*numbered(0, 10))
    assert "made anew since the job read it; start with --rebuild" in refused(topic, position)


def _is_made(topic: Topic) -> bool:
    try:
        topic.create(1)
    except Exception:  # noqa: BLE001  it is still being deleted
        return False
    return True


def test_a_position_of_another_topic_is_refused(topic: Topic, new_topic: NewTopic) -> None:
    with reading(new_topic()) as one:
        position = one.source.position()
    assert f"not '{topic.name}'; start with --rebuild" in refused(topic, position)
    assert "damaged" in refused(topic, b"{")


def test_tombstones_are_ignored_and_what_is_too_long_is_a_dead_letter(new_topic: NewTopic) -> None:
    topic = new_topic(**{"max.message.bytes": "20000000"})
    topic.send(b"{}", None, b"y" * 10_000_001, b"", key="k")
    big = json.dumps({"properties": {"note": "z" * 9_000_000}}).encode()
    topic.send(big + b"\n")
    with reading(topic) as one:
        assert one.read_to_end() == [b"{}", b"", big]
    assert sum(chunk.count for chunk in one.chunks) == 5
    (letter,) = [letter for chunk in one.chunks for letter in chunk.dead_letters]
    assert (letter.file, letter.line) == (f"{topic.name}/0", 2)
    assert letter.reason == "longer than 10,000,000 bytes"
    last = one.chunks[-1]
    broken = last.dead_letter(len(last.lines.starts) - 1, "why")
    assert broken.line == 4


def test_what_is_read_ahead_is_bounded(topic: Topic) -> None:
    topic.send(*["x" * 100_000] * 100)
    with reading(topic) as one:
        eventually(one.poll)
        assert one.chunks[0].size <= BLOCK + 500 * 100_000
        assert len(one.read_to_end()) == 100


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"topic": "nowhere"}, "topic 'nowhere' does not exist at "),
        ({"no.such.thing": "1"}, "No such configuration property"),
        ({"enable.auto.commit": True}, "'enable.auto.commit' cannot be set: it is always false"),
        ({"group.id": "g"}, "'group.id' cannot be set: use group"),
        ({"client.id": ["a"]}, "'client.id' must be a text"),
        ({"start": "noon"}, "'start' is earliest, latest or an instant, not 'noon'"),
    ],
)
def test_mistakes_are_told(topic: Topic, options: dict[str, Any], said: str) -> None:
    told = refused(topic, **options)
    assert said in told
    assert told.startswith("source 'web': ")
    assert told.count("source 'web'") == 1


def sasl(broker: Broker, password: str) -> dict[str, Any]:
    return {
        "bootstrap_servers": broker.sasl_servers,
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": password,
    }


def test_who_logs_in_may_read(topic: Topic, own_broker: Broker) -> None:
    topic.send(b"{}")
    with reading(topic, **sasl(own_broker, PASSWORD)) as one:
        assert one.read_to_end() == [b"{}"]


def test_who_does_not_is_refused_and_no_password_is_shown(topic: Topic, own_broker: Broker) -> None:
    said = refused(topic, **sasl(own_broker, "s3cret-guess"))
    assert f"Kafka at {own_broker.sasl_servers} refuses us: " in said
    assert "s3cret-guess" not in said
    assert "s3cret-guess" not in repr(settings(topic, sasl(own_broker, "s3cret-guess")))


def test_a_broker_that_is_killed_is_waited_for(topic: Topic, own_broker: Broker) -> None:
    topic.send(*numbered(0, 10))
    with reading(topic) as one:
        one.read_to_end()
        own_broker.kill()
        eventually(lambda: one.poll() or any("out of reach" in said for said in one.said))
        assert not one.source.caught_up  # so time stands still
        own_broker.start()
        topic.send(*numbered(10, 20))
        assert one.read(20) == numbered(0, 20)
        one.read_to_end()
        # A broker that is starting may be lost once more; what is said alternates all the same.
        eventually(lambda: one.poll() or "is there again" in one.said[-1])
        assert all("is out of reach" in said for said in one.said[::2])
        assert all("is there again" in said for said in one.said[1::2])


def test_history_of_all_partitions_comes_before_what_is_new(new_topic: NewTopic) -> None:
    topic = new_topic(3)
    old = [f"old {i} ".encode() + b"x" * 20_000 for i in range(300)]
    topic.send(*old, partition=0)
    topic.send(b"old", partition=1)
    with reading(topic) as one:
        for partition in range(3):
            topic.send(b"new", b"newer", partition=partition)
        values = one.read(307)
        assert sorted(values[:301]) == sorted([*old, b"old"])
        assert sorted(values[301:]) == [b"new"] * 3 + [b"newer"] * 3
        position = one.source.position()
    topic.send(b"last")
    with reading(topic, position) as two:
        assert two.read_to_end() == [b"last"]
