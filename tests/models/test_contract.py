"""A model scores as it was saved, or says that it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from plaudit.errors import ConfigError, ContractError
from plaudit.formatting import Rendered
from plaudit.models.contract import CONTRACT_FILE, GOLDEN_INPUTS, GoldenCheck, GoldenExample, ScoringContract, tolerance
from plaudit.models.reward_model import RewardModel
from plaudit.models.saved import check_plain_transformers

Saved = Callable[[str, str], Path]


@pytest.fixture
def folder(saved: Saved, tmp_path: Path) -> Path:
    """A model saved by plaudit, contract included."""
    RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads((folder / CONTRACT_FILE).read_text())
    change(document)
    (folder / CONTRACT_FILE).write_text(json.dumps(document))


def load(folder: Path, **options: Any) -> RewardModel:
    return RewardModel.from_pretrained(folder, device="cpu", **options)


def test_the_contract_records_what_makes_a_score_reproducible(folder: Path) -> None:
    contract = ScoringContract.load(folder)
    model = load(folder)
    assert contract is not None
    assert contract.render == model.spec
    assert contract.render_hash == model.renderer.hash
    assert (contract.read_position, contract.dtype, contract.device) == ("last", "float32", "cpu")
    assert [(golden.prompt, golden.response) for golden in contract.golden] == list(GOLDEN_INPUTS)
    assert set(contract.versions) == {"plaudit", "torch", "transformers", "tokenizers"}
    rendered = model.renderer.render_batch([golden.item for golden in contract.golden])
    assert [text.input_ids for text in rendered if isinstance(text, Rendered)] == [
        golden.input_ids for golden in contract.golden
    ]
    scores = model.score(*zip(*GOLDEN_INPUTS, strict=True))
    np.testing.assert_allclose([golden.score for golden in contract.golden], scores, rtol=0, atol=1e-5)
    assert max(len(golden.input_ids) for golden in contract.golden) <= 512  # the over-long one is cut


def test_the_contract_survives_the_file(folder: Path, tmp_path: Path) -> None:
    contract = ScoringContract.load(folder)
    assert contract is not None
    contract.save(tmp_path)
    assert ScoringContract.load(tmp_path) == contract
    assert ScoringContract.load(tmp_path / "nowhere") is None


def test_an_encoder_records_pooling_and_token_types(saved: Saved) -> None:
    contract = RewardModel.from_pretrained(saved("bert", "reward"), device="cpu").make_contract()
    assert contract.read_position == "pooled"
    boundaries = {golden.prompt is None: golden.type_boundary == len(golden.input_ids) for golden in contract.golden}
    assert boundaries == {True: True, False: False}


def test_the_overlong_golden_input_is_left_out_where_truncation_is_drop(saved: Saved) -> None:
    model = RewardModel.from_pretrained(saved("gpt2", "reward"), device="cpu")
    spec = type(model.spec).from_dict(model.spec.to_dict() | {"truncation": "drop"})
    contract = RewardModel(model.model, model.tokenizer, spec).make_contract()
    assert len(contract.golden) == len(GOLDEN_INPUTS) - 1


@pytest.mark.parametrize("part", ["score.weight", "model.layers.0.mlp.up_proj.weight"])
def test_tampered_weights_do_not_load(folder: Path, part: str) -> None:
    weights = load_file(folder / "model.safetensors")
    weights[part] += 0.01
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ContractError, match=r"does not reproduce \d of its 8 golden examples \(score .*plaudit verify"):
        load(folder)
    checks = load(folder, check=False).check_golden()
    assert not all(check.passed for check in checks)
    assert all(check.same_tokens for check in checks)


def test_an_edited_chat_template_does_not_load(folder: Path) -> None:
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_end|>", "<|im_end|> "))
    with pytest.raises(
        ContractError, match="the rendering has changed since saving .*the chat template or the contract"
    ):
        load(folder)


def test_an_edited_tokenizer_does_not_load(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["merges"] = tokenizer["model"]["merges"][:-40]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ContractError, match="other token ids than when it was saved"):
        load(folder)


def test_an_edited_rendering_does_not_load(folder: Path) -> None:
    edit(folder, lambda document: document["render"].update(cut_step=32))
    with pytest.raises(ContractError, match="the rendering has changed since saving"):
        load(folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document.pop("golden"),
        lambda document: document.pop("contract_version"),
        lambda document: document.update(golden=[{"prompt": "p"}]),
        lambda document: document.update(golden=3),
        lambda document: document.update(render=[]),
        lambda document: document["render"].pop("layout"),
        lambda document: document["render"].update(layout="poem"),
        lambda document: document["render"].update(max_length="long"),
        lambda document: document["render"].update(colour="red"),
    ],
)
def test_a_contract_with_parts_missing_or_unknown_is_an_error(
    folder: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    edit(folder, change)
    with pytest.raises(ContractError, match=CONTRACT_FILE):
        load(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'"text"'])
def test_a_damaged_contract_is_an_error(folder: Path, content: bytes) -> None:
    (folder / CONTRACT_FILE).write_bytes(content)
    with pytest.raises(ContractError, match=rf"{CONTRACT_FILE} is damaged .*restore it or save again"):
        load(folder)


def test_a_contract_of_a_newer_version_says_upgrade(folder: Path) -> None:
    edit(folder, lambda document: document.update(contract_version=2))
    with pytest.raises(ContractError, match="contract version 2, this plaudit reads 1; upgrade plaudit"):
        load(folder)


def test_the_limit_is_part_of_the_contract(folder: Path) -> None:
    with pytest.raises(ConfigError, match="saved with max_length 512, which is part of its contract"):
        load(folder, max_length=100)
    assert load(folder, max_length=512).spec.max_length == 512


def test_a_limit_in_the_contract_above_the_positions_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text()) | {"max_position_embeddings": 128}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="max_length 512 exceeds the 128 positions"):
        load(folder)


def test_a_score_that_is_not_a_number_never_passes() -> None:
    golden = GoldenExample("p", "r", [1], None, 1.0)
    assert GoldenCheck(golden, 1.0 + 0.9e-5, True, 1e-5).passed
    assert not GoldenCheck(golden, 1.0 + 1.1e-5, True, 1e-5).passed
    assert not GoldenCheck(golden, 1.0, False, 1e-5).passed
    assert not GoldenCheck(golden, float("nan"), True, 1e-5).passed
    large = GoldenExample("p", "r", [1], None, -100.0)
    assert GoldenCheck(large, -100.0009, True, 1e-5).passed  # relative to the score where that is larger than 1


@pytest.mark.parametrize(
    ("dtype", "saved_on", "device", "allowed"),
    [
        ("float32", "cpu", "cpu", 1e-5),
        ("float32", "cuda", "cpu", 1e-4),
        ("bfloat16", "cpu", "cuda", 5e-2),
        ("float16", "cpu", "cpu", 1e-2),
    ],
)
def test_the_tolerance_is_stated(dtype: str, saved_on: str, device: str, allowed: float) -> None:
    assert tolerance(dtype, saved_on, device) == allowed


def test_loading_in_another_format_is_checked_with_its_tolerance(folder: Path) -> None:
    model = load(folder, dtype="bf16")
    assert model.dtype == "bfloat16"
    assert {check.tolerance for check in model.check_golden()} == {5e-2}


def test_the_check_in_plain_transformers_finds_other_weights(folder: Path) -> None:
    contract = ScoringContract.load(folder)
    assert contract is not None
    assert all(check.passed for check in check_plain_transformers(folder, contract))
    weights = load_file(folder / "model.safetensors")
    weights["score.weight"] = torch.zeros_like(weights["score.weight"])
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert not any(check.passed for check in check_plain_transformers(folder, contract))
