"""What can be wrong with the options of `http` that their shapes do not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audience_dsl.shapes import Flaw
from audience_dsl.structures import Path, leaves
from audience_dsl.suggestions import Suggestions
from audience_dsl.syncs import RECORD_KEYS
from audience_dsl.templates import Template, TemplateError, compile_template
from connectors.destinations.http.options import connection_flaws
from connectors.destinations.http.rules import BadExpression, Rules
from connectors.destinations.http.target import BadUrl, Url

# The variables of one message, and of all messages of a request.
_OF_ONE = frozenset({*RECORD_KEYS, "entered", "mapping"})
_OF_ALL = frozenset({"items", "records"})


def flaws(options: Mapping[str, Any], more: frozenset[str] = frozenset()) -> Iterator[Flaw]:
    """What is wrong with options that have the right shapes; templates may name `more` as well."""
    batch = options.get("batch", 1)
    origins = set()
    for action in ((), ("entered",), ("exited",)):
        declared = options.get(action[0]) or {} if action else options
        yield from _action_flaws(declared, action, batch, more)
        if "url" in declared:
            url = str(declared["url"])
            try:
                origins.add(Url.read(url).origin.casefold())
            except (BadUrl, TemplateError) as error:
                yield Flaw((*action, "url"), str(error))
            else:
                yield from connection_flaws(options, url, (*action, "url"))
    if len(origins) > 1:
        what = "a destination has one host, and there are several"
        kind = next(one for one in ("entered", "exited") if "url" in (options.get(one) or {}))
        yield Flaw((kind, "url"), what, "make another destination and another sync for it")
    try:
        Rules(options)
    except BadExpression as error:
        yield Flaw(error.path, str(error), "see https://jmespath.org")
    if "token_url" in (options.get("auth") or {}):
        token_url = str(options["auth"]["token_url"])
        yield from connection_flaws(options, token_url, ("auth", "token_url"))
    for name in ("token", "password", "value", "user"):
        if any(one in str((options.get("auth") or {}).get(name, "")) for one in "\r\n\0"):
            yield Flaw(("auth", name), "a secret is one line", "does it end with a line break?")


def _action_flaws(
    declared: Mapping[str, Any], action: Path, batch: int, more: frozenset[str]
) -> Iterator[Flaw]:
    single = batch == 1
    for name in ("headers", "query", "item", "body"):
        known = more | (_OF_ONE if single or name == "item" else frozenset())
        if name != "item":
            known |= _OF_ALL | ({"item"} if single else frozenset())
        # One by one, so that all mistakes are told at once.
        for path, text in leaves(declared.get(name), (*action, name)):
            if not isinstance(text, str):
                continue
            try:
                template = compile_template(text)
            except TemplateError as error:
                yield Flaw(path, error.what)
            else:
                yield from _unknown(template, path, known)
    try:
        url = Url.read(str(declared.get("url", "https://x/")))
    except (BadUrl, TemplateError):
        return
    for template in url.templates:
        known = more | _OF_ALL | (_OF_ONE | {"item"} if single else frozenset())
        yield from _unknown(template, (*action, "url"), known)


def _unknown(template: Template, path: Path, known: frozenset[str]) -> Iterator[Flaw]:
    """Variables that a template names and that will not be there."""
    for name in dict.fromkeys(use.name[0] for use in template.uses):
        if name in known:
            continue
        if name in _OF_ONE:
            what = f"a request has several messages, so there is no '{name}' for all of it"
            yield Flaw(path, what, "name it in item:, or write batch: 1")
        else:
            close = Suggestions().closest(name, sorted(known))
            listed = ", ".join(sorted(known))
            advice = f"did you mean '{close}'?" if close else f"there are {listed}"
            yield Flaw(path, f"there is no variable '{name}'", advice)
