"""Figures against hand counts and brute force."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest

from plaudit.metrics import Counts, Interval, PairCounts, RankingCounts, RatingCounts, bootstrap_accuracy, pair_accuracy


def test_a_tie_is_no_success() -> None:
    assert pair_accuracy(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0, 4.0])).tolist() == [1.0, 0.0, 0.0]


def test_an_interval_prints_as_one_reads_it() -> None:
    assert str(Interval(0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"


def test_the_value_is_the_mean_over_pairs_not_over_prompts() -> None:
    interval = bootstrap_accuracy(np.array([1.0, 1.0, 1.0, 0.0]), ["a", "a", "a", "b"])
    assert interval.value == 0.75


def test_one_prompt_has_no_spread() -> None:
    assert bootstrap_accuracy(np.array([1.0, 0.0]), ["a", "a"]) == Interval(0.5, 0.5, 0.5)


def test_the_interval_is_repeatable_and_follows_the_seed() -> None:
    correct = np.random.default_rng(0).integers(0, 2, 60).astype(float)
    groups = [str(i // 2) for i in range(60)]
    assert bootstrap_accuracy(correct, groups) == bootstrap_accuracy(correct, groups)
    assert bootstrap_accuracy(correct, groups, seed=1) != bootstrap_accuracy(correct, groups)


def test_the_bootstrap_by_prompt_equals_all_draws_of_prompts() -> None:
    """Three prompts: all 27 draws with replacement, of which the quantiles are exact."""
    correct, groups = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 0.0]), ["a", "a", "b", "b", "b", "c"]
    sums, counts = {"a": 2, "b": 1, "c": 0}, {"a": 2, "b": 3, "c": 1}
    draws = sorted(
        sum(sums[g] for g in draw) / sum(counts[g] for g in draw) for draw in itertools.product("abc", repeat=3)
    )
    interval = bootstrap_accuracy(correct, groups, samples=20_000, level=0.5)
    low, high = np.quantile(draws, [0.25, 0.75], method="inverted_cdf")
    assert (interval.low, interval.high) == pytest.approx((low, high))
    widest = bootstrap_accuracy(correct, groups, samples=20_000, level=1.0)
    assert (widest.low, widest.high) == (draws[0], draws[-1]) == (0.0, 1.0)


def test_pairs_of_one_prompt_are_not_counted_as_independent() -> None:
    rng = np.random.default_rng(0)
    correct = np.repeat(rng.integers(0, 2, 50), 8).astype(float)
    by_prompt = bootstrap_accuracy(correct, [str(i // 8) for i in range(400)])
    by_pair = bootstrap_accuracy(correct, [str(i) for i in range(400)])
    ratio = (by_prompt.high - by_prompt.low) / (by_pair.high - by_pair.low)
    assert ratio == pytest.approx(math.sqrt(8), rel=0.1)


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for seed in range(200):
        probability = rng.beta(2, 1, size=60)  # one rate for each prompt, mean 2/3
        correct = (rng.random((60, 3)) < probability[:, None]).astype(float).ravel()
        groups = [str(i // 3) for i in range(180)]
        interval = bootstrap_accuracy(correct, groups, samples=300, seed=seed)
        covered += interval.low <= 2 / 3 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_pair_counts_give_the_figures_of_the_rewards() -> None:
    chosen, rejected = np.array([1.0, 2.0, -1.0, 0.5]), np.array([0.0, 2.0, 1.0, -0.5])
    counts = PairCounts(
        count=4,
        decided=4,
        correct=2,
        ties=1,
        chosen_sum=chosen.sum(),
        chosen_squares=(chosen**2).sum(),
        rejected_sum=rejected.sum(),
        rejected_squares=(rejected**2).sum(),
        chosen_minimum=chosen.min(),
        chosen_maximum=chosen.max(),
        rejected_minimum=rejected.min(),
        rejected_maximum=rejected.max(),
    )
    assert counts.figures() == pytest.approx(
        {
            "pairs": 4,
            "accuracy": 0.5,
            "ties": 0.25,
            "margin": 0.0,
            "mean_reward": 0.625,
            "min_reward": -1.0,
            "max_reward": 2.0,
            "chosen_mean": 0.625,
            "chosen_std": chosen.std(),
            "chosen_min": -1.0,
            "chosen_max": 2.0,
            "rejected_mean": 0.625,
            "rejected_std": rejected.std(),
            "rejected_min": -0.5,
            "rejected_max": 2.0,
        }
    )


def test_no_pairs_have_no_figures() -> None:
    assert PairCounts().figures() == {}


def test_pairs_that_prefer_neither_side_have_a_count_and_nothing_else() -> None:
    figures = PairCounts(count=5, decided=4, correct=3, chosen_sum=8.0, rejected_sum=4.0).figures()
    assert (figures["pairs"], figures["undecided"], figures["accuracy"], figures["margin"]) == (5, 1, 0.75, 1.0)
    assert PairCounts(count=2).figures() == {"pairs": 2, "undecided": 2}


def test_ranking_counts_say_how_many_pairs_of_responses_are_in_order() -> None:
    counts = RankingCounts(count=4, decided=3, correct=2, compared=12, in_order=9, best_first=1)
    figures = counts.figures()
    assert (figures["rankings"], figures["pairs"], figures["accuracy"]) == (4, 12, 0.75)
    assert (figures["best_over_worst"], figures["best_first"]) == pytest.approx((2 / 3, 1 / 3))
    assert RankingCounts().figures() == {}


def test_rating_counts_give_correlation_and_error() -> None:
    rewards, labels = np.array([1.0, 2.0, 4.0, 3.0]), np.array([10.0, 20.0, 30.0, 50.0])
    counts = RatingCounts(
        count=4,
        reward_sum=rewards.sum(),
        reward_squares=(rewards**2).sum(),
        label_sum=labels.sum(),
        label_squares=(labels**2).sum(),
        products=(rewards * labels).sum(),
        error_squares=((rewards - labels) ** 2).sum(),
        reward_minimum=1.0,
        reward_maximum=4.0,
    )
    assert counts.figures() == pytest.approx(
        {
            "ratings": 4,
            "rmse": math.sqrt((81 + 324 + 676 + 2209) / 4),
            "mean_reward": 2.5,
            "min_reward": 1.0,
            "max_reward": 4.0,
            "reward_std": rewards.std(),
            "correlation": np.corrcoef(rewards, labels)[0, 1],
        }
    )


def test_constant_rewards_have_no_correlation() -> None:
    value = 0.1 + 0.2
    counts = RatingCounts(
        count=3,
        reward_sum=3 * value,
        reward_squares=3 * value**2,
        label_sum=6.0,
        label_squares=14.0,
        products=6 * value,
    )
    assert "correlation" not in counts.figures()
    assert RatingCounts().figures() == {}


@pytest.mark.parametrize(
    ("kind", "sides"),
    [(PairCounts, ["chosen", "rejected"]), (RankingCounts, ["chosen", "rejected"]), (RatingCounts, ["reward"])],
    ids=["pairs", "rankings", "ratings"],
)
def test_every_field_of_counts_combines_in_one_way(kind: type[Counts], sides: list[str]) -> None:
    names = {how: kind.names(how) for how in ("sum", "min", "max")}
    assert names["min"] == [f"{side}_minimum" for side in sides]
    assert names["max"] == [f"{side}_maximum" for side in sides]
    every = [field.name for field in dataclasses.fields(kind)]
    assert sorted(name for each in names.values() for name in each) == sorted(every)


def test_equal_rewards_have_no_negative_variance() -> None:
    value = 0.1 + 0.2
    counts = PairCounts(count=3, decided=3, chosen_sum=3 * value, chosen_squares=3 * value**2 - 1e-18)
    assert counts.figures()["chosen_std"] == 0.0
