"""Figures of known scores, by hand; any scorer will do."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from plaudit.errors import DataError, ScoreError
from plaudit.evaluation import evaluate
from plaudit.models.reward_model import RewardModel
from plaudit.types import Example, PreferencePair, Prompt, Response, Scorer


class Known:
    """Scores each response by a table."""

    def __init__(self, table: dict[str, float]) -> None:
        self.table = table
        self.calls: list[int] = []

    def score(
        self,
        prompts: Sequence[Prompt],
        responses: Sequence[Response],
        *,
        references: Sequence[str | None] | None = None,
    ) -> npt.NDArray[np.float32]:
        assert len(prompts) == len(responses)
        self.calls.append(len(responses))
        return np.array([self.table[str(response)] for response in responses], dtype=np.float32)


TABLE = {"a": 2.0, "bb": 1.0, "ccc": 1.0, "dddd": -1.0}
PAIRS = [
    PreferencePair("p1", "a", "bb", source="x"),  # right; the shorter one is preferred
    PreferencePair("p1", "bb", "ccc", source="x"),  # tie; shorter
    PreferencePair("p2", "dddd", "a", source="y"),  # wrong; longer
    PreferencePair("p3", "ccc", "dddd", source="y"),  # right; shorter
]
EXAMPLES = [pair.example() for pair in PAIRS]


def test_the_figures_equal_hand_counts() -> None:
    scorer = Known(TABLE)
    assert isinstance(scorer, Scorer)
    report = evaluate(scorer, EXAMPLES)
    margins = [1.0, 0.0, -3.0, 2.0]
    scores = [2.0, 1.0, -1.0, 1.0, 1.0, 1.0, 2.0, -1.0]
    assert (report.pairs, report.prompts) == (4, 3)
    assert report.accuracy.value == 0.5
    assert report.ties == 0.25
    assert report.margin == pytest.approx(sum(margins) / 4)
    assert report.nll == pytest.approx(sum(math.log1p(math.exp(-m)) for m in margins) / 4)
    assert report.reward_mean == pytest.approx(np.mean(scores))
    assert report.reward_std == pytest.approx(np.std(scores))
    assert report.baselines["longer wins"].value == 0.25
    assert report.baselines["shorter wins"].value == 0.75
    assert {source: interval.value for source, interval in report.by_source.items()} == {"x": 0.5, "y": 0.5}
    assert 0 <= report.accuracy.low <= 0.5 <= report.accuracy.high <= 1


def test_the_label_says_which_side_is_preferred() -> None:
    swapped = [
        Example(prompt=e.prompt, responses=e.responses[::-1], labels=(0.0, 1.0), group=e.group, source=e.source)
        for e in EXAMPLES
    ]
    assert evaluate(Known(TABLE), swapped) == evaluate(Known(TABLE), EXAMPLES)


def test_equal_lengths_win_neither_baseline() -> None:
    report = evaluate(Known({"aa": 1, "bb": 0}), [PreferencePair("p", "aa", "bb").example()])
    assert {name: interval.value for name, interval in report.baselines.items()} == {
        "longer wins": 0.0,
        "shorter wins": 0.0,
    }


def test_one_source_needs_no_table() -> None:
    assert evaluate(Known(TABLE), EXAMPLES[:2]).by_source == {}
    assert evaluate(Known(TABLE), [PreferencePair("p", "a", "bb").example()]).by_source == {}


def test_large_margins_do_not_overflow() -> None:
    report = evaluate(Known({"a": -1000.0, "b": 1000.0}), [PreferencePair("p", "a", "b").example()])
    assert report.nll == pytest.approx(2000.0)


def test_data_is_scored_in_chunks_and_progress_counts_pairs() -> None:
    scorer, seen = Known(TABLE), list[int]()
    stream = (example for example in EXAMPLES * 1200)
    report = evaluate(scorer, stream, progress=seen.append)
    assert report.pairs == sum(seen) == 4800
    assert scorer.calls == [2 * pairs for pairs in seen]
    assert len(seen) > 1
    assert report.accuracy.value == 0.5


def test_the_report_goes_to_json() -> None:
    document = json.loads(json.dumps(evaluate(Known(TABLE), EXAMPLES).to_dict()))
    assert document["accuracy"]["value"] == 0.5
    assert set(document["baselines"]) == {"longer wins", "shorter wins"}


def test_examples_without_a_group_are_grouped_by_prompt() -> None:
    bare = [Example(prompt=e.prompt, responses=e.responses, labels=e.labels) for e in EXAMPLES]
    assert evaluate(Known(TABLE), bare).prompts == 3
    texts = [Example(prompt=None, responses=e.responses, labels=e.labels) for e in EXAMPLES]
    assert evaluate(Known(TABLE), texts).prompts == 4


def test_no_data_is_an_error() -> None:
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate(Known(TABLE), [])


def test_an_example_with_one_response_is_an_error() -> None:
    odd = Example(prompt="p", responses=("a",), labels=(1.0,), location="d.jsonl:7")
    with pytest.raises(DataError, match=r"d.jsonl:7: evaluation takes pairs and rankings, got an example with 1"):
        evaluate(Known(TABLE), [EXAMPLES[0], odd, odd])


def test_a_ranking_counts_as_all_its_pairs_of_unequal_ranks() -> None:
    class Length:
        def score(self, prompts: Any, responses: Any, *, references: Any = None) -> Any:
            assert len(responses) == 6, "each response is scored once"
            return np.array([len(text) for text in responses], dtype=np.float32)

    rankings = [  # by length: right, right, wrong of (1, 2) (1, 3) (2, 3); and one of two, since two share a place
        Example(prompt="p", responses=("aaaa", "b", "cc"), labels=(-1.0, -2.0, -3.0), group="p"),
        Example(prompt="q", responses=("aaa", "b", "cccc"), labels=(-1.0, -2.0, -2.0), group="q"),
    ]
    report = evaluate(Length(), rankings)
    assert (report.pairs, report.prompts, report.accuracy.value) == (5, 2, pytest.approx(3 / 5))
    assert report.baselines["longer wins"].value == pytest.approx(3 / 5)


def test_ties_are_counted_and_no_figure_reads_them() -> None:
    tie = Example(prompt="p", responses=("a", "bb"), labels=(0.5, 0.5))
    with_tie, without = evaluate(Known(TABLE), [*EXAMPLES, tie]), evaluate(Known(TABLE), EXAMPLES)
    assert with_tie.undecided == 1
    assert with_tie.to_dict() | {"undecided": 0} == without.to_dict()


def test_nothing_but_ties_is_an_error() -> None:
    with pytest.raises(DataError, match="nothing to evaluate: all 1 examples are ties"):
        evaluate(Known(TABLE), [Example(prompt="p", responses=("a", "bb"), labels=(1.0, 1.0))])


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_scores_that_are_not_finite_are_an_error(bad: float) -> None:
    with pytest.raises(ScoreError, match=f"text 1 the score {bad}; expected a finite number"):
        evaluate(Known(TABLE | {"bb": bad}), EXAMPLES)


def test_a_scorer_of_another_shape_is_an_error() -> None:
    class Wide:
        def score(self, prompts: Any, responses: Any, *, references: Any = None) -> Any:
            return np.zeros((len(responses), 1), dtype=np.float32)

    with pytest.raises(ScoreError, match=r"an array of shape \(8, 1\) for 8 texts"):
        evaluate(Wide(), EXAMPLES)


def test_a_learned_model_is_evaluated_as_it_scores(saved: Callable[[str, str], Path]) -> None:
    model = RewardModel.from_pretrained(saved("bert", "reward"), device="cpu")
    report = evaluate(model, EXAMPLES)
    chosen = model.score([pair.prompt for pair in PAIRS], [pair.chosen for pair in PAIRS])
    rejected = model.score([pair.prompt for pair in PAIRS], [pair.rejected for pair in PAIRS])
    assert report.accuracy.value == (chosen > rejected).mean()
    assert report.margin == pytest.approx(float((chosen - rejected).mean()), abs=1e-5)


def test_conversations_are_compared_by_the_length_of_their_content() -> None:
    class First:
        def score(self, prompts: Any, responses: Any, *, references: Any = None) -> Any:
            return np.arange(len(responses), dtype=np.float32)

    def reply(text: str) -> list[dict[str, Any]]:
        return [{"role": "assistant", "content": text}]

    report = evaluate(First(), [PreferencePair("p", reply("longer"), reply("short")).example()])
    assert report.baselines["longer wins"].value == 1.0
    assert report.accuracy.value == 0.0
