"""The tables, as numbered migrations: a store of any earlier release is brought up to this one.

    audiences    a number for each audience; the wide tables repeat the number, not the names
    heads        the last transition of each user and audience: the member, if its sequence is odd
    journal      every transition, by position; rows are only added, and pruned from the beginning
    journal_end  the position of the last one.  A writer holds this row from taking its positions
                 until its commit, so that positions become visible in their order, without gaps
    owners       which claim on a key group is the valid one
    progress     what the writer wants to find again exactly as old as the journal is; and how far
                 the job has come, which it notes each second
    cursors      how far each reader of the journal that must miss nothing has come
    api_keys     who may ask the HTTP server for what; of a key itself, only its digest

What is remembered of deliveries, all of it by sync:

    sync_states       whether it runs, and what it has come to
    populations       how far the members are sent that a sync begins with
    waiting           messages that wait for another attempt, or behind one that does
    dead_letters      messages that were given up, and why
    attempts          the last requests, and what came of them
    sync_requests     what somebody asks of whoever delivers
    pinned_snapshots  from which position on transitions are delivered with which snapshot
    withheld          entries that were kept back from a sync
    paces             what a sync sent last, as long as nobody delivers it: rate limits go on

A user's heads lie together and a key group's users too, which makes the answer about a user and
the stream of a group one range each; members are found by an index that holds no others.

The statements of a number never change once they are released: a change is a new number.
"""

from __future__ import annotations

from dataclasses import asdict

from membership.database import Database, Table
from membership.errors import StoreMissing, StoreTooNew

HEADS = Table(
    "heads",
    {
        "key_group": "integer",
        "user_id": "text",
        "audience": "integer",
        "sequence": "integer",
        "effective_at": "bigint",
        "proposed": "integer",
        "cause": "integer",
        "detail": "text",
    },
    ("key_group", "user_id", "audience"),
)
JOURNAL = Table(
    "journal",
    {
        "position": "bigint",
        "audience": "integer",
        "version": "text",
        "user_id": "text",
        "sequence": "integer",
        "effective_at": "bigint",
        "cause": "integer",
        "detail": "text",
        "event": "text",
        "emitted_at": "bigint",
    },
    ("position",),
)
OWNERS = Table(
    "owners",
    {"parent_model": "text", "key_group": "integer", "epoch": "bigint"},
    ("parent_model", "key_group"),
)
PROGRESS = Table("progress", {"name": "text", "value": "text"}, ("name",))
_MESSAGE = {"sync": "text", "user_id": "text", "sequence": "integer", "position": "bigint"}
WAITING = Table(
    "waiting",
    {
        **_MESSAGE,
        "record": "text",
        "mapped": "text",
        "attempts": "integer",
        "first_attempt": "bigint",
        "due": "bigint",
        "reason": "text",
    },
    ("sync", "user_id", "sequence"),
)
DEAD_LETTERS = Table(
    "dead_letters",
    {
        **_MESSAGE,
        "id": "text",
        "record": "text",
        "mapped": "text",
        "attempts": "integer",
        "given_up_at": "bigint",
        "reason": "text",
        "status": "integer",
        "request": "text",
        "response": "text",
    },
    ("sync", "user_id", "sequence"),
)
ATTEMPTS = Table(
    "attempts",
    {
        "sync": "text",
        "number": "bigint",
        "began_at": "bigint",
        "duration": "bigint",
        "messages": "integer",
        "ids": "text",
        "verdict": "text",
        "reason": "text",
        "status": "integer",
        "request": "text",
        "response": "text",
    },
    ("sync", "number"),
)
SYNC_STATES = Table(
    "sync_states",
    {
        "sync": "text",
        "status": "text",
        "since": "bigint",
        "reason": "text",
        "failed_at": "bigint",
        "sent": "bigint",
        "failed": "bigint",
        "retried": "bigint",
        "dead": "bigint",
    },
    ("sync",),
)
POPULATIONS = Table(
    "populations",
    {
        "sync": "text",
        "position": "bigint",
        "version": "text",
        "emitted_at": "bigint",
        "reached": "text",
        "is_complete": "integer",
        "again": "integer",
    },
    ("sync",),
)

PACES = Table("paces", {"sync": "text", "sent": "text"}, ("sync",))

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE audiences (
            number INTEGER PRIMARY KEY,
            parent_model {text} NOT NULL,
            audience {text} NOT NULL,
            UNIQUE (parent_model, audience))""",
        """CREATE TABLE heads (
            key_group INTEGER NOT NULL,
            user_id {text} NOT NULL,
            audience INTEGER NOT NULL,
            sequence INTEGER NOT NULL,
            effective_at BIGINT NOT NULL,
            proposed INTEGER NOT NULL,
            cause INTEGER NOT NULL,
            detail {text} NOT NULL,
            PRIMARY KEY (key_group, user_id, audience)) {clustered}""",
        "CREATE INDEX members ON heads (audience, user_id) WHERE (sequence & 1) = 1",
        """CREATE TABLE journal (
            position {position} PRIMARY KEY,
            audience INTEGER NOT NULL,
            version {text} NOT NULL,
            user_id {text} NOT NULL,
            sequence INTEGER NOT NULL,
            effective_at BIGINT NOT NULL,
            cause INTEGER NOT NULL,
            detail {text} NOT NULL,
            emitted_at BIGINT NOT NULL)""",
        "CREATE TABLE journal_end (position BIGINT NOT NULL)",
        "INSERT INTO journal_end VALUES (0)",
        """CREATE TABLE owners (
            parent_model {text} NOT NULL,
            key_group INTEGER NOT NULL,
            epoch BIGINT NOT NULL,
            PRIMARY KEY (parent_model, key_group))""",
        "CREATE TABLE progress (name {text} PRIMARY KEY, value {text} NOT NULL)",
        "CREATE TABLE cursors (name {text} PRIMARY KEY, position BIGINT NOT NULL)",
    ),
    ("ALTER TABLE journal ADD COLUMN event {text}",),
    (
        """CREATE TABLE sync_states (
            sync {text} PRIMARY KEY,
            status {text} NOT NULL,
            since BIGINT NOT NULL,
            reason {text} NOT NULL,
            failed_at BIGINT NOT NULL,
            sent BIGINT NOT NULL,
            failed BIGINT NOT NULL,
            retried BIGINT NOT NULL,
            dead BIGINT NOT NULL)""",
        """CREATE TABLE populations (
            sync {text} PRIMARY KEY,
            position BIGINT NOT NULL,
            version {text} NOT NULL,
            emitted_at BIGINT NOT NULL,
            reached {text},
            is_complete INTEGER NOT NULL,
            again INTEGER NOT NULL)""",
        """CREATE TABLE waiting (
            sync {text} NOT NULL,
            user_id {text} NOT NULL,
            sequence INTEGER NOT NULL,
            position BIGINT NOT NULL,
            record {text} NOT NULL,
            mapped {text} NOT NULL,
            attempts INTEGER NOT NULL,
            first_attempt BIGINT NOT NULL,
            due BIGINT NOT NULL,
            reason {text} NOT NULL,
            PRIMARY KEY (sync, user_id, sequence)) {clustered}""",
        """CREATE TABLE dead_letters (
            sync {text} NOT NULL,
            user_id {text} NOT NULL,
            sequence INTEGER NOT NULL,
            position BIGINT NOT NULL,
            id {text} NOT NULL,
            record {text} NOT NULL,
            mapped {text} NOT NULL,
            attempts INTEGER NOT NULL,
            given_up_at BIGINT NOT NULL,
            reason {text} NOT NULL,
            status INTEGER NOT NULL,
            request {text} NOT NULL,
            response {text} NOT NULL,
            PRIMARY KEY (sync, user_id, sequence))""",
        "CREATE INDEX dead_letter_positions ON dead_letters (sync, position)",
        """CREATE TABLE attempts (
            sync {text} NOT NULL,
            number BIGINT NOT NULL,
            began_at BIGINT NOT NULL,
            duration BIGINT NOT NULL,
            messages INTEGER NOT NULL,
            ids {text} NOT NULL,
            verdict {text} NOT NULL,
            reason {text} NOT NULL,
            status INTEGER NOT NULL,
            request {text} NOT NULL,
            response {text} NOT NULL,
            PRIMARY KEY (sync, number))""",
        """CREATE TABLE sync_requests (
            number BIGINT PRIMARY KEY,
            sync {text} NOT NULL,
            kind {text} NOT NULL,
            letter {text} NOT NULL,
            asked_at BIGINT NOT NULL)""",
        """CREATE TABLE pinned_snapshots (
            parent_model {text} NOT NULL,
            position BIGINT NOT NULL,
            snapshot {text} NOT NULL,
            PRIMARY KEY (parent_model, position))""",
        """CREATE TABLE withheld (
            sync {text} NOT NULL,
            user_id {text} NOT NULL,
            sequence INTEGER NOT NULL,
            PRIMARY KEY (sync, user_id, sequence)) {clustered}""",
    ),
    (
        """CREATE TABLE api_keys (
            id {text} PRIMARY KEY,
            digest {text} NOT NULL,
            name {text} NOT NULL,
            scopes {text} NOT NULL,
            audiences {text},
            created_at BIGINT NOT NULL,
            expires_at BIGINT,
            revoked_at BIGINT)""",
    ),
    ("CREATE TABLE paces (sync {text} PRIMARY KEY, sent {text} NOT NULL)",),
)

_VERSION = "store_version"


def migrate(database: Database) -> None:
    """Make the tables, or bring them up to this release, in one transaction.

    Raises:
        StoreTooNew: a later release has written the store.
    """
    with database.exclusive():
        present = _version(database)
        if present == 0:
            database.execute(f"CREATE TABLE {_VERSION} (version INTEGER NOT NULL)")
            database.execute(f"INSERT INTO {_VERSION} VALUES (0)")
        words = asdict(database.dialect)
        for statements in MIGRATIONS[present:]:
            for statement in statements:
                database.execute(statement.format(**words))
        if present < len(MIGRATIONS):
            database.execute(f"UPDATE {_VERSION} SET version = ?", (len(MIGRATIONS),))


def check_readable(database: Database) -> None:
    """Make sure that the tables are this release's, without changing anything.

    Raises:
        StoreMissing: there are none, or older ones that no job of this release has opened.
        StoreTooNew: a later release has written the store.
    """
    if _version(database) < len(MIGRATIONS):
        raise StoreMissing(
            "nothing has been recorded yet, or only by an earlier release; start usher run first"
        )


def _version(database: Database) -> int:
    if not database.has_table(_VERSION):
        return 0
    ((version,),) = database.query(f"SELECT version FROM {_VERSION}")
    if version > len(MIGRATIONS):
        raise StoreTooNew(
            f"the store has version {version}, this release knows {len(MIGRATIONS)}: "
            "a later release has written it; install that one, or a still later one"
        )
    return int(version)
