"""The shop as its visitors see it, and the records that its tracking writes of them.

Browsers send through analytics.js and the shop's server through analytics-node; a record here has
the fields, and their order, that Segment's archives have.  All randomness comes from the caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

Record = dict[str, Any]

SITE = "https://www.shop.example"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CATEGORIES = ("Chairs", "Desks", "Lamps", "Rugs", "Shelves")
PRODUCTS = [
    {
        "sku": f"{category[:2].upper()}-{number:02d}",
        "name": f"{category[:-1]} No. {number}",
        "category": category,
        "price": round(9.9 + number * number * 1.7 + place * 4, 2),
    }
    for place, category in enumerate(_CATEGORIES)
    for number in range(1, 13)
]
_REFERRERS = ("", "", "https://www.google.com/", "https://duckduckgo.com/", "https://news.example/")
_CAMPAIGNS = (None, None, None, {"source": "newsletter", "medium": "email", "name": "spring"})
_MOZILLA = "Mozilla/5.0"
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
_BROWSERS = (
    f"{_MOZILLA} (X11; Linux x86_64) {_WEBKIT} Chrome/145.0.0.0 Safari/537.36",
    f"{_MOZILLA} (iPhone; CPU iPhone OS 19_2 like Mac OS X) {_WEBKIT} Version/19.2 Mobile/15E148",
    f"{_MOZILLA} (Windows NT 10.0; Win64; x64; rv:147.0) Gecko/20100101 Firefox/147.0",
)
_TIMEZONES = ("Europe/Berlin", "Europe/Paris", "America/New_York")
_TITLES = {"/": "Welcome", "/pricing": "Pricing — plans", "/cart": "Your cart", "/help": "Hilfe"}


@dataclass(frozen=True, slots=True)
class Step:
    """Something a visitor does, `pause` seconds after the step before."""

    pause: float
    kind: str  # "page", or the name of a track event
    path: str
    properties: Record


# What a visit leads to, in percent of the visits.
_MOODS = {"browse": 46, "compare": 16, "evaluate": 12, "buy": 12, "abandon": 10, "help": 4}


def visit(random: Random) -> Iterator[Step]:
    """The steps of one visit."""
    mood = random.choices(list(_MOODS), list(_MOODS.values()))[0]
    yield _page(random, "/", 0)
    match mood:
        case "browse":
            for _ in range(random.randint(0, 5)):
                yield _page(random, random.choice(("/", "/products", "/about", "/blog/oak")))
        case "compare":
            yield from _products(random, random.randint(3, 9))
        case "evaluate":
            for _ in range(random.randint(2, 5)):
                yield _page(random, "/pricing")
                if random.random() < 0.4:
                    yield _page(random, random.choice(("/about", "/help/plans")))
        case "buy" | "abandon":
            yield from _products(random, random.randint(1, 4))
            basket = random.sample(PRODUCTS, random.randint(1, 3))
            for product in basket:
                yield _step(random, "Product Added", "/products", {**product, "quantity": 1})
            yield _page(random, "/cart")
            if mood == "buy":
                yield _page(random, "/checkout")
                yield _order(random, basket)
        case "help":
            for _ in range(random.randint(2, 4)):
                yield _page(random, random.choice(("/help", "/help/returns", "/contact")))


def _products(random: Random, count: int) -> Iterator[Step]:
    yield _page(random, "/products")
    for product in random.sample(PRODUCTS, count):
        yield _page(random, f"/products/{product['sku']}")
        yield _step(random, "Product Viewed", f"/products/{product['sku']}", dict(product), 0.2)


def _order(random: Random, basket: list[Record]) -> Step:
    total = round(sum(product["price"] for product in basket), 2)
    order = f"o_{random.getrandbits(40):010x}"
    products = [{"sku": one["sku"], "price": one["price"], "quantity": 1} for one in basket]
    details = {"order_id": order, "total": total, "currency": "EUR", "products": products}
    return _step(random, "Order Completed", "/checkout", details)


def _page(random: Random, path: str, pause: float | None = None) -> Step:
    return _step(random, "page", path, {}, pause)


def _step(
    random: Random, kind: str, path: str, properties: Record, pause: float | None = None
) -> Step:
    thinking = min(random.expovariate(1 / 25), 400) if pause is None else pause
    return Step(thinking, kind, path, properties)


@dataclass(frozen=True, slots=True)
class Visitor:
    """One browser of one user; `user_id` is `None` for who has not signed in."""

    user_id: str | None
    anonymous_id: str
    browser: str
    timezone: str
    address: str
    referrer: str
    campaign: Record | None

    @classmethod
    def of(cls, random: Random, user_id: str | None) -> Visitor:
        return cls(
            user_id=user_id,
            anonymous_id=_uuid(random),
            browser=random.choice(_BROWSERS),
            timezone=random.choice(_TIMEZONES),
            address=f"198.51.100.{random.randint(1, 254)}",
            referrer=random.choice(_REFERRERS),
            campaign=random.choice(_CAMPAIGNS),
        )


def record(
    random: Random, visitor: Visitor, step: Step, happened: int, sent: int, received: int
) -> Record:
    """The record of a step, as archived.

    `happened`, `sent` and `received` are milliseconds since 1970 UTC, the first two by the
    visitor's own clock, the last by the collector's; `timestamp` is what follows from them.
    """
    if step.kind == "Order Completed":
        return _from_server(random, visitor, step, received - (sent - happened), received)
    page = page_of(visitor, step)
    context = context_of(visitor, page)
    context["library"] = {"name": "analytics.js", "version": "npm:next-1.84.3"}
    call: Record = {"type": "page", "name": None, "properties": page}
    if step.kind != "page":
        call = {"type": "track", "event": step.kind, "properties": step.properties}
    return {
        "timestamp": instant(received - (sent - happened)),
        "integrations": {"Segment.io": True},
        **call,
        "context": context,
        "messageId": f"ajs-next-{happened}-{_uuid(random)}",
        "anonymousId": visitor.anonymous_id,
        "userId": visitor.user_id,
        "originalTimestamp": instant(happened),
        "sentAt": instant(sent),
        "receivedAt": instant(received),
        "channel": "client",
        "version": 2,
    }


def page_of(visitor: Visitor, step: Step) -> Record:
    """The page on which a step is taken."""
    search = f"?utm_campaign={visitor.campaign['name']}" if visitor.campaign else ""
    return {
        "path": step.path,
        "referrer": visitor.referrer,
        "search": search,
        "title": _TITLES.get(step.path, "Shop"),
        "url": f"{SITE}{step.path}{search}",
    }


def context_of(visitor: Visitor, page: Record) -> Record:
    """What a browser tells of itself and its page."""
    context: Record = {
        "page": page,
        "userAgent": visitor.browser,
        "locale": "de-DE" if visitor.timezone == "Europe/Berlin" else "en-US",
        "timezone": visitor.timezone,
        "ip": visitor.address,
    }
    if visitor.campaign:
        context["campaign"] = visitor.campaign
    return context


def _from_server(
    random: Random, visitor: Visitor, step: Step, happened: int, received: int
) -> Record:
    return {
        "integrations": {},
        "anonymousId": visitor.anonymous_id,
        "properties": step.properties,
        "timestamp": instant(happened),
        "context": {"library": {"name": "@segment/analytics-node", "version": "2.3.0"}},
        "userId": visitor.user_id,
        "type": "track",
        "event": step.kind,
        "messageId": f"node-next-{happened}-{_uuid(random)}",
        "originalTimestamp": instant(happened),
        "sentAt": instant(received),
        "receivedAt": instant(received),
        "channel": "server",
        "version": 2,
    }


def instant(milliseconds: int) -> str:
    """ISO 8601 with milliseconds, as the tracking libraries write it."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _uuid(random: Random) -> str:
    digits = f"{random.getrandbits(128):032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
