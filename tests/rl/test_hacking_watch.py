"""The watch for reward hacking, on series made up to show what it must and must not say."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from plaudit.errors import ConfigError
from plaudit.rl.watch import HackingWatch, change_between

Array = np.ndarray[Any, np.dtype[np.float64]]


def told(watch: HackingWatch, **series: Any) -> list[str]:
    """Warnings of a run whose figures are these, step by step from 1; ``gold`` maps names to series."""
    gold = series.pop("gold", {})
    count = len(next(iter([*series.values(), *gold.values()])))
    found = []
    for i in range(count):
        record = {name: float(values[i]) for name, values in series.items()}
        found += watch.see({"step": i + 1, **record, "gold": {n: float(v[i]) for n, v in gold.items()}})
    return found


def ramp(start: float, end: float, count: int) -> Array:
    return np.linspace(start, end, count)


def noise(count: int, seed: int = 0, scale: float = 0.1) -> Array:
    return np.random.default_rng(seed).normal(size=count) * scale


def test_welch_is_that_of_scipy() -> None:
    from scipy import stats

    x, y = noise(7, 1) + 1, noise(12, 2, 0.4) + 0.8
    change = change_between(x, y)
    result = stats.ttest_ind(y, x, equal_var=False)
    interval = result.confidence_interval(0.95)
    assert change.value == pytest.approx(y.mean() - x.mean())
    assert (change.low, change.high) == pytest.approx((interval.low, interval.high))
    assert change.fall == pytest.approx(stats.ttest_ind(y, x, equal_var=False, alternative="less").pvalue)
    assert change.rise == pytest.approx(1 - change.fall)


def test_windows_without_scatter_differ_for_sure_or_not_at_all() -> None:
    same, less = change_between([1.0] * 5, [1.0] * 5), change_between([1.0] * 5, [0.5] * 5)
    assert (same.value, same.fall, same.rise) == (0, 1, 1)
    assert (less.value, less.low, less.high, less.fall, less.rise) == (-0.5, -0.5, -0.5, 0, 1)


def test_gold_that_falls_while_the_reward_rises_is_told_with_its_step_and_both_changes() -> None:
    watch = HackingWatch()
    gold = np.concatenate([ramp(0, 1, 30), ramp(1, -1, 30)]) + noise(60)
    warnings = told(watch, reward=ramp(0, 3, 60) + noise(60, 1), gold={"rule": gold, "steady": noise(60, 2)})
    assert watch.hacking
    assert warnings == watch.warnings
    first = warnings[0]
    assert first.startswith("step ")
    assert 30 < int(first.split()[1].rstrip(":")) <= 60
    assert "the gold score 'rule' falls while the reward rises: from steps " in first
    assert "gold changed by -" in first
    assert "the reward by +" in first
    assert 1 <= len(warnings) <= 3, "again only where the fall has doubled"
    assert not any("steady" in line for line in warnings)


def test_gold_that_falls_from_the_start_is_found_in_a_short_run() -> None:
    watch = HackingWatch()
    told(watch, reward=ramp(0, 2, 15) + noise(15, 1), gold={"g": ramp(0, -2, 15) + noise(15)})
    assert watch.hacking


@pytest.mark.parametrize(
    ("reward", "gold"),
    [
        (ramp(0, 3, 60), ramp(0, 2, 60)),  # both rise
        (ramp(3, 0, 60), ramp(2, 0, 60)),  # both fall
        (np.zeros(60), ramp(2, 0, 60)),  # gold falls, but the reward does not rise
        (ramp(0, 3, 60), np.zeros(60)),
    ],
)
def test_anything_else_is_no_hacking(reward: Array, gold: Array) -> None:
    watch = HackingWatch()
    assert told(watch, reward=reward + noise(60, 1), gold={"g": gold + noise(60)}) == []
    assert not watch.hacking


@pytest.mark.parametrize("rise", [0.0, 2.0])
def test_noise_raises_few_alarms(rise: float) -> None:
    """The reward rises; gold is flat, or rises too. The class names rates over more runs."""
    alarms = 0
    for seed in range(100):
        watch = HackingWatch()
        told(
            watch,
            reward=ramp(0, 10, 40) + noise(40, 2 * seed, 1.0),
            gold={"g": ramp(0, rise, 40) + noise(40, 2 * seed + 1, 1.0)},
        )
        alarms += watch.hacking
    assert alarms <= 4


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("length", ramp(40, 160, 40), "times longer than in the first steps"),
        ("length", ramp(100, 20, 40), "times shorter than in the first steps"),
        ("repetition", ramp(0.02, 0.5, 40), "answers repeat themselves"),
        ("eos_share", ramp(0.9, 0.1, 40), "of the answers end by themselves"),
    ],
)
def test_what_becomes_of_the_answers_is_told(name: str, values: Array, expected: str) -> None:
    scale = {"length": 2.0}.get(name, 0.01)
    watch = HackingWatch()
    warnings = told(watch, **{name: values + noise(40, 3, scale)})
    assert expected in warnings[0]
    assert len(warnings) <= 3
    assert not watch.hacking


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("length", 50 + noise(60, 1, 20.0)),
        ("length", ramp(50, 80, 60)),
        ("repetition", ramp(0.02, 0.08, 60)),
        ("eos_share", ramp(0.9, 0.6, 60)),
        ("kl", 20 + noise(60, 1, 15.0)),
    ],
)
def test_ordinary_changes_are_not(name: str, values: Array) -> None:
    assert told(HackingWatch(), **{name: values}) == []


def test_kl_beyond_its_bound_is_told_once_and_again_when_it_has_doubled() -> None:
    watch = HackingWatch(max_kl=10)
    warnings = told(watch, kl=ramp(0, 24, 50))
    assert [int(line.split()[1].rstrip(":")) for line in warnings] == [24, 45]
    assert "nats an answer away from its start (mean of 5 steps), more than 10" in warnings[0]
    assert told(HackingWatch(max_kl=10), kl=[0, 0, 0, 0, 45, 0, 0, 0, 0]) == [], "one step is no trend"
    for bound in (0, -1, float("nan")):
        with pytest.raises(ConfigError, match="max_kl"):
            HackingWatch(max_kl=bound)


def test_figures_that_are_missing_or_no_numbers_are_not_judged() -> None:
    watch = HackingWatch()
    for step in range(30):
        empty = {"step": step, "reward": None, "kl": None, "length": float("nan"), "gold": {"g": None}}
        assert watch.see(empty if step % 2 else {"step": step}) == []
    assert watch.see({"step": 30, "gold": None}) == []


def hacked(step: int) -> dict[str, Any]:
    rng = np.random.default_rng(step)
    gold = (step if step < 40 else 80 - step) / 10 + rng.normal() * 0.2
    return {
        "step": step,
        "reward": step / 10 + rng.normal() * 0.2,
        "gold": {"g": gold},
        "kl": step / 2,
        "length": 20 + step + rng.normal(),
        "repetition": step / 200,
        "eos_share": 1 - step / 120,
    }


@pytest.mark.parametrize("cut", [0, 7, 33, 60, 79])
def test_a_run_that_goes_on_hears_the_same_warnings(cut: int) -> None:
    whole = HackingWatch(max_kl=20)
    expected = [(step, line) for step in range(90) for line in whole.see(hacked(step))]
    assert whole.hacking
    assert len(expected) >= 5
    first = HackingWatch(max_kl=20)
    found = [(step, line) for step in range(cut) for line in first.see(hacked(step))]
    second = HackingWatch(max_kl=20)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    found += [(step, line) for step in range(max(cut - 5, 0), 90) for line in second.see(hacked(step))]
    assert found == expected
    assert second.state_dict() == whole.state_dict()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("gold", "least", "most"),
    [
        (lambda t: 0 * t, 0.0, 0.02),
        (lambda t: 2 * t, 0.0, 0.005),
        (lambda t: -10 * np.maximum(t - 0.5, 0), 0.9, 1.0),
    ],
)
def test_rates_of_alarms(gold: Callable[[Array], Array], least: float, most: float) -> None:
    rng = np.random.default_rng(0)
    t = np.linspace(0, 1, 200)
    alarms = 0
    for _ in range(400):
        watch = HackingWatch()
        told(watch, reward=10 * t + rng.normal(size=200), gold={"g": gold(t) + rng.normal(size=200)})
        alarms += watch.hacking
    assert least <= alarms / 400 <= most
