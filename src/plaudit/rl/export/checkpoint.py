"""From a reward model to a folder that plain transformers, and so other systems, load unchanged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from plaudit.errors import ConfigError, ContractError, ModelError
from plaudit.models.build import resolve_pad_token
from plaudit.models.heads import reads_last_token
from plaudit.models.reward_model import RewardModel
from plaudit.models.saved import check_plain_transformers
from plaudit.rl.export.base import Checkpoint, Job

__all__ = ["add_zero_bias", "describe", "prove", "write_checkpoint", "write_config"]

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"


def describe(model: RewardModel) -> tuple[str, bool]:
    """Its architecture, and whether its reward is read at the last token.

    Raises:
        ConfigError: what no other system can serve: several outputs, quantized weights.
    """
    if model.attributes is not None:
        raise ConfigError(
            f"it has several outputs ({', '.join(model.attributes.names)}) of which plaudit makes one score, and other "
            "systems read one output; --function-only (openrlhf, verl) scores it with plaudit"
        )
    if model.quantization is not None:
        raise ConfigError(
            f"its adapter belongs on {model.quantization} weights and cannot be merged without changing the scores; "
            "train without quantization to export it"
        )
    network = model.adapter.get_base_model() if model.adapter is not None else model.model
    return type(network).__name__, reads_last_token(model.model)


def write_checkpoint(job: Job, model: RewardModel) -> Checkpoint:
    """Merges an adapter, gives it a pad token of its own, saves it, and proves that plain transformers scores alike.

    Raises:
        ModelError, ContractError: merging or saving changes the scores.
    """
    if model.adapter is not None:
        change = model.merge_adapter()
        job.checked.append(f"the adapter is merged: no golden score changed by more than {max(change, 1e-7):.1g}")
    for note in resolve_pad_token(model.model, model.tokenizer):
        job.unchecked.append(f"changed for the export: {note}")
    contract = model.save_pretrained(job.folder, check=False)
    config = json.loads((job.folder / "config.json").read_text(encoding="utf-8"))
    checkpoint = Checkpoint(
        contract, model.tokenizer, config["architectures"][0], reads_last_token(model.model), config
    )
    _check_shape(job.folder, checkpoint)
    return checkpoint


def prove(job: Job) -> None:
    """Scores the golden inputs with plain transformers, from the folder as it now is.

    Raises:
        ContractError: they differ.
    """
    checkpoint = job.need()
    checks = check_plain_transformers(job.folder, checkpoint.contract)
    failed = [check for check in checks if not check.passed]
    if failed:
        raise ContractError(
            f"plain transformers does not reproduce the scores ({failed[0].problem}); nothing was exported"
        )
    farthest = max(check.difference for check in checks)
    job.checked.append(
        f"plain transformers loads it as {checkpoint.architecture} and gives the {len(checks)} golden scores (farthest "
        f"apart: {farthest:.1g}; tolerance {checks[0].tolerance:g})"
    )


def _check_shape(folder: Path, checkpoint: Checkpoint) -> None:
    """What servers rely on: one output, no sigmoid, pad is not EOS, safetensors, a head without bias in decoders."""
    config, tokenizer = checkpoint.config, checkpoint.tokenizer
    expected: dict[str, tuple[Any, Any]] = {
        "outputs": (len(config.get("id2label") or {}), 1),
        "problem_type": (config.get("problem_type"), "regression"),
        "a class for sequence classification": (checkpoint.architecture.endswith("ForSequenceClassification"), True),
        "a pad token of its own": (tokenizer.pad_token_id not in (None, tokenizer.eos_token_id), True),
        "a chat template": (bool(tokenizer.chat_template) or checkpoint.contract.render.layout != "chat", True),
    }
    keys = _keys(folder)
    if checkpoint.decoder:
        expected["a head without bias"] = ("score.weight" in keys and "score.bias" not in keys, True)
    for what, (found, wanted) in expected.items():
        if found != wanted:
            raise ModelError(f"expected {what} {wanted!r}, the saved model has {found!r}; it cannot be exported")


def write_config(job: Job, **values: Any) -> None:
    """Adds entries to ``config.json`` that only servers read."""
    path = job.folder / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) | values
    path.write_text(json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")


def add_zero_bias(folder: Path, name: str = "score") -> None:
    """Writes a bias of 0 beside the head's weight, for servers whose head has one that they would leave at random."""
    index = folder / INDEX
    shards = json.loads(index.read_text(encoding="utf-8")) if index.is_file() else None
    file = folder / (shards["weight_map"][f"{name}.weight"] if shards else SINGLE)
    with safe_open(file, framework="pt") as opened:
        metadata = opened.metadata()
    weights = load_file(file)
    weights[f"{name}.bias"] = torch.zeros(1, dtype=weights[f"{name}.weight"].dtype)
    save_file(weights, file, metadata)
    if shards:
        shards["weight_map"][f"{name}.bias"] = file.name
        index.write_text(json.dumps(shards, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _keys(folder: Path) -> set[str]:
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError("the saved model has no safetensors files; it cannot be exported")
    keys: set[str] = set()
    for file in files:
        with safe_open(file, framework="pt") as opened:
            keys |= set(opened.keys())
    return keys
