"""``plaudit rl``: flags, files and --set become one run; figures go to stdout, talk to stderr."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Run = Callable[..., Any]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.json"
    path.write_text(json.dumps([{"prompt": f"What is {n}?"} for n in range(12)]), encoding="utf-8")
    return path


def _base(saved: Callable[[str, str], Path], prompts: Path, output: Path) -> list[str]:
    policy = str(saved("qwen3", "base"))
    small = ["--batch-size", "4", "--max-steps", "2", "--max-new-tokens", "6", "--eval-prompts", "3"]
    return ["--policy", policy, "--prompts", str(prompts), "--output", str(output), *small]


def test_a_run_prints_figures_and_leaves_a_policy_with_its_report(
    run: Run, saved: Callable[[str, str], Path], prompts: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    rewards = ["--reward", "length{target: 10}=0.5", "--reward", "repetition=0.5", "--gold", "readability"]
    done = run("rl", "ppo", *_base(saved, prompts, output), *rewards)
    assert done.exit_code == 0, done.stderr
    assert "against the start" in done.stdout
    assert "step 2/2  reward" in done.stderr
    assert {"report.html", "results.json", "log.jsonl", "model.safetensors", "rl_config.yaml"} <= {
        path.name for path in output.iterdir()
    }


def test_json_is_one_document_on_stdout(
    run: Run, saved: Callable[[str, str], Path], prompts: Path, tmp_path: Path
) -> None:
    command = ["rl", "ppo", *_base(saved, prompts, tmp_path / "out"), "--reward", "repetition", "--json"]
    document = json.loads(run(*command, "--set", "options.ppo_epochs=1").stdout)
    assert document["steps"] == 2
    assert document["win_rates"]["prompts"] == 3


def test_a_configuration_file_is_the_whole_run(
    run: Run, saved: Callable[[str, str], Path], prompts: Path, tmp_path: Path
) -> None:
    values = {
        "model_name": str(saved("qwen3", "base")),
        "dataset_name": str(prompts),
        "reward": "repetition",
        "output_dir": str(tmp_path / "out"),
        "batch_size": 2,
        "max_steps": 5,
        "max_new_tokens": 6,
        "options": {"num_generations": 2},
    }
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    done = run("rl", "grpo", "--config", str(path), "--max-steps", "1", "--json")
    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 1  # a flag wins over the file


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ([], "--reward SCORER is required"),
        (["--reward", "length", "--set", "options.cliprang=0.1"], "cliprang"),
        (["--reward", "lenght"], "did you mean 'length'"),
        (["--reward", "length", "--overlong", "drop", "--max-prompt-length", "1"], "no prompt is left"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_two(
    run: Run, saved: Callable[[str, str], Path], prompts: Path, tmp_path: Path, more: list[str], problem: str
) -> None:
    done = run("rl", "ppo", *_base(saved, prompts, tmp_path / "out"), *more)
    assert done.exit_code == 2
    assert problem in done.stderr
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_named_by_its_flag(run: Run) -> None:
    done = run("rl", "online-dpo", "--reward", "length")
    assert done.exit_code == 2
    assert "--policy MODEL is required" in done.stderr


def test_zero_is_an_answer_and_the_written_configuration_runs_again(
    run: Run, saved: Callable[[str, str], Path], prompts: Path, tmp_path: Path
) -> None:
    command = ["rl", "ppo", *_base(saved, prompts, tmp_path / "out"), "--reward", "repetition"]
    done = run(*command, "--eval-prompts", "0", "--seed", "0")
    assert done.exit_code == 0, done.stderr
    written = yaml.safe_load((tmp_path / "out" / "rl_config.yaml").read_text())
    assert (written["eval_prompts"], written["seed"]) == (0, 0)
    again = run("rl", "ppo", "--config", tmp_path / "out" / "rl_config.yaml", "--output", tmp_path / "again")
    assert again.exit_code == 0, again.stderr
    logs = [(tmp_path / name / "log.jsonl").read_text().splitlines() for name in ("out", "again")]
    one, two = ([json.loads(line)["reward"] for line in log] for log in logs)
    assert one == two
    for flag in (["--temperature", "0"], ["--learning-rate", "0"], ["--epochs", "0"]):
        assert run(*command, "--output", str(tmp_path / "other"), *flag).exit_code == 2


@pytest.mark.parametrize("weight", ["-1", "nan", "abc", "0"])
def test_bad_weights_say_so(
    run: Run, saved: Callable[[str, str], Path], prompts: Path, tmp_path: Path, weight: str
) -> None:
    done = run("rl", "ppo", *_base(saved, prompts, tmp_path / "out"), "--reward", f"length={weight}")
    assert done.exit_code == 2
    assert "weight" in done.stderr
