"""From rows to a queue: what is read, left out, counted, asked of models, and written down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.curation.acquisition.known import scale_of
from plaudit.curation.pool import pair_key, read_labelled, read_pool
from plaudit.curation.select import gaps_of, select_pairs
from plaudit.data.columns import Columns
from plaudit.errors import ConfigError, DataError, ItemError, RowError
from plaudit.models.features import FeatureCache
from plaudit.types import Prompt, Response, Scorer

LETTERS = "abcdefgh"


class Letters:
    """An extractor: how often each of eight letters stands in the response."""

    fingerprint, dimension = "letters-1", len(LETTERS)

    def __init__(self) -> None:
        self.asked: list[Response] = []

    def extract(self, prompts: Sequence[Prompt], responses: Sequence[Response]) -> npt.NDArray[np.float32]:
        self.asked += responses
        return np.array([[str(text).count(letter) for letter in LETTERS] for text in responses], dtype=np.float32)


class Counting:
    """A scorer: how often a letter stands in the response."""

    def __init__(self, letter: str) -> None:
        self.letter, self.asked = letter, 0

    def score(
        self, prompts: Sequence[Prompt], responses: Sequence[Response], *, references: Any = None
    ) -> npt.NDArray[np.float32]:
        self.asked += len(responses)
        for index, text in enumerate(responses):
            if "!" in str(text):
                raise ItemError("no exclamation marks", index)
        return np.array([str(text).count(self.letter) for text in responses], dtype=np.float32)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "cache")


def row(prompt: str, a: Any, b: Any, **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "response_a": a, "response_b": b, **more}


def words(count: int, seed: int = 0) -> list[dict[str, Any]]:
    draws = np.random.default_rng(seed)
    texts = ["".join(draws.choice(list(LETTERS), size=6)) for _ in range(2 * count)]
    return [row(f"q{i % 7}", texts[2 * i], f"x{texts[2 * i + 1]}") for i in range(count)]


def labelled_rows(count: int, seed: int = 1) -> list[dict[str, Any]]:
    """Whoever has more of the letter a is preferred."""
    rows = []
    for one in words(count, seed):
        first, second = one["response_a"], one["response_b"]
        chosen, rejected = (first, second) if first.count("a") >= second.count("a") else (second, first)
        rows.append({"prompt": one["prompt"], "chosen": chosen, "rejected": rejected})
    return rows


# -- reading -----------------------------------------------------------------------------------------------------------


def test_every_shape_of_row_gives_its_pairs() -> None:
    talk = [{"role": "user", "content": "hi"}]
    rows = [
        row("p", "one", "two"),
        {"prompt": "p", "chosen": "three", "rejected": "four", "margin": "high"},
        {
            "prompt": talk,
            "chosen": [{"role": "assistant", "content": "a"}],
            "rejected": [{"role": "assistant", "content": "b"}],
        },
        {"prompt": "p", "responses": ["r0", "r1", "r2"]},
        {"prompt": "p", "responses": '["s0", "s1"]'},
    ]
    pool = read_pool(rows, Columns(), "error")
    assert [pair.places for pair in pool.pairs] == [None, None, None, (0, 1), (0, 2), (1, 2), (0, 1)]
    assert pool.pairs[1].responses == ("three", "four")
    assert pool.pairs[2].prompt == talk
    assert pool.pairs[4].responses == ("r0", "r2")
    assert pool.pairs[6].responses == ("s0", "s1")
    assert pool.report.candidates == 7


def test_columns_can_be_named() -> None:
    columns = Columns(prompt="ask", chosen="left", rejected="right")
    pool = read_pool([{"ask": "p", "left": "l", "right": "r", "responses": "unread"}], columns, "error")
    assert (pool.pairs[0].prompt, pool.pairs[0].responses) == ("p", ("l", "r"))


def test_what_cannot_be_compared_is_left_out_and_counted() -> None:
    labelled, _ = read_labelled([{"prompt": "p", "chosen": "b", "rejected": "a"}], Columns(), "error")
    rows = [
        row("p", "a", "b"),
        row("p", "c", "d"),
        row("p", "d", "c"),
        row("q", "c", "d"),
        row("p", " ", "x"),
        row("p", "x", "x"),
    ]
    pool = read_pool(rows, Columns(), "error", labelled)
    report = pool.report
    counts = (report.rows, report.candidates, report.labelled, report.duplicates, report.empty, report.identical)
    assert counts == (6, 2, 1, 1, 1, 1)
    assert [pair.responses for pair in pool.known] == [("a", "b")]
    assert "1 pairs left out: they have a label already" in report.lines()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"prompt": "p", "response_a": "x"}, "no two responses"),
        ({"prompt": "p", "responses": ["one"]}, "a list of 1; expected a list of two or more"),
        ({"prompt": "p", "responses": 3}, "expected a list of two or more"),
        (row("p", None, "x"), "response_a is null"),
        (row("p", 3, "x"), "response_a is a number"),
        ({"chosen_ids": [1], "rejected_ids": [2], "chosen": "a", "rejected": "b"}, "as text or conversations"),
    ],
)
def test_a_bad_row_is_named_or_counted(tmp_path: Path, bad: dict[str, Any], message: str) -> None:
    file = tmp_path / "pool.jsonl"
    file.write_text(json.dumps(row("p", "a", "b")) + "\n" + json.dumps(bad) + "\n{broken\n")
    with pytest.raises(RowError, match=r"pool\.jsonl:2: ") as error:
        read_pool(file, Columns(), "error")
    assert message in str(error.value)
    report = read_pool(file, Columns(), "skip").report
    assert (report.rows, report.candidates, report.bad, len(report.problems)) == (3, 1, 2, 2)


def test_tools_that_are_not_read_are_told() -> None:
    report = read_pool([row("p", "a", "b", tools=[{"name": "search"}]), row("p", "c", "d")], Columns(), "error").report
    assert report.tools == 1
    assert "1 rows have tools or chat_template_kwargs, which are not read here" in report.lines()


def test_a_pool_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="nothing to choose from: 1 rows read"):
        read_pool([row("p", "x", "x")], Columns(), "error")
    with pytest.raises(DataError, match="no labelled pairs"):
        read_labelled([], Columns(), "error")


def test_labels_are_hard_soft_or_ties() -> None:
    rows = [
        {"prompt": "p", "chosen": "a", "rejected": "b"} | more
        for more in ({}, {"soft_label": 0.7}, {"soft_label": 0.5})
    ]
    pairs, bad = read_labelled([*rows, {"prompt": "p"}], Columns(), "skip")
    assert [pair.preferred for pair in pairs] == pytest.approx([1.0, 0.7, 0.5])
    assert bad == 1


TEXT = st.text(alphabet="ab ", max_size=2)


@given(
    st.lists(st.tuples(TEXT, TEXT, TEXT), max_size=12), st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=4)
)
def test_no_pair_is_lost_without_a_count(rows: list[tuple[str, str, str]], labels: list[tuple[str, str, str]]) -> None:
    labelled, _ = read_labelled([{"prompt": p, "chosen": a, "rejected": b} for p, a, b in labels], Columns(), "error")
    always = row("always", "x", "y")
    pool = read_pool([row(*values) for values in rows] + [always], Columns(), "error", labelled)
    report = pool.report
    assert (
        report.rows
        == len(rows) + 1
        == report.candidates + report.labelled + report.duplicates + report.empty + report.identical
    )
    keys = [pair_key(pair.prompt, pair.responses) for pair in pool.pairs]
    assert len(set(keys)) == len(keys)
    assert not set(keys) & {pair_key(p, (a, b)) for p, a, b in labels}


# -- what is written ---------------------------------------------------------------------------------------------------


def test_chosen_rows_keep_their_columns_and_come_best_first(cache: FeatureCache) -> None:
    rows = [one | {"id": index, "source": "web"} for index, one in enumerate(words(30))]
    selection = select_pairs(rows, 5, features=Letters(), cache=cache)
    assert [one["acquisition_rank"] for one in selection.rows] == [1, 2, 3, 4, 5]
    scores = [one["acquisition"] for one in selection.rows]
    assert scores == sorted(scores, reverse=True)
    for one in selection.rows:
        assert rows[one["id"]] == {key: value for key, value in one.items() if not key.startswith("acquisition")}
    assert selection.report.to_dict()["pool"]["candidates"] == 30


def test_of_several_responses_the_two_of_the_pair_are_written() -> None:
    rows = [{"prompt": "p", "responses": ["aaa", "b", "aab"], "k": 1}]
    (only,) = select_pairs(rows, 1, method="margin", models=[Counting("a")]).rows
    assert only == {
        "prompt": "p", "k": 1, "response_a": "aaa", "response_b": "aab", "response_places": [0, 2],
        "acquisition": -1.0, "acquisition_rank": 1,
    }  # fmt: skip
    (two,) = select_pairs([{"prompt": "p", "responses": ["a", "b"]}], 1, method="random").rows
    assert two["responses"] == ["a", "b"]


# -- methods -----------------------------------------------------------------------------------------------------------


def test_margin_takes_the_pairs_with_the_nearest_scores_and_scores_each_text_once() -> None:
    rows = [row("p", "aaa", "b"), row("p", "aa", "ab"), row("p", "aaa", "aab")]
    scorer = Counting("a")
    chosen = select_pairs(rows, 3, method="margin", models=[scorer]).rows
    assert [one["response_b"] for one in chosen] == ["ab", "aab", "b"]
    assert scorer.asked == 5


def test_disagreement_takes_what_two_models_see_differently() -> None:
    rows = [row("p", "aabb", "c"), row("p", "aa", "bb"), row("p", "ab", "c")]
    chosen = select_pairs(rows, 1, method="disagreement", models=[Counting("a"), Counting("b")]).rows
    assert (chosen[0]["response_a"], chosen[0]["response_b"]) == ("aa", "bb")


@pytest.mark.parametrize("method", ["fisher", "margin", "disagreement"])
def test_a_last_layer_is_fitted_on_labels(method: str, cache: FeatureCache) -> None:
    pool = words(60) + labelled_rows(3)
    selection = select_pairs(pool, 10, method=method, features=Letters(), labelled=labelled_rows(40), cache=cache)
    assert selection.report.ridge is not None
    assert selection.report.pool.labelled == 3
    assert selection.report.labelled == 40
    if method == "margin":  # the labels ask for the letter a: undecided pairs have it equally often
        apart = [abs(str(one["response_a"]).count("a") - str(one["response_b"]).count("a")) for one in selection.rows]
        everywhere = [abs(one["response_a"].count("a") - one["response_b"].count("a")) for one in words(60)]
        assert np.mean(apart) < np.mean(everywhere)


def test_choices_are_repeatable_and_seeded(cache: FeatureCache) -> None:
    def chosen(method: str, seed: int) -> list[str]:
        features = None if method == "random" else Letters()
        labelled = None if method == "random" else labelled_rows(30)
        rows = select_pairs(
            words(50), 5, method=method, features=features, labelled=labelled, seed=seed, cache=cache
        ).rows
        return [one["response_a"] for one in rows]

    assert chosen("random", 1) == chosen("random", 1) != chosen("random", 2)
    assert chosen("disagreement", 1) == chosen("disagreement", 1)
    assert chosen("fisher", 1) == chosen("fisher", 2)  # nothing is drawn


def test_a_copy_of_a_pair_is_never_chosen_beside_it(cache: FeatureCache) -> None:
    rows = words(4)
    copies = [*rows, *rows, *[row(one["prompt"], one["response_b"], one["response_a"]) for one in rows]]
    selection = select_pairs(copies, 4, features=Letters(), cache=cache)
    assert len({one["response_a"] for one in selection.rows}) == 4
    assert selection.report.pool.duplicates == 8


def test_features_are_not_computed_again_once_pairs_got_their_labels(cache: FeatureCache) -> None:
    extractor, pool = (
        Letters(),
        [{"prompt": one["prompt"], "chosen": one["chosen"], "rejected": one["rejected"]} for one in labelled_rows(30)],
    )
    select_pairs(pool, 5, features=extractor, cache=cache)
    asked = len(extractor.asked)
    labelled = pool[:10]
    select_pairs(pool, 5, features=extractor, labelled=labelled, cache=cache)
    assert len(extractor.asked) == asked + 20  # those of the labelled file itself, not the pool's


def test_a_reward_model_is_read_by_its_own_last_layer(saved: Any, cache: FeatureCache) -> None:
    from plaudit.models.features import RewardModelFeatures
    from plaudit.models.reward_model import RewardModel

    model = RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu")
    rows = words(12)
    scorers: list[Scorer] = [model]
    by_margin = select_pairs(rows, 12, method="margin", models=scorers).rows
    layer = RewardModelFeatures(model).last_layer.weight.detach().numpy()[0]
    pool = read_pool(rows, Columns(), "error")
    margins = gaps_of(pool.pairs, RewardModelFeatures(model), cache) @ layer
    assert [-one["acquisition"] for one in by_margin] == pytest.approx(sorted(np.abs(margins)), abs=1e-3)
    assert len(select_pairs(rows, 5, models=scorers, cache=cache).rows) == 5
    assert len(select_pairs(rows, 5, models=scorers, labelled=labelled_rows(8), cache=cache).rows) == 5
    ensemble = select_pairs(
        rows, 5, method="disagreement", models=scorers, labelled=labelled_rows(8), members=3, cache=cache
    )
    assert ensemble.report.ridge is not None


def test_features_are_scaled_to_count_alike() -> None:
    gaps = np.array([[1.0, 0.0, 100.0], [-1.0, 0.0, 300.0]], dtype=np.float32)
    scaled = gaps / scale_of(gaps)
    assert np.sqrt((scaled**2).sum(axis=1).mean()) == pytest.approx(1.0)
    assert (scaled**2).sum(axis=0) == pytest.approx([1.0, 0.0, 1.0])


def test_progress_tells_what_is_counted(cache: FeatureCache) -> None:
    calls: list[tuple[str, int, int]] = []
    select_pairs(words(9), 4, features=Letters(), cache=cache, progress=lambda *call: calls.append(call))
    assert calls == [("texts", 18, 18), *[("pairs", 1, 4)] * 4]


# -- refusals ----------------------------------------------------------------------------------------------------------

ONE, TWO = [Counting("a")], [Counting("a"), Counting("b")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": Letters(), "budget": 0}, "budget is 0; expected a number from 1"),
        ({"method": "random", "budget": 7}, "the budget is 7, but there are only 6 pairs to choose from (6 rows read"),
        ({"method": "fischer"}, "did you mean 'fisher'"),
        ({}, "needs models (--model) or features (--features embedded), one of the two; got neither"),
        ({"models": ONE, "features": Letters()}, "got models and features"),
        ({"method": "random", "models": ONE}, "models: no effect on the method 'random'"),
        ({"method": "random", "features": Letters()}, "features: no effect on the method 'random'"),
        ({"models": ONE}, "reads the features of one reward model; got 1 (Counting)"),
        ({"models": TWO}, "reads the features of one reward model; got 2 (Counting, Counting)"),
        ({"method": "margin", "features": Letters()}, "with features needs labelled pairs"),
        ({"method": "disagreement", "features": Letters()}, "needs labelled pairs"),
        ({"method": "disagreement", "models": ONE}, "needs two models or more, or labelled pairs"),
        ({"method": "margin", "models": ONE, "members": 5}, "members (--ensemble): no effect"),
        ({"method": "disagreement", "models": TWO, "members": 5}, "members (--ensemble): no effect"),
        ({"method": "random", "on_bad_row": "ignore"}, "expected 'error' or 'skip'"),
    ],
)
def test_what_cannot_work_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        select_pairs(words(6), **({"budget": 2} | options))
    assert message in str(error.value)


def test_too_few_labels_are_refused(cache: FeatureCache) -> None:
    with pytest.raises(DataError, match="3 labelled pairs are too few"):
        select_pairs(words(6), 2, method="margin", features=Letters(), labelled=labelled_rows(3), cache=cache)


def test_equal_features_everywhere_are_refused(cache: FeatureCache) -> None:
    with pytest.raises(DataError, match="nothing to choose by"):
        select_pairs([row("p", "ab", "ba"), row("p", "cd", "dc")], 1, features=Letters(), cache=cache)


def test_a_text_that_a_model_refuses_is_named(tmp_path: Path) -> None:
    file = tmp_path / "pool.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in [row("p", "a", "b"), row("p", "c", "d!")]))
    with pytest.raises(RowError, match=r"pool\.jsonl:2: no exclamation marks"):
        select_pairs(file, 1, method="margin", models=ONE)
