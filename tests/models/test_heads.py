"""The head is float32 and the reward forward equals transformers' own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import PreTrainedModel

from plaudit.engine.padded import padded_inputs
from plaudit.formatting import Rendered
from plaudit.models.build import load_model
from plaudit.models.heads import Float32Linear, head_modules, install_reward_head, reads_last_token
from tiny_models import DECODERS, ENCODERS, FAMILIES, TOKENIZERS, tiny_model

Saved = Callable[[str, str], Path]


def reward_model(family: str) -> PreTrainedModel:
    """A classifier of a family with the reward head; its pad token is no token of the texts below."""
    model = tiny_model(family, TOKENIZERS[family](), reward=True)
    model.config.pad_token_id = model.config.vocab_size - 1
    install_reward_head(model)
    return model


def texts(seed: int = 0) -> list[Rendered]:
    generator = torch.Generator().manual_seed(seed)
    lengths = (3, 17, 9, 40, 1)
    return [Rendered(torch.randint(5, 120, (n,), generator=generator).tolist()) for n in lengths]


def batch(model: PreTrainedModel, rows: list[Rendered], *, last_token: bool) -> dict[str, torch.Tensor]:
    pad = model.config.pad_token_id
    return padded_inputs(rows, pad_token_id=pad, last_token=last_token, token_types=False)


def test_the_head_computes_in_float32_under_autocast() -> None:
    torch.manual_seed(0)
    plain = nn.Linear(64, 3)
    head = copy.deepcopy(plain)
    head.__class__ = Float32Linear
    hidden = torch.randn(10, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded, exact = plain(hidden), head(hidden)
    assert rounded.dtype == torch.bfloat16
    assert exact.dtype == torch.float32
    assert torch.equal(exact, plain(hidden))


def test_the_head_takes_bfloat16_hidden_states_without_rounding_the_product() -> None:
    torch.manual_seed(0)
    head = Float32Linear(64, 1)
    hidden = torch.randn(10, 64).bfloat16()
    assert torch.equal(head(hidden), hidden.float() @ head.weight.T + head.bias)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bfloat16_backbone_gives_float32_rewards(saved: Saved, family: str) -> None:
    model = load_model(saved(family, "reward"), training=False, dtype="bf16").model
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16
    assert {p.dtype for head in head_modules(model).values() for p in head.parameters()} == {torch.float32}
    model.config.pad_token_id = model.config.vocab_size - 1
    rewards = model(**batch(model, texts(), last_token=reads_last_token(model))).logits
    assert rewards.dtype == torch.float32
    assert len(set(rewards.flatten().tolist())) == 5
    assert not torch.equal(rewards, rewards.bfloat16().float())


@pytest.mark.parametrize("family", DECODERS)
@torch.inference_mode()
def test_the_reward_forward_equals_transformers_own_on_padded_batches(family: str) -> None:
    model = reward_model(family)
    indexed = model(**batch(model, texts(), last_token=True)).logits
    own = type(model).forward(model, **batch(model, texts(), last_token=False)).logits
    assert indexed.shape == (5, 1)
    torch.testing.assert_close(indexed, own, rtol=0, atol=1e-6)
    unpatched = tiny_model(family, TOKENIZERS[family](), reward=True)
    unpatched.config.pad_token_id = model.config.pad_token_id
    plain = unpatched(**batch(model, texts(), last_token=False)).logits
    torch.testing.assert_close(indexed, plain, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", ENCODERS)
@torch.inference_mode()
def test_the_forward_of_an_encoder_is_the_classes_own(family: str) -> None:
    model, plain = reward_model(family), tiny_model(family, TOKENIZERS[family](), reward=True)
    inputs = batch(model, texts(), last_token=False)
    torch.testing.assert_close(model(**inputs).logits, plain(**inputs).logits, rtol=0, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_a_reward_depends_neither_on_neighbours_nor_on_padding(family: str) -> None:
    model, rows = reward_model(family), texts()
    last = reads_last_token(model)
    together = model(**batch(model, rows, last_token=last)).logits
    alone = torch.cat([model(**batch(model, [row], last_token=last)).logits for row in rows])
    wide = padded_inputs(rows, pad_token_id=7, last_token=last, token_types=False, multiple=64)
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(model(**wide).logits, alone, rtol=0, atol=1e-5)


def test_the_reward_is_read_at_the_last_token_even_if_that_is_the_pad_token() -> None:
    model = reward_model("qwen3")
    pad = model.config.pad_token_id
    ends_in_pad = [Rendered([5, 6, 7, pad]), Rendered([5, 6, 7])]
    with torch.inference_mode():
        first, second = model(**batch(model, ends_in_pad, last_token=True)).logits
        (alone,) = model.score(model.model(torch.tensor([[5, 6, 7, pad]]))[0][:, -1])
    torch.testing.assert_close(first, alone, rtol=0, atol=1e-6)
    assert abs(first - second) > 1e-4


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_installing_twice_is_harmless(family: str) -> None:
    model = reward_model(family)
    inputs = batch(model, texts(), last_token=reads_last_token(model))
    once, names = model(**inputs).logits, list(model.state_dict())
    install_reward_head(model)
    assert torch.equal(model(**inputs).logits, once)
    assert list(model.state_dict()) == names
    assert names == list(tiny_model(family, TOKENIZERS[family](), reward=True).state_dict())


@pytest.mark.parametrize("family", ["qwen3", "bert"])
@torch.inference_mode()
def test_a_deep_copy_works_on_its_own_weights(family: str) -> None:
    model = reward_model(family)
    inputs = batch(model, texts(), last_token=reads_last_token(model))
    before = model(**inputs).logits
    twin = copy.deepcopy(model)
    assert torch.equal(twin(**inputs).logits, before)
    for parameter in model.parameters():
        parameter.zero_()
    assert torch.equal(twin(**inputs).logits, before)
    assert not torch.equal(model(**inputs).logits, before)


@pytest.mark.parametrize(("family", "names"), [("llama", ["score"]), ("bert", ["dropout", "classifier"])])
def test_the_head_is_what_is_not_the_backbone(family: str, names: list[str]) -> None:
    model = tiny_model(family, TOKENIZERS[family](), reward=True)
    assert list(head_modules(model)) == names
    assert reads_last_token(model) == (family == "llama")
