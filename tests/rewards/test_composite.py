"""Composites and normalizations against hand-computed values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import ConfigError, RenderError, RewardError, RowError
from plaudit.rewards import Component, CompositeReward, Normalizer
from plaudit.rewards.base import make
from plaudit.types import Prompt, Response

TEXTS = ["a", "b", "c", "d"]
NONE: list[Prompt] = [None] * 4
PLACES = ["a.jsonl:1", "b.jsonl:2", "c.jsonl:3", "d.jsonl:4"]


@dataclass
class Table:
    """A scorer that answers from a table."""

    values: Sequence[float]

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[Response], *, references: Any = None
    ) -> npt.NDArray[np.float32]:
        return np.asarray([self.values[TEXTS.index(str(text))] for text in responses], dtype=np.float32)


A, B = Table([0.0, 0.5, 1.0, 0.25]), Table([1.0, 0.5, 0.0, 0.25])


def combined(*args: Any, **options: Any) -> list[float]:
    return [float(v) for v in CompositeReward(*args, **options).score(NONE, TEXTS)]


def test_the_mean_divides_by_the_sum_of_the_weights_once() -> None:
    assert combined([A, B], [3.0, 1.0]) == pytest.approx([0.25, 0.5, 0.75, 0.25])
    assert combined([A, B], [0.3, 0.1]) == pytest.approx([0.25, 0.5, 0.75, 0.25])
    assert combined([Component(A, 3.0), Component(B, 1.0)]) == pytest.approx([0.25, 0.5, 0.75, 0.25])
    assert combined([A], [0.2]) == pytest.approx([0.0, 0.5, 1.0, 0.25])


def test_min_is_the_worst_component() -> None:
    assert combined([A, B], mode="min") == pytest.approx([0.0, 0.5, 0.0, 0.25])


def test_a_product_is_the_weighted_geometric_mean() -> None:
    expected = [0.0, 0.5, 0.0, 0.25]
    assert combined([A, B], [3.0, 1.0], mode="product") == pytest.approx(expected)
    c = Table([0.16, 0.81, 1.0, 0.0])
    assert combined([c, Table([1.0] * 4)], [1.0, 1.0], mode="product") == pytest.approx([0.4, 0.9, 1.0, 0.0])


def test_uncertainty_takes_off_the_spread_of_the_components() -> None:
    # means .25 and .5; spreads .75 * .0625 + .25 * .5625 = .1875 and 0
    found = combined([A, B], [3.0, 1.0], mode="uncertainty", uncertainty_penalty=2.0)
    assert found[:2] == pytest.approx([0.25 - 2 * 0.1875, 0.5])
    assert combined([A, B], [3.0, 1.0], mode="uncertainty", uncertainty_penalty=0.0) == combined([A, B], [3.0, 1.0])


def test_components_are_normalized_before_they_are_combined() -> None:
    tens = Table([0.0, 10.0, 20.0, 10.0])
    composite = CompositeReward([A, tens], normalize="zscore").fit(NONE, TEXTS)
    za, zt = (np.array(t.values) - np.mean(t.values) for t in (A, tens))
    expected = (za / za.std() + zt / zt.std()) / 2
    assert composite.score(NONE, TEXTS) == pytest.approx(expected, abs=1e-6)


def test_a_score_does_not_depend_on_what_is_scored_beside_it() -> None:
    composite = CompositeReward([A, B], normalize="rank", mode="product").fit(NONE, TEXTS)
    together = composite.score(NONE, TEXTS)
    alone = [composite.score([None], [text])[0] for text in TEXTS]
    assert together.tolist() == alone


@pytest.mark.parametrize("size", [1, 3, 4, 100])
def test_texts_are_scored_some_at_a_time_as_all_at_once(size: int) -> None:
    composite, done = CompositeReward([A, B]), list[int]()
    raw = composite.raw_in_batches(NONE, TEXTS, batch_size=size, progress=done.append)
    assert {name: values.tolist() for name, values in raw.items()} == {"Table": A.values, "Table-2": B.values}
    assert sum(done) == 4
    assert max(done) == min(size, 4)
    none = composite.raw_in_batches([], [], batch_size=size)
    assert {name: values.shape for name, values in none.items()} == {"Table": (0,), "Table-2": (0,)}


def test_a_text_of_a_later_batch_is_named_by_its_index_or_its_place() -> None:
    composite = CompositeReward([A, Component(Table([0.0, 0.0, 0.0, math.nan]), name="second")])
    with pytest.raises(RewardError, match="reward 'second': item 3: the score is nan") as refused:
        composite.raw_in_batches(NONE, TEXTS, batch_size=2)
    assert (refused.value.reward, refused.value.index) == ("second", 3)
    with pytest.raises(RowError, match="^d.jsonl:4: reward 'second': the score is nan, not a finite number$"):
        composite.raw_in_batches(NONE, TEXTS, batch_size=2, locations=PLACES)


def test_an_error_of_a_learned_model_keeps_its_kind_and_one_without_a_place_is_left_alone() -> None:
    class Model:
        def __init__(self, index: int | None) -> None:
            self.index = index

        def score(self, prompts: Any, responses: Sequence[Any], *, references: Any = None) -> Any:
            if "d" in responses:
                raise RenderError("too long", self.index)
            return np.zeros(len(responses))

    with pytest.raises(RenderError, match="^item 3: too long$"):
        CompositeReward([Model(1)]).raw_in_batches(NONE, TEXTS, batch_size=2)
    with pytest.raises(RowError, match="^here: too long$"):
        CompositeReward([Model(1)]).raw_in_batches(NONE, TEXTS, batch_size=2, locations=["", "", "", "here"])
    with pytest.raises(RenderError, match="^too long$"):
        CompositeReward([Model(None)]).raw_in_batches(NONE, TEXTS, batch_size=2, locations=TEXTS)


def test_minmax_and_zscore_by_hand() -> None:
    assert Normalizer("minmax").fit([2.0, 4.0, 6.0])([2.0, 3.0, 8.0, 0.0]).tolist() == [0.0, 0.25, 1.0, 0.0]
    scores = Normalizer("zscore").fit([1.0, 3.0])([1.0, 2.0, 5.0])
    assert scores.tolist() == [-1.0, 0.0, 3.0]


def test_ranks_are_shares_of_the_fitted_scores_below() -> None:
    rank = Normalizer("rank").fit([1.0, 2.0, 2.0, 3.0])
    assert rank([1.0, 2.0, 3.0]).tolist() == [0.125, 0.5, 0.875]
    assert rank([0.0, 9.0]).tolist() == [0.0, 1.0]
    assert rank([1.5]).tolist() == pytest.approx([0.3125])


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=50),
    st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=20),
    st.sampled_from(["zscore", "rank", "minmax"]),
)
def test_normalizing_never_changes_an_order(fitted: list[float], scores: list[float], kind: Any) -> None:
    if np.float64(min(fitted)) == np.float64(max(fitted)) or np.std(fitted) == 0:
        return
    normalized = Normalizer(kind).fit(fitted)(sorted(scores))
    assert (np.diff(normalized) >= 0).all()
    assert np.isfinite(normalized).all()


def test_a_normalizer_survives_being_written_down() -> None:
    rank = Normalizer("rank").fit(np.random.default_rng(0).normal(size=5000))
    again = Normalizer.from_dict(rank.to_dict())
    points = np.linspace(-3, 3, 50)
    assert again(points).tolist() == rank(points).tolist()
    assert len(rank.points_ or []) == 1001


def test_what_is_not_fitted_does_not_score() -> None:
    with pytest.raises(ConfigError, match="not fitted"):
        CompositeReward([A], normalize="zscore").score(NONE, TEXTS)


def test_constant_scores_cannot_be_normalized() -> None:
    with pytest.raises(ConfigError, match=r"component 'Table': cannot normalize \(zscore\), all 4 scores are 2"):
        CompositeReward([Table([2.0] * 4)], normalize="zscore").fit(NONE, TEXTS)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "1 weights for 2"),
        ([1.0, 0.0], "positive numbers, got 0.0"),
        ([1.0, -2.0], "positive"),
        ([1.0, float("nan")], "positive"),
        ([1.0, True], "positive"),
        ([1.0, "2"], "positive"),
    ],
)
def test_weights_of_the_wrong_number_or_sign_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CompositeReward([A, B], weights)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "median"},
        {"normalize": "softmax"},
        {"uncertainty_penalty": 1.0},
        {"mode": "uncertainty", "uncertainty_penalty": -1.0},
        {"mode": "min", "weights": [1.0, 2.0]},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        CompositeReward([A, B], **options)


def test_a_composite_needs_scorers() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        CompositeReward([])
    with pytest.raises(ConfigError, match="no scorer"):
        CompositeReward([object()])  # type: ignore[list-item]


def test_a_product_refuses_negative_scores() -> None:
    with pytest.raises(RewardError, match="needs scores of at least 0, got -1"):
        CompositeReward([Table([-1.0, 1.0, 1.0, 1.0])], mode="product").score(NONE, TEXTS)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_component_without_a_finite_score_is_named_with_the_item(bad: float) -> None:
    with pytest.raises(RewardError, match="reward 'second': item 1: the score is (nan|inf), not a finite number"):
        CompositeReward([A, Component(Table([0.0, bad, 0.0, 0.0]), name="second")]).score(NONE, TEXTS)


def test_a_failing_component_is_an_error_and_never_a_number() -> None:
    class Broken:
        def score(self, *_: Any, **__: Any) -> Any:
            raise OSError("no route to host")

    with pytest.raises(RewardError, match="reward 'Broken': OSError: no route to host"):
        CompositeReward([A, Broken()]).score(NONE, TEXTS)


def test_components_of_one_name_get_numbers() -> None:
    composite = CompositeReward([make("length"), make("length", {"target": 5}), A])
    assert composite.names == ["length", "length-2", "Table"]


def test_composites_are_components_like_any_other() -> None:
    inner = CompositeReward([A, B])
    assert combined([inner, A], [1.0, 1.0]) == pytest.approx([0.25, 0.5, 0.75, 0.25])
