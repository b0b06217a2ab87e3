"""The reward head: float32 whatever the backbone's dtype, and one forward that reads rewards where it is told to.

Works on any ``*ForSequenceClassification`` of transformers in place: no wrapper, so the state dict, PEFT, DDP, FSDP
and ``save_pretrained`` see the model they know. Knows nothing about tokens or losses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling, SequenceClassifierOutput

from plaudit.engine.attention import MASK, switch_on
from plaudit.engine.bound import Bound, bind_forward
from plaudit.engine.segments import Segments

__all__ = ["Float32Linear", "as_saved", "head_modules", "install_reward_head", "pools_first_token", "reads_last_token"]


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
    flat positions ``index: (N,)`` of the hidden states ``(rows * T, H)``. With ``segments`` the inputs are a packed
    row (1, T) (`plaudit.engine.batcher`); of an encoder's, ``unpack_index`` and ``unpack_mask`` (N, longest) say where
    the texts lie, and the class's own pooling and head follow. Otherwise the forward is the class's own (with the
    float32 head).
    """
    for head in head_modules(model).values():
        head.float()
        for module in head.modules():
            if type(module) is nn.Linear:
                module.__class__ = Float32Linear
    bind_forward(model, _reward_forward)


def as_saved(model: PreTrainedModel) -> Callable[..., Any]:
    """The forward that gives the scores of the saved model: of a model in training, without the autocast that
    accelerate has laid around it."""
    before = model.__dict__.get("_original_forward")
    wrapped = before is not None and not isinstance(model.__dict__.get("forward"), Bound)
    return before if wrapped else model  # type: ignore[return-value]


def _reward_forward(
    self: PreTrainedModel,
    *args: Any,
    read_index: torch.Tensor | None = None,
    segments: Segments | None = None,
    unpack_index: torch.Tensor | None = None,
    unpack_mask: torch.Tensor | None = None,
    **kwargs: Any,
) -> SequenceClassifierOutput | tuple[torch.Tensor, ...]:
    if segments is not None:
        switch_on(self)  # whoever else has this network may have chosen another attention since
        kwargs |= {"segments": segments, "attention_mask": MASK}
    elif read_index is None:
        output: SequenceClassifierOutput = type(self).forward(self, *args, **kwargs)
        return output
    given = {name: value for name, value in kwargs.items() if value is not None}  # peft passes labels=None and such
    if read_index is not None:
        hidden = getattr(self, self.base_model_prefix)(*args, use_cache=False, **given)[0]  # [rows, T, H]
        picked = hidden.reshape(-1, hidden.shape[-1]).index_select(0, read_index.to(hidden.device))  # [N, H]
        score: nn.Module = self.score  # type: ignore[assignment]
        return SequenceClassifierOutput(logits=score(picked))
    hidden = getattr(self, self.base_model_prefix)(*args, **given)[0][0]  # [T, H]
    assert unpack_index is not None
    texts = hidden[unpack_index.to(hidden.device)]  # [N, longest, H]
    return _head_on(self, texts, unpack_mask)


def _head_on(self: PreTrainedModel, hidden: torch.Tensor, mask: torch.Tensor | None) -> SequenceClassifierOutput:
    """What the class does after its backbone, pooler included, on hidden states (N, T, H) of texts side by side."""
    backbone = getattr(self, self.base_model_prefix)
    pooler = getattr(backbone, "pooler", None)
    pooled = pooler(hidden) if pooler is not None else None
    outputs = BaseModelOutputWithPooling(last_hidden_state=hidden, pooler_output=pooled)
    head: Any = _HeadOnly(self, outputs)
    result: SequenceClassifierOutput = type(self).forward(head, attention_mask=mask)  # type: ignore[call-arg]
    return result


@torch.no_grad()
def pools_first_token(model: PreTrainedModel) -> bool:
    """True for an encoder whose reward depends on the first token's state alone; found by trying, in eval mode."""
    weight: Any = model.get_input_embeddings().weight
    shape = (2, 4, int(model.config.get_text_config().hidden_size))
    generator = torch.Generator().manual_seed(0)
    hidden, other = (torch.randn(shape, generator=generator).to(weight) for _ in range(2))
    other[:, 0] = hidden[:, 0]
    mask = torch.ones(2, 4, dtype=torch.long, device=weight.device)
    rewards, others = (_head_on(model, states, mask).logits for states in (hidden, other))
    assert rewards is not None and others is not None  # noqa: PT018
    return torch.equal(rewards, others)


class _HeadOnly:
    """A classifier whose backbone has answered already."""

    def __init__(self, model: PreTrainedModel, outputs: BaseModelOutputWithPooling) -> None:
        self._model, self._outputs = model, outputs

    def __getattr__(self, name: str) -> Any:
        if name == self._model.base_model_prefix:
            return lambda *_args, **_kwargs: self._outputs
        return getattr(self._model, name)
