"""The clipped steps on one rollout: passes, mini-batches, micro-batches. A loss is divided once, by all its tokens."""

from __future__ import annotations

from collections import defaultdict
from contextlib import nullcontext
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from plaudit.rl.ppo.actor_critic import collate
from plaudit.rl.ppo.arithmetic import clipped_policy_loss, clipped_value_loss
from plaudit.rl.ppo.rollout import Rollout, by_length
from plaudit.rl.ppo.settings import PPOSettings

__all__ = ["update"]


def update(
    module: nn.Module,
    optimizer: torch.optim.Optimizer,
    rollout: Rollout,
    settings: PPOSettings,
    accelerator: Accelerator,
    *,
    pad: int,
    seed: int,
) -> dict[str, float]:
    """Learns from one rollout.

    The answers are shuffled anew for every pass. A mini-batch is one optimizer step; its loss is the mean over all its
    tokens on all ranks, whatever its micro-batches are.

    Args:
        module: an `ActorCritic`, prepared by accelerate.
        optimizer: of everything that is trained.
        rollout: with advantages.
        settings: how.
        accelerator: knows the ranks.
        pad: a token id that fills batches.
        seed: of the shuffling.

    Returns:
        Means over the step's tokens and updates: policy_loss, value_loss, policy_clipped, value_clipped, update_kl
        (1/2 E[(new - old)^2]), grad_norm; first_ratio_error: how far the first mini-batch's ratios are from 1.
    """
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=rollout.mask.device))
    norms, tokens, first = [], torch.zeros((), device=rollout.mask.device), torch.zeros(())
    total = len(rollout.answers)
    size = -(-total // settings.mini_batches)
    for epoch in range(settings.ppo_epochs):
        generator = torch.Generator().manual_seed(seed + epoch)
        order = torch.randperm(total, generator=generator).tolist()
        for start in range(0, total, size):
            chosen = order[start : start + size]
            count = accelerator.reduce(rollout.mask[chosen].sum().float(), reduction="sum")
            parts = by_length(rollout.answers, chosen, settings.micro_batch_size)
            for number, rows in enumerate(parts):
                last = number == len(parts) - 1
                with nullcontext() if last else accelerator.no_sync(module):
                    losses, ratio_error = _losses(module, rollout, rows, settings, pad)
                    loss = losses["policy_loss"] + settings.value_coef * losses["value_loss"]
                    # data-parallel wrappers average over the ranks, and the mean is over all of their tokens
                    accelerator.backward(loss * (accelerator.num_processes / count))
                for name, value in losses.items():
                    sums[name] += value.detach()
                if epoch == 0 and start == 0:
                    first = torch.maximum(first, ratio_error.cpu())
            tokens += rollout.mask[chosen].sum()
            norms.append(accelerator.clip_grad_norm_(module.parameters(), settings.max_grad_norm))
            optimizer.step()
            optimizer.zero_grad()
    everything = accelerator.reduce(tokens, reduction="sum")
    figures: dict[str, Any] = {n: float(accelerator.reduce(v, reduction="sum") / everything) for n, v in sums.items()}
    return figures | {
        "grad_norm": float(sum(float(norm) for norm in norms) / len(norms)),
        "first_ratio_error": float(first),
    }


def _losses(
    module: nn.Module, rollout: Rollout, rows: list[int], settings: PPOSettings, pad: int
) -> tuple[dict[str, Tensor], Tensor]:
    """Sums over the tokens of some rows, and their largest |ratio - 1|."""
    batch = collate(rollout.answers.prompts, rollout.answers.ids, rows, pad, rollout.mask.device)
    new, values = module(batch)
    here = batch.answered
    old = rollout.log_probs[rows, : batch.length]
    policy, policy_clipped = clipped_policy_loss(new, old, rollout.advantages[rows, : batch.length], settings.cliprange)
    value, value_clipped = clipped_value_loss(
        values,
        rollout.values[rows, : batch.length],
        rollout.returns[rows, : batch.length],
        settings.cliprange_value,
    )
    change = (new - old).detach()
    sums = {
        "policy_loss": policy,
        "value_loss": value,
        "policy_clipped": policy_clipped.float(),
        "value_clipped": value_clipped.float(),
        "update_kl": 0.5 * change**2,
    }
    error = torch.where(here, (change.exp() - 1).abs(), 0).max()
    return {name: torch.where(here, values, 0).sum() for name, values in sums.items()}, error
