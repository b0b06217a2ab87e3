"""Reward models at work: PPO of our own, RLOO, GRPO and online DPO through TRL, best-of-n, exports."""
