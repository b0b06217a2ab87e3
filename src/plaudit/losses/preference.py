"""How pair objectives read labels: which response is preferred, with what probability. Knows no loss."""

from __future__ import annotations

import torch

__all__ = ["check_pairs", "mixed", "probability"]

_ROUNDING = 1e-4


def check_pairs(name: str, rewards: torch.Tensor, labels: torch.Tensor, margin: torch.Tensor) -> None:
    """Refuses what is no batch of pairs, and shapes that would broadcast.

    Raises:
        ValueError: says what was expected and what arrived.
    """
    if rewards.shape[1] != 2:
        raise ValueError(f"{name} takes pairs, got examples with {rewards.shape[1]} responses")
    if labels.shape != rewards.shape or margin.shape != rewards.shape[:1]:
        raise ValueError(
            f"expected rewards and labels (M, 2) and margin (M,), got {tuple(rewards.shape)}, {tuple(labels.shape)} "
            f"and {tuple(margin.shape)}"
        )


def probability(labels: torch.Tensor) -> torch.Tensor:
    """(M,) probability that the first response is preferred, from labels (M, 2).

    Two numbers in [0, 1] that add up to 1 are probabilities. Of any others the higher one is preferred, and equal ones
    are a tie, which is 0.5.
    """
    inside = ((labels >= 0) & (labels <= 1)).all(dim=1) & ((labels.sum(dim=1) - 1).abs() < _ROUNDING)
    return torch.where(inside, labels[:, 0], (1 + torch.sign(labels[:, 0] - labels[:, 1])) / 2)


def mixed(first: torch.Tensor, second: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
    """``p * first + (1 - p) * second``, also where the loss of an outcome with probability 0 is huge."""
    zero = torch.zeros_like(first)
    return torch.where(p > 0, p * first, zero) + torch.where(p < 1, (1 - p) * second, zero)
