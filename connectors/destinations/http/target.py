"""The path and the query of a URL, as a template.

What an expression stands for is a value, never a piece of the URL's structure: it is encoded as a
whole, a "/" in it as well.  The scheme, the host and the port are literal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

from audience_dsl.template_filters import shown
from audience_dsl.templates import Template, Variables, compile_template
from connectors.destinations.http.log import MASK, Shown

_URL = re.compile(r"(?P<origin>[A-Za-z][A-Za-z0-9+.-]*://[^/?#{}]*)(?P<target>[/?][^#]*)?")
_EXPRESSION = re.compile(r"(\{\{.*?\}\})")
LITERAL = "/?&=%:@+,;$!*'()~[]"


class BadUrl(ValueError):
    """A URL is no template of one; the text says why."""


@dataclass(frozen=True, slots=True)
class Url:
    """`origin` is scheme, host and port; `parts` are literals and templates, one after another."""

    origin: str
    parts: tuple[str | Template, ...]

    @classmethod
    def read(cls, text: str) -> Url:
        """Read a URL.

        Raises:
            BadUrl: its host is not literal, or it is no URL.
            TemplateError: an expression is no template.
        """
        found = _URL.fullmatch(text)
        if found is None:
            raise BadUrl("a URL begins with https:// and a literal host; templates stand behind it")
        parts: list[str | Template] = []
        for one in _EXPRESSION.split(found["target"] or "/"):
            if one.startswith("{{"):
                parts.append(compile_template(one))
            elif "{{" in one or "{%" in one:
                raise BadUrl("a URL has {{ expressions }} alone")
            elif one:
                parts.append(quote(one, safe=LITERAL))
        if not isinstance(parts[0], str) or not parts[0].startswith("/"):
            parts.insert(0, "/")
        return cls(found["origin"], tuple(parts))

    @property
    def templates(self) -> tuple[Template, ...]:
        return tuple(one for one in self.parts if isinstance(one, Template))

    def render(self, variables: Variables, may_show: Shown) -> tuple[str, str]:
        """The target, and what of it may be shown.

        Raises:
            RenderError: an expression has no value.
        """
        exact, visible = "", ""
        for part in self.parts:
            if isinstance(part, Template):
                value = part.render(variables)
                encoded = encode(value)
                exact += encoded
                visible += encoded if may_show(value) else MASK
            else:
                exact += part
                visible += part
        return exact, visible


def encode(value: object) -> str:
    """A value as one segment of a path, or one value of a query."""
    encoded = quote(shown(value), safe="", errors="replace")
    # A segment of dots is a step through the path, also where it is encoded.
    return encoded if encoded.strip(".") else encoded.replace(".", "%2E")


def extend(target: str, query: Mapping[str, str]) -> str:
    """The target with more of a query; its values are encoded already."""
    if not query:
        return target
    joined = "&".join(f"{quote(name, safe='')}={value}" for name, value in query.items())
    return f"{target}{'&' if '?' in target else '?'}{joined}"
