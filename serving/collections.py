"""`/v1/collections`: what the snapshot says of a user, looked up in microseconds.

A record is handed on as the pull has written it; it is taken apart only for who wants a part of it
or more than it.  Files are mapped into memory, so one needs no thread; many are looked up and put
together in one, and an answer has no more than there is room for: an index may have half of all
users under one value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import serving.paths  # noqa: F401  what values may be in a path
from audience_dsl.definitions import Collection, ParentModel
from project.folder import LoadedProject
from serving.admission import Grant
from serving.answers import json_response
from serving.bodies import decode_body, read_body
from serving.memberships import Memberships
from serving.parameters import check_known, read_list, read_parameters
from serving.problems import Problem
from serving.scopes import Scope
from serving.service import Service
from warehouse.errors import WarehouseError
from warehouse.lookups import CollectionReader, Find, Record
from warehouse.snapshot import current

_VALUES_MOST = 1_000
_BYTES_MOST = 1 << 20

# So many values of a batch, or records of its answer, count as one request.
_A_REQUEST = 50

# What an answer may have.
_RECORDS_MOST = 10_000
_ANSWER_MOST = 16 << 20  # bytes of them

# What `include=audiences` adds to a record; a column of that name is not shown then.
_AUDIENCES = "audience_ids"
_INCLUDED = ("audiences",)

_X = TypeVar("_X")


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a question about many; by the primary key without an `index`."""

    values: Annotated[list[str | int], msgspec.Meta(max_length=_VALUES_MOST)]
    index: str | None = None
    fields: list[str] = []
    include: list[str] = []


class _Opened(NamedTuple):
    collection: Collection
    model: ParentModel
    reader: CollectionReader


class _Wanted(NamedTuple):
    """`fields` are all if there are none."""

    fields: Sequence[str]
    audiences: bool

    @property
    def is_whole(self) -> bool:
        """Whether records are wanted just as they are stored."""
        return not self.fields and not self.audiences


class Collections:
    def __init__(self, service: Service, memberships: Memberships) -> None:
        self._service = service
        self._memberships = memberships
        self._of: LoadedProject | None = None
        self._opened: dict[str, _Opened] = {}
        path = "/v1/collections/{collection}/records"
        self.routes = [
            Route(path, self.many, methods=["POST"]),
            Route(f"{path}/{{index}}/{{value:text}}", self.one, methods=["GET"]),
        ]

    async def one(self, request: Request) -> Response:
        """The first record with that value, in the order of the warehouse's rows."""
        grant = await self._service.admission.admitted(request, Scope.COLLECTIONS_READ)
        opened = self._open(request)
        parameters = read_parameters(request, "fields", "include")
        fields, include = (read_list(parameters, name) for name in ("fields", "include"))
        wanted = self._wanted(grant, opened, fields, include)
        index, value = (str(request.path_params[name]) for name in ("index", "value"))
        document = next(_finder(opened, index)(value), None)
        if document is None:
            raise Problem(HTTPStatus.NOT_FOUND, f"the collection has no record of that {index}")
        if wanted.is_whole:
            return Response(document, media_type="application/json")
        record = _decode(document)
        (audiences,) = await self._audiences(grant, opened, wanted, [record])
        return json_response(_shown(record, wanted, audiences))

    async def many(self, request: Request) -> Response:
        admission = self._service.admission
        grant = await admission.admitted(request, Scope.COLLECTIONS_READ)
        opened = self._open(request)
        parameters = read_parameters(request, "fields", "include")
        body = await read_body(request, _BYTES_MOST)
        asked = decode_body(body, Asked, 'a JSON object such as {"values": ["u1", "u2"]}')
        wanted = self._wanted(
            grant,
            opened,
            [*read_list(parameters, "fields"), *asked.fields],
            [*read_list(parameters, "include"), *asked.include],
        )
        admission.count(request, grant, len(asked.values) // _A_REQUEST)
        index = opened.model.primary_key if asked.index is None else asked.index
        found, is_all = await run_in_threadpool(_found, opened, index, asked.values)
        count = sum(map(len, found))
        admission.owe(request, grant, (count - len(asked.values)) // _A_REQUEST)
        if not is_all:
            raise Problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"the answer would have more than {_RECORDS_MOST:,} records or "
                f"{_ANSWER_MOST >> 20} MB; ask for fewer values at a time, or by an index under "
                "which there are fewer records",
            )
        answer = partial(_answer, opened, index, asked.values)
        if wanted.is_whole:
            return await run_in_threadpool(answer, found, msgspec.Raw)
        records = await run_in_threadpool(lambda: [list(map(_decode, some)) for some in found])
        flat = [one for some in records for one in some]
        audiences = iter(await self._audiences(grant, opened, wanted, flat))
        return await run_in_threadpool(
            answer, records, lambda one: _shown(one, wanted, next(audiences))
        )

    def _open(self, request: Request) -> _Opened:
        """The collection that a request names, by the definitions of now."""
        loaded = self._service.loaded
        if loaded is not self._of:
            self._of, self._opened = loaded, {}
        name = str(request.path_params["collection"])
        if name not in self._opened:
            collection = loaded.project.collections.get(name)
            if collection is None:
                raise Problem(HTTPStatus.NOT_FOUND, "the project has no collection of this name")
            model = loaded.project.parent_models[collection.parent_model]
            reader = CollectionReader(loaded.root, model, collection)
            self._opened[name] = _Opened(collection, model, reader)
        return self._opened[name]

    def _wanted(
        self, grant: Grant, opened: _Opened, fields: Sequence[str], include: Sequence[str]
    ) -> _Wanted:
        """Raises Problem: there is no such thing, or the grant does not allow it."""
        if fields:
            check_known(fields, "fields", _fields(self._service.loaded.root, opened))
        check_known(include, "include", _INCLUDED)
        scopes = grant.key.scopes
        if include and not {Scope.AUDIENCES_READ, Scope.ADMIN} & set(scopes):
            raise Problem(
                HTTPStatus.FORBIDDEN,
                f"include=audiences needs a key with the scope {Scope.AUDIENCES_READ} as well",
            )
        return _Wanted(tuple(fields), bool(include))

    async def _audiences(
        self, grant: Grant, opened: _Opened, wanted: _Wanted, records: Sequence[Record]
    ) -> Sequence[list[str] | None]:
        """Of the user of each record; `None` where they are not wanted."""
        if not wanted.audiences:
            return [None] * len(records)
        plan = self._service.plans[opened.model.key]
        users = [_user_of(one, opened) for one in records]
        return await self._memberships.audiences(grant, plan, users)


def _fields(root: Path, opened: _Opened) -> Sequence[str]:
    """Those of the collection's records; the snapshot knows where the definitions do not."""
    if opened.collection.fields is not None:
        return opened.collection.fields
    try:
        return _columns(root, opened.model.key, opened.reader.version)
    except WarehouseError as error:
        raise _not_pulled() from error


@lru_cache(16)
def _columns(root: Path, parent_model: str, _version: str) -> tuple[str, ...]:
    """Those of the snapshot in force, which is of this version."""
    snapshot = current(root, parent_model)
    return () if snapshot is None else tuple(snapshot.manifest.columns)


def _finder(opened: _Opened, index: str) -> Find:
    try:
        return opened.reader.finder(index)
    except KeyError:
        known = ", ".join((opened.model.primary_key, *opened.collection.indexes))
        raise Problem(
            HTTPStatus.NOT_FOUND, f"records of this collection are found by {known}"
        ) from None
    except WarehouseError as error:
        raise _not_pulled() from error


def _not_pulled() -> Problem:
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "the snapshot in force does not have this collection as it is defined now; "
        "it is there after the next pull",
        {"Retry-After": "60"},
    )


def _found(
    opened: _Opened, index: str, values: Sequence[str | int]
) -> tuple[list[list[bytes]], bool]:
    """The records of each value, all of one version, and whether an answer has room for all.

    A value that is repeated is looked up once.
    """
    find = _finder(opened, index)
    known: dict[str, list[bytes]] = {}
    found, count, size = [], 0, 0
    for value in map(str, values):
        documents: list[bytes] = []
        found.append(documents)
        for one in known.get(value, find(value)):
            count, size = count + 1, size + len(one)
            if count > _RECORDS_MOST or size > _ANSWER_MOST:
                return found, False
            documents.append(one)
        known[value] = documents
    return found, True


def _chosen(record: Record, fields: Sequence[str]) -> Record:
    """A field that has gone with a pull meanwhile is not shown."""
    return {name: record[name] for name in fields if name in record} if fields else record


def _user_of(record: Record, opened: _Opened) -> str:
    """Whose record it is.

    Raises:
        Problem: it does not say.
    """
    key: Any = record.get(opened.model.primary_key)
    if key is None:
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            f"include=audiences needs {opened.model.primary_key} among the collection's fields",
        )
    return str(key)


def _shown(record: Record, wanted: _Wanted, audiences: list[str] | None) -> Record:
    shown = _chosen(record, wanted.fields)
    if audiences is None:
        return shown
    return {**{name: shown[name] for name in shown if name != _AUDIENCES}, _AUDIENCES: audiences}


def _answer(
    opened: _Opened,
    index: str,
    values: Sequence[str | int],
    found: Sequence[Sequence[_X]],
    show: Callable[[_X], object],
) -> Response:
    results = [
        {"value": value, "records": [show(one) for one in some]}
        for value, some in zip(values, found, strict=True)
    ]
    return json_response({"collection": opened.collection.key, "index": index, "results": results})


_decode = msgspec.json.Decoder(Record).decode
