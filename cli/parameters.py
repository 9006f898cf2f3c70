"""Values on the command line that are not plain texts and numbers."""

from __future__ import annotations

import click

from audience_dsl.instants import read_instant
from dataflows.sampling import Sample


class Instant(click.ParamType[int]):
    """ISO 8601 in any zone, UTC without one; or epoch seconds, milliseconds or microseconds."""

    name = "instant"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        instant = value if isinstance(value, int) else read_instant(value)
        if instant is None:
            self.fail(f"{value!r} is no instant; write it as 2026-03-01T10:00:00Z", param, ctx)
        return instant


class Share(click.ParamType[Sample]):
    """A percentage such as 1% or 0.1%."""

    name = "percentage"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Sample:
        if isinstance(value, Sample):
            return value
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / 100
        except ValueError:
            share = 0.0
        if not (text.endswith("%") and 0.0001 / 100 <= share <= 1):
            self.fail(f"{value!r} is no share of the users; write it as 1%", param, ctx)
        return Sample(share)
