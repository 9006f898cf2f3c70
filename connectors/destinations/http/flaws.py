"""What can be wrong with the options of `http` that their shapes do not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audience_dsl.shapes import Flaw
from audience_dsl.suggestions import Suggestions
from audience_dsl.templates import Template, TemplateError, compile_template
from connectors.destinations.http.options import connection_flaws
from connectors.destinations.http.rules import BadExpression, Rules
from connectors.destinations.http.target import BadUrl, Url

RECORD_VARIABLES = (
    "id", "type", "audience", "audience_version", "parent_model", "user_id", "effective_at",
    "sequence", "cause", "emitted_at", "entered", "mapping",
)  # fmt: skip


def flaws(options: Mapping[str, Any]) -> Iterator[Flaw]:
    """What is wrong with options that have the right shapes."""
    batch = options.get("batch", 1)
    origins = set()
    for action in ((), ("entered",), ("exited",)):
        declared = options.get(action[0]) or {} if action else options
        yield from _action_flaws(declared, action, batch)
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
    declared: Mapping[str, Any], action: tuple[str, ...], batch: int
) -> Iterator[Flaw]:
    for name in ("headers", "query", "item", "body"):
        if name not in declared:
            continue
        try:
            template = compile_template(declared[name])
        except TemplateError as error:
            yield Flaw((*action, name, *error.path), error.what)
        else:
            yield from _unknown(template, (*action, name), single=name == "item" or batch == 1)
    try:
        url = Url.read(str(declared.get("url", "https://x/")))
    except (BadUrl, TemplateError):
        return
    for template in url.templates:
        yield from _unknown(template, (*action, "url"), single=batch == 1)


def _unknown(template: Template, path: tuple[str, ...], *, single: bool) -> Iterator[Flaw]:
    """Variables that a template names and that will not be there."""
    known = {"options"}
    if single:
        known |= {*RECORD_VARIABLES, *(("item",) if path[-1] != "item" else ())}
    if path[-1] != "item":
        known |= {"items", "records"}
    for use in template.uses:
        name = use.name[0]
        if name in known:
            continue
        place = path if path[-1] == "url" else (*path, *use.path)
        if name in RECORD_VARIABLES:
            what = f"a request has several messages, so there is no '{name}' for all of it"
            yield Flaw(place, what, "name it in item:, or write batch: 1")
        else:
            close = Suggestions().closest(name, sorted(known))
            listed = ", ".join(sorted(known - {"options"}))
            advice = f"did you mean '{close}'?" if close else f"there are {listed}"
            yield Flaw(place, f"there is no variable '{name}'", advice)
