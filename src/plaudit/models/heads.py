"""The reward head: float32 whatever the backbone's dtype, and one forward that reads rewards where it is told to.

Works on any ``*ForSequenceClassification`` of transformers in place: no wrapper, so the state dict, PEFT, DDP, FSDP
and ``save_pretrained`` see the model they know. Knows nothing about tokens or losses.
"""

from __future__ import annotations

import types
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

__all__ = ["Float32Linear", "head_modules", "install_reward_head", "reads_last_token"]


class Float32Linear(nn.Linear):
    """A linear layer that always computes in float32, inside autocast too; bfloat16 scores tie where rewards differ."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        with torch.autocast(input.device.type, enabled=False):
            bias = None if self.bias is None else self.bias.float()
            return nn.functional.linear(input.float(), self.weight.float(), bias)


def head_modules(model: PreTrainedModel) -> dict[str, nn.Module]:
    """The direct children of the model that are not its backbone: name -> module."""
    return {name: child for name, child in model.named_children() if name != model.base_model_prefix}


def reads_last_token(model: PreTrainedModel) -> bool:
    """True for decoders, whose reward is the ``score`` layer at one token; encoders pool as their class does."""
    score = getattr(model, "score", None)
    return isinstance(getattr(score, "original_module", score), nn.Linear)  # peft wraps a head that it trains


def install_reward_head(model: PreTrainedModel) -> None:
    """Makes the head float32 and gives this instance the reward forward. Safe to call twice.

    Afterwards ``model(**inputs, read_index=index)`` returns ``logits: (N, num_labels)`` in float32, the rewards at the
    flat positions ``index: (N,)`` of the hidden states ``(rows * T, H)``. Without ``read_index`` the forward is the
    class's own (with the float32 head).
    """
    for head in head_modules(model).values():
        head.float()
        for module in head.modules():
            if type(module) is nn.Linear:
                module.__class__ = Float32Linear
    model.forward = types.MethodType(_reward_forward, model)


def _reward_forward(
    self: PreTrainedModel, *args: Any, read_index: torch.Tensor | None = None, **kwargs: Any
) -> SequenceClassifierOutput | tuple[torch.Tensor, ...]:
    if read_index is None:
        output: SequenceClassifierOutput = type(self).forward(self, *args, **kwargs)
        return output
    given = {name: value for name, value in kwargs.items() if value is not None}  # peft passes labels=None and such
    hidden = getattr(self, self.base_model_prefix)(*args, use_cache=False, **given)[0]  # [rows, T, H]
    picked = hidden.reshape(-1, hidden.shape[-1]).index_select(0, read_index.to(hidden.device))  # [N, H]
    score: nn.Module = self.score  # type: ignore[assignment]
    return SequenceClassifierOutput(logits=score(picked))
