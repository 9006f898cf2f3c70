"""The sections that a project may have: the one description of the language.

From these values come the parser with its messages (`reading`), the JSON Schema for editors
(`json_schema`) and the language reference (`reference`).  What stands inside an audience's
`where` is described by `conditions`; what a kind of destination needs, by the module that sends
there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from audience_dsl.condition_grammar import CONDITION, FILTER
from audience_dsl.connections import FILE
from audience_dsl.definitions import ColumnType
from audience_dsl.shapes import (
    Anything,
    Choice,
    Duration,
    Either,
    Field,
    Flag,
    Flaw,
    Integer,
    ListOf,
    MapOf,
    Name,
    OneOf,
    Record,
    Reference,
    Shape,
    Tagged,
    Text,
)
from audience_dsl.warehouse_grammar import WAREHOUSE

KEY = Text(
    "a key of letters, digits, '_' and '-' that starts with a letter or '_'",
    r"[A-Za-z_][A-Za-z0-9_-]{0,99}",
)
COLUMN = Text("a column's name of at most 128 characters", r"[^\x00-\x1f]{1,128}")
FIELD = Text("a field's name of at most 128 characters", r"[^\x00-\x1f]{1,128}")
PATH = Text(
    "a path in the raw record, such as properties.products[0].sku",
    r"[^.\[\]\x00-\x1f]+(\[[0-9]{1,4}\])*(\.[^.\[\]\x00-\x1f]+(\[[0-9]{1,4}\])*)*",
)
ALIAS = Text(
    "a name of at most 128 characters, and none of all, any, none, not, property",
    r"(?!(?:all|any|none|not|property)$)[^\x00-\x1f]{1,128}",
)
START = Text(
    "earliest, latest or an instant such as 2026-03-01T00:00:00Z",
    r"earliest|latest|[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].*)?",
)
SIZE = Text("a size such as 50GB", r"[1-9][0-9]{0,5} ?(MB|GB|TB)")
SQL = Text("a SELECT statement")

_NAME = Field("name", Text(), "What people call it.", default="the key")
_DESCRIPTION = Field("description", Text(), "What it is for.", default="none")

COLUMN_TYPE = Choice(
    {
        ColumnType.STRING: "text",
        ColumnType.NUMBER: "whole or decimal number, also where the record has it as text",
        ColumnType.BOOLEAN: "true or false",
        ColumnType.TIMESTAMP: "instant: ISO 8601, or an epoch in seconds, milliseconds or "
        "microseconds",
        ColumnType.ARRAY: "list",
    }
)
FORMAT = Choice(
    {
        "segment": "Segment",
        "rudderstack": "RudderStack",
        "hightouch": "Hightouch Events",
        "snowplow": "Snowplow, enriched events",
    }
)
_FORMAT_DOC = "Whose form the records have."

COLLECTED_RETENTION = Record(
    "retention",
    "What has been read is removed when it is too old, or when all takes too much room.",
    (
        Field("age", Duration(), "How old it may be.", default="`7d`"),
        Field("size", SIZE, "How much room all may take together.", default="any"),
    ),
)


def _sender_flaws(options: Mapping[str, object]) -> Iterator[Flaw]:
    """Senders have to be known: by app ids where the format's trackers have no keys."""
    needed, other = "write_keys", "app_ids"
    if options["format"] == "snowplow":
        needed, other = other, needed
    if other in options:
        advice = f"remove it; its senders are known by {needed}"
        yield Flaw((other,), f"a source of this format has no '{other}'", advice)
    elif needed not in options:
        advice = f"add {needed}: […], those of your senders"
        yield Flaw(("format",), f"a source of this format needs '{needed}'", advice)


SOURCE = Tagged(
    "source",
    {
        "file": Record(
            "file",
            "Recorded or growing files: JSON lines (also .gz, .zst), Parquet, Snowplow TSV.",
            (
                Field("format", FORMAT, _FORMAT_DOC, default="detected"),
                Field("path", FILE, "A file, a folder or a glob.", required=True),
            ),
        ),
        "kafka": Record(
            "kafka",
            "A Kafka topic. Other keys are properties of librdkafka by its own names, such as "
            "`security.protocol`, `sasl.username` and `ssl.ca.location`.",
            (
                Field("format", FORMAT, _FORMAT_DOC, required=True),
                Field("topic", Text(), "The topic.", required=True),
                Field("bootstrap_servers", Text(), "host:port, separated by commas.", True),
                Field(
                    "start",
                    START,
                    "Where a job begins that has no stored state. Partitions that are added later "
                    "are read from their beginning.",
                    default="`earliest`",
                ),
                Field(
                    "on_missing",
                    Choice(
                        {
                            "stop": "the job stops and says how many offsets are missing",
                            "skip": "it says so and goes on with the earliest that is left",
                        }
                    ),
                    "What to do where the topic has lost messages that were not read.",
                    default="`stop`",
                ),
                Field(
                    "group",
                    Text(),
                    "The consumer group that offsets are committed to, for others to see; the job "
                    "does not read them.",
                    default="`usher-PROJECT-SOURCE`",
                ),
            ),
            open=True,
        ),
        "http": Record(
            "http",
            "The built-in collector, which the vendors' own SDKs send to.",
            (
                Field("format", FORMAT, _FORMAT_DOC, required=True),
                Field("write_keys", ListOf(Text()), "The keys that senders may use."),
                Field("app_ids", ListOf(Text()), "Snowplow, which has no keys: the app ids."),
                Field(
                    "retention",
                    COLLECTED_RETENTION,
                    "How long what has come is kept. What the job may still need stays longer.",
                    default="`{age: 7d}`",
                ),
            ),
            check=_sender_flaws,
        ),
    },
)

_RETENTION = (
    Field(
        "keep_for",
        Duration(),
        "How long a transition stays in the journal. What a sync has still to deliver stays "
        "longer; who is a member, and since when, stays in any case.",
        default="for ever",
    ),
    Field(
        "keep_rows",
        Integer(0, 10**12),
        "How many transitions stay in the journal at most.",
        default="all",
    ),
)
STORE = Tagged(
    "store",
    {
        "sqlite": Record(
            "sqlite",
            "A file, for one machine.",
            (Field("path", FILE, "The file.", default="`.usher/state.db`"), *_RETENTION),
        ),
        "postgres": Record(
            "postgres",
            "A PostgreSQL database, for several machines.",
            (
                Field(
                    "url",
                    Text("a URL such as postgresql://user@host/database", r"postgres(ql)?://\S+"),
                    "The database, with user and password; best as `${VAR}`.",
                    required=True,
                ),
                Field(
                    "schema",
                    Text(
                        "a name of at most 63 letters, digits and '_'",
                        r"[A-Za-z_][A-Za-z0-9_]{0,62}",
                    ),
                    "The schema of the tables.",
                    default="`usher`",
                ),
                *_RETENTION,
            ),
        ),
    },
)

_ADDRESS = Text(
    "host:port, such as 127.0.0.1:8080",
    r"\S+:([0-9]{1,4}|[1-5][0-9]{4}|6([0-4][0-9]{3}|5([0-4][0-9]{2}|5([0-2][0-9]|3[0-5]))))",
)

_ORIGIN = Text(
    "an origin such as https://shop.example, without a path",
    r"https?://[a-z0-9.-]+(:[0-9]+)?|https?://\[[0-9a-f:]+\](:[0-9]+)?",
)
_RATE = Integer(1, 1_000_000)

LIMITS = Record(
    "limits",
    "How much one client may ask for; whoever asks for more is told when to come back.",
    (
        Field("per_key", _RATE, "Requests a second with one key.", default="2000"),
        Field("per_address", _RATE, "Requests a second from one address.", default="2000"),
        Field(
            "collector_per_address",
            _RATE,
            "Requests a second with events from one address.",
            default="10000",
        ),
        Field(
            "streams", _RATE, "Streams of transitions at a time, of all clients.", default="1000"
        ),
    ),
)

SERVING = Record(
    "serving",
    "The HTTP server: collector and APIs.",
    (
        Field("listen", _ADDRESS, "Where it listens.", default="`127.0.0.1:8080`"),
        Field(
            "admin",
            _ADDRESS,
            "Where it gives metrics, to whoever can reach that.",
            default="`127.0.0.1:8081`",
        ),
        Field("certificate", FILE, "The certificates for TLS, as PEM.", default="none: no TLS"),
        Field("private_key", FILE, "The key of the certificate, as PEM."),
        Field(
            "behind_proxy",
            Flag(),
            "Whether a proxy in front speaks TLS, so that an address which other machines reach "
            "needs no certificate.",
            default="false",
        ),
        Field(
            "allow_origins",
            ListOf(_ORIGIN),
            "The sites whose pages may ask the APIs from a browser.",
            default="none",
        ),
        Field("limits", LIMITS, "How much one client may ask for."),
    ),
)

MODEL_SOURCE = Record(
    "from",
    "Where the rows come from.",
    (
        Field("table", Text(), "A table or view of the warehouse."),
        Field("query", SQL, "A query that the warehouse runs."),
        Field("parquet", FILE, "Parquet files: a path or glob."),
        Field("csv", FILE, "CSV files with a header line: a path or glob."),
        Field("json", FILE, "JSON files, of lines or arrays of objects: a path or glob."),
    ),
    (OneOf(("table", "query", "parquet", "csv", "json"), "place to read from", required=True),),
)

PULL = Record(
    "pull",
    "When the warehouse is read anew.",
    (
        Field(
            "every",
            Choice({f"{hours}h": f"every {hours} hours" for hours in (4, 6, 8, 12, 24)}),
            "The interval.",
            default="`24h`",
        ),
        Field("cron", Text("a cron expression"), 'Instants instead, such as `"0 */2 * * *"`.'),
        Field("timezone", Text("a time zone such as Europe/Berlin"), "Of `cron`.", default="UTC"),
        Field(
            "max_shrink",
            Text("a share such as 20%", r"(100|[0-9]{1,2}(\.[0-9]{1,3})?)%"),
            "A pull that brings fewer rows than the one before, by more than this, is refused.",
            default="`20%`",
        ),
        Field(
            "updated_at",
            COLUMN,
            "The column that says when a row has last changed: a pull that is asked for reads only "
            "rows from there on.",
            default="none: all rows are read",
        ),
        Field("history", Integer(1, 100_000), "How many pulls are remembered.", default="`1000`"),
    ),
    (OneOf(("every", "cron"), "schedule"),),
)

PARENT_MODEL = Record(
    "parent model",
    "What audiences select, usually users.",
    (
        Field("from", MODEL_SOURCE, "Where its rows are read.", required=True),
        Field("primary_key", COLUMN, "The column that tells rows apart.", required=True),
        Field("pull", PULL, "When it is read anew.", default="every 24h"),
        Field(
            "properties",
            MapOf(COLUMN, COLUMN_TYPE),
            "The columns that audiences may use, with their types.",
            default="all columns, with the warehouse's types",
        ),
        _NAME,
        _DESCRIPTION,
    ),
)

RELATED_MODEL = Record(
    "related model",
    "Rows that belong to a parent model's row, such as a customer's orders; or to the row of a "
    "related model that does, such as the items of an order.",
    (
        Field("from", MODEL_SOURCE, "Where its rows are read.", required=True),
        Field("parent_model", Name("parent_models"), "Whose rows they belong to."),
        Field("related_model", Name("related_models"), "Whose rows they belong to instead."),
        Field("foreign_key", COLUMN, "The column with the primary key of that.", required=True),
        Field("primary_key", COLUMN, "The column that other related models refer to."),
        Field(
            "properties",
            MapOf(COLUMN, COLUMN_TYPE),
            "The columns that conditions may use, with their types.",
            default="all columns, with the warehouse's types",
        ),
        _NAME,
        _DESCRIPTION,
    ),
    (OneOf(("parent_model", "related_model"), "model that it belongs to", required=True),),
)

PROPERTY = Either(
    PATH,
    Record(
        "property",
        "A path with a type.",
        (
            Field("column", PATH, "The path in the raw record.", required=True),
            Field("type", COLUMN_TYPE, "How the value is read.", default="by its JSON type"),
        ),
    ),
)

EVENT = Record(
    "event",
    "Which raw records are this event, and where its fields are.",
    (
        Field("source", Name("sources"), "Where it comes from.", required=True),
        Field(
            "type",
            Text(),
            "A call type (`page`, `screen`, `identify`, `group`) or the name of a track event; "
            "for Snowplow the event's name.",
            required=True,
        ),
        Field("parent_model", Name("parent_models"), "Who does it.", required=True),
        Field("foreign_key", PATH, "The path to the parent's key.", default="the format's"),
        Field("timestamp", PATH, "The path to when it happened.", default="the format's"),
        Field(
            "message_id",
            PATH,
            "The path to the id by which a repeated delivery is recognised.",
            default="the format's",
        ),
        Field("properties", MapOf(ALIAS, PROPERTY), "What conditions may ask for.", default="none"),
        _NAME,
        _DESCRIPTION,
    ),
)

AUDIENCE = Record(
    "audience",
    "A rule; its members are those for whom it is true.",
    (
        Field("parent_model", Name("parent_models"), "Whom it selects.", required=True),
        Field("where", Reference("condition"), "The rule.", required=True),
        Field(
            "members",
            Choice(
                {
                    "all": "everybody for whom the rule is true",
                    "seen": "of those, who had any event within the rule's longest window",
                }
            ),
            "Who can be a member.",
            default="`all`",
        ),
        Field(
            "on_delete",
            Choice(
                {
                    "exit": "its members exit",
                    "silent": "nobody is told",
                }
            ),
            "What happens when the audience is removed from the definitions of a running job.",
            default="`exit`",
        ),
        _NAME,
        _DESCRIPTION,
    ),
)

COLLECTION = Record(
    "collection",
    "Rows of a parent model that are looked up one by one in the snapshot in force, by the primary "
    "key or an index.",
    (
        Field("parent_model", Name("parent_models"), "Whose rows they are.", required=True),
        Field(
            "indexes",
            ListOf(COLUMN),
            "Further columns by whose values rows are found, texts or whole numbers; several rows "
            "may have one value.",
            default="the primary key alone",
        ),
        Field(
            "fields",
            ListOf(COLUMN),
            "The columns that a record has.",
            default="the primary key and all properties of the parent model",
        ),
        _NAME,
        _DESCRIPTION,
    ),
)

SYNC = Record(
    "sync",
    "Sends an audience's entries and exits to a destination.",
    (
        Field("audience", Name("audiences"), "What is sent.", required=True),
        Field("destination", Name("destinations"), "Where to.", required=True),
        Field(
            "on",
            ListOf(Choice({"entered": "somebody became a member", "exited": "somebody left"})),
            "Which transitions.",
            default="both",
        ),
        Field(
            "mapping",
            MapOf(FIELD, Anything()),
            "The fields to send; `{{ user_id }}` and the like are filled in.",
            default="the transition record",
        ),
        Field(
            "only_if",
            Reference("filter"),
            "Only those who fulfil it as they enter, by the parent model's columns. Who was sent "
            "as entered is also sent as exited.",
            default="everybody",
            synonyms=("where", "filter", "if"),
        ),
        Field(
            "initial",
            Choice(
                {
                    "send": "those who are members when the sync is new are sent as entered",
                    "hold": "only what happens from then on is sent",
                }
            ),
            "What becomes of the members that a new sync finds.",
            default="`send`",
        ),
        Field(
            "initial_rate",
            Integer(1, 1_000_000, "nobody would be sent", "that is no limit"),
            "How many of them are sent in a second at most.",
            default="as fast as the destination takes them",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Section:
    """A key at the top of a file.  A `MapOf` may be spread over files, the others stand once."""

    name: str
    shape: Shape
    doc: str


Grammar = Mapping[str, Section]


def grammar(destinations: Mapping[str, Record]) -> Grammar:
    """All sections by name, with the kinds of destinations that there are, and their options."""
    destination = Tagged("destination", destinations)
    sections = (
        Section("project", KEY, "The project's name."),
        Section("warehouse", WAREHOUSE, "Where parent models are read from."),
        Section("sources", MapOf(KEY, SOURCE), "Where events come from."),
        Section("serving", SERVING, "The HTTP server."),
        Section("store", STORE, "Where memberships, transitions and deliveries are kept."),
        Section("parent_models", MapOf(KEY, PARENT_MODEL), "What audiences select."),
        Section("related_models", MapOf(KEY, RELATED_MODEL), "What belongs to parent models."),
        Section("events", MapOf(KEY, EVENT), "The events that conditions count."),
        Section("audiences", MapOf(KEY, AUDIENCE), "The audiences."),
        Section("collections", MapOf(KEY, COLLECTION), "What is looked up row by row."),
        Section("destinations", MapOf(KEY, destination), "Where transitions can be sent."),
        Section("syncs", MapOf(KEY, SYNC), "Which audience is sent where."),
    )
    return {section.name: section for section in sections}


REFERENCES: dict[str, Shape] = {"condition": CONDITION, "filter": FILTER}
