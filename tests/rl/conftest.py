"""What tests of reinforcement learning share: runs of a few steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from letters import PROMPTS, Letters

from plaudit.rl.factory import create_rl_trainer
from plaudit.rl.run import RLTrainer


@pytest.fixture
def make_trainer(saved: Callable[[str, str], Path], tmp_path: Path) -> Callable[..., RLTrainer]:
    """``make_trainer("ppo", family="qwen3", …)``: four prompts, answers of eight tokens, counted letters as reward."""

    def make(algorithm: str = "ppo", *, family: str = "qwen3", **options: Any) -> RLTrainer:
        values: dict[str, Any] = {
            "dataset_name": PROMPTS,
            "output_dir": tmp_path / "policy",
            "batch_size": 4,
            "max_steps": 4,
            "max_new_tokens": 8,
            "learning_rate": 1e-3,
            "eval_prompts": 0,
        }
        if not {"reward", "reward_model_path", "reward_model_name", "train_custom_reward_model"} & set(options):
            values["reward"] = Letters()
        return create_rl_trainer(str(saved(family, "base")), algorithm, **(values | options))

    return make
