"""Inputs between processes: one run of bytes instead of a dozen arrays.

Bytewax pickles whatever goes to another process, an item at a time.  A key group's part of a step
is small and has many columns, each of which would be pickled as an object of its own; and texts
that were cut out of a longer column would take all of it along.  Columns of wider numbers come
first, so that all are aligned when they are mapped again.
"""

from __future__ import annotations

import copyreg
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.inputs import Inputs
from engine.plan import Lists
from engine.texts import Texts

_COUNTS = 5  # texts, bytes of users, bytes of message ids, lists, items of lists


def packed(inputs: Inputs) -> bytes:
    """All columns one after the other, and before them how long they are."""
    users, message_ids = _alone(inputs.users), _alone(inputs.message_ids)
    counts = np.array(
        [
            inputs.size,
            users.data.size,
            message_ids.data.size,
            inputs.sets.starts.size - 1,
            inputs.sets.items.size,
        ],
        dtype=np.int64,
    )
    columns = (
        counts,
        users.starts,
        message_ids.starts,
        inputs.user_hashes,
        inputs.timestamps,
        inputs.arrivals,
        inputs.message_hashes,
        inputs.sets.starts,
        inputs.condition_sets,
        inputs.sets.items,
        users.data,
        message_ids.data,
        inputs.tallied,
    )
    return b"".join([column.tobytes() for column in columns])


def unpacked(data: bytes) -> Inputs:
    """What was packed, in read-only columns."""
    count, user_bytes, id_bytes, lists, items = np.frombuffer(data, np.int64, _COUNTS).tolist()
    place = _COUNTS * 8

    def column(type: npt.DTypeLike, length: int) -> npt.NDArray[Any]:
        nonlocal place
        array: npt.NDArray[Any] = np.frombuffer(data, type, length, place)
        place += array.nbytes
        return array

    user_starts, id_starts = column(np.int64, count + 1), column(np.int64, count + 1)
    user_hashes, timestamps = column(np.int64, count), column(np.int64, count)
    arrivals, message_hashes = column(np.int64, count), column(np.int64, count)
    list_starts, condition_sets = column(np.int64, lists + 1), column(np.int32, count)
    list_items, user_data = column(np.int32, items), column(np.uint8, user_bytes)
    id_data, tallied = column(np.uint8, id_bytes), column(np.bool_, count)
    return Inputs(
        users=Texts(user_data, user_starts),
        user_hashes=user_hashes,
        timestamps=timestamps,
        arrivals=arrivals,
        message_ids=Texts(id_data, id_starts),
        message_hashes=message_hashes,
        condition_sets=condition_sets,
        sets=Lists(list_starts, list_items),
        tallied=tallied,
    )


def _alone(texts: Texts) -> Texts:
    """The texts without the bytes of others."""
    first, end = int(texts.starts[0]), int(texts.starts[-1])
    if first == 0 and end == texts.data.size:
        return texts
    return Texts(texts.data[first:end], texts.starts - first)


def pack_inputs() -> None:
    """From now on, whatever inputs this process pickles are packed."""
    copyreg.pickle(Inputs, lambda inputs: (unpacked, (packed(inputs),)))
