"""A cluster of librdkafka's own, in this process: it answers a request with any error one likes.

It is part of the client library that the product uses, but not of its Python side, so its functions
are called as C has them.  It stores a few messages and speaks the protocol; administrative requests
it does not answer.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
from typing_extensions import override

from tests.kafka.broker import Topic

# Keys of the protocol's requests.
PRODUCE, FETCH, LIST_OFFSETS, OFFSET_COMMIT = 0, 1, 2, 8

_BROKER = 1


def _library() -> ctypes.CDLL:
    folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    (path,) = folder.glob("librdkafka-*.so*")
    return ctypes.CDLL(str(path))


_C = _library()


def _function(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    function = getattr(_C, f"rd_kafka_{name}")
    function.restype, function.argtypes = result, arguments
    return function


_P, _S, _I = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
_new_conf = _function("conf_new", _P)
_set_conf = _function("conf_set", _I, _P, _S, _S, _P, ctypes.c_size_t)
_new_client = _function("new", _P, _I, _P, _P, ctypes.c_size_t)
_destroy_client = _function("destroy", None, _P)
_new_cluster = _function("mock_cluster_new", _P, _P, _I)
_destroy_cluster = _function("mock_cluster_destroy", None, _P)
_bootstraps = _function("mock_cluster_bootstraps", _S, _P)
_create_topic = _function("mock_topic_create", _I, _P, _S, _I, _I)
_push_errors = _function(
    "mock_push_request_errors_array",
    None,
    _P,
    ctypes.c_int16,
    ctypes.c_size_t,
    ctypes.POINTER(_I),
)
_set_down = _function("mock_broker_set_down", _I, _P, ctypes.c_int32)
_set_up = _function("mock_broker_set_up", _I, _P, ctypes.c_int32)


class Cluster:
    def __init__(self) -> None:
        conf = _new_conf()
        _set_conf(conf, b"log_level", b"0", None, 0)
        self._client = _new_client(0, conf, None, 0)
        self._cluster = _new_cluster(self._client, 1)
        self.servers = _bootstraps(self._cluster).decode()

    def topic(self, partitions: int = 1) -> Topic:
        return _TopicOf(self, partitions)

    def create(self, name: str, partitions: int) -> None:
        assert _create_topic(self._cluster, name.encode(), partitions, 1) == 0

    def fail(self, request: int, *codes: int) -> None:
        """Answer the next requests of a kind with these errors, one after the other."""
        _push_errors(self._cluster, request, len(codes), (_I * len(codes))(*codes))

    def go_down(self) -> None:
        _set_down(self._cluster, _BROKER)

    def come_up(self) -> None:
        _set_up(self._cluster, _BROKER)

    def close(self) -> None:
        _destroy_cluster(self._cluster)
        _destroy_client(self._client)


class _TopicOf(Topic):
    def __init__(self, cluster: Cluster, partitions: int) -> None:
        self._cluster = cluster
        super().__init__(cluster.servers, partitions)

    @override
    def create(self, partitions: int, **config: str) -> None:
        self._cluster.create(self.name, partitions)


@contextmanager
def a_cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.close()
