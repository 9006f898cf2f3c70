"""The shop's customers, as its warehouse knows them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pyarrow as pa  # type: ignore[import-untyped]

_FIRST = ("Ada", "Björn", "Chloé", "Dmitri", "Emre", "Fatima", "Grace", "Håkon", "Inés", "Jürgen")
_LAST = ("Weiß", "O'Brien", "Núñez", "Øster", "Yılmaz", "Kowalski", "Müller", "Smith", "Rossi")
_COUNTRIES = {"DE": 50, "AT": 12, "FR": 14, "US": 14, "PL": 10}
_PLANS = {"free": 55, "pro": 25, "business": 8, None: 12}
_TAGS = {"newsletter": 0.3, "b2b": 0.1, "vip": 0.01, "press": 0.002}
_DOMAINS = ("mail.example", "post.example", "firma.example")

_TABLE = """
CREATE TABLE users AS SELECT
    user_id, email, name, plan, country, CAST(ltv AS DECIMAL(10, 2)) AS ltv, orders,
    created_at, last_order_at, consent, tags
FROM customers
"""


def user_id(number: int) -> str:
    return f"u{number:06d}"


def write_warehouse(path: Path, random: Random, count: int, today: datetime) -> None:
    """Write a DuckDB database with the table `users`, the customers as of `today`."""
    customers = pa.Table.from_pylist([_customer(random, n, today) for n in range(count)])
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        connection.register("customers", customers)
        connection.execute(_TABLE)
        connection.unregister("customers")


def _customer(random: Random, number: int, today: datetime) -> dict[str, Any]:
    first, last = random.choice(_FIRST), random.choice(_LAST)
    employee = random.random() < 0.004
    domain = (
        random.choice(("shop.example", "Shop.Example")) if employee else random.choice(_DOMAINS)
    )
    age = min(random.expovariate(1 / 300), 2_500)
    orders = int(random.expovariate(1 / 2.5))
    last_order = today - timedelta(days=random.uniform(0, age)) if orders else None
    return {
        "user_id": user_id(number),
        "email": f"{first}.{number}@{domain}".lower() if not employee else f"{first}@{domain}",
        "name": f"{first} {last}",
        "plan": _weighted(random, _PLANS),
        "country": _weighted(random, _COUNTRIES),
        "ltv": sum(random.lognormvariate(4.2, 1) for _ in range(orders)),
        "orders": orders,
        "created_at": _to_the_second(today - timedelta(days=age)),
        "last_order_at": last_order and _to_the_second(last_order),
        # Asked since some years only: of early customers it is not known.
        "consent": None if age > 1_500 else random.random() < 0.7,
        "tags": [tag for tag, share in _TAGS.items() if random.random() < share],
    }


def _weighted(random: Random, shares: dict[Any, int]) -> Any:
    return random.choices(list(shares), list(shares.values()))[0]


def _to_the_second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
