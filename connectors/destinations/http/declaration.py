"""What the destination `http` is told in YAML."""

from __future__ import annotations

from audience_dsl.durations import DAY
from audience_dsl.shapes import (
    Anything,
    Choice,
    Duration,
    Field,
    Flag,
    Integer,
    ListOf,
    MapOf,
    Record,
    Text,
)
from connectors.destinations.http.authorization import AUTH, HEADER
from connectors.destinations.http.flaws import flaws
from connectors.destinations.http.options import CONNECTION
from connectors.destinations.http.rules import RULES

_URL = Text("a URL such as https://example.com/users/{{ user_id }}", r"https?://.+")
_METHOD = Choice(dict.fromkeys(("POST", "PUT", "PATCH", "DELETE", "GET"), ""))
_ACTION = (
    Field(
        "method",
        _METHOD,
        "The method.",
        default="`POST`",
    ),
    Field(
        "headers",
        MapOf(HEADER, Text()),
        "Headers; templates.",
        default="the content's type",
    ),
    Field(
        "query",
        MapOf(Text(), Text()),
        "What is added to the URL's query; templates.",
        default="nothing",
    ),
    Field(
        "item",
        Anything(),
        "What stands for one message: a template over its variables.",
        default="the transition record, or the sync's mapping of it",
    ),
    Field(
        "body",
        Anything(),
        "The body: a template over `items`, the items of the request's messages, and `records`, "
        "their variables. Where `batch` is 1, the message's own variables are there as well.",
        default="the item; with a larger `batch`, the list of items",
    ),
)
_EACH = "A request's parts for these alone."

OPTIONS = Record(
    "http",
    "Any HTTP API. Texts are templates over the transition record's keys, `entered` and "
    "`mapping.X`, what the sync's mapping made.",
    (
        Field(
            "url",
            _URL,
            "Where to send. Behind the host it is a template, whose values are encoded.",
            required=True,
        ),
        *_ACTION,
        *(
            Field(
                kind,
                Record(kind, _EACH, (Field("url", _URL, "Another URL of the host."), *_ACTION)),
                f"What is different for those who {kind}.",
                default="nothing",
            )
            for kind in ("entered", "exited")
        ),
        Field(
            "encoding",
            Choice(
                {
                    "json": "one JSON document",
                    "ndjson": "a JSON document a line",
                    "form": "a form's fields",
                }
            ),
            "How the body is written.",
            default="`json`",
        ),
        Field("gzip", Flag(), "Whether the body is compressed.", default="false"),
        Field(
            "batch",
            Integer(1, 10_000, "nothing would be sent", "no API takes so many"),
            "Messages in a request, at most.",
            default="`1`",
        ),
        Field(
            "max_bytes",
            Integer(1, 10**9, "nothing would be sent", "no API takes so much"),
            "The longest body, before compression; what is longer is sent in parts.",
            default="none",
        ),
        Field("auth", AUTH, "How requests say who sends them.", default="not at all"),
        *RULES,
        Field(
            "limits",
            ListOf(
                Record(
                    "limit",
                    "At most so many requests within any such span.",
                    (
                        Field(
                            "requests",
                            Integer(1, 10**9, "nothing would be sent", "that is no limit"),
                            "The requests.",
                            required=True,
                        ),
                        Field("per", Duration(DAY, "that is no limit"), "The span.", required=True),
                    ),
                )
            ),
            "How often requests may be made; all limits hold.",
            default="none",
        ),
        *CONNECTION,
    ),
    check=flaws,
)
