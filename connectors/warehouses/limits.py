"""How much may be read, and for how long."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from audience_dsl.definitions import Settings
from audience_dsl.durations import format_duration

HOUR = 3_600_000_000
ROWS_MOST = 100_000_000
BYTES_MOST = 64 * 2**30

# Definitions are read while somebody waits, or a running job does.
_COLUMNS_WITHIN = 60_000_000


@dataclass(frozen=True, slots=True)
class Limits:
    """`timeout` in microseconds, from the first question to the last row; bytes are Arrow's."""

    timeout: int = HOUR
    rows: int = ROWS_MOST
    bytes: int = BYTES_MOST
    columns_alone: bool = False

    @staticmethod
    def of(warehouse: Settings | None) -> Limits:
        options = {} if warehouse is None else warehouse.options
        given: dict[str, Any] = {
            name: int(str(options[key]))
            for name, key in (("timeout", "timeout"), ("rows", "max_rows"), ("bytes", "max_bytes"))
            if options.get(key) is not None
        }
        return Limits(**given)

    def for_columns(self) -> Limits:
        """The limits where nothing but the columns is asked for."""
        return replace(self, timeout=min(self.timeout, _COLUMNS_WITHIN), columns_alone=True)

    def exceeded(self, rows: int, size: int) -> str:
        """What is too much, with the setting that allows more; "" if nothing is."""
        if rows > self.rows:
            return f"it has more than {self.rows:,} rows; raise `warehouse: max_rows` to allow more"
        if size > self.bytes:
            return f"it is larger than {self.bytes:,} bytes; raise `warehouse: max_bytes`"
        return ""

    @property
    def too_long(self) -> str:
        """That the time is over, with the setting that allows more where there is one."""
        timeout = format_duration(self.timeout)
        if self.columns_alone:
            return f"it did not tell its columns within {timeout}"
        return f"it took longer than {timeout}; raise `warehouse: timeout` to allow more"
