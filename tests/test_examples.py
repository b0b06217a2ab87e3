"""Every example runs, on small data and tiny models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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


def test_every_test_that_an_example_names_exists() -> None:
    tests = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for readme in EXAMPLES.glob("*/README.md"):
        text = readme.read_text(encoding="utf-8")
        for name in {word for word in text.replace("`", " ").replace(",", " ").split() if word.startswith("test_")}:
            assert f"def {name}(" in tests, f"{readme.parent.name} names {name}"
        for path in {word for word in text.replace("`", " ").split() if word.startswith(("tests/", "benchmarks/"))}:
            assert (ROOT / path.rstrip(",.")).exists(), f"{readme.parent.name} names {path}"
