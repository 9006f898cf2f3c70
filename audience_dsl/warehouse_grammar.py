"""Warehouses: the part of the grammar that says what each kind is connected to with."""

from __future__ import annotations

from audience_dsl.connections import FILE, PORT, POSTGRES_TLS, secret
from audience_dsl.durations import DAY
from audience_dsl.shapes import Choice, Duration, Field, Integer, Record, Tagged, Text

_WORD = Text()
_SECRET = secret()

LIMITS = (
    Field(
        "timeout",
        Duration(DAY, "no warehouse is read for more than a day"),
        "How long one model may take, from the first question to the last row.",
        default="`1h`",
    ),
    Field(
        "max_rows",
        Integer(1, 10**12, "nothing could be read", "that is more than a disk holds"),
        "A model with more rows is refused.",
        default="100,000,000",
    ),
    Field(
        "max_bytes",
        Integer(1, 10**15, "nothing could be read", "that is more than a disk holds"),
        "So is one that is larger in memory, all rows together.",
        default="64 GiB",
    ),
)
_CA = Field("ca", FILE, "The certificates that are trusted.", default="the system's")


def _server(title: str, port: int, tls: Choice, default: str) -> Record:
    return Record(
        title,
        f"{title}. The user needs no right but SELECT.",
        (
            Field("host", _WORD, "The server.", required=True),
            Field("port", PORT, "Its port.", default=f"{port}"),
            Field("database", _WORD, "The database.", required=True),
            Field("user", _WORD, "Who reads."),
            Field("password", _SECRET, "The password, as `${NAME}`."),
            Field("tls", tls, "Whether the connection is encrypted.", default=default),
            _CA,
            *LIMITS,
        ),
    )


_WITH_CA = ", and `verify-full` with `ca`"
_MYSQL_TLS = Choice({word: what for word, what in POSTGRES_TLS.words.items() if word != "prefer"})

WAREHOUSE = Tagged(
    "warehouse",
    {
        "duckdb": Record(
            "duckdb",
            "A DuckDB file. It also reads Parquet, CSV and JSON files; where all models do so, "
            "no path is needed.",
            (Field("path", FILE, "The database file.", default="none"), *LIMITS),
        ),
        "postgres": _server("PostgreSQL", 5432, POSTGRES_TLS, "`prefer`" + _WITH_CA),
        "redshift": _server("Amazon Redshift", 5439, POSTGRES_TLS, "`require`" + _WITH_CA),
        "mysql": _server("MySQL or MariaDB", 3306, _MYSQL_TLS, "`require`"),
        "snowflake": Record(
            "snowflake",
            "Snowflake. Names without quotes are in capitals there, those of columns too.",
            (
                Field("account", _WORD, "The account's identifier.", required=True),
                Field("user", _WORD, "Who reads.", required=True),
                Field("password", _SECRET, "The password, as `${NAME}`."),
                Field("token", _SECRET, "An access token instead, as `${NAME}`."),
                Field("private_key", FILE, "A key file instead."),
                Field("private_key_password", _SECRET, "The key file's password, as `${NAME}`."),
                Field("authenticator", _WORD, "How to log in, by Snowflake's own name for it."),
                Field("warehouse", _WORD, "The virtual warehouse that runs the queries."),
                Field("database", _WORD, "The database.", required=True),
                Field("schema", _WORD, "The schema."),
                Field("role", _WORD, "The role."),
                Field("host", _WORD, "Another host.", default="the account's"),
                Field("port", PORT, "Its port.", default="443"),
                Field(
                    "protocol",
                    Choice({"https": "with encryption", "http": "without, for tests"}),
                    "How it is spoken to.",
                    default="`https`",
                ),
                *LIMITS,
            ),
        ),
        "bigquery": Record(
            "bigquery",
            "BigQuery.",
            (
                Field("project", _WORD, "The project that pays for the queries.", required=True),
                Field("dataset", _WORD, "Where tables are that are named without one."),
                Field("location", _WORD, "The location of the data."),
                Field(
                    "credentials",
                    FILE,
                    "The key file of a service account.",
                    default="Google's application default credentials",
                ),
                Field("endpoint", _WORD, "The URL of an emulator, for tests."),
                *LIMITS,
            ),
        ),
        "databricks": Record(
            "databricks",
            "Databricks SQL.",
            (
                Field("host", _WORD, "The workspace's host.", required=True),
                Field("http_path", _WORD, "The path of the SQL warehouse.", required=True),
                Field("token", _SECRET, "An access token, as `${NAME}`.", required=True),
                Field("catalog", _WORD, "The catalog."),
                Field("schema", _WORD, "The schema."),
                *LIMITS,
            ),
        ),
    },
)
