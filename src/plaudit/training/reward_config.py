"""`RewardConfig`: TRL's, defaults and all, with what plaudit's trainer adds."""

from __future__ import annotations

import dataclasses
import functools
from dataclasses import dataclass, field

import trl

from plaudit.errors import ConfigError
from plaudit.losses import OBJECTIVES

__all__ = ["RewardConfig", "reward_config_fields"]


@dataclass
class RewardConfig(trl.RewardConfig):  # type: ignore[misc]
    """Configuration of `RewardTrainer`: every field of TRL's RewardConfig with its default, and these.

    ``label_smoothing_factor`` (a field of TrainingArguments) smooths the preference labels.

    Attributes:
        objective: name of the registered loss.
        layout: how rows become text; ``mixed`` is what TRL does. ``auto`` suits the tokenizer.
        truncation: ``drop`` leaves over-long pairs out, as TRL does; ``keep-response`` cuts the prompt instead.
        separator: between prompt and response where rows are plain strings; TRL puts none.
    """

    objective: str = field(default="bradley_terry", metadata={"help": "Name of the loss."})
    layout: str = field(default="mixed", metadata={"help": "How rows become text: mixed, auto, chat, text, pair."})
    truncation: str = field(default="drop", metadata={"help": "Over-long pairs: drop, or keep-response."})
    separator: str = field(default="", metadata={"help": "Between a plain prompt and its response."})

    def __post_init__(self) -> None:
        if getattr(self, "activation_checkpointing", False) is None:  # the new name of the field, where there is one
            self.activation_checkpointing = self.gradient_checkpointing
        super().__post_init__()
        OBJECTIVES.get(self.objective)
        if not 0 <= self.label_smoothing_factor < 0.5:
            raise ConfigError(
                f"label_smoothing_factor: expected a number in [0, 0.5), got {self.label_smoothing_factor}"
            )
        if self.center_rewards_coefficient is not None and self.center_rewards_coefficient < 0:
            raise ConfigError(f"center_rewards_coefficient: expected >= 0, got {self.center_rewards_coefficient}")
        if self.batch_eval_metrics:
            raise ConfigError("batch_eval_metrics has no effect here: evaluation keeps two numbers a pair, not logits")
        for option in ("eval_accumulation_steps", "include_for_metrics", "fp16_full_eval", "bf16_full_eval"):
            if getattr(self, option):
                raise ConfigError(f"{option} has no effect here: evaluation adds up counts as it goes; leave it out")
        if self.train_sampling_strategy not in ("random", "sequential"):
            raise ConfigError(
                f"train_sampling_strategy {self.train_sampling_strategy!r} has no effect here: micro-batches are cut "
                "by length anyway, and the order of pairs stays random; use random or sequential"
            )
        if self.activation_offloading:
            raise ConfigError(
                "activation_offloading is not supported by this version of plaudit; use gradient_checkpointing"
            )


@functools.cache
def reward_config_fields() -> dict[str, str]:
    """All fields that can be set: name -> type, as it is written."""
    return {f.name: str(getattr(f.type, "__name__", f.type)) for f in dataclasses.fields(RewardConfig) if f.init}
