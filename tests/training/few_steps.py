"""Three small steps of training, alike from run to run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from plaudit import RewardConfig, RewardTrainer

__all__ = ["losses_of", "trainer_of"]

NOT_OF_THE_CONFIG = ("peft_config", "data_collator", "processing_class")


def trainer_of(model: Any, folder: Path, data: Any, *callbacks: TrainerCallback, **options: Any) -> RewardTrainer:
    """A trainer for three steps of plain gradient descent on the CPU; ``options`` say what differs from that."""
    values: dict[str, Any] = {
        "per_device_train_batch_size": 4,
        "max_steps": 3,
        "logging_steps": 1,
        "learning_rate": 0.01,
        "optim": "sgd",
        "max_grad_norm": 0.0,
        "bf16": False,
        "use_cpu": True,
        "save_strategy": "no",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        "max_length": 256,
    }
    others = {name: options.pop(name) for name in NOT_OF_THE_CONFIG if name in options}
    args = RewardConfig(str(folder), **(values | options))
    return RewardTrainer(model, args, train_dataset=data, callbacks=list(callbacks), **others)


def losses_of(trainer: RewardTrainer) -> list[float]:
    """The logged losses, in order."""
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
