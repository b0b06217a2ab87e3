"""Frozen layers and dropout."""

from __future__ import annotations

import pytest
import torch
import transformers

from plaudit.errors import ConfigError
from plaudit.models.heads import head_modules
from plaudit.models.trainable import freeze_layers, set_dropout
from tiny_models import FAMILIES, TOKENIZERS, tiny_model


@pytest.mark.parametrize("family", FAMILIES)
def test_a_frozen_backbone_leaves_the_head_to_train(family: str) -> None:
    model = tiny_model(family, TOKENIZERS[family](), reward=True)
    freeze_layers(model, "backbone")
    heads = head_modules(model)
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == (name.partition(".")[0] in heads), name


@pytest.mark.parametrize("family", FAMILIES)
def test_a_number_freezes_the_embeddings_and_the_first_layers(family: str) -> None:
    model = tiny_model(family, TOKENIZERS[family](), reward=True)
    freeze_layers(model, 1)
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    assert id(model.get_input_embeddings().weight) in {id(p) for p in model.parameters() if not p.requires_grad}
    assert any(".0." in name for name in frozen)
    assert not any(".1." in name.replace(".0.", "") for name in frozen)
    assert any(parameter.requires_grad for name, parameter in model.named_parameters() if ".1." in name)


def test_fresh_parameters_stay_trained() -> None:
    model = tiny_model("bert", TOKENIZERS["bert"](), reward=True)
    fresh = [name for name, _ in model.named_parameters() if ".pooler." in name]
    assert fresh
    freeze_layers(model, "backbone", keep=fresh)
    assert all(model.get_parameter(name).requires_grad for name in fresh)


@pytest.mark.parametrize("wrong", ["heads", 0, 3, "1.5"])
def test_what_cannot_be_frozen_is_refused(wrong: str | int) -> None:
    model = tiny_model("llama", TOKENIZERS["llama"](), reward=True)
    with pytest.raises(ConfigError, match="from 1 to 2"):
        freeze_layers(model, wrong)


@pytest.mark.parametrize("family", FAMILIES)
def test_dropout_takes_effect_in_training_and_only_there(family: str) -> None:
    tokenizer = TOKENIZERS[family]()
    model = tiny_model(family, tokenizer, reward=True)
    set_dropout(model, 0.5)
    ids = torch.arange(5, 25).unsqueeze(0)

    def score() -> float:
        with torch.no_grad():
            return float(model(input_ids=ids).logits.item())

    model.train()
    torch.manual_seed(0)
    assert len({score() for _ in range(4)}) > 1
    set_dropout(model, 0.0)
    assert score() == score()


def test_dropout_that_a_layer_keeps_as_a_plain_number_is_set_too() -> None:
    config = transformers.OPTConfig(
        vocab_size=40, hidden_size=16, ffn_dim=16, num_hidden_layers=1, num_attention_heads=2, word_embed_proj_dim=16
    )
    config.num_labels = 1
    model = transformers.OPTForSequenceClassification(config).train()
    set_dropout(model, 0.0)
    ids = torch.arange(5, 25).unsqueeze(0)
    assert torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
