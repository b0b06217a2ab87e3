"""How many tokens a micro-batch may hold: found from the free memory of the device, halved where that was too much."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from plaudit.errors import EngineError

__all__ = ["FIXED_TOKENS", "TokenBudget", "cuda_tokens", "find_tokens"]

logger = logging.getLogger(__name__)

CPU_TOKENS = {"packed": 2048, "padded": 1024}
"""A CPU is fastest in micro-batches of about this size: its caches hold the activations of a layer."""
FIXED_TOKENS = 8192
"""Where the free memory cannot be asked for (MPS), or every process would have to find the same (FSDP, DeepSpeed)."""
SAFETY = 0.85
"""Of the memory that is free, what micro-batches may take."""

ADVICE = "lower max_length, or save memory with gradient_checkpointing, LoRA or bf16"


class TokenBudget:
    """The budget of a run.

    Args:
        tokens: the most tokens in a micro-batch, padding included; None: no limit (padded batches, which
            ``per_device_train_batch_size`` limits), or not found yet.
    """

    def __init__(self, tokens: int | None) -> None:
        self.tokens = tokens

    @classmethod
    def for_device(cls, given: int | None, device: torch.device, *, packed: bool) -> TokenBudget:
        """The user's, or the device's; on CUDA it is found before the first step."""
        if given is not None or device.type == "cuda" or not (packed or device.type == "cpu"):
            return cls(given)
        return cls(CPU_TOKENS["packed" if packed else "padded"] if device.type == "cpu" else FIXED_TOKENS)

    def fitted(self, step: dict[str, Any], collate: Callable[[list[Any]], dict[str, Any]]) -> dict[str, Any]:
        """The step, cut anew where a micro-batch of several examples is over the budget."""
        if self.tokens is None or not any(self._too_large(batch) for batch in step["micro_batches"]):
            return step
        return collate(step["features"])

    def _too_large(self, batch: dict[str, Any]) -> bool:
        assert self.tokens is not None
        return int(batch["input_ids"].numel()) > self.tokens and len(batch["labels"]) > 1

    def halve(self, step: dict[str, Any], *, alone: bool) -> None:
        """After running out of memory in this step; called inside the ``except``.

        Args:
            alone: no other process takes part in the step.

        Raises:
            torch.OutOfMemoryError: the same again, where other processes wait for this one.
            EngineError: the micro-batches cannot be smaller.
        """
        if not alone:
            raise
        largest = max(step["micro_batches"], key=lambda batch: int(batch["input_ids"].numel()))
        tokens = int(largest["input_ids"].numel())
        if len(largest["labels"]) == 1:
            raise EngineError(f"out of memory with a single example of {tokens:,} tokens in a micro-batch; {ADVICE}")
        self.tokens = tokens // 2
        logger.warning(
            "out of memory with %s tokens in a micro-batch: the step is done again, from here on with at most %s",
            f"{tokens:,}",
            f"{self.tokens:,}",
        )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    @staticmethod
    def random_state() -> list[torch.Tensor]:
        """Of the CPU and of all GPUs."""
        return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [])]

    @staticmethod
    def restore(state: list[torch.Tensor]) -> None:
        """Random numbers as they were at `random_state`."""
        torch.set_rng_state(state[0])
        if len(state) > 1:
            torch.cuda.set_rng_state_all(state[1:])


def find_tokens(trial: Callable[[int], float], *, smallest: int, most: int, room: float, fixed: float) -> int:
    """Finds the most tokens whose micro-batch fits.

    Args:
        trial: forward and backward pass of the longest rows, about so many tokens -> bytes they took at their peak;
            raises `torch.OutOfMemoryError`.
        smallest: tokens of the longest example: it must fit.
        most: tokens of a whole step: no more is ever needed.
        room: bytes that micro-batches may take.
        fixed: of the bytes that a trial takes, those that do not depend on its size (gradients).

    Raises:
        EngineError: the longest example does not fit.
    """
    try:
        took = trial(smallest)
    except torch.OutOfMemoryError as error:
        raise EngineError(f"the longest example, {smallest:,} tokens, does not fit into memory; {ADVICE}") from error
    tokens = int(min(most, smallest * max(1.0, (room - fixed) / max(1.0, took - fixed))))
    while tokens > smallest:
        try:
            trial(tokens)
        except torch.OutOfMemoryError:
            tokens //= 2
        else:
            return tokens
    return smallest


def cuda_tokens(
    passes: Callable[[list[Any]], None],
    longest: list[Any],
    sizes: list[int],
    model: nn.Module,
    device: torch.device,
) -> int:
    """The most tokens in a micro-batch on a GPU, by trying; gradients and random numbers stay as they were.

    Args:
        passes: forward and backward pass of some examples as one micro-batch.
        longest: the longest examples of the data, as many as in a step.
        sizes: their packed sizes.
        model: what is trained; its gradients are empty.
        device: the GPU.
    """
    state = TokenBudget.random_state()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    optimizer = sum(8 * parameter.numel() for parameter in trained)  # AdamW's states; a leaner one leaves some room

    def trial(tokens: int) -> float:
        count = max(1, int(np.searchsorted(np.cumsum(sizes), tokens, side="right")))
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        try:
            passes(longest[:count])
            return float(torch.cuda.max_memory_allocated(device) - before)
        finally:
            model.zero_grad(set_to_none=True)
            torch.cuda.empty_cache()

    found = find_tokens(
        trial,
        smallest=max(sizes),
        most=sum(sizes),
        room=SAFETY * free - optimizer,
        fixed=sum(parameter.numel() * parameter.element_size() for parameter in trained),
    )
    TokenBudget.restore(state)
    logger.info("micro-batches of at most %s tokens fit into memory", f"{found:,}")
    return found
