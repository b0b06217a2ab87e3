"""Pair losses with an outcome of its own for ties: Davidson's and Rao and Kupper's extensions of Bradley-Terry.

Under Bradley-Terry a tie is a label of 0.5, and a model can only answer it with equal rewards. These two say how
probable a tie is: the nearer two rewards are, the more. A pair whose labels are equal is a tie; a soft label mixes the
two outcomes with a winner.
"""

from __future__ import annotations

import math

import torch
from torch.nn.functional import logsigmoid

from plaudit.losses.base import OBJECTIVES, LossOptions
from plaudit.losses.preference import check_pairs, mixed, probability

__all__ = ["davidson", "rao_kupper"]


@OBJECTIVES.register("davidson")
def davidson(rewards: torch.Tensor, labels: torch.Tensor, margin: torch.Tensor, options: LossOptions) -> torch.Tensor:
    """Negative log-likelihood of win, loss or tie (Davidson 1970, "On extending the Bradley-Terry model to accommodate
    ties", section 2), one value per pair.

    With d = r_a - r_b and nu = 2 t / (1 - t), so that two equally good responses tie with probability t:

        P(a), P(b), P(tie) = (e^(d / 2), e^(-d / 2), nu) / (e^(d / 2) + e^(-d / 2) + nu)

    Args:
        rewards: (M, 2) float32.
        labels: (M, 2) probabilities that add up to 1 (of other numbers the higher one is preferred); equal: a tie.
        margin: (M,) how much better a winner has to be; a tie has none.
        options: t = ``tie_rate``; ``label_smoothing`` and ``center_rewards`` as in `bradley_terry`.

    Returns:
        (M,) float32, >= 0 (with smoothing and centering too).

    Raises:
        ValueError: K is not 2, or shapes that would broadcast.
    """
    check_pairs("davidson", rewards, labels, margin)
    log_nu = math.log(2 * options.tie_rate / (1 - options.tie_rate))

    def outcomes(gap: torch.Tensor) -> torch.Tensor:
        return torch.log_softmax(torch.stack([gap / 2, -gap / 2, torch.full_like(gap, log_nu)]), dim=0)

    gap = rewards[:, 0] - rewards[:, 1]
    return _loss(outcomes(gap - margin)[:2], outcomes(gap + margin)[:2], outcomes(gap)[2], rewards, labels, options)


@OBJECTIVES.register("rao_kupper")
def rao_kupper(rewards: torch.Tensor, labels: torch.Tensor, margin: torch.Tensor, options: LossOptions) -> torch.Tensor:
    """Negative log-likelihood of win, loss or tie (Rao & Kupper 1967, "Ties in paired-comparison experiments", section
    2), one value per pair.

    With d = r_a - r_b and eta = log((1 + t) / (1 - t)), so that two equally good responses tie with probability t:

        P(a) = sigmoid(d - eta),  P(b) = sigmoid(-d - eta),  P(tie) = (e^(2 eta) - 1) P(a) P(b)

    Args:
        rewards: (M, 2) float32.
        labels: (M, 2) probabilities that add up to 1 (of other numbers the higher one is preferred); equal: a tie.
        margin: (M,) how much better a winner has to be; a tie has none.
        options: t = ``tie_rate``; ``label_smoothing`` and ``center_rewards`` as in `bradley_terry`.

    Returns:
        (M,) float32, >= 0 (with smoothing and centering too).

    Raises:
        ValueError: K is not 2, or shapes that would broadcast.
    """
    check_pairs("rao_kupper", rewards, labels, margin)
    eta = math.log((1 + options.tie_rate) / (1 - options.tie_rate))

    def wins(gap: torch.Tensor) -> torch.Tensor:
        return torch.stack([logsigmoid(gap - eta), logsigmoid(-gap - eta)])

    gap = rewards[:, 0] - rewards[:, 1]
    tie = math.log(math.expm1(2 * eta)) + wins(gap).sum(dim=0)
    return _loss(wins(gap - margin), wins(gap + margin), tie, rewards, labels, options)


def _loss(
    if_first: torch.Tensor,
    if_second: torch.Tensor,
    tie: torch.Tensor,
    rewards: torch.Tensor,
    labels: torch.Tensor,
    options: LossOptions,
) -> torch.Tensor:
    """From log-probabilities: (2, M) of a and b winning, with the margin against a and against b, and (M,) of a tie."""
    e = options.label_smoothing
    first = -(1 - e) * if_first[0] - (e * if_first[1] if e else 0.0)
    second = -(1 - e) * if_second[1] - (e * if_second[0] if e else 0.0)
    loss = torch.where(labels[:, 0] == labels[:, 1], -tie, mixed(first, second, probability(labels)))
    if options.center_rewards:
        loss = loss + options.center_rewards * rewards.sum(dim=1).square()
    return loss
