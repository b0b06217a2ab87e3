"""Packed attention on the CPU without masks and without copies of shared keys.

What a query sees falls into parts: the stretches of its path, all of them, and its own stretch up to itself. Each part
is one call of the flash kernel on a slice of the row (siblings see their path in one call); two parts are joined by
their log-sum-exp (Dao et al. 2022, FlashAttention, section 3.1). Backward, the kernel is given the joined output and
log-sum-exp, with which each part's gradients are those of the whole (Liu et al. 2023, Ring Attention, section 3).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from plaudit.engine.derivatives import refuse_second_derivatives
from plaudit.engine.packing import Range
from plaudit.engine.segments import Segments

__all__ = ["cpu_attention", "cpu_attention_works"]


def cpu_attention(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Segments, *, scaling: float
) -> torch.Tensor:
    """Attention of a packed row: query (H, T, D), key and value (H_kv, T, D) -> (H, T, D), computed in float32."""
    dtype = query.dtype
    with torch.autocast("cpu", enabled=False):
        query, key, value = query.float(), key.float(), value.float()  # the half kernels are slower without AMX
        output: torch.Tensor = _Joined.apply(query, key, value, segments, scaling)  # type: ignore[no-untyped-call]
    return output.to(dtype)


@cache
def cpu_attention_works() -> bool:
    """The kernel is there and takes what we give it (it is not part of torch's public interface)."""
    try:
        query, key = torch.zeros(1, 2, 3, 8), torch.zeros(1, 1, 3, 8)  # grouped heads
        output, lse = _forward(query, key, key, True, 1.0)
        gradients = _backward(output, query, key, key, output, lse, True, 1.0)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return lse.shape == (1, 2, 3) and [g.shape for g in gradients] == [query.shape, key.shape, key.shape]


def _forward(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool, scaling: float
) -> tuple[torch.Tensor, torch.Tensor]:
    output, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, causal, scale=scaling)
    return output, lse


def _backward(
    gradient: torch.Tensor,
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    output: torch.Tensor,
    lse: torch.Tensor,
    causal: bool,
    scaling: float,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    gradients: tuple[torch.Tensor, torch.Tensor, torch.Tensor] = (
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward(
            gradient, q, k, v, output, lse, 0.0, causal, scale=scaling
        )
    )
    return gradients


class _Joined(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, segments: Segments, scaling: float
    ) -> torch.Tensor:
        heads, total, width = query.shape
        q, k, v = query[None], key[None], value[None]
        output = query.new_empty(1, total, heads, width).transpose(1, 2)  # as the layer after it wants it
        lse = query.new_empty(1, total, heads).transpose(1, 2)
        for stretch in segments.stretches:
            own = slice(stretch.start, stretch.start + stretch.length)
            output[:, :, own], lse[:, :, own] = _forward(
                q[:, :, own], k[:, :, own], v[:, :, own], segments.causal, scaling
            )
        for family in segments.siblings:
            own = slice(family.start, family.start + family.length)
            seen, seen_lse = _forward(q[:, :, own], _ranges(k, family.path), _ranges(v, family.path), False, scaling)
            mine, mine_lse = output[:, :, own], lse[:, :, own]
            joined = torch.logaddexp(mine_lse, seen_lse)
            mine.mul_((mine_lse - joined).exp_().unsqueeze(-1))
            mine.addcmul_(seen, (seen_lse - joined).exp_().unsqueeze(-1))
            mine_lse.copy_(joined)
        ctx.save_for_backward(query, key, value, output, lse)
        ctx.segments, ctx.scaling = segments, scaling
        return output[0]

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        refuse_second_derivatives()
        query, key, value, output, lse = ctx.saved_tensors
        segments, scaling = ctx.segments, ctx.scaling
        q, k, v, gradient = query[None], key[None], value[None], gradients[0][None]
        dq, dk, dv = (torch.empty_like(tensor) for tensor in (q, k, v))
        for stretch in segments.stretches:
            own = slice(stretch.start, stretch.start + stretch.length)
            dq[:, :, own], dk[:, :, own], dv[:, :, own] = _backward(
                gradient[:, :, own],
                q[:, :, own],
                k[:, :, own],
                v[:, :, own],
                output[:, :, own],
                lse[:, :, own],
                segments.causal,
                scaling,
            )
        for family in segments.siblings:
            own = slice(family.start, family.start + family.length)
            part_q, part_k, part_v = _backward(
                gradient[:, :, own],
                q[:, :, own],
                _ranges(k, family.path),
                _ranges(v, family.path),
                output[:, :, own],
                lse[:, :, own],
                False,
                scaling,
            )
            dq[:, :, own] += part_q
            at = 0
            for start, length in family.path:
                dk[:, :, start : start + length] += part_k[:, :, at : at + length]
                dv[:, :, start : start + length] += part_v[:, :, at : at + length]
                at += length
        return dq[0], dk[0], dv[0], None, None


def _ranges(tensor: torch.Tensor, ranges: tuple[Range, ...]) -> torch.Tensor:
    """(1, H, Σ lengths, D): one range as it lies, several joined."""
    if len(ranges) == 1:
        start, length = ranges[0]
        return tensor[:, :, start : start + length]
    return torch.cat([tensor[:, :, start : start + length] for start, length in ranges], dim=2)
