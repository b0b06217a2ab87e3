"""The Bradley-Terry loss against hand-computed values and finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from plaudit.losses import LossOptions, bradley_terry

PLAIN = LossOptions()


def loss(
    rewards: list[list[float]],
    *,
    labels: list[list[float]] | None = None,
    margin: list[float] | None = None,
    options: LossOptions = PLAIN,
) -> list[float]:
    count = len(rewards)
    result: list[float] = bradley_terry(
        torch.tensor(rewards, dtype=torch.float64),
        torch.tensor(labels or [[1.0, 0.0]] * count, dtype=torch.float64),
        torch.tensor(margin or [0.0] * count, dtype=torch.float64),
        options,
    ).tolist()
    return result


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_the_loss_is_minus_log_sigmoid_of_the_difference() -> None:
    assert loss([[0.0, 0.0], [math.log(3), 0.0], [0.0, math.log(3)], [2.5, 1.0]]) == pytest.approx(
        [math.log(2), math.log(4 / 3), math.log(4), softplus(-1.5)]
    )


def test_the_label_says_which_response_is_preferred() -> None:
    swapped = loss([[0.0, math.log(3)], [0.0, 1.0]], labels=[[0.0, 1.0], [-2.0, 5.0]])
    assert swapped == pytest.approx([math.log(4 / 3), softplus(-1.0)])


def test_margin_widens_the_required_gap() -> None:
    with_margin = loss([[3.0, 1.0], [3.0, 1.0]], margin=[0.5, -1.0])
    assert with_margin == pytest.approx([softplus(-1.5), softplus(-3.0)])
    assert with_margin[0] > loss([[3.0, 1.0]])[0] > with_margin[1]


def test_the_margin_goes_to_the_preferred_side() -> None:
    assert loss([[1.0, 3.0]], labels=[[0.0, 1.0]], margin=[0.5]) == pytest.approx([softplus(-1.5)])


def test_smoothing_mixes_in_the_opposite_label() -> None:
    expected = 0.9 * softplus(-2.0) + 0.1 * softplus(2.0)
    assert loss([[3.0, 1.0]], options=LossOptions(label_smoothing=0.1)) == pytest.approx([expected])


def test_centering_pulls_the_sum_of_rewards_to_zero() -> None:
    expected = softplus(-2.0) + 0.01 * 16.0
    assert loss([[3.0, 1.0]], options=LossOptions(center_rewards=0.01)) == pytest.approx([expected])
    assert loss([[1.0, -1.0]], options=LossOptions(center_rewards=0.01)) == pytest.approx([softplus(-2.0)])


def test_the_loss_is_shift_invariant_without_centering() -> None:
    assert loss([[103.0, 101.0]]) == pytest.approx(loss([[3.0, 1.0]]))


@pytest.mark.parametrize("options", [PLAIN, LossOptions(label_smoothing=0.1)])
def test_large_rewards_do_not_overflow(options: LossOptions) -> None:
    rewards = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    values = bradley_terry(rewards, torch.tensor([[1.0, 0.0]] * 2), torch.zeros(2), options)
    e = options.label_smoothing
    assert values.tolist() == pytest.approx([e * 2e4, (1 - e) * 2e4])
    values.sum().backward()
    assert rewards.grad is not None
    assert rewards.grad.isfinite().all()
    assert rewards.grad[1].tolist() == pytest.approx([-(1 - e), 1 - e])


@pytest.mark.parametrize(
    "options", [PLAIN, LossOptions(center_rewards=0.3), LossOptions(label_smoothing=0.2), LossOptions(0.1, 0.3)]
)
def test_the_gradient_equals_finite_differences(options: LossOptions) -> None:
    torch.manual_seed(0)
    rewards = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[1.0, 0.0], [0.0, 1.0]] * 3, dtype=torch.float64)
    margin = torch.randn(6, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda r: bradley_terry(r, labels, margin, options), (rewards,))


def test_a_soft_label_mixes_the_losses_of_both_preferences() -> None:
    expected = 0.7 * softplus(-2.0) + 0.3 * softplus(2.0)
    assert loss([[3.0, 1.0]], labels=[[0.7, 0.3]]) == pytest.approx([expected])
    assert loss([[1.0, 3.0]], labels=[[0.3, 0.7]]) == pytest.approx([expected])


def test_the_loss_of_a_soft_label_is_least_where_the_model_says_its_probability() -> None:
    rewards = torch.tensor([[math.log(0.7 / 0.3), 0.0]], requires_grad=True)
    bradley_terry(rewards, torch.tensor([[0.7, 0.3]]), torch.zeros(1), PLAIN).sum().backward()
    assert rewards.grad is not None
    torch.testing.assert_close(rewards.grad, torch.zeros(1, 2))


def test_a_soft_label_asks_for_the_margin_on_either_side() -> None:
    expected = 0.7 * softplus(-1.5) + 0.3 * softplus(2.5)
    assert loss([[3.0, 1.0]], labels=[[0.7, 0.3]], margin=[0.5]) == pytest.approx([expected])


@pytest.mark.parametrize("labels", [[0.5, 0.5], [1.0, 1.0], [-3.0, -3.0]])
def test_equal_labels_are_a_tie_that_pulls_the_rewards_together(labels: list[float]) -> None:
    rewards = torch.tensor([[1.0, 3.0]], requires_grad=True)
    values = bradley_terry(rewards, torch.tensor([labels]), torch.zeros(1), PLAIN)
    assert values.tolist() == pytest.approx([0.5 * softplus(-2.0) + 0.5 * softplus(2.0)])
    values.sum().backward()
    assert rewards.grad is not None
    assert rewards.grad[0, 0] < 0 < rewards.grad[0, 1]


def test_a_label_that_is_sure_costs_nothing_for_the_impossible_outcome() -> None:
    assert loss([[1e300, -1e300]]) == [0.0]


@pytest.mark.parametrize("shape", [(3, 1), (1,), (), (3, 2)])
def test_a_margin_that_would_broadcast_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"margin \(M,\), got \(3, 2\), \(3, 2\)"):
        bradley_terry(torch.zeros(3, 2), torch.tensor([[1.0, 0.0]] * 3), torch.zeros(shape), PLAIN)


def test_labels_that_would_broadcast_are_refused() -> None:
    with pytest.raises(ValueError, match="expected rewards and labels"):
        bradley_terry(torch.zeros(3, 2), torch.tensor([[1.0, 0.0]]), torch.zeros(3), PLAIN)


@pytest.mark.parametrize("responses", [1, 3])
def test_only_pairs_are_taken(responses: int) -> None:
    with pytest.raises(ValueError, match=f"takes pairs, got examples with {responses} responses"):
        bradley_terry(torch.zeros(2, responses), torch.zeros(2, responses), torch.zeros(2), PLAIN)
