"""Reward models at work: PPO of our own, RLOO, GRPO and online DPO through TRL, best-of-n, exports."""

from plaudit.rl.config import RLConfig
from plaudit.rl.export import export_model
from plaudit.rl.factory import create_rl_trainer
from plaudit.rl.rewards import reward_function
from plaudit.rl.run import RLResult, RLTrainer

__all__ = ["RLConfig", "RLResult", "RLTrainer", "create_rl_trainer", "export_model", "reward_function"]
