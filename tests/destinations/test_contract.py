"""What every destination promises to those who deliver to it, held against real systems."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from connectors.destinations.destination import Destination, Message, Verdict
from connectors.destinations.errors import DestinationError
from tests.destinations.messages import USERS, message, story, texts, verdicts
from tests.destinations.stands import SECRET, AwsStand, Stand

# Seconds after which a test has failed that waits for something.
PATIENCE = 60

# How long clients wait for those who do not answer, where that is waited for.
HASTE = {
    "connectors.destinations.postgres._CONNECT_SECONDS": 2,
    "connectors.destinations.postgres._SILENCE_MILLISECONDS": 1_000,
    "connectors.destinations.redis._ANSWER_SECONDS": 1.0,
    "connectors.destinations.aws._ANSWER_SECONDS": 1,
}


@asynccontextmanager
async def opened(stand: Stand, **more: object) -> Any:
    one = stand.open(**more)
    try:
        yield one
    finally:
        await asyncio.wait_for(one.close(), PATIENCE)


async def send_all(one: Destination, messages: Sequence[Message], size: int = 0) -> None:
    """In requests of a size, or of as many as it takes."""
    size = size or one.capacity.messages
    for first in range(0, len(messages), size):
        some = messages[first : first + size]
        answer = await asyncio.wait_for(one.send(some), PATIENCE)
        assert len(answer.outcomes) == len(some)
        assert verdicts(answer) == {Verdict.ACCEPTED}, texts(answer)


async def sent_once(stand: Stand, messages: Sequence[Message], size: int = 0) -> None:
    async with opened(stand) as one:
        await send_all(one, messages, size)


def last_of(messages: Sequence[Message]) -> dict[str, tuple[int, bool]]:
    return {one.user_id: (int(str(one.record["sequence"])), one.entered) for one in messages}


def once(bodies: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What is left for whoever knows a repeat by its id."""
    found: dict[str, dict[str, Any]] = {}
    for one in bodies:
        found.setdefault(one["id"], one)
    return list(found.values())


def by_user(bodies: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for one in bodies:
        found.setdefault(one["user_id"], []).append(one)
    return found


def check(stand: Stand, messages: Sequence[Message], *, repeats: bool = False) -> None:
    """All messages are there: in order for each user, with their own bodies."""
    bodies = stand.bodies()
    if bodies is not None:
        bodies = once(bodies) if repeats else bodies
        assert by_user(bodies) == by_user([dict(one.record) for one in messages])
    assert stand.heads() == last_of(messages)


def test_all_of_it_arrives_in_order_for_each_user(stand: Stand) -> None:
    messages = story(USERS, 6)
    asyncio.run(sent_once(stand, messages))
    check(stand, messages)


def test_one_at_a_time(stand: Stand) -> None:
    messages = story(USERS[:3], 2)
    asyncio.run(sent_once(stand, messages, 1))
    check(stand, messages)


def test_a_full_request(stand: Stand) -> None:
    one = stand.open()
    count = one.capacity.messages
    asyncio.run(one.close())
    messages = [message(f"u{number}", 1) for number in range(count)]
    asyncio.run(sent_once(stand, messages))
    check(stand, messages)


def test_users_who_enter_and_leave_within_one_request(stand: Stand) -> None:
    messages = [message("a", 1), message("a", 2), message("b", 1), message("a", 3)]
    asyncio.run(sent_once(stand, messages))
    check(stand, messages)


def test_what_is_sent_again_after_a_lost_answer_changes_nothing(stand: Stand) -> None:
    messages = story(USERS[:4], 3)

    async def twice() -> None:
        await sent_once(stand, messages[:8])  # a process that ended here knows nothing of it
        await sent_once(stand, messages)

    asyncio.run(twice())
    check(stand, messages, repeats=True)


@pytest.mark.parametrize("name", ["postgres", "postgres-delete", "redis", "redis-users"])
def test_a_late_repeat_does_not_undo_what_is_newer(new_stand: Any, name: str) -> None:
    stand = new_stand(name)
    messages = [*story(["a", "b"], 4), message("c", 1)]

    async def late() -> None:
        async with opened(stand) as one:
            await send_all(one, messages)
            for sequence in (1, 2, 3):
                await send_all(one, [message("a", sequence), message("c", 1)])

    asyncio.run(late())
    assert stand.heads() == last_of(messages)


@pytest.mark.parametrize("state", ["shut", "silent"])
def test_out_of_reach_is_waited_for_and_over_by_itself(
    stand: Stand, state: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if state not in stand.gates:
        pytest.skip("it is always there")
    for name, patience in HASTE.items():
        monkeypatch.setattr(name, patience)
    messages = story(USERS[:3], 4)

    async def through() -> None:
        async with opened(stand) as one:
            await send_all(one, messages[:3])
            stand.turn(state)
            try:
                for _ in range(2):
                    answer = await asyncio.wait_for(one.send(messages[3:6]), PATIENCE)
                    assert verdicts(answer) == {Verdict.RETRY}, texts(answer)
                    assert all(outcome.reason for outcome in answer.outcomes)
                    assert "\n" not in "".join(outcome.reason for outcome in answer.outcomes)
            finally:
                stand.turn("open")
            await again(one, messages[3:6])
            await send_all(one, messages[6:])

    asyncio.run(through())
    check(stand, messages)


async def again(one: Destination, messages: Sequence[Message]) -> None:
    """Send until all of it is taken, as whoever delivers would."""
    async with asyncio.timeout(PATIENCE):
        while verdicts(answer := await one.send(messages)) != {Verdict.ACCEPTED}:
            assert verdicts(answer) <= {Verdict.RETRY, Verdict.ACCEPTED}, texts(answer)
            await asyncio.sleep(0.05)


def test_a_place_that_is_out_of_reach_at_the_start(stand: Stand) -> None:
    if "shut" not in stand.gates:
        pytest.skip("it is always there")

    async def through() -> None:
        async with opened(stand) as one:
            with pytest.raises(DestinationError, match="destination 'bus': ") as failure:
                await asyncio.wait_for(one.test(), PATIENCE)
            assert "\n" not in str(failure.value)
            answer = await asyncio.wait_for(one.send([message("a", 1)]), PATIENCE)
            assert verdicts(answer) == {Verdict.RETRY}, texts(answer)
            stand.turn("open")
            await again(one, [message("a", 1)])
            await asyncio.wait_for(one.test(), PATIENCE)

    stand.turn("shut")
    try:
        asyncio.run(through())
    finally:
        stand.turn("open")
    check(stand, [message("a", 1)])


@pytest.fixture
def distrustful(stand: Stand) -> Iterator[Stand]:
    if stand.bad is None:
        pytest.skip("it asks for no credentials")
    if isinstance(stand, AwsStand):
        stand.check_credentials("0")
    yield stand
    if isinstance(stand, AwsStand):
        stand.check_credentials("inf")


def test_refused_credentials_are_told_from_what_passes(distrustful: Stand) -> None:
    async def through() -> None:
        async with opened(distrustful, **distrustful.bad or {}) as one:
            with pytest.raises(DestinationError) as failure:
                await asyncio.wait_for(one.test(), PATIENCE)
            assert SECRET not in str(failure.value)
            for _ in range(2):
                answer = await asyncio.wait_for(one.send([message("a", 1)]), PATIENCE)
                assert verdicts(answer) == {Verdict.REFUSED}, texts(answer)
                assert SECRET not in texts(answer)

    asyncio.run(through())


def test_closing_while_something_is_sent_waits_for_nobody(stand: Stand) -> None:
    async def through() -> None:
        one = stand.open()
        await send_all(one, [message("a", 1)])
        if "silent" in stand.gates:
            stand.turn("silent")
        try:
            sending = asyncio.ensure_future(one.send([message("a", 2)]))
            await asyncio.sleep(0)
            await asyncio.wait_for(one.close(), 20)
            answer = await asyncio.wait_for(sending, 1)
            assert verdicts(answer) <= {Verdict.ACCEPTED, Verdict.RETRY}
            await asyncio.wait_for(one.close(), 1)
            late = await asyncio.wait_for(one.send([message("a", 2)]), 1)
            assert verdicts(late) == {Verdict.RETRY}
        finally:
            if "silent" in stand.gates:
                stand.turn("open")

    asyncio.run(through())


def test_sending_can_be_cancelled(stand: Stand) -> None:
    async def through() -> None:
        async with opened(stand) as one:
            sending = asyncio.ensure_future(one.send([message("a", 1)]))
            await asyncio.sleep(0)
            sending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await sending
            await again(one, [message("a", 1)])
            await send_all(one, [message("a", 2)])

    asyncio.run(through())
    check(stand, [message("a", 1), message("a", 2)], repeats=True)


def test_a_body_that_cannot_be_json_is_rejected_and_holds_up_nobody(stand: Stand) -> None:
    async def through() -> None:
        async with opened(stand) as one:
            broken = [
                message("b", 1, mapped={"what": object()}),
                message("b", 1, mapped={"what": "\ud83d"}),
                replace(message("b", 1, mapped={}), user_id="b\ud83d"),
            ]
            answer = await one.send([message("a", 1), *broken, message("c", 1)])
            assert [one.verdict for one in answer.outcomes] == [
                Verdict.ACCEPTED,
                *[Verdict.REJECTED] * len(broken),
                Verdict.ACCEPTED,
            ]

    asyncio.run(through())
    check(stand, [message("a", 1), message("c", 1)])


def test_the_log_names_no_user(stand: Stand) -> None:
    async def through() -> None:
        async with opened(stand) as one:
            answer = await one.send([message("somebody@example.com", 1, note="private")])
            assert "somebody" not in texts(answer)
            assert "private" not in texts(answer)
            assert message("somebody@example.com", 1).id in answer.exchange.request

    asyncio.run(through())


def test_it_can_be_tried_without_sending(stand: Stand) -> None:
    async def through() -> None:
        async with opened(stand) as one:
            await asyncio.wait_for(one.test(), PATIENCE)

    asyncio.run(through())
