"""Configuration of a reinforcement learning run: policy, prompts, where the reward comes from, and the algorithm."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from plaudit.training.config import Section

__all__ = ["SOURCES", "RLConfig"]

SOURCES = {
    "reward_model_name": "a reward model of the Hub",
    "reward_model_path": "the folder of a reward model",
    "train_custom_reward_model": "a reward model trained from rules first",
    "reward": "any scorer: a rule, a composite, an ensemble, a server's URL, …",
}
"""The ways to say what is rewarded; exactly one of them."""

CUSTOM = (
    "reward_training_texts",
    "reward_functions",
    "reward_function_weights",
    "reward_training_base_model",
    "reward_training_output_dir",
)
"""What belongs to `train_custom_reward_model`."""


class RLConfig(Section):
    """A whole run: `create_rl_trainer`, ``plaudit rl``."""

    model_name: str = Field(description="the policy: folder or Hub id of a language model")
    algorithm: str = Field(description="ppo, rloo, grpo, online_dpo")
    backend: Literal["trl", "unsloth"] = Field("trl", description="what loads the policy and trains it")
    dataset_name: Any = Field(description="prompts: file, folder or Hub data set; in Python also a list")
    split: str | None = Field(None, description="split and slice of a Hub data set: train, train[:5%]")
    prompt_column: str | None = Field(None, description="column with the prompt")
    reference_column: str | None = Field(None, description="column with a reference answer, for rules that compare")
    max_samples: int | None = Field(None, ge=1, description="use so many prompts, drawn at random")
    eval_prompts: int | None = Field(
        None, ge=0, description="prompts held out to compare start and end (default: a tenth, at most 64)"
    )
    max_prompt_length: int | None = Field(
        None, ge=1, description="most tokens of a prompt (default: what the policy takes, less the answer)"
    )
    overlong: Literal["error", "drop"] = Field("error", description="a longer prompt: stop, or leave it out, counted")
    prompt_layout: Literal["auto", "chat", "text"] = Field(
        "auto", description="how a text prompt is put: in the chat template, where there is one, or as it is"
    )

    reward_model_name: str | None = Field(None, description="reward: a model of the Hub")
    reward_model_path: Path | None = Field(None, description="reward: a model's folder")
    train_custom_reward_model: bool = Field(False, description="reward: train one from rules first")
    reward: Any = Field(None, description="reward: a rule, composite, ensemble, YAML file or URL; in Python any scorer")
    reward_training_texts: Any = Field(None, description="texts to train it on: a list, or a file")
    reward_functions: list[Any] | None = Field(None, description="the rules it learns")
    reward_function_weights: list[float] | None = Field(None, description="their weights")
    reward_training_base_model: str | None = Field(None, description="what it is trained from (default: embedded)")
    reward_training_output_dir: Path | None = Field(None, description="where it is saved (default: OUTPUT-reward)")
    reward_training: dict[str, Any] = Field(default_factory=dict, description="further fields of its DistillConfig")
    reward_options: dict[str, Any] = Field(
        default_factory=dict, description="how the reward is loaded: device, dtype, combine, k, …"
    )
    gold: list[Any] = Field(default_factory=list, description="scorers that are watched, never optimised")
    stop_on_hacking: bool = Field(False, description="stop when a gold scorer falls while the reward rises")

    num_epochs: float = Field(1.0, gt=0, description="how often every prompt is answered")
    max_steps: int | None = Field(None, ge=1, description="so many steps instead")
    batch_size: int = Field(16, ge=1, description="prompts a step, on all processes together")
    learning_rate: float | None = Field(None, gt=0, description="default: the algorithm's")
    max_new_tokens: int = Field(64, ge=1, description="most tokens of an answer")
    temperature: float = Field(1.0, gt=0, description="of sampling")
    lora: dict[str, Any] | None = Field(None, description="train an adapter: fields of peft's LoraConfig, or true")
    options: dict[str, Any] = Field(default_factory=dict, description="fields of the algorithm's own configuration")
    dtype: str = Field("auto", description="of the policy")
    device: str | None = Field(None, description="cuda, mps, cpu; default: the best there is")
    gradient_checkpointing: bool = False
    revision: str | None = None
    trust_remote_code: bool = False
    attn_implementation: str | None = None

    output_dir: Path = Field(description="folder for the trained policy")
    save_steps: int | None = Field(None, ge=1, description="a checkpoint every so many steps (default: at a stop only)")
    sample_steps: int | None = Field(
        None, ge=1, description="answers for the report every so many steps (default: 5 times)"
    )
    overwrite: bool = False
    resume: bool = False
    seed: int = 42

    @field_validator("lora", mode="before")
    @classmethod
    def _lora_switch(cls, value: Any) -> Any:
        return ({} if value else None) if isinstance(value, bool) else value

    @field_validator("gold", mode="before")
    @classmethod
    def _one_gold(cls, value: Any) -> Any:
        return value if isinstance(value, list) else [value]

    @model_validator(mode="after")
    def _one_source(self) -> RLConfig:
        given = self.sources
        listed = ", ".join(f"{name} ({what})" for name, what in SOURCES.items())
        if not given:
            raise ValueError(f"No reward source specified: give exactly one of {listed}")
        if len(given) > 1:
            raise ValueError(f"Multiple reward sources specified: {', '.join(given)}; give exactly one of them")
        custom = [name for name in CUSTOM if getattr(self, name) is not None]
        custom += ["reward_training"] if self.reward_training else []
        if not self.train_custom_reward_model and custom:
            raise ValueError(f"{', '.join(custom)} belong to train_custom_reward_model; set it, or leave them out")
        if self.train_custom_reward_model:
            for name in ("reward_training_texts", "reward_functions"):
                if getattr(self, name) is None:
                    raise ValueError(f"train_custom_reward_model needs {name}")
        if self.max_steps is not None and "num_epochs" in self.model_fields_set:
            raise ValueError("num_epochs and max_steps exclude each other; give one")
        return self

    @property
    def sources(self) -> list[str]:
        """The reward sources that are given."""
        return [name for name in SOURCES if getattr(self, name) not in (None, False, "")]

    @property
    def reward_output(self) -> Path:
        """Where a reward model that is trained first is saved."""
        return self.reward_training_output_dir or self.output_dir.with_name(self.output_dir.name + "-reward")

    @property
    def run_folder(self) -> Path:
        """The folder of the run until it is finished."""
        return self.output_dir.with_name(self.output_dir.name + ".partial")
