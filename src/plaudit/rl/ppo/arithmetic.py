"""The formulas of PPO for answers of unequal length, as functions of tensors. Knows nothing of models or texts.

Shapes: ``[B, T]``: B answers, T tokens of the longest; ``mask`` is true on an answer's own tokens, its end token among
them, which lie at the front of its row. What lies behind them never changes a result.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "AdaptiveKL",
    "RewardScale",
    "clipped_policy_loss",
    "clipped_value_loss",
    "gae",
    "masked_mean",
    "masked_whiten",
    "per_token_rewards",
    "picked_log_probs",
]


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """The mean over the tokens of a mask, ()."""
    return torch.where(mask, values, 0).sum() / mask.sum()


def masked_whiten(values: Tensor, mask: Tensor, moments: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """Mean 0 and variance 1 over the tokens of a mask, 0 elsewhere, [B, T].

    ``moments``: mean and variance to use instead, those of all ranks together. The variance divides by the number of
    tokens, so that a single one is no division by zero.
    """
    if moments is None:
        mean = masked_mean(values, mask)
        moments = mean, masked_mean((values - mean) ** 2, mask)
    mean, variance = moments
    return torch.where(mask, (values - mean) * torch.rsqrt(variance + 1e-8), 0)


def picked_log_probs(logits: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    """log softmax(logits / temperature) at the tokens, [B, T], in float32.

    The temperature of sampling belongs in every log-probability: the policy that acted is the tempered one.

    Args:
        logits: [B, T, V].
        tokens: [B, T].
    """
    scaled = logits.float() / temperature
    picked = scaled.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return picked - scaled.logsumexp(-1)


def per_token_rewards(scores: Tensor, kl: Tensor, mask: Tensor, kl_coef: float) -> Tensor:
    """-kl_coef * KL on every token, and the score on the last one, [B, T] (Ziegler et al. 2019, eq. 2).

    Args:
        scores: [B] one score an answer; it belongs to the last real token (the end token where there is one), not to
            the position after it.
        kl: [B, T] log pi(token) - log pi_start(token), the estimator k1 (unbiased; Schulman 2020, "Approximating KL").
    """
    rewards = torch.where(mask, -kl_coef * kl, 0)
    last = mask.sum(1) - 1
    rewards[torch.arange(len(scores)), last] += scores
    return rewards


def gae(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> tuple[Tensor, Tensor]:
    """Generalized advantage estimation (Schulman et al. 2016, eq. 16) and returns, both [B, T], 0 behind an answer.

    delta_t = r_t + gamma V_{t+1} - V_t,  A_t = delta_t + gamma lambda A_{t+1}; an answer ends for good with its last
    token, so V and A are 0 there after, whether it ended by itself or was cut off.
    """
    advantages = torch.zeros_like(rewards)
    next_value, next_advantage = torch.zeros_like(rewards[:, 0]), torch.zeros_like(rewards[:, 0])
    for t in reversed(range(rewards.shape[1])):
        delta = rewards[:, t] + gamma * next_value - values[:, t]
        advantage = delta + gamma * lam * next_advantage
        next_advantage = torch.where(mask[:, t], advantage, 0)
        next_value = torch.where(mask[:, t], values[:, t], 0)
        advantages[:, t] = next_advantage
    return advantages, torch.where(mask, advantages + values, 0)


def clipped_policy_loss(new: Tensor, old: Tensor, advantages: Tensor, cliprange: float) -> tuple[Tensor, Tensor]:
    """max(-A r, -A clip(r, 1 ± c)) with r = exp(new - old), one value a token (Schulman et al. 2017, eq. 7).

    Returns:
        The losses [B, T], and whether the clipped one counts [B, T].
    """
    ratio = torch.exp(new - old)
    plain = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - cliprange, 1 + cliprange)
    return torch.maximum(plain, clipped), clipped > plain


def clipped_value_loss(values: Tensor, old: Tensor, returns: Tensor, cliprange: float | None) -> tuple[Tensor, Tensor]:
    """1/2 max((V - R)^2, (clip(V, V_old ± c) - R)^2), one value a token (Schulman et al., the code of PPO, 2017).

    Returns:
        The losses [B, T], and whether the clipped one counts [B, T].
    """
    plain = (values - returns) ** 2
    if cliprange is None:
        return 0.5 * plain, torch.zeros_like(plain, dtype=torch.bool)
    clipped = (old + (values - old).clamp(-cliprange, cliprange) - returns) ** 2
    return 0.5 * torch.maximum(plain, clipped), clipped > plain


@dataclass
class AdaptiveKL:
    """The price of KL, steered to a target (Ziegler et al. 2019, section 2.2).

    e = clip((KL - target) / target, ±0.2),  coefficient *= 1 + gain e

    Attributes:
        coefficient: price of a nat.
        target: nats an answer; None: the coefficient stays.
        gain: K_beta there.
    """

    coefficient: float
    target: float | None
    gain: float = 0.1

    def update(self, kl: float) -> None:
        """After a step with this mean KL of an answer."""
        if self.target is not None:
            error = min(max((kl - self.target) / self.target, -0.2), 0.2)
            self.coefficient *= 1 + self.gain * error


class RewardScale:
    """Scores to mean 0 and deviation 1.

    ``start``: by the first batch that is seen, for good, so that a rising reward stays visible and the critic's target
    does not drift; ``running``: by all that were seen so far (Chan et al. 1982, parallel moments); ``none``: as they
    are.
    """

    def __init__(self, how: str, clip: float | None = None) -> None:
        self.how, self.clip = how, clip
        self.count, self.mean, self.square = 0.0, 0.0, 0.0

    @property
    def deviation(self) -> float:
        """What scores are divided by; 1 before any was seen, or where all were equal."""
        deviation = (self.square / self.count) ** 0.5 if self.count else 1.0
        return deviation if deviation > 1e-8 else 1.0

    def see(self, count: float, mean: float, square: float) -> None:
        """Takes in ``count`` scores with this mean and sum of squared deviations."""
        if self.how == "none" or (self.how == "start" and self.count):
            return
        total = self.count + count
        shift = mean - self.mean
        self.square += square + shift * shift * self.count * count / total
        self.mean += shift * count / total
        self.count = total

    def __call__(self, scores: Tensor) -> Tensor:
        if self.how == "none":
            return scores
        scaled = (scores - self.mean) / self.deviation
        return scaled if self.clip is None else scaled.clamp(-self.clip, self.clip)

    def state(self) -> dict[str, Any]:
        return {"count": self.count, "mean": self.mean, "square": self.square}

    def load(self, state: dict[str, Any]) -> None:
        self.count, self.mean, self.square = state["count"], state["mean"], state["square"]
