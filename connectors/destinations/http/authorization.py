"""How requests say who sends them: headers or a part of the query, which no log shows."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from audience_dsl.connections import secret
from audience_dsl.shapes import Field, Record, Tagged, Text
from connectors.destinations.http.options import URL

_SECRET = secret("API_KEY")
HEADER = Text("the name of a header", r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")

AUTH = Tagged(
    "auth",
    {
        "basic": Record(
            "basic",
            "User and password, in the header `Authorization`.",
            (
                Field("user", Text(), "The user, or a key in its place."),
                Field("password", _SECRET, "The password, as `${NAME}`."),
            ),
        ),
        "bearer": Record(
            "bearer",
            "A token, in the header `Authorization`.",
            (Field("token", _SECRET, "The token, as `${NAME}`.", required=True),),
        ),
        "header": Record(
            "header",
            "A key, in a header of its own.",
            (
                Field("name", HEADER, "The header.", required=True),
                Field("value", _SECRET, "The key, as `${NAME}`.", required=True),
            ),
        ),
        "query": Record(
            "query",
            "A key, in the query.",
            (
                Field("name", Text(), "The parameter.", required=True),
                Field("value", _SECRET, "The key, as `${NAME}`.", required=True),
            ),
        ),
        "oauth2": Record(
            "oauth2",
            "A token of OAuth 2, by client credentials; asked for again when it ends or is "
            "refused.",
            (
                Field("token_url", URL, "Where tokens are asked for.", required=True),
                Field("client_id", Text(), "The client.", required=True),
                Field("client_secret", _SECRET, "Its secret, as `${NAME}`.", required=True),
                Field("scope", Text(), "What the token is for.", default="left to the server"),
            ),
        ),
    },
)


@dataclass(frozen=True, slots=True)
class Authorization:
    """What is added to each request; `secrets` are kept out of everything for people."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def read(cls, auth: Mapping[str, object] | None) -> Authorization:
        """By the option `auth`."""
        if auth is None:
            return cls()
        given = {name: str(value) for name, value in auth.items()}
        match given["type"]:
            case "basic":
                user, password = given.get("user", ""), given.get("password", "")
                code = base64.b64encode(f"{user}:{password}".encode()).decode()
                return cls({"authorization": f"Basic {code}"}, {}, (password, user, code))
            case "bearer":
                token = given["token"]
                return cls({"authorization": f"Bearer {token}"}, {}, (token,))
            case "header":
                return cls({given["name"].lower(): given["value"]}, {}, (given["value"],))
            case "oauth2":  # whose header is known when the token is
                return cls({}, {}, (given["client_secret"],))
            case _:
                return cls({}, {given["name"]: given["value"]}, (given["value"],))
