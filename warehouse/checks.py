"""Whether what was pulled can be meant: it would move all users who are not in it.

That keys are unique and there, and that columns read as declared, is found on the way
(`warehouse/users.py`, `warehouse/attributes.py`).  Here the result is compared with the snapshot in
force.
"""

from __future__ import annotations

from audience_dsl.definitions import ParentModel
from warehouse.errors import WarehouseError
from warehouse.snapshot import Manifest


def check_against(before: Manifest, after: Manifest, model: ParentModel) -> None:
    """Compare a pull with the one before.

    Raises:
        WarehouseError: there are far fewer rows, or none, or far fewer values of a column can be
            read.
    """
    allow = f"if that is meant, run: usher pull {model.key} --allow-shrink"
    if before.rows and not after.rows:
        raise WarehouseError(f"it has no rows, where there were {before.rows:,}; {allow}")
    most = model.rules.max_shrink
    fallen = (before.rows - after.rows) / max(before.rows, 1)
    if fallen > most:
        raise WarehouseError(
            f"it has {after.rows:,} rows, where there were {before.rows:,}: {fallen:.1%} fewer, "
            f"and `pull: max_shrink` is {most * 100:.5g}%; {allow}"
        )
    for name, unreadable in after.unreadable.items():
        earlier = before.unreadable.get(name, 0) / max(before.rows, 1)
        share = unreadable / max(after.rows, 1)
        if name in before.columns and share - earlier > most:
            raise WarehouseError(
                f"{unreadable:,} values of column {name!r} do not read as "
                f"{after.columns[name]}, where {before.unreadable.get(name, 0):,} did not; mend "
                f"the column, or {allow}"
            )
