"""The final policy against the start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from plaudit.errors import ConfigError, ScoreError
from plaudit.rl.win_rates import win_rates


class Table:
    """Scores by text; a text that is not in it is an error, so that nothing else is asked."""

    def __init__(self, scores: dict[str, float]) -> None:
        self.scores, self.asked = scores, []

    def score(self, prompts: Sequence[Any], responses: Sequence[Any], *, references: Any = None) -> Any:
        self.asked.append((list(prompts), list(responses), references))
        return np.array([self.scores[r] for r in responses], dtype=np.float32)


def test_wins_ties_and_changes_by_hand() -> None:
    scorer = Table({"a": 1, "b": 2, "cc": 2, "d": 0, "e": 5})
    rates = win_rates(["p", "q", "r", "s"], ["a", "b", "d", "e"], ["b", "cc", "d", "a"], {"reward": scorer})
    own = rates.scorers["reward"]
    assert own.win_rate.value == (1 + 0.5 + 0.5 + 0) / 4
    assert own.ties == 0.5
    assert own.change is not None
    assert own.change.value == ((2 - 1) + 0 + 0 + (1 - 5)) / 4
    assert own.change.low <= own.change.value <= own.change.high
    assert (own.start, own.final) == (2.0, 1.25)
    assert rates.longer.value == (0.5 + 1 + 0.5 + 0.5) / 4
    assert (rates.length_start, rates.length_final, rates.length_change.value) == (1.0, 1.25, 0.25)
    assert rates.identical == 0.25
    assert (rates.prompts, rates.pairs, rates.empty_start, rates.empty_final) == (4, 4, 0, 0)
    assert len(scorer.asked) == 1, "all answers are scored in one call"


def test_all_pairs_within_a_prompt_count_and_every_prompt_the_same() -> None:
    scorer = Table({"1": 1, "2": 2, "3": 3, "4": 4})
    rates = win_rates(["p", "q"], [["1", "3"], ["4"]], [["2", "4", "1"], ["3"]], {"r": scorer})
    own = rates.scorers["r"]
    first = np.mean([1, 0, 1, 1, 0.5, 0])  # 2>1, 2<3, 4>1, 4>3, 1=1, 1<3
    assert own.win_rate.value == pytest.approx((first + 0) / 2)
    assert own.change is not None
    assert own.change.value == pytest.approx(((7 / 3 - 2) + (3 - 4)) / 2)
    assert rates.pairs == 7
    assert rates.identical == pytest.approx(1 / 7)
    assert own.length_controlled is None, "no lengths differ"


def test_an_empty_answer_loses_and_is_never_scored() -> None:
    scorer = Table({"a": 1.0, "b": 0.0})
    rates = win_rates(["p", "q", "r", "s"], ["a", "", " ", "a"], ["", "b", "\n", "b"], {"r": scorer})
    own = rates.scorers["r"]
    assert own.win_rate.value == (0 + 1 + 0.5 + 0) / 4
    assert (rates.empty_start, rates.empty_final) == (0.5, 0.5)
    assert own.change is not None
    assert own.change.value == -1, "the one prompt with an answer on both sides"
    assert "empty answers: 50.0% at the start, 50.0% in the end" in rates.lines()
    nothing = win_rates(["p"], [""], [""], {"r": Table({})}).scorers["r"]
    assert (nothing.win_rate.value, nothing.change, nothing.start, nothing.length_controlled) == (0.5, None, None, None)


def test_what_follows_length_alone_wins_nothing_at_equal_length() -> None:
    rng = np.random.default_rng(0)
    n = 300
    sizes = rng.integers(20, 60, size=(2, n))
    sizes[1] += 10  # the end writes longer answers
    start, final = ([("x" * s) + side for s in row] for row, side in zip(sizes, "ab", strict=True))
    by_length = Table({text: float(len(text)) for text in (*start, *final)})
    better = Table({text: float(text.endswith("b")) + 0.1 * rng.normal() for text in (*start, *final)})
    prompts = [f"p{i}" for i in range(n)]
    rates = win_rates(prompts, list(start), list(final), {"length": by_length, "better": better})
    follows, good = rates.scorers["length"], rates.scorers["better"]
    assert follows.win_rate.value > 0.65
    assert follows.length_controlled is not None
    assert good.length_controlled is not None
    assert follows.length_controlled.low < 0.55
    assert good.length_controlled.value > 0.95
    assert rates.caution is None


def test_equal_policies_are_at_one_half() -> None:
    texts = [f"answer {i} " + "x" * i for i in range(40)]
    scorer = Table({text: float(i % 7) for i, text in enumerate(texts)})
    both = [[a, b] for a, b in zip(texts[::2], texts[1::2], strict=True)]
    rates = win_rates([f"p{i}" for i in range(20)], both, both, {"r": scorer})
    own = rates.scorers["r"]
    assert own.win_rate.value == 0.5
    assert own.length_controlled is not None
    assert own.length_controlled.value == pytest.approx(0.5, abs=1e-6)
    assert rates.identical == 0.5


def test_references_go_to_the_scorer_and_lengths_are_of_any_unit() -> None:
    scorer = Table({"one two": 1, "three": 2})
    rates = win_rates(
        ["p"], ["one two"], ["three"], {"r": scorer}, references=["ref"], length=lambda t: len(t.split()), unit="words"
    )
    assert scorer.asked[0][2] == ["ref", "ref"]
    assert (rates.length_start, rates.length_final, rates.unit) == (2, 1, "words")


def test_lines_fit_the_terminal_and_the_document_is_json() -> None:
    scorer = Table({f"{i}" * (1 + i % 3): i / 3 for i in range(30)})
    texts = list(scorer.scores)
    rates = win_rates([f"p{i}" for i in range(15)], texts[:15], texts[15:], {"a-very-long-name-of-a-scorer": scorer})
    lines = rates.lines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "final policy against the start: 15 prompts, 15 pairs, lengths in characters"
    assert lines[2].startswith("a-very-long-n")
    assert lines[-1] == "caution: only 15 prompts: the intervals are too narrow"
    document = json.loads(json.dumps(rates.to_dict()))
    assert document["scorers"]["a-very-long-name-of-a-scorer"]["win_rate"]["value"] == 1.0
    assert document["caution"]


@pytest.mark.parametrize(
    ("prompts", "start", "final", "message"),
    [
        ([], [], [], "no prompts"),
        (["p"], ["a", "b"], ["a"], "start: expected answers to 1 prompts, got 2"),
        (["p"], ["a"], [[]], "final: prompt 0 has no answers"),
        (["p"], "a", ["a"], "start: expected answers"),
    ],
)
def test_lists_that_do_not_fit_are_refused(prompts: Any, start: Any, final: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        win_rates(prompts, start, final, {})


def test_a_score_that_is_no_number_is_an_error() -> None:
    with pytest.raises(ScoreError, match="expected a finite number"):
        win_rates(["p"], ["a"], ["b"], {"r": Table({"a": 1.0, "b": float("nan")})})
