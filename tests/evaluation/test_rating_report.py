"""How well scores follow ratings, against hand counts and scipy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from plaudit.errors import DataError, ScoreError
from plaudit.evaluation import evaluate_ratings, fidelity
from plaudit.types import Example, Rating


class ByLength:
    def score(self, prompts: Sequence[Any], responses: Sequence[Any], *, references: Any = None) -> Any:
        return np.array([len(response) for response in responses], dtype=np.float32)


def rated(lengths: Sequence[int], scores: Sequence[float]) -> list[Example]:
    return [
        Rating(None, "x" * n, s).example(group=str(i)) for i, (n, s) in enumerate(zip(lengths, scores, strict=True))
    ]


def test_correlations_equal_scipys() -> None:
    rng = np.random.default_rng(0)
    a = rng.normal(size=60)
    b = a + rng.normal(size=60)
    found = fidelity(a, b, [str(i) for i in range(60)])
    assert found.spearman.value == pytest.approx(stats.spearmanr(a, b).statistic)
    assert found.pearson.value == pytest.approx(stats.pearsonr(a, b).statistic)
    assert found.agreement.value == pytest.approx((1 + stats.kendalltau(a, b).statistic) / 2)
    assert found.spearman.low < found.spearman.value < found.spearman.high


def test_agreement_leaves_out_equal_ratings_and_halves_equal_scores() -> None:
    scores, ratings = np.array([1.0, 2.0, 2.0, 0.0]), np.array([1.0, 1.0, 2.0, 3.0])
    # unequal ratings: (0,2) right, (0,3) wrong, (1,2) tied, (1,3) wrong, (2,3) wrong
    assert fidelity(scores, ratings, list("abcd")).agreement.value == pytest.approx(1.5 / 5)


def test_constant_scores_follow_nothing() -> None:
    found = fidelity(np.ones(5), np.arange(5.0), list("abcde"))
    assert (found.spearman.value, found.pearson.value, found.agreement.value) == (0.0, 0.0, 0.5)


def test_the_report_is_in_the_units_of_the_ratings() -> None:
    report = evaluate_ratings(ByLength(), rated([1, 2, 3, 4], [2.0, 4.0, 6.0, 9.0]))
    assert report.ratings == report.prompts == 4
    assert report.fidelity.spearman.value == pytest.approx(1.0)
    assert report.rmse == pytest.approx(np.sqrt((1 + 4 + 9 + 25) / 4))
    assert report.baselines["length"].value == pytest.approx(1.0)
    assert (report.rating_mean, report.reward_mean) == (5.25, 2.5)


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(DataError, match="too few"):
        evaluate_ratings(ByLength(), rated([1, 2], [1.0, 2.0]))
    with pytest.raises(DataError, match="all 3 ratings are 1"):
        evaluate_ratings(ByLength(), rated([1, 2, 3], [1.0, 1.0, 1.0]))
    pair = Example(prompt=None, responses=("a", "b"), labels=(1.0, 0.0))
    with pytest.raises(DataError, match="2 responses; expected a rating"):
        evaluate_ratings(ByLength(), [pair])


def test_a_scorer_without_finite_scores_is_refused() -> None:
    class Broken(ByLength):
        def score(self, *args: Any, **kwargs: Any) -> Any:
            return super().score(*args, **kwargs) * np.nan

    with pytest.raises(ScoreError, match="expected a finite number"):
        evaluate_ratings(Broken(), rated([1, 2, 3], [1.0, 2.0, 3.0]))
