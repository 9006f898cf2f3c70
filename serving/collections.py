"""`/v1/collections`: what the snapshot says of a user, looked up in microseconds.

A record is handed on as the pull has written it; it is taken apart only for who wants a part of it
or more than it.  Files are mapped into memory, so this needs no thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any, NamedTuple

import msgspec
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
from serving.parameters import known_names, read_names, read_parameters
from serving.problems import Problem
from serving.scopes import Scope
from serving.service import Service
from warehouse.errors import WarehouseError
from warehouse.lookups import CollectionReader, Record

_VALUES_MOST = 1_000
_BYTES_MOST = 1 << 20

# So many values of a batch count as one request.
_VALUES_A_REQUEST = 50

# What `include=audiences` adds to a record; a column of that name is not shown then.
_AUDIENCES = "audience_ids"
_INCLUDED = ("audiences",)


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
        include = read_names(parameters, "include", _INCLUDED)
        fields = parameters["fields"].split(",") if "fields" in parameters else []
        wanted = _wanted(grant, fields, include)
        index, value = (str(request.path_params[name]) for name in ("index", "value"))
        found = _found(opened, index, [value])[0]
        if not found:
            raise Problem(HTTPStatus.NOT_FOUND, f"the collection has no record of that {index}")
        if wanted == _WHOLE:
            return Response(found[0], media_type="application/json")
        ((record,),) = await self._shown(grant, opened, [found[:1]], wanted)
        return json_response(record)

    async def many(self, request: Request) -> Response:
        admission = self._service.admission
        grant = await admission.admitted(request, Scope.COLLECTIONS_READ)
        opened = self._open(request)
        read_parameters(request)
        body = await read_body(request, _BYTES_MOST)
        asked = decode_body(body, Asked, 'a JSON object such as {"values": ["u1", "u2"]}')
        include = known_names(asked.include, "include", _INCLUDED)
        admission.count(request, grant, len(asked.values) // _VALUES_A_REQUEST)
        index = opened.model.primary_key if asked.index is None else asked.index
        found = _found(opened, index, asked.values)
        shown = await self._shown(grant, opened, found, _wanted(grant, asked.fields, include))
        results = [
            {"value": value, "records": records}
            for value, records in zip(asked.values, shown, strict=True)
        ]
        key = opened.collection.key
        return json_response({"collection": key, "index": index, "results": results})

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

    async def _shown(
        self, grant: Grant, opened: _Opened, found: Sequence[Sequence[bytes]], wanted: _Wanted
    ) -> list[list[Record | msgspec.Raw]]:
        """The records as they are wanted; of each value, in their order."""
        if wanted == _WHOLE:
            return [[msgspec.Raw(one) for one in records] for records in found]
        records = [[_decode(one) for one in some] for some in found]
        shown: list[list[Record | msgspec.Raw]] = [
            [_chosen(one, wanted.fields) for one in some] for some in records
        ]
        if wanted.audiences:
            flat = [one for some in records for one in some]
            plan = self._service.plans[opened.model.key]
            users = [_user_of(one, opened) for one in flat]
            audiences = iter(await self._memberships.audiences(grant, plan, users))
            shown = [
                [{**_without_audiences(one), _AUDIENCES: next(audiences)} for one in some]
                for some in shown
            ]
        return shown


_WHOLE = _Wanted((), audiences=False)


def _wanted(grant: Grant, fields: Sequence[str], include: Sequence[str]) -> _Wanted:
    scopes = grant.key.scopes
    if include and not {Scope.AUDIENCES_READ, Scope.ADMIN} & set(scopes):
        raise Problem(
            HTTPStatus.FORBIDDEN,
            f"include=audiences needs a key with the scope {Scope.AUDIENCES_READ} as well",
        )
    return _Wanted(tuple(fields), bool(include))


def _found(opened: _Opened, index: str, values: Sequence[str | int]) -> list[list[bytes]]:
    try:
        return opened.reader.documents_of(index, values)
    except KeyError:
        known = ", ".join((opened.model.primary_key, *opened.collection.indexes))
        raise Problem(
            HTTPStatus.NOT_FOUND, f"records of this collection are found by {known}"
        ) from None
    except WarehouseError as error:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "the snapshot in force does not have this collection as it is defined now; "
            "it is there after the next pull",
            {"Retry-After": "60"},
        ) from error


def _chosen(record: Record, fields: Sequence[str]) -> Record:
    if not fields:
        return record
    try:
        return {name: record[name] for name in fields}
    except KeyError:
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"fields takes {', '.join(record)}, with , between"
        ) from None


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


def _without_audiences(record: Record | msgspec.Raw) -> Record:
    assert isinstance(record, dict)
    return {name: value for name, value in record.items() if name != _AUDIENCES}


_decode = msgspec.json.Decoder(Record).decode
