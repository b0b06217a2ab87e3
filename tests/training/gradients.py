"""What tests compare runs by."""

from __future__ import annotations

from typing import Any

import torch
from transformers import TrainerCallback

__all__ = ["KeepGradients", "whole"]


class KeepGradients(TrainerCallback):
    """Copies the gradients just before each optimizer step: ``steps``, name -> gradient for each of them."""

    def __init__(self) -> None:
        self.steps: list[dict[str, torch.Tensor]] = []

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, model: Any = None, **kwargs: Any) -> None:
        self.steps.append({name: whole(p.grad) for name, p in model.named_parameters() if p.grad is not None})


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A copy of a tensor, gathered where it is sharded."""
    gathered: torch.Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return gathered.detach().clone()
