"""The settings that suit a base model, where the user chose none. They are printed when a run starts."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedModel

from plaudit.losses import Rows

__all__ = ["default_attention", "default_max_length", "default_training", "supports_bf16"]


def supports_bf16(device: torch.device) -> bool:
    """True where bfloat16 products are faster than float32 ones, not merely possible."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    if device.type == "cpu":
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        return any(bool(getattr(torch.cpu, probe, lambda: False)()) for probe in probes)
    return False


def default_max_length(model: PreTrainedModel, *, encoder: bool, limit: int | None) -> int:
    """256 tokens for a small encoder, 512 for a larger one, 2048 for a decoder; never more than the model takes."""
    wanted = (256 if model.num_parameters() < 60e6 else 512) if encoder else 2048
    return min(wanted, limit or wanted)


def default_attention(*, encoder: bool, device: torch.device, max_length: int) -> str | None:
    """The attention that trains fastest, or None for transformers' own choice.

    On a CPU the backward pass of scaled-dot-product attention under bfloat16 takes longer than all products of a small
    encoder together; the plain attention does not, and short texts have the memory.
    """
    if encoder and device.type == "cpu" and max_length <= 256 and supports_bf16(device):
        return "eager"
    return None


def default_training(
    model: PreTrainedModel,
    *,
    encoder: bool,
    fresh_head: bool,
    adapter: bool,
    device: torch.device,
    pairs: int | None,
    held_out: bool,
    rows: Rows = "pairs",
) -> dict[str, Any]:
    """Fields of RewardConfig for a base model.

    Encoders learn from few pairs with a high rate, a fresh head with one 20 times as high (it learns from the first
    steps on instead of after a hundred), and keep their dropout; decoders want a rate that falls with their size.
    Adapters take ten times the rate of whole weights (Schulman et al. 2025, LoRA Without Regret). Small data gets more
    epochs, up to 3, so that a run has at least about 250 steps; ratings, whose scale has to be learnt as well, up to 10
    and 600 steps.

    Args:
        model: the base.
        encoder: it pools by itself (BERT and the like).
        fresh_head: the head was initialised just now.
        adapter: adapters are trained instead of the weights.
        device: where it trains.
        pairs: training pairs, None where unknown (streaming).
        held_out: there is an evaluation set.
        rows: pairs, ratings or rankings.
    """
    size = model.num_parameters()
    if encoder:
        rate = 5e-5 if size < 60e6 else 3e-5
    else:
        rate = 2e-5 if size < 1e9 else 1e-5 if size < 4e9 else 5e-6
    batch = 16
    steps_per_epoch = -(-(pairs or 10**9) // batch)
    steps, most_epochs = (600, 10) if rows == "ratings" else (250, 3)
    bf16 = supports_bf16(device)
    return {
        "learning_rate": 10 * rate if adapter else rate,
        "head_learning_rate": 20 * rate if encoder and fresh_head else None,
        "num_train_epochs": min(most_epochs, max(1, round(steps / steps_per_epoch))),
        "per_device_train_batch_size": batch,
        "per_device_eval_batch_size": 16,
        "warmup_steps": 0.1,
        "weight_decay": 0.01,
        "disable_dropout": not encoder,
        "lr_scheduler_type": "linear",
        "bf16": bf16,
        "gradient_checkpointing": size >= 1e9,
        "torch_empty_cache_steps": 1 if device.type == "mps" else None,
        "eval_strategy": "epoch" if held_out else "no",
        "save_strategy": "epoch" if pairs is not None else "no",
        "save_total_limit": 2,
        "logging_steps": 10 if pairs is None else max(1, min(10, steps_per_epoch // 5)),
    }
