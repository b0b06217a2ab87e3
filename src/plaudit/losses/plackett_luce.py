"""The Plackett-Luce loss of a ranking: K responses to one prompt, in order."""

from __future__ import annotations

import torch

from plaudit.losses.base import OBJECTIVES, LossOptions, reads

__all__ = ["plackett_luce"]


@OBJECTIVES.register("plackett_luce")
@reads("rankings")
def plackett_luce(
    rewards: torch.Tensor, labels: torch.Tensor, margin: torch.Tensor, options: LossOptions
) -> torch.Tensor:
    """Negative log-likelihood of the order, per choice, one value per ranking.

    The best response is chosen from all, the second from those that are left, and so on (Luce 1959; Plackett 1975, "The
    analysis of permutations", section 3; listwise in Xia et al. 2008, ListMLE):

        loss = 1 / n  sum_i [log sum_{j: y_j <= y_i} exp(r_j) - r_i] + c (2 mean r)^2

    over the n responses that are not in last place. For two responses this is the Bradley-Terry loss. Responses with
    equal labels y are each chosen among all that are not better (Breslow's form); those that share the last place say
    nothing about each other, so a ranking may name the best few and leave the rest unordered. Rankings of one place
    only have the loss 0.

    Args:
        rewards: (M, K) float32.
        labels: (M, K) the higher the better; only their order is read.
        margin: (M,) zeros: a ranking has none.
        options: c = ``center_rewards``.

    Returns:
        (M,) float32, >= 0.

    Raises:
        ValueError: K is below 2, or shapes that would broadcast.
    """
    if rewards.shape[1] < 2:
        raise ValueError(f"plackett_luce takes rankings, got examples with {rewards.shape[1]} response")
    if labels.shape != rewards.shape or margin.shape != rewards.shape[:1]:
        raise ValueError(
            f"expected rewards and labels (M, K) and margin (M,), got {tuple(rewards.shape)}, {tuple(labels.shape)} "
            f"and {tuple(margin.shape)}"
        )
    not_better = labels[:, None, :] <= labels[:, :, None]  # [M, i, j]: j may be chosen where i was
    left = rewards[:, None, :].expand(not_better.shape).masked_fill(~not_better, -torch.inf).logsumexp(dim=2)
    chosen = (labels > labels.amin(dim=1, keepdim=True)).to(rewards.dtype)
    loss = ((left - rewards) * chosen).sum(dim=1) / chosen.sum(dim=1).clamp(min=1)
    if options.center_rewards:
        loss = loss + options.center_rewards * (2 * rewards.mean(dim=1)).square()
    return loss
