"""What PostgreSQL and Redis show of membership, and what they do with odd values and old tables."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connectors.destinations.destination import Answer, Message, Verdict
from tests.destinations.messages import message, texts, verdicts
from tests.destinations.redis_server import redis_server
from tests.destinations.stands import PostgresStand, RedisStand, Stand
from tests.membership.servers import PostgresServer

NewStand = Callable[[str], Any]
ACCEPTED, REJECTED = Verdict.ACCEPTED, Verdict.REJECTED


def sent(stand: Stand, *batches: Sequence[Message], **more: object) -> list[Answer]:
    async def through() -> list[Answer]:
        one = stand.open(**more)
        answers = [await one.send(some) for some in batches]
        await one.close()
        return answers

    return asyncio.run(through())


def instant(one: Message) -> datetime:
    return datetime.fromisoformat(str(one.record["effective_at"]))


def test_a_row_says_since_when_and_until_when(new_stand: NewStand) -> None:
    stand: PostgresStand = new_stand("postgres")
    entry, exit_ = message("a", 1, {"plan": "pro", "n": 1.5}), message("a", 2)
    sent(stand, [entry])
    (row,) = stand.rows()
    assert row == {
        "parent_model": "users",
        "audience": "keen",
        "user_id": "a",
        "member": True,
        "entered_at": instant(entry),
        "exited_at": None,
        "sequence": 1,
        "transition_id": entry.id,
        "mapping": {"plan": "pro", "n": 1.5},
    }
    sent(stand, [exit_])
    (row,) = stand.rows()
    assert (row["member"], row["entered_at"], row["exited_at"], row["mapping"]) == (
        *(False, instant(entry), instant(exit_)),
        None,
    )
    sent(stand, [message("a", 3), message("a", 4), message("b", 1), message("b", 2)])
    assert {(one["user_id"], one["entered_at"]) for one in stand.rows()} == {
        ("a", instant(message("a", 3))),
        ("b", instant(message("b", 1))),
    }


@pytest.mark.parametrize("name", ["postgres", "postgres-delete"])
def test_one_value_that_cannot_be_stored_holds_up_nobody(new_stand: NewStand, name: str) -> None:
    stand: PostgresStand = new_stand(name)
    (answer,) = sent(
        stand,
        [
            message("a", 1),
            message("nul\0", 1),
            message("b", 1, {"text": "\0"}),
            message("c", 1),
        ],
    )
    assert [one.verdict for one in answer.outcomes] == [ACCEPTED, REJECTED, REJECTED, ACCEPTED]
    assert "NUL" in answer.outcomes[1].reason
    assert {one["user_id"] for one in stand.rows()} == {"a", "c"}


def test_a_table_that_is_there_needs_no_right_to_create(
    new_stand: NewStand, postgres: PostgresServer
) -> None:
    stand: PostgresStand = new_stand("postgres")
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE poor_{stand.table} LOGIN")
        (answer,) = sent(stand, [message("a", 1)], user=f"poor_{stand.table}".lower())
        assert verdicts(answer) == {Verdict.REFUSED}
        assert "permission denied for schema public" in texts(answer)
        sent(stand, [message("b", 1)])
        connection.execute(f'GRANT SELECT, INSERT, UPDATE ON "{stand.table}" TO poor_{stand.table}')
    (answer,) = sent(stand, [message("a", 1)], user=f"poor_{stand.table}".lower())
    assert verdicts(answer) == {ACCEPTED}, texts(answer)


def test_a_right_to_create_that_is_given_later_is_used(
    new_stand: NewStand, postgres: PostgresServer
) -> None:
    stand: PostgresStand = new_stand("postgres-delete")
    role = f"later_{stand.table}".lower()

    async def through() -> None:
        one = stand.open(user=role)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN")
            for _ in range(2):
                answer = await one.send([message("a", 1)])
                assert verdicts(answer) == {Verdict.REFUSED}
                assert "permission denied for schema public" in texts(answer)
            connection.execute(f"GRANT CREATE ON SCHEMA public TO {role}")
        answer = await one.send([message("a", 1)])
        assert verdicts(answer) == {ACCEPTED}, texts(answer)
        await one.close()

    asyncio.run(through())
    assert stand.heads() == {"a": (1, True)}


@pytest.mark.parametrize("name", ["postgres", "postgres-delete"])
def test_a_server_that_only_reads_is_left_for_one_that_writes(
    new_stand: NewStand, postgres: PostgresServer, name: str
) -> None:
    stand: PostgresStand = new_stand(name)
    sent(stand, [message("a", 1)])
    role = f"failover_{stand.table}".lower()

    async def through() -> None:
        one = stand.open(user=role)
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(f"CREATE ROLE {role} LOGIN SUPERUSER")
            # As of a replica: whoever is connected stays with it.
            connection.execute(f"ALTER ROLE {role} SET default_transaction_read_only = on")
            answer = await one.send([message("a", 2)])
            assert verdicts(answer) == {Verdict.RETRY}
            assert "read-only transaction" in texts(answer)
            connection.execute(f"ALTER ROLE {role} RESET default_transaction_read_only")
        answer = await one.send([message("a", 2)])
        assert verdicts(answer) == {ACCEPTED}, texts(answer)
        await one.close()

    asyncio.run(through())
    assert stand.heads() == {"a": (2, False)}


def test_what_is_wrong_with_one_value_ends_no_connection(
    new_stand: NewStand, postgres: PostgresServer
) -> None:
    stand: PostgresStand = new_stand("postgres")

    async def through() -> None:
        one = stand.open()
        await one.send([message("a", 1)])
        with psycopg.connect(postgres.url) as connection:
            found = "SELECT pid FROM pg_stat_activity WHERE application_name = 'usher'"
            before = connection.execute(found).fetchall()
            connection.commit()  # what is seen of it is of one moment for each transaction
            await one.send([message("b", 1, {"text": "\0"}), message("c", 1)])
            assert connection.execute(found).fetchall() == before
        await one.close()

    asyncio.run(through())
    assert set(stand.heads()) == {"a", "c"}


def test_a_table_of_another_shape_makes_the_sync_pause(
    new_stand: NewStand, postgres: PostgresServer
) -> None:
    stand: PostgresStand = new_stand("postgres")
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f'CREATE TABLE "{stand.table}" (user_id text)')
    answers = sent(stand, [message("a", 1)], [message("a", 1)])
    for answer in answers:
        assert verdicts(answer) == {Verdict.REFUSED}
        assert 'column "parent_model"' in texts(answer)


def test_entries_and_exits_may_come_by_two_syncs(new_stand: NewStand) -> None:
    stand: PostgresStand = new_stand("postgres-delete")

    async def through() -> None:
        entries, exits = stand.open(), stand.open()
        users = [f"u{number}" for number in range(20)]
        for round_ in range(4):
            one = [message(user, 2 * round_ + 1) for user in users]
            two = [message(user, 2 * round_ + 2) for user in users]
            answers = await asyncio.gather(exits.send(two), entries.send(one))
            assert all(verdicts(answer) == {ACCEPTED} for answer in answers)
        await entries.close()
        await exits.close()

    asyncio.run(through())
    assert set(stand.heads().values()) == {(8, False)}


def test_syncs_that_begin_at_the_same_time_make_one_table(new_stand: NewStand) -> None:
    async def begun(stand: PostgresStand) -> list[Answer]:
        syncs = [stand.open() for _ in range(4)]
        answers = await asyncio.gather(*(one.send([message("a", 1)]) for one in syncs))
        for one in syncs:
            await one.close()
        return answers

    for _ in range(25):
        for answer in asyncio.run(begun(new_stand("postgres-delete"))):
            assert verdicts(answer) == {ACCEPTED}, texts(answer)


def test_a_connection_that_the_server_ends_is_made_anew(
    new_stand: NewStand, postgres: PostgresServer
) -> None:
    stand: PostgresStand = new_stand("postgres")

    async def through() -> None:
        one = stand.open()
        assert verdicts(await one.send([message("a", 1)])) == {ACCEPTED}
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'usher'"
            )
        answer = await one.send([message("a", 2)])
        assert verdicts(answer) == {Verdict.RETRY}
        assert "terminating connection" in texts(answer)
        assert verdicts(await one.send([message("a", 2)])) == {ACCEPTED}
        await one.close()

    asyncio.run(through())
    assert stand.heads() == {"a": (2, False)}


def test_the_stream_is_no_longer_than_it_should_be(new_stand: NewStand) -> None:
    stand: RedisStand = new_stand("redis")
    batches = [[message(f"u{number}", 1)] for number in range(300)]
    sent(stand, *batches, stream_length=50)
    assert len(stand.bodies()) < 200  # whole blocks of a hundred are let go
    assert len(stand.client.smembers(f"{stand.prefix}:users:audience:keen")) == 300  # type: ignore[arg-type]


def test_no_sets_and_no_stream_where_none_are_asked_for(new_stand: NewStand) -> None:
    stand: RedisStand = new_stand("redis")
    sent(stand, [message("a", 1)], sets="none", stream="")
    assert list(stand.client.scan_iter(f"{stand.prefix}*")) == [
        f"{stand.prefix}:users:sequences:keen"
    ]


def test_a_key_of_another_kind_makes_the_sync_pause(new_stand: NewStand) -> None:
    stand: RedisStand = new_stand("redis")
    key = f"{stand.prefix}:users:audience:keen"
    stand.client.set(key, "mine")
    (answer,) = sent(stand, [message("a", 1)])
    assert verdicts(answer) == {Verdict.REFUSED}
    assert "WRONGTYPE" in texts(answer)
    stand.client.delete(key)
    sent(stand, [message("a", 1)])
    assert stand.heads() == {"a": (1, True)}


def test_a_replica_is_left_for_the_primary(tmp_path: Path, redis_socket: str) -> None:
    with redis_server() as former:
        stand = RedisStand(tmp_path, former, "audience")

        async def through() -> None:
            one = stand.open()
            assert verdicts(await one.send([message("a", 1)])) == {ACCEPTED}
            stand.client.replicaof("127.0.0.1", 1)
            stand.gate.lead(redis_socket)
            answer = await one.send([message("a", 2)])
            assert verdicts(answer) == {Verdict.RETRY}
            assert "read only replica" in texts(answer)
            assert verdicts(await one.send([message("a", 2)])) == {ACCEPTED}
            await one.close()

        asyncio.run(through())
        stand.close()


def test_a_server_that_has_forgotten_the_script_is_told_it_again(new_stand: NewStand) -> None:
    stand: RedisStand = new_stand("redis")

    async def through() -> None:
        one = stand.open()
        await one.send([message("a", 1)])
        stand.client.script_flush()
        assert verdicts(await one.send([message("a", 2)])) == {ACCEPTED}
        await one.close()

    asyncio.run(through())
    assert stand.heads() == {"a": (2, False)}
