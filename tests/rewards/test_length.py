"""The length rule against hand-computed values."""

from __future__ import annotations

import pytest

from plaudit.errors import ConfigError
from plaudit.rewards.base import make
from plaudit.rewards.length import words


def score(text: str, **options: object) -> float:
    return float(make("length", options).score([None], [text])[0])


@pytest.mark.parametrize(("count", "expected"), [(5, 0.5), (10, 1.0), (20, 0.5), (1, 0.1), (100, 0.1)])
def test_half_and_twice_the_target_score_the_same(count: int, expected: float) -> None:
    assert score("word " * count, target=10) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "expected"), [(4, 0.8), (5, 1.0), (7, 1.0), (8, 1.0), (16, 0.5)])
def test_all_lengths_inside_of_the_band_score_one(count: int, expected: float) -> None:
    assert score("word " * count, low=5, high=8) == pytest.approx(expected)


def test_a_band_may_be_open_on_one_side() -> None:
    assert score("word " * 50, low=5) == 1.0
    assert score("word", low=5) == pytest.approx(0.2)
    assert score("word", high=5) == 1.0
    assert score("word " * 10, high=5) == pytest.approx(0.5)


def test_characters_are_counted_where_asked_for() -> None:
    assert score("abcde", target=10, unit="characters") == pytest.approx(0.5)


def test_tokens_are_those_of_the_tokenizer_without_special_ones() -> None:
    assert score("unbelievable things", target=4, unit="tokens") == pytest.approx(0.5)  # two words, two tokens
    assert score("antidisestablishmentarianism", target=1, unit="tokens") < 0.5
    with pytest.raises(ConfigError, match="tokenizer has no effect with unit 'words'"):
        make("length", {"tokenizer": "embedded"})


def test_words_are_counted_in_scripts_with_and_without_spaces() -> None:
    assert words("It isn't 3 well-known_things…") == ["It", "isn't", "3", "well-known", "things"]
    assert len(words("我喜欢猫。")) == 4
    assert len(words("Привет, мир")) == 2


def test_a_text_without_words_still_gets_a_score() -> None:
    assert score("!!!", target=10) == pytest.approx(0.1)


@pytest.mark.parametrize(
    "options",
    [{"target": 0}, {"target": 5, "low": 3}, {"low": 9, "high": 3}, {"unit": "pages"}, {"target": 2.5}, {"high": True}],
)
def test_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="reward 'length'"):
        make("length", options)
