"""What several processes ask of a trainer that cuts its optimizer step into micro-batches itself.

DDP needs nothing but gradients that stay local until the last micro-batch. FSDP and DeepSpeed communicate in every
forward and backward pass, so all ranks must make equally many. Knows nothing about losses.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType

from plaudit.errors import ConfigError

__all__ = ["check_sharding", "in_step", "is_main_process", "is_sharded", "local_gradients", "wait_for_all"]


def is_main_process() -> bool:
    """True for the process that speaks and writes: the only one, or the first that a launcher started."""
    return os.environ.get("RANK", "0") == "0"


def wait_for_all() -> None:
    """Returns when all processes are here; at once where there is one, or where none has met the others yet."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()


def is_sharded(accelerator: Accelerator) -> bool:
    """True where weights, gradients or optimizer states are spread over the ranks (FSDP, DeepSpeed)."""
    return accelerator.distributed_type in (DistributedType.FSDP, DistributedType.DEEPSPEED)


def check_sharding(accelerator: Accelerator) -> None:
    """Refuses what would train but could not be saved, and keeps rewards in float32 under FSDP's mixed precision.

    Raises:
        ConfigError: FSDP of version 1 or without full state dicts; ZeRO-3 that does not gather its weights to save.
    """
    if accelerator.distributed_type == DistributedType.FSDP:
        plugin = accelerator.state.fsdp_plugin
        if plugin.fsdp_version != 2:
            raise ConfigError(f"fsdp_version: expected 2, got {plugin.fsdp_version}; FSDP1 is deprecated")
        if "FULL_STATE_DICT" not in str(plugin.state_dict_type):
            raise ConfigError(
                f"fsdp_state_dict_type: expected FULL_STATE_DICT, got {plugin.state_dict_type}; without it no "
                "checkpoint would be a reward model that loads"
            )
        if plugin.mixed_precision_policy is not None:
            plugin.mixed_precision_policy = dataclasses.replace(
                plugin.mixed_precision_policy, reduce_dtype=torch.float32, output_dtype=torch.float32
            )
    if accelerator.distributed_type == DistributedType.DEEPSPEED:
        plugin = accelerator.state.deepspeed_plugin
        key = "zero_optimization.stage3_gather_16bit_weights_on_model_save"
        if plugin.zero_stage == 3 and not plugin.hf_ds_config.is_true(key):
            raise ConfigError(f"DeepSpeed ZeRO-3: set {key} to true; without it there are no whole weights to save")


def in_step(accelerator: Accelerator, micro_batches: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The micro-batches of this rank, and as many stand-ins that count nothing as the busiest rank has more.

    Stand-ins are added only where every pass communicates: FSDP, DeepSpeed, and ``sync_each_batch``.
    """
    batches = list(micro_batches)
    if accelerator.num_processes == 1 or not (is_sharded(accelerator) or _syncs_each_batch(accelerator)):
        return batches
    counts: torch.Tensor = accelerator.gather(torch.tensor([len(batches)], device=accelerator.device))
    smallest = min(batches, key=lambda batch: int(batch["input_ids"].numel()))
    idle = {**smallest, "counted": torch.zeros_like(smallest["counted"])}
    return [*[idle] * (int(counts.max()) - len(batches)), *batches]


def local_gradients(accelerator: Accelerator, model: torch.nn.Module) -> contextlib.AbstractContextManager[Any]:
    """For all micro-batches but the last: gradients add up on their rank, unless each is to be synchronised.

    DeepSpeed keeps that account itself: it is told by accelerate's ``sync_gradients`` which backward ends the step.
    """
    if _syncs_each_batch(accelerator) or accelerator.distributed_type == DistributedType.DEEPSPEED:
        return contextlib.nullcontext()
    context: contextlib.AbstractContextManager[Any] = accelerator.no_sync(model)
    return context


def _syncs_each_batch(accelerator: Accelerator) -> bool:
    return bool(accelerator.gradient_state.plugin_kwargs.get("sync_each_batch", False))
