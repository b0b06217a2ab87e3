"""Adapters: the head is trained and saved with them, merged scores are equal, other libraries read what we write."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from transformers import AutoModelForSequenceClassification

from plaudit import RewardModel
from plaudit.engine.padded import padded_inputs
from plaudit.errors import ConfigError, ModelError, NotARewardModelError
from plaudit.formatting import RenderItem, default_spec
from plaudit.models.build import load_model
from plaudit.models.heads import head_modules
from plaudit.models.lora import attach_adapter, lora_config
from plaudit.models.saved import check_plain_transformers
from tiny_models import ENCODERS, FAMILIES, save_tiny

PROMPTS = ["What is the capital of France?"] * 3
RESPONSES = ["Paris.", "I would rather not say.", "apples, pears and plums"]


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of tiny base models, without reward heads."""
    folder = tmp_path_factory.mktemp("bases")
    for family in FAMILIES:
        save_tiny(folder / family, family, reward=False)
    return folder


def adapted(base: Path, **options: Any) -> RewardModel:
    """A reward model with an adapter whose weights are no longer what they started as."""
    loaded = load_model(base, training=True)
    adapter = attach_adapter(loaded.model, lora_config(loaded.model, r=4, **options), fresh=loaded.fresh)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in loaded.model.named_parameters():
            if parameter.requires_grad and "magnitude" not in name:
                parameter.add_(torch.randn_like(parameter) * 0.05)
    spec = default_spec(loaded.tokenizer, 128)
    return RewardModel(loaded.model, loaded.tokenizer, spec, base_model=str(base), adapter=adapter)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_adapters_head_and_what_is_fresh_are_trained(bases: Path, family: str) -> None:
    loaded = load_model(bases / family, training=True)
    adapter = attach_adapter(loaded.model, lora_config(loaded.model), fresh=loaded.fresh)
    trained = {name for name, parameter in adapter.named_parameters() if parameter.requires_grad}
    heads = [name for name, module in head_modules(loaded.model).items() if list(module.parameters())]
    assert heads
    for head in heads:
        assert any(f".{head}." in name for name in trained)
    assert any("lora_A" in name for name in trained)
    if family == "bert":  # the pooler is fresh in a language model's checkpoint
        assert any(".pooler." in name for name in trained)
    assert all("lora_" in n or "modules_to_save" in n for n in trained)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_adapter_brings_its_head_and_reloads_to_the_same_scores(
    bases: Path, family: str, tmp_path: Path
) -> None:
    model = adapted(bases / family)
    before = model.score(PROMPTS, RESPONSES)
    model.save_pretrained(tmp_path / "rm")  # checks itself through plain peft
    assert not (tmp_path / "rm" / "model.safetensors").exists()
    again = RewardModel.from_pretrained(tmp_path / "rm")
    np.testing.assert_array_equal(again.score(PROMPTS, RESPONSES), before)
    assert again.adapter is not None


@pytest.mark.parametrize("family", FAMILIES)
def test_peft_and_transformers_read_the_adapter_with_its_head(bases: Path, family: str, tmp_path: Path) -> None:
    model = adapted(bases / family)
    model.save_pretrained(tmp_path / "rm")
    text = model.renderer.render(RenderItem(PROMPTS[0], RESPONSES[0]))
    inputs = padded_inputs([text], pad_token_id=0, last_token=False, token_types=text.type_boundary is not None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        of_peft = peft.AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "rm", num_labels=1).eval()
        of_transformers = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm", num_labels=1).eval()
    expected = model.predict(PROMPTS[0], RESPONSES[0])
    assert of_peft(**inputs).logits.item() == pytest.approx(expected, abs=1e-5)
    assert of_transformers(**inputs).logits.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", [{}, {"dora": True}, {"rslora": True}], ids=["lora", "dora", "rslora"])
def test_merging_leaves_the_scores_equal_and_gives_a_plain_model(
    bases: Path, family: str, kind: dict[str, Any], tmp_path: Path
) -> None:
    model = adapted(bases / family, **kind)
    before = model.score(PROMPTS, RESPONSES)
    assert model.merge_adapter() < 1e-5
    np.testing.assert_allclose(model.score(PROMPTS, RESPONSES), before, atol=1e-5)
    contract = model.save_pretrained(tmp_path / "rm")
    assert not (tmp_path / "rm" / "adapter_config.json").exists()
    assert all(check.passed for check in check_plain_transformers(tmp_path / "rm", contract))


def test_a_full_model_in_the_place_of_an_adapter_leaves_no_adapter_behind(bases: Path, tmp_path: Path) -> None:
    model = adapted(bases / "qwen3")
    model.save_pretrained(tmp_path / "rm")
    model.merge_adapter()
    model.save_pretrained(tmp_path / "rm")
    names = {path.name for path in (tmp_path / "rm").iterdir()}
    assert not any(name.startswith("adapter") for name in names)
    assert RewardModel.from_pretrained(tmp_path / "rm").adapter is None


def test_an_adapter_without_its_head_is_not_a_reward_model(bases: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    adapted(bases / "qwen3").save_pretrained(tmp_path / "rm")
    file = tmp_path / "rm" / "adapter_model.safetensors"
    save_file({key: tensor for key, tensor in load_file(file).items() if "score" not in key}, file)
    with pytest.raises(NotARewardModelError, match="no reward head"):
        RewardModel.from_pretrained(tmp_path / "rm")


@pytest.mark.parametrize("damage", ["truncated", "missing", "no json", "a list"])
def test_a_damaged_adapter_is_refused_in_plain_words(bases: Path, damage: str, tmp_path: Path) -> None:
    adapted(bases / "qwen3").save_pretrained(tmp_path / "rm")
    weights, config = tmp_path / "rm" / "adapter_model.safetensors", tmp_path / "rm" / "adapter_config.json"
    if damage == "truncated":
        weights.write_bytes(weights.read_bytes()[:100])
    elif damage == "missing":
        weights.unlink()
    else:
        config.write_text("{" if damage == "no json" else "[]", encoding="utf-8")
    with pytest.raises(ModelError, match=r"damaged|names no base"):
        RewardModel.from_pretrained(tmp_path / "rm")


def test_the_saved_configuration_names_each_module_once(bases: Path, tmp_path: Path) -> None:
    model = adapted(bases / "bert")
    model.save_pretrained(tmp_path / "rm")
    saved = json.loads((tmp_path / "rm" / "adapter_config.json").read_text(encoding="utf-8"))["modules_to_save"]
    assert saved == sorted(set(saved))
    assert set(saved) == {"classifier", "pooler", "score"}


def test_an_adapter_whose_base_is_gone_says_which(bases: Path, tmp_path: Path) -> None:
    shutil.copytree(bases / "qwen3", tmp_path / "base")
    adapted(tmp_path / "base").save_pretrained(tmp_path / "rm")
    shutil.rmtree(tmp_path / "base")
    with pytest.raises(ModelError, match=r"is an adapter of .*base"):
        RewardModel.from_pretrained(tmp_path / "rm")


def test_targets_that_match_nothing_say_which_layers_there_are(bases: Path) -> None:
    network = load_model(bases / "qwen3", training=True).model
    with pytest.raises(ConfigError, match=r"called 'q_prj'; there are .*q_proj"):
        lora_config(network, target_modules=["q_prj", "v_proj"])
    assert sorted(lora_config(network, target_modules=["q_proj", "v_proj"]).target_modules) == ["q_proj", "v_proj"]


@pytest.mark.parametrize("family", ENCODERS)
def test_the_head_gets_no_adapter(bases: Path, family: str) -> None:
    network = load_model(bases / family, training=True).model
    heads = tuple(head_modules(network))
    assert not [name for name in lora_config(network).target_modules if name.partition(".")[0] in heads]


def test_another_task_is_refused(bases: Path) -> None:
    network = load_model(bases / "qwen3", training=True).model
    with pytest.raises(ConfigError, match="SEQ_CLS"):
        attach_adapter(network, peft.LoraConfig(task_type="CAUSAL_LM"))


def test_there_is_nothing_to_merge_without_an_adapter(bases: Path) -> None:
    loaded = load_model(bases / "qwen3", training=True)
    with pytest.raises(ConfigError, match="no adapter"):
        RewardModel(loaded.model, loaded.tokenizer, default_spec(loaded.tokenizer, 64)).merge_adapter()


def test_a_damaged_adapter_configuration_names_the_base_that_is_missing(bases: Path, tmp_path: Path) -> None:
    adapted(bases / "qwen3").save_pretrained(tmp_path / "rm")
    file = tmp_path / "rm" / "adapter_config.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["base_model_name_or_path"] = None
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(ModelError, match="names no base model"):
        RewardModel.from_pretrained(tmp_path / "rm")
