"""What an answer means by the rules of a definition: statuses, and expressions on its body.

Expressions are JMESPath.  Whatever no rule speaks of is judged by the table of `answers`.  Where an
expression decides what was taken, an answer that it cannot look into accepts nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import jmespath  # type: ignore[import-untyped]
import msgspec
from jmespath.exceptions import JMESPathError  # type: ignore[import-untyped]

from audience_dsl.shapes import Field, Integer, ListOf, Record, Text
from connectors.destinations.destination import ACCEPTED, Outcome, Verdict
from connectors.destinations.http.answers import judge, said, told_wait
from connectors.destinations.http.exchange import Reply

EXPRESSION = Text("a JMESPath expression, such as error.code == `4`")
_STATUSES = ListOf(Integer(100, 599, "statuses begin at 100", "statuses end at 599"))
_REASON_MOST = 200


def _rule(title: str, doc: str, default: str) -> Record:
    return Record(
        title,
        doc,
        (
            Field("status", _STATUSES, "The statuses.", default=default),
            Field("body", EXPRESSION, "JMESPath on the body: true unless empty, null or false."),
        ),
    )


RULES = (
    Field(
        "success",
        _rule("success", "Both must hold.", "200 to 299"),
        "Which answers accept the messages.",
        default="the statuses from 200 to 299",
    ),
    Field(
        "retry_on",
        _rule("retry_on", "One is enough.", "none"),
        "Which answers ask for the same again, besides 408, 425, 429 and from 500 on.",
        default="none",
    ),
    Field(
        "pause_on",
        _rule("pause_on", "One is enough.", "none"),
        "Which answers refuse the credentials, besides 401 and 403: the sync waits until somebody "
        "has mended them.",
        default="none",
    ),
    Field(
        "per_item_errors",
        EXPRESSION,
        "JMESPath to the messages that failed: their indexes, or mappings with `index`, `reason` "
        "and `retry`. The others are accepted if `success` has the status; else they are sent "
        "again.",
        default="none",
    ),
)


class BadExpression(ValueError):
    """An expression is no JMESPath; `path` is where it stands in the options."""

    def __init__(self, path: tuple[str, ...], what: str) -> None:
        super().__init__(what)
        self.path = path


class Rules:
    """The rules of a definition's options.

    Raises:
        BadExpression: an expression cannot be read.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        success, retry, pause = (
            options.get(name) or {} for name in ("success", "retry_on", "pause_on")
        )
        self._accepted: Collection[int] = frozenset(success.get("status") or range(200, 300))
        self._repeated = frozenset(retry.get("status") or ())
        self._is_accepted = _compiled(success.get("body"), ("success", "body"))
        self._is_repeated = _compiled(retry.get("body"), ("retry_on", "body"))
        self._refusing = frozenset(pause.get("status") or ())
        self._is_refused = _compiled(pause.get("body"), ("pause_on", "body"))
        self._failures = _compiled(options.get("per_item_errors"), ("per_item_errors",))

    def judge(self, reply: Reply, now: float, count: int) -> list[Outcome]:
        """The outcome of each of so many messages; `now` is in seconds since 1970."""
        document = _document(reply)
        if reply.status in self._repeated or _search(self._is_repeated, document):
            again = Outcome(Verdict.RETRY, said(reply), told_wait(reply, now))
            return [again] * count
        if reply.status in self._refusing or _search(self._is_refused, document):
            refused = Outcome(Verdict.REFUSED, f"{said(reply)}; check the credentials")
            return [refused] * count
        known = reply.status in self._accepted
        if failed := self._failed(document, count):
            others = ACCEPTED if known else Outcome(Verdict.RETRY, f"{said(reply)} for others", 0)
            return [failed.get(index, others) for index in range(count)]
        return [self._whole(reply, document, now, count, known=known)] * count

    def _whole(
        self, reply: Reply, document: object, now: float, count: int, *, known: bool
    ) -> Outcome:
        if not known:
            outcome = judge(reply, now, count)
            if outcome is ACCEPTED:
                return Outcome(Verdict.REJECTED, f"{said(reply)}, which is not in success.status")
            return outcome
        if document is None and self._has_to_read(reply):
            if not reply.is_cut_off:
                return Outcome(Verdict.RETRY, f"{said(reply)}, with a body that is not JSON")
            # Fewer messages have a shorter answer.
            verdict = Verdict.TOO_LARGE if count > 1 else Verdict.RETRY
            return Outcome(verdict, f"{said(reply)}, with a body that is too long to be read")
        if self._is_accepted is None or _search(self._is_accepted, document):
            return ACCEPTED
        verdict = Verdict.TOO_LARGE if count > 1 else Verdict.REJECTED
        return Outcome(verdict, f"{said(reply)}, but its body is not as success.body says")

    def _has_to_read(self, reply: Reply) -> bool:
        """Whether an answer accepts messages by its body; an empty one says that none fails."""
        if self._is_accepted is not None:
            return True
        rules = self._failures, self._is_repeated, self._is_refused
        return bool(reply.body) and any(one is not None for one in rules)

    def _failed(self, document: object, count: int) -> dict[int, Outcome]:
        found = _search(self._failures, document)
        failed: dict[int, Outcome] = {}
        for one in found if isinstance(found, list) else []:
            index, reason, again = one, "", False
            if isinstance(one, dict):
                index, again = one.get("index"), bool(one.get("retry"))
                reason = str(one.get("reason") or "")[:_REASON_MOST]
            if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < count:
                verdict = Verdict.RETRY if again else Verdict.REJECTED
                failed[index] = Outcome(verdict, reason or "named in the answer as failed")
        return failed


def _compiled(expression: object, path: tuple[str, ...]) -> Any:
    if expression is None:
        return None
    try:
        return jmespath.compile(str(expression))
    except (JMESPathError, RecursionError) as error:
        line = str(error).splitlines()[0] if str(error) else "it cannot be read"
        raise BadExpression(path, f"this is no JMESPath: {line[:_REASON_MOST]}") from error


def _search(expression: Any, document: object) -> Any:
    """What an expression finds; nothing where it does not go together with the document."""
    if expression is None or document is None:
        return None
    try:
        return expression.search(document)
    except (JMESPathError, RecursionError, TypeError, ValueError):
        return None


def _document(reply: Reply) -> object:
    if reply.is_cut_off:
        return None
    try:
        return msgspec.json.decode(reply.body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None
