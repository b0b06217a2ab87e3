"""What can be set about PPO."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from plaudit.training.config import Section

__all__ = ["PPOSettings"]


class PPOSettings(Section):
    """The options of the algorithm ``ppo``; one step answers ``batch_size`` prompts, then learns from them."""

    ppo_epochs: int = Field(4, ge=1, description="passes over the answers of a step")
    mini_batches: int = Field(1, ge=1, description="optimizer steps in a pass")
    micro_batch_size: int = Field(16, ge=1, description="answers in one forward; more memory, equal gradients")
    rollout_batch_size: int = Field(64, ge=1, description="answers sampled, or read without gradients, side by side")
    cliprange: float = Field(0.2, gt=0, lt=1, description="the ratio is clipped to 1 ± this (Schulman et al. 2017, 3)")
    cliprange_value: float | None = Field(
        0.2, gt=0, description="values move at most so far in a step, in normalized rewards; null: as far as they like"
    )
    value_coef: float = Field(0.1, ge=0, description="weight of the value loss")
    gamma: float = Field(1.0, gt=0, le=1, description="discount")
    gae_lambda: float = Field(0.95, ge=0, le=1, description="lambda of GAE (Schulman et al. 2016, eq. 16)")
    whiten_advantages: bool = Field(True, description="advantages to mean 0 and variance 1 over the step's tokens")
    kl_coef: float = Field(0.05, ge=0, description="price of a nat of KL to the start, at the start")
    kl_target: float | None = Field(
        6.0,
        gt=0,
        description="nats an answer that kl_coef is steered to (Ziegler et al. 2019, 2.2); null: kl_coef stays",
    )
    kl_gain: float = Field(0.1, gt=0, description="how fast it is steered: at most this times 20% a step")
    normalize_rewards: Literal["start", "running", "none"] = Field(
        "start",
        description="rewards to mean 0, deviation 1: of the start's answers (Ziegler et al. 2019, 2.1), of all so far",
    )
    clip_rewards: float | None = Field(None, gt=0, description="rewards beyond ± this many deviations are cut to it")
    missing_eos_penalty: float = Field(
        0.0, ge=0, description="subtracted from the normalized reward of an answer that did not end in time"
    )
    critic: Literal["auto", "reward_model", "policy", "shared"] = Field(
        "auto",
        description="where values come from: a copy of the reward model, of the policy, or a head on the policy "
        "itself; auto: the reward model where it is a decoder with the policy's tokenizer, otherwise the policy",
    )
    value_learning_rate: float | None = Field(None, gt=0, description="of the critic (default: the policy's)")
    max_grad_norm: float = Field(1.0, gt=0, description="gradients are clipped to this norm")
    weight_decay: float = Field(0.0, ge=0)
    lr_scheduler: str = Field("linear", description="linear (to 0), constant, cosine, as in transformers")
    warmup_steps: int = Field(0, ge=0, description="of the schedule, in PPO steps")

    @model_validator(mode="after")
    def _consistent(self) -> PPOSettings:
        if self.kl_target is not None and self.kl_coef == 0:
            raise ValueError(
                "kl_target steers kl_coef by factors, so kl_coef 0 stays 0; set one above 0, or kl_target null"
            )
        if self.clip_rewards is not None and self.normalize_rewards == "none":
            raise ValueError("clip_rewards counts deviations, which normalize_rewards 'none' does not know; set one")
        if self.critic == "shared" and self.value_learning_rate is not None:
            raise ValueError("value_learning_rate has no effect with a shared critic; leave it out")
        return self
