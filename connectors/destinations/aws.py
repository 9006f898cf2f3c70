"""What the destinations of Amazon Web Services share: account, client, and what errors mean.

The client never repeats a request by itself: waiting and repeating are the lane's.  A queue, topic,
stream or bucket that is not there makes the sync pause, as refused credentials do: whoever creates
it, or corrects its name, finds that nothing was dropped.
"""

from __future__ import annotations

import hashlib
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from typing_extensions import override

from audience_dsl.connections import secret
from audience_dsl.definitions import Settings
from audience_dsl.shapes import Field, Flaw, Text
from connectors.destinations.blocking import Blocking, Item, need_client, said
from connectors.destinations.destination import Outcome, Verdict

_SECRET = secret("AWS_SECRET_ACCESS_KEY")

ACCOUNT = (
    Field("region", Text(), "The region, as `eu-central-1`.", required=True),
    Field(
        "access_key_id",
        Text(),
        "The access key.",
        default="what AWS clients find: in the environment, a profile, the machine's role",
    ),
    Field("secret_access_key", _SECRET, "Its secret, as `${NAME}`."),
    Field("session_token", _SECRET, "The token of temporary credentials, as `${NAME}`."),
    Field("endpoint_url", Text("a URL", r"https?://\S+"), "Another endpoint of the service."),
)

_CONNECT_SECONDS = 5
_ANSWER_SECONDS = 20
_REQUESTS = 8

_PASSING = re.compile(
    r"Throttl|Throughput|SlowDown|TooManyRequests|RequestLimit|LimitExceeded|Internal|Unavailable"
    r"|Timeout|PriorRequestNotComplete|OperationAborted|InFlight|OverLimit"
)
_REFUSED = re.compile(
    r"AccessDenied|AuthorizationError|AuthFailure|NotAuthorized|Unauthorized|Forbidden|Signature"
    r"|Token|Credential|UnrecognizedClient|InvalidAccessKeyId|InvalidClientTokenId|OptInRequired"
    r"|KMS|Kms|NonExistentQueue|QueueDoesNotExist|QueueDeletedRecently|NoSuchBucket"
    r"|ResourceNotFound|NotFound|PermanentRedirect|AuthorizationHeaderMalformed|EndpointDisabled"
)


def account_flaws(options: Mapping[str, object]) -> list[Flaw]:
    """Both parts of the credentials, or none."""
    if ("access_key_id" in options) == ("secret_access_key" in options):
        return []
    given = "access_key_id" if "access_key_id" in options else "secret_access_key"
    return [
        Flaw(
            (given,),
            "access_key_id and secret_access_key go together",
            "give both, or none of them",
        )
    ]


class Aws(Blocking):
    """A destination of one service.

    Raises:
        DestinationError: the client is not installed.
    """

    service: str

    def __init__(self, settings: Settings, where: str, requests: int = _REQUESTS) -> None:
        need_client(settings.type, "boto3", "aws")
        options = settings.options
        names = ("secret_access_key", "session_token", "access_key_id")
        super().__init__(settings, where, [options.get(name) for name in names], requests)
        self._options = options
        self._making = Lock()
        self._client: Any = None

    @abstractmethod
    def look(self, client: Any) -> None:
        """Ask for what is sent to, as it is."""

    @override
    def probe(self) -> None:
        self.look(self.client)

    @override
    def disconnect(self) -> None:
        if self._client is not None:
            self._client.close()

    @override
    def explain(self, error: Exception) -> Outcome:
        from botocore.exceptions import (  # type: ignore[import-untyped]
            ClientError,
            NoCredentialsError,
            ParamValidationError,
            PartialCredentialsError,
        )

        if isinstance(error, ClientError):
            told = error.response.get("Error", {})
            code, text = str(told.get("Code", "")), str(told.get("Message", ""))
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return Outcome(verdict_of(code, status), f"{self._where}: {code}: {text}")
        verdict = Verdict.RETRY
        if isinstance(error, NoCredentialsError | PartialCredentialsError):
            verdict = Verdict.REFUSED
        elif isinstance(error, ParamValidationError):
            verdict = Verdict.TOO_LARGE
        return Outcome(verdict, f"{self._where}: {said(error)}")

    @property
    def client(self) -> Any:
        """The service's client; it is made by whichever thread needs it first."""
        with self._making:
            if self._client is None:
                self._client = _client(self.service, self._options)
            return self._client

    def attempt(self, request: str, items: Sequence[Item], **arguments: Any) -> Any:
        """The answer to a request, or the outcome of all its items where there is none."""
        try:
            return getattr(self.client, request)(**arguments)
        except Exception as error:  # noqa: BLE001  `explain` knows them
            return [self.explain(error)] * len(items)


def short(text: str, allowed: str) -> str:
    """A text where a pattern allows it, otherwise a digest of it: equal for equal texts."""
    if re.fullmatch(allowed, text):
        return text
    return hashlib.sha256(text.encode()).hexdigest()


def verdict_of(code: str, status: int) -> Verdict:
    """What an error means, by the service's code for it and the status of the answer."""
    if _PASSING.search(code) or status >= 500 or status in {408, 429}:
        return Verdict.RETRY
    if _REFUSED.search(code) or status in {401, 403, 404}:
        return Verdict.REFUSED
    return Verdict.TOO_LARGE  # as it is; by smaller ones the culprit is found


def _client(service: str, options: Mapping[str, object]) -> Any:
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    session = boto3.session.Session()
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_ANSWER_SECONDS,
        retries={"total_max_attempts": 1, "mode": "standard"},
        max_pool_connections=_REQUESTS,
        user_agent_extra="usher",
    )
    return session.client(
        service,
        region_name=options["region"],
        aws_access_key_id=options.get("access_key_id"),
        aws_secret_access_key=options.get("secret_access_key"),
        aws_session_token=options.get("session_token"),
        endpoint_url=options.get("endpoint_url"),
        config=config,
    )
