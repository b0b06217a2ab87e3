"""Which path an architecture takes, and why: found out from the model itself, never from a list of names."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from torch import nn
from transformers import PreTrainedModel

__all__ = ["PATHS", "Support", "packing_support"]

PATHS = {
    "shared": "prompts computed once, nothing padded",
    "unpadded": "nothing padded; a bidirectional encoder cannot share a prompt",
    "padded": "padded batches of similar length",
}
"""What `plaudit` calls the ways through a model."""

_SEGMENTED = {"full_attention", "sliding_attention"}


_MOVING_ROPE = {"dynamic", "longrope"}
"""Rotary embeddings whose frequencies transformers chooses by the longest position of a call."""


@dataclass(frozen=True)
class Support:
    """How a model computes a batch.

    Attributes:
        path: a key of `PATHS`.
        reason: why not a faster one; empty where there is none.
        first_position: the position id of a text's first token.
    """

    path: str
    reason: str = ""
    first_position: int = 0

    @property
    def line(self) -> str:
        """For people."""
        return f"batches: {PATHS[self.path]}" + (f" ({self.reason})" if self.reason else "")


def packing_support(model: PreTrainedModel) -> Support:
    """The fastest path that a ``*ForSequenceClassification`` can take."""
    backbone = getattr(model, model.base_model_prefix)
    config = model.config.get_text_config()
    if getattr(model, "_is_stateful", False):
        return Support("padded", "it carries a state from token to token, which would run from one text into the next")
    if not getattr(model, "_supports_attention_backend", False):
        return Support("padded", "its attention does not go through transformers' attention interface")
    other = set(getattr(config, "layer_types", None) or ()) - _SEGMENTED
    if other:
        return Support("padded", f"it has layers of kind {', '.join(sorted(other))}")
    if getattr(config, "alibi", False):
        return Support("padded", "its positions are a bias on the attention (ALiBi)")
    moving = _rope_types(config) & _MOVING_ROPE
    if moving:
        return Support(
            "padded", f"its rotary positions ({', '.join(sorted(moving))}) depend on the longest text of a batch"
        )
    if config.is_encoder_decoder:
        return Support("padded", "it is an encoder and a decoder in one")
    if "position_ids" not in inspect.signature(backbone.forward).parameters:
        return Support("padded", "it does not take the positions of its tokens")
    causal = {
        bool(module.is_causal) for module in backbone.modules() if isinstance(module.__dict__.get("is_causal"), bool)
    }
    if len(causal) != 1:
        return Support("padded", "it does not say whether its attention is causal")
    if causal == {False}:
        return Support("unpadded", first_position=_first_position(backbone))
    score = getattr(model, "score", None)
    if not isinstance(getattr(score, "original_module", score), nn.Linear):
        return Support("padded", "its reward is not read at one token")
    return Support("shared")


def _rope_types(config: Any) -> set[str]:
    """Of all layers, under the old name of the field and the new one."""
    found = set()
    for field in ("rope_parameters", "rope_scaling"):
        given = getattr(config, field, None)
        given = given if isinstance(given, dict) else {}
        for entry in (given, *given.values()):  # one for all, or one by kind of layer
            if isinstance(entry, dict):
                found.add(str(entry.get("rope_type", entry.get("type", "default"))))
    return found


def _first_position(backbone: nn.Module) -> int:
    """RoBERTa and its kin count positions from the padding's on."""
    for name, module in backbone.named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            return int(padding) + 1
    return 0
