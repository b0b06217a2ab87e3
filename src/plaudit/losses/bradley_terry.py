"""The Bradley-Terry loss of a preference pair, with hard labels, soft ones and ties."""

from __future__ import annotations

import torch
from torch.nn.functional import logsigmoid

from plaudit.losses.base import OBJECTIVES, LossOptions
from plaudit.losses.preference import check_pairs, mixed, probability

__all__ = ["bradley_terry"]


@OBJECTIVES.register("bradley_terry")
def bradley_terry(
    rewards: torch.Tensor, labels: torch.Tensor, margin: torch.Tensor, options: LossOptions
) -> torch.Tensor:
    """Negative log-likelihood that the preferred response wins, one value per pair.

    With l(d) = -(1 - e) log sigmoid(d) - e log sigmoid(-d), smoothing e, and p the probability that a is preferred:

        loss = p l(r_a - r_b - margin) + (1 - p) l(r_b - r_a - margin) + c (r_a + r_b)^2

    For a hard label p is 1 or 0. A soft one gives the cross-entropy against it, whose minimum is where the model's own
    probability, the sigmoid of the gap, is p; a tie (p = 0.5) pulls the two rewards together.

    Args:
        rewards: (M, 2) float32.
        labels: (M, 2) probabilities that add up to 1; of other numbers the higher one is preferred, equal ones tie.
        margin: (M,) how much better it has to be (Touvron et al. 2023, arXiv:2307.09288, eq. 2).
        options: e = ``label_smoothing`` (Mitchell 2023, "A note on DPO with noisy preferences", eq. 3), c =
            ``center_rewards`` (Eisenstein et al. 2023, arXiv:2312.09244, eq. 2).

    Returns:
        (M,) float32, >= 0.

    Raises:
        ValueError: K is not 2, or shapes that would broadcast.
    """
    check_pairs("bradley_terry", rewards, labels, margin)
    gap = rewards[:, 0] - rewards[:, 1]
    loss = mixed(_smoothed(gap - margin, options), _smoothed(-gap - margin, options), probability(labels))
    if options.center_rewards:
        loss = loss + options.center_rewards * rewards.sum(dim=1).square()
    return loss


def _smoothed(gap: torch.Tensor, options: LossOptions) -> torch.Tensor:
    loss = -logsigmoid(gap)
    if options.label_smoothing:
        loss = (1 - options.label_smoothing) * loss - options.label_smoothing * logsigmoid(-gap)
    return loss
