"""Messages as they are written down, and how they come back: the same to the last byte."""

from __future__ import annotations

from typing import cast

import msgspec

from connectors.destinations.destination import Exchange, Message, Record
from delivery.queues import Item
from membership.deliveries import DeadLetter, Waiting

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, object]).decode


def waiting_of(item: Item) -> Waiting:
    return Waiting(
        item.who.user_id,
        item.who.sequence,
        item.position,
        _text(item.message.record),
        _text(item.message.mapped),
        item.attempts,
        item.first_attempt,
        item.due,
        item.reason,
    )


def item_of(waiting: Waiting) -> Item:
    record = _decode(waiting.record)
    message = Message(
        cast(str, record["id"]),
        waiting.user_id,
        record["type"] == "entered",
        record,
        _decode(waiting.mapped) if waiting.mapped else None,
    )
    item = Item(message, waiting.who, waiting.position, is_initial=waiting.position == 0)
    item.is_parked = True
    item.attempts, item.first_attempt = waiting.attempts, waiting.first_attempt
    item.due, item.reason = waiting.due, waiting.reason
    return item


def letter_of(item: Item, reason: str, exchange: Exchange, at: int) -> DeadLetter:
    return DeadLetter(
        item.who.user_id,
        item.who.sequence,
        item.position,
        item.message.id,
        _text(item.message.record),
        _text(item.message.mapped),
        item.attempts,
        at,
        reason or "the destination gave no reason",
        exchange.status,
        exchange.request,
        exchange.response,
    )


def _text(record: Record | None) -> str:
    return "" if record is None else _encode(record).decode()
