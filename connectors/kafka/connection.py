"""A client's connection: making it, and what is to be said when it is lost and found again.

librdkafka looks for lost brokers by itself, without end.  So an error of the connection is told
once and waited out; what waiting cannot mend is kept as `failure`, for the client's owner to stop.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer

from audience_dsl.definitions import Settings
from connectors.kafka.settings import KafkaRefused, without_secrets
from connectors.sentences import Trouble

# How long a client may take to reach its brokers when it starts.
_PATIENCE = 20.0
_ATTEMPT = 1.0

_BELIEVED = 2

_HOPELESS = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001  so the library spells its constants
        KafkaError._SSL,  # noqa: SLF001
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
    }
)

_REFUSALS = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_EXCEPTION,
    }
)

Tell = Callable[[str], None]


class Connection:
    """What a client has said of its connection; `name` is whose it is, as `source 'web'`."""

    def __init__(self, settings: Settings, name: str, tell: Tell) -> None:
        self._settings = settings
        self._name = name
        self._tell = tell
        self.last = ""
        """What the client has said last of its connection."""
        self.servers = str(settings.options["bootstrap_servers"])
        self.topic = str(settings.options["topic"])
        self.doubtful = False
        """Whether something was lost and has not been seen to work since."""
        self._lost = False
        self._streak = 0  # of looks that showed the same; negative: no answer
        self.failure = ""
        """Why the client cannot go on, if it cannot."""

    def heard(self, error: KafkaError) -> None:
        """Take note of an error of the client as a whole."""
        self.doubtful = True
        self._streak = 0
        if error.code() == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001
            self._lose()
            return
        self.last = self.said(error)
        if error.fatal() or error.code() in _HOPELESS:
            self.failure = self.problem(f"Kafka at {self.servers} refuses us: {self.last}")

    def seen(self, *, answers: bool) -> None:
        """Take note of a look at the brokers that are needed.

        What it shows is believed when it is seen twice in a row: a look may be older than an error
        that has been heard since, and while a partition changes its leader nobody answers for it.
        """
        self._streak = max(self._streak, 0) + 1 if answers else min(self._streak, 0) - 1
        if not answers:
            self.doubtful = True
        if self._streak == -_BELIEVED:
            self._lose()
        elif self._streak >= _BELIEVED:
            self.works()

    def _lose(self) -> None:
        if not self._lost:
            self._lost = True
            reason = f" ({self.last})" if self.last else ""
            lost = f"{self._name}: Kafka at {self.servers} is out of reach{reason}; waiting"
            self._tell(Trouble(lost))

    def works(self) -> None:
        """Everything works, again or still."""
        self.doubtful = False
        if self._lost:
            self._lost = False
            self._tell(f"{self._name}: Kafka at {self.servers} is there again")

    def said(self, error: KafkaError) -> str:
        """The client's own words for an error, without our secrets."""
        return without_secrets(str(error.str()), self._settings)

    def problem(self, what: str) -> str:
        """A sentence that says whose problem it is, once."""
        return f"{self._name}: {what.removeprefix(f'{self._name}: ')}"

    def await_topic(self, client: Consumer | Producer, patience: float = _PATIENCE) -> None:
        """Return when the brokers have been reached and know the topic, within some seconds.

        Raises:
            KafkaRefused: they cannot, or there is no such topic for us.
        """
        deadline = time.monotonic() + patience
        while True:
            try:
                error = client.list_topics(self.topic, _ATTEMPT).topics[self.topic].error
            except KafkaException as exception:
                self.last = self.last or self.said(exception.args[0])
            else:
                if error is None:
                    self.works()
                    return
                if error.code() in _REFUSALS or time.monotonic() > deadline:
                    raise KafkaRefused(self._refusal(error))
            client.poll(0.1)  # lets the client tell its errors
            if self.failure:
                raise KafkaRefused(self.failure)
            if time.monotonic() > deadline:
                reason = self.last or "no answer"
                raise KafkaRefused(f"Kafka at {self.servers} cannot be reached: {reason}")

    def _refusal(self, error: KafkaError) -> str:
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return (
                f"topic '{self.topic}' does not exist at {self.servers}; create it, or correct "
                "'topic'"
            )
        return f"topic '{self.topic}' at {self.servers}: {self.said(error)}"
