"""The last layer is computed at the read tokens only, and nobody can tell from rewards or gradients."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, PACKED, batcher_of, build, mixed_texts
from test_architectures import assert_same_gradients, gradients, with_checkpoints
from transformers import PreTrainedModel

from plaudit.engine.attention import switch_on
from plaudit.engine.last_layer import ReadParts, read_last_layer
from plaudit.models.heads import install_reward_head, pools_first_token

WHOLE = {"OPT", "DistilBERT", "ModernBERT (mean)"}
"""No feed-forward part of a known shape, or a pooling that reads every token."""


def narrowed(name: str) -> tuple[PreTrainedModel, bool]:
    model = build(name)
    switch_on(model)
    causal = ARCHITECTURES[name].path == "shared"
    return model, (causal or pools_first_token(model)) and read_last_layer(model, causal=causal)


@pytest.mark.parametrize("name", PACKED)
def test_rewards_and_gradients_equal_those_of_the_whole_layer(name: str) -> None:
    model, narrow = narrowed(name)
    assert narrow == (name not in WHOLE)
    texts, batcher = mixed_texts(), batcher_of(model)
    padded = replace(batcher, path="padded").inputs(texts)
    expected = model(**padded).logits.detach()
    got = model(**batcher.inputs(texts)).logits.detach()
    assert ((got - expected).abs() <= 1e-5 * expected.abs().clamp(min=1)).all()
    whole = gradients(model, padded)
    assert_same_gradients(gradients(model, batcher.inputs(texts)), whole)
    with_checkpoints(model).train()
    assert_same_gradients(gradients(model, batcher.inputs(texts)), whole)


@pytest.mark.parametrize("name", ["Llama", "GPT-2", "BERT", "ModernBERT (cls)"])
def test_the_last_feed_forward_part_sees_one_token_a_text(name: str) -> None:
    model, _ = narrowed(name)
    seen: list[int] = []
    for path, module in model.named_modules():
        if path.endswith((".mlp", ".intermediate")):
            module.register_forward_pre_hook(lambda _module, args: seen.append(args[0].shape[1]))
    texts, batcher = mixed_texts(), batcher_of(model)
    with torch.no_grad():
        inputs = batcher.inputs(texts)
        model(**inputs)
        assert seen == [inputs["input_ids"].shape[1]] * 2 + [len(texts)]
        seen.clear()
        model(**replace(batcher, path="padded").inputs(texts))  # a plain call is computed whole
        assert len(set(seen)) == 1


def test_checkpoints_of_two_rows_are_recomputed_each_with_its_own_tokens() -> None:
    model, _ = narrowed("Llama")
    texts, batcher = mixed_texts(), batcher_of(model)
    rows = [batcher.inputs(texts[:5]), batcher.inputs(texts[5:])]

    def both(model: PreTrainedModel) -> dict[str, Any]:
        model.zero_grad()
        first, second = (model(**row).logits.square().sum() for row in rows)  # both forward, then both backward
        (first + second).backward()
        return {name: p.grad.clone() for name, p in model.named_parameters()}

    expected = both(model)
    assert_same_gradients(both(with_checkpoints(model).train()), expected)


def test_hooks_are_laid_once() -> None:
    model, _ = narrowed("Llama")
    layer = model.model.layers[-1]
    assert ReadParts.of(layer.self_attn) is not None
    before = len(layer._forward_pre_hooks)
    assert read_last_layer(model, causal=True)
    assert len(layer._forward_pre_hooks) == before
    assert ReadParts.of(model.model.layers[0].self_attn) is None


@pytest.mark.parametrize(("name", "first"), [("BERT", True), ("RoBERTa", True), ("ModernBERT (mean)", False)])
def test_what_an_encoder_pools_is_found_by_trying(name: str, first: bool) -> None:
    model = build(name)
    state = torch.get_rng_state()
    assert pools_first_token(model) == first
    assert torch.equal(torch.get_rng_state(), state)


def test_several_threads_score_at_once() -> None:
    model, _ = narrowed("Llama")
    texts, batcher = mixed_texts(), batcher_of(model)
    rows = [batcher.inputs(texts[start::4]) for start in range(4)]

    def reward(row: dict[str, Any]) -> torch.Tensor:
        with torch.inference_mode():
            return model(**row).logits

    expected = [reward(row) for row in rows]
    with ThreadPoolExecutor(4) as pool:
        for place, got in enumerate(pool.map(reward, rows * 20)):
            torch.testing.assert_close(got, expected[place % 4], rtol=1e-5, atol=1e-5)


def test_a_copy_of_a_model_narrows_its_own_layer() -> None:
    model, _ = narrowed("Llama")
    other = copy.deepcopy(model)
    install_reward_head(other)
    mine, its = (ReadParts.of(m.model.layers[-1].self_attn) for m in (model, other))
    assert its is not None
    assert its is not mine
    assert its.first is other.model.layers[-1].mlp
    batcher, texts = batcher_of(model), mixed_texts()
    with torch.no_grad():
        assert torch.equal(other(**batcher.inputs(texts)).logits, model(**batcher.inputs(texts)).logits)
