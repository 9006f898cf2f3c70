"""From raw records to the core's inputs, a chunk at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from audience_dsl.definitions import EventModel, ParentPlan
from connectors.sources.arrivals import ArrivalPolicy, Arrivals
from connectors.sources.chunks import Chunk, DeadLetter
from connectors.sources.decoding import Decoded, Records
from connectors.sources.detect import detect
from connectors.sources.formats import FORMATS
from connectors.sources.instants import NO_INSTANT
from connectors.sources.interests import Carried, Only, interests
from connectors.sources.listening import Heard, Listening
from connectors.sources.matching import ConditionSets
from connectors.sources.merging import Events, merge
from connectors.sources.texts import read_ids
from engine.cargo import loaded
from engine.hashing import stable_hashes
from engine.inputs import Inputs
from engine.plan import Booleans, Int64s
from engine.texts import Texts


class Batch(NamedTuple):
    """What a chunk's records mean to each parent model.

    `received` is the sum of the tallied inputs, `ignored` and the dead letters.
    """

    inputs: dict[str, Inputs]  # in the order of the records
    received: int
    ignored: int
    dead_letters: list[DeadLetter]
    latest_arrival: int | None


class EventReader:
    """Turns the chunks of a source into inputs of the plans that listen to it.

    `events` are all event models of the project.  Those of `source` apply, or all of them where it
    is `None`.  Without a `format`, that of each file is detected in its first chunk.

    Where `only` is given, nothing is read but what these conditions count.  Where `carried` is,
    message ids bring these properties along (`engine.cargo`).

    Raises:
        ValueError: the format is unknown, or a path of an event model is malformed.
    """

    def __init__(
        self,
        events: Mapping[str, EventModel],
        plans: Mapping[str, ParentPlan],
        source: str | None = None,
        format: str | None = None,
        only: Only | None = None,
        carried: Carried | None = None,
    ) -> None:
        if format is not None and format not in FORMATS:
            known = ", ".join(FORMATS)
            raise ValueError(f"unknown source format '{format}': the formats are {known}")
        self._models = [one for one in events.values() if source is None or one.source == source]
        self._plans = plans
        self._only = only
        self._carried = carried
        self._sets = {
            parent: ConditionSets(plan, emits_empty=only is None) for parent, plan in plans.items()
        }
        self._format = format
        self._detected: dict[str, str] = {}
        self._listening: dict[tuple[str, bool], Listening] = {}
        self.arrivals = Arrivals()
        self._listening_to(format or "segment", with_arrivals=False)  # malformed paths show now

    def read(self, chunk: Chunk, policy: ArrivalPolicy, now: int = 0) -> Batch:
        """Decode and match a chunk; chunks of one file are to be read in order.

        `now` is the wall clock, for `ArrivalPolicy.LIVE`; for `RECALLED` it is what the clock had
        reached when the records were read for the first time.
        """
        with_arrivals = policy is not ArrivalPolicy.EVENT
        listening = self._listening_to(self._format_of(chunk), with_arrivals)
        decoded = listening.decode(chunk)
        records = decoded.records
        heard = listening.hear(records) if records.count else []
        sound = [one.sound for one in heard]
        match policy:
            case ArrivalPolicy.EVENT:
                arrivals = None
            case _ if chunk.arrivals is not None:
                arrivals = chunk.arrivals[decoded.places]
            case ArrivalPolicy.RECORDED:
                own = _latest_instants(heard, sound, records.count)
                received = listening.received(records)
                arrivals = self.arrivals.recorded(chunk.file, received, own)
            case ArrivalPolicy.RECALLED:
                own = np.minimum(_latest_instants(heard, sound, records.count), now)
                arrivals = self.arrivals.recorded(chunk.file, listening.received(records), own)
            case ArrivalPolicy.LIVE:
                arrivals = self.arrivals.live(chunk.file, listening.received(records), now)
        dead_letters = decoded.dead_letters + _unsound(chunk, decoded, heard, sound)

        parts: dict[str, list[Events]] = {}
        for one, is_sound in zip(heard, sound, strict=True):
            emitted = is_sound & self._sets[one.reading.parent].emitted[one.sets]
            events = _events(chunk, decoded, one, emitted)
            parts.setdefault(one.reading.parent, []).append(events)

        inputs, latest = {}, []
        is_tallied = np.zeros(records.count, dtype=np.bool_)
        for parent, pieces in parts.items():
            sets = self._sets[parent]
            events = merge(pieces, sets)
            if len(events.rows) == 0:
                continue
            rows = events.rows
            arrived = events.instants if arrivals is None else arrivals[rows]
            inputs[parent] = Inputs(
                users=events.users,
                user_hashes=stable_hashes(events.users),
                timestamps=events.instants,
                arrivals=arrived,
                message_ids=self._message_ids(parent, events, listening, records),
                message_hashes=stable_hashes(events.message_ids),
                condition_sets=events.sets,
                sets=sets.lists,
                tallied=_tally(rows, sets.tallied[events.sets], is_tallied),
            )
            latest.append(int(arrived.max()))
        received_count = chunk.count
        ignored = received_count - int(is_tallied.sum()) - len(dead_letters)
        return Batch(inputs, received_count, ignored, dead_letters, max(latest, default=None))

    def _message_ids(
        self, parent: str, events: Events, listening: Listening, records: Records
    ) -> Texts:
        """The ids, with what they bring along."""
        if self._carried is None:
            return events.message_ids
        if not self._carried.get(parent):
            return loaded(events.message_ids)
        return loaded(events.message_ids, listening.cargo(records, parent, events.rows))

    def _format_of(self, chunk: Chunk) -> str:
        if self._format is not None:
            return self._format
        if chunk.file not in self._detected:
            self._detected[chunk.file] = detect(chunk)
        return self._detected[chunk.file]

    def _listening_to(self, name: str, with_arrivals: bool) -> Listening:
        if (name, with_arrivals) not in self._listening:
            format = FORMATS[name]
            found = interests(self._models, self._plans, format, self._only, self._carried)
            self._listening[name, with_arrivals] = Listening(
                format, found, self._sets, with_arrivals
            )
        return self._listening[name, with_arrivals]


def _latest_instants(heard: Sequence[Heard], sound: Sequence[Booleans], count: int) -> Int64s:
    """When each record happened by the latest of its readings, `NO_INSTANT` if it has none."""
    latest = np.full(count, NO_INSTANT, dtype=np.int64)
    for one, is_sound in zip(heard, sound, strict=True):
        rows = one.rows[is_sound]
        latest[rows] = np.maximum(latest[rows], one.instants[is_sound])
    return latest


def _unsound(
    chunk: Chunk, decoded: Decoded, heard: Sequence[Heard], sound: Sequence[Booleans]
) -> list[DeadLetter]:
    """A dead letter for each record that is listened to, but by no reading has what it needs."""
    if all(is_sound.all() for is_sound in sound):
        return []
    reasons: dict[int, str] = {}
    fine: set[int] = set()
    for one, is_sound in zip(heard, sound, strict=True):
        fine.update(one.rows[is_sound].tolist() if len(heard) > 1 else ())
        for i in np.flatnonzero(~is_sound).tolist():
            path = one.reading.timestamp if one.has_user[i] else one.reading.key
            what = "missing or unreadable timestamp" if one.has_user[i] else "missing user"
            reasons.setdefault(int(one.rows[i]), f"{what} ({path.text})")
    dead = [row for row in sorted(reasons) if row not in fine]
    return [chunk.dead_letter(int(decoded.places[row]), reasons[row]) for row in dead]


def _events(chunk: Chunk, decoded: Decoded, heard: Heard, emitted: Booleans) -> Events:
    """The events of a reading that the core wants to know of."""
    kept = np.flatnonzero(emitted)
    rows = heard.rows[kept]
    message_ids, has_id = read_ids(decoded.records.column(heard.reading.message_id).taken(rows))
    if not has_id.all():
        texts = [message_ids.text(i) for i in range(len(rows))]
        for i in np.flatnonzero(~has_id).tolist():
            texts[i] = chunk.digest(int(decoded.places[rows[i]]))
        message_ids = Texts.of(texts)
    return Events(
        rows,
        heard.users if emitted.all() else heard.users.taken(kept),
        heard.instants[kept],
        message_ids,
        heard.sets[kept],
    )


def _tally(rows: Int64s, matched: Booleans, is_tallied: Booleans) -> Booleans:
    """Which events stand for their record in the counts: its first that some condition counts."""
    tallied = matched & ~is_tallied[rows]
    if len(rows) > 1:
        chosen = np.flatnonzero(tallied)
        again = chosen[1:][rows[chosen[1:]] == rows[chosen[:-1]]]
        tallied[again] = False
    is_tallied[rows[tallied]] = True
    return tallied
