"""Attention over packed rows, registered with transformers' attention interface, whose modules stay as they are.

A model that is switched on (`switch_on`) computes a packed row where its forward is given ``segments``, and does what
it did before where it is not. The mask of the plain computation is that of the plain implementation. What else the
fast path needs is set on the modules of one model and never saved with its weights: a forward for the classifier
(`plaudit.models.heads`), hooks on the last layer (`last_layer`) and, on a CPU, a forward for norms (`norms`) and
another class for linear layers (`linear`).

Which computation a row takes:

    CUDA        one variable-length call (`plaudit.engine.cuda`)
    CPU         the parts that a query sees, joined by their log-sum-exp (`plaudit.engine.cpu`): no masks, no copies
    otherwise   scaled-dot-product attention text by text (dropout, sliding windows, MPS), or written out where the
                architecture caps its scores or has attention sinks
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

from plaudit.engine.cpu import cpu_attention, cpu_attention_works
from plaudit.engine.cuda import cuda_attention, kernel_for
from plaudit.engine.last_layer import ReadParts
from plaudit.engine.segments import AttentionOptions, Reading, Segments
from plaudit.errors import EngineError

__all__ = ["MASK", "switch_off", "switch_on"]

PREFIX = "plaudit_"
MASK = torch.zeros(1, 1, 1, 1)
"""Given to a model as attention mask beside segments: one with four dimensions is passed on, so that none is built."""


def switch_on(model: PreTrainedModel) -> None:
    """Lets a model compute packed rows. Safe to call twice."""
    before = model.config._attn_implementation or "eager"
    if before.startswith(PREFIX):
        return
    plain = "eager" if before == "eager" else "sdpa"  # other kernels are asked for packed rows only
    model.set_attn_implementation(f"{PREFIX}{plain}")
    model._plaudit_attention = before  # type: ignore[assignment]


def switch_off(model: PreTrainedModel) -> None:
    """The plain attention again."""
    if (model.config._attn_implementation or "").startswith(PREFIX):
        model.set_attn_implementation(model._plaudit_attention)  # type: ignore[arg-type]


def _register(plain: str) -> None:
    def attention(
        module: nn.Module,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        attention_mask: torch.Tensor | None,
        segments: Segments | None = None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        parts = ReadParts.of(module)
        if segments is None:
            if parts is not None:
                parts.rows = None
            result: tuple[torch.Tensor, torch.Tensor | None] = _plain(module, plain)(
                module, query, key, value, attention_mask, **kwargs
            )
            return result
        return packed_attention(module, query, key, value, segments, **kwargs), None

    AttentionInterface.register(f"{PREFIX}{plain}", attention)
    AttentionMaskInterface.register(f"{PREFIX}{plain}", ALL_MASK_ATTENTION_FUNCTIONS[plain])


for _name in ("eager", "sdpa"):  # at once: a model that was pickled switched on finds them in another process
    _register(_name)


def _plain(module: nn.Module, name: str) -> Callable[..., Any]:
    if name != "eager":
        function: Callable[..., Any] = AttentionInterface()[name]
        return function
    for owner in type(module).__mro__:  # FSDP puts a class of its own before the module's
        function = getattr(sys.modules[owner.__module__], "eager_attention_forward", None)  # type: ignore[assignment]
        if function is not None:
            return function
    raise EngineError(f"{type(module).__name__} has no eager attention; load it with attn_implementation sdpa")


@torch.compiler.disable  # type: ignore[untyped-decorator]
def packed_attention(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    segments: Segments,
    *,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: torch.Tensor | None = None,
    **_: Any,
) -> torch.Tensor:
    """Attention of a packed row.

    Args:
        query: (1, H, T, D); key, value: (1, H_kv, T, D), H a multiple of H_kv.
        segments: of the row.
        scaling: of the scores; None: 1 / sqrt(D).
        dropout: probability.
        sliding_window: a query sees keys less than so many positions away.
        softcap: scores are capped, softcap * tanh(score / softcap) (Gemma 2, 2024, section 2).
        s_aux: (H,) attention sinks (gpt-oss, 2025).

    Returns:
        (1, T, H, D).
    """
    if getattr(module, "is_causal", segments.causal) != segments.causal:
        raise EngineError(f"{type(module).__name__} mixes causal and bidirectional attention; choose batching padded")
    options = AttentionOptions(
        scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
        dropout=dropout,
        window=sliding_window if sliding_window and max(segments.key_lengths) > sliding_window else None,
        softcap=softcap,
        sinks=s_aux,
    )
    query, key, value = query[0], key[0], value[0]
    parts = ReadParts.of(module)
    if parts is not None:
        parts.rows = segments.reads(query.device)
    if parts is not None and parts.narrows_attention:
        rows, asked = segments.reads(query.device), query
        query, segments = query.index_select(1, rows), segments.reading
        narrow = _compute(query, key, value, segments, options)
        output = torch.zeros_like(asked).index_copy(1, rows, narrow)
    else:
        output = _compute(query, key, value, segments, options)
    return output.transpose(0, 1).unsqueeze(0)


def _compute(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Segments, options: AttentionOptions
) -> torch.Tensor:
    """(H, T, D) by the computation that suits the device and the architecture."""
    narrow, capped, sinks = isinstance(segments, Reading), options.softcap is not None, options.sinks is not None
    if query.is_cuda and not (sinks or options.dropout):
        kernel = kernel_for(query.device, query.dtype, query.shape[-1], capped=capped)
        if not (narrow and kernel == "flex"):  # its mask is one over the whole row
            return cuda_attention(query, key, value, segments, options)
    if query.device.type != "cpu":
        return _text_by_text(query, key, value, segments, options)
    if not (narrow or capped or sinks or options.dropout or options.window) and cpu_attention_works():
        return cpu_attention(query, key, value, segments, scaling=options.scaling)
    with torch.autocast("cpu", enabled=False):  # in float32: the half kernels are slower without AMX
        output = _text_by_text(query.float(), key.float(), value.float(), segments, options)
        return output.to(query.dtype)


def _text_by_text(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Segments, options: AttentionOptions
) -> torch.Tensor:
    """(H, T, D); one call a text, with a mask where a query does not see all keys of its text."""
    if segments.shares:
        index = segments.key_index(key.device)
        key, value = key.index_select(1, index), value.index_select(1, index)
    groups = query.shape[0] // key.shape[0]
    if groups > 1:
        key, value = key.repeat_interleave(groups, dim=0), value.repeat_interleave(groups, dim=0)
    lengths = segments.query_lengths, segments.key_lengths
    parts = zip(query.split(lengths[0], 1), key.split(lengths[1], 1), value.split(lengths[1], 1), strict=True)
    window, outputs = options.window, []
    for text, (q, k, v) in enumerate(parts):
        if options.softcap is not None or options.sinks is not None:
            mask = segments.mask(text, window, torch.float32, q.device)
            outputs.append(_written_out(q, k, v, mask, options))
            continue
        causal = segments.causal and q.shape[1] == k.shape[1] and (window is None or k.shape[1] <= window)
        mask = None if causal else segments.mask(text, window, q.dtype, q.device)
        outputs.append(
            nn.functional.scaled_dot_product_attention(
                q[None],
                k[None],
                v[None],
                attn_mask=mask,
                dropout_p=options.dropout,
                is_causal=causal,
                scale=options.scaling,
            )[0]
        )
    return torch.cat(outputs, dim=1)


def _written_out(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: torch.Tensor | None, options: AttentionOptions
) -> torch.Tensor:
    scores = (query @ key.transpose(1, 2)) * options.scaling  # [H, n, L]
    if options.softcap is not None:
        scores = options.softcap * torch.tanh(scores / options.softcap)
    scores = scores.float()
    if mask is not None:
        scores = scores + mask
    if options.sinks is not None:
        column = options.sinks.float().view(-1, 1, 1).expand(-1, scores.shape[1], 1)
        weights = torch.cat([scores, column], dim=-1).softmax(dim=-1)[..., :-1]
    else:
        weights = scores.softmax(dim=-1)
    weights = nn.functional.dropout(weights.to(query.dtype), options.dropout)
    return weights @ value
