"""What the conditions of a project may refer to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audience_dsl.definitions import EventModel, RelatedModel
from audience_dsl.models import KnownColumns


@dataclass(slots=True)
class Catalog:
    """What conditions may refer to; an entry is `None` where its own definition is broken."""

    events: Mapping[str, EventModel | None]
    event_properties: Mapping[str, KnownColumns]
    parent_columns: Mapping[str, KnownColumns | None]
    audience_parents: Mapping[str, str | None]
    related: Mapping[str, RelatedModel | None]
    related_columns: Mapping[str, KnownColumns | None]
