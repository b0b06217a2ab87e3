"""Rewards of a policy's answers: composites by part, gold beside them, empty answers, nothing that is no number."""

from __future__ import annotations

import math

import numpy as np
import pytest
from letters import FailsOnce, Letters

from plaudit.errors import ConfigError, ScoreError
from plaudit.rewards.composite import Component, CompositeReward
from plaudit.rl.rewards import Rewards, completion_text, reward_function


def test_a_composite_is_combined_and_its_parts_are_reported() -> None:
    composite = CompositeReward([Component(Letters("a"), 1, "a"), Component(Letters("b"), 3, "b")])
    rewarded = Rewards(composite).score(["p", "p"], ["aab", "bbb"])
    np.testing.assert_allclose(rewarded.total, [0.25 * 2 + 0.75, 0.75 * 3])
    assert rewarded.figures()["parts"] == {"a": 1.0, "b": 2.0}


def test_normalizations_are_learnt_from_the_answers_of_the_start() -> None:
    rewards = Rewards(CompositeReward([Component(Letters("a"), 1, "a")], normalize="zscore"))
    assert rewards.fit(["p"] * 3, ["", "a", "aaa"])
    assert not rewards.fit(["p"] * 3, ["", "a", "aaa"])
    np.testing.assert_allclose(rewards.score(["p"], ["aa"]).total, [0.0], atol=1e-6)


def test_an_empty_answer_gets_the_lowest_reward_so_far_and_no_gold_score() -> None:
    rewards = Rewards(Letters(), {"gold": Letters("b")})
    first = rewards.score(["p"] * 3, ["aab", "\n ", "aaa"])
    assert first.total.tolist() == [2.0, 2.0, 3.0]
    assert first.empty.tolist() == [False, True, False]
    assert math.isnan(first.gold["gold"][1])
    assert first.figures()["gold"] == {"gold": 0.5}
    assert first.figures()["empty_share"] == pytest.approx(1 / 3)
    assert rewards.score(["p"] * 2, ["aaaa", ""]).total.tolist() == [4.0, 2.0]


def test_nothing_but_empty_answers_at_the_start_is_an_error() -> None:
    with pytest.raises(ScoreError, match="every answer is empty"):
        Rewards(Letters()).score(["p", "p"], ["", " "])


def test_a_reward_that_is_no_number_is_an_error_that_shows_the_answer() -> None:
    with pytest.raises(ScoreError, match="FailsOnce gave nan for the answer 'some text'"):
        Rewards(FailsOnce(0)).score(["p"], ["some text"])


def test_a_scorer_that_answers_for_fewer_is_an_error() -> None:
    class Short(Letters):
        def score(self, prompts, responses, **rest):  # type: ignore[no-untyped-def, override]
            return super().score(prompts, responses)[:-1]

    with pytest.raises(ScoreError, match=r"gave \(1,\) scores for 2 answers"):
        Rewards(Short()).score(["p", "p"], ["a", "b"])


def test_what_is_optimised_cannot_be_the_gold() -> None:
    scorer = Letters()
    with pytest.raises(ConfigError, match="would only repeat what is optimised"):
        Rewards(scorer, {"gold": scorer})


def test_completions_are_texts_or_messages() -> None:
    assert completion_text("text") == "text"
    assert completion_text([{"role": "assistant", "content": "text"}]) == "text"
    assert completion_text([{"role": "assistant", "content": None}]) == ""
    assert completion_text([]) == ""
    with pytest.raises(ConfigError, match="a completion is text or a list of messages"):
        completion_text(3)


def test_a_scorer_needs_no_references_and_a_function_is_no_scorer() -> None:
    class Plain:
        def score(self, prompts, responses):  # type: ignore[no-untyped-def]
            return [float(len(response)) for response in responses]

    assert reward_function(Plain())(["p"], ["abc"]) == [3.0]
    with pytest.raises(ConfigError, match="is no scorer"):
        reward_function(lambda prompts, responses: [0.0])
    with pytest.raises(ConfigError, match="2 prompts and 1 answers"):
        reward_function(Letters())(["a", "b"], ["b"])
