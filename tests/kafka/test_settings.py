"""Options as properties of a client; nothing that is secret gets out. Needs no broker."""

from __future__ import annotations

import pytest

from audience_dsl.definitions import Settings
from connectors.kafka.settings import KafkaRefused, properties, without_secrets


def settings(**options: object) -> Settings:
    return Settings("web", "kafka", {"bootstrap_servers": "b:1", "topic": "t"} | options)


def test_properties_are_passed_on_over_ours_but_not_over_what_stands_firm() -> None:
    given = settings(**{"linger.ms": 7, "enable.x": True, "group": "g", "start": "latest"})
    found = properties(given, {"acks": "all"}, {"linger.ms": 5, "client.id": "usher"})
    found.pop("logger")
    assert found == {
        "bootstrap.servers": "b:1",
        "linger.ms": "7",
        "enable.x": "true",
        "client.id": "usher",
        "acks": "all",
    }
    with pytest.raises(KafkaRefused, match="'acks' cannot be set: it is always all here"):
        properties(settings(acks="0"), {"acks": "all"}, {})


def test_no_secret_is_in_what_a_client_says() -> None:
    given = settings(**{"sasl.password": "pa55", "ssl.key.pem": "KEY", "sasl.username": "me"})
    assert without_secrets("me: pa55 does not open KEY", given) == "me: *** does not open ***"
    assert "pa55" not in repr(given)
