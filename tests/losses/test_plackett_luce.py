"""The Plackett-Luce loss against hand-computed values, Bradley-Terry and finite differences."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from plaudit.losses import LossOptions, bradley_terry, plackett_luce

PLAIN = LossOptions()


def loss(rewards: list[float], labels: list[float], options: LossOptions = PLAIN) -> float:
    as_batch = [torch.tensor([values], dtype=torch.float64) for values in (rewards, labels)]
    return float(plackett_luce(*as_batch, torch.zeros(1, dtype=torch.float64), options).item())


def test_the_best_is_chosen_from_all_the_second_from_the_rest() -> None:
    a, b, c = math.exp(1.0), math.exp(-0.5), math.exp(2.0)
    likelihood = a / (a + b + c) * b / (b + c)
    assert loss([1.0, -0.5, 2.0], [3.0, 2.0, 1.0]) == pytest.approx(-math.log(likelihood) / 2)


def test_the_probabilities_of_all_orders_add_up_to_one() -> None:
    rewards = [0.3, -1.0, 2.0, 0.0]
    orders = itertools.permutations([4.0, 3.0, 2.0, 1.0])
    assert sum(math.exp(-3 * loss(rewards, list(order))) for order in orders) == pytest.approx(1.0)


def test_two_responses_are_bradley_terry() -> None:
    options = LossOptions(center_rewards=0.1)
    pair = [torch.tensor([values]) for values in ([0.7, -0.4], [-1.0, -2.0])]
    zero = torch.zeros(1)
    torch.testing.assert_close(plackett_luce(*pair, zero, options), bradley_terry(*pair, zero, options))


def test_only_the_order_of_the_labels_is_read() -> None:
    assert loss([1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]) == loss([1.0, 2.0, 3.0], [100.0, 5.0, 4.9])


def test_a_shared_last_place_says_nothing_about_its_responses() -> None:
    a, b, c = math.exp(1.0), math.exp(-0.5), math.exp(2.0)
    assert loss([1.0, -0.5, 2.0], [2.0, 1.0, 1.0]) == pytest.approx(-math.log(a / (a + b + c)))


def test_a_shared_first_place_is_chosen_twice_from_all() -> None:
    a, b, c = math.exp(1.0), math.exp(-0.5), math.exp(2.0)
    likelihood = a / (a + b + c) * b / (a + b + c)
    assert loss([1.0, -0.5, 2.0], [2.0, 2.0, 1.0]) == pytest.approx(-math.log(likelihood) / 2)


def test_a_ranking_of_one_place_has_neither_loss_nor_gradient() -> None:
    rewards = torch.tensor([[1.0, 3.0, 2.0]], requires_grad=True)
    value = plackett_luce(rewards, torch.ones(1, 3), torch.zeros(1), LossOptions())
    value.sum().backward()
    assert value.tolist() == [0.0]
    assert rewards.grad is not None
    assert rewards.grad.tolist() == [[0.0, 0.0, 0.0]]


def test_large_rewards_of_a_ranking_do_not_overflow() -> None:
    assert loss([1e4, 0.0, -1e4], [3.0, 2.0, 1.0]) == 0.0
    assert loss([-1e4, 0.0, 1e4], [3.0, 2.0, 1.0]) == pytest.approx(1.5e4)


def test_the_gradient_of_a_ranking_equals_finite_differences() -> None:
    torch.manual_seed(0)
    rewards = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[5, 4, 3, 2, 1], [1, 1, 2, 3, 3], [2, 2, 2, 1, 1]], dtype=torch.float64)
    options = LossOptions(center_rewards=0.1)
    assert torch.autograd.gradcheck(lambda r: plackett_luce(r, labels, torch.zeros(3), options), (rewards,))


def test_one_response_is_no_ranking() -> None:
    with pytest.raises(ValueError, match="takes rankings, got examples with 1 response"):
        plackett_luce(torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(2), LossOptions())


def test_labels_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="expected rewards and labels"):
        plackett_luce(torch.zeros(2, 3), torch.zeros(1, 3), torch.zeros(2), LossOptions())
