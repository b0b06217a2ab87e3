"""One step's answers with all that is learnt from them. Knows nothing of optimizers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from plaudit.rl.policy import Answers
from plaudit.rl.ppo.actor_critic import collate
from plaudit.rl.ppo.arithmetic import gae, masked_mean, masked_whiten, per_token_rewards

__all__ = ["Rollout", "by_length", "read", "with_advantages"]


@dataclass
class Rollout:
    """N answers, T tokens of the longest; every tensor [N, T] on the CPU's or the policy's device.

    Attributes:
        answers: prompts and answers as token ids.
        mask: true on an answer's own tokens.
        log_probs: of the policy that gave the answers, at its temperature.
        start_log_probs: of the policy at the start of training.
        values: the critic's.
        advantages, returns: what the policy and the critic learn from.
    """

    answers: Answers
    mask: Tensor
    log_probs: Tensor
    start_log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    @property
    def kl(self) -> Tensor:
        """log pi(token) - log pi_start(token), 0 behind an answer."""
        return torch.where(self.mask, self.log_probs - self.start_log_probs, 0)


def by_length(answers: Answers, rows: Sequence[int], size: int) -> list[list[int]]:
    """Rows in groups of ``size``, those of similar length together, so that little is padded."""
    order = sorted(rows, key=lambda i: (len(answers.prompts[i]) + len(answers.ids[i]), i))
    return [order[start : start + size] for start in range(0, len(order), size)]


@torch.no_grad()
def read(
    answers: Answers,
    module: nn.Module,
    start_log_probs: Callable[..., Tensor],
    *,
    pad: int,
    device: torch.device,
    batch_size: int,
) -> Rollout:
    """Log-probabilities and values of N answers.

    Args:
        answers: what was sampled.
        module: an `ActorCritic`.
        start_log_probs: from a `Batch` to (B, T) log-probabilities of the policy as it was at the start.
        pad: a token id that fills batches.
        device: where the tensors are.
        batch_size: answers side by side.
    """
    shape = (len(answers), max(map(len, answers.ids)))
    mask = torch.zeros(shape, dtype=torch.bool, device=device)
    found = [torch.zeros(shape, device=device) for _ in range(3)]
    for rows in by_length(answers, range(len(answers)), batch_size):
        batch = collate(answers.prompts, answers.ids, rows, pad, device)
        log_probs, values = module(batch)
        mask[rows, : batch.length] = batch.answered
        for whole, part in zip(found, (log_probs, start_log_probs(batch), values), strict=True):
            whole[rows, : batch.length] = torch.where(batch.answered, part, 0)
    empty = torch.zeros(shape, device=device)
    log_probs, start, values = found
    return Rollout(answers, mask, log_probs, start, values, empty, empty)


def with_advantages(
    rollout: Rollout,
    scores: Tensor,
    *,
    kl_coef: float,
    gamma: float,
    lam: float,
    whiten: bool,
    over_ranks: Callable[[Tensor], Tensor],
) -> None:
    """Sets advantages and returns.

    Args:
        rollout: N answers.
        scores: [N] normalized scores, penalties taken off.
        kl_coef: price of a nat.
        gamma, lam: of GAE.
        whiten: advantages to mean 0 and variance 1 over the tokens of all ranks.
        over_ranks: sums a tensor over the ranks.
    """
    mask = rollout.mask
    rewards = per_token_rewards(scores, rollout.kl, mask, kl_coef)
    advantages, rollout.returns = gae(rewards, rollout.values, mask, gamma, lam)
    if whiten:
        count = over_ranks(mask.sum().float())
        mean = over_ranks(advantages.sum()) / count
        variance = over_ranks((torch.where(mask, advantages - mean, 0) ** 2).sum()) / count
        advantages = masked_whiten(advantages, mask, (mean, variance))
    rollout.advantages = advantages


def explained_variance(rollout: Rollout) -> float:
    """1 - Var(returns - values) / Var(returns) over the tokens; 0 where the returns are all equal."""
    mask, returns = rollout.mask, rollout.returns
    spread = masked_mean((returns - masked_mean(returns, mask)) ** 2, mask)
    error = returns - rollout.values
    left = masked_mean((error - masked_mean(error, mask)) ** 2, mask)
    return float(1 - left / spread) if spread > 1e-12 else 0.0
