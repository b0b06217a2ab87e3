"""`create_rl_trainer`: reinforcement learning in one call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import plaudit.rl.ppo
import plaudit.rl.trl  # noqa: F401  (both register their algorithms)
from plaudit.errors import ConfigError
from plaudit.registry import suggest
from plaudit.rl.config import RLConfig
from plaudit.rl.job import ALGORITHMS
from plaudit.rl.run import RLTrainer
from plaudit.training.config import make_config

__all__ = ["create_rl_trainer"]

logger = logging.getLogger(__name__)

OTHER_NAMES = {"rl_reward_model_path": "reward_model_path", "model": "model_name", "data_path": "dataset_name"}
"""What other tools call some of the options."""


def create_rl_trainer(
    model_name: str,
    algorithm: str = "ppo",
    backend: str = "trl",
    dataset_name: Any = None,
    num_epochs: float | None = None,
    batch_size: int | None = None,
    max_samples: int | None = None,
    output_dir: Any = None,
    *,
    say: Callable[[str], None] = logger.info,
    show: Callable[[Mapping[str, Any]], None] | None = None,
    **options: Any,
) -> RLTrainer:
    """A trainer for a policy and a reward; call ``setup_data()``, ``setup_trainer()``, ``train()``.

    Args:
        model_name: the policy: folder or Hub id of a language model.
        algorithm: ``ppo`` (plaudit's own), ``rloo``, ``grpo`` or ``online_dpo`` (TRL's).
        backend: ``trl`` (transformers and TRL) or ``unsloth``; never another one in its place.
        dataset_name: prompts: a Hub data set, a file or folder, or a list of prompts.
        num_epochs: how often every prompt is answered; ``max_steps=`` counts steps instead.
        batch_size: prompts a step.
        max_samples: use so many prompts.
        output_dir: folder for the trained policy.
        say, show: receive lines for a person, and the figures of every step.
        options: further fields of `RLConfig` (``reward_model_path=``, ``learning_rate=``, …); any other is one of the
            algorithm's own configuration (``cliprange=``, ``num_generations=``, …).

    Raises:
        ConfigError: no reward source or several, an unknown option, a combination that cannot work.
    """
    values: dict[str, Any] = {OTHER_NAMES.get(name, name): value for name, value in options.items()}
    values |= {"model_name": model_name, "algorithm": algorithm, "backend": backend}
    named = {"dataset_name": dataset_name, "num_epochs": num_epochs, "batch_size": batch_size}
    named |= {"max_samples": max_samples, "output_dir": output_dir}
    values |= {name: value for name, value in named.items() if value is not None}
    if "dataset_name" not in values:
        raise ConfigError("dataset_name is missing: the prompts to answer, a Hub data set, a file or a list")
    ALGORITHMS.get(algorithm)
    own = {name: values.pop(name) for name in list(values) if name not in RLConfig.model_fields}
    if own:
        values["options"] = {**values.get("options", {}), **own}
    try:
        return RLTrainer(make_config(values, RLConfig), say=say, show=show)
    except ConfigError as error:
        unknown = next((name for name in own if f"{name!r}" in str(error) or name in str(error)), None)
        hint = suggest(unknown, list(RLConfig.model_fields)) if unknown else ""
        raise ConfigError(f"{error}{hint}") if hint and hint not in str(error) else error from None
