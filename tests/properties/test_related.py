"""Conditions on related models against the oracle: random rows, one and two hops, in a backtest.

Amounts are quarters, which every way of adding them up gives exactly.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sources.arrivals import ArrivalPolicy
from connectors.sources.recorded import find_files
from dataflows.backtest import Recording, Request, run_backtest
from project.folder import load_project
from tests import oracle
from tests.properties.recorded import transition

AT = oracle.read_instant("2026-03-01T10:00:00Z")
EVENT = {"type": "page", "timestamp": "2026-03-01T10:00:00Z", "messageId": "m"}
USERS = ["u1", "u2", "u3", "stranger"]

SCHEMA = """
sources: {web: {type: file, format: segment, path: events.jsonl}}
events: {page: {source: web, type: page, parent_model: users}}
parent_models:
  users: {from: {json: users.json}, primary_key: user_id, properties: {user_id: string}}
related_models:
  items:
    from: {parquet: items.parquet}
    related_model: orders
    foreign_key: order_id
    properties: {sku: string, amount: number}
  orders:
    from: {parquet: orders.parquet}
    parent_model: users
    foreign_key: user_id
    primary_key: order_id
    properties: {status: string, amount: number, gift: boolean}
"""

AMOUNTS = st.none() | st.integers(-8, 8).map(lambda one: one / 4)
ORDERS = st.lists(
    st.fixed_dictionaries(
        {
            "order_id": st.none() | st.integers(1, 5),  # not always unique
            "user_id": st.none() | st.sampled_from(["u1", "u1", "u2", "gone"]),
            "status": st.none() | st.sampled_from(["paid", "open", "é"]),
            "amount": AMOUNTS,
            "gift": st.none() | st.booleans(),
        }
    ),
    max_size=8,
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {
            "order_id": st.none() | st.integers(1, 6),
            "sku": st.none() | st.sampled_from(["a", "b", "c"]),
            "amount": AMOUNTS,
        }
    ),
    max_size=10,
)
ORDER_FILTERS: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        {"status": "paid"},
        {"status": {"not_equals": "paid"}, "amount": {"at_least": 0}},
        {"not": {"property": "status", "equals": "paid"}},
        {"any": [{"property": "gift", "is": True}, {"property": "amount", "exists": False}]},
        [{"property": "status", "in": ["open", "é"]}, {"property": "amount", "less_than": 1}],
    ]
)
ITEM_FILTERS: st.SearchStrategy[Any] = st.sampled_from(
    [
        None,
        {"sku": "a"},
        {"none": [{"property": "sku", "equals": "a"}]},
        {"amount": {"between": [-1, 1]}},
    ]
)
ANY_COUNT = st.sampled_from(["exactly", "at_most", "more_than"])
POSITIVE = st.sampled_from(["at_least", "less_than"])
ORDERING = ["greater_than", "at_least", "less_than", "at_most"]


def _named(name: str, operand: Any) -> dict[str, Any]:
    return {name: operand}


COUNTS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.booleans().map(lambda flag: {"none": flag}),
    st.builds(
        lambda name, n: {name: n},
        st.sampled_from(["exactly", "at_most", "more_than"]),
        st.integers(0, 3),
    ),
    st.builds(
        lambda name, n: {name: n}, st.sampled_from(["at_least", "less_than"]), st.integers(1, 3)
    ),
    st.builds(lambda a, b: {"between": [a, a + b]}, st.integers(0, 2), st.integers(0, 2)),
)
NUMBERS = st.integers(-8, 12).map(lambda one: one / 4)
TESTS: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(
        lambda name, n: {name: n},
        st.sampled_from(
            ["equals", "not_equals", "greater_than", "at_least", "less_than", "at_most"]
        ),
        NUMBERS,
    ),
    st.lists(NUMBERS, min_size=1, max_size=3).map(lambda of: {"in": of}),
    st.lists(NUMBERS, min_size=1, max_size=3).map(lambda of: {"not_in": of}),
    st.tuples(NUMBERS, NUMBERS).map(lambda pair: {"between": sorted(pair)}),
    st.tuples(NUMBERS, NUMBERS).map(lambda pair: {"not_between": sorted(pair)}),
    st.booleans().map(lambda flag: {"exists": flag}),
)


def _condition(model: str, where: Any, compared: dict[str, Any]) -> dict[str, Any]:
    return {"related": model, **({} if where is None else {"where": where}), **compared}


def _compared(texts: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    aggregated = st.builds(
        lambda aggregate, test: {aggregate: "amount", **test},
        st.sampled_from(["sum", "avg", "min", "max"]),
        TESTS,
    )
    distinct = st.builds(
        lambda column, test: {"distinct": column, **test},
        st.sampled_from([*texts, "amount"]),
        TESTS,
    )
    return st.one_of(COUNTS, aggregated, distinct)


CONDITIONS = st.one_of(
    st.builds(_condition, st.just("orders"), ORDER_FILTERS, _compared(["status", "gift"])),
    st.builds(_condition, st.just("items"), ITEM_FILTERS, _compared(["sku"])),
)
TREES = st.one_of(
    CONDITIONS,
    CONDITIONS.map(lambda one: {"not": one}),
    st.builds(lambda a, b: {"all": [a, b]}, CONDITIONS, CONDITIONS),
)


@settings(max_examples=settings().max_examples // 8)
@given(st.lists(TREES, min_size=1, max_size=12), ORDERS, ITEMS)
def test_against_oracle(wheres: list[Any], orders: list[Any], items: list[Any]) -> None:
    audiences = {f"a{n}": {"parent_model": "users", "where": one} for n, one in enumerate(wheres)}
    definition = {**yaml.safe_load(SCHEMA), "audiences": audiences}
    records = [{**EVENT, "userId": user, "messageId": user} for user in USERS]
    rows = {user: {"user_id": user} for user in USERS[:-1]}
    history, until = oracle.recorded(
        definition,
        {"events.jsonl": records},
        "event",
        rows,
        related={"orders": orders, "items": items},
    )
    with TemporaryDirectory() as folder:
        found = _backtest(Path(folder), audiences, records, rows, orders, items)
    assert found == oracle.transitions(definition, history, until)


def _backtest(
    root: Path, audiences: Any, records: list[Any], rows: Any, orders: list[Any], items: list[Any]
) -> list[oracle.Transition]:
    (root / "schema.yml").write_text(SCHEMA)
    (root / "audiences.yml").write_text(json.dumps({"audiences": audiences}))
    (root / "events.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records))
    (root / "users.json").write_text("".join(json.dumps(one) + "\n" for one in rows.values()))
    order_types = {"order_id": pa.int64(), "user_id": pa.string(), "status": pa.string()}
    amount = {"amount": pa.decimal128(8, 2)}
    _write(root / "orders.parquet", orders, order_types | amount | {"gift": pa.bool_()})
    item_types = {"order_id": pa.string(), "sku": pa.string(), "amount": pa.float64()}
    texts = [{**one, "order_id": one["order_id"] and str(one["order_id"])} for one in items]
    _write(root / "items.parquet", texts, item_types)
    loading = load_project(root, {})
    assert loading.loaded is not None, loading.diagnostics
    output = root / "out.jsonl"
    recordings = [Recording(file, None, "segment") for file in find_files([root / "events.jsonl"])]
    run_backtest(
        loading.loaded, Request(recordings, ArrivalPolicy.EVENT, None, None, output=output)
    )
    return [transition(json.loads(line)) for line in output.read_text().splitlines()]


def _write(file: Path, rows: list[Any], types: dict[str, Any]) -> None:
    columns = {}
    for name, type_ in types.items():
        values = [one[name] for one in rows]
        if pa.types.is_decimal(type_):
            values = [None if one is None else Decimal(str(one)) for one in values]
        columns[name] = pa.array(values, type_)
    pq.write_table(pa.table(columns), file)
