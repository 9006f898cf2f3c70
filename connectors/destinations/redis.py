"""The destination redis: sets of members, and a stream of transitions.

A script takes each request at once: it remembers the sequence of the last transition of each user
and audience, and passes over those that are not newer.  So a repeat changes no set, and stands in
the stream once.  Accepted means that Redis has answered; whether that outlives its machine is a
matter of its own settings (`appendonly`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from audience_dsl.connections import FILE, PORT, secret
from audience_dsl.definitions import Settings
from audience_dsl.shapes import Choice, Field, Flag, Integer, Record, Text
from connectors.destinations.blocking import Blocking, Item, need_client, said
from connectors.destinations.destination import ACCEPTED, Capacity, Outcome, Verdict
from connectors.destinations.place import Place

OPTIONS = Record(
    "redis",
    "Redis or Valkey, one server or a primary with replicas: sets of members, and a stream.",
    (
        Field("host", Text(), "The server.", required=True),
        Field("port", PORT, "Its port.", default="6379"),
        Field(
            "database",
            Integer(0, 9999, "they are numbered from 0", "no server has so many"),
            "The number of the database.",
            default="0",
        ),
        Field("user", Text(), "Who writes.", default="`default`"),
        Field("password", secret(), "As `${NAME}`."),
        Field("tls", Flag(), "Whether the connection is encrypted.", default="false"),
        Field("ca", FILE, "The certificates that are trusted.", default="the system's"),
        Field("prefix", Text(), "What all keys begin with.", default="`usher`"),
        Field(
            "sets",
            Choice(
                {
                    "audience": "a set for each audience, of user ids: "
                    "`usher:PARENT_MODEL:audience:AUDIENCE`",
                    "user": "a set for each user, of audiences: `usher:PARENT_MODEL:user:USER`",
                    "none": "no sets",
                }
            ),
            "Which sets are kept.",
            default="`audience`",
        ),
        Field(
            "stream",
            Text(),
            "A stream that each transition is added to, with the fields `id` and `body`.",
            default="none",
        ),
        Field(
            "stream_length",
            Integer(1, 10**10, "it would be empty", "that is more than a server holds"),
            "About how many entries the stream keeps.",
            default="1,000,000",
        ),
    ),
)

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 15.0
_LENGTH = 1_000_000

# KEYS: the stream ("" for none), then for each transition the hash of sequences and the set ("").
# ARGV: the stream's length, then for each transition the field, the sequence, "1" if entered, the
# set's element, the id and the body.
_SCRIPT = """
for i = 0, (#KEYS - 1) / 2 - 1 do
  local sequences, set = KEYS[2 + 2 * i], KEYS[3 + 2 * i]
  local field, sequence, entered = ARGV[2 + 6 * i], ARGV[3 + 6 * i], ARGV[4 + 6 * i]
  local element, id, body = ARGV[5 + 6 * i], ARGV[6 + 6 * i], ARGV[7 + 6 * i]
  local known = redis.call('HGET', sequences, field)
  if not known or tonumber(known) < tonumber(sequence) then
    if set ~= '' then
      redis.call(entered == '1' and 'SADD' or 'SREM', set, element)
    end
    if KEYS[1] ~= '' then
      redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], '*', 'id', id, 'body', body)
    end
    redis.call('HSET', sequences, field, sequence)
  end
end
"""

# How Redis begins what only people can mend.
_REFUSALS = ("NOAUTH", "WRONGPASS", "NOPERM", "WRONGTYPE", "invalid username-password", "DENIED")


class Redis(Blocking):
    """Writes to one database.

    Raises:
        DestinationError: the client is not installed.
    """

    capacity = Capacity(messages=200, requests=1)

    def __init__(self, settings: Settings, place: Place) -> None:
        need_client("redis", "redis", "redis")
        options = settings.options
        server = f"Redis at {options['host']}:{options.get('port') or 6379}"
        super().__init__(settings, server, [options.get("password")])
        self._options = options
        self._root = place.root
        self._prefix = str(options.get("prefix") or "usher")
        self._sets = str(options.get("sets") or "audience")
        self._stream = str(options.get("stream") or "")
        self._length = str(options.get("stream_length") or _LENGTH)
        self._client: Any = None
        self._script: Any = None

    @override
    def deliver(self, items: Sequence[Item]) -> Sequence[Outcome]:
        keys, arguments = [self._stream], [self._length]
        for item in items:
            message = item.message
            parent, audience = str(message.record["parent_model"]), str(message.record["audience"])
            head = f"{self._prefix}:{parent}"
            sequences = f"{head}:sequences:{audience}"
            key, element = {
                "audience": (f"{head}:audience:{audience}", message.user_id),
                "user": (f"{head}:user:{message.user_id}", audience),
                "none": ("", ""),
            }[self._sets]
            keys += [sequences, key]
            entered = "1" if message.entered else "0"
            sequence = str(message.record["sequence"])
            arguments += [message.user_id, sequence, entered, element, message.id]
            arguments.append(item.body.decode())
        self._connect()
        try:
            self._script(keys=keys, args=arguments)
        except Exception:
            # A new connection may lead elsewhere: to the primary, if this server has become a
            # replica, which goes on answering that it cannot write.
            self.disconnect()
            raise
        return [ACCEPTED] * len(items)

    @override
    def explain(self, error: Exception) -> Outcome:
        text = said(error)
        refused = any(one in text for one in _REFUSALS)
        verdict = Verdict.REFUSED if refused else Verdict.RETRY
        return Outcome(verdict, f"{self._where}: {text}")

    @override
    def probe(self) -> None:
        self._connect()
        self._client.exists(f"{self._prefix}:probe")

    @override
    def disconnect(self) -> None:
        if self._client is not None:
            self._client.close()

    def _connect(self) -> None:
        """Have a client; it connects by itself, and again after an error."""
        if self._client is not None:
            return
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        options = self._options
        ca = options.get("ca")
        arguments: dict[str, Any] = {
            "host": options["host"],
            "port": options.get("port") or 6379,
            "db": options.get("database") or 0,
            "username": options.get("user"),
            "password": options.get("password"),
            "ssl": bool(options.get("tls")),
            "ssl_ca_certs": None if ca is None else str(self._root / str(ca)),
            "socket_connect_timeout": _CONNECT_SECONDS,
            "socket_timeout": _ANSWER_SECONDS,
            "retry": Retry(NoBackoff(), 0),
            "client_name": "usher",
        }
        if not arguments["ssl"]:
            del arguments["ssl_ca_certs"]
        self._client = redis.Redis(**arguments)
        self._script = self._client.register_script(_SCRIPT)
