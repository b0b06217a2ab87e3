"""The classifier reward on tiny BERTs with random weights, against transformers called by hand."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    BertTokenizerFast,
)

from plaudit.errors import ConfigError, DeviceError, ModelError, NotARewardModelError, RewardError
from plaudit.rewards import classifier as classifier
from plaudit.rewards import harm as harm
from plaudit.rewards import sentiment as sentiment
from plaudit.rewards.base import make

WORDS = "good bad the a movie was very and it ok so is not food cold nice fine grey blue red sad glad".split()
TEXTS = ["the movie was very good", "bad", "it was cold and grey and sad so bad bad bad", "nice food"]
LABELS = {0: "negative", 1: "neutral", 2: "Positive"}


def save(folder: Path, **config: Any) -> Path:
    """A BERT of random weights with 32 positions."""
    vocabulary = {token: i for i, token in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    tokenizer = BertTokenizerFast(vocab=vocabulary, model_max_length=32)
    tokenizer.save_pretrained(folder)
    labels: dict[int, str] = config.pop("labels", LABELS)
    torch.manual_seed(0)
    model = BertForSequenceClassification(
        BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=32,
            id2label=labels,
            label2id={name: i for i, name in labels.items()},
            initializer_range=0.5,
            **config,
        )
    )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("classes"))


@pytest.fixture(scope="module")
def multi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(
        tmp_path_factory.mktemp("labels"),
        labels={0: "toxic", 1: "obscene"},
        problem_type="multi_label_classification",
    )


def score(folder: Path, texts: list[str], prompts: list[Any] | None = None, **options: Any) -> list[float]:
    function = make("classifier", {"model": str(folder), "device": "cpu", **options})
    values: list[float] = function.score(prompts or [None] * len(texts), texts).tolist()
    return values


def logits(folder: Path, *texts: str) -> torch.Tensor:
    """One input alone, by transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder, dtype="float32").eval()
    with torch.inference_mode():
        return model(**tokenizer(*texts, return_tensors="pt")).logits[0]


@pytest.mark.parametrize("label", ["Positive", "positive", 2])
def test_the_score_is_the_softmax_probability_of_the_label(folder: Path, label: str | int) -> None:
    expected = [float(logits(folder, text).softmax(-1)[2]) for text in TEXTS]
    assert score(folder, TEXTS, label=label) == pytest.approx(expected, abs=1e-5)


def test_a_bad_label_counts_from_one_downwards(folder: Path) -> None:
    good, bad = score(folder, TEXTS, label="negative"), score(folder, TEXTS, bad_label="negative")
    assert [g + b for g, b in zip(good, bad, strict=True)] == pytest.approx([1.0] * 4)


def test_a_multi_label_model_gives_the_sigmoid_of_its_own_output(multi: Path) -> None:
    expected = [float(1 - logits(multi, text).sigmoid()[0]) for text in TEXTS]
    assert score(multi, TEXTS, bad_label="toxic") == pytest.approx(expected, abs=1e-5)


def test_what_the_model_says_of_its_labels_can_be_overruled(multi: Path) -> None:
    expected = [float(logits(multi, text).softmax(-1)[0]) for text in TEXTS]
    assert score(multi, TEXTS, label="toxic", multi_label=False) == pytest.approx(expected, abs=1e-5)


def test_batches_and_neighbours_do_not_change_a_score(folder: Path) -> None:
    together = score(folder, TEXTS, label=0, batch_size=4)
    assert score(folder, TEXTS, label=0, batch_size=1) == pytest.approx(together, abs=1e-6)
    assert score(folder, TEXTS[::-1], label=0, batch_size=3)[::-1] == pytest.approx(together, abs=1e-6)


def test_the_prompt_is_read_as_the_first_of_a_pair_where_asked_for(folder: Path) -> None:
    expected = float(logits(folder, "was it good", "it was ok").softmax(-1)[1])
    assert score(folder, ["it was ok"], ["was it good"], label=1, use_prompt=True) == pytest.approx(
        [expected], abs=1e-5
    )
    with pytest.raises(RewardError, match="item 1.*use_prompt needs a prompt"):
        score(folder, ["ok", "bad"], ["was it good", None], label=1, use_prompt=True)


LONG = " ".join(["good"] * 30 + ["bad"] * 30 + ["cold"] * 5)  # windows of 30 tokens and two special ones


def test_a_long_text_is_cut_and_the_cuts_are_logged(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        values = score(folder, [LONG, "ok"], label=0)
    assert "1 of 2 responses are longer" in caplog.text
    assert values[0] == pytest.approx(score(folder, [" ".join(["good"] * 30)], label=0)[0], abs=1e-6)


def test_all_of_a_long_text_is_read_in_windows(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts = [" ".join(["good"] * 30), " ".join(["bad"] * 30), " ".join(["cold"] * 5)]
    own = score(folder, parts, label=0)
    with caplog.at_level(logging.WARNING):
        assert score(folder, [LONG], label=0, long="worst") == pytest.approx([min(own)], abs=1e-6)
        mean = (32 * own[0] + 32 * own[1] + 7 * own[2]) / 71
        assert score(folder, [LONG], label=0, long="mean") == pytest.approx([mean], abs=1e-6)
    assert not caplog.text


def test_a_long_prompt_keeps_its_end_and_leaves_room_for_the_response(folder: Path) -> None:
    prompt = " ".join(["sad"] * 40 + ["glad"] * 16)
    expected = float(logits(folder, " ".join(["glad"] * 16), "it was ok").softmax(-1)[1])
    assert score(folder, ["it was ok"], [prompt], label=1, use_prompt=True) == pytest.approx([expected], abs=1e-5)


def test_a_smaller_window_can_be_asked_for_but_no_larger_one(folder: Path) -> None:
    cut = score(folder, ["bad bad bad good good"], label=0, max_length=5)
    assert cut == pytest.approx(score(folder, ["bad bad bad"], label=0), abs=1e-6)
    with pytest.raises(ConfigError, match="reads 32 tokens; max_length 64 is more"):
        score(folder, ["bad"], label=0, max_length=64)
    with pytest.raises(ConfigError, match="leave no room"):
        score(folder, ["bad"], label=0, max_length=2)


def test_a_model_without_a_head_is_refused_instead_of_scoring_at_random(folder: Path, tmp_path: Path) -> None:
    BertModel.from_pretrained(folder).save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(folder).save_pretrained(tmp_path)
    with pytest.raises(NotARewardModelError, match=r"no trained classifier: classifier\.(bias|weight)"):
        score(tmp_path, ["bad"], label=0)


def test_a_head_of_another_size_than_the_configuration_says_is_refused(tmp_path: Path) -> None:
    config = json.loads((save(tmp_path) / "config.json").read_text())
    config["id2label"], config["label2id"] = {"0": "a", "1": "b"}, {"a": 0, "b": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="cannot load"):
        score(tmp_path, ["bad"], label=0)


def test_a_model_that_gives_raw_values_is_refused(tmp_path: Path) -> None:
    save(tmp_path, labels={0: "reward"})
    with pytest.raises(NotARewardModelError, match="gives 1 raw value, no probabilities"):
        score(tmp_path, ["bad"], label=0)
    expected = float(logits(tmp_path, "bad").sigmoid()[0])
    assert score(tmp_path, ["bad"], label=0, multi_label=True) == pytest.approx([expected], abs=1e-5)
    with pytest.raises(ConfigError, match="multi_label=False has no effect"):
        score(tmp_path, ["bad"], label=0, multi_label=False)


def test_a_label_that_the_model_lacks_is_refused_with_those_it_has(folder: Path) -> None:
    for label in ("happy", 3, -1):
        with pytest.raises(ConfigError, match=r"no class.*0 negative, 1 neutral, 2 Positive"):
            score(folder, ["bad"], label=label)


@pytest.mark.parametrize(
    "options",
    [
        {"label": 0},
        {"model": "x"},
        {"model": "x", "label": 0, "bad_label": 1},
        {"model": "x", "label": 0, "batch_size": 0},
        {"model": "x", "label": 0, "batch_size": True},
        {"model": "x", "label": 0, "max_length": 0},
        {"model": "x", "label": 0, "long": "best"},
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="reward 'classifier'"):
        make("classifier", options)


def test_a_missing_folder_or_device_is_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        score(tmp_path / "nothing", ["bad"], label=0)
    with pytest.raises(DeviceError):
        make("classifier", {"model": str(folder), "label": 0, "device": "nonsense"}).score([None], ["bad"])


@pytest.mark.parametrize("name", ["sentiment", "toxicity", "safety"])
def test_any_classifier_takes_the_place_of_the_rules(folder: Path, name: str) -> None:
    function = make(name, {"model": str(folder), "bad_label": "negative"})
    expected = score(folder, TEXTS, bad_label="negative")
    assert function.score([None] * 4, TEXTS).tolist() == pytest.approx(expected, abs=1e-5)
    assert function.options() == {"model": str(folder), "label": None, "bad_label": "negative"}
    long = function.score([None], [LONG])[0]
    windows = "mean" if name == "sentiment" else "worst"
    assert long == pytest.approx(score(folder, [LONG], bad_label="negative", long=windows)[0], abs=1e-6)


@pytest.mark.parametrize("name", ["sentiment", "toxicity", "safety"])
@pytest.mark.parametrize(
    "options",
    [{"model": "x"}, {"label": 0}, {"model": "embedded", "label": 0}, {"model": "x", "label": 0, "bad_label": 1}],
)
def test_labels_and_models_belong_together(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"reward '{name}'"):
        make(name, options)


def test_importing_the_rewards_imports_no_torch() -> None:
    code = "import sys; from plaudit.rewards import classifier, harm, sentiment; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
