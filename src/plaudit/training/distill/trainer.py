"""`RewardModelTrainer`: rules to a reward model in three calls, and the data set between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from plaudit.errors import ConfigError, RewardError
from plaudit.formatting import Rendered, Renderer, RenderItem, default_spec
from plaudit.models.build import load_tokenizer
from plaudit.rewards.normalize import Normalization
from plaudit.scorers import composite_from
from plaudit.training.config import make_config
from plaudit.training.distill.config import DistillConfig
from plaudit.training.distill.run import Scores, learn_scores, run_distillation, written
from plaudit.training.distill.sources import RewardModelTrainingConfig, RewardModelValidator, check_functions
from plaudit.training.distill.texts import Text, check_texts
from plaudit.types import Prompt, Scorer

__all__ = ["RewardModelDataset", "RewardModelTrainer"]


class RewardModelDataset(Dataset[dict[str, torch.Tensor]]):
    """Texts with the scores that a model is to give them.

    Args:
        texts: N texts.
        reward_scores: N finite numbers.
        tokenizer: renders them, as training and scoring will.
        max_length: most tokens of a rendered text. A longer one loses its end here; training leaves it out, counted,
            since the rules have judged the whole.
        prompts: N prompts that the texts answer; None for bare texts.
        components: each rule's own scores by name, N each.

    Raises:
        ConfigError: lists of unequal length, or a text that is none.
        RewardError: a score that is not a finite number.
    """

    def __init__(
        self,
        texts: Sequence[str],
        reward_scores: Sequence[float],
        tokenizer: PreTrainedTokenizerBase,
        max_length: int = 512,
        *,
        prompts: Sequence[Prompt] | None = None,
        components: Mapping[str, Sequence[float]] | None = None,
    ) -> None:
        counts = {"texts": len(texts), "reward_scores": len(reward_scores)}
        counts |= {"prompts": len(prompts)} if prompts is not None else {}
        counts |= {f"scores of {name}": len(values) for name, values in (components or {}).items()}
        if len(set(counts.values())) > 1:
            raise ConfigError(
                "expected lists of equal length, got " + ", ".join(f"{n} {what}" for what, n in counts.items())
            )
        scores = np.asarray(reward_scores, dtype=np.float64)
        for index in np.flatnonzero(~np.isfinite(scores)):
            raise RewardError("reward_scores", f"the score is {scores[index]}, not a finite number", int(index))
        self.texts, self.reward_scores = list(texts), scores.tolist()
        self.prompts = None if prompts is None else list(prompts)
        self.components = {name: [float(v) for v in values] for name, values in (components or {}).items()}
        self.tokenizer, self.max_length = tokenizer, max_length
        self._renderer = Renderer(tokenizer, default_spec(tokenizer, max_length))

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, idx: int) -> dict[str, torch.Tensor]:
        """``input_ids`` (T,), ``attention_mask`` (T,) and ``labels`` () of one text."""
        prompt = None if self.prompts is None else self.prompts[idx]
        text = self._renderer.render_batch([RenderItem(prompt, self.texts[idx])], overlong="cut")[0]
        assert isinstance(text, Rendered)  # what is too long loses its end
        ids = text.input_ids
        return {
            "input_ids": torch.tensor(ids),
            "attention_mask": torch.ones(len(ids), dtype=torch.long),
            "labels": torch.tensor(self.reward_scores[idx], dtype=torch.float32),
        }


class RewardModelTrainer:
    """Trains reward models that reproduce rules.

    Args:
        base_model_name: folder, Hub id or "embedded".
        reward_functions: names, functions or other scorers (learned reward models, composites).
        composite_weights: one above 0 for each; default equal.
        mode, normalize: how they are combined, see `plaudit.rewards.CompositeReward`.

    Raises:
        ConfigError: an unknown function, or weights of the wrong number or sign.
    """

    def __init__(
        self,
        base_model_name: str,
        reward_functions: Sequence[str | Scorer],
        composite_weights: Sequence[float] | None = None,
        *,
        mode: str = "mean",
        normalize: Normalization = "none",
    ) -> None:
        if not isinstance(base_model_name, (str, Path)) or not str(base_model_name).strip():
            raise ConfigError(f"base_model_name is required and must not be empty, got {base_model_name!r}")
        check_functions(reward_functions)
        self.base_model_name = str(base_model_name)
        self.composite = composite_from(
            {"rewards": list(reward_functions), "mode": mode, "normalize": normalize}, weights=composite_weights
        )

    @classmethod
    def from_config(cls, config: RewardModelTrainingConfig) -> RewardModelTrainer:
        """The trainer of a configuration, once it is valid."""
        RewardModelValidator.validate_training_config(config)
        return cls(config.base_model_name, config.reward_functions, config.reward_weights)

    def generate_training_data(
        self,
        texts: Sequence[str],
        references: Sequence[str] | None = None,
        batch_size: int = 32,
        *,
        prompts: Sequence[Prompt] | None = None,
        max_length: int = 512,
    ) -> RewardModelDataset:
        """Scores the texts; normalizations are fitted on them.

        Args:
            texts: at least ten distinct texts.
            references: one for each, for functions that compare with one.
            batch_size: texts given to the functions at a time.
            prompts: what each text answers.
            max_length: most tokens of a rendered text.

        Raises:
            ConfigError: too few or no texts, lists of unequal length, scores that are all equal.
            RewardError: a function fails on a text; nothing stands in for its score.
        """
        check_texts(texts)
        for name, values in (("references", references), ("prompts", prompts)):
            if values is not None and len(values) != len(texts):
                raise ConfigError(f"{len(values)} {name} for {len(texts)} texts; give one for each")
        if batch_size < 1:
            raise ConfigError(f"batch_size is a whole number of at least 1, got {batch_size!r}")
        asked: Sequence[Prompt] = prompts if prompts is not None else [None] * len(texts)
        raw = self.composite.raw_in_batches(asked, texts, references=references, batch_size=batch_size)
        if not self.composite.fitted:
            self.composite.fit_scores(raw)
        scores = self.composite.combine(raw)
        if scores.min() == scores.max():
            raise ConfigError(
                f"all {len(texts)} texts have the score {scores[0]:g}: there is nothing to learn; choose "
                "functions that tell them apart, or bring more varied texts"
            )
        tokenizer = load_tokenizer(self.base_model_name)
        components = {name: values.tolist() for name, values in raw.items()}
        return RewardModelDataset(texts, scores.tolist(), tokenizer, max_length, prompts=prompts, components=components)

    def train_reward_model(
        self,
        training_data: RewardModelDataset,
        output_dir: str,
        num_epochs: float | None = None,
        learning_rate: float | None = None,
        batch_size: int | None = None,
        *,
        gradient_accumulation_steps: int | None = None,
        objective: str = "regression",
        **options: Any,
    ) -> str:
        """Trains on scored texts, a tenth of which is held out, and saves the model with how well it follows them.

        Args:
            training_data: from `generate_training_data`, or of your own scores.
            output_dir: where the model goes.
            num_epochs, learning_rate, batch_size, gradient_accumulation_steps: default: what suits the base; a learning
                rate of 1e-5 takes many epochs with a small encoder.
            objective: "regression" or "pairs".
            options: further fields of `DistillConfig`: test_fraction, min_gap, lora, training, seed, overwrite, ….

        Returns:
            The folder of the saved model.
        """
        values = _settings(num_epochs, learning_rate, batch_size, gradient_accumulation_steps, options)
        model = {"name": self.base_model_name, "max_length": training_data.max_length}
        config = make_config(values | {"model": model, "output": output_dir, "objective": objective}, DistillConfig)
        learn_scores(config, self._scores(training_data))
        return str(output_dir)

    def create_scalable_pipeline(
        self,
        training_texts: str | Path | Iterable[str | Mapping[str, Any]],
        output_dir: str,
        num_epochs: float | None = None,
        learning_rate: float | None = None,
        batch_size: int | None = None,
        *,
        gradient_accumulation_steps: int | None = None,
        max_length: int | None = None,
        objective: str = "regression",
        **options: Any,
    ) -> str:
        """Scores and trains in one go: texts are streamed and scored in shards on disk, and ``resume=True`` goes on
        where a killed run was.

        Args:
            training_texts: a file, a Hub data set, or texts (rows with a prompt, too), read once.
            output_dir: where the model goes.
            max_length: most tokens of a rendered text; default: what suits the base.
            num_epochs, learning_rate, batch_size, gradient_accumulation_steps, objective: as in `train_reward_model`.
            options: further fields of `DistillConfig`: shard_size, resume, overwrite, prompt_column, ….

        Returns:
            The folder of the saved model.
        """
        values = _settings(num_epochs, learning_rate, batch_size, gradient_accumulation_steps, options)
        model = {"name": self.base_model_name} | ({} if max_length is None else {"max_length": max_length})
        values |= {"texts": training_texts, "rewards": self.composite, "model": model, "output": output_dir}
        run_distillation(make_config(values | {"objective": objective}, DistillConfig))
        return str(output_dir)

    def _scores(self, data: RewardModelDataset) -> Scores:
        check_texts(data.texts)
        prompts: Sequence[Prompt] = data.prompts if data.prompts is not None else [None] * len(data)
        texts = [Text(p, r, None, f"texts[{i}]") for i, (p, r) in enumerate(zip(prompts, data.texts, strict=True))]
        own = set(data.components) == set(self.composite.names)
        return Scores(
            texts,
            np.array(data.reward_scores),
            {name: np.array(values) for name, values in data.components.items()},
            written(self.composite) if own else None,
        )


def _settings(
    epochs: float | None, rate: float | None, batch: int | None, accumulation: int | None, options: dict[str, Any]
) -> dict[str, Any]:
    """Values of `DistillConfig`, with those of the trainer where they are given."""
    training = dict(options.pop("training", None) or {})
    given = {
        "num_train_epochs": epochs,
        "learning_rate": rate,
        "per_device_train_batch_size": batch,
        "gradient_accumulation_steps": accumulation,
    }
    return {**options, "training": training | {name: value for name, value in given.items() if value is not None}}
