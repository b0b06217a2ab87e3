"""The Bradley-Terry loss of a preference pair."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from plaudit.losses.base import OBJECTIVES, LossOptions

__all__ = ["bradley_terry"]


@OBJECTIVES.register("bradley_terry")
def bradley_terry(
    rewards: torch.Tensor, labels: torch.Tensor, margin: torch.Tensor, options: LossOptions
) -> torch.Tensor:
    """Negative log-likelihood that the preferred response wins, one value per pair.

    With d = r_preferred - r_other - margin and smoothing e:

        loss = -(1 - e) log sigmoid(d) - e log sigmoid(-d) + c (r_preferred + r_other)^2

    Args:
        rewards: (M, 2) float32.
        labels: (M, 2); the response with the higher label is the preferred one. Equal labels prefer neither: their
            rewards get no gradient.
        margin: (M,) how much better it has to be (Touvron et al. 2023, arXiv:2307.09288, eq. 2).
        options: e = ``label_smoothing`` (Mitchell 2023, "A note on DPO with noisy preferences", eq. 3), c =
            ``center_rewards`` (Eisenstein et al. 2023, arXiv:2312.09244, eq. 2).

    Returns:
        (M,) float32, >= 0.

    Raises:
        ValueError: K is not 2, or shapes that would broadcast.
    """
    if rewards.shape[1] != 2:
        raise ValueError(f"bradley_terry takes pairs, got examples with {rewards.shape[1]} responses")
    if labels.shape != rewards.shape or margin.shape != rewards.shape[:1]:
        raise ValueError(
            f"expected rewards and labels (M, 2) and margin (M,), got {tuple(rewards.shape)}, {tuple(labels.shape)} "
            f"and {tuple(margin.shape)}"
        )
    sign = torch.sign(labels[:, 0] - labels[:, 1])
    difference = sign * (rewards[:, 0] - rewards[:, 1]) - margin
    loss = -logsigmoid(difference)
    if options.label_smoothing:
        loss = (1 - options.label_smoothing) * loss - options.label_smoothing * logsigmoid(-difference)
    if options.center_rewards:
        loss = loss + options.center_rewards * rewards.sum(dim=1).square()
    return loss
