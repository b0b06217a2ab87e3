"""The dry run says what a run would do and leaves nothing behind; the preflight proves that the model can learn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from plaudit.errors import ModelError
from plaudit.training.config import make_config
from plaudit.training.rehearsal import MEASURED_STEPS, dry_run, preflight
from plaudit.training.run import run_training
from plaudit.training.setup import load_data


def settings(base: str, pairs: str, folder: Path, **training: Any) -> dict[str, Any]:
    values = {"per_device_train_batch_size": 4, "num_train_epochs": 3, "bf16": False, "learning_rate": 1e-3}
    data = {"source": pairs, "eval_fraction": 0.2}
    return {"data": data, "model": base, "output": str(folder / "rm"), "training": values | training}


def test_a_dry_run_counts_steps_and_leaves_nothing_behind(base: str, pairs: str, tmp_path: Path) -> None:
    said: list[str] = []
    config = make_config(settings(base, pairs, tmp_path, gradient_accumulation_steps=2))
    result = dry_run(config, said.append)
    assert result.pairs + result.held_out == 50
    assert result.pairs_per_step == 8
    assert result.steps == 3 * -(-result.pairs // 8)
    assert result.measured_steps == MEASURED_STEPS - 1
    assert result.training_seconds > 0
    assert result.evaluation_seconds > 0
    assert result.peak_bytes > 1e6
    assert result.trainable == result.parameters
    assert list(tmp_path.iterdir()) == []
    assert len(result.lines()) == 6
    assert json.loads(json.dumps(result.to_dict()))["steps"] == result.steps


def test_a_dry_run_counts_what_an_adapter_trains(base: str, pairs: str, tmp_path: Path) -> None:
    result = dry_run(make_config(settings(base, pairs, tmp_path, max_steps=7) | {"lora": {"r": 2}}), lambda line: None)
    assert result.steps == 7
    assert result.trainable < result.parameters
    assert result.saved_bytes == 4 * result.trainable


def test_a_dry_run_measures_the_longest_pairs_first(base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from plaudit.training.trainer import RewardTrainer

    file = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"{i}", "chosen": "good " * (1 + i % 40), "rejected": "bad"} for i in range(80)]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    seen: list[int] = []
    real = RewardTrainer.training_step

    def step(self: RewardTrainer, model: Any, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        if "micro_batches" in inputs:
            seen.append(max(batch["input_ids"].shape[1] for batch in inputs["micro_batches"]))
        return real(self, model, inputs, *rest)

    monkeypatch.setattr(RewardTrainer, "training_step", step)
    dry_run(make_config(settings(base, str(file), tmp_path)), lambda line: None)
    assert len(seen) == MEASURED_STEPS
    assert seen[0] == max(seen)
    assert seen[0] >= 40


def test_the_preflight_passes_where_the_model_can_learn(base: str, pairs: str, tmp_path: Path) -> None:
    said: list[str] = []
    values = settings(base, pairs, tmp_path, max_steps=2) | {"preflight": True}
    result = run_training(make_config(values), say=said.append)
    assert any("preflight: passed" in line for line in said)
    assert result.folder.is_dir()


def test_the_preflight_leaves_the_run_as_it_would_be_without(base: str, pairs: str, tmp_path: Path) -> None:
    values = settings(base, pairs, tmp_path, max_steps=2)
    plain = run_training(make_config(values)).model
    values |= {"preflight": True, "output": str(tmp_path / "second")}
    checked = run_training(make_config(values)).model
    for a, b in zip(plain.model.parameters(), checked.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_preflight_stops_a_run_that_cannot_learn(base: str, pairs: str, tmp_path: Path) -> None:
    config = make_config(settings(base, pairs, tmp_path, learning_rate=1e-9, max_steps=2) | {"preflight": True})
    with pytest.raises(ModelError, match=r"preflight: after \d+ steps the model knows only"):
        run_training(config)
    assert not (tmp_path / "rm").exists()


def test_the_preflight_takes_one_pair_of_each_prompt(base: str, tmp_path: Path) -> None:
    file = tmp_path / "contradicting.jsonl"
    rows = [{"prompt": f"p{i}", "chosen": a, "rejected": b} for i in range(40) for a, b in (("x", "y"), ("y", "x"))]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    config = make_config(settings(base, str(file), tmp_path))
    said: list[str] = []
    preflight(config, torch.device("cpu"), load_data(config, said.append), said.append)
    assert any("32 pairs learnt by heart" in line for line in said)
