"""The best of n responses of a policy, and of given ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plaudit.errors import ConfigError, RowError
from plaudit.evaluation.benchmarks.run import scored_examples
from plaudit.models.ensemble import Ensemble
from plaudit.models.reward_model import RewardModel
from plaudit.rl.best_of_n import Ranked, rank_candidates, sample_best_of_n
from plaudit.rl.policy import Policy, load_policy
from plaudit.rl.prompts import TaskPrompt
from plaudit.types import Example


class Counting:
    """A scorer that counts a letter, and what it was asked."""

    def __init__(self, letter: str = "e") -> None:
        self.letter, self.asked = letter, []

    def score(self, prompts: Sequence[Any], responses: Sequence[Any], *, references: Any = None) -> Any:
        assert all(response.strip() for response in responses)
        self.asked.append((list(prompts), list(responses), references))
        return np.array([response.count(self.letter) for response in responses], dtype=np.float32)


@pytest.fixture(scope="module")
def policy(saved: Callable[[str, str], Path]) -> Policy:
    return load_policy(saved("qwen3", "base"), device="cpu")


def best(policy: Policy, prompts: Sequence[Any], scorer: Any = None, **options: Any) -> list[Ranked]:
    settings = {"n": 4, "max_new_tokens": 6} | options
    return list(sample_best_of_n(policy, prompts, scorer or Counting(), **settings))


def test_order_puts_the_best_first_and_empty_ones_last() -> None:
    ranked = Ranked("p", ("a", "", "c", "d"), np.array([1.0, np.nan, 3.0, 3.0]), None, None)
    assert ranked.order == [2, 3, 0, 1]
    assert ranked.best == 2
    assert Ranked("p", ("", " "), np.array([np.nan, np.nan]), None, None).best is None


def test_n_responses_are_sampled_and_scored_in_one_call(policy: Policy) -> None:
    scorer, gold = Counting("e"), Counting("a")
    prompts = ["the sky", [{"role": "user", "content": "rivers"}], "ten eleven"]
    ranked = best(policy, prompts, scorer, gold=gold)
    assert [own.prompt for own in ranked] == prompts
    assert len(scorer.asked) == len(gold.asked) == 1
    for own in ranked:
        assert len(own.responses) == 4
        assert len(set(own.responses)) > 1
        for text, score, judged in zip(own.responses, own.scores, own.gold, strict=True):
            assert np.isnan(score) if not text.strip() else (score, judged) == (text.count("e"), text.count("a"))


def test_equal_seeds_give_equal_responses_and_skipping_changes_none(
    policy: Policy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plaudit.rl.best_of_n.CHUNK", 8)  # two prompts of four responses
    prompts = [f"prompt {i}" for i in range(5)]
    whole = best(policy, prompts, seed=3)
    assert [own.responses for own in best(policy, prompts, seed=3)] == [own.responses for own in whole]
    assert [own.responses for own in best(policy, prompts, seed=4)] != [own.responses for own in whole]
    for skip in (1, 2, 3, 5):
        left = best(policy, prompts, seed=3, skip=skip)
        assert [own.responses for own in left] == [own.responses for own in whole[skip:]]
    counted: list[int] = []
    best(policy, prompts, progress=counted.append)
    assert counted == [2, 2, 1]


def test_references_go_with_their_prompts(policy: Policy) -> None:
    scorer = Counting()
    tasks = [TaskPrompt("a", "ref a", "x:1"), TaskPrompt("b", None, "x:2")]
    best(policy, tasks, scorer, n=2)
    prompts, _, references = scorer.asked[0]
    assert {(p, r) for p, r in zip(prompts, references, strict=True)} <= {("a", "ref a"), ("b", None)}


def test_an_empty_response_is_never_scored_and_never_chosen(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    real = policy.sample

    def some_empty(*arguments: Any, **how: Any) -> Any:
        answers = real(*arguments, **how)
        answers.texts = ["", "bee", " \n", "e", "", "", "", ""]
        return answers

    monkeypatch.setattr(policy, "sample", some_empty)
    first, second = best(policy, ["p", "q"], gold=Counting("b"))
    assert (first.best, first.order, second.best) == (1, [1, 3, 0, 2], None)
    assert first.gold is not None
    assert first.gold[1] == 1
    assert np.isnan(second.gold).all()


def test_a_prompt_that_cannot_be_answered_is_named_before_the_work(policy: Policy) -> None:
    scorer = Counting()
    with pytest.raises(RowError, match=r"prompts\[1\]: the prompt has \d+ tokens, and the policy takes 512"):
        best(policy, ["fine", "word " * 600], scorer)
    assert scorer.asked == []
    for options in ({"n": 0}, {"max_new_tokens": 0}, {"temperature": 0.0}, {"batch_size": 0}):
        with pytest.raises(ConfigError, match=next(iter(options))):
            best(policy, ["p"], **options)


def test_given_responses_are_ranked_as_they_are_scored_and_skipping_changes_none() -> None:
    examples = [
        Example(prompt=f"p{i}", responses=("e" * i, "ee", "x"), labels=(float(i), 1.0, 0.0), location=f"f:{i}")
        for i in range(1, 6)
    ]
    ranked = list(rank_candidates(examples, Counting(), gold_labels=True))
    assert [own.best for own in ranked] == [1, 0, 0, 0, 0]
    assert [own.gold[0] for own in ranked if own.gold is not None] == [1, 2, 3, 4, 5]
    left = list(rank_candidates(examples, Counting(), gold=Counting("x"), skip=3))
    assert [own.prompt for own in left] == ["p4", "p5"]
    assert [own.gold.tolist() for own in left if own.gold is not None] == [[0, 0, 1]] * 2
    with pytest.raises(ConfigError, match="not both"):
        list(rank_candidates(examples, Counting(), gold=Counting("x"), gold_labels=True))


def test_a_lower_bound_chooses_what_the_members_agree_on(saved: Callable[[str, str], Path]) -> None:
    model = RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu")

    class Sure(Counting):
        def score(self, prompts: Any, responses: Any, *, references: Any = None) -> Any:
            return np.array([2.0 if response == "agreed" else 0.0 for response in responses], dtype=np.float32)

    class Unsure(Counting):
        def score(self, prompts: Any, responses: Any, *, references: Any = None) -> Any:
            return np.array([2.0 if response == "agreed" else 5.0 for response in responses], dtype=np.float32)

    example = Example(prompt="p", responses=("agreed", "disputed"), labels=(0.0, 0.0))
    chosen = {}
    for how in ("mean", "mean_minus_std"):
        both = Ensemble([Sure(), Unsure()], combine=how, k=1.0, reference_means=[0.0, 0.0])
        (ranked,) = rank_candidates([example], both)
        chosen[how] = example.responses[ranked.best]
    assert chosen == {"mean": "disputed", "mean_minus_std": "agreed"}
    assert next(iter(rank_candidates([example], model))).scores == pytest.approx(
        next(scored_examples([model], [example]))[1][0]
    )
