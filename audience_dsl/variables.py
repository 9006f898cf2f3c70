"""Variables in definitions: `${VAR}`, `${VAR:-default}`, and `${file:PATH}` for a file's content.

They are replaced inside values, after YAML has been read, so that a variable's content can never
add structure.  But a plain `{secret: ${HOOK_SECRET}}` or `{path: out/{date}.jsonl}` is not YAML at
all: the inner brace ends the text.  Before YAML sees a file, `shield` therefore exchanges the
characters of such expressions that mean something to YAML for stand-ins, one for one, so that all
columns stay what they were.  The stand-ins are code points that Unicode keeps for a program's own
use and bars from texts.

`$${` stands for a literal `${`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

_MEANINGFUL = "{}[],:#"
_TO_STAND_INS = {ord(one): 0xFDD0 + number for number, one in enumerate(_MEANINGFUL)}
_FROM_STAND_INS = {stand_in: one for one, stand_in in _TO_STAND_INS.items()}
STAND_INS = "\ufdd0-\ufdef"

# A default with quotes or braces in it is left to YAML's own rules of quoting.
_SHIELDED = re.compile(
    r"""\$?\$\{(?:file:[^{}$:\n\r'"]+|[A-Za-z_][A-Za-z0-9_]*)(?::-[^{}\n\r'"]*)?\}"""  # a variable
    r"|(?<=[\w./-])\{[A-Za-z_]+\}"  # {date} in the middle of a text; a mapping cannot stand there
)
# No "$" in a default: a file full of beginnings without an end would take quadratic time.
_EXPRESSION = re.compile(r"\$(\$?)\{(?:(file:[^{}$:]+|[A-Za-z_][A-Za-z0-9_]*)(?::-([^$}]*))?\})?")
# What the name of a variable begins with that is the content of a file.
FILE = "file:"


@dataclass(frozen=True, slots=True)
class Replacement:
    """A value with its variables replaced, what was put in their place, and what could not be.

    Defaults stand in the file, and are not among what was `filled` in.
    """

    text: str
    missing: tuple[str, ...] = ()
    malformed: bool = False
    filled: tuple[str, ...] = ()


def shield(text: str) -> str:
    """Hide the expressions of a whole file from YAML, without moving anything."""
    return _SHIELDED.sub(lambda match: match[0].translate(_TO_STAND_INS), text)


def unshield(text: str) -> str:
    return text.translate(_FROM_STAND_INS)


def names_variable(written: str) -> bool:
    """Whether a value has a part that the environment fills."""
    return any(not escaped and name for escaped, name, _ in _EXPRESSION.findall(written))


class Variables:
    """Replaces the expressions in values, and keeps what it put there out of messages.

    `environment` is asked for names as they are written, `file:PATH` included.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._used: dict[str, str] = {}

    def replace(self, text: str) -> Replacement:
        """Replace all expressions; a default applies where the variable is unset or empty."""
        missing: list[str] = []
        filled: list[str] = []
        malformed = False

        def value(match: re.Match[str]) -> str:
            nonlocal malformed
            escaped, name, default = match.groups()
            if escaped:
                return match[0][1:]
            if name is None:
                malformed = True
                return ""
            known = self._environment.get(name)
            if known is None and default is None:
                missing.append(name)
                return ""
            if known:
                self._used[known] = name
                filled.append(known)
            return known or default or ""

        replaced = _EXPRESSION.sub(value, text)
        return Replacement(replaced, tuple(missing), malformed, tuple(filled))

    def hide(self, message: str) -> str:
        """The message with the variables' names in the place of their values."""
        for known in sorted(self._used, key=len, reverse=True):
            message = message.replace(known, f"${{{self._used[known]}}}")
        return message


Replace = Callable[[str], Replacement]
