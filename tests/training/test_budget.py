"""How many tokens a micro-batch may hold, and what happens when that was too many."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from few_steps import trainer_of
from gradients import KeepGradients
from hypothesis import given
from hypothesis import strategies as st

from plaudit import RewardTrainer
from plaudit.errors import EngineError
from plaudit.training.budget import TokenBudget, find_tokens

# -- the search ------------------------------------------------------------------------------------------------------


class FakeDevice:
    """Memory that grows with the tokens on top of the gradients, up to a limit."""

    def __init__(self, *, per_token: float, fixed: float, limit: float) -> None:
        self.per_token, self.fixed, self.limit = per_token, fixed, limit
        self.tried: list[int] = []

    def __call__(self, tokens: int) -> float:
        self.tried.append(tokens)
        took = self.fixed + tokens * self.per_token
        if took > self.limit:
            raise torch.OutOfMemoryError("out of memory")
        return took


def test_memory_that_grows_with_the_tokens_is_used_up() -> None:
    device = FakeDevice(per_token=10, fixed=500, limit=1e9)
    assert find_tokens(device, smallest=100, most=10**6, room=40_500, fixed=500) == 4000
    assert device.tried == [100, 4000]


def test_what_does_not_fit_after_all_is_halved() -> None:
    device = FakeDevice(per_token=10, fixed=500, limit=12_500)
    assert find_tokens(device, smallest=100, most=10**6, room=40_500, fixed=500) == 1000
    assert device.tried == [100, 4000, 2000, 1000]


def test_no_more_than_a_whole_step_is_tried() -> None:
    device = FakeDevice(per_token=10, fixed=0, limit=1e9)
    assert find_tokens(device, smallest=100, most=250, room=1e8, fixed=0) == 250
    assert max(device.tried) == 250


def test_the_longest_example_is_the_least() -> None:
    device = FakeDevice(per_token=10, fixed=0, limit=1_500)
    assert find_tokens(device, smallest=100, most=10**6, room=500, fixed=0) == 100
    assert find_tokens(device, smallest=100, most=10**6, room=1_900, fixed=0) == 100  # 190 do not fit, 95 are too few


def test_the_longest_example_must_fit() -> None:
    device = FakeDevice(per_token=10, fixed=0, limit=999)
    with pytest.raises(EngineError, match="longest example, 1,234 tokens, does not fit.*lower max_length"):
        find_tokens(device, smallest=1234, most=10**6, room=1e6, fixed=0)


@given(
    per_token=st.floats(0.1, 1e6),
    fixed=st.floats(0, 1e9),
    limit=st.floats(1, 1e11),
    room=st.floats(-1e9, 1e11),
    smallest=st.integers(1, 10_000),
    more=st.integers(0, 10**6),
)
def test_what_is_found_fits_and_is_within_its_limits(
    per_token: float, fixed: float, limit: float, room: float, smallest: int, more: int
) -> None:
    device = FakeDevice(per_token=per_token, fixed=fixed, limit=limit)
    if fixed + smallest * per_token > limit:
        with pytest.raises(EngineError):
            find_tokens(device, smallest=smallest, most=smallest + more, room=room, fixed=fixed)
        return
    tokens = find_tokens(device, smallest=smallest, most=smallest + more, room=room, fixed=fixed)
    assert smallest <= tokens <= smallest + more
    assert fixed + tokens * per_token <= limit
    assert tokens in device.tried


# -- the budget ------------------------------------------------------------------------------------------------------


def step(*micro_batches: tuple[int, int]) -> dict[str, Any]:
    """Micro-batches of (tokens, examples)."""
    batches = [{"input_ids": torch.zeros(1, n), "labels": torch.zeros(m, 2)} for n, m in micro_batches]
    return {"micro_batches": batches, "features": ["the examples"]}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("device", ["cpu", "mps", "cuda"])
def test_the_users_budget_or_the_devices(device: str, packed: bool) -> None:
    def tokens(wanted: int | None) -> int | None:
        return TokenBudget.for_device(wanted, torch.device(device), packed=packed).tokens

    assert tokens(77) == 77
    if device == "cpu" or (device == "mps" and packed):
        assert (tokens(None) or 0) > 0
    else:
        assert tokens(None) is None  # padded batches are limited by their rows; on CUDA it is found by trying


def test_a_step_is_cut_anew_only_where_a_batch_of_several_examples_is_too_large() -> None:
    budget = TokenBudget(100)
    anew = {"micro_batches": "anew"}
    for fits in (step((100, 3), (90, 3)), step((500, 1), (90, 3))):
        assert budget.fitted(fits, lambda _: anew) is fits
        assert TokenBudget(None).fitted(fits, lambda _: anew) is fits
    assert budget.fitted(step((90, 3), (101, 2)), lambda features: anew | {"of": features}) == anew | {
        "of": ["the examples"]
    }


def test_halving_starts_from_the_largest_batch(caplog: pytest.LogCaptureFixture) -> None:
    budget = TokenBudget(5000)
    with caplog.at_level(logging.WARNING, logger="plaudit.training.budget"):
        budget.halve(step((900, 2), (1200, 3), (30, 1)), alone=True)
    assert budget.tokens == 600
    assert "out of memory with 1,200 tokens" in caplog.text
    assert "at most 600" in caplog.text


def test_a_single_example_cannot_be_halved_and_other_processes_cannot_be_left_waiting() -> None:
    with pytest.raises(EngineError, match="single example of 1,200 tokens.*lower max_length"):
        TokenBudget(5000).halve(step((900, 2), (1200, 1)), alone=True)
    budget = TokenBudget(5000)
    try:
        raise torch.OutOfMemoryError("here")
    except torch.OutOfMemoryError:
        with pytest.raises(torch.OutOfMemoryError, match="here"):
            budget.halve(step((900, 2)), alone=False)
    assert budget.tokens == 5000


# -- a training step that runs out of memory -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def decoder(saved: Callable[[str, str], Path]) -> str:
    return str(saved("llama", "reward"))


def rows(count: int) -> Dataset:
    """Tokenised pairs that share no start: a row's tokens are those of its texts."""
    rng = np.random.default_rng(0)
    return Dataset.from_dict(
        {
            side: [rng.integers(10, 200, rng.integers(10, 20)).tolist() for _ in range(count)]
            for side in ("chosen_ids", "rejected_ids")
        }
    )


def train(
    decoder: str, folder: Path, *, memory: int | None = None, fails: int | None = None, **options: Any
) -> tuple[list[dict[str, torch.Tensor]], list[dict[str, Any]], RewardTrainer, list[int]]:
    """Three steps of 8 pairs on a device that holds ``memory`` tokens, or is full at pass number ``fails``.

    Returns:
        Gradients, figures, trainer, sizes of the micro-batches that were computed.
    """
    keep, seen = KeepGradients(), []
    trainer = trainer_of(decoder, folder, rows(24), keep, **({"gradient_accumulation_steps": 2} | options))
    compute_loss = trainer.compute_loss

    def small_device(model: Any, inputs: Any, **kwargs: Any) -> Any:
        tokens = inputs["input_ids"].numel()
        if (memory is not None and tokens > memory) or (len(seen) == fails and trainer.budget.tokens == 100):
            compute_loss(model, inputs, **kwargs)  # a real one gets half way, too, and draws its random numbers
            raise torch.OutOfMemoryError("out of memory")
        seen.append(tokens)
        return compute_loss(model, inputs, **kwargs)

    trainer.compute_loss = small_device  # type: ignore[method-assign]
    trainer.train()
    return keep.steps, [entry for entry in trainer.state.log_history if "loss" in entry], trainer, seen


@pytest.mark.parametrize("batching", ["packed", "padded"])
def test_a_step_that_runs_out_of_memory_is_done_again_with_the_same_gradient(
    decoder: str, batching: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    expected, whole, _, sizes = train(decoder, tmp_path, batching=batching)
    with caplog.at_level(logging.WARNING, logger="plaudit.training.budget"):
        got, figures, trainer, seen = train(decoder, tmp_path, batching=batching, memory=120)
    assert max(sizes) > 120 >= max(seen)
    assert trainer.budget.tokens is not None
    assert trainer.budget.tokens <= 120
    assert len(got) == 3
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-4)
    assert [entry["loss"] for entry in figures] == pytest.approx([entry["loss"] for entry in whole], abs=1e-6)
    warnings = [record.message for record in caplog.records if "the step is done again" in record.message]
    assert 1 <= len(warnings) <= 3  # once found, it is kept for the steps after it


def test_what_the_first_micro_batches_left_behind_is_forgotten(decoder: str, tmp_path: Path) -> None:
    expected, _, _, _ = train(decoder, tmp_path)
    got, _, trainer, seen = train(decoder, tmp_path, micro_batch_tokens=100, fails=2)
    assert max(seen[:2]) > (trainer.budget.tokens or 0) >= max(seen[2:])
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-4)


def test_a_step_done_again_counts_its_pairs_once(decoder: str, tmp_path: Path) -> None:
    _, whole, _, _ = train(decoder, tmp_path)
    _, figures, _, _ = train(decoder, tmp_path, memory=120)
    for ours, theirs in zip(figures, whole, strict=True):
        for name in ("num_tokens", "accuracy", "margin", "chosen_mean", "rejected_std"):
            assert ours[name] == pytest.approx(theirs[name], abs=1e-5), name


def test_a_step_done_again_draws_the_same_dropout(decoder: str, tmp_path: Path) -> None:
    got, _, trainer, seen = train(decoder, tmp_path, memory=120, dropout=0.3)
    tokens = trainer.budget.tokens
    expected, _, _, sizes = train(decoder, tmp_path, memory=120, dropout=0.3, micro_batch_tokens=tokens)
    torch.testing.assert_close(got, expected, atol=0, rtol=0)
    assert seen[-len(sizes) :] == sizes
    without, _, _, _ = train(decoder, tmp_path)
    assert any((without[0][name] - got[0][name]).norm() > 0.01 * got[0][name].norm() for name in got[0])


def test_a_single_example_over_the_limit_is_an_error(decoder: str, tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"single example of \d+ tokens.*lower max_length"):
        train(decoder, tmp_path, memory=15)
