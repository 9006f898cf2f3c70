"""Paths into raw records."""

import pytest

from connectors.sources.paths import parse_path, pluck


@pytest.mark.parametrize(
    ("path", "record", "value"),
    [
        ("a", {"a": 1}, 1),
        ("a.b.c", {"a": {"b": {"c": 1}}}, 1),
        ("a[1].b", {"a": [{}, {"b": 2}]}, 2),
        ("a[0][1]", {"a": [[1, 2]]}, 2),
        ("a.b", {"a.b": 1, "a": {"b": 2}}, 1),  # one dotted key comes first
        ("a.b.c", {"a": {"b.c": 3}}, 3),
        ("a[0].b", {"a[0].b": 4}, 4),
        ("a.b", {"a": None}, None),
        ("a.b", {"a": "text"}, None),
        ("a[3]", {"a": [1]}, None),
        ("a[0]", {"a": "text"}, None),
        ("a[0]", {"a": {"0": 1}}, None),
        ("a b.$c", {"a b": {"$c": 1}}, 1),
    ],
)
def test_a_path_leads_to_a_value_or_to_none(path, record, value):
    assert pluck(record, parse_path(path)) == value


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a[", "a[x]", "a[-1]", "[0]", "a[0]b"]
)
def test_what_is_no_path_is_refused_with_a_sentence(text):
    with pytest.raises(ValueError, match="is not a path"):
        parse_path(text)
