"""Configuration of a distillation: texts, rules, and the fields of `TrainConfig` that say how a model learns them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from plaudit.training.config import (
    DataConfig,
    ModelConfig,
    NamedModel,
    Section,
    SwitchedLora,
    TrainConfig,
    make_config,
)

__all__ = ["DistillConfig"]


class DistillConfig(Section):
    """Rules to a reward model: `plaudit.distill`, ``plaudit distill``.

    ``model`` may be a plain name, ``lora`` true; ``training`` holds fields of `RewardConfig`.
    """

    texts: Any = Field(None, description="file, folder or Hub data set; in Python also a list of texts or rows")
    split: str | None = Field(None, description="split and slice of a Hub data set")
    prompt_column: str | None = Field(None, description="column with the prompt")
    response_column: str | None = Field(None, description="column with the text to score")
    reference_column: str | None = Field(None, description="column with the reference answer")
    max_samples: int | None = Field(None, ge=1, description="use the first so many texts")
    rewards: Any = Field(
        None, description="rewards as text (length=0.5), mappings or scorers; or a composite's YAML file"
    )
    mode: str | None = Field(None, description="how a list of rewards is combined: mean, min, product, uncertainty")
    normalize: str | None = Field(None, description="what each is normalized by: none, zscore, rank, minmax")
    weights: list[float] | None = Field(None, description="one for each reward, instead of their own")
    objective: Literal["regression", "pairs"] = Field(
        "regression", description="learn the scores themselves, or which of two texts scores higher"
    )
    min_gap: float | None = Field(None, ge=0, description="pairs: least difference of scores (0)")
    use_margin: bool | None = Field(
        None, description="pairs: ask for the difference, in standard deviations of the scores (true)"
    )
    pairs_per_text: int | None = Field(None, ge=1, description="pairs: how often a bare text is paired (2)")
    test_fraction: float = Field(0.1, gt=0, lt=1, description="share of prompts (or bare texts) held out")
    split_seed: int = Field(0, description="which are held out")
    shard_size: int = Field(10_000, ge=1, description="texts scored between two points to resume from")
    batch_size: int = Field(512, ge=1, description="texts given to the rewards at a time")
    model: NamedModel = Field(default_factory=ModelConfig)
    lora: SwitchedLora = None
    training: dict[str, Any] = Field(default_factory=dict)
    output: Path = Field(description="folder for the trained reward model")
    overwrite: bool = False
    resume: bool = False
    push_to_hub: str | None = None
    hub_private: bool = False
    seed: int = 42

    @model_validator(mode="after")
    def _consistent(self) -> DistillConfig:
        if "objective" in self.training:
            raise ValueError("training.objective is set by 'objective' (regression or pairs); use that")
        if self.objective == "regression":
            for name in ("min_gap", "use_margin", "pairs_per_text"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} has no effect with the objective 'regression'; leave it out")
        return self

    def train_config(self, train: Path, held_out: Path, *, resume: bool) -> TrainConfig:
        """The training run on scored texts.

        Raises:
            ConfigError: values that cannot work.
        """
        objective = "regression" if self.objective == "regression" else "bradley_terry"
        values = {
            "data": DataConfig(source=str(train), eval_source=str(held_out), eval_fraction=0.0),
            "model": self.model,
            "lora": self.lora,
            "training": {**self.training, "objective": objective},
            "output": self.output,
            "overwrite": self.overwrite,
            "resume": resume,
            "push_to_hub": self.push_to_hub,
            "hub_private": self.hub_private,
            "seed": self.seed,
        }
        return make_config(values)

    @property
    def work(self) -> Path:
        """The folder of the scores until the model is finished."""
        return self.output.with_name(self.output.name + ".scores")
