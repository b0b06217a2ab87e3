"""The sentiment rule: what it computes by hand, and the scopes around VADER."""

from __future__ import annotations

import math
import time

import pytest

from plaudit.rewards import sentiment as sentiment
from plaudit.rewards.base import make

vader = pytest.importorskip("vaderSentiment.vaderSentiment").SentimentIntensityAnalyzer()


def score(*texts: str) -> list[float]:
    values: list[float] = make("sentiment").score([None] * len(texts), list(texts)).tolist()
    return values


def one(text: str) -> float:
    return score(text)[0]


@pytest.mark.parametrize("text", ["The food was great.", "An awful day.", "I am so happy today!", "Today SUX!"])
def test_a_single_clause_scores_as_vaders_compound(text: str) -> None:
    assert one(text) == pytest.approx(0.5 + 0.5 * vader.polarity_scores(text)["compound"], abs=1e-4)


def test_texts_without_valence_are_neutral() -> None:
    assert score("The train leaves at nine.", "12 + 30 = 42", "!!!", "我喜欢猫。") == [0.5] * 4


def compound(valence: float) -> float:
    return valence / math.sqrt(valence * valence + 15)


def test_a_negation_turns_the_valence_of_its_clause() -> None:
    good, bad = 1.9, -2.5  # VADER's valences
    assert one("not good") == pytest.approx(0.5 + 0.5 * compound(-0.7 * good), abs=1e-3)
    assert one("not bad") == pytest.approx(0.5 + 0.5 * compound(-0.4 * bad), abs=1e-3)
    assert one("it is not the place that it was but it is good") > 0.5


@pytest.mark.parametrize(
    ("bad", "good"),
    [
        ("This is not good at all.", "This is not bad at all."),
        ("I don't think that this is an improvement.", "I don’t regret it for a second."),
        ("Nobody was happy with the result.", "Nobody was hurt and nobody was sad."),
        ("It is far from pleasant.", "Not only is it pretty, it is wonderful."),
        ("The film is neither clever nor entertaining.", "It could not be better."),
        ("The start was great, but the end was terrible.", "The start was terrible, but the end was great."),
        (
            "Although the staff were friendly, the room was disgusting.",
            "Despite the awful rain we loved it, it was fun.",
        ),
        ("Thanks for nothing.", "Thanks for everything, it was lovely."),
        ('The "amazing" service took three hours.', "The amazing service took three minutes."),
        ('They promised "a perfect holiday", and it was a disaster.', 'He wrote "horrible", yet I adore it.'),
        ("Why is this so terrible?", "Isn't she wonderful?"),
    ],
)
def test_scopes_that_change_the_meaning(bad: str, good: str) -> None:
    assert one(bad) < 0.5 < one(good)


def test_what_is_mentioned_or_asked_weighs_little() -> None:
    assert one('The word "terrible" comes from Latin.') == 0.5
    assert abs(one("Is the food there good or bad?") - 0.5) < 0.1


def test_code_and_links_have_no_valence() -> None:
    assert one('```python\nraise Terrible("horrible awful")\n```') == 0.5
    assert one("See https://example.com/awful-horrible-page and `kill_bad_love()`.") == 0.5
    assert one('Thank you, this is perfect!\n```\nterrible("hate")\n```') > 0.7


def test_a_long_text_does_not_run_into_the_end_of_the_range() -> None:
    sentence = "The room was good."
    assert one(" ".join([sentence] * 50)) == pytest.approx(one(sentence), abs=1e-6)
    assert vader.polarity_scores(" ".join([sentence] * 50))["compound"] > 0.99
    mostly = [sentence] * 8 + ["The soup was bad."] * 2
    assert 0.5 < one(" ".join(mostly)) < one(sentence)


def test_facts_dilute_an_opinion_only_a_little() -> None:
    facts = "The desk opens at seven. The bus stops outside."
    assert 0.5 < one(f"{facts} I loved my stay.") < one("I loved my stay.")


def test_more_praise_is_more_positive() -> None:
    values = score("It is ok.", "It is good.", "It is very good.", "It is absolutely wonderful, I love it!!!")
    assert values == sorted(values)
    assert len(set(values)) == 4


@pytest.mark.parametrize("part", ["not ", "good but not ", '" a', "\n", "a", "😀", "although good, "])
def test_long_texts_take_time_in_proportion(part: str) -> None:
    start = time.process_time()
    assert 0.0 <= one(part * 4000 + "end") <= 1.0
    assert time.process_time() - start < 5.0


def test_emoticons_and_emoji_count() -> None:
    assert one("done :)") > 0.5 > one("done :(")
    assert one("home 😍") > 0.5
