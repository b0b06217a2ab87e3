"""Policies through Unsloth, where it and a GPU are present; otherwise an error, never another backend in its place.

Written against Unsloth's documented interface; it needs a CUDA device, so it was not run where there was none.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from plaudit.errors import ConfigError, ContractError, DeviceError, ModelError
from plaudit.models.reward_model import RewardModel
from plaudit.models.saved import find_contract
from plaudit.rl.config import RLConfig
from plaudit.rl.policy import Policy

__all__ = ["check_available", "load_policy", "load_reward_model"]


def check_available() -> None:
    """Refuses where Unsloth cannot work.

    Raises:
        DeviceError: no CUDA device.
        ConfigError: Unsloth is not installed.
    """
    if importlib.util.find_spec("unsloth") is None:
        raise ConfigError("backend 'unsloth' needs Unsloth: pip install unsloth; or use backend='trl'")
    if not torch.cuda.is_available():
        raise DeviceError("backend 'unsloth' needs a CUDA device, and there is none; use backend='trl'")


def load_policy(config: RLConfig) -> Policy:
    """The policy through ``FastLanguageModel`` with an adapter; 4-bit where the checkpoint is.

    Raises:
        ConfigError: settings that Unsloth does not train with.
        ModelError: Unsloth cannot load it.
    """
    check_available()
    if config.device not in (None, "cuda"):
        raise ConfigError(f"device {config.device!r}: backend 'unsloth' runs on CUDA; leave it out")
    from unsloth import FastLanguageModel

    length = (config.max_prompt_length or 1024) + config.max_new_tokens
    try:
        model, tokenizer = FastLanguageModel.from_pretrained(
            model_name=config.model_name,
            max_seq_length=length,
            dtype=None if config.dtype == "auto" else getattr(torch, config.dtype),
            load_in_4bit=_is_4bit(config),
            trust_remote_code=config.trust_remote_code,
            revision=config.revision,
        )
        lora: dict[str, Any] = {"r": 16, "lora_alpha": 32, "lora_dropout": 0, **(config.lora or {})}
        adapted = FastLanguageModel.get_peft_model(
            model,
            use_gradient_checkpointing="unsloth" if config.gradient_checkpointing else False,
            random_state=config.seed,
            **lora,
        )
    except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ModelError(f"Unsloth cannot load {config.model_name}: {' '.join(str(error).split())[:400]}") from error
    return Policy(adapted.get_base_model(), tokenizer, layout=config.prompt_layout, adapter=adapted)


def load_reward_model(folder: Path) -> RewardModel:
    """A reward model through Unsloth, held to its contract: it scores its golden inputs as it was saved, or is refused.

    Raises:
        ModelError: no contract, so nothing could prove that its head was loaded; or Unsloth cannot load it.
        ContractError: it scores otherwise than it was saved.
    """
    check_available()
    _, contract = find_contract(folder, None)
    if contract is None:
        raise ModelError(
            f"{folder} has no scoring contract, so nothing proves that Unsloth loads its head; save it with plaudit "
            "first, or use backend='trl'"
        )
    from unsloth import FastModel

    try:
        network, tokenizer = FastModel.from_pretrained(
            model_name=str(folder),
            auto_model=AutoModelForSequenceClassification,
            num_labels=1,
            max_seq_length=contract.render.max_length,
            load_in_4bit=False,
        )
    except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise ModelError(f"Unsloth cannot load {folder}: {' '.join(str(error).split())[:400]}") from error
    model = RewardModel(network, tokenizer, contract.render, base_model=contract.base_model, batching="padded")
    model.contract, model.folder = contract, folder
    failed = [check for check in model.check_golden() if not check.passed]
    if failed:
        raise ContractError(
            f"through Unsloth {folder} does not reproduce {len(failed)} of its {len(contract.golden)} golden scores "
            f"({failed[0].problem}); use backend='trl'"
        )
    return model


def _is_4bit(config: RLConfig) -> bool:
    settings = AutoConfig.from_pretrained(config.model_name, revision=config.revision)
    quantization = getattr(settings, "quantization_config", None) or {}
    name = "load_in_4bit"
    return bool(quantization.get(name) if isinstance(quantization, dict) else getattr(quantization, name, False))
