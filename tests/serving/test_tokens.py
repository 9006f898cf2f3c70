"""Keys: what they look like, and that nobody can make one up."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from serving.tokens import Token, new_token, read_token


def test_a_key_is_read_as_it_was_written() -> None:
    token = new_token()
    assert re.fullmatch(r"usher_[0-9a-z]{8}_[0-9A-Za-z]{49}", token.text)
    assert read_token(token.text) == token
    assert token.is_of(token.digest)
    assert token.secret not in token.digest


def test_of_another_key_or_of_none_it_is_not() -> None:
    token, other = new_token(), new_token()
    assert token != other
    assert not Token(token.id, other.secret).is_of(token.digest)
    assert not token.is_of(None)


@given(st.integers(0, 64), st.characters(min_codepoint=33, max_codepoint=126))
def test_a_key_with_a_wrong_character_is_none(place: int, instead: str) -> None:
    text = Token("a1b2c3d4", "x" * 43).text
    mistyped = text[:place] + instead + text[place + 1 :]
    assert mistyped == text or read_token(mistyped) is None


@given(st.text())
def test_any_other_text_is_none(text: str) -> None:
    assert read_token(text) is None
