"""What every objective promises, those of later files included."""

from __future__ import annotations

import pytest
import torch

from plaudit.errors import ConfigError
from plaudit.losses import OBJECTIVES, LossOptions, rows_of

RESPONSES = {"pairs": 2, "ratings": 1, "rankings": 4}
ORDERS = torch.tensor([[1.0, 0.0, -1.0, -2.0], [0.0, 1.0, 3.0, 2.0]] * 3)
OPTIONS = [LossOptions(), LossOptions(center_rewards=0.01), LossOptions(label_smoothing=0.1)]


@pytest.mark.parametrize("name", OBJECTIVES.names())
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_an_objective_gives_one_finite_float32_value_per_example(
    name: str, options: LossOptions, count: int, scale: float
) -> None:
    torch.manual_seed(0)
    k = RESPONSES[rows_of(OBJECTIVES.get(name))]
    rewards = (torch.randn(count, k) * scale).requires_grad_()
    labels = ORDERS[:count, :k]
    values = OBJECTIVES.get(name)(rewards, labels, torch.randn(count), options)
    assert values.shape == (count,)
    assert values.dtype == torch.float32
    assert values.isfinite().all()
    values.sum().backward()
    assert rewards.grad is not None
    assert rewards.grad.isfinite().all()
    assert scale > 10 or (rewards.grad != 0).all()


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_an_example_does_not_see_the_others(name: str) -> None:
    torch.manual_seed(0)
    loss = OBJECTIVES.get(name)
    k = RESPONSES[rows_of(loss)]
    rewards, margin = torch.randn(5, k), torch.rand(5)
    labels = ORDERS[:5, :k]
    together = loss(rewards, labels, margin, LossOptions())
    alone = [loss(rewards[i : i + 1], labels[i : i + 1], margin[i : i + 1], LossOptions()) for i in range(5)]
    torch.testing.assert_close(together, torch.cat(alone))


@pytest.mark.parametrize("name", OBJECTIVES.names())
def test_the_order_of_the_responses_does_not_matter(name: str) -> None:
    torch.manual_seed(0)
    loss = OBJECTIVES.get(name)
    k = RESPONSES[rows_of(loss)]
    rewards, labels, margin = torch.randn(4, k), ORDERS[:1, :k].expand(4, k), torch.rand(4)
    torch.testing.assert_close(
        loss(rewards, labels, margin, LossOptions()), loss(rewards.flip(1), labels.flip(1), margin, LossOptions())
    )


def test_an_unknown_objective_is_suggested() -> None:
    with pytest.raises(ConfigError, match="did you mean 'bradley_terry'"):
        OBJECTIVES.get("bradley-terry")
