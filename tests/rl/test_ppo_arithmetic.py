"""The formulas of PPO against hand-computed cases and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.rl.ppo.arithmetic import (
    AdaptiveKL,
    RewardScale,
    clipped_policy_loss,
    clipped_value_loss,
    gae,
    masked_mean,
    masked_whiten,
    per_token_rewards,
    picked_log_probs,
)


def _mask(lengths: list[int], width: int) -> torch.Tensor:
    return torch.arange(width)[None] < torch.tensor(lengths)[:, None]


def _brute_force_gae(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """Sum over l of (gamma lambda)^l delta_{t+l}, as Schulman et al. 2016 write it, with V = 0 behind the end."""
    following = [*values[1:], 0.0]
    deltas = [r + gamma * after - v for r, after, v in zip(rewards, following, values, strict=True)]
    return [sum((gamma * lam) ** step * delta for step, delta in enumerate(deltas[t:])) for t in range(len(rewards))]


@given(
    lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5),
    gamma=st.floats(0.1, 1),
    lam=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_gae_is_the_sum_of_discounted_errors_whatever_stands_behind_an_answer(
    lengths: list[int], gamma: float, lam: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    width = max(lengths) + 2
    rewards, values = (torch.randn(len(lengths), width, generator=generator, dtype=torch.float64) for _ in range(2))
    mask = _mask(lengths, width)
    advantages, returns = gae(rewards, values, mask, gamma, lam)
    for row, length in enumerate(lengths):
        expected = _brute_force_gae(rewards[row, :length].tolist(), values[row, :length].tolist(), gamma, lam)
        np.testing.assert_allclose(advantages[row, :length], expected, atol=1e-10)
        np.testing.assert_allclose(returns[row, :length], np.add(expected, values[row, :length].numpy()), atol=1e-10)
        assert not advantages[row, length:].any()
        assert not returns[row, length:].any()


def test_two_steps_of_ppo_by_hand() -> None:
    """One answer of two tokens, then every quantity to the loss, worked out on paper."""
    mask = torch.tensor([[True, True]])
    old, start = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -1.0]])
    values = torch.tensor([[0.5, 0.25]])
    rewards = per_token_rewards(torch.tensor([1.0]), old - start, mask, 0.1)
    # KL per token: 0.5 and -1; rewards: -0.05, and 0.1 + 1
    torch.testing.assert_close(rewards, torch.tensor([[-0.05, 1.1]]))
    advantages, returns = gae(rewards, values, mask, gamma=0.9, lam=0.5)
    # delta_2 = 1.1 - 0.25 = 0.85; delta_1 = -0.05 + 0.9 * 0.25 - 0.5 = -0.325; A_1 = -0.325 + 0.45 * 0.85 = 0.0575
    torch.testing.assert_close(advantages, torch.tensor([[0.0575, 0.85]]))
    torch.testing.assert_close(returns, torch.tensor([[0.5575, 1.1]]))
    new = torch.tensor([[-1.0 + math.log(1.5), -2.0 + math.log(0.5)]])
    policy, clipped = clipped_policy_loss(new, old, advantages, 0.2)
    # ratio 1.5, A > 0: clipped to 1.2; ratio 0.5, A > 0: 0.5 is the lower one, so it is not clipped
    torch.testing.assert_close(policy, torch.tensor([[-1.2 * 0.0575, -0.5 * 0.85]]))
    assert clipped.tolist() == [[True, False]]
    loss, value_clipped = clipped_value_loss(torch.tensor([[1.0, 1.0]]), values, returns, 0.2)
    # 1.0 against 0.5575: 0.1958; clipped to 0.7: 0.0203. 1.0 against 1.1: 0.01; clipped to 0.45: 0.4225
    torch.testing.assert_close(loss, 0.5 * torch.tensor([[0.4425**2, 0.65**2]]))
    assert value_clipped.tolist() == [[False, True]]


def test_a_negative_advantage_is_clipped_on_the_other_side() -> None:
    old = torch.zeros(1, 2)
    new = torch.tensor([[math.log(1.5), math.log(0.5)]])
    loss, clipped = clipped_policy_loss(new, old, torch.tensor([[-1.0, -1.0]]), 0.2)
    torch.testing.assert_close(loss, torch.tensor([[1.5, 0.8]]))
    assert clipped.tolist() == [[False, True]]


def test_the_score_lands_on_the_last_real_token_and_not_behind_it() -> None:
    rewards = per_token_rewards(torch.tensor([3.0, 5.0]), torch.ones(2, 4), _mask([2, 4], 4), 0.5)
    torch.testing.assert_close(rewards, torch.tensor([[-0.5, 2.5, 0.0, 0.0], [-0.5, -0.5, -0.5, 4.5]]))


def test_masked_statistics_do_not_change_with_padding() -> None:
    values, mask = torch.randn(3, 5, generator=torch.Generator().manual_seed(0)), _mask([5, 2, 3], 5)
    wide = torch.cat([values, torch.full((3, 4), 1e9)], 1)
    wide_mask = torch.cat([mask, torch.zeros(3, 4, dtype=torch.bool)], 1)
    torch.testing.assert_close(masked_mean(values, mask), masked_mean(wide, wide_mask))
    whitened = masked_whiten(values, mask)
    torch.testing.assert_close(whitened, masked_whiten(wide, wide_mask)[:, :5])
    torch.testing.assert_close(whitened[mask].mean(), torch.tensor(0.0), atol=1e-6, rtol=0)
    torch.testing.assert_close(whitened[mask].var(correction=0), torch.tensor(1.0))
    assert not whitened[~mask].any()


def test_masked_statistics_stand_nan_behind_an_answer() -> None:
    values = torch.tensor([[1.0, 3.0, math.nan]])
    assert masked_mean(values, _mask([2], 3)) == 2
    assert masked_whiten(values, _mask([2], 3))[0, 2] == 0


def test_log_probabilities_are_those_of_the_tempered_distribution() -> None:
    logits = torch.tensor([[[2.0, 0.0, -2.0]]])
    expected = torch.log_softmax(logits / 0.5, -1)[0, 0, 1]
    torch.testing.assert_close(picked_log_probs(logits, torch.tensor([[1]]), 0.5)[0, 0], expected)


def test_the_price_of_kl_rises_above_the_target_and_falls_below_it() -> None:
    controller = AdaptiveKL(0.1, target=6.0, gain=0.1)
    controller.update(60.0)  # far above: the error is cut at 0.2
    assert controller.coefficient == pytest.approx(0.1 * 1.02)
    controller.update(5.4)  # error -0.1
    assert controller.coefficient == pytest.approx(0.1 * 1.02 * 0.99)
    fixed = AdaptiveKL(0.1, target=None)
    fixed.update(60.0)
    assert fixed.coefficient == 0.1


def test_rewards_are_scaled_by_the_start_or_by_all_so_far() -> None:
    first, second = np.array([1.0, 3.0]), np.array([5.0, 7.0, 9.0])
    both = np.concatenate([first, second])
    start, running = RewardScale("start"), RewardScale("running")
    for scores in (first, second):
        for scale in (start, running):
            scale.see(len(scores), scores.mean(), ((scores - scores.mean()) ** 2).sum())
    torch.testing.assert_close(start(torch.tensor([3.0])), torch.tensor([1.0]))  # mean 2, deviation 1
    assert (running.mean, running.deviation) == (pytest.approx(both.mean()), pytest.approx(both.std()))
    again = RewardScale("running")
    again.load(running.state())
    assert again.deviation == running.deviation


def test_equal_rewards_are_not_divided_by_zero_and_large_ones_are_cut_where_asked() -> None:
    scale = RewardScale("start", clip=2.0)
    scale.see(3, 5.0, 0.0)
    torch.testing.assert_close(scale(torch.tensor([5.0, 100.0])), torch.tensor([0.0, 2.0]))
