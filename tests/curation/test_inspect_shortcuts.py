"""What rules reach that understand nothing."""

from __future__ import annotations

import random

import numpy as np
import pytest

from plaudit.curation.inspect.shortcuts import interval, length_bins, ngram_shortcut, rule
from plaudit.types import PreferencePair


def groups_of(count: int) -> np.ndarray:
    return np.arange(count, dtype=np.uint64)


def test_a_rule_is_right_on_what_it_decides() -> None:
    found = rule("longer", np.array([3, 1, -2, 0, 5]), groups_of(5))
    assert found is not None
    assert (found.accuracy.value, found.decided, found.pairs) == (0.75, 4, 5)
    assert rule("longer", np.zeros(3), groups_of(3)) is None


def test_the_interval_of_many_prompts_agrees_with_the_bootstrap(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(0)
    groups = generator.integers(0, 300, 2000).astype(np.uint64)
    correct = generator.random(2000) < np.where(groups % 2 == 0, 0.9, 0.4)
    drawn = interval(correct, groups)
    monkeypatch.setattr("plaudit.curation.inspect.shortcuts._BOOTSTRAP_GROUPS", 0)
    computed = interval(correct, groups)
    assert computed.value == drawn.value
    assert (computed.low, computed.high) == (pytest.approx(drawn.low, abs=0.006), pytest.approx(drawn.high, abs=0.006))


def test_bins_hold_tenths_of_the_pairs() -> None:
    gaps = np.array([sign * size for size in range(1, 101) for sign in ((1, 1, -1) if size > 50 else (1, -1, -1))])
    bins = length_bins(gaps)
    assert (len(bins), sum(each.pairs for each in bins), bins[0].low, bins[-1].high) == (10, 300, 1, 100)
    assert bins[0].longer_wins == pytest.approx(1 / 3)
    assert bins[-1].longer_wins == pytest.approx(2 / 3)
    assert length_bins(np.array([0, 0])) == []
    assert [(each.low, each.high, each.pairs) for each in length_bins(np.array([7, 7, -7]))] == [(7, 7, 3)]


def test_the_linear_model_is_asked_about_prompts_it_has_not_seen() -> None:
    rng = random.Random(0)
    noise = "the a river water stone light house garden".split()

    def text(word: str) -> str:
        return " ".join([*rng.choices(noise, k=8), word])

    pairs = [PreferencePair(f"p{i}", text("great"), text("awful")).example() for i in range(30)]
    found = ngram_shortcut(pairs, groups_of(30))
    assert found is not None
    assert found.accuracy.value == 1.0
    assert ngram_shortcut(pairs, np.zeros(30, dtype=np.uint64)) is None
    assert ngram_shortcut(pairs[:10], groups_of(10)) is None
