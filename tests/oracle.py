"""The specification as a program: which transitions a history must cause, found by recounting.

Written from the semantics page alone and sharing nothing with the product, so that agreement
means something.  There are no timers, no windows and no shortcuts: at every instant at which an
answer could change, all conditions are counted anew over all events of the user.  Section numbers
are those of the semantics page.

Definitions are the plain values that YAML contains (`events`, `audiences` and `parent_models`
with exactly one model); instants are integers in microseconds since 1970 UTC.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tests.oracle_values import (
    compare,
    counts,
    filter_holds,
    read_duration,
    read_instant,
    related_holds,
)

Definition = Mapping[str, Any]
Record = Mapping[str, Any]
Rows = Mapping[str, Mapping[str, Any]]
Related = Mapping[str, Sequence[Mapping[str, Any]]]


class Event(NamedTuple):
    """A raw record in Segment's format and the instant at which the system learned of it."""

    record: Record
    arrival: int


class Tick(NamedTuple):
    """The clock of every user has reached an instant."""

    at: int


class Pull(NamedTuple):
    """A warehouse snapshot takes force; the first one starts the evaluation."""

    at: int
    rows: Rows
    related: Related = {}  # noqa: RUF012 - never changed


Step = Event | Tick | Pull


class Transition(NamedTuple):
    """`message_id` is that of the causing event; "" where its record has none, or for no event."""

    effective_at: int
    user_id: str
    audience: str
    sequence: int
    type: str
    cause: str
    message_id: str


def transitions(definition: Definition, history: Sequence[Step], until: int) -> list[Transition]:
    """All transitions up to and including `until`, in the order of §7."""
    users = {user for step in history if isinstance(step, Pull) for user in step.rows}
    users |= {step.record["userId"] for step in history if isinstance(step, Event)}
    return sorted(
        transition for user in users for transition in _User(definition, user).live(history, until)
    )


def recorded(
    definition: Definition,
    files: Mapping[str, Sequence[Record]],
    clock: str,
    rows: Rows,
    start: int | None = None,
    until: int | None = None,
    related: Related | None = None,
) -> tuple[list[Step], int]:
    """The history that a backtest replays, and its end (§7); there must be some event."""
    placed = []
    for name, records in files.items():
        latest = -(1 << 62)
        for line, record in enumerate(records):
            is_event = bool(_models(definition, record))
            arrival = ts = read_instant(record["timestamp"]) if is_event else latest
            if clock == "arrival":
                received = read_instant(record["receivedAt"]) if "receivedAt" in record else ts
                arrival = latest = max(latest, received)
            if is_event:
                placed.append((arrival, name, line, Event(record, arrival)))
    events = [event for *_, event in sorted(placed, key=lambda one: one[:3])]
    start = events[0].arrival if start is None else start
    until = events[-1].arrival if until is None else until
    before = [event for event in events if event.arrival < start]
    after = [event for event in events if start <= event.arrival <= until]
    return [*before, Pull(start, rows, related or {}), *after], until


def _models(definition: Definition, record: Record) -> tuple[str, ...]:
    """The event models that a record is an event of."""
    name = record["event"] if record["type"] == "track" else record["type"]
    return tuple(key for key, model in definition["events"].items() if model["type"] == name)


class _Seen(NamedTuple):
    """An event as the system knows it: its models, both timestamps and its identity."""

    models: tuple[str, ...]
    record: Record
    ts: int
    recorded_ts: int
    identity: str


class _State(NamedTuple):
    """What is known of a user: the events so far, the warehouse row, whether it can be a member."""

    events: tuple[_Seen, ...]
    row: Mapping[str, Any] | None
    listed: bool  # is in the snapshot in force
    related: Related = {}  # noqa: RUF012 - never changed

    @property
    def eligible(self) -> bool:
        """§3: the users of the snapshot, and those that have sent an event of the parent model."""
        return self.listed or bool(self.events)


class _Input(NamedTuple):
    """An input as seen from what it changes: its instant, and the state without it."""

    at: int
    without: _State
    is_first: bool  # at its instant, so that what ages out then is applied with it


class _User:
    """One user's life, from the first input to the end."""

    def __init__(self, definition: Definition, user: str) -> None:
        self.user = user
        self.definition = definition
        self.models = definition["events"]
        self.audiences = definition["audiences"]
        ((_, parent),) = definition["parent_models"].items()
        self.columns = parent.get("properties", {})
        self.related = definition.get("related_models", {})
        self.state = _State((), None, False)
        self.in_force = False
        self.clock = self.settled = -(1 << 62)  # everything due up to `settled` has been applied
        self.members = dict.fromkeys(self.audiences, False)
        self.sequences = dict.fromkeys(self.audiences, 0)
        self.filtered: dict[tuple[int, int], bool] = {}

    def live(self, history: Iterable[Step], until: int) -> Iterator[Transition]:
        for step in history:
            match step:
                case Tick(at):
                    yield from self._reach(at)
                case Pull(at, rows, related):
                    cause = "warehouse_pull" if self.in_force else "initial"
                    row, listed = rows.get(self.user), self.user in rows
                    state = self.state._replace(row=row, listed=listed, related=related)
                    yield from self._apply(at, state, cause)
                case Event(record, arrival):
                    seen = self._listen(step)
                    if seen is not None:  # §3: "any other record is not listened to"
                        state = self.state._replace(events=(*self.state.events, seen))
                        message_id = record.get("messageId", "")
                        yield from self._apply(arrival, state, "event", message_id)
        yield from self._reach(until + 1)

    def _reach(self, instant: int) -> Iterator[Transition]:
        """The clock moves on (§1: never back); what ages out before its new position happens.

        What is due exactly there waits for an input of that instant, or for the clock to pass it,
        because both are applied before the tree is evaluated (§3).
        """
        self.clock = max(self.clock, instant)
        if self.in_force:
            for due in self._ages_out():
                if self.settled < due < self.clock:
                    yield from self._evaluate(due, "window_expired")
        self.settled = max(self.settled, self.clock - 1)

    def _apply(
        self, instant: int, state: _State, cause: str, message_id: str = ""
    ) -> Iterator[Transition]:
        """An input: the state becomes another one at the clock."""
        yield from self._reach(instant)
        self.in_force = self.in_force or cause == "initial"
        input_ = _Input(self.clock, self.state, is_first=self.settled < self.clock)
        self.state, self.settled = state, self.clock
        if self.in_force:
            yield from self._evaluate(self.clock, cause, message_id, input_)

    def _listen(self, step: Event) -> _Seen | None:
        record = step.record
        models = _models(self.definition, record)
        if record["userId"] != self.user or not models:
            return None
        ts = read_instant(record["timestamp"])
        # §1: a clock that runs ahead; §2: content stands in for a missing message id.
        identity = record.get("messageId") or json.dumps(record)
        return _Seen(models, record, min(ts, step.arrival), ts, identity)

    def _ages_out(self) -> list[int]:
        """§3.2: every `ts + W` of any event and any window."""
        windows = {window for key in self.audiences for window in self._windows(key)}
        return sorted({seen.ts + window for seen in self.state.events for window in windows})

    def _evaluate(
        self, at: int, cause: str, message_id: str = "", input_: _Input | None = None
    ) -> Iterator[Transition]:
        """Compare all answers with those before and report what has changed."""
        changed = {
            key
            for key in self.audiences
            if self._is_member(key, self.state, at) != self.members[key]
        }
        for key in changed:
            self.members[key] = not self.members[key]
            self.sequences[key] += 1
            type_ = "entered" if self.members[key] else "exited"
            why, which = cause, message_id
            if input_ and cause != "initial" and not self._is_doing_of(input_, key, changed):
                why, which = "window_expired", ""
            yield Transition(at, self.user, key, self.sequences[key], type_, why, which)

    def _is_doing_of(self, input_: _Input, key: str, changed: set[str]) -> bool:
        """Whether an input, and not what aged out at the same instant, flipped some answer.

        The page leaves open which of the two is the cause.  It is the input if an answer differs
        from what it was, and the ageing alone would have left that answer as it was.
        """
        before = self._answers(key, input_.without, input_.at - input_.is_first)
        aged = self._answers(key, input_.without, input_.at)
        now = self._answers(key, self.state, input_.at)
        if any(b == a != n for b, a, n in zip(before, aged, now, strict=True)):
            return True
        others = changed & _references(self.audiences[key]["where"])
        return any(self._is_doing_of(input_, other, changed) for other in others)

    def _is_member(self, key: str, state: _State, at: int) -> bool:
        if not state.eligible:
            return False
        if not self._holds(self.audiences[key]["where"], state, at):
            return False
        return self.audiences[key].get("members", "all") == "all" or self._was_seen(key, state, at)

    def _was_seen(self, key: str, state: _State, at: int) -> bool:
        """§3: an event of any kind inside the longest window of the audience's conditions."""
        window = max(self._windows(key))
        return any(at - window < seen.ts <= at for seen in _distinct(state.events))

    def _holds(self, tree: Definition, state: _State, at: int) -> bool:
        match tree:
            case {"related": name}:
                return related_holds(tree, self._related_rows(name, state), self.related[name])
            case {"all": of}:
                return all(self._holds(one, state, at) for one in of)
            case {"any": of}:
                return any(self._holds(one, state, at) for one in of)
            case {"none": of}:
                return not any(self._holds(one, state, at) for one in of)
            case {"not": one}:
                return not self._holds(one, state, at)
            case {"in_audience": key}:
                return self._is_member(key, state, at)
            case {"not_in_audience": key}:
                return not self._is_member(key, state, at)
            case {"property": name, **operators}:
                value = None if state.row is None else state.row.get(name)
                return compare(operators, value, self.columns.get(name))
        return counts(tree, self._count(tree, state, at))

    def _related_rows(self, name: str, state: _State) -> list[Mapping[str, Any]]:
        """The rows that refer to this user, or to a row that does; none if the user has no row."""
        model = self.related[name]
        if not state.listed:
            return []
        keys = {self.user}
        if "related_model" in model:
            nearer = self.related[model["related_model"]]
            rows = self._related_rows(model["related_model"], state)
            keys = {str(row[nearer["primary_key"]]) for row in rows} - {"None"}
        return [
            row for row in state.related.get(name, ()) if str(row[model["foreign_key"]]) in keys
        ]

    def _count(self, condition: Definition, state: _State, at: int) -> int:
        """§2, to the letter."""
        model = condition.get("performed") or condition["did_not_perform"]
        after = at - read_duration(condition["within"])
        of_model = [seen for seen in state.events if model in seen.models]
        of_model = [seen for seen in of_model if self._passes(condition, model, seen)]
        return sum(after < seen.ts <= at for seen in _distinct(of_model))

    def _passes(self, condition: Definition, model: str, seen: _Seen) -> bool:
        key = (id(condition), id(seen.record))
        if key not in self.filtered:
            properties = self.models[model].get("properties", {})
            self.filtered[key] = filter_holds(condition.get("where"), seen.record, properties)
        return self.filtered[key]

    def _answers(self, key: str, state: _State, at: int) -> list[bool]:
        """Every single answer that an audience looks at, but for those of other audiences."""
        leaves = [leaf for leaf in _leaves(self.audiences[key]["where"]) if not _references(leaf)]
        answers = [state.eligible, *(self._holds(leaf, state, at) for leaf in leaves)]
        if self.audiences[key].get("members") == "seen":
            answers.append(self._was_seen(key, state, at))
        return answers

    def _windows(self, key: str) -> list[int]:
        leaves = _leaves(self.audiences[key]["where"])
        return [read_duration(leaf["within"]) for leaf in leaves if "within" in leaf]


def _distinct(events: Iterable[_Seen]) -> Iterable[_Seen]:
    """§2: by the timestamp as recorded and the message id; the first to come is the event."""
    first: dict[tuple[int, str], _Seen] = {}
    for seen in events:
        first.setdefault((seen.recorded_ts, seen.identity), seen)
    return first.values()


def _references(tree: Definition) -> set[str]:
    """The audiences that a tree names."""
    named = [leaf.get("in_audience") or leaf.get("not_in_audience") for leaf in _leaves(tree)]
    return {key for key in named if key}


def _leaves(tree: Definition) -> Iterator[Definition]:
    if "related" in tree:  # whose `none` is no group
        yield tree
        return
    inside = tree.get("all") or tree.get("any") or tree.get("none") or []
    inside = [tree["not"]] if "not" in tree else inside
    if not inside:
        yield tree
    for one in inside:
        yield from _leaves(one)
