"""Columns of instants: the fast reading says the same as the exact one."""

from hypothesis import example, given
from hypothesis import strategies as st

from audience_dsl.instants import read_instant
from connectors.sources.instants import NO_INSTANT, read_instants
from connectors.sources.tokens import Tokens

_digits = st.sampled_from("0123456789")
_texts = st.one_of(
    st.datetimes().map(lambda one: one.isoformat() + "Z"),
    st.from_regex(
        r"[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{1,10})?"
        r"(Z|[+-][0-2][0-9]:[0-6][0-9])?",
        fullmatch=True,
    ),
    # One character of a good one is another.
    st.tuples(
        st.sampled_from(["2026-03-01T10:00:00.123Z", "2024-02-29 23:59:59.999999+01:30"]),
        st.integers(0, 30),
        st.characters(codec="utf-8"),
    ).map(lambda one: one[0][: one[1]] + one[2] + one[0][one[1] + 1 :]),
)
_values = st.one_of(
    _texts, st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.just([])
)


@given(st.lists(_values, max_size=5))
@example(["2026-02-29T00:00:00Z", "2024-02-29T00:00:00Z", "1900-02-29T00:00:00Z"])
@example(["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "0999-12-31T00:00:00Z"])
@example(["2026-03-01T24:00:00Z", "2026-03-01T23:59:60Z", "2026-03-01T10:00:00.Z"])
@example(["2026-03-01T10:00:00.1234567890Z", "2026-03-01T10:00:00z", "2026-03-01T10:00:00+24:00"])
@example(["1969-12-31T23:59:59.999999Z", "1970-01-01 00:00:00", "2026-03-01T10:00:00-00:01"])
def test_a_column_is_read_like_each_of_its_values(values):
    expected = [read_instant(one) for one in values]
    found = [
        None if one == NO_INSTANT else one for one in read_instants(Tokens.of(values)).tolist()
    ]
    assert [None if one == NO_INSTANT else one for one in found] == expected
