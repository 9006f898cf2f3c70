"""Transitions as they are recorded, page by page and as a stream."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from connectors.wall_clock import wall_clock
from membership.reader import MembershipReader
from membership.retention import Retention
from project.stores import open_reader, open_store
from serving import broadcast, streams, transitions
from serving.admission import Grant
from serving.selections import Selection
from serving.service import Service
from serving.tokens import read_token
from tests.cli.jobs import eventually
from tests.cli.projects import changed, write_project
from tests.serving.asking import ANYWHERE, Server, held_up, loaded_from, new_key, project, server
from tests.serving.recorded import Turn, record

THREE = (Turn("u1", "keen"), Turn("u2", "quiet"), Turn("u1", "quiet"))


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Server]:
    loaded = project(tmp_path / "project")
    record(loaded, *THREE)
    with server(loaded) as one:
        yield one


@pytest.fixture
def key(here: Server) -> str:
    return new_key(here.loaded, "audiences:read")


class Stream:
    """What a browser's EventSource would see of a connection."""

    def __init__(self, line: socket.socket) -> None:
        self._file = line.makefile("rb")
        self.close = self._file.close
        self.status = int(self._file.readline().split()[1])
        self.headers = {}
        while head := self._file.readline().decode().strip():
            name, _, value = head.partition(":")
            self.headers[name.lower()] = value.strip()
        self.last_id = ""
        self.events = self._events()

    def lines(self) -> Iterator[str]:
        while size := int(self._file.readline().strip() or b"0", 16):
            yield from self._file.read(size).decode().splitlines()
            self._file.readline()

    def _events(self) -> Iterator[tuple[str, Any]]:
        """Type and data of each event that has data."""
        kind, data = "message", ""
        for line in self.lines():
            field, _, value = line.partition(": ")
            match field:
                case "id":
                    self.last_id = value
                case "event":
                    kind = value
                case "data":
                    data = value
                case "":
                    if data:
                        yield kind, json.loads(data)
                    kind, data = "message", ""

    def told(self, count: int) -> list[tuple[str, str, str]]:
        found = [one for _, one in islice(self.events, count)]
        return [(one["user_id"], one["audience"], one["type"]) for one in found]


@contextmanager
def connected(here: Server, path: str, key: str, **headers: str) -> Iterator[Stream]:
    host, _, port = here.url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as line:
        more = {"Host": host, **({"Authorization": f"Bearer {key}"} if key else {}), **headers}
        lines = "".join(f"{name}: {value}\r\n" for name, value in more.items())
        line.sendall(f"GET {path} HTTP/1.1\r\n{lines}\r\n".encode())
        with closing(Stream(line)) as one:
            yield one


@contextmanager
def stream(here: Server, key: str, last_id: str = "", **parameters: str) -> Iterator[Stream]:
    headers = {"Last-Event-ID": last_id} if last_id else {}
    path = f"/v1/stream?{urlencode(parameters)}"
    with connected(here, path, key, **headers) as one:
        yield one


def page(here: Server, key: str, **parameters: object) -> dict[str, Any]:
    answer = here.ask("/v1/transitions", key, params=parameters)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def names(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["user_id"], one["audience"]) for one in found["transitions"]]


def test_the_journal_page_by_page(here: Server, key: str) -> None:
    whole = page(here, key)
    assert names(whole) == [("u1", "keen"), ("u2", "quiet"), ("u1", "quiet")]
    assert (whole["next_cursor"], whole["has_more"]) == ("3", False)
    with closing(open_reader(here.loaded)) as reader:
        records = [one.record for one in reader.transitions().entries]
    assert whole["transitions"][0] == {
        name: getattr(records[0], name) for name in records[0].__struct_fields__
    }
    first = page(here, key, limit=2)
    assert (len(first["transitions"]), first["has_more"]) == (2, True)
    rest = page(here, key, after=first["next_cursor"])
    assert names(rest) == [("u1", "quiet")]
    assert names(page(here, key, after=rest["next_cursor"])) == []
    assert names(page(here, key, audience="quiet")) == [("u2", "quiet"), ("u1", "quiet")]
    assert names(page(here, key, audience="quiet", user_id="u1")) == [("u1", "quiet")]
    assert names(page(here, key, parent_model="others")) == []
    few = new_key(here.loaded, "audiences:read", audiences=("keen",))
    assert names(page(here, few)) == [("u1", "keen")]
    assert here.ask("/v1/transitions?audience=quiet", few).status_code == 403


@pytest.mark.parametrize(
    "query",
    [
        "after=x",
        "after=-1",
        "after=" + "9" * 19,
        "limit=0",
        "limit=1001",
        "limit=000000001999999999",
        "limit=000000001" + "0" * 5_000,
        "x=1",
        "after=",
    ],
)
@pytest.mark.parametrize("path", ["/v1/transitions", "/v1/stream"])
def test_what_cannot_be_read(here: Server, key: str, path: str, query: str) -> None:
    assert here.ask(f"{path}?{query}", key).status_code == 400
    assert here.ask(path).status_code == 401
    assert here.ask(path, new_key(here.loaded, "events:write")).status_code == 403


def pruned(here: Server) -> None:
    """Only the last transition is kept."""
    with closing(open_store(here.loaded)) as store:
        store.prune(Retention(None, 1), wall_clock())


def test_what_is_no_longer_kept(here: Server, key: str) -> None:
    pruned(here)
    answer = here.ask("/v1/transitions?after=0", key)
    assert answer.status_code == 410
    assert "go on from after=2" in answer.json()["detail"]
    assert names(page(here, key)) == [("u1", "quiet")]
    with stream(here, key, "0") as one:
        events = one.events
        assert next(events) == ("gap", {"oldest": "3"})
        assert next(events)[1]["audience"] == "quiet"


def test_a_position_of_another_journal(here: Server, key: str) -> None:
    """Somebody has come further than a journal that was restored, or begun anew."""
    answer = here.ask("/v1/transitions?after=900", key)
    assert answer.status_code == 410
    assert "go on from after=3" in answer.json()["detail"]
    assert names(page(here, key, after=3)) == []
    with stream(here, key) as others, stream(here, key, "900", user_id="u1") as one:
        assert next(one.events) == ("gap", {"oldest": "4"})
        record(here.loaded, Turn("u1", "keen", 2))
        assert one.told(1) == others.told(1) == [("u1", "keen", "exited")]
        assert one.last_id == "4"
        with stream(here, key, "900") as late:
            assert next(late.events) == ("gap", {"oldest": "5"})
            assert late.last_id == "4"


def test_a_stream_tells_what_is_recorded_from_now_on(here: Server, key: str) -> None:
    with stream(here, key) as one:
        assert one.status == 200
        assert one.headers["content-type"].startswith("text/event-stream")
        assert one.headers["cache-control"] == "no-store"
        record(here.loaded, Turn("u1", "quiet", 2), Turn("u3", "keen"))
        assert one.told(2) == [("u1", "quiet", "exited"), ("u3", "keen", "entered")]
        assert one.last_id == "5"
    record(here.loaded, Turn("u3", "keen", 2))
    with stream(here, key, one.last_id) as one:
        assert one.told(1) == [("u3", "keen", "exited")]
    with stream(here, key, after="0") as one:
        assert len(one.told(6)) == 6


def test_each_stream_has_what_it_wants_and_may_see(here: Server, key: str) -> None:
    few = new_key(here.loaded, "audiences:read", audiences=("keen",))
    body = {"parent_model": "users", "user_id": "u2"}
    token = here.ask("/v1/tokens", key, "POST", json=body).json()["token"]
    with (
        stream(here, key, audience="quiet") as quiet,
        stream(here, key, user_id="u1") as of_user,
        stream(here, few) as of_few,
        stream(here, "", token=token) as of_visitor,
        stream(here, key, parent_model="others") as of_others,
        stream(here, token, after="0") as all_of_visitor,
    ):
        record(
            here.loaded,
            Turn("u1", "keen", 2),
            Turn("u2", "quiet", 2),
            Turn("u1", "quiet", 2),
            Turn("u2", "keen"),
            Turn("u2", "keen", parent_model="others"),
        )
        assert quiet.told(2) == [("u2", "quiet", "exited"), ("u1", "quiet", "exited")]
        assert of_user.told(2) == [("u1", "keen", "exited"), ("u1", "quiet", "exited")]
        assert of_few.told(2) == [("u1", "keen", "exited"), ("u2", "keen", "entered")]
        assert of_visitor.told(2) == [("u2", "quiet", "exited"), ("u2", "keen", "entered")]
        assert of_others.told(1) == [("u2", "keen", "entered")]
        assert [one for _, *one in all_of_visitor.told(3)] == [
            ["quiet", "entered"],
            ["quiet", "exited"],
            ["keen", "entered"],
        ]
    assert here.ask("/v1/stream?audience=quiet", few).status_code == 403
    assert here.ask("/v1/stream?user_id=u1", token).status_code == 403


def test_signs_of_life_carry_the_position(
    here: Server, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_BEAT", 0.05)
    with stream(here, key, user_id="u1") as one:
        record(here.loaded, Turn("u9", "keen"))
        ids = (line for line in one.lines() if line.startswith("id: "))
        assert next(each for each in ids if each == "id: 4")


def test_a_stream_ends_with_its_key(here: Server, key: str) -> None:
    """Long before its next sign of life, and nobody else's does."""
    other = new_key(here.loaded, "audiences:read")
    body = {"parent_model": "users", "user_id": "u1"}
    token = here.ask("/v1/tokens", key, "POST", json=body).json()["token"]
    with stream(here, key) as of_key, stream(here, token) as of_visitor, stream(here, other) as one:
        found = read_token(key)
        assert found is not None
        with closing(open_store(here.loaded)) as store:
            store.keys.revoke(found.id, wall_clock())
        began = time.monotonic()
        assert list(of_key.events) == list(of_visitor.events) == []
        assert time.monotonic() - began < 5
        record(here.loaded, Turn("u3", "keen"))
        assert one.told(1) == [("u3", "keen", "entered")]


def test_a_stream_ends_with_its_token(here: Server, key: str) -> None:
    body = {"parent_model": "users", "user_id": "u1", "expires_in": 1}
    token = here.ask("/v1/tokens", key, "POST", json=body).json()["token"]
    with stream(here, token) as one:
        began = time.monotonic()
        assert list(one.events) == []
        assert time.monotonic() - began < 6


def test_streams_end_with_the_server(tmp_path: Path) -> None:
    loaded = project(tmp_path / "project")
    record(loaded, *THREE)
    key = new_key(loaded, "audiences:read")
    with server(loaded) as here:
        first, second = stream(here, key), stream(here, key, after="1")
        one, other = first.__enter__(), second.__enter__()
        assert len(other.told(2)) == 2
    assert list(one.events) == []
    assert list(other.events) == []
    for each in (first, second):
        each.__exit__(None, None, None)


def test_who_does_not_read_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The only stream there may be is given to somebody else."""
    monkeypatch.setattr(streams, "_PATIENCE", 2.0)
    write_project(tmp_path / "project", changed(serving={**ANYWHERE, "limits": {"streams": 1}}))
    loaded = loaded_from(tmp_path / "project")
    record(loaded, *(Turn("x" * 1_000, "keen", number) for number in range(1, 8_001)))
    key = new_key(loaded, "audiences:read")
    with server(loaded) as here, socket.socket() as slow:
        host, _, port = here.url.removeprefix("http://").rpartition(":")
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        slow.connect((host, int(port)))
        head = f"GET /v1/stream?after=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n\r\n"
        slow.sendall(head.encode())
        assert slow.recv(12) == b"HTTP/1.1 200"
        assert not opens(here, key)
        eventually(lambda: opens(here, key))


def opens(here: Server, key: str) -> bool:
    with stream(here, key) as one:
        return one.status == 200


def test_no_more_streams_than_there_may_be(tmp_path: Path) -> None:
    write_project(tmp_path / "project", changed(serving={**ANYWHERE, "limits": {"streams": 1}}))
    loaded = loaded_from(tmp_path / "project")
    record(loaded, *THREE)
    key = new_key(loaded, "audiences:read")
    with server(loaded) as here:
        with stream(here, key, after="0") as one:
            assert len(one.told(3)) == 3
            refused = here.ask("/v1/stream", key)
            assert refused.status_code == 503
            assert refused.headers["retry-after"] == "5"
        assert here.ask("/v1/stream", key, "HEAD").status_code == 200
        eventually(lambda: opens(here, key))


def test_a_visitor_has_few_streams(here: Server, key: str) -> None:
    def token(user_id: str) -> str:
        body = {"parent_model": "users", "user_id": user_id}
        return str(here.ask("/v1/tokens", key, "POST", json=body).json()["token"])

    with ExitStack() as open_ones:
        for _ in range(10):
            assert open_ones.enter_context(stream(here, token("u1"))).status == 200
        refused = here.ask("/v1/stream", token("u1"))
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        assert "of this user 10 streams are open" in refused.json()["detail"]
        assert opens(here, token("u2"))
        assert opens(here, key)
    eventually(lambda: opens(here, token("u1")))


def test_a_search_of_the_journal_counts_as_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transitions, "_A_REQUEST", 1)
    write_project(tmp_path / "project", changed(serving={**ANYWHERE, "limits": {"per_key": 5}}))
    loaded = loaded_from(tmp_path / "project")
    record(loaded, *THREE)
    with server(loaded) as here:

        def left(query: str) -> str:
            asked = here.ask(f"/v1/transitions{query}", new_key(loaded, "audiences:read"))
            assert asked.status_code == 200, asked.text
            return asked.headers["ratelimit"]

        assert left("?limit=2") == '"key";r=4;t=1'
        assert left("?audience=keen&after=1") == '"key";r=2;t=1'
        assert left("?user_id=nobody") == '"key";r=1;t=1'


def test_nobody_is_roused_by_a_journal_that_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = project(tmp_path / "project")
    key = new_key(loaded, "audiences:read")
    rousings: list[broadcast.Broadcast] = []
    monkeypatch.setattr(broadcast.Broadcast, "_rouse_all", lambda one: rousings.append(one))  # noqa: PLW0108
    with server(loaded) as here, stream(here, key) as one:
        eventually(lambda: rousings)
        time.sleep(0.5)
        assert len(rousings) == 1
        record(loaded, Turn("u1", "keen"))
        assert one.told(1) == [("u1", "keen", "entered")]
        monkeypatch.undo()  # at the end, they are roused


def test_a_fault_silences_no_stream(
    here: Server, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(broadcast, "_ATTEMPT", 0.05)
    said = "http: a fault of ours while following the journal: ZeroDivisionError at "

    def fail(_ask: object) -> None:
        raise ZeroDivisionError

    with stream(here, key) as one:
        with monkeypatch.context() as wrong:
            wrong.setattr(here.service.newest, "read", fail)
            record(here.loaded, Turn("u6", "keen"))
            eventually(lambda: said in capsys.readouterr().err)
            time.sleep(0.3)
            assert said not in capsys.readouterr().err
        assert one.told(1) == [("u6", "keen", "entered")]
        with stream(here, key) as other:
            record(here.loaded, Turn("u6", "keen", 2))
            assert one.told(1) == other.told(1) == [("u6", "keen", "exited")]


def test_a_fault_lets_no_stream_outlive_its_key(
    here: Server, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "http: a fault of ours while looking after streams: ZeroDivisionError at "

    async def fail(*_: object) -> bool:
        raise ZeroDivisionError

    with stream(here, key) as one:
        with monkeypatch.context() as wrong:
            wrong.setattr(here.service.admission, "still_holds", fail)
            eventually(lambda: said in capsys.readouterr().err)
        found = read_token(key)
        assert found is not None
        with closing(open_store(here.loaded)) as store:
            store.keys.revoke(found.id, wall_clock())
        began = time.monotonic()
        assert list(one.events) == []
        assert time.monotonic() - began < 5


def test_who_follows_lets_the_journal_be_followed_if_nobody_does_any_more(here: Server) -> None:
    async def story() -> None:
        key = new_key(here.loaded, "audiences:read")
        token = read_token(key)
        assert token is not None
        with closing(Service(here.loaded, here.service.pulls, None)) as service:
            one = broadcast.Broadcast(service)
            found = await service.keyring.found(token)
            assert found is not None
            selection = Selection.of(Grant(found), {})
            await one.follow(selection, 3)
            assert one._task is not None
            await asyncio.to_thread(eventually, lambda: one._end)
            one._task.cancel()
            await asyncio.sleep(0.01)
            last = await one.follow(selection, 3)
            record(here.loaded, Turn("u6", "keen"))
            async with asyncio.timeout(30):
                while not await last.next_frames():
                    last.roused.clear()
                    await last.roused.wait()
            one._task.cancel()

    asyncio.run(story())


def test_who_reads_long_holds_up_no_stream(here: Server, key: str) -> None:
    with stream(here, key) as one, held_up(here.service.journal):
        record(here.loaded, Turn("u6", "keen"))
        assert one.told(1) == [("u6", "keen", "entered")]


def test_those_who_search_long_hold_up_nobody_who_does_not(here: Server, key: str) -> None:
    """More search than there are threads, some by streams that are behind."""
    time.sleep(0.6)  # what is known of keys is too old then
    with ExitStack() as held, ThreadPoolExecutor(60) as many:
        held.enter_context(held_up(here.service.journal))
        for _ in range(20):
            held.enter_context(stream(here, key, after="0"))
        path = "/v1/transitions?user_id=u1"
        searches = [many.submit(here.ask, path, key) for _ in range(60)]
        began = time.monotonic()
        users = [f"u{number}" for number in range(100)]
        for _ in range(3):
            time.sleep(0.6)
            assert here.ask("/v1/audiences/users/u1", key).status_code == 200
            body = {"user_ids": users}
            assert here.ask("/v1/audiences/users", key, "POST", json=body).status_code == 200
            assert here.ask("/v1/warehouse/users", key).status_code == 200
            assert "status" in here.ask("/readyz").json()
        with stream(here, key) as one:
            record(here.loaded, Turn("u6", "keen"))
            assert one.told(1) == [("u6", "keen", "entered")]
        assert time.monotonic() - began < 20
        assert not any(one.done() for one in searches)
        held.close()
        assert {one.result().status_code for one in searches} == {200}


def test_a_thousand_pages_behind(here: Server, key: str) -> None:
    """Who begins far behind reads the journal itself, up to those that follow."""
    record(here.loaded, *(Turn("u5", "keen", number) for number in range(1, 2_501)))
    with stream(here, key, after="0") as one:
        assert len(one.told(2_503)) == 2_503
        record(here.loaded, Turn("u6", "keen"))
        assert one.told(1) == [("u6", "keen", "entered")]
    with closing(open_reader(here.loaded)) as reader:
        assert MembershipReader.end(reader) == 2_504
