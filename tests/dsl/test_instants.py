"""Instants and durations, read and written."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience_dsl.durations import DAY, format_duration, read_duration
from audience_dsl.instants import EARLIEST, LATEST, SECOND, format_instant, read_instant

TEN = 1_772_359_200 * SECOND  # 2026-03-01T10:00:00Z


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("2026-03-01T10:00:00Z", TEN),
        ("2026-03-01T10:00:00z", TEN),
        ("2026-03-01t10:00Z", TEN),
        ("2026-03-01T10", TEN),
        ("2026-03-01 10:00:00", TEN),
        ("2026-03-01 10:00:00.000 +0000", TEN),
        ("2026-03-01 10:00:00 UTC", TEN),
        ("20260301T100000Z", TEN),
        ("2026-03-01T11:30:00+01:30", TEN),
        ("2026-03-01T05:00:00-05", TEN),
        ("2026-03-01T10:00:00.1Z", TEN + 100_000),
        ("2026-03-01T10:00:00,123456789Z", TEN + 123_456),
        ("2026-03-01T09:59:59.9999999Z", TEN - 1),
        ("2026-02-28T24:00:00Z", TEN - 10 * 3600 * SECOND),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * SECOND),
        (" 2026-03-01 ", TEN - 10 * 3600 * SECOND),
        (1_772_359_200, TEN),
        (1_772_359_200.123, TEN + 123_000),
        (1_772_359_200_123, TEN + 123_000),
        (1_772_359_200_123.456, TEN + 123_456),
        (1_772_359_200_123_456, TEN + 123_456),
        ("1772359200", TEN),
        ("1772359200.1234567", TEN + 123_456),
        ("1.7723592e9", TEN),
        (0, 0),
        (-1.5, -1_500_000),
        (99_999_999_999, 99_999_999_999 * SECOND),
        (100_000_000_000, 100_000_000 * SECOND),
        ("9999-12-31T23:59:59.999999Z", LATEST),
        ("0001-01-01T00:00:00Z", EARLIEST),
    ],
)
def test_forms_that_are_read(raw: object, expected: int) -> None:
    assert read_instant(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        None, True, False, "", "yesterday", "2026-02-29", "2026-13-01", "2026-03-01T25:00:00Z",
        "2026-03-01T10:60:00Z", "2026-03-01T10:00:61Z", "2026-03-01T24:00:01Z", "2026-3-1",
        "2026-0301", "2026-03-01T10:00:00+24:00", "2026-03-01T10:00:00Zjunk", "0000-01-01",
        "٢٠٢٦-03-01", "9999-12-31T23:59:59-01:00", 10**18, 1e300, float("inf"), float("nan"),
        "1e999", "1e-999999999", "9" * 100, [], {}, "\ud800",
    ],
)  # fmt: skip
def test_forms_that_are_none(raw: object) -> None:
    assert read_instant(raw) is None


@given(st.integers(EARLIEST, LATEST))
def test_an_instant_reads_back_from_its_text(instant: int) -> None:
    text = format_instant(instant)
    assert len(text) == len("2026-03-01T10:00:00.000000Z")
    assert read_instant(text) == instant


@given(
    st.integers(EARLIEST + 2 * DAY, LATEST - 2 * DAY),
    st.integers(-23 * 60, 23 * 60),
)
def test_any_zone_is_the_same_instant(instant: int, minutes: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)
    zoned = moment.astimezone(timezone(timedelta(minutes=minutes)))
    assert read_instant(zoned.isoformat()) == instant


@given(st.text() | st.floats() | st.integers())
def test_anything_is_read_or_not(raw: object) -> None:
    instant = read_instant(raw)
    assert instant is None or EARLIEST <= instant <= LATEST


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90), ("10m", 600), ("24h", 86_400), ("10 minutes", 600), ("1 day", 86_400),
        ("2w", 1_209_600), ("1 hour", 3_600), ("15 sec", 15),
    ],
)  # fmt: skip
def test_durations(text: str, seconds: int) -> None:
    assert read_duration(text) == seconds * SECOND


@pytest.mark.parametrize(
    "text", ["", "10", "m", "1.5h", "-1m", "10  m", "10M", "1h30m", "999999999w"]
)
def test_what_is_no_duration(text: str) -> None:
    assert read_duration(text) is None


@given(st.integers(1, 10**9 - 1))
def test_a_duration_reads_back(seconds: int) -> None:
    assert read_duration(format_duration(seconds * SECOND)) == seconds * SECOND
