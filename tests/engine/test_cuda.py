"""What the variable-length kernels are given. They run on CUDA only, so here a dense computation stands in for them:
each text's queries aligned with the end of its keys, as the kernels' documentation says."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch

from plaudit.engine import cuda
from plaudit.engine.attention import _text_by_text
from plaudit.engine.packing import pack
from plaudit.engine.segments import AttentionOptions, Segments

TEXTS = [[*range(20), 30, 31], [*range(20), 40], [*range(12), 50, 51, 52], [*range(60, 75)]]


def dense(
    q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, at: Any, to: Any, scale: float, window: Any, cap: float = 0.0
) -> torch.Tensor:
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    parts = []
    for text in range(len(at) - 1):
        queries, keys, values = q[at[text] : at[text + 1]], k[to[text] : to[text + 1]], v[to[text] : to[text + 1]]
        scores = torch.einsum("qhd,khd->hqk", queries, keys) * scale
        scores = cap * torch.tanh(scores / cap) if cap else scores
        ahead = torch.arange(len(keys)) - torch.arange(len(keys) - len(queries), len(keys))[:, None]
        hidden = torch.zeros_like(ahead, dtype=torch.bool)
        if window[0] >= 0:
            hidden |= -ahead > window[0]
        if window[1] >= 0:
            hidden |= ahead > window[1]
        weights = scores.masked_fill(hidden, float("-inf")).softmax(-1)
        parts.append(torch.einsum("hqk,khd->qhd", weights, values))
    return torch.cat(parts)


@pytest.mark.parametrize("kernel", ["varlen", "older varlen", "flash-attn"])
@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("window", [None, 7])
def test_a_kernel_gets_each_text_s_queries_and_keys(
    kernel: str, causal: bool, window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    segments = Segments.of(pack(TEXTS, share=causal), causal=causal)
    total = sum(segments.query_lengths)
    query, key, value = torch.randn(4, total, 8), torch.randn(2, total, 8), torch.randn(2, total, 8)
    longest = (max(segments.query_lengths), max(segments.key_lengths))
    calls = []

    def varlen_attn(
        q: Any, k: Any, v: Any, at: Any, to: Any, *most: int, scale: float, window_size: Any, **more: Any
    ) -> torch.Tensor:
        calls.append(more)
        assert most == longest
        assert at.dtype == to.dtype == torch.int32
        return dense(q, k, v, at.tolist(), to.tolist(), scale, window_size)

    def older_varlen_attn(
        q: Any, k: Any, v: Any, at: Any, to: Any, *most: int, scale: float, window_size: Any
    ) -> torch.Tensor:
        assert q.shape[1] == k.shape[1]
        return varlen_attn(q, k, v, at, to, *most, scale=scale, window_size=window_size)

    def flash(q: Any, k: Any, v: Any, at: Any, to: Any, *most: int, softmax_scale: float, **more: Any) -> torch.Tensor:
        left, right = more["window_size"]
        right = 0 if more["causal"] else right
        return varlen_attn(q, k, v, at, to, *most, scale=softmax_scale, window_size=(left, right))

    options = {"varlen": {"window_size", "enable_gqa"}}.get(kernel, {"window_size"})
    monkeypatch.setattr(cuda, "_varlen_options", lambda: frozenset(options))
    monkeypatch.setattr(cuda, "kernel_for", lambda *_, **__: kernel.removeprefix("older "))
    import torch.nn.attention.varlen as module

    monkeypatch.setattr(module, "varlen_attn", older_varlen_attn if kernel.startswith("older") else varlen_attn)
    package = types.ModuleType("flash_attn")
    package.flash_attn_varlen_func = flash  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flash_attn", package)
    asked = AttentionOptions(scaling=0.3, window=window)
    output = cuda.cuda_attention(query, key, value, segments, asked)
    expected = _text_by_text(query, key, value, segments, asked)
    torch.testing.assert_close(output, expected, rtol=1e-5, atol=1e-5)
    assert calls == [{"enable_gqa": True} if kernel == "varlen" else {}]


@pytest.mark.parametrize(
    ("dtype", "capability", "capped", "has_flash", "kernel"),
    [
        (torch.bfloat16, (9, 0), False, False, "varlen"),
        (torch.bfloat16, (9, 0), False, True, "flash-attn"),
        (torch.bfloat16, (9, 0), True, True, "flash-attn"),
        (torch.bfloat16, (9, 0), True, False, "flex"),
        (torch.float32, (9, 0), False, True, "flex"),
        (torch.float16, (7, 5), False, True, "flex"),
    ],
)
def test_the_kernel_follows_from_device_and_number_format(
    dtype: torch.dtype,
    capability: tuple[int, int],
    capped: bool,
    has_flash: bool,
    kernel: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: capability)
    monkeypatch.setattr(cuda, "_varlen_options", lambda: frozenset({"window_size"}))
    monkeypatch.setattr(cuda, "find_spec", lambda name: object() if has_flash and name == "flash_attn" else None)
    assert cuda.kernel_for(torch.device("cuda"), dtype, 64, capped=capped) == kernel
