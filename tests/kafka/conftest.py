"""What most tests of this folder read from or write to."""

from __future__ import annotations

import pytest

from tests.kafka.broker import Topic
from tests.shared_servers import NewTopic


@pytest.fixture
def topic(new_topic: NewTopic) -> Topic:
    return new_topic()
