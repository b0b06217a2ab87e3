"""PPO for language models (Schulman et al. 2017; Ziegler et al. 2019; Stiennon et al. 2020), with one file a concern.

``arithmetic``: the formulas, as functions of tensors. ``actor_critic``: one forward that gives log-probabilities and
values. ``rollout``: answers, their rewards and advantages. ``update``: the clipped steps. ``trainer``: the loop,
checkpoints and figures.
"""

from plaudit.rl.ppo.settings import PPOSettings
from plaudit.rl.ppo.trainer import PPOTrainer

__all__ = ["PPOSettings", "PPOTrainer"]
