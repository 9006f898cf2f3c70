"""A preview as lines, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from audience_dsl.definitions import AudienceDefinition
from audience_dsl.instants import format_instant
from dataflows.lines import visible
from dataflows.preview import Preview, Size
from dataflows.sampling import Sample

_LONGEST_VALUE = 60

# Below it, each whole number is a float.
_EXACT = 1 << 53


def json_lines(
    key: str, audience: AudienceDefinition, found: Preview, sample: Sample, unread: Sequence[str]
) -> Iterator[str]:
    """One object a line: the preview, its conditions and groups, members, and other audiences."""
    facts = [
        {
            "type": "preview",
            "audience": key,
            "parent_model": audience.parent_model,
            "as_of": format_instant(found.at),
            "sample": sample.share,
            **_figures(found.size),
            "users": found.users,
            "snapshot": found.snapshot,
            "snapshot_taken_at": format_instant(found.taken_at),
            "snapshot_in_force": not found.is_pulled,
            "events_from": "state" if found.events is None else "recordings",
            "events_read": found.events,
            "latest_event": None if found.latest is None else format_instant(found.latest),
            "sources_not_read": list(unread),
        },
        *(
            {"type": "condition", "words": part.words, "depth": part.depth, **_figures(size)}
            for part, size in found.parts
        ),
        *(
            {"type": "member", "user_id": one.user_id, "properties": one.properties}
            for one in found.members
        ),
        *(
            {
                "type": "overlap",
                "audience": one.audience,
                **_figures(one.size),
                "both": one.both.estimate.count,
                "both_interval": [one.both.estimate.least, one.both.estimate.most],
            }
            for one in found.overlaps
        ),
    ]
    for fact in facts:
        yield json.dumps(fact, ensure_ascii=False)


def _figures(size: Size) -> dict[str, Any]:
    estimate = size.estimate
    return {
        "size": estimate.count,
        "interval": [estimate.least, estimate.most],
        "complete": size.is_complete,
    }


def text_lines(
    key: str, audience: AudienceDefinition, found: Preview, sample: Sample, unread: Sequence[str]
) -> Iterator[str]:
    """The same as tables."""
    yield f"{key}: {_size(found.size)} of {found.users:,} {audience.parent_model} in the warehouse"
    yield f"as of {format_instant(found.at)}; {_events(found)}; {_snapshot(found)}"
    for source in unread:
        yield f"without the events of source '{source}', which are not recorded in files"
    if not sample.is_whole:
        yield f"estimated from {sample.share * 100:g} % of the users, with 95 % certainty"
    if not all(size.is_complete for _, size in found.parts):
        yield "≥ where users may be missing whom only older events have shown"
    yield ""
    sizes = [_size(size) for _, size in found.parts]
    width = max(map(len, sizes))
    for (part, _), size in zip(found.parts, sizes, strict=True):
        yield f"{size:>{width}}  {'  ' * part.depth}{visible(part.words)}"
    if found.members:
        yield ""
        names = list(dict.fromkeys(name for one in found.members for name in one.properties))
        rows = [
            [visible(one.user_id), *(_value(one.properties.get(name)) for name in names)]
            for one in found.members
        ]
        yield from _table(["member", *map(visible, names)], rows)
    if found.overlaps:
        yield ""
        columns = ["other audience", "size", "in both"]
        overlaps = [[one.audience, _size(one.size), _size(one.both)] for one in found.overlaps]
        yield from _table(columns, overlaps)


def _size(size: Size) -> str:
    estimate = size.estimate
    text = f"{estimate.count:,}"
    if estimate.least != estimate.most:
        text += f" ({estimate.least:,} – {estimate.most:,})"
    return text if size.is_complete else f"≥ {text}"


def _events(found: Preview) -> str:
    if found.events is None:
        return "events as the job has counted them"
    latest = "" if found.latest is None else f", the latest of {format_instant(found.latest)}"
    return f"{found.events:,} recorded events{latest}"


def _snapshot(found: Preview) -> str:
    whose = "pulled for this preview" if found.is_pulled else "in force"
    return f"snapshot of {format_instant(found.taken_at)}, {whose}"


def _value(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    text = visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 1]}…"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
