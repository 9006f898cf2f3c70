"""What the settings of most connections have in common: files, ports, secrets."""

from __future__ import annotations

from audience_dsl.shapes import Choice, Integer, Text

FILE = Text("a path, relative to the project folder")
PORT = Integer(1, 65535, "ports begin at 1", "ports end at 65535")
POSTGRES_TLS = Choice(
    {
        "disable": "never",
        "prefer": "if the server can",
        "require": "always",
        "verify-full": "always, and the server's certificate and name are checked",
    }
)


def secret(name: str = "PASSWORD") -> Text:
    """A secret; mistakes show the name of a variable that it could stand in."""
    return Text(f"a secret such as ${{{name}}}", secret=True)
