"""Presets: every one is explained and valid, those for a CPU train; preset under file under flags."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
import torch

from plaudit.errors import ConfigError, DeviceError
from plaudit.training.config import LoraSettings, TrainConfig, load_config
from plaudit.training.presets import all_presets, load_preset
from plaudit.training.reward_config import RewardConfig

PRESETS = {preset.name: preset for preset in all_presets()}
CUDA = {name for name, preset in PRESETS.items() if preset.settings.get("model.device") == "cuda"}
BASE = {"data": "pairs.jsonl", "output": "out"}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """24 preference pairs."""
    rows = [{"prompt": f"What is {i} plus 1?", "chosen": f"It is {i + 1}.", "rejected": "No idea"} for i in range(24)]
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def configured(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_presets_cover_purposes_and_devices() -> None:
    assert {"cpu-only", "apple-mps", "consumer-gpu-32gb", "datacenter-gpu-80gb"} <= set(PRESETS)
    assert {"from-rules", "standard-pairs", "lora-4bit", "early-stopping", "large-centered", "quick-small-chat"} <= set(
        PRESETS
    )


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_described_explained_and_valid(name: str) -> None:
    preset = PRESETS[name]
    assert 20 < len(preset.description) < 130
    text = (files("plaudit") / "configs" / f"{name}.yaml").read_text(encoding="utf-8")
    assert len(re.findall(r"#\s\w", text)) >= 2
    said: list[str] = []
    config = load_config(None, BASE, preset=name, say=said.append)
    assert isinstance(config, TrainConfig)
    assert said[0] == f"preset {name}: {preset.description}"
    for key in preset.settings:
        assert key in said[1]


@pytest.mark.parametrize("name", PRESETS)
def test_the_trainer_takes_what_a_preset_sets(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = load_config(None, BASE, preset=name).training
    if name in CUDA:  # these two ask the machine itself
        values = {key: value for key, value in values.items() if key not in ("tf32", "fp16")}
    RewardConfig(**values, output_dir=str(tmp_path), use_cpu=True, report_to="none")


@pytest.mark.parametrize("name", sorted(set(PRESETS) - CUDA))
def test_a_preset_without_a_gpu_trains(name: str, pairs: Path, saved, tmp_path: Path, recwarn) -> None:
    from plaudit.training.run import run_training

    overrides = {
        "data": str(pairs), "output": str(tmp_path / "rm"), "model.name": str(saved("llama", "base")),
        "model.max_length": 64, "training.max_steps": 2, "data.eval_fraction": 0.3,
    }  # fmt: skip
    if PRESETS[name].settings.get("model.device") is None:
        overrides["model.device"] = "cpu"
    said: list[str] = []
    result = run_training(load_config(None, overrides, preset=name), say=said.append)
    assert result.evaluation is not None
    assert (tmp_path / "rm" / "scoring_contract.json").is_file()
    for key, value in PRESETS[name].settings.items():
        shown = result.settings.get(key.removeprefix("training.").removeprefix("model."))
        if key.startswith("training.") and isinstance(value, float) and shown is not None and "warmup" not in key:
            assert float(shown) == value


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("name", sorted(CUDA))
def test_a_preset_for_a_missing_device_is_refused(name: str, pairs: Path, tmp_path: Path) -> None:
    from plaudit.training.run import run_training

    config = load_config(None, {"data": str(pairs), "output": str(tmp_path / "rm")}, preset=name)
    with pytest.raises(DeviceError, match="'cuda' is not available here"):
        run_training(config)
    assert not (tmp_path / "rm").exists()


def test_file_wins_over_preset_and_overrides_over_both(tmp_path: Path) -> None:
    path = configured(
        tmp_path,
        "preset: lora_4bit\ndata: {source: a.jsonl, split: train}\nmodel: mine\noutput: out\nlora: {r: 4}\n"
        "training: {num_train_epochs: 1, learning_rate: 3.0e-4}\n",
    )
    config = load_config(path, {"training.learning_rate": 1.0, "data": "b.jsonl"})
    assert (config.model.name, config.model.quantization) == ("mine", "int4")
    assert (config.data.source, config.data.split) == ("b.jsonl", "train")
    assert config.lora == LoraSettings(r=4, alpha=64, dropout=0.1, target_modules=["q_proj", "v_proj"])
    assert (config.training["learning_rate"], config.training["num_train_epochs"]) == (1.0, 1)
    assert config.training["gradient_accumulation_steps"] == 8


def test_a_preset_named_on_the_command_line_wins_over_that_of_the_file(tmp_path: Path) -> None:
    path = configured(tmp_path, "preset: cpu-only\ndata: a\noutput: b\n")
    assert load_config(path).model.device == "cpu"
    assert load_config(path, preset="apple-mps").model.device == "mps"
    assert load_config(path, {"preset": "apple-mps"}).model.device == "mps"


def test_loading_a_preset_twice_gives_the_same() -> None:
    first = load_config(None, BASE | {"training.warmup_steps": 5, "lora.r": 8}, preset="lora-4bit")
    assert first.training["warmup_steps"] == 5
    assert load_config(None, BASE, preset="lora-4bit").training["warmup_steps"] == 0.1


@pytest.mark.parametrize(
    ("preset", "override", "gone"),
    [
        ("standard-pairs", {"training.warmup_steps": 7}, "warmup_ratio"),
        ("lora-4bit", {"training.bf16": True}, "fp16"),
        ("from-rules", {"training.total_batch_size": 64}, "gradient_accumulation_steps"),
        ("large-centered", {"training.gradient_accumulation_steps": 4}, "total_batch_size"),
        ("large-centered", {"training.dropout": 0.1}, "disable_dropout"),
    ],
)
def test_what_says_the_same_in_other_words_gives_way(preset: str, override: dict, gone: str) -> None:
    config = load_config(None, BASE | override, preset=preset)
    ((key, value),) = override.items()
    assert config.training[key.removeprefix("training.")] == value
    assert not config.training.get(gone)


def test_two_words_for_one_thing_in_one_layer_contradict_each_other() -> None:
    with pytest.raises(ConfigError, match="exclude each other"):
        load_config(None, BASE | {"training.warmup_steps": 7, "training.warmup_ratio": 0.1}, preset="standard-pairs")


def test_switching_lora_on_keeps_its_settings_and_off_removes_them(tmp_path: Path) -> None:
    path = configured(tmp_path, "data: a\noutput: b\nlora: {r: 4}\n")
    on = load_config(path, {"lora": True, "lora.alpha": 8})
    assert on.lora is not None
    assert (on.lora.r, on.lora.alpha) == (4, 8)
    assert load_config(path, {"lora": False}).lora is None


def test_an_unknown_preset_is_refused_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'cpu-only'.*there is: apple-mps"):
        load_preset("cpu_onyl")


def test_a_preset_may_be_written_with_underscores() -> None:
    assert load_preset("cpu_only") == load_preset("cpu-only")
