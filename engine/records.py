"""Transition records: how the world sees a transition.

A record is one JSON object whose keys keep their order: `id`, `type`, `audience`,
`audience_version`, `parent_model`, `user_id`, `effective_at`, `sequence`, `cause`.  Instants are
ISO 8601 in UTC with microseconds.  A cause has its `kind`, and the `message_id` of the event, the
`condition` whose window expired, or the `pull` that took force.  `emitted_at`, when the record was
written, comes last; a backtest, whose output is the same in every run, has none.

A backtest may have as many records as events, so there none is an object: what all transitions of
an audience have in common is rendered once, and kernels (`engine.writing`) put lines together from
there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

import msgspec
import numpy as np

from engine.digests import BLOCK, DIGEST
from engine.plan import Bytes, Int64s, Plan
from engine.texts import Texts, read_only
from engine.transitions import Cause, Transitions
from engine.writing import ID_DIGITS, LONGEST_ESCAPE, LONGEST_NUMBERS, write_ids, write_lines

ENTERED = "entered"
EXITED = "exited"


class TransitionRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as an object, as the journal gives it out."""

    id: str
    type: str
    audience: str
    audience_version: str
    parent_model: str
    user_id: str
    effective_at: str
    sequence: int
    cause: dict[str, str]
    emitted_at: str


def transition_ids(parent_model: str, audience: str) -> Callable[[str, int, int], str]:
    """What gives an audience's transitions their ids, by user, sequence and `effective_at`.

    An id is 32 hexadecimal digits: the same whenever and wherever the transition is computed.
    They digest what makes the transition this one and no other; different transitions are
    different texts before they are digested.
    """
    identity = _identity(parent_model, audience)

    def transition_id(user_id: str, sequence: int, effective_at: int) -> str:
        text = f"{identity}{sequence}:{effective_at}:{user_id}"
        return blake2b(text.encode(), digest_size=DIGEST).hexdigest()

    return transition_id


def _identity(parent_model: str, audience: str) -> str:
    return f"{len(parent_model)}:{parent_model}{len(audience)}:{audience}"


class RecordWriter:
    """Writes transitions of some plans.

    Audiences and conditions are numbered as if those of the plans stood one after the other; behind
    all conditions come the `pulls` that are causes.
    """

    def __init__(self, plans: Sequence[Plan], pulls: Sequence[str] = ()) -> None:
        audiences = [(plan.parent_model, one) for plan in plans for one in plan.audiences]
        self._identities = Texts.of([_identity(parent, one.key) for parent, one in audiences])
        self._heads = Texts.of(
            [
                f'","type":"{type_}","audience":{_json(one.key)},"audience_version":'
                f'{_json(one.version)},"parent_model":{_json(parent)},"user_id":"'
                for parent, one in audiences
                for type_ in (EXITED, ENTERED)
            ]
        )
        expired = [
            _json({"kind": kind_of(Cause.WINDOW_EXPIRED), "condition": condition.key})
            for plan in plans
            for condition in plan.conditions
        ]
        pulled = [_json({"kind": kind_of(Cause.WAREHOUSE_PULL), "pull": pull}) for pull in pulls]
        self._numbered = Texts.of([*expired, *pulled])

        self._phrases = Texts.of(_phrases())

    def ids(self, transitions: Transitions) -> Bytes:
        """Every transition's id as a row of ASCII digits: shape (transitions, 32)."""
        ids = np.empty((len(transitions), ID_DIGITS), dtype=np.uint8)
        longest = self._identities.longest + LONGEST_NUMBERS + transitions.users.longest
        message = np.empty((longest // BLOCK + 1) * BLOCK // 8, dtype=np.uint64)
        with np.errstate(over="ignore"):
            write_ids(
                self._identities,
                transitions.users.frozen(),
                read_only(transitions.audiences),
                read_only(transitions.effective_at),
                read_only(transitions.sequences),
                message,
                message.view(np.uint8),
                np.empty(8, dtype=np.uint64),
                ids,
            )
        return ids

    def lines(self, transitions: Transitions) -> Texts:
        """Every transition as a line of JSON, in their order."""
        count = len(transitions)
        phrases = self._phrases
        fixed = self._heads.longest + self._numbered.longest + phrases.size + ID_DIGITS
        texts = transitions.users.size + transitions.message_ids.size
        room = count * (fixed + LONGEST_NUMBERS) + LONGEST_ESCAPE * texts
        data = np.empty(room, dtype=np.uint8)
        starts = np.empty(count + 1, dtype=np.int64)
        write_lines(
            self._heads,
            self._numbered,
            phrases,
            self.ids(transitions),
            transitions.users.frozen(),
            read_only(transitions.audiences),
            read_only(transitions.effective_at),
            read_only(transitions.sequences),
            read_only(transitions.causes),
            read_only(transitions.conditions),
            transitions.message_ids.frozen(),
            data,
            starts,
        )
        return Texts(data[: starts[-1]], starts)


def format_instants(instants: Int64s) -> list[str]:
    """`2026-03-01T10:00:00.000000Z` for each instant."""
    texts: list[str] = np.datetime_as_string(instants.astype("M8[us]"), timezone="UTC").tolist()
    return texts


def kind_of(cause: Cause) -> str:
    return cause.name.lower()


def _phrases() -> list[str]:
    """In the order of their numbers in `engine.writing`: causes, then what joins columns."""
    causes = {cause: _json({"kind": kind_of(cause)}) for cause in Cause}
    causes[Cause.EVENT] = '{"kind":"event","message_id":"'
    return [
        *(causes[cause] for cause in Cause),
        '{"id":"',
        '","effective_at":"',
        '","sequence":',
        ',"cause":',
        '"}',
        "}\n",
    ]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
