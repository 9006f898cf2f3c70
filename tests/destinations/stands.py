"""Where destinations deliver to in the tests: what each is opened with, and what it has."""

from __future__ import annotations

import io
import json
import signal
import urllib.request
import uuid
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import boto3
import psycopg
import pyarrow.parquet as pq
import redis
from botocore.config import Config
from typing_extensions import override

from audience_dsl.definitions import Settings
from connectors.destinations.destination import Destination
from connectors.destinations.kafka import Kafka
from connectors.destinations.place import Place
from connectors.destinations.registry import open_destination
from connectors.destinations.stdout import Stdout
from examples.kafka.broker import USER
from tests.destinations.gate import Gate
from tests.destinations.redis_server import PASSWORD
from tests.kafka.broker import Broker, Elsewhere, Topic
from tests.membership.servers import PostgresServer

SECRET = "geh'eim%/$ü-9f8e7d"

Heads = Mapping[str, tuple[int, bool]]
State = Literal["open", "shut", "silent"]


class Stand(ABC):
    """One system, with a place in it that is this test's alone."""

    kind: str
    gates: Sequence[State] = ()
    """How it can be out of reach here."""
    bad: Mapping[str, object] | None = None
    """Options whose credentials, `SECRET` among them, it refuses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.said: list[str] = []

    @property
    @abstractmethod
    def options(self) -> dict[str, object]: ...

    @abstractmethod
    def bodies(self) -> list[dict[str, Any]] | None:
        """All that has arrived, in order for each user; `None` where only the last state is."""

    def heads(self) -> Heads:
        """The last that is known of each user: a sequence, and whether it is a member."""
        bodies = sorted(self.bodies() or [], key=lambda one: int(one["sequence"]))
        return {one["user_id"]: (one["sequence"], one["type"] == "entered") for one in bodies}

    def open(self, **more: object) -> Destination:
        place = Place(self.root, self.said.append)
        return self.opened(Settings("bus", self.kind, self.options | more), place)

    def opened(self, settings: Settings, place: Place) -> Destination:
        return open_destination(settings, place)

    def turn(self, state: State) -> None:
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027  most have nothing to let go of
        """Nothing of it is left."""


class FileStand(Stand):
    kind = "file"

    @property
    @override
    def options(self) -> dict[str, object]:
        return {"path": "out/{date}/t.jsonl"}

    @override
    def bodies(self) -> list[dict[str, Any]]:
        (path,) = self.root.glob("out/*/t.jsonl")
        return [json.loads(line) for line in path.read_bytes().splitlines()]


class ParquetStand(Stand):
    kind = "file"

    @property
    @override
    def options(self) -> dict[str, object]:
        return {"path": "out/t.parquet", "format": "parquet"}

    @override
    def bodies(self) -> list[dict[str, Any]]:
        files = self.root.glob("out/t*.parquet")  # t.parquet, t.2.parquet, ...
        ordered = sorted(files, key=lambda one: int(f"0{one.stem.partition('.')[2]}"))
        return [row for path in ordered for row in rows(path)]


def rows(path: Path) -> list[dict[str, Any]]:
    """Rows as records: without what a cause does not have, and instants as texts."""
    found = []
    for row in pq.ParquetFile(path).read().to_pylist():
        row["cause"] = {name: value for name, value in row["cause"].items() if value is not None}
        for name in ("effective_at", "emitted_at"):
            row[name] = f"{row[name]:%Y-%m-%dT%H:%M:%S.%fZ}"
        if row["mapping"] is None:
            del row["mapping"]
        found.append(row)
    return found


class StdoutStand(Stand):
    kind = "stdout"

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._stream = io.BytesIO()

    @property
    @override
    def options(self) -> dict[str, object]:
        return {}

    @override
    def opened(self, settings: Settings, place: Place) -> Destination:
        return Stdout(settings, place, self._stream)

    @override
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().splitlines()]


class KafkaStand(Stand):
    kind = "kafka"

    def __init__(self, root: Path, broker: Broker | Elsewhere) -> None:
        super().__init__(root)
        self._broker = broker
        self._topic = Topic(broker.servers, 3)
        if isinstance(broker, Broker):
            self.gates = ("shut", "silent")
            self.bad = {
                "bootstrap_servers": broker.sasl_servers,
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "PLAIN",
                "sasl.username": USER,
                "sasl.password": SECRET,
            }

    @property
    @override
    def options(self) -> dict[str, object]:
        return {"topic": self._topic.name, "bootstrap_servers": self._broker.servers}

    @override
    def opened(self, settings: Settings, place: Place) -> Destination:
        return Kafka(settings, place, patience=3.0)

    @override
    def bodies(self) -> list[dict[str, Any]]:
        found = self._topic.messages()
        bodies = [json.loads(one.value() or b"") for one in found]
        for message, body in zip(found, bodies, strict=True):
            assert dict(message.headers() or []) == {"id": body["id"].encode()}
            assert (message.key() or b"").decode() == body["user_id"]
        return bodies

    @override
    def turn(self, state: State) -> None:
        assert isinstance(self._broker, Broker)
        if state == "shut":
            self._broker.kill()
        elif state == "silent":
            self._broker.process.send_signal(signal.SIGSTOP)
        elif self._broker.process.poll() is None:
            self._broker.process.send_signal(signal.SIGCONT)
        else:
            self._broker.start()


class GatedStand(Stand):
    gates = ("shut", "silent")

    def __init__(self, root: Path, target: tuple[str, int] | str) -> None:
        super().__init__(root)
        self.gate = Gate(target)

    @override
    def turn(self, state: State) -> None:
        self.gate.turn(state)

    @override
    def close(self) -> None:
        self.gate.close()


class PostgresStand(GatedStand):
    kind = "postgres"

    def __init__(self, root: Path, server: PostgresServer, exits: str) -> None:
        self._url = server.url
        super().__init__(root, f"{server.host}/.s.PGSQL.5432")
        self._exits = exits
        self.table = f"Members_{uuid.uuid4().hex[:8]}"
        self.bad = {"user": "guarded", "password": SECRET}

    @property
    @override
    def options(self) -> dict[str, object]:
        reached = {"host": "127.0.0.1", "port": self.gate.port, "tls": "disable"}
        named = {"database": "postgres", "user": "usher", "table": f"public.{self.table}"}
        return reached | named | {"exits": self._exits}

    def rows(self, table: str = "") -> list[dict[str, Any]]:
        with psycopg.connect(self._url) as connection:
            cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
            return cursor.execute(f'SELECT * FROM "{table or self.table}"').fetchall()

    @override
    def bodies(self) -> None:
        return None

    @override
    def heads(self) -> Heads:
        heads = {one["user_id"]: (one["sequence"], one["member"]) for one in self.rows()}
        if self._exits == "delete":
            assert all(member for _, member in heads.values())
            for one in self.rows(f"{self.table}_exits"):
                assert one["user_id"] not in heads
                heads[one["user_id"]] = (one["sequence"], False)
        return heads


class RedisStand(GatedStand):
    kind = "redis"

    def __init__(self, root: Path, path: str, sets: str) -> None:
        super().__init__(root, path)
        self._sets = sets
        self.prefix = f"t{uuid.uuid4().hex[:8]}"
        self.client = redis.Redis(unix_socket_path=path, password=PASSWORD, decode_responses=True)
        self.bad = {"password": SECRET}

    @property
    @override
    def options(self) -> dict[str, object]:
        reached = {"host": "127.0.0.1", "port": self.gate.port, "password": PASSWORD}
        return reached | {"prefix": self.prefix, "sets": self._sets, "stream": self._stream}

    @property
    def _stream(self) -> str:
        return f"{self.prefix}:all"

    @override
    def bodies(self) -> list[dict[str, Any]]:
        entries: Any = self.client.xrange(self._stream)
        return [json.loads(fields["body"]) for _, fields in entries]

    @override
    def heads(self) -> Heads:
        heads = super().heads()
        members: Any = {user for user, (_, member) in heads.items() if member}
        if self._sets == "audience":
            assert self.client.smembers(f"{self.prefix}:users:audience:keen") == members
        else:
            kept = f"{self.prefix}:users:user:"
            found = {str(key).removeprefix(kept) for key in self.client.scan_iter(count=1000)}
            assert found & heads.keys() == members
            assert all(self.client.smembers(kept + user) == {"keen"} for user in members)
        return heads

    @override
    def close(self) -> None:
        super().close()
        self.client.close()


class AwsStand(GatedStand):
    """One service of moto's server; `url` is where it listens."""

    bad: Mapping[str, object] | None = {
        "access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "secret_access_key": SECRET,
    }

    def __init__(self, root: Path, address: tuple[str, int]) -> None:
        super().__init__(root, address)
        self.url = f"http://{address[0]}:{address[1]}"
        self.name = f"t{uuid.uuid4().hex[:8]}"
        self.seen: list[dict[str, Any]] = []
        self.make()

    @abstractmethod
    def make(self) -> None: ...

    @property
    @abstractmethod
    def named(self) -> dict[str, object]: ...

    @property
    @override
    def options(self) -> dict[str, object]:
        reached = {"endpoint_url": f"http://127.0.0.1:{self.gate.port}", "region": "eu-central-1"}
        return reached | {"access_key_id": "key", "secret_access_key": "any"} | self.named

    def client(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name="eu-central-1",
            aws_access_key_id="key",
            aws_secret_access_key="any",
            endpoint_url=self.url,
            config=Config(retries={"total_max_attempts": 1}),
        )

    def check_credentials(self, after: str) -> None:
        """From the request with that number on, credentials are looked at; `inf` is never."""
        headers = {"Content-Type": "text/plain"}
        url = f"{self.url}/moto-api/reset-auth"
        asked = urllib.request.Request(url, after.encode(), headers)
        urllib.request.urlopen(asked).close()

    def make_queue(self) -> str:
        attributes = {"FifoQueue": "true", "VisibilityTimeout": "300"}
        made = self.client("sqs").create_queue(QueueName=f"{self.name}.fifo", Attributes=attributes)
        return str(made["QueueUrl"])

    def receive(self, url: str) -> list[dict[str, Any]]:
        sqs = self.client("sqs")
        while True:
            asked = {"QueueUrl": url, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 0}
            found = sqs.receive_message(**asked).get("Messages", [])
            for one in found:
                self.seen.append(json.loads(one["Body"]))
                sqs.delete_message(QueueUrl=url, ReceiptHandle=one["ReceiptHandle"])
            if not found:
                return self.seen


class SqsStand(AwsStand):
    kind = "sqs"

    @override
    def make(self) -> None:
        self._queue = self.make_queue()

    @property
    @override
    def named(self) -> dict[str, object]:
        return {"queue_url": self._queue}

    @override
    def bodies(self) -> list[dict[str, Any]]:
        return self.receive(self._queue)


class SnsStand(AwsStand):
    kind = "sns"

    @override
    def make(self) -> None:
        self._queue = self.make_queue()
        sns = self.client("sns")
        attributes = {"FifoTopic": "true", "ContentBasedDeduplication": "false"}
        made = sns.create_topic(Name=f"{self.name}.fifo", Attributes=attributes)
        self._arn = made["TopicArn"]
        queue = self.client("sqs").get_queue_attributes(
            QueueUrl=self._queue, AttributeNames=["QueueArn"]
        )
        sns.subscribe(
            TopicArn=self._arn,
            Protocol="sqs",
            Endpoint=queue["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": "true"},
        )

    @property
    @override
    def named(self) -> dict[str, object]:
        return {"topic_arn": self._arn}

    @override
    def bodies(self) -> list[dict[str, Any]]:
        return self.receive(self._queue)


class KinesisStand(AwsStand):
    kind = "kinesis"

    @override
    def make(self) -> None:
        self.client("kinesis").create_stream(StreamName=self.name, ShardCount=3)

    @property
    @override
    def named(self) -> dict[str, object]:
        return {"stream": self.name}

    @override
    def bodies(self) -> list[dict[str, Any]]:
        kinesis = self.client("kinesis")
        found = []
        for shard in kinesis.list_shards(StreamName=self.name)["Shards"]:
            place = kinesis.get_shard_iterator(
                StreamName=self.name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )["ShardIterator"]
            found += kinesis.get_records(ShardIterator=place, Limit=10_000)["Records"]
        bodies = [json.loads(one["Data"]) for one in found]
        assert [one["PartitionKey"] for one in found] == [one["user_id"] for one in bodies]
        return bodies


class S3Stand(AwsStand):
    kind = "s3"

    @override
    def make(self) -> None:
        place = {"LocationConstraint": "eu-central-1"}
        self.client("s3").create_bucket(Bucket=self.name, CreateBucketConfiguration=place)

    @property
    @override
    def named(self) -> dict[str, object]:
        return {"bucket": self.name}

    def keys(self) -> list[str]:
        return [one["Key"] for one in self._s3.list_objects_v2(Bucket=self.name)["Contents"]]

    @override
    def bodies(self) -> list[dict[str, Any]]:
        objects = [self._s3.get_object(Bucket=self.name, Key=key) for key in self.keys()]
        lines = b"".join(one["Body"].read() for one in objects).splitlines()
        return [json.loads(line) for line in lines]

    @property
    def _s3(self) -> Any:
        return self.client("s3")
