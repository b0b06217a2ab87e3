"""Every example runs, on small data and tiny models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tiny_models import save_tiny

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"

pytestmark = pytest.mark.slow


def run(script: str, *arguments: str | Path, cwd: Path) -> str:
    path = EXAMPLES / script
    command = [sys.executable, str(path), *map(str, arguments)]
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(path.parent)}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT without a head, with the tokenizer of the embedded model."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    from plaudit.models.build import resolve_name

    folder = tmp_path_factory.mktemp("models") / "small-bert"
    tokenizer = AutoTokenizer.from_pretrained(resolve_name("embedded"))
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **sizes)).save_pretrained(
        folder
    )
    tokenizer.save_pretrained(folder)
    return folder


def test_rules_become_a_model_that_is_then_used(base: Path, tmp_path: Path) -> None:
    output = tmp_path / "standalone"
    said = run(
        "01_rules_to_reward_model/standalone.py",
        "--base-model",
        base,
        "--output",
        output,
        "--epochs",
        "1",
        cwd=tmp_path,
    )
    assert "240 texts scored" in said
    assert "Spearman" in said
    said = run("01_rules_to_reward_model/existing_model.py", "--model-path", output, cwd=tmp_path)
    assert "as a transformers model: BertForSequenceClassification" in said


def test_the_pipeline_streams_and_pairs(base: Path, tmp_path: Path) -> None:
    arguments = ("--base-model", base, "--output", tmp_path / "rm", "--epochs", "0.2")
    assert "saved to" in run("01_rules_to_reward_model/pipeline.py", *arguments, cwd=tmp_path)


def test_a_configuration_is_validated_and_trained(base: Path, tmp_path: Path) -> None:
    arguments = ("--base-model", base, "--output", tmp_path / "rm")
    said = run("01_rules_to_reward_model/configuration.py", *arguments, cwd=tmp_path)
    assert "refused: Need at least 10 training texts" in said
    assert "refused: Missing reward functions: 'lenght'" in said


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("policies") / "tiny-qwen3", "qwen3", reward=False)


SMALL = ("--batch-size", "4", "--max-samples", "20", "--max-new-tokens", "8")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with preferences.json and prompts.json."""
    folder = tmp_path_factory.mktemp("data")
    assert "prompts.json: " in run("02_preference_training/data.py", "--pairs", "80", cwd=folder)
    return folder


def test_ppo_learns_from_rules_that_became_a_model(base: Path, policy: Path, data: Path, tmp_path: Path) -> None:
    models = ("--policy", policy, "--backend", "trl", "--base-model", base, "--prompts", data / "prompts.json")
    outputs = ("--reward-output", tmp_path / "rm", "--output", tmp_path / "out")
    said = run("01_rules_to_reward_model/ppo_with_custom_reward.py", *models, *outputs, *SMALL, cwd=tmp_path)
    assert "training the reward model from 4 rules" in said
    assert "step 5: reward " in said
    assert "final policy against the start: 2 prompts" in said
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    assert results["steps"] == 5
    assert results["reward_final"] is not None
    assert (tmp_path / "rm" / "scoring_contract.json").is_file()


def test_ppo_uses_a_reward_model_that_exists(policy: Path, data: Path, tmp_path: Path) -> None:
    reward = save_tiny(tmp_path / "rm", "bert", reward=True)
    models = ("--policy", policy, "--backend", "trl", "--reward-path", reward, "--prompts", data / "prompts.json")
    arguments = (*models, "--output", tmp_path / "out", *SMALL)
    said = run("01_rules_to_reward_model/ppo_with_existing_reward.py", *arguments, cwd=tmp_path)
    assert "reward on held-out prompts: " in said
    assert (tmp_path / "out" / "report.html").is_file()


def test_preferences_become_a_reward_model_and_that_a_policy(data: Path, tmp_path: Path) -> None:
    model = save_tiny(tmp_path / "tiny-gpt2", "gpt2", reward=False)
    files = ("--preferences", data / "preferences.json", "--prompts", data / "prompts.json", "--model", model)
    outputs = ("--reward-output", tmp_path / "rm", "--output", tmp_path / "out")
    said = run("02_preference_training/train_then_ppo.py", *files, *outputs, *SMALL, cwd=tmp_path)
    assert "accuracy " in said
    assert "step 5: reward " in said
    assert "final policy against the start: 2 prompts" in said


def test_every_test_that_an_example_names_exists() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for readme in EXAMPLES.glob("*/README.md"):
        text = readme.read_text(encoding="utf-8")
        for name in {word for word in text.replace("`", " ").replace(",", " ").split() if word.startswith("test_")}:
            assert f"def {name}(" in tests, f"{readme.parent.name} names {name}"
        for path in {word for word in text.replace("`", " ").split() if word.startswith(("tests/", "benchmarks/"))}:
            assert (ROOT / path.rstrip(",.")).exists(), f"{readme.parent.name} names {path}"
