"""Scoring, comparing and ranking with a learned model; what is saved scores as it did."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from plaudit.errors import ConfigError, ContractError, DeviceError, OutputError, RenderError, ScoreError
from plaudit.formatting import RenderItem, RenderSpec, TooLongError, default_spec
from plaudit.models import reward_model as module
from plaudit.models.build import load_model
from plaudit.models.reward_model import RewardModel
from plaudit.scorers import resolve_scorer
from plaudit.types import Scorer
from tiny_models import DECODERS, FAMILIES, TOKENIZERS, tiny_model

Saved = Callable[[str, str], Path]
PROMPTS = ["What is it?", "What is it?", None, "Why? " * 30, "A river", [{"role": "user", "content": "Which?"}]]
RESPONSES = ["good", "bad " * 50, "A text on its own.", "pears", "the sea 🌊", "apples"]


@pytest.fixture
def model(saved: Saved) -> RewardModel:
    return RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu")


@pytest.fixture
def model_of(saved: Saved) -> Callable[[str], RewardModel]:
    return lambda family: RewardModel.from_pretrained(saved(family, "reward"), device="cpu")


# --- scores -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_do_not_depend_on_neighbours_order_or_batch_size(
    model_of: Callable[[str], RewardModel], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(family)
    scores = model.score(PROMPTS, RESPONSES)
    assert scores.shape == (6,)
    assert scores.dtype == np.float32
    assert len(set(scores.tolist())) == 6
    alone = [model.predict(p, r) for p, r in zip(PROMPTS, RESPONSES, strict=True)]
    np.testing.assert_allclose(scores, alone, rtol=0, atol=1e-5)
    np.testing.assert_allclose(model.score(PROMPTS[::-1], RESPONSES[::-1])[::-1], scores, rtol=0, atol=1e-5)
    for rows, tokens in ((2, 8192), (32, 64)):
        monkeypatch.setattr(module, "SCORING_ROWS", rows)
        monkeypatch.setattr(module, "SCORING_TOKENS", {"cpu": tokens})
        np.testing.assert_allclose(model.score(PROMPTS, RESPONSES), scores, rtol=0, atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_equal_a_plain_script(model_of: Callable[[str], RewardModel], saved: Saved, family: str) -> None:
    folder = saved(family, "reward")
    plain = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    if tokenizer.chat_template:
        turns = [{"role": "user", "content": "What is it?"}, {"role": "assistant", "content": "It is good."}]
        inputs = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)
    elif tokenizer.sep_token:
        inputs = tokenizer("What is it?", "It is good.", return_tensors="pt")
    else:
        inputs = tokenizer(f"What is it?\nIt is good.{tokenizer.eos_token}", return_tensors="pt")
    with torch.inference_mode():
        expected = plain(**inputs).logits.item()
    assert model_of(family).predict("What is it?", "It is good.") == pytest.approx(expected, abs=1e-6)


def test_a_reward_model_is_a_scorer(model: RewardModel, saved: Saved) -> None:
    assert isinstance(model, Scorer)
    assert resolve_scorer(model) is model
    loaded = resolve_scorer(saved("qwen3", "reward"), device="cpu")
    np.testing.assert_array_equal(loaded.score(PROMPTS, RESPONSES), model.score(PROMPTS, RESPONSES))


def test_dropout_is_off_while_scoring(model: RewardModel) -> None:
    model.model.train()
    first = model.score(PROMPTS, RESPONSES)
    assert not model.model.training
    np.testing.assert_array_equal(first, model.score(PROMPTS, RESPONSES))


def test_progress_counts_every_text(model: RewardModel) -> None:
    seen: list[int] = []
    model.score(PROMPTS, RESPONSES, progress=seen.append)
    assert sum(seen) == 6


def test_no_texts_have_no_scores(model: RewardModel) -> None:
    assert model.score([], []).shape == (0,)
    assert model.rank("Why?", []) == []


def test_bare_texts_need_no_prompts(model: RewardModel) -> None:
    np.testing.assert_array_equal(model.score(None, ["a", "b"]), model.score([None, None], ["a", "b"]))


def test_tools_and_template_arguments_change_the_score(model: RewardModel) -> None:
    plain = RenderItem("2 + 3?", "5")
    scores = model.score_items(
        [plain, replace(plain, tools=[{"name": "add"}]), replace(plain, template_kwargs={"enable_thinking": False})]
    )
    assert len(set(scores.tolist())) == 3


# --- predict, compare, rank -------------------------------------------------------------------------------------------


def test_predict_compare_and_rank_agree_with_score(model: RewardModel) -> None:
    replies = ["good", "bad", "better", "bad"]
    scores = model.score(["Why?"] * 4, replies)
    assert [model.predict("Why?", reply) for reply in replies] == pytest.approx(scores.tolist(), abs=1e-5)
    compared = model.compare("Why?", "good", "bad")
    assert (compared.score_a, compared.score_b) == pytest.approx((scores[0], scores[1]), abs=1e-5)
    assert compared.margin == compared.score_a - compared.score_b
    assert compared.probability == pytest.approx(1 / (1 + math.exp(-compared.margin)))
    assert compared.preferred == ("a" if scores[0] > scores[1] else "b")
    turned = model.compare("Why?", "bad", "good")
    assert {compared.preferred, turned.preferred} == {"a", "b"}
    assert compared.probability + turned.probability == pytest.approx(1)
    ranked = model.rank("Why?", replies)
    assert [r.rank for r in ranked] == [1, 2, 3, 4]
    assert [r.score for r in ranked] == sorted((r.score for r in ranked), reverse=True)
    assert [r.response for r in ranked] == [replies[r.index] for r in ranked]
    same = [r.index for r in ranked if r.response == "bad"]
    assert same == [1, 3]  # equal scores keep their order


def test_equal_responses_tie(model: RewardModel) -> None:
    compared = model.compare("Why?", "good", "good")
    assert (compared.margin, compared.probability, compared.preferred) == (0.0, 0.5, "tie")


@pytest.mark.parametrize(
    ("margin", "probability"), [(0.0, 0.5), (math.log(3), 0.75), (-math.log(3), 0.25), (1000.0, 1.0), (-1000.0, 0.0)]
)
def test_probability_is_the_sigmoid_of_the_margin(model: RewardModel, margin: float, probability: float) -> None:
    assert model.probability(margin) == pytest.approx(probability)


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_references_are_refused(model: RewardModel) -> None:
    with pytest.raises(ConfigError, match="compares with no references"):
        model.score(["a"], ["b"], references=["c"])
    assert model.score(["a"], ["b"], references=[None]).shape == (1,)


@pytest.mark.parametrize(("prompts", "responses"), [("a", ["b"]), (["a"], "b"), ("a", "b"), (None, "b")])
def test_a_string_is_no_list(model: RewardModel, prompts: Any, responses: Any) -> None:
    with pytest.raises(ConfigError, match="takes lists of prompts and responses; for one response use predict"):
        model.score(prompts, responses)


def test_prompts_and_responses_must_be_as_many(model: RewardModel) -> None:
    with pytest.raises(ConfigError, match="got 2 and 1"):
        model.score(["a", "b"], ["c"])


@pytest.mark.parametrize("bad", [0, 2, 1500])
def test_an_error_names_the_item(model: RewardModel, bad: int) -> None:
    responses = ["good"] * (bad + 2)
    responses[bad] = " "
    with pytest.raises(RenderError, match=rf"^item {bad}: the response is empty"):
        model.score(None, responses)


def test_a_response_too_long_is_named_or_cut(model: RewardModel) -> None:
    with pytest.raises(TooLongError, match=r"^item 1: the response and what must stay around it"):
        model.score(["a", "a"], ["good", "good " * 2000])
    assert model.score(["a", "a"], ["good", "good " * 2000], overlong="cut").shape == (2,)
    with pytest.raises(TooLongError, match=r"^item 0: "):
        model.predict("a", "good " * 2000)


def test_scores_that_are_not_finite_are_an_error(model: RewardModel) -> None:
    with torch.no_grad():
        model.model.score.weight.fill_(float("nan"))
    with pytest.raises(ScoreError, match=r"item 0: the score is nan \(6 of 6 are not finite\).*overflow in float32"):
        model.score(PROMPTS, RESPONSES)


def test_a_missing_device_is_an_error(saved: Saved, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError):
        RewardModel.from_pretrained(saved("qwen3", "reward"), device="cuda")
    loaded = RewardModel.from_pretrained(saved("qwen3", "reward"), device="cuda", device_fallback="cpu")
    assert loaded.device == torch.device("cpu")


# --- without a contract -----------------------------------------------------------------------------------------------


def test_a_third_party_model_is_scored_with_the_default_layout_and_that_is_logged(
    saved: Saved, caplog: pytest.LogCaptureFixture
) -> None:
    folder = saved("llama", "reward")
    with caplog.at_level(logging.WARNING, logger="plaudit"):
        model = RewardModel.from_pretrained(folder, device="cpu")
    assert (
        f"{folder} has no scoring contract: rendering by the default layout 'chat', at most 512 tokens" in caplog.text
    )
    assert model.contract is None
    assert model.spec == default_spec(model.tokenizer, 512)
    with pytest.raises(ContractError, match="has no scoring contract"):
        model.check_golden()


def test_a_limit_above_the_positions_is_refused(saved: Saved) -> None:
    folder = saved("qwen3", "reward")
    assert RewardModel.from_pretrained(folder, device="cpu", max_length=100).spec.max_length == 100
    with pytest.raises(ConfigError, match="max_length 513 exceeds the 512 positions"):
        RewardModel.from_pretrained(folder, device="cpu", max_length=513)


# --- save and load ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_scores_the_same(model_of: Callable[[str], RewardModel], tmp_path: Path, family: str) -> None:
    model = model_of(family)
    before = model.score(PROMPTS, RESPONSES)
    contract = model.save_pretrained(tmp_path / "out")
    loaded = RewardModel.from_pretrained(tmp_path / "out", device="cpu")
    np.testing.assert_allclose(loaded.score(PROMPTS, RESPONSES), before, rtol=0, atol=1e-6)
    assert loaded.contract == contract
    assert loaded.spec == model.spec
    assert all(check.passed and check.same_tokens for check in loaded.check_golden())


@pytest.mark.parametrize("family", FAMILIES)
@torch.inference_mode()
def test_what_is_saved_loads_in_plain_transformers_with_equal_scores(
    model_of: Callable[[str], RewardModel], tmp_path: Path, family: str
) -> None:
    contract = model_of(family).save_pretrained(tmp_path / "out")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert plain.config.num_labels == 1
    for golden in contract.golden:
        if golden.prompt is None:
            inputs = tokenizer(golden.response, return_tensors="pt")
        elif contract.render.layout == "pair":
            inputs = tokenizer(golden.prompt, golden.response, return_tensors="pt")
        elif contract.render.layout == "chat":
            turns = [{"role": "user", "content": golden.prompt}, {"role": "assistant", "content": golden.response}]
            inputs = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)
        else:
            inputs = tokenizer(f"{golden.prompt}\n{golden.response}{tokenizer.eos_token}", return_tensors="pt")
        if inputs["input_ids"].shape[1] > contract.render.max_length or golden.prompt is None:
            continue
        assert inputs["input_ids"][0].tolist() == golden.input_ids
        assert plain(**inputs).logits.item() == pytest.approx(golden.score, abs=1e-5)


@pytest.mark.parametrize("family", DECODERS)
@torch.inference_mode()
def test_a_model_made_for_training_scores_padded_batches_alike_in_plain_transformers(
    saved: Saved, tmp_path: Path, family: str
) -> None:
    """The pad token is not EOS, so plain transformers reads the last token too, also where the texts are padded."""
    loaded = load_model(saved(family, "base"), training=True)
    model = RewardModel(loaded.model, loaded.tokenizer, default_spec(loaded.tokenizer, 128))
    contract = model.save_pretrained(tmp_path / "out")
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert plain.config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id
    batch = tokenizer.pad({"input_ids": [golden.input_ids for golden in contract.golden]}, return_tensors="pt")
    scores = plain(**batch).logits.squeeze(-1)
    np.testing.assert_allclose(scores, [golden.score for golden in contract.golden], rtol=0, atol=1e-5)


def test_a_bfloat16_model_reloads_within_its_stated_tolerance(saved: Saved, tmp_path: Path) -> None:
    loaded = load_model(saved("llama", "reward"), training=False, dtype="bf16")
    model = RewardModel(loaded.model, loaded.tokenizer, default_spec(loaded.tokenizer, 128))
    assert model.save_pretrained(tmp_path / "out").dtype == "bfloat16"
    again = RewardModel.from_pretrained(tmp_path / "out", device="cpu")
    assert again.dtype == "bfloat16"
    np.testing.assert_allclose(again.score(PROMPTS, RESPONSES), model.score(PROMPTS, RESPONSES), atol=5e-2)
    exact = RewardModel.from_pretrained(tmp_path / "out", device="cpu", dtype="float32")
    assert exact.dtype == "float32"


def test_documents_are_saved_beside_the_model(model: RewardModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "out", metrics__json="{}", README__md="# hi")
    assert (tmp_path / "out" / "metrics.json").read_text() == "{}"
    assert (tmp_path / "out" / "README.md").read_text() == "# hi"


def test_saving_over_another_model_leaves_nothing_of_it(model_of: Callable[[str], RewardModel], tmp_path: Path) -> None:
    """A chat template or weights of the older model would be read with the new ones."""
    out = tmp_path / "out"
    model_of("qwen3").save_pretrained(out)
    (out / "model.safetensors.index.json").write_text("{}")
    (out / "notes.txt").write_text("mine")
    gpt2 = model_of("gpt2")
    gpt2 = RewardModel(gpt2.model, gpt2.tokenizer, RenderSpec("mixed", 256))
    gpt2.save_pretrained(out)
    loaded = RewardModel.from_pretrained(out, device="cpu")
    assert loaded.tokenizer.chat_template is None
    assert not (out / "chat_template.jinja").exists()
    assert not (out / "model.safetensors.index.json").exists()
    assert (out / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize("kind", ["os", "rust"])
def test_a_full_disk_leaves_nothing_behind_and_an_older_model_untouched(
    model: RewardModel,
    model_of: Callable[[str], RewardModel],
    tmp_path: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import errno

    from safetensors import SafetensorError

    full = OSError(errno.ENOSPC, "No space left on device")
    if kind == "rust":  # what safetensors really raises
        full = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")
    older = tmp_path / "older"
    model_of("llama").save_pretrained(older)
    before = {path.name: path.read_bytes() for path in older.iterdir()}

    def fail(*_: Any, **__: Any) -> None:
        raise full

    monkeypatch.setattr(type(model.model), "save_pretrained", fail)
    for target in (tmp_path / "fresh", older):
        with pytest.raises(OutputError, match=f"writing {target} failed: .*No space left on device"):
            model.save_pretrained(target)
    assert [path.name for path in tmp_path.iterdir()] == ["older"]
    assert {path.name: path.read_bytes() for path in older.iterdir()} == before


def test_a_model_that_does_not_reload_to_its_scores_is_not_saved(
    model: RewardModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = type(model.model).save_pretrained

    def save_other_weights(self: Any, folder: Path, **kwargs: Any) -> None:
        other = tiny_model("qwen3", TOKENIZERS["qwen3"](), reward=True, seed=9)
        save(other, folder, **kwargs)

    monkeypatch.setattr(type(model.model), "save_pretrained", save_other_weights)
    with pytest.raises(ContractError, match="does not reload to the same scores .*; nothing was saved"):
        model.save_pretrained(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_trains_in_bfloat16_scores_as_it_will_be_saved(saved: Callable[[str, str], Path]) -> None:
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    model = RewardModel.from_pretrained(saved("qwen3", "reward"))
    texts = ["a text", "another text that is longer"]
    before = model.score([None, None], texts)
    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        Accelerator(mixed_precision="bf16", cpu=True).prepare_model(model.model, evaluation_mode=True)
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)
    assert model.score([None, None], texts).tolist() == before.tolist()
