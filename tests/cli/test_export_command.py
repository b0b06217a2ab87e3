"""``plaudit export``: what is printed, and how it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

from typer.testing import Result

from plaudit.cli.export import Target

Run = Callable[..., Result]


def test_an_export_says_what_it_wrote_and_what_it_proved(run: Run, sharing_model: Path, tmp_path: Path) -> None:
    result = run("export", "vllm", sharing_model, tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert "serve.sh" in result.stdout
    assert "config.json" not in result.stdout  # the checkpoint goes without saying
    assert all(len(line) <= 80 for line in result.stdout.splitlines())
    assert "checked: plain transformers loads it" in result.stderr
    assert "beware: vLLM itself did not run here" in result.stderr
    assert (tmp_path / "out/serve.sh").is_file()


def test_json_holds_files_and_checks(run: Run, sharing_model: Path, tmp_path: Path) -> None:
    result = run("export", "sglang", sharing_model, tmp_path / "out", "--json", "--device", "cpu")
    document = json.loads(result.stdout)
    assert document["target"] == "sglang"
    assert document["files"]["serve.sh"] == "starts the server"
    assert document["files"]["config.json"] == "checkpoint"
    assert document["checked"]
    assert document["not_checked"]


def test_refusals_are_one_line(run: Run, sharing_model: Path, tmp_path: Path) -> None:
    result = run("export", "tei", sharing_model, tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 2
    assert result.stderr.count("error:") == 1
    assert "encoders only" in result.stderr
    run("export", "vllm", sharing_model, tmp_path / "out", "--device", "cpu")
    again = run("export", "vllm", sharing_model, tmp_path / "out", "--device", "cpu")
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr
    assert run("export", "vllm", sharing_model, tmp_path / "out", "--overwrite", "--device", "cpu").exit_code == 0
    assert run("export", "triton", sharing_model, tmp_path / "other").exit_code == 2


def test_a_rule_is_exported_for_trainers(run: Run, sharing_model: Path, tmp_path: Path) -> None:
    arguments = ("length{target: 50}", tmp_path / "out", "--policy", sharing_model, "--empty-score", "0")
    result = run("export", "openrlhf", *arguments)
    assert result.exit_code == 0, result.stderr
    assert "empty_score=0.0" in (tmp_path / "out/reward_func.py").read_text()


def test_the_command_knows_every_target() -> None:
    from plaudit.rl.export import TARGETS

    assert sorted(get_args(get_args(Target)[0])) == TARGETS.names()
