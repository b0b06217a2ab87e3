"""Stages of a run: what each learns from, where it starts, what is left behind, and how a killed one goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from transformers import TrainerCallback

import plaudit.training.run
from plaudit import RewardModel, train
from plaudit.errors import ConfigError, DataError, OutputError
from plaudit.training.config import load_config, make_config
from plaudit.training.rehearsal import dry_run
from plaudit.training.run import run_training
from plaudit.training.stages import stage_runs


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    file = tmp_path / "pairs.jsonl"
    rows = [
        {"prompt": f"prompt {i}", "chosen": f"good {i}", "rejected": f"bad {i}", "margin": i / 10} for i in range(40)
    ]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return file


def values(pairs: Path, model: Path, folder: Path, **more: Any) -> dict[str, Any]:
    return {
        "data": {"source": str(pairs), "eval_fraction": 0.2},
        "model": str(model),
        "output": str(folder / "out"),
        "training": {"bf16": False, "learning_rate": 1e-3, "per_device_train_batch_size": 8},
        "stages": [
            {"name": "clear", "select": {"clearest": 0.5}, "epochs": 2},
            {"name": "subtle", "select": {"subtlest": 0.25}, "epochs": 1, "learning_rate": 5e-4},
        ],
    } | more


def test_each_stage_goes_on_from_the_one_before_with_its_own_settings(
    pairs: Path, saved: Callable[..., Path], tmp_path: Path
) -> None:
    base = saved("qwen3", "base")
    said: list[str] = []
    result = run_training(make_config(values(pairs, base, tmp_path)), say=said.append)
    out = tmp_path / "out"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith("out")) == ["out"]
    metrics = json.loads((out / "metrics.json").read_text())
    first = json.loads((out / "stages/1-clear/data.json").read_text())
    last = json.loads((out / "data.json").read_text())
    held_out = metrics["held_out"]["pairs"]
    assert first["train_pairs"] == round(0.5 * (40 - held_out))
    assert last["train_pairs"] == round(0.25 * (40 - held_out))
    assert metrics["stages"][0]["name"] == "clear"
    assert metrics["stages"][0]["held_out"]["pairs"] == held_out
    assert metrics["stages"][0]["steps"] == 2 * -(-first["train_pairs"] // 8)
    assert metrics["training"]["steps"] == -(-last["train_pairs"] // 8)
    kept = yaml.safe_load((out / "stages/1-clear/training_config.yaml").read_text())
    assert (kept["training"]["learning_rate"], kept["training"]["num_train_epochs"]) == (1e-3, 2)
    whole = load_config(out / "training_config.yaml")
    assert whole.stages is not None
    assert [stage.name for stage in whole.stages] == ["clear", "subtle"]
    model = RewardModel.from_pretrained(out)
    assert model.base_model == str(base)
    card = (out / "README.md").read_text()
    assert "stage 1 of 2 (clear)" in card
    assert "1-clear`" not in card
    assert any(line.startswith("selected ") and "margins from" in line for line in said)
    assert result.folder == out


def test_a_stage_starts_from_the_weights_of_the_one_before(
    pairs: Path, saved: Callable[..., Path], tmp_path: Path
) -> None:
    stages = [{"epochs": 1}, {"epochs": 1, "learning_rate": 1e-12}]
    two = train(values(pairs, saved("bert", "base"), tmp_path, stages=stages))
    one = train(values(pairs, saved("bert", "base"), tmp_path / "one", stages=stages[:1]))
    assert two.score(["p"], ["good 1"]) == pytest.approx(one.score(["p"], ["good 1"]), abs=1e-5)


def test_an_adapter_is_trained_on_in_later_stages(pairs: Path, saved: Callable[..., Path], tmp_path: Path) -> None:
    model = train(values(pairs, saved("qwen3", "base"), tmp_path, lora={"r": 2}))
    assert model.adapter is not None
    assert RewardModel.from_pretrained(tmp_path / "out").adapter is not None


class Kill(TrainerCallback):
    """Ends the process's training in its N-th step, as a kill would."""

    def __init__(self, at: int) -> None:
        self.left = at

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.left -= 1
        if self.left == 0:
            raise RuntimeError("killed")


@pytest.mark.parametrize("at", [1, 3, 5])
def test_a_killed_curriculum_ends_in_the_same_weights(
    at: int, pairs: Path, saved: Callable[..., Path], tmp_path: Path
) -> None:
    options = values(pairs, saved("bert", "base"), tmp_path / "killed")
    options["training"] |= {"save_steps": 1, "save_strategy": "steps", "eval_strategy": "no"}
    with pytest.raises(RuntimeError, match="killed"):
        run_training(make_config(options), callbacks=[Kill(at)])
    with pytest.raises(OutputError, match="holds unfinished stages: go on with resume"):
        run_training(make_config(options))
    said: list[str] = []
    resumed = run_training(make_config(options | {"resume": True}), say=said.append).model
    assert any("finished already" in line for line in said) is (at > 4)
    whole = run_training(make_config(options | {"output": str(tmp_path / "whole")})).model
    assert resumed.score(["p"], ["good 1"]).tolist() == whole.score(["p"], ["good 1"]).tolist()


def test_resuming_with_other_stages_is_refused(pairs: Path, saved: Callable[..., Path], tmp_path: Path) -> None:
    options = values(pairs, saved("bert", "base"), tmp_path)
    with pytest.raises(RuntimeError, match="killed"):
        run_training(make_config(options), callbacks=[Kill(1)])
    changed = options | {"resume": True, "stages": [*options["stages"], {"epochs": 1}]}
    with pytest.raises(ConfigError, match="these differ: stages"):
        run_training(make_config(changed))


def test_an_output_in_use_is_refused_before_the_first_stage(
    pairs: Path, saved: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plaudit.training.run, "_run_one", None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        train(values(pairs, saved("bert", "base"), tmp_path))
    with pytest.raises(OutputError, match="nothing to resume"):
        train(values(pairs, saved("bert", "base"), tmp_path / "new", resume=True))


def test_an_older_result_stays_until_the_last_stage_is_whole(
    pairs: Path, saved: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").write_text("mine")
    options = values(pairs, saved("bert", "base"), tmp_path, overwrite=True)
    with pytest.raises(RuntimeError, match="killed"):
        run_training(make_config(options), callbacks=[Kill(5)])
    assert (tmp_path / "out" / "file").read_text() == "mine"
    run_training(make_config(options | {"resume": True, "overwrite": False}))
    assert not (tmp_path / "out" / "file").exists()
    assert (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"stages": [{"name": "a"}, {"name": "a"}]}, "names must differ"),
        ({"stages": []}, "stages"),
        ({"stages": [{"epoch": 1}]}, "unknown key"),
        ({"stages": [{"select": {}}]}, "expected one of clearest, subtlest"),
        ({"stages": [{"select": {"clearest": 0.5, "min_margin": 1}}]}, "expected one of clearest, subtlest"),
        ({"stages": [{"select": {"min_margin": 2, "max_margin": 1}}]}, "min_margin 2 is above max_margin 1"),
        ({"stages": [{"training": {"learning_rate": 1e-3}}]}, r"stages\[1\]: give select, epochs and learning_rate"),
        ({"lora": {"r": 2, "merge": True}}, "lora.merge: a later stage trains the adapter on"),
    ],
)
def test_settings_that_cannot_work_are_refused(
    change: dict[str, Any], problem: str, pairs: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_config(values(pairs, tmp_path, tmp_path) | change)


def test_a_stage_may_bring_its_own_data(pairs: Path, tmp_path: Path) -> None:
    stages = [{"data": "other.jsonl"}, {"data": {"source": "third.csv", "max_samples": 5}}]
    runs = stage_runs(make_config(values(pairs, tmp_path, tmp_path, stages=stages)))
    assert [(run.config.data.source, run.config.data.max_samples) for run in runs] == [
        ("other.jsonl", None),
        ("third.csv", 5),
    ]
    assert all(run.config.data.eval_fraction == 0.2 for run in runs)


def test_a_dry_run_has_no_stages(pairs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a dry run rehearses one stage"):
        dry_run(make_config(values(pairs, tmp_path, tmp_path)), print)


# -- selection -------------------------------------------------------------------------------------------------------


def selected(pairs: Path, model: Path, folder: Path, select: dict[str, Any]) -> tuple[list[str], dict[str, Any]]:
    data = {"source": str(pairs), "eval_fraction": 0.0, "select": select}
    training = {"bf16": False, "max_steps": 1}
    said: list[str] = []
    options = {"data": data, "model": str(model), "output": str(folder / "out"), "training": training}
    run_training(make_config(options), say=said.append)
    facts: dict[str, Any] = json.loads((folder / "out" / "data.json").read_text())
    return said, facts


def test_pairs_are_selected_by_their_margin(pairs: Path, saved: Callable[..., Path], tmp_path: Path) -> None:
    said, facts = selected(pairs, saved("bert", "base"), tmp_path, {"min_margin": 1.0, "max_margin": 1.5})
    assert "selected 6 of 40 pairs: margins from 1 to 1.5" in said
    assert (facts["train_pairs"], facts["select"]["min_margin"]) == (6, 1.0)


def test_pairs_are_selected_by_the_margin_of_a_reference(
    pairs: Path, saved: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    for i, row in enumerate(rows):
        row["chosen"] += " x" * (i if i % 2 else 0)
    pairs.write_text("\n".join(map(json.dumps, rows)) + "\n")
    said, facts = selected(
        pairs, saved("bert", "base"), tmp_path, {"reference": "length{low: 1, high: 100}", "clearest": 0.25}
    )
    assert facts["train_pairs"] == 10
    assert any("margins by length{low: 1, high: 100}" in line for line in said)


def test_selection_by_margins_that_are_not_there_is_an_error(
    pairs: Path, saved: Callable[..., Path], tmp_path: Path
) -> None:
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    rows[3].pop("margin")
    pairs.write_text("\n".join(map(json.dumps, rows)) + "\n")
    with pytest.raises(DataError, match="1 of 40 pairs have none"):
        selected(pairs, saved("bert", "base"), tmp_path, {"clearest": 0.5})


def test_a_selection_of_nothing_is_an_error(pairs: Path, saved: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leaves none of 40 pairs: their margins go from 0 to 3.9"):
        selected(pairs, saved("bert", "base"), tmp_path, {"min_margin": 50})
