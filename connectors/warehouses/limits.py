"""How much may be read, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from audience_dsl.definitions import Settings
from audience_dsl.durations import format_duration

HOUR = 3_600_000_000
ROWS_MOST = 100_000_000
BYTES_MOST = 64 * 2**30


@dataclass(frozen=True, slots=True)
class Limits:
    """`timeout` in microseconds, from the first question to the last row; bytes are Arrow's."""

    timeout: int = HOUR
    rows: int = ROWS_MOST
    bytes: int = BYTES_MOST

    @staticmethod
    def of(warehouse: Settings | None) -> Limits:
        options = {} if warehouse is None else warehouse.options
        given = {
            name: int(str(options[key]))
            for name, key in (("timeout", "timeout"), ("rows", "max_rows"), ("bytes", "max_bytes"))
            if options.get(key) is not None
        }
        return Limits(**given)

    def exceeded(self, rows: int, size: int) -> str:
        """What is too much, with the setting that allows more; "" if nothing is."""
        if rows > self.rows:
            return f"it has more than {self.rows:,} rows; raise `warehouse: max_rows` to allow more"
        if size > self.bytes:
            return f"it is larger than {self.bytes:,} bytes; raise `warehouse: max_bytes`"
        return ""

    @property
    def too_long(self) -> str:
        return (
            f"it took longer than {format_duration(self.timeout)}; raise `warehouse: timeout` to "
            "allow more"
        )
