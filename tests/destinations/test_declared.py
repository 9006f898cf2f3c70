"""What each kind of destination is told in YAML, and what it says where its client is missing."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from audience_dsl.definitions import Settings
from connectors.destinations.errors import DestinationError
from connectors.destinations.place import Place
from connectors.destinations.registry import KINDS, open_destination
from tests.dsl.projects import compiled

SECRETS = {"S": "s3cret"}
KEYS = "access_key_id: k, secret_access_key: '${S}'"
LEGAL = [
    "{type: stdout}",
    "{type: file, path: 'out/{date}/{hour}.jsonl', max_bytes: 1000}",
    "{type: file, path: out/t.parquet, format: parquet, complete_after: 1m}",
    "{type: kafka, bootstrap_servers: 'h:1', topic: t, linger.ms: 5}",
    "{type: postgres, host: h, database: d, table: crm.Members, password: '${S}', exits: delete}",
    "{type: redis, host: h, password: '${S}', sets: user, stream: s, stream_length: 10}",
    f"{{type: sqs, queue_url: 'https://sqs/1/q.fifo', region: r, {KEYS}}}",
    f"{{type: sns, topic_arn: 'arn:aws:sns:r:1:t', region: r, {KEYS}}}",
    "{type: kinesis, stream: s, region: r}",
    f"{{type: s3, bucket: b, prefix: audiences/, region: r, {KEYS}, endpoint_url: 'http://minio:9000'}}",
]


@pytest.mark.parametrize("written", LEGAL)
def test_what_is_legal_opens_without_a_connection(written: str, tmp_path: Path) -> None:
    text = f"destinations: {{one: {written}}}"
    project = compiled(text, SECRETS).project
    assert project is not None, compiled(text, SECRETS).diagnostics
    open_destination(project.destinations["one"], Place(tmp_path, lambda _: None))


MISTAKES = {
    "{type: stdout, path: x}": "unknown key 'path'",
    "{type: file, path: x, format: csv}": "'csv'",
    "{type: file, path: x, max_bytes: 0}": "nothing could be written",
    "{type: postgres, host: h, database: d, table: 'a.b.c'}": "a table such as",
    "{type: postgres, host: h, database: d, table: t, password: open}": "environment",
    "{type: redis, host: h, sets: both}": "'both'",
    "{type: sqs, queue_url: q, region: r}": "the URL of a queue",
    "{type: sqs, queue_url: 'https://q', region: r, access_key_id: k}": "go together",
    "{type: kinesis, stream: s}": "region",
}


@pytest.mark.parametrize("written", MISTAKES)
def test_mistakes_are_told_with_their_place(written: str) -> None:
    (one,) = compiled(f"destinations: {{one: {written}}}").diagnostics
    assert MISTAKES[written] in f"{one.message} {one.help}"


@pytest.mark.parametrize(
    ("kind", "extra", "options"),
    [
        ("redis", "redis", {"host": "h"}),
        ("sqs", "aws", {"queue_url": "https://q"}),
        ("sns", "aws", {"topic_arn": "arn:a"}),
        ("kinesis", "aws", {"stream": "s"}),
        ("s3", "aws", {"bucket": "b"}),
    ],
)
def test_a_client_that_is_missing_is_one_sentence(
    kind: str, extra: str, options: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(DestinationError) as failure:
        open_destination(Settings("one", kind, options), Place(Path(), lambda _: None))
    assert str(failure.value) == (
        f"destination type '{kind}' needs a client that is not installed; "
        f"run: pip install 'usher[{extra}]'"
    )


def test_every_kind_declares_itself_under_its_name() -> None:
    assert all(kind.options.title == name for name, kind in KINDS.items())
