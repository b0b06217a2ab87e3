"""Every way to compute a packed row's attention, against attention over a mask that is written out."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from architectures import batcher_of, build, mixed_texts
from torch import nn

from plaudit.engine import attention
from plaudit.engine.attention import packed_attention, switch_on
from plaudit.engine.cpu import cpu_attention, cpu_attention_works
from plaudit.engine.cuda import flex_row_attention
from plaudit.engine.packing import Packing, pack
from plaudit.engine.segments import AttentionOptions, Segments
from plaudit.errors import EngineError

HEADS, WIDTH, SCALING = 4, 8, 0.3
START = list(range(20, 32))
TEXTS = [
    [*START, *range(9)],
    [*START, *range(5), 40, 41],
    [*START, 1],
    [*START[:9], 3],
    [7],
    [*START, *range(9), 5],
    [6] * 5,
]
CAUSAL = [pytest.param(True, id="causal"), pytest.param(False, id="bidirectional")]


def visible(row: Packing, *, causal: bool, window: int | None) -> torch.Tensor:
    """(T, T): which token of the row sees which."""
    seen = torch.zeros(len(row.ids), len(row.ids), dtype=torch.bool)
    for stretch in row.stretches:
        own = range(stretch.start, stretch.start + stretch.length)
        places = [place for start, length in stretch.path for place in range(start, start + length)] + list(own)
        for query in own:
            for position, place in enumerate(places):
                distance = int(row.positions[query]) - position
                seen[query, place] = (distance >= 0 or not causal) and (window is None or abs(distance) < window)
    return seen


def dense(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    seen: torch.Tensor,
    *,
    softcap: float | None = None,
    sinks: torch.Tensor | None = None,
) -> torch.Tensor:
    groups = query.shape[0] // key.shape[0]
    scores = query @ key.repeat_interleave(groups, dim=0).transpose(1, 2) * SCALING  # [H, T, T]
    if softcap is not None:
        scores = softcap * torch.tanh(scores / softcap)
    weights = scores.masked_fill(~seen, float("-inf")).exp()
    total = weights.sum(dim=-1, keepdim=True)
    if sinks is not None:
        total = total + sinks.exp()[:, None, None]
    return weights / total @ value.repeat_interleave(groups, dim=0)


def row_of(*, causal: bool, kv_heads: int = HEADS) -> tuple[Packing, Segments, list[torch.Tensor]]:
    """A packed row with query, key and value."""
    row = pack(TEXTS, share=causal)
    torch.manual_seed(0)
    tensors = [torch.randn(heads, len(row.ids), WIDTH, requires_grad=True) for heads in (HEADS, kv_heads, kv_heads)]
    return row, Segments.of(row, causal=causal), tensors


def packed(segments: Segments, tensors: list[torch.Tensor], **options: Any) -> torch.Tensor:
    """As a model calls it: (H, T, D)."""
    query, key, value = (tensor[None] for tensor in tensors)
    return packed_attention(nn.Module(), query, key, value, segments, scaling=SCALING, **options)[0].transpose(0, 1)


def assert_equal_with_gradients(
    compute: Callable[[], torch.Tensor], reference: Callable[[], torch.Tensor], tensors: list[torch.Tensor]
) -> None:
    outputs = compute(), reference()
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    direction = torch.randn_like(outputs[0])
    got, expected = (torch.autograd.grad(output, tensors, direction) for output in outputs)
    for ours, theirs in zip(got, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kv_heads", [HEADS, 2, 1])
@pytest.mark.parametrize("causal", CAUSAL)
def test_parts_joined_on_the_cpu_equal_the_whole(causal: bool, kv_heads: int) -> None:
    row, segments, tensors = row_of(causal=causal, kv_heads=kv_heads)
    seen = visible(row, causal=causal, window=None)
    assert cpu_attention_works()
    assert segments.shares == causal
    assert_equal_with_gradients(
        lambda: cpu_attention(*tensors, segments, scaling=SCALING), lambda: dense(*tensors, seen), tensors
    )


def test_parts_joined_on_the_cpu_are_computed_in_float32_and_handed_back_in_bfloat16() -> None:
    _, segments, tensors = row_of(causal=True, kv_heads=2)
    half = [tensor.detach().bfloat16().requires_grad_() for tensor in tensors]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = cpu_attention(*half, segments, scaling=SCALING)
    expected = cpu_attention(*(tensor.float() for tensor in half), segments, scaling=SCALING)
    assert got.dtype == torch.bfloat16
    assert torch.equal(got, expected.bfloat16())
    got.sum().backward()
    assert {tensor.grad.dtype for tensor in half if tensor.grad is not None} == {torch.bfloat16}


@pytest.mark.parametrize("causal", CAUSAL)
@pytest.mark.parametrize(
    "options",
    [
        {"sliding_window": 4},
        {"sliding_window": 1000},
        {"softcap": 2.0},
        {"softcap": 2.0, "sliding_window": 6},
        {"s_aux": torch.tensor([-1.0, 0.0, 1.0, 2.0])},
        {"s_aux": torch.tensor([-1.0, 0.0, 1.0, 2.0]), "sliding_window": 3},
    ],
)
def test_windows_caps_and_sinks_equal_the_dense_computation(options: dict[str, Any], causal: bool) -> None:
    row, segments, tensors = row_of(causal=causal, kv_heads=2)
    seen = visible(row, causal=causal, window=options.get("sliding_window"))
    assert_equal_with_gradients(
        lambda: packed(segments, tensors, **options),
        lambda: dense(*tensors, seen, softcap=options.get("softcap"), sinks=options.get("s_aux")),
        tensors,
    )


@pytest.mark.parametrize("causal", CAUSAL)
def test_text_by_text_equals_the_parts_joined(causal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    row, segments, tensors = row_of(causal=causal, kv_heads=2)
    joined = packed(segments, tensors)
    called: list[int] = []
    monkeypatch.setattr(attention, "cpu_attention", lambda *_, **__: called.append(1))
    monkeypatch.setattr(attention, "cpu_attention_works", lambda: False)
    torch.testing.assert_close(packed(segments, tensors), joined, atol=1e-5, rtol=1e-5)
    assert not called
    seen = visible(row, causal=causal, window=None)
    assert_equal_with_gradients(lambda: packed(segments, tensors), lambda: dense(*tensors, seen), tensors)


@pytest.mark.parametrize("options", [{}, {"softcap": 5.0}])
def test_dropout_keeps_the_mean(options: dict[str, Any]) -> None:
    _, segments, (query, key, value) = row_of(causal=True)
    tensors = [query.detach(), key.detach(), torch.ones_like(value)]
    draws = torch.stack([packed(segments, tensors, dropout=0.3, **options) for _ in range(100)])
    assert draws.std() > 0.1
    assert draws.mean().item() == pytest.approx(1.0, abs=0.01)


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
@pytest.mark.parametrize("causal", CAUSAL)
@pytest.mark.parametrize(("window", "softcap"), [(None, None), (4, None), (None, 2.0), (6, 2.0)])
def test_one_mask_over_the_row_equals_the_dense_computation(
    causal: bool, window: int | None, softcap: float | None
) -> None:
    row, segments, tensors = row_of(causal=causal, kv_heads=2)
    query, key, value = (tensor.detach() for tensor in tensors)
    got = flex_row_attention(query, key, value, segments, AttentionOptions(SCALING, window=window, softcap=softcap))
    expected = dense(query, key, value, visible(row, causal=causal, window=window), softcap=softcap)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(not cpu_attention_works(), reason="no flash kernel")
def test_second_derivatives_are_refused() -> None:
    _, segments, tensors = row_of(causal=True)
    output = cpu_attention(*tensors, segments, scaling=SCALING)
    with pytest.raises(EngineError, match="second derivatives.*batching='padded'"):
        torch.autograd.grad(output.sum(), tensors, create_graph=True)


def test_a_layer_that_mixes_causal_and_bidirectional_is_refused() -> None:
    _, segments, (query, key, value) = row_of(causal=True)
    module = nn.Module()
    module.is_causal = False  # type: ignore[assignment]
    with pytest.raises(EngineError, match="mixes causal and bidirectional"):
        packed_attention(module, query[None], key[None], value[None], segments)


def test_offsets_and_key_positions_by_hand() -> None:
    start = list(range(10))
    segments = Segments.of(pack([[*start, 1, 2], [*start, 3]], share=True), causal=True)
    queries, keys = segments.offsets(torch.device("cpu"))
    assert (queries.tolist(), keys.tolist()) == ([0, 12, 13], [0, 12, 23])
    assert queries.dtype == keys.dtype == torch.int32
    assert segments.key_index(torch.device("cpu")).tolist() == [*range(12), *range(10), 12]
    assert segments.key_index(torch.device("cpu")) is segments.key_index(torch.device("cpu"))


@pytest.mark.parametrize("causal", CAUSAL)
def test_segments_survive_pickling_without_what_they_keep(causal: bool) -> None:
    _, segments, tensors = row_of(causal=causal)
    expected = packed(segments, tensors, sliding_window=4)
    assert segments._kept
    copy = pickle.loads(pickle.dumps(segments))
    assert (copy.stretches, copy.causal, copy._kept) == (segments.stretches, causal, {})
    assert torch.equal(packed(copy, tensors, sliding_window=4), expected)


def test_a_compiled_model_gives_the_same_rewards_at_every_length_without_compiling_again() -> None:
    model = build("Llama", num_hidden_layers=2)
    switch_on(model)
    batcher = batcher_of(model)
    compiled = torch.compile(model, dynamic=True, backend="eager")
    with torch.no_grad(), torch._dynamo.config.patch(error_on_recompile=True):
        for seed in range(4):
            inputs = batcher.inputs(mixed_texts(seed)[: 4 * seed + 3])
            torch.testing.assert_close(compiled(**inputs).logits, model(**inputs).logits, atol=1e-5, rtol=1e-5)
    torch.compiler.reset()
