"""Real servers for the tests of several areas; each starts at most once in a process of pytest.

So what a test makes in one has a name that no other test uses: a topic, a database, a schema or a
table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.kafka.broker import ELSEWHERE, MISSING, Broker, Elsewhere, Topic, a_broker, can_run
from tests.membership.servers import PostgresServer, running_server

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
def own_broker(broker: Broker | Elsewhere) -> Iterator[Broker]:
    """The broker, where it is ours to kill; after the test it runs, even if that has failed."""
    if not isinstance(broker, Broker):
        pytest.skip("KAFKA_BOOTSTRAP names a broker that is not ours to kill")
    yield broker
    if broker.process.poll() is not None:
        broker.start()


@pytest.fixture
def new_topic(broker: Broker | Elsewhere) -> NewTopic:
    return lambda partitions=1, **config: Topic(broker.servers, partitions, **config)


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    with running_server() as one:
        yield one
