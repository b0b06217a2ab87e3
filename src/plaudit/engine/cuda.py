"""Packed attention on CUDA: one variable-length call whose queries and keys have offsets of their own.

The keys of every text are laid out once (its path, then its own), so that a text's queries are aligned with the end of
its keys. In order: flash-attn where it is installed, `torch.nn.attention.varlen` (both in half precision only), and
FlexAttention for the rest: float32, capped scores, older devices.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any

import torch

from plaudit.engine.segments import AttentionOptions, Segments

__all__ = ["cuda_attention", "flex_row_attention", "kernel_for"]


def kernel_for(device: torch.device, dtype: torch.dtype, head_dim: int, *, capped: bool) -> str:
    """``flash-attn``, ``varlen`` or ``flex``: what computes such rows on this device."""
    half = dtype in (torch.float16, torch.bfloat16)
    if half and head_dim <= 256 and torch.cuda.get_device_capability(device) >= (8, 0):
        if find_spec("flash_attn") is not None:
            return "flash-attn"
        if not capped and "window_size" in _varlen_options():
            return "varlen"
    return "flex"


def cuda_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Segments, options: AttentionOptions
) -> torch.Tensor:
    """Attention of a packed row without dropout and sinks: query (H, T, D), key and value (H_kv, T, D) -> (H, T, D)."""
    kernel = kernel_for(query.device, query.dtype, query.shape[-1], capped=options.softcap is not None)
    if kernel == "flex":
        return flex_row_attention(query, key, value, segments, options)
    q, k, v = (tensor.transpose(0, 1) for tensor in (query, key, value))  # [T, H, D]
    if segments.shares:
        index = segments.key_index(k.device)
        k, v = k.index_select(0, index), v.index_select(0, index)
    q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
    q_offsets, k_offsets = segments.offsets(q.device)
    longest = max(segments.query_lengths), max(segments.key_lengths)
    left = -1 if options.window is None else options.window - 1
    right = 0 if segments.causal else left
    if kernel == "flash-attn":
        from flash_attn import flash_attn_varlen_func  # type: ignore[import-not-found]

        settings: dict[str, Any] = {
            "softmax_scale": options.scaling,
            "causal": segments.causal,
            "window_size": (left, right),
        }
        if options.softcap is not None:
            settings["softcap"] = options.softcap
        output: torch.Tensor = flash_attn_varlen_func(q, k, v, q_offsets, k_offsets, *longest, **settings)
    else:
        from torch.nn.attention.varlen import varlen_attn

        groups = q.shape[1] // k.shape[1]
        settings = {"scale": options.scaling, "window_size": (left, right)}
        if groups > 1 and "enable_gqa" in _varlen_options():
            settings["enable_gqa"] = True
        elif groups > 1:
            k, v = k.repeat_interleave(groups, dim=1), v.repeat_interleave(groups, dim=1)
        output = varlen_attn(q, k, v, q_offsets, k_offsets, *longest, **settings)  # type: ignore[assignment]
    return output.transpose(0, 1)


@cache
def _varlen_options() -> frozenset[str]:
    """What torch's variable-length attention can be told (it grew from version to version); nothing: there is none."""
    if find_spec("torch.nn.attention.varlen") is None:
        return frozenset()
    from torch.nn.attention.varlen import varlen_attn

    return frozenset(inspect.signature(varlen_attn).parameters)


def flex_row_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Segments, options: AttentionOptions
) -> torch.Tensor:
    """The same through FlexAttention: one block mask over the row, made once and kept with the segments."""
    device, window, softcap = query.device, options.window, options.softcap
    text, offset, position, visible = segments.owners(device)
    causal = segments.causal

    def sees(_batch: Any, _head: Any, q: torch.Tensor, k: torch.Tensor) -> torch.Tensor:
        seen = offset[k] < visible[text[q], text[k]]
        if causal:
            seen &= position[k] <= position[q]
        if window is not None:
            seen &= (position[q] - position[k]).abs() < window
        return seen

    def cap(score: torch.Tensor, _batch: Any, _head: Any, _q: Any, _k: Any) -> torch.Tensor:
        return softcap * torch.tanh(score / softcap)  # type: ignore[operator]

    from torch.nn.attention.flex_attention import create_block_mask

    total = query.shape[1]
    mask = segments.kept(("flex", device, window), lambda: create_block_mask(sees, None, None, total, total, device))
    output: torch.Tensor = _flex(device.type)(
        query[None],
        key[None],
        value[None],
        score_mod=cap if softcap is not None else None,
        block_mask=mask,
        scale=options.scaling,
        enable_gqa=query.shape[0] > key.shape[0],
    )
    return output[0]


@cache
def _flex(device: str) -> Callable[..., torch.Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention, dynamic=True) if device == "cuda" else flex_attention  # type: ignore[return-value]
