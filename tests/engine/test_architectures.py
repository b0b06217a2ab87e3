"""Every architecture takes the path that it must, and its rewards and gradients are those of padded batches."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from architectures import ARCHITECTURES, PACKED, PADDED, batcher_of, build, mixed_texts, plain
from torch import nn
from transformers import PreTrainedModel

from plaudit.engine import attention
from plaudit.engine.attention import packed_attention, switch_off, switch_on
from plaudit.engine.support import PATHS, packing_support

DOCS = Path(__file__).parents[2] / "docs" / "engine.md"


def gradients(model: PreTrainedModel, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Of a loss that gives every reward a part of its own."""
    model.zero_grad()
    rewards = model(**inputs).logits[:, 0]
    (rewards * torch.linspace(-1, 1, len(rewards)) + rewards.square()).sum().backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


def assert_same_gradients(got: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    """Relative to the whole gradient: a key's bias, for one, has none, and what is left there is rounding."""
    assert got.keys() == expected.keys()
    whole = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
    for name in expected:
        assert (got[name] - expected[name]).norm() <= 1e-4 * whole, name


def with_checkpoints(model: PreTrainedModel) -> PreTrainedModel:
    """Under its new name where there is one: the old one warns then."""
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()
    return model


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_takes_its_path_and_says_why(name: str) -> None:
    support = packing_support(build(name))
    expected = ARCHITECTURES[name]
    assert support.path == expected.path
    assert expected.reason in support.reason
    assert bool(support.reason) == (support.path == "padded")
    assert PATHS[support.path] in support.line
    assert support.reason in support.line


@pytest.mark.parametrize("name", PACKED)
def test_rewards_and_gradients_equal_those_of_padded_batches(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(name)
    texts, batcher = mixed_texts(), batcher_of(model)
    padded = replace(batcher, path="padded").inputs(texts)
    expected, expected_gradients = model(**padded).logits.detach(), gradients(model, padded)
    assert expected.std() > 0.01  # otherwise equality would say little
    switch_on(model)
    packed = batcher.inputs(texts)
    assert packed["input_ids"].numel() < padded["input_ids"].numel()
    assert bool(packed["segments"].shares) == (batcher.path == "shared")
    got = model(**packed).logits.detach()
    assert ((got - expected).abs() <= 1e-5 * expected.abs().clamp(min=1)).all()
    assert_same_gradients(gradients(model, packed), expected_gradients)
    calls: list[str] = []
    monkeypatch.setattr(
        attention, "packed_attention", lambda *a, _f=packed_attention, **k: calls.append("") or _f(*a, **k)
    )
    with_checkpoints(model).train()
    assert_same_gradients(gradients(model, batcher.inputs(texts)), expected_gradients)
    assert len(calls) == 2 * model.config.num_hidden_layers


@pytest.mark.parametrize("name", PADDED)
def test_a_padded_reward_is_that_of_the_text_alone(name: str) -> None:
    model = build(name)
    texts = mixed_texts()[:12]
    with torch.no_grad():
        got = model(**batcher_of(model).inputs(texts)).logits
        expected = torch.stack([plain(model, text.input_ids) for text in texts])
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in ("Llama", "GPT-2", "BERT", "ModernBERT (mean)") for kind in ("sdpa", "eager")]
    + [("Gemma 2", "eager"), ("gpt-oss", "eager")],
)
def test_plain_calls_are_as_before_and_the_switch_leaves_no_trace(name: str, kind: str, tmp_path: Path) -> None:
    model = build(name, attn_implementation=kind)
    inputs = {"input_ids": torch.randint(5, 200, (3, 20)), "attention_mask": torch.ones(3, 20, dtype=torch.long)}
    inputs["attention_mask"][1, 13:] = 0
    inputs["input_ids"][1, 13:] = 0
    model.save_pretrained(tmp_path / "before")
    with torch.no_grad():
        before = model(**inputs).logits
        switch_on(model)
        switch_on(model)
        assert model.config._attn_implementation == f"plaudit_{kind}"
        model.save_pretrained(tmp_path / "on")
        assert torch.equal(model(**inputs).logits, before)
        switch_off(model)
        assert model.config._attn_implementation == kind
        assert torch.equal(model(**inputs).logits, before)
    saved = (tmp_path / "on" / "config.json").read_text()
    assert "attn_implementation" not in saved
    assert "plaudit" not in saved
    assert saved == (tmp_path / "before" / "config.json").read_text()


@pytest.mark.parametrize("name", ["Llama", "BERT"])
def test_both_plain_implementations_give_the_same_packed_rewards(name: str) -> None:
    rewards = []
    for kind in ("sdpa", "eager"):
        model = build(name, attn_implementation=kind)
        switch_on(model)
        with torch.no_grad():
            rewards.append(model(**batcher_of(model).inputs(mixed_texts())).logits)
    torch.testing.assert_close(*rewards, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda model: setattr(model.config, "alibi", True), "ALiBi"),
        (
            lambda model: setattr(model.config, "layer_types", ["full_attention", "chunked_attention"]),
            "chunked_attention",
        ),
        (lambda model: setattr(model.config, "is_encoder_decoder", True), "an encoder and a decoder"),
        (lambda model: setattr(model.model.layers[0].self_attn, "is_causal", False), "whether its attention is causal"),
        (lambda model: setattr(model, "score", nn.Sequential(nn.Linear(32, 1))), "not read at one token"),
        (lambda model: setattr(model, "model", nn.Identity()), "does not take the positions"),
    ],
)
def test_what_could_not_be_packed_is_padded(change: Callable[[Any], None], reason: str) -> None:
    model = build("Llama")
    change(model)
    support = packing_support(model)
    assert support.path == "padded"
    assert reason in support.reason


@pytest.mark.skipif(not DOCS.exists(), reason="no docs/engine.md")
def test_the_table_in_the_docs_is_this_one() -> None:
    rows = re.findall(
        r"^\| *([^|]+?) *\| *`?(shared|unpadded|padded)`? *\| *(.*?) *\|$", DOCS.read_text(), re.MULTILINE
    )

    def plain_name(name: str) -> str:
        return re.sub(r"[^a-z0-9]", "", name.partition("(")[0].lower())

    documented = {plain_name(name): path for name, path, _ in rows}
    assert documented == {plain_name(name): architecture.path for name, architecture in ARCHITECTURES.items()}
    reasons = {plain_name(name): reason for name, _, reason in rows}
    for name, architecture in ARCHITECTURES.items():
        assert architecture.reason in reasons[plain_name(name)], name
