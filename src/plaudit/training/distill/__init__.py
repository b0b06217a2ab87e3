"""Rules -> reward model: texts are scored by rules, and a model learns to give the same scores."""

from plaudit.training.distill.config import DistillConfig
from plaudit.training.distill.run import DistillReport, DistillResult, distill, run_distillation
from plaudit.training.distill.sources import (
    RewardModelLoader,
    RewardModelSourceConfig,
    RewardModelTrainingConfig,
    RewardModelValidator,
)
from plaudit.training.distill.trainer import RewardModelDataset, RewardModelTrainer

__all__ = [
    "DistillConfig",
    "DistillReport",
    "DistillResult",
    "RewardModelDataset",
    "RewardModelLoader",
    "RewardModelSourceConfig",
    "RewardModelTrainer",
    "RewardModelTrainingConfig",
    "RewardModelValidator",
    "distill",
    "run_distillation",
]
