"""When the system learned of an event, by each policy."""

from connectors.sources.arrivals import ArrivalPolicy
from tests.sources.shop import chunk_of, page, reader_of, rows_of

SECOND = 1_000_000
START = 1_772_359_200 * SECOND


def at(second):
    return f"2026-03-01T10:00:{second:02}.000000Z"


def arrivals(policy, *chunks, now=0):
    reader = reader_of()
    rows = [row for chunk in chunks for row in rows_of(reader.read(chunk, policy, now))]
    return [(row["arrival"] - START) // SECOND for row in rows]


def test_by_event_an_arrival_is_the_events_own_instant():
    chunk = chunk_of(page(at=at(5), receivedAt=at(9)), page(at=at(3)))
    assert arrivals(ArrivalPolicy.EVENT, chunk) == [5, 3]


def test_recorded_it_is_when_it_was_received_and_never_falls_within_a_file():
    records = [
        page(at=at(5), receivedAt=at(9)),
        page(at=at(3)),  # no word of when it was received
        page(at=at(1), receivedAt="nonsense"),
        page(at=at(20)),
        page(at=at(2), receivedAt=at(12)),
    ]
    assert arrivals(ArrivalPolicy.RECORDED, chunk_of(*records)) == [9, 9, 9, 20, 20]
    pieces = [chunk_of(one) for one in records]
    assert arrivals(ArrivalPolicy.RECORDED, *pieces) == [9, 9, 9, 20, 20]
    other_file = [chunk_of(records[0]), chunk_of(records[1], file="other.jsonl")]
    assert arrivals(ArrivalPolicy.RECORDED, *other_file) == [9, 3]


def test_recorded_it_does_not_depend_on_what_the_audiences_ask_for():
    unasked = {"type": "identify", "receivedAt": at(30)}
    broken = page(None, at(1), receivedAt=at(40))
    chunk = chunk_of(page(at=at(1)), unasked, page(at=at(2)), broken, page(at=at(3)))
    assert arrivals(ArrivalPolicy.RECORDED, chunk) == [1, 30, 40]


def test_live_it_is_never_later_than_now():
    records = [
        page(at=at(1), receivedAt=at(4)),
        page(at=at(1), receivedAt=at(2)),
        page(at=at(1), receivedAt=at(50)),
        page(at=at(1)),
        page(at=at(1), receivedAt=at(5)),
    ]
    now = START + 7 * SECOND
    assert arrivals(ArrivalPolicy.LIVE, chunk_of(*records), now=now) == [4, 4, 7, 7, 7]


def test_the_latest_arrival_of_a_batch_is_told():
    batch = reader_of().read(chunk_of(page(at=at(5)), page(at=at(3))), ArrivalPolicy.EVENT)
    assert batch.latest_arrival == START + 5 * SECOND
    assert reader_of().read(chunk_of({}), ArrivalPolicy.EVENT).latest_arrival is None
