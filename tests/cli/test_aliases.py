"""The options of other trainers: every one reaches its field or is refused, with hyphens or underscores."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import plaudit.training.run
from plaudit.cli.aliases import ALIASES

REQUIRED = {"data.source": ["--data", "a.jsonl"], "output": ["--output", "out"]}


@pytest.fixture
def parsed(run, monkeypatch: pytest.MonkeyPatch):
    """``parsed("--lr", "1")``: the configuration that would be run; data and output are added."""
    seen = []

    def fake(config, *, say):
        seen.append(config)
        return SimpleNamespace(folder=Path("x"), evaluation=None, settings={}, notes=[], seconds=0.0)

    monkeypatch.setattr(plaudit.training.run, "run_training", fake)

    def parse(*arguments: str, without: str = "") -> Any:
        required = [part for key, parts in REQUIRED.items() if key not in without.split() for part in parts]
        result = run("train", *required, *arguments)
        assert result.exit_code == 0, result.stderr
        return seen.pop()

    return parse


def field(config: Any, key: str) -> Any:
    for name in key.split("."):
        config = config.get(name) if isinstance(config, dict) else getattr(config, name)
    return config


CASES = [
    ("--data-path", "b.jsonl", "data.source", "b.jsonl"),
    ("--dataset-name", "someone/pairs_v2", "data.source", "someone/pairs_v2"),
    ("--dataset-split", "train[:5%]", "data.split", "train[:5%]"),
    ("--prompt-text-column", "the_question", "data.prompt_column", "the_question"),
    ("--text-column", "good_code", "data.chosen_column", "good_code"),
    ("--rejected-text-column", "bad_code", "data.rejected_column", "bad_code"),
    ("--max-samples", "500", "data.max_samples", 500),
    ("--project-name", "my_rm", "output", Path("my_rm")),
    ("--save-directory", "my_rm", "output", Path("my_rm")),
    ("--model", "base_model", "model.name", "base_model"),
    ("--repo-id", "someone/base_model", "model.name", "someone/base_model"),
    ("--base-model-name", "b", "model.name", "b"),
    ("--max-seq-length", "512", "model.max_length", 512),
    ("--max-sequence-length", "2048", "model.max_length", 2048),
    ("--attn-mechanism", "vanilla", "model.attn_implementation", "eager"),
    ("--attn-mechanism", "sdpa", "model.attn_implementation", "sdpa"),
    ("--attn-mechanism", "flash_attn2", "model.attn_implementation", "flash_attention_2"),
    ("--attn-mechanism", "auto", "model.attn_implementation", None),
    ("--attn-implementation", "flash_attention_2", "model.attn_implementation", "flash_attention_2"),
    ("--epochs", "3", "training.num_train_epochs", 3.0),
    ("--num-train-epochs", "3", "training.num_train_epochs", 3.0),
    ("--batch-size", "8", "training.per_device_train_batch_size", 8),
    ("--per-device-train-batch-size", "8", "training.per_device_train_batch_size", 8),
    ("--total-batch-size", "16", "training.total_batch_size", 16),
    ("--tokens-per-step", "4096", "training.tokens_per_step", 4096),
    ("--batching", "packed", "training.batching", "packed"),
    ("--gradient-accumulation", "4", "training.gradient_accumulation_steps", 4),
    ("--gradient-accumulation-steps", "4", "training.gradient_accumulation_steps", 4),
    ("--lr", "1e-5", "training.learning_rate", 1e-5),
    ("--head-learning-rate", "1e-3", "training.head_learning_rate", 1e-3),
    ("--learning-rate-end", "5e-7", "training.learning_rate_end", 5e-7),
    ("--warmup-ratio", "0.1", "training.warmup_steps", 0.1),
    ("--warmup-steps", "100", "training.warmup_steps", 100),
    ("--weight-decay", "0.01", "training.weight_decay", 0.01),
    ("--mixed-precision", "fp16", "training.fp16", True),
    ("--mixed-precision", "bf16", "training.bf16", True),
    ("--mixed-precision", "no", "training.bf16", False),
    ("--gradient-checkpointing", None, "training.gradient_checkpointing", True),
    ("--no-gradient-checkpointing", None, "training.gradient_checkpointing", False),
    ("--center-rewards-coefficient", "0.1", "training.center_rewards_coefficient", 0.1),
    ("--label-smoothing-factor", "0.1", "training.label_smoothing_factor", 0.1),
    ("--disable-dropout", None, "training.disable_dropout", True),
    ("--no-disable-dropout", None, "training.disable_dropout", False),
    ("--dropout", "0.1", "training.dropout", 0.1),
    ("--freeze", "backbone", "training.freeze", "backbone"),
    ("--dataset-num-proc", "2", "training.dataset_num_proc", 2),
    ("--eval-strategy", "epoch", "training.eval_strategy", "epoch"),
    ("--eval-steps", "100", "training.eval_strategy", "steps"),
    ("--eval-steps", "100", "training.eval_steps", 100),
    ("--early-stopping-patience", "3", "training.early_stopping_patience", 3),
    ("--early-stopping-threshold", "0.01", "training.early_stopping_threshold", 0.01),
    ("--load-best-model-at-end", None, "training.load_best_model_at_end", True),
    ("--save-steps", "1000", "training.save_strategy", "steps"),
    ("--save-steps", "1000", "training.save_steps", 1000),
    ("--report-to", "tensorboard", "training.report_to", ["tensorboard"]),
    ("--peft", None, "lora.r", 16),
    ("--use-lora", None, "lora.r", 16),
    ("--no-peft", None, "lora", None),
    ("--lora-r", "32", "lora.r", 32),
    ("--lora-alpha", "64", "lora.alpha", 64.0),
    ("--lora-dropout", "0.1", "lora.dropout", 0.1),
    ("--target-modules", "q_proj,v_proj", "lora.target_modules", ["q_proj", "v_proj"]),
    ("--merge", None, "lora.merge", True),
    ("--device-map", "auto", "model.device_map", "auto"),
    ("--push-to-hub", "me/my_rm", "push_to_hub", "me/my_rm"),
    ("--preflight", None, "preflight", True),
    ("--seed", "7", "seed", 7),
    ("--trainer", "reward", "model.name", "embedded"),
    ("--num-labels", "1", "model.name", "embedded"),
    ("--do-last-save", None, "model.name", "embedded"),
]


@pytest.mark.parametrize("underscores", [False, True], ids=["hyphens", "underscores"])
@pytest.mark.parametrize(("option", "value", "key", "expected"), CASES, ids=lambda value: str(value))
def test_an_alias_reaches_its_field(parsed, option: str, value: str | None, key: str, expected, underscores) -> None:
    if underscores:
        option = "--" + option.removeprefix("--").replace("-", "_")
    config = parsed(option, *([value] if value else []), without=key)
    assert field(config, key) == expected


def test_the_value_may_be_joined_by_an_equals_sign(parsed) -> None:
    assert parsed("--center_rewards_coefficient=0.1").training["center_rewards_coefficient"] == 0.1
    assert parsed("--repo_id=some_one/base_model").model.name == "some_one/base_model"


@pytest.mark.parametrize("bits", ["int4", "int8"])
def test_quantization_goes_with_peft(parsed, run, bits: str) -> None:
    assert parsed("--quantization", bits, "--peft").model.quantization == bits
    result = run("train", "--data", "a", "--output", "b", "--quantization", bits)
    assert result.exit_code == 2
    assert "add lora (--peft)" in result.stderr


def test_private_goes_with_push_to_hub(parsed, run) -> None:
    assert parsed("--push-to-hub", "me/rm", "--private").hub_private
    assert "without push_to_hub" in run("train", "--data", "a", "--output", "b", "--private").stderr


def test_the_command_line_of_a_jax_trainer_works_as_it_is(parsed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaudit.training.reporters.find_spec", lambda name: object())
    line = (
        "--repo_id meta-llama/Llama-3.1-8B-Instruct --dataset_name trl-lib/ultrafeedback_binarized "
        "--dataset_split train --attn_mechanism vanilla --max_sequence_length 2048 "
        "--center_rewards_coefficient 0.1 --total_batch_size 16 "
        "--learning_rate 1e-6 --learning_rate_end 6e-7 --num_train_epochs 3 --do_last_save "
        "--save_steps 1000 --use_wandb --save_directory reward_checkpoints"
    )
    config = parsed(*line.split(), without="data.source output")
    assert config.training == {
        "center_rewards_coefficient": 0.1, "total_batch_size": 16, "learning_rate": 1e-6, "learning_rate_end": 6e-7,
        "num_train_epochs": 3.0, "save_steps": 1000, "save_strategy": "steps", "report_to": ["wandb"],
    }  # fmt: skip
    assert config.output == Path("reward_checkpoints")


def test_every_alias_is_tested_or_shares_its_option(run) -> None:
    result = run("train", "--help-aliases", "--json")
    listed = json.loads(result.stdout)
    assert set(ALIASES) <= set(listed)
    tested = {option for option, *_ in CASES} | {"--use-wandb"}
    assert {ALIASES.get(name, name) for name in listed} <= tested | {ALIASES.get(name) for name in tested}


def test_the_help_shows_main_names_only(run) -> None:
    text = run("train", "--help").stdout
    assert "--learning-rate " in text
    for hidden in ("--lr ", "--data-path", "--no-gradient-checkpointing", "--trainer", "--use-wandb"):
        assert hidden not in text
    assert "…" not in "".join(line.split()[1] for line in text.splitlines() if line.startswith("│ --"))
    assert "--data-path" in run("train", "--help-aliases").stdout


REFUSED = [
    (["--trainer", "ppo"], "plaudit trains reward models"),
    (["--num-labels", "2"], "has one output"),
    (["--no-do-last-save"], "always saved"),
    (["--attn-mechanism", "ring"], "expected one of auto, vanilla"),
    (["--attn-mechanism", "vanilla", "--attn-implementation", "sdpa"], "contradict"),
    (["--lr", "0.1", "--learning-rate", "0.2"], "--learning-rate 0.2 and --lr 0.1 set the same thing"),
    (["--max-seq-length", "64", "--max-sequence-length", "128"], "set the same thing"),
    (["--use-lora", "--no-peft"], "set the same thing"),
    (["--no-peft", "--lora-r", "8"], "--lora-r has no effect with --no-peft"),
    (["--eval-steps", "10", "--eval-strategy", "epoch"], "--eval-steps has no effect"),
    (["--use-wandb", "--report-to", "none"], "excludes wandb"),
    (["--report-to", "wandbb"], "did you mean 'wandb'"),
    (["--warmup-ratio", "0.1", "--warmup-steps", "5"], "exclude each other"),
    (
        ["--tokens-per-step", "4096", "--batch-size", "4"],
        "(--batch-size), which sizes it in pairs",
    ),
    (
        ["--tokens-per-step", "4096", "--total-batch-size", "4"],
        "(--total-batch-size), which sizes it",
    ),
    (
        ["--tokens-per-step", "4096", "--gradient-accumulation", "2"],
        "(--gradient-accumulation), which",
    ),
    (["--set", "training.tokens_per_step=0"], "training.tokens_per_step: expected a number above 0"),
    (["--set", "training.micro_batch_tokens=1.5"], "training.micro_batch_tokens: expected a whole number"),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_have_an_effect_is_refused(run, arguments: list[str], message: str) -> None:
    result = run("train", "--data", "a.jsonl", "--output", "out", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_the_same_value_under_two_names_is_no_contradiction(parsed) -> None:
    assert parsed("--lr", "0.1", "--learning-rate", "0.1", "--learning_rate", "1e-1").training["learning_rate"] == 0.1


def test_a_tracker_that_is_not_installed_names_the_command(run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaudit.training.reporters.find_spec", lambda name: None)
    for arguments, package in ((["--use-wandb"], "wandb"), (["--report-to", "trackio"], "trackio")):
        result = run("train", "--data", "a.jsonl", "--output", "out", *arguments)
        assert result.exit_code == 2
        assert f"pip install {package}" in result.stderr


def test_an_unknown_option_still_gets_a_suggestion(run) -> None:
    result = run("train", "--data-pth", "x")
    assert result.exit_code == 2
    assert "--data-path" in result.stderr
