"""Share of repeated n-grams."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.metrics.repetition import repetition


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0.0),
        ("one two", 0.0),
        ("one two three", 0.0),
        ("the sky is blue because of the air", 0.0),
        ("a b c a b c", 1 / 4),  # abc bca cab abc
        ("go go go go go", 2 / 3),  # three n-grams, one kind
        ("Go GO go  go\ngo", 2 / 3),
        ("no, no, no, no,", 4 / 6),  # no , no | , no , | …
        ("!!!!!!", 3 / 4),
        ("don't don't don't don't", 1 / 2),
        ("你好吗你好吗", 1 / 4),
        ("हिन्दी हिन्दी हिन्दी हिन्दी", 1 / 2),
        ("ไทยไทยไทย", 4 / 7),
    ],
)
def test_repeated_n_grams_are_counted_over_words(text: str, expected: float) -> None:
    assert repetition(text) == pytest.approx(expected)


def test_n_is_the_length_of_the_n_grams() -> None:
    assert repetition("a b a b", 1) == 0.5
    assert repetition("a b a b", 2) == pytest.approx(1 / 3)
    assert repetition("a b a b", 4) == 0.0


@given(st.text(max_size=60), st.integers(1, 5))
def test_it_is_a_share_and_doubling_a_text_raises_it(text: str, n: int) -> None:
    once, twice = repetition(text, n), repetition(f"{text} {text}", n)
    assert 0 <= once < 1
    assert once - 1e-12 <= twice < 1
