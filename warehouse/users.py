"""The users of a snapshot, in the order of their hashes; the key is checked on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]

from engine.hashing import stable_hashes
from engine.plan import Int64s
from engine.texts import Texts
from warehouse.errors import WarehouseError


def order_users(batches: list[Any], primary_key: str) -> tuple[Texts, Int64s, Int64s]:
    """Put users in the ascending order of their hashes.

    Args:
        batches: Arrow arrays of the users' ids.
        primary_key: What to call their column in messages.

    Returns:
        The ordered users, their hashes, and for each the place where it stood in the batches.

    Raises:
        WarehouseError: a user has no id, or two rows have the same.
    """
    ids = pa.chunked_array(batches, pa.string()).cast(pa.large_string()).combine_chunks()
    _check_present(ids, primary_key)
    hashes = stable_hashes(_texts(ids))
    order = np.argsort(hashes, kind="stable")
    users = _texts(ids.take(pa.array(order)))
    hashes = hashes[order]
    _check_unique(ids, users, hashes, primary_key)
    return users, hashes, order


def _texts(ids: Any) -> Texts:
    """Arrow's own layout of a text column, without a copy of the texts."""
    _, starts, data = ids.buffers()
    starts = np.frombuffer(starts or b"", dtype=np.int64)[ids.offset : ids.offset + len(ids) + 1]
    return Texts(
        np.frombuffer(data or b"", dtype=np.uint8),
        starts.copy() if len(starts) else np.zeros(1, dtype=np.int64),
    )


def _check_present(ids: Any, primary_key: str) -> None:
    missing = ids.null_count + (pc.sum(pc.equal(ids, "")).as_py() or 0)
    if missing:
        raise WarehouseError(
            f"{missing} of {len(ids)} rows have no value in the primary "
            f"key {primary_key!r}; leave them out in a query"
        )


def _check_unique(ids: Any, users: Texts, hashes: Int64s, primary_key: str) -> None:
    """Whose ids they are is nobody's business who reads a log."""
    places = np.flatnonzero(hashes[1:] == hashes[:-1]).tolist()
    if any(_occurs_again(place, users, hashes) for place in places):
        repeated = len(ids) - pc.count_distinct(ids).as_py()
        raise WarehouseError(
            f"the primary key {primary_key!r} is not unique, {repeated:,} of {len(ids):,} rows "
            "have one that came before; choose another key, or keep one row for each in a query"
        )


def _occurs_again(place: int, users: Texts, hashes: Int64s) -> bool:
    """Equal ids have equal hashes, and stand in one run of these."""
    run = int(np.searchsorted(hashes, hashes[place], side="right"))
    return users.text(place) in (users.text(other) for other in range(place + 1, run))
