"""Scalars to values, by the shapes of their fields; the mistakes are reported on the way."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from audience_dsl.diagnostics import Diagnostics, Span, listed, quoted
from audience_dsl.documents import ListNode, Node, Scalar
from audience_dsl.durations import format_duration, read_duration
from audience_dsl.phrases import SINGULAR, asked, known_names
from audience_dsl.scalars import is_null
from audience_dsl.shapes import Choice, Duration, Flag, Integer, Name, Shape, Text
from audience_dsl.suggestions import Suggestions
from audience_dsl.variables import names_variable

_INTEGER = re.compile(r"[-+]?[0-9]{1,18}")


class ScalarReader:
    """Reads scalars; `names` are the keys of all sections, perhaps not all of `uncertain` ones.

    Reading never stops at a mistake.  `failures` counts them; whoever needs a sound value compares
    it before and after.
    """

    def __init__(
        self,
        found: Diagnostics,
        names: Mapping[str, Mapping[str, Scalar]],
        uncertain: Collection[str],
    ) -> None:
        self.found = found
        self.failures = 0
        self.suggestions = Suggestions()
        self._names = names
        self._uncertain = uncertain

    def fail(self, span: Span, code: str, message: str, advice: str = "") -> None:
        self.failures += 1
        self.found.error(span, code, message, advice)

    def unknown(
        self, span: Span, kind: str, word: str, known: Mapping[str, Scalar | None], of: str = ""
    ) -> None:
        """Report a name that is none of the known ones; their scalars tell where they stand."""
        if self.found.full:
            self.fail(span, "unknown-name", "")
            return
        close = self.suggestions.closest(word, known)
        place = known[close] if close else None
        if close:
            advice = f"did you mean {quoted(close)}?"
            advice += f" (defined at {place.span})" if place else ""
        elif not known:
            advice = f"no {kind}{of} is defined"
        else:
            advice = known_names(kind, known)
        self.fail(span, "unknown-name", f"unknown {kind} {quoted(word)}{of}", advice)

    def read_scalar(self, node: Node, shape: Shape, what: str, key: Scalar | None) -> Any:
        """The value, or `None` if there is none or it does not fit."""
        if not isinstance(node, Scalar):
            kind = "a list" if isinstance(node, ListNode) else "a mapping"
            self.fail(node.span, "wrong-type", f"{what} must be {asked(shape)}, not {kind}")
            return None
        if is_null(node):
            advice = ""
            if node.written and isinstance(shape, Text):
                advice = f"quote it if the text {quoted(node.written)} is meant"
            span = node.span if node.written or key is None else key.span
            self.fail(span, "no-value", f"{what} has no value; it must be {asked(shape)}", advice)
            return None
        match shape:
            case Text(secret=True) if not names_variable(node.written):
                message = f"{what} is a secret, and stands in the file as it is"
                advice = "put it into the environment and write ${NAME} here"
                self.found.conceal(node.span)
                self.fail(node.span, "secret", message, advice)
            case Text(expected, pattern):
                if node.text and (not pattern or re.fullmatch(pattern, node.text)):
                    return node.text
                self._misfit(node, what, expected)
            case Choice(words):
                if node.text in words:
                    return node.text
                close = self.suggestions.closest(node.written, words)
                did = f"did you mean {quoted(close)}?" if close else ""
                self._misfit(node, what, f"one of {listed(words)}", did)
            case Flag():
                if node.text in ("true", "false"):
                    return node.text == "true"
                self._misfit(node, what, "true or false")
            case Integer():
                return self._integer(node, shape, what)
            case Duration():
                return self._duration(node, shape, what)
            case Name(section):
                if node.text in self._names[section]:
                    return node.text
                if section not in self._uncertain:
                    self.unknown(node.span, SINGULAR[section], node.written, self._names[section])
                self.failures += 1
        return None

    def _misfit(self, node: Scalar, what: str, expected: str, advice: str = "") -> None:
        message = f"{what} must be {expected}, not {quoted(node.written)}"
        self.fail(node.span, "wrong-value", message, advice)

    def _integer(self, node: Scalar, shape: Integer, what: str) -> int | None:
        if not _INTEGER.fullmatch(node.text):
            self._misfit(node, what, "a whole number")
            return None
        value = int(node.text)
        if shape.least <= value <= shape.most:
            return value
        reason = shape.too_low if value < shape.least else shape.too_high
        message = f"{what} cannot be {quoted(node.written)}: {reason}"
        advice = f"write a whole number from {shape.least} to {shape.most}"
        self.fail(node.span, "out-of-range", message, advice)
        return None

    def _duration(self, node: Scalar, shape: Duration, what: str) -> int | None:
        value = read_duration(node.text)
        if value is None:
            advice = "units are s, m, h, d and w"
            self._misfit(node, what, "a number and a unit, such as 90s, 10m or 24h", advice)
        elif value == 0:
            message = f"{what} is {quoted(node.written)}, which holds no event"
            self.fail(node.span, "out-of-range", message, "write at least 1s")
        elif shape.most is not None and value > shape.most:
            message = f"{what} cannot be {quoted(node.written)}: {shape.too_high}"
            advice = f"write {format_duration(shape.most)} or less; a longer history is a column"
            self.fail(node.span, "out-of-range", message, f"{advice} of the parent model")
        else:
            return value
        return None
