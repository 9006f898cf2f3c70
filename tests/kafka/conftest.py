"""One broker for all tests of a process; each test has topics of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.kafka.broker import ELSEWHERE, MISSING, Broker, Elsewhere, Topic, a_broker, can_run

NewTopic = Callable[..., Topic]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker | Elsewhere]:
    if not can_run():
        pytest.skip(MISSING)
    if ELSEWHERE:
        yield Elsewhere()
        return
    with a_broker(tmp_path_factory.mktemp("broker")) as one:
        yield one


@pytest.fixture
def own_broker(broker: Broker | Elsewhere) -> Broker:
    """The broker, where it is ours to kill."""
    if not isinstance(broker, Broker):
        pytest.skip("KAFKA_BOOTSTRAP names a broker that is not ours to kill")
    return broker


@pytest.fixture
def new_topic(broker: Broker | Elsewhere) -> NewTopic:
    return lambda partitions=1, **config: Topic(broker.servers, partitions, **config)


@pytest.fixture
def topic(new_topic: NewTopic) -> Topic:
    return new_topic()
