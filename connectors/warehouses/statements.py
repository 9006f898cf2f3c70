"""What is sent to a warehouse: one SELECT, of a table or of the project's own query.

A query stands in parentheses after FROM, where no warehouse takes anything but a SELECT, and the
session is read-only besides.  What is looked at here is only what could end the parentheses early,
so that a mistake is told before anything is sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from audience_dsl.definitions import ModelSource
from connectors.warehouses.errors import WarehouseError

_BEGINNINGS = ("SELECT", "WITH", "VALUES", "TABLE", "FROM")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a warehouse writes names and texts.

    `quote` encloses a name.  `folds` says that names without quotes are folded to one case, so
    plain ones are best left so.  `backslash` escapes in texts; `hash` begins a comment.
    """

    quote: str = '"'
    folds: bool = False
    backslash: bool = False
    hash: bool = False

    def name(self, name: str) -> str:
        """An identifier, whatever characters it has."""
        if self.folds and _PLAIN.fullmatch(name):
            return name
        return f"{self.quote}{name.replace(self.quote, self.quote * 2)}{self.quote}"

    def table(self, table: str) -> str:
        """A table, perhaps with its schema and database before it."""
        return ".".join(self.name(part) for part in table.split("."))

    def rows_of(self, source: ModelSource) -> str:
        """What stands after FROM.

        Raises:
            WarehouseError: the query is not exactly one SELECT statement.
        """
        if source.table is not None:
            return self.table(source.table)
        if source.query is None:
            raise WarehouseError("only a table or a query can be read from this warehouse")
        return f"(\n{self.checked(source.query)}\n) AS usher_rows"

    def select(self, source: ModelSource, columns: str = "*", *, rows: bool = True) -> str:
        """The whole statement; without `rows` it has the columns alone."""
        sql = f"SELECT {columns} FROM {self.rows_of(source)}"
        if source.since is not None:
            # Every warehouse compares its dates and timestamps of any kind with a day in quotes.
            column, day = self.name(source.since[0]), source.since[1]
            sql += f" WHERE {column} >= '{day}' OR {column} IS NULL"
        return sql + ("" if rows else " LIMIT 0")

    def checked(self, query: str) -> str:
        """The query without a semicolon at its end.

        Raises:
            WarehouseError: it is not exactly one SELECT statement.
        """
        bare = _Scan(query, self).bare
        words = bare.lstrip(" \t\r\n(").split(None, 1)
        first = re.match(r"[A-Za-z]*", words[0])[0].upper() if words else ""  # type: ignore[index]
        body = bare.rstrip()
        single = ";" not in body[:-1]
        if first not in _BEGINNINGS or not single or not _balanced(body):
            raise WarehouseError(
                "the query must be exactly one SELECT statement; it may begin with WITH, and "
                "reads only"
            )
        end = len(body) - 1 if body.endswith(";") else len(query)
        return query[:end]


def source_name(source: ModelSource, system: str) -> str:
    """What to call it in messages."""
    return "the query" if source.table is None else f"table {source.table} of {system}"


class _Scan:
    """The query with texts, quoted names and comments blanked out, character for character."""

    def __init__(self, query: str, dialect: Dialect) -> None:
        quotes = f"'\"{dialect.quote}"
        escape = r"\\.|" if dialect.backslash else ""
        parts = [rf"{quote}(?:{escape}{quote}{quote}|[^{quote}])*{quote}" for quote in set(quotes)]
        parts += [r"--[^\n]*", r"/\*.*?\*/", r"\$([A-Za-z_]*)\$.*?\$\1\$"]
        if dialect.hash:
            parts.append(r"#[^\n]*")
        self.bare = re.sub("|".join(parts), _blank, query, flags=re.DOTALL)
        if set(self.bare) & set(quotes) or "/*" in self.bare:
            raise WarehouseError("the query has a quote or a comment that is never closed")


def _blank(match: re.Match[str]) -> str:
    # A comment separates words; a text or a name is one.
    return (" " if match[0][0] in "-/#" else "x") * len(match[0])


def _balanced(text: str) -> bool:
    depth = 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return False
    return depth == 0
