"""Calls that block, in threads of their own: neither the loop nor whoever closes waits for them.

A client may hang where no time-out of its own reaches.  So its threads are never joined: who is
closed lets go of what is under way, and the process may end with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

_X = TypeVar("_X")

# Seconds for which a client may say goodbye.
_FAREWELL = 5.0


class Abandoned(Exception):
    """Nobody waits for this call any more; whether it was carried out is not known."""


class Threads:
    """`count` threads that carry out calls in the order in which they are given.

    It belongs to one event loop; the threads begin with the first call.
    """

    def __init__(self, name: str, count: int = 1) -> None:
        self._name = name
        self._count = count
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._waiting: set[asyncio.Future[Any]] = set()
        self._started = False
        self._closed = False

    async def run(self, call: Callable[[], _X]) -> _X:
        """What a call returns or raises.

        Raises:
            Abandoned: the threads were closed first.
        """
        if self._closed:
            raise Abandoned
        if not self._started:
            self._started = True
            for _ in range(self._count):
                Thread(target=self._work, name=self._name, daemon=True).start()
        future: asyncio.Future[_X] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        self._calls.put(_Call(call, future))
        try:
            return await future
        finally:
            self._waiting.discard(future)

    async def close(self, farewell: Callable[[], object] | None = None) -> None:
        """Abandon all calls; then carry out a last one, if there was a first, for some seconds."""
        if self._closed:
            return
        for future in self._waiting:
            if not future.done():
                future.set_exception(Abandoned())
        if self._started:
            if farewell is not None:
                # What is under way keeps its thread; then the farewell comes when it is free.
                with suppress(Exception):
                    await asyncio.wait_for(self.run(farewell), _FAREWELL)
            for _ in range(self._count):
                self._calls.put(None)
        self._closed = True

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call.carry_out()


@dataclass(slots=True)
class _Call:
    call: Callable[[], Any]
    future: asyncio.Future[Any]

    def carry_out(self) -> None:
        if self.future.done():  # abandoned before it began
            return
        value, error = None, None
        try:
            value = self.call()
        except BaseException as raised:  # noqa: BLE001  whoever waits is told
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self.future.get_loop().call_soon_threadsafe(self._settle, value, error)

    def _settle(self, value: object, error: BaseException | None) -> None:
        if self.future.done():
            return
        if error is None:
            self.future.set_result(value)
        else:
            self.future.set_exception(error)
