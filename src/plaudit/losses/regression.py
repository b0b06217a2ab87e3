"""Regression on ratings: one response, one number."""

from __future__ import annotations

import torch

from plaudit.losses.base import OBJECTIVES, LossOptions, reads

__all__ = ["regression"]


@OBJECTIVES.register("regression")
@reads("ratings")
def regression(rewards: torch.Tensor, labels: torch.Tensor, margin: torch.Tensor, options: LossOptions) -> torch.Tensor:
    """Squared error in units of the ratings' standard deviation, one value per rating.

        loss = ((r + m - y) / s)^2

    with m = ``options.label_shift`` and s = ``options.label_scale``: a model that always answers the mean rating has a
    mean loss of 1, whatever the scale of the ratings is.

    Args:
        rewards: (M, 1) float32.
        labels: (M, 1) the ratings y.
        margin: (M,) zeros: a rating has none.
        options: shift and scale.

    Returns:
        (M,) float32, >= 0.

    Raises:
        ValueError: K is not 1, shapes that would broadcast, or a margin.
    """
    if rewards.shape[1] != 1:
        raise ValueError(f"regression takes ratings, got examples with {rewards.shape[1]} responses")
    if labels.shape != rewards.shape or margin.shape != rewards.shape[:1]:
        raise ValueError(
            f"expected rewards and labels (M, 1) and margin (M,), got {tuple(rewards.shape)}, {tuple(labels.shape)} "
            f"and {tuple(margin.shape)}"
        )
    return ((rewards + options.label_shift - labels) / options.label_scale).square()[:, 0]
