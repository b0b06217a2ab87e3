"""Davidson's and Rao and Kupper's losses against their formulas, worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from plaudit.losses import LossOptions, bradley_terry, davidson, rao_kupper

PLAIN = LossOptions()
TIE, FIRST, SECOND = [0.5, 0.5], [1.0, 0.0], [0.0, 1.0]
BOTH = pytest.mark.parametrize("objective", [davidson, rao_kupper])


def loss(
    objective: Callable[..., torch.Tensor],
    gap: float,
    labels: list[float],
    *,
    margin: float = 0.0,
    options: LossOptions = PLAIN,
) -> float:
    rewards = torch.tensor([[gap, 0.0]], dtype=torch.float64)
    value = objective(rewards, torch.tensor([labels], dtype=torch.float64), torch.tensor([margin]), options)
    return float(value.item())


@BOTH
@pytest.mark.parametrize("gap", [-3.0, 0.0, 0.4, 50.0])
@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_the_three_outcomes_are_all_there_is(objective: Callable[..., torch.Tensor], gap: float, rate: float) -> None:
    options = LossOptions(tie_rate=rate)
    total = sum(math.exp(-loss(objective, gap, labels, options=options)) for labels in (FIRST, SECOND, TIE))
    assert total == pytest.approx(1.0)


@BOTH
@pytest.mark.parametrize("rate", [0.05, 0.3, 0.9])
def test_two_equally_good_responses_tie_as_often_as_the_rate_says(
    objective: Callable[..., torch.Tensor], rate: float
) -> None:
    assert math.exp(-loss(objective, 0.0, TIE, options=LossOptions(tie_rate=rate))) == pytest.approx(rate)


def test_davidson_is_its_formula() -> None:
    options = LossOptions(tie_rate=0.2)  # nu = 0.5
    a, b = math.exp(0.6), math.exp(-0.6)
    assert loss(davidson, 1.2, FIRST, options=options) == pytest.approx(-math.log(a / (a + b + 0.5)))
    assert loss(davidson, 1.2, SECOND, options=options) == pytest.approx(-math.log(b / (a + b + 0.5)))
    assert loss(davidson, 1.2, TIE, options=options) == pytest.approx(-math.log(0.5 / (a + b + 0.5)))


def test_rao_kupper_is_its_formula() -> None:
    options = LossOptions(tie_rate=1 / 3)  # theta = 2
    a, b = math.exp(1.2), 1.0
    assert loss(rao_kupper, 1.2, FIRST, options=options) == pytest.approx(-math.log(a / (a + 2 * b)))
    assert loss(rao_kupper, 1.2, SECOND, options=options) == pytest.approx(-math.log(b / (b + 2 * a)))
    tie = 3 * a * b / ((a + 2 * b) * (b + 2 * a))
    assert loss(rao_kupper, 1.2, TIE, options=options) == pytest.approx(-math.log(tie))


def test_rao_kupper_without_ties_is_bradley_terry() -> None:
    options = LossOptions(tie_rate=1e-9)
    assert loss(rao_kupper, 1.2, FIRST, options=options) == pytest.approx(loss(bradley_terry, 1.2, FIRST), abs=1e-6)


@BOTH
def test_a_soft_label_mixes_the_two_winners(objective: Callable[..., torch.Tensor]) -> None:
    expected = 0.8 * loss(objective, 1.0, FIRST) + 0.2 * loss(objective, 1.0, SECOND)
    assert loss(objective, 1.0, [0.8, 0.2]) == pytest.approx(expected)


@BOTH
def test_a_margin_is_asked_of_the_winner_only(objective: Callable[..., torch.Tensor]) -> None:
    assert loss(objective, 1.0, FIRST, margin=0.4) == pytest.approx(loss(objective, 0.6, FIRST))
    assert loss(objective, 1.0, SECOND, margin=0.4) == pytest.approx(loss(objective, 1.4, SECOND))
    assert loss(objective, 1.0, TIE, margin=0.4) == pytest.approx(loss(objective, 1.0, TIE))


@BOTH
def test_smoothing_and_centering_do_what_they_do_to_bradley_terry(objective: Callable[..., torch.Tensor]) -> None:
    smooth = loss(objective, 1.0, FIRST, options=LossOptions(label_smoothing=0.1))
    assert smooth == pytest.approx(0.9 * loss(objective, 1.0, FIRST) + 0.1 * loss(objective, 1.0, SECOND))
    centered = loss(objective, 3.0, TIE, options=LossOptions(center_rewards=0.01))
    assert centered == pytest.approx(loss(objective, 3.0, TIE) + 0.09)


@BOTH
@pytest.mark.parametrize("options", [LossOptions(), LossOptions(0.1, 0.2, 0.5)])
def test_the_gradient_of_a_tie_loss_equals_finite_differences(
    objective: Callable[..., torch.Tensor], options: LossOptions
) -> None:
    torch.manual_seed(0)
    rewards = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([FIRST, SECOND, TIE, [0.7, 0.3]], dtype=torch.float64)
    margin = torch.rand(4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda r: objective(r, labels, margin, options), (rewards,))
