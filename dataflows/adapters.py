"""Plain iterators and functions as Bytewax sources and sinks.

Where they have one partition, that means one order: whatever the number of workers, items enter in
the order of the iterator, and each key's items reach the function in the order in which they were
emitted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from bytewax.inputs import FixedPartitionedSource, StatefulSourcePartition
from bytewax.outputs import (
    DynamicSink,
    FixedPartitionedSink,
    StatefulSinkPartition,
    StatelessSinkPartition,
)
from typing_extensions import override

from dataflows.threads import keep_thread_state

_X = TypeVar("_X")

_PARTITION = "all"


class IteratorSource(FixedPartitionedSource[_X, None], Generic[_X]):
    """Emits what an iterator yields, then ends.  Not resumable."""

    def __init__(self, items: Iterator[_X]) -> None:
        self._items = items

    @override
    def list_parts(self) -> list[str]:
        return [_PARTITION]

    @override
    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> StatefulSourcePartition[_X, None]:
        keep_thread_state()
        return _IteratorPartition(self._items)


class _IteratorPartition(StatefulSourcePartition[_X, None]):
    def __init__(self, items: Iterator[_X]) -> None:
        self._items = items

    @override
    def next_batch(self) -> list[_X]:
        return [next(self._items)]

    @override
    def snapshot(self) -> None:
        return None


class CallbackSink(FixedPartitionedSink[_X, None], Generic[_X]):
    """Hands items' values to a function, some at a time."""

    def __init__(self, take: Callable[[Sequence[_X]], None]) -> None:
        self._take = take

    @override
    def list_parts(self) -> list[str]:
        return [_PARTITION]

    @override
    def part_fn(self, item_key: str) -> int:
        return 0

    @override
    def build_part(
        self, step_id: str, for_part: str, resume_state: None
    ) -> StatefulSinkPartition[_X, None]:
        return _CallbackPartition(self._take)


class _CallbackPartition(StatefulSinkPartition[_X, None]):
    def __init__(self, take: Callable[[Sequence[_X]], None]) -> None:
        self._take = take

    @override
    def write_batch(self, values: list[_X]) -> None:
        self._take(values)

    @override
    def snapshot(self) -> None:
        """Nothing is kept."""


class WorkerSink(DynamicSink[tuple[str, _X]], Generic[_X]):
    """Hands the values of each worker's items to a function where they are, some at a time.

    The state that knows of them is stored when it has returned.
    """

    def __init__(self, take: Callable[[Sequence[_X]], None]) -> None:
        self._take = take

    @override
    def build(
        self, step_id: str, worker_index: int, worker_count: int
    ) -> StatelessSinkPartition[tuple[str, _X]]:
        return _WorkerPartition(self._take)


class _WorkerPartition(StatelessSinkPartition[tuple[str, _X]]):
    def __init__(self, take: Callable[[Sequence[_X]], None]) -> None:
        self._take = take

    @override
    def write_batch(self, items: list[tuple[str, _X]]) -> None:
        self._take([value for _key, value in items])
