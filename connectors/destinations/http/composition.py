"""From messages to the request that carries them, by the templates of a definition."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec

from audience_dsl.structures import leaves
from audience_dsl.template_filters import Refused, shown
from audience_dsl.templates import RenderError, Template, compile_template
from connectors.destinations.destination import Message
from connectors.destinations.http.authorization import Authorization
from connectors.destinations.http.exchange import Request
from connectors.destinations.http.log import MASK, Shown, json_text, masked
from connectors.destinations.http.target import Url, encode, extend

CONTENT_TYPES = {
    "json": "application/json",
    "ndjson": "application/x-ndjson",
    "form": "application/x-www-form-urlencoded",
}
_BODILESS = frozenset({"GET", "HEAD"})
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")
# Controls, and what has no form in UTF-8.
_NO_LINE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


class Unfit(Exception):
    """Messages cannot be put into a request; the text says why, without their values."""


@dataclass(frozen=True, slots=True)
class Composed:
    """`target` and `body` are what may be shown; `length` is that of the body, uncompressed."""

    request: Request
    length: int
    target: str
    body: str


def variables_of(message: Message, options: Mapping[str, object]) -> dict[str, object]:
    """What the templates of one message may name."""
    return {
        **message.record,
        "entered": message.entered,
        "mapping": message.mapped or {},
        "options": options,
    }


class Composition:
    """The requests of one action, entered or exited.

    Args:
        declared: `method`, `url`, `headers`, `query`, `body`, `item`, `encoding`, `gzip`.
        batch: How many messages a request may have; of one, its templates may name the message's
            variables.
        options: What templates find under `options`.

    Raises:
        TemplateError, BadUrl: a part is no template.
    """

    def __init__(
        self,
        declared: Mapping[str, Any],
        batch: int,
        authorization: Authorization,
        options: Mapping[str, object],
    ) -> None:
        self.url = Url.read(str(declared["url"]))
        self._method = str(declared.get("method", "POST"))
        self._headers = compile_template(declared.get("headers") or {})
        self._query = compile_template(declared.get("query") or {})
        self._item = _template(declared, "item")
        self._body = _template(declared, "body")
        self._encoding = str(declared.get("encoding", "json"))
        self._gzip = declared.get("gzip") is True
        self._single = batch == 1
        self._authorization = authorization
        self._options = options
        self.literals = frozenset(_literals([declared, options]))

    def item(self, message: Message) -> Any:
        """What stands for one message in a request.

        Raises:
            Unfit: it has no such form.
        """
        if self._item is None:
            return message.body
        return _rendered(self._item, variables_of(message, self._options), "item")

    def compose(
        self, messages: Sequence[Message], items: Sequence[Any], may_show: Shown
    ) -> Composed:
        """The request for messages, of which `items` has the forms.

        Raises:
            Unfit: a template has no value for them.
        """
        variables: dict[str, object] = {
            "records": [variables_of(one, self._options) for one in messages],
            "items": list(items),
            "options": self._options,
        }
        if self._single:
            variables |= variables_of(messages[0], self._options)
            variables["item"] = items[0]
        try:
            target, visible = self.url.render(variables, may_show)
        except RenderError as error:
            raise Unfit(f"its url: {error}") from error
        query = _rendered(self._query, variables, "query")
        query = {name: value for name, value in query.items() if value is not None}
        keys = self._authorization.query
        exact = {name: encode(value) for name, value in (query | dict(keys)).items()}
        hidden = {name: exact[name] if may_show(value) else MASK for name, value in query.items()}
        target = extend(target, exact)
        visible = extend(visible, hidden | dict.fromkeys(keys, MASK))
        content, text = self._content(variables, items, may_show)
        headers = self._header_lines(variables, bodiless=content is None)
        length = len(content or b"")
        if content is not None and self._gzip:
            # The same bytes for the same messages, whenever they are sent.
            content = gzip.compress(content, mtime=0)
        request = Request(self._method, target, headers, content or b"")
        return Composed(request, length, visible, text)

    def _content(
        self, variables: Mapping[str, object], items: Sequence[Any], may_show: Shown
    ) -> tuple[bytes | None, str]:
        if self._method in _BODILESS:
            return None, ""
        if self._body is not None:
            body = _rendered(self._body, variables, "body")
        else:
            body = items[0] if self._single else list(items)
        try:
            return self._encoded(body), json_text(masked(body, may_show))
        except (msgspec.MsgspecError, TypeError, ValueError, OverflowError) as error:
            raise Unfit(f"its body: {reason_of(error)}") from error

    def _encoded(self, body: Any) -> bytes:
        match self._encoding:
            case "ndjson":
                lines = body if isinstance(body, list) else [body]
                return b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
            case "form":
                if not isinstance(body, Mapping):
                    raise Refused("a form is a mapping")
                given = {name: shown(value) for name, value in body.items() if value is not None}
                return urlencode(given).encode()
            case _:
                return msgspec.json.encode(body)

    def _header_lines(self, variables: Mapping[str, object], *, bodiless: bool) -> dict[str, str]:
        headers: dict[str, str] = {}
        if not bodiless:
            headers["content-type"] = CONTENT_TYPES[self._encoding]
            if self._gzip:
                headers["content-encoding"] = "gzip"
        for name, value in _rendered(self._headers, variables, "headers").items():
            text = shown(value)
            if _NO_LINE.search(text):
                raise Unfit(f"its header {name}: a header is one line of text")
            headers[name.lower()] = text
        return headers | dict(self._authorization.headers)


def reason_of(error: Exception) -> str:
    """Why a value has no form in JSON, without the value."""
    return str(error) if isinstance(error, Refused) else "JSON has nothing like one of its values"


def _template(declared: Mapping[str, Any], name: str) -> Template | None:
    return compile_template(declared[name]) if name in declared else None


def _rendered(template: Template, variables: Mapping[str, object], what: str) -> Any:
    try:
        return template.render(variables)
    except RenderError as error:
        raise Unfit(f"its {what}: {error}") from error


def _literals(value: object) -> Iterator[str]:
    """What stands in a definition as it is, or as a text within an expression."""
    for _, leaf in leaves(value):
        if isinstance(leaf, str) and ("{{" in leaf or "{%" in leaf):
            for one in _QUOTED.finditer(leaf):
                yield one[1] or one[2] or ""
        else:
            yield str(leaf)


def literals(compositions: Iterable[Composition]) -> frozenset[str]:
    return frozenset().union(*(one.literals for one in compositions))
