"""Presets: what vendors want to be told, as data.

A file of `presets` has the vendor's options and a request, which is a declaration of `http` whose
templates find the options under `options`.  A destination of that type is the generic one with this
declaration.  In URLs and under `auth` options are put in as they are, when it is opened.

    title, documentation, doc    for people; documentation is the vendor's page
    unproven                     what nobody has seen to work, as sentences
    mapping                      which names of a sync's mapping it uses, and for what
    options                      name: {type, required, default, secret, doc}
    like                         another preset, whose request it has
    request                      options of `http`, over those of `like`
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from audience_dsl.connections import secret
from audience_dsl.definitions import Settings
from audience_dsl.durations import read_duration
from audience_dsl.shapes import Field, Flaw, Integer, Record, Shape, Text
from connectors.destinations.destination import Destination
from connectors.destinations.http import declaration
from connectors.destinations.http.options import CONNECTION, connection_flaws
from connectors.destinations.place import Place

_FOLDER = Path(__file__).parent.parent / "presets"
_OPTION = re.compile(r"\{\{ options\.(\w+) \}\}")
# What may be said otherwise than the preset does.
_OVER = ("batch", "limits")
_URL = Text("a URL such as https://example.com", r"https?://\S+")


@dataclass(frozen=True, slots=True)
class Preset:
    """One vendor; `request` are options of `http`."""

    name: str
    title: str
    documentation: str
    doc: str
    unproven: tuple[str, ...]
    mapping: Mapping[str, str]
    options: Mapping[str, Mapping[str, Any]]
    request: Mapping[str, Any]

    @property
    def record(self) -> Record:
        """What it is told in YAML."""
        used = "; ".join(f"`{name}`: {what}" for name, what in self.mapping.items())
        doubts = f" Unproven: {'; '.join(self.unproven)}." if self.unproven else ""
        fields = tuple(_field(name, one) for name, one in self.options.items())
        # The templates of a preset without a batch are those of a single message.
        over = [
            declaration.OPTIONS.by_name[name]
            for name in _OVER
            if name != "batch" or "batch" in self.request
        ]
        doc = f"{self.doc} Of a sync's mapping it takes {used}.{doubts} <{self.documentation}>"
        all_fields = (*fields, *map(self._own, over), *CONNECTION)
        return Record(self.name, doc, all_fields, check=self.flaws)

    def declared(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The options of `http` that these options stand for."""
        known = self.known(options)
        request = deepcopy(dict(self.request))
        request |= {name: options[name] for name in options if name in _TUNING}
        for part in (request, *(request[one] for one in ("entered", "exited") if one in request)):
            if "url" in part:
                part["url"] = _settled_url(part["url"], known)
        if "auth" in request:
            request["auth"] = {name: _settled(one, known) for name, one in request["auth"].items()}
        return request

    def known(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """The vendor's options, with their defaults."""
        return {name: options.get(name, one.get("default")) for name, one in self.options.items()}

    def flaws(self, options: Mapping[str, Any]) -> Iterator[Flaw]:
        for name, one in self.options.items():
            if one["type"] == "url" and name in options:
                yield from connection_flaws(options, str(options[name]), (name,))
            if any(mark in str(options.get(name, "")) for mark in "\r\n\0"):
                yield Flaw((name,), "this is one line", "does it end with a line break?")

    def open(self, settings: Settings, place: Place) -> Destination:
        """The destination of these settings.

        Raises:
            DestinationError: nothing can be sent with them.
        """
        from connectors.destinations.http.destination import HttpDestination

        known = self.known(settings.options)
        hidden = [str(known[name]) for name, one in self.options.items() if one.get("secret")]
        declared = self.declared(settings.options)
        return HttpDestination(settings.key, declared, place, known, [*hidden, *settings.filled])

    def _own(self, one: Field) -> Field:
        """The field, with the preset's default."""
        value = self.request.get(one.name)
        if one.name == "limits" and value:
            spans = [f"{limit['requests']:,} in {limit['per'] // 1_000_000} s" for limit in value]
            return Field(one.name, one.shape, one.doc, default=", ".join(spans))
        return Field(one.name, one.shape, one.doc, default=f"`{value}`" if value else one.default)


_TUNING = frozenset({*_OVER, *(one.name for one in CONNECTION)})


@cache
def presets() -> Mapping[str, Preset]:
    """All presets by the name of their file."""
    files = {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.yml"))}
    return {name: _preset(name, given, files) for name, given in files.items()}


def _read(path: Path) -> dict[str, Any]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    read: dict[str, Any] = yaml.load(path.read_bytes(), loader)  # noqa: S506  a safe one
    return read


def _preset(name: str, given: Mapping[str, Any], files: Mapping[str, Mapping[str, Any]]) -> Preset:
    request = files[given["like"]]["request"] if "like" in given else {}
    request = {**request, **given.get("request", {})}
    if "limits" in request:
        request["limits"] = [{**one, "per": read_duration(one["per"])} for one in request["limits"]]
    return Preset(
        name,
        given["title"],
        given["documentation"],
        given["doc"],
        tuple(given.get("unproven", ())),
        given.get("mapping", {}),
        given["options"],
        request,
    )


def _field(name: str, one: Mapping[str, Any]) -> Field:
    default = one.get("default")
    return Field(
        name,
        _shape(one),
        one["doc"],
        required=one.get("required", False),
        default="" if default is None else f"`{default}`",
    )


def _shape(one: Mapping[str, Any]) -> Shape:
    is_secret = one.get("secret", False)
    match one["type"]:
        case "integer":
            return Integer(0, 10**18, "there are no such numbers", "there are no such numbers")
        case "url":
            return Text(_URL.what, _URL.pattern, secret=is_secret)
        case _:
            return secret("API_KEY") if is_secret else Text()


def _settled(text: str, known: Mapping[str, Any]) -> str:
    return _OPTION.sub(lambda found: str(known[found[1]]), text)


def _settled_url(url: str, known: Mapping[str, Any]) -> str:
    """The URL with its host put in, which is an option; the path's stay templates."""
    found = _OPTION.match(url)
    if found is None:
        return url
    return str(known[found[1]]).rstrip("/") + url[found.end() :]
