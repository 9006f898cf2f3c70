"""What the services of AWS answer when they do not take everything: word for word, over HTTP."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typing_extensions import override

from audience_dsl.definitions import Settings
from connectors.destinations.destination import Answer, Message, Verdict
from connectors.destinations.place import Place
from connectors.destinations.registry import open_destination
from tests.destinations.messages import USERS, message, texts, verdicts

ACCEPTED, RETRY, REJECTED = Verdict.ACCEPTED, Verdict.RETRY, Verdict.REJECTED


class Service:
    """A server that gives the answers of a list, and keeps what it was asked."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, object]] = []
        self.asked: list[Any] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.asked.append(json.loads(body))
                status, answer = service.answers.pop(0)
                content = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            @override
            def log_message(self, *_arguments: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def service() -> Iterator[Service]:
    one = Service()
    yield one
    one.close()


def sent(service: Service, kind: str, messages: Sequence[Message], **named: object) -> Answer:
    options = {"region": "eu-central-1", "endpoint_url": service.url}
    options |= {"access_key_id": "key", "secret_access_key": "geheim"}
    place = Place(Path(), lambda _: None)

    async def through() -> Answer:
        one = open_destination(Settings("bus", kind, options | named), place)
        answer = await one.send(messages)
        await one.close()
        return answer

    return asyncio.run(through())


def to_queue(service: Service, *messages: Message, name: str = "q.fifo") -> Answer:
    return sent(service, "sqs", messages, queue_url=f"{service.url}/1/{name}")


def taken(*numbers: int) -> list[dict[str, str]]:
    return [{"Id": str(one), "MessageId": "m", "MD5OfMessageBody": ""} for one in numbers]


def failed(number: int, code: str, *, ours: bool) -> dict[str, object]:
    return {"Id": str(number), "Code": code, "Message": "why", "SenderFault": ours}


@pytest.fixture(autouse=True)
def without_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client would compare digests of bodies, which these answers do not have."""
    monkeypatch.setenv("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")


def test_a_queue_that_takes_some_of_a_request(service: Service) -> None:
    service.answers = [
        (
            200,
            {
                "Successful": taken(1),
                "Failed": [
                    failed(0, "ThrottlingException", ours=True),
                    failed(2, "InvalidMessageContents", ours=True),
                ],
            },
        ),
        (200, {"Successful": taken(0, 1), "Failed": []}),
    ]
    users = ["a", "b", "c", "a", "b", "c", "a"]
    messages = [message(user, number) for number, user in enumerate(users, 1)]
    answer = to_queue(service, *messages)
    assert [one.verdict for one in answer.outcomes] == [
        *(RETRY, ACCEPTED, REJECTED),
        *(RETRY, ACCEPTED, ACCEPTED, RETRY),
    ]
    assert answer.outcomes[0].reason == "ThrottlingException: why"
    asked = [[one["MessageGroupId"] for one in request["Entries"]] for request in service.asked]
    assert asked == [["a", "b", "c"], ["b", "c"]]  # whatever follows a's first one waits


def test_a_stream_that_takes_some_of_a_request(service: Service) -> None:
    service.answers = [
        (
            200,
            {
                "FailedRecordCount": 1,
                "Records": [
                    {
                        "ErrorCode": "ProvisionedThroughputExceededException",
                        "ErrorMessage": "Rate exceeded for shard",
                    },
                    {"SequenceNumber": "1", "ShardId": "s"},
                ],
            },
        ),
        (200, {"FailedRecordCount": 0, "Records": [{"SequenceNumber": "2", "ShardId": "s"}]}),
    ]
    messages = [message("a", 1), message("b", 1), message("a", 2), message("b", 2)]
    answer = sent(service, "kinesis", messages, stream="s")
    assert [one.verdict for one in answer.outcomes] == [RETRY, ACCEPTED, RETRY, ACCEPTED]
    assert "Rate exceeded" in answer.outcomes[0].reason


ERRORS = {
    "ThrottlingException": (400, RETRY),
    "RequestThrottled": (400, RETRY),
    "InternalFailure": (500, RETRY),
    "ServiceUnavailable": (503, RETRY),
    "AccessDeniedException": (403, Verdict.REFUSED),
    "UnrecognizedClientException": (400, Verdict.REFUSED),
    "ExpiredTokenException": (400, Verdict.REFUSED),
    "KmsAccessDenied": (400, Verdict.REFUSED),
    "QueueDoesNotExist": (400, Verdict.REFUSED),
    "BatchRequestTooLong": (400, Verdict.TOO_LARGE),
    "SomethingNobodyHasHeardOf": (400, Verdict.TOO_LARGE),
}


@pytest.mark.parametrize("code", ERRORS)
def test_errors_of_a_whole_request(service: Service, code: str) -> None:
    status, verdict = ERRORS[code]
    service.answers = [(status, {"__type": f"com.amazonaws.sqs#{code}", "message": "it is so"})]
    answer = to_queue(service, message("a", 1), message("b", 1), message("a", 2))
    assert verdicts(answer) == {verdict, RETRY}  # what comes after a's first one was not tried
    assert f"queue q.fifo: {code}: it is so" in texts(answer)
    assert len(service.asked) == 1  # the client does not try again by itself


def test_a_fifo_queue_is_given_groups_and_ids_that_it_takes(service: Service) -> None:
    service.answers = [(200, {"Successful": taken(*range(len(USERS))), "Failed": []})]
    messages = [message(user, 1) for user in USERS]
    assert verdicts(to_queue(service, *messages)) == {ACCEPTED}
    entries = service.asked[0]["Entries"]
    groups = [one["MessageGroupId"] for one in entries]
    assert groups[0] == "u1"
    assert len(set(groups)) == len(USERS)
    assert all(len(one) <= 128 and one.isascii() and one.isprintable() for one in groups)
    assert [one["MessageDeduplicationId"] for one in entries] == [one.id for one in messages]
    assert entries[0]["MessageAttributes"]["audience"]["StringValue"] == "keen"


def test_a_standard_queue_has_no_groups(service: Service) -> None:
    service.answers = [(200, {"Successful": taken(0), "Failed": []})]
    assert verdicts(to_queue(service, message("a", 1), name="q")) == {ACCEPTED}
    assert not {"MessageGroupId", "MessageDeduplicationId"} & service.asked[0]["Entries"][0].keys()


def test_an_answer_that_forgets_a_message_is_no_acceptance(service: Service) -> None:
    service.answers = [(200, {"Successful": taken(1)})]
    answer = to_queue(service, message("a", 1), message("b", 1))
    assert [one.verdict for one in answer.outcomes] == [RETRY, ACCEPTED]


def test_without_credentials_the_sync_pauses(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    options = {"access_key_id": None, "secret_access_key": None}
    answer = sent(service, "sqs", [message("a", 1)], queue_url=f"{service.url}/1/q", **options)
    assert verdicts(answer) == {Verdict.REFUSED}
    assert "Unable to locate credentials" in texts(answer)
