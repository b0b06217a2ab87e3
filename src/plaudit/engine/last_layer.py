"""The last layer is computed where it is read: at one token of each text.

Of the other tokens only the keys and values matter there. So in a packed row the last layer's attention is asked at the
read tokens alone (decoders), and its feed-forward part computes those alone; the rest of its output is left zero and is
never looked at. That is most of a layer: a tenth of the work of a model with eight.

Nothing of a model is replaced: hooks on its last layer, which do nothing where there are no segments. The attention of
a layer says which tokens its feed-forward part is to compute: it comes first, and gradient checkpointing repeats both.
"""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

__all__ = ["ReadParts", "read_last_layer"]

_PARTS = "_plaudit_parts"


def read_last_layer(model: PreTrainedModel, *, causal: bool) -> bool:
    """Hooks the last layer of a classifier's backbone, once. False: its parts are not found, so it is computed whole.

    Args:
        model: a ``*ForSequenceClassification``. An encoder's class must pool the first token of each text.
        causal: a decoder, whose attention is narrowed too.
    """
    backbone = getattr(model, model.base_model_prefix)
    last = _last_layer(backbone, int(getattr(model.config.get_text_config(), "num_hidden_layers", 0)))
    attention = [m for m in last.modules() if isinstance(m.__dict__.get("is_causal"), bool)] if last else []
    if last is None or len(attention) != 1:
        return False
    if ReadParts.of(attention[0]) is not None:
        return True
    parts = ReadParts.found_in(last, narrows_attention=causal)
    if parts is None:
        return False
    setattr(attention[0], _PARTS, parts)
    last.register_forward_pre_hook(parts.forget)
    parts.first.register_forward_pre_hook(parts.narrow)
    if parts.last is not parts.first:
        parts.last.register_forward_pre_hook(parts.narrow_rest)
    parts.last.register_forward_hook(parts.widen)
    return True


def _last_layer(backbone: nn.Module, depth: int) -> nn.Module | None:
    stacks = [m for m in backbone.modules() if isinstance(m, nn.ModuleList) and depth and len(m) == depth]
    return stacks[0][-1] if len(stacks) == 1 else None


class ReadParts:
    """The feed-forward part of a layer: one module, or two of which the second adds the residual (BERT and its kin).

    Attributes:
        narrows_attention: its attention is asked at the read tokens only too.
        rows: (N,) the read tokens, or None: everything is computed. Set by the attention of the layer, for this thread.
    """

    def __init__(self, first: nn.Module, last: nn.Module, *, narrows_attention: bool) -> None:
        self.first, self.last, self.narrows_attention = first, last, narrows_attention
        self._call = threading.local()  # several threads may score at once

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_call"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state, _call=threading.local())

    @property
    def rows(self) -> torch.Tensor | None:
        return getattr(self._call, "rows", None)

    @rows.setter
    def rows(self, rows: torch.Tensor | None) -> None:
        self._call.rows = rows

    @staticmethod
    def of(attention: nn.Module) -> ReadParts | None:
        """What follows this attention module, where it is the last layer's."""
        return getattr(attention, _PARTS, None)

    @classmethod
    def found_in(cls, layer: nn.Module, *, narrows_attention: bool) -> ReadParts | None:
        children = dict(layer.named_children())
        if "mlp" in children:
            return cls(children["mlp"], children["mlp"], narrows_attention=narrows_attention)
        if "intermediate" in children and "output" in children:
            return cls(children["intermediate"], children["output"], narrows_attention=narrows_attention)
        return None

    def forget(self, _layer: nn.Module, _args: Any) -> None:
        """Before the layer: should its feed-forward part come before its attention, it is computed whole."""
        self.rows = None

    def narrow(self, _module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        if self.rows is None or torch.compiler.is_compiling():
            return None
        self._call.total = args[0].shape[1]
        return (args[0].index_select(1, self.rows), *args[1:])

    def narrow_rest(self, _module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        if self.rows is None or torch.compiler.is_compiling():
            return None
        return (args[0], *(residual.index_select(1, self.rows) for residual in args[1:]))

    def widen(self, _module: nn.Module, _args: Any, output: Any) -> Any:
        if self.rows is None or torch.compiler.is_compiling():
            return None
        hidden, rest = (output[0], output[1:]) if isinstance(output, tuple) else (output, None)
        wide = hidden.new_zeros(1, self._call.total, hidden.shape[-1]).index_copy(1, self.rows, hidden)
        return wide if rest is None else (wide, *rest)
