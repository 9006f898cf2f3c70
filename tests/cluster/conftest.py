"""The broker and the database that other tests have as well."""

from tests.kafka.conftest import broker, new_topic
from tests.membership.conftest import postgres_url

__all__ = ["broker", "new_topic", "postgres_url"]
