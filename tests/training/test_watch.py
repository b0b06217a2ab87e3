"""Each warning comes when it should, once, and not for a healthy run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import TrainerControl, TrainerState, TrainingArguments

from plaudit.metrics import PairCounts, binomial_interval
from plaudit.training.counts import RunningCounts
from plaudit.training.watch import Watch

STEPS = 100


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def log(said: list[str], tmp_path: Path) -> Callable[..., None]:
    """``log(step, figure=…)``: a log entry of a healthy run, with changes."""
    args = TrainingArguments(str(tmp_path), use_cpu=True, warmup_steps=0.1)
    watch = Watch(said.append)
    healthy = {
        "pairs": 160.0,
        "accuracy": 0.75,
        "mean_reward": 0.1,
        "min_reward": -3.0,
        "max_reward": 3.0,
        "chosen_mean": 0.5,
        "chosen_std": 1.0,
        "rejected_mean": -0.5,
        "rejected_std": 1.0,
        "length_correlation": 0.2,
        "longer_preferred": 0.5,
        "longer_chosen": 0.5,
    }

    def entry(step: int, **changes: float) -> None:
        state = TrainerState(global_step=step, max_steps=STEPS)
        logs = changes if any(name.startswith("eval_") for name in changes) else healthy | changes
        watch.on_log(args, state, TrainerControl(), logs=dict(logs))

    return entry


def test_a_healthy_run_is_left_in_peace(log: Callable[..., None], said: list[str]) -> None:
    for step in range(10, STEPS + 1, 10):
        log(step)
        log(step, eval_accuracy=0.7 + step / 1000, eval_pairs=500.0)
    log(STEPS, train_loss=0.3)
    assert said == []


def test_constant_scores_are_named_once(log: Callable[..., None], said: list[str]) -> None:
    same = {"chosen_std": 1e-5, "rejected_std": 1e-5, "chosen_mean": 0.3, "rejected_mean": 0.3}
    log(10, **same)
    assert said == []  # a fresh head may start so
    log(30, **same)
    log(40, **same)
    assert len(said) == 1
    assert said[0].startswith("warning: step 30: all rewards are nearly the same")


@pytest.mark.parametrize(
    "changes",
    [
        {"max_reward": 51.0},
        {"min_reward": -60.0},
        {"max_reward": float("nan")},
        {"chosen_std": 20.0, "rejected_std": 20.0, "max_reward": 45.0},
    ],
    ids=["high", "low", "not a number", "spread"],
)
def test_exploding_rewards_are_named(log: Callable[..., None], said: list[str], changes: dict[str, float]) -> None:
    log(30)
    log(40, **changes)
    assert len(said) == 1
    assert "step 40: rewards explode" in said[0]
    assert "lower the learning rate" in said[0]


def test_an_accuracy_of_one_half_is_named_when_there_are_enough_pairs(
    log: Callable[..., None], said: list[str]
) -> None:
    for step in (10, 20, 30, 40):
        log(step, accuracy=0.5)
    assert said == []  # 320 pairs since step 20, and not half of the steps
    log(50, accuracy=0.5)
    assert "240 of 480 training pairs right from step 30 on" in said[0]


def test_much_data_shows_guessing_early_and_little_data_shows_nothing(
    log: Callable[..., None], said: list[str]
) -> None:
    for step in range(30, STEPS + 1, 10):
        log(step, accuracy=0.5, pairs=30.0)
    assert said == []
    log(30, accuracy=0.5, pairs=4000.0)
    assert "accuracy is still at 0.5" in said[0]


def test_a_small_but_real_gain_is_no_guessing(log: Callable[..., None], said: list[str]) -> None:
    for step in range(30, STEPS + 1, 10):
        log(step, accuracy=0.56, pairs=400.0)
    assert said == []


def test_length_as_the_reward_is_named_with_how_often_it_wins(log: Callable[..., None], said: list[str]) -> None:
    log(30, pairs=40.0, length_correlation=0.9, longer_preferred=0.95, longer_chosen=0.6)
    log(31, pairs=40.0, length_correlation=0.9)
    assert said == []  # too few pairs yet
    log(32, pairs=40.0, length_correlation=0.9, longer_preferred=0.95, longer_chosen=0.6)
    assert "rewards follow length: over 120 pairs" in said[0]
    assert "correlation 0.90" in said[0]
    assert "95% and the data in 60%" in said[0]


def test_shortness_is_named_as_well(log: Callable[..., None], said: list[str]) -> None:
    log(30, length_correlation=-0.8)
    assert "rewards follow shortness" in said[0]


def test_falling_evaluation_accuracy_is_named_after_two_falls(log: Callable[..., None], said: list[str]) -> None:
    for step, accuracy in ((10, 0.7), (20, 0.76), (30, 0.70), (40, 0.75), (50, 0.70)):
        log(step, eval_accuracy=accuracy, eval_pairs=500.0)
    assert said == []  # one fall, a recovery within the error, one fall
    log(60, eval_accuracy=0.70, eval_pairs=500.0)
    assert "step 60: evaluation accuracy falls: 0.700 after 0.760 at step 20" in said[0]


def test_every_evaluation_set_is_watched_by_itself(log: Callable[..., None], said: list[str]) -> None:
    for step, (one, two) in enumerate(((0.9, 0.6), (0.9, 0.5), (0.9, 0.5)), start=1):
        log(step, eval_one_accuracy=one, eval_one_pairs=900.0, eval_two_accuracy=two, eval_two_pairs=900.0)
    assert len(said) == 1
    assert "0.500 after 0.600" in said[0]


def test_a_resumed_run_remembers_what_was_logged(said: list[str], tmp_path: Path) -> None:
    args = TrainingArguments(str(tmp_path), use_cpu=True)
    history = [
        {"step": step, "eval_accuracy": accuracy, "eval_pairs": 500.0} for step, accuracy in ((10, 0.8), (20, 0.7))
    ]
    watch = Watch(said.append)
    watch.on_train_begin(args, TrainerState(max_steps=STEPS, log_history=history), TrainerControl())
    assert said == []
    state = TrainerState(global_step=30, max_steps=STEPS)
    watch.on_log(args, state, TrainerControl(), logs={"eval_accuracy": 0.7, "eval_pairs": 500.0})
    assert said == [f"warning: {watch.warnings[0]}"]


def test_the_exact_interval_equals_its_definition() -> None:
    """The ends are the rates at which the tails have 2.5% each; no success in n leaves 1 - 0.025 ** (1 / n)."""
    assert binomial_interval(0, 10).high == pytest.approx(1 - 0.025 ** (1 / 10), abs=1e-9)
    assert binomial_interval(10, 10).low == pytest.approx(0.025 ** (1 / 10), abs=1e-9)
    interval = binomial_interval(7, 20)
    assert (interval.low, interval.high) == pytest.approx((0.153909, 0.592189), abs=1e-6)  # tables of Clopper-Pearson
    large = binomial_interval(50_000, 100_000)
    assert large.high - 0.5 == pytest.approx(1.96 * 0.5 / 100_000**0.5, rel=0.01)


def running(
    rewards: np.ndarray, lengths: np.ndarray, counted: np.ndarray | None = None, batches: int = 3
) -> PairCounts:
    """`PairCounts` of (N, 2) rewards and lengths, chosen second where the label says so, counted over batches."""
    counts = RunningCounts()
    keep = np.ones(len(rewards)) if counted is None else counted
    for part in np.array_split(np.arange(len(rewards)), batches):
        counts.add(
            torch.tensor(rewards[part], dtype=torch.float32),
            torch.tensor([[1.0, 0.0]] * len(part)),
            torch.zeros(len(part)),
            torch.tensor(keep[part], dtype=torch.float32),
            torch.tensor(lengths[part]),
        )

    class Alone:
        device, num_processes = torch.device("cpu"), 1

    return counts.total(Alone())


def test_the_length_correlation_is_that_of_the_differences() -> None:
    rng = np.random.default_rng(0)
    rewards, lengths = rng.normal(size=(50, 2)), rng.integers(1, 30, (50, 2))
    rewards[:, 0] += 0.05 * lengths[:, 0]
    lengths[:5, 1] = lengths[:5, 0]
    figures = running(rewards, lengths).figures()
    reward_gap, length_gap = rewards[:, 0] - rewards[:, 1], lengths[:, 0] - lengths[:, 1]
    assert figures["length_correlation"] == pytest.approx(np.corrcoef(reward_gap, length_gap)[0, 1], abs=1e-6)
    unequal = length_gap != 0
    assert figures["longer_chosen"] == pytest.approx(np.mean(length_gap[unequal] > 0))
    assert figures["longer_preferred"] == pytest.approx(np.mean((reward_gap * length_gap > 0)[unequal]))


def test_pairs_that_do_not_count_have_no_length() -> None:
    rng = np.random.default_rng(1)
    rewards, lengths = rng.normal(size=(40, 2)), rng.integers(1, 30, (40, 2))
    counted = (np.arange(40) < 30).astype(float)
    assert running(rewards, lengths, counted).figures() == pytest.approx(running(rewards[:30], lengths[:30]).figures())


@pytest.mark.parametrize("constant", ["rewards", "lengths"])
def test_a_constant_gap_has_no_correlation(constant: str) -> None:
    rng = np.random.default_rng(2)
    rewards, lengths = rng.normal(size=(30, 2)), rng.integers(1, 30, (30, 2))
    if constant == "rewards":
        rewards[:] = [0.7, 0.1]
    else:
        lengths[:] = [9, 9]
    figures = running(rewards, lengths).figures()
    assert "length_correlation" not in figures
    assert ("longer_preferred" in figures) == (constant == "rewards")
