"""Configuration of a training run: `TrainConfig` holds data, model and the fields of `RewardConfig`.

Importing this module does not import torch; `RewardConfig` is made when it is first asked for.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from plaudit.data import Columns
from plaudit.errors import ConfigError
from plaudit.registry import suggest

if TYPE_CHECKING:
    pass

__all__ = ["DataConfig", "ModelConfig", "TrainConfig", "load_config"]


_POSITIVE = {
    "learning_rate",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "per_device_eval_batch_size",
    "gradient_accumulation_steps",
    "max_length",
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", validate_assignment=True, protected_namespaces=())


class DataConfig(_Section):
    """Where the preferences come from and how they are split."""

    source: str = Field(description="file, folder or Hub dataset id with chosen and rejected responses")
    split: str | None = Field(None, description="split and slice, as in datasets: train, train[:5%]")
    eval_source: str | None = Field(
        None, description="a separate evaluation set; otherwise a share is held out by prompt"
    )
    eval_split: str | None = Field(None, description="split and slice of the evaluation set")
    eval_fraction: float = Field(0.1, ge=0, lt=1, description="share of prompts held out (0: train on everything)")
    split_seed: int = Field(0, description="which prompts are held out")
    prompt_column: str | None = Field(None, description="column with the prompt")
    chosen_column: str | None = Field(None, description="column with the preferred response")
    rejected_column: str | None = Field(None, description="column with the other response")
    margin_column: str | None = Field(None, description="column with the margin")
    weight_column: str | None = Field(None, description="column with the weight of a pair")
    source_column: str | None = Field(None, description="column that says where a row comes from")
    group_by: str | None = Field(None, description="split by this column instead of the prompt")
    max_samples: int | None = Field(None, ge=1, description="use at most this many pairs, drawn at random")
    streaming: bool = Field(False, description="read while training (needs training.max_steps)")
    shuffle_buffer: int = Field(10_000, ge=1, description="rows that streaming shuffles among")
    on_bad_row: Literal["error", "skip"] = Field("error", description="a malformed row: stop, or count and go on")
    revision: str | None = Field(None, description="revision of a Hub dataset")

    @property
    def columns(self) -> Columns:
        """The column mapping."""
        return Columns(
            prompt=self.prompt_column,
            chosen=self.chosen_column,
            rejected=self.rejected_column,
            margin=self.margin_column,
            weight=self.weight_column,
            source=self.source_column,
            group_by=self.group_by,
        )


class ModelConfig(_Section):
    """Which model is trained, how it renders and where it runs."""

    name: str = Field("embedded", description="'embedded' (MiniLM, needs the extra [embedded]), a folder or a Hub id")
    max_length: int | None = Field(None, ge=8, description="most tokens of a rendered text (default: printed at start)")
    truncation: Literal["keep-response", "drop"] = Field("keep-response", description="what an over-long text loses")
    layout: Literal["auto", "chat", "text", "pair", "mixed"] = Field(
        "auto", description="how prompt and response are laid out"
    )
    chat_template: str | None = Field(None, description="a Jinja file that replaces the tokenizer's chat template")
    dtype: Literal["float32", "bfloat16", "float16"] = Field("float32", description="of the backbone's weights")
    attn_implementation: str | None = Field(None, description="sdpa, eager, flash_attention_2, …")
    revision: str | None = Field(None, description="revision on the Hub")
    trust_remote_code: bool = Field(False, description="run code that comes with the checkpoint")
    fresh_head: bool = Field(False, description="replace a classifier's head by a new one")
    device: str | None = Field(None, description="cuda, cuda:N, mps or cpu (default: the best there is)")
    device_fallback: Literal["cpu"] | None = Field(None, description="what to use where the device is missing or fails")


class TrainConfig(_Section):
    """A whole training run.

    ``data`` and ``model`` may be given as a plain string (the source, the name). ``training`` holds fields of
    `RewardConfig` (that is, of TRL's RewardConfig and transformers' TrainingArguments) that differ from the defaults
    that suit the base model; those defaults are printed when the run starts.
    """

    data: DataConfig
    model: ModelConfig = Field(default_factory=ModelConfig)
    training: dict[str, Any] = Field(default_factory=dict)
    output: Path = Field(description="folder for the trained reward model")
    overwrite: bool = False
    resume: bool = False
    seed: int = 42

    @field_validator("data", mode="before")
    @classmethod
    def _data_from_source(cls, value: Any) -> Any:
        return {"source": str(value)} if isinstance(value, (str, Path)) else value

    @field_validator("model", mode="before")
    @classmethod
    def _model_from_name(cls, value: Any) -> Any:
        return {"name": str(value)} if isinstance(value, (str, Path)) else value

    @field_validator("training", mode="before")
    @classmethod
    def _known_training_fields(cls, value: Any) -> Any:
        from plaudit.training.reward_config import RewardConfig, reward_config_fields

        if isinstance(value, RewardConfig):
            return {name: getattr(value, name) for name in reward_config_fields()}
        known = reward_config_fields()
        for name in value or {}:
            if name not in known:
                raise ValueError(f"unknown training option {name!r}{suggest(name, sorted(known))}")
            if name in ("output_dir", "seed", "use_cpu"):
                other = {"output_dir": "output", "seed": "seed", "use_cpu": "model.device"}[name]
                raise ValueError(f"training.{name} is set by {other!r}; use that")
        values = {name: _yaml_value(name, v) for name, v in (value or {}).items()}
        for name, v in values.items():
            _check_value(name, v, known[name])
        return values

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.overwrite and self.resume:
            raise ValueError("overwrite and resume exclude each other: start anew, or continue")
        if self.data.streaming and self.data.eval_source is None and self.data.eval_fraction:
            self.data.eval_fraction = (
                0.0 if "eval_fraction" not in self.data.model_fields_set else self.data.eval_fraction
            )
        return self


def make_config(values: dict[str, Any]) -> TrainConfig:
    """A `TrainConfig` from plain values; every problem becomes one `ConfigError` with the key and a suggestion."""
    try:
        return TrainConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(e) for e in error.errors())) from error


def load_config(path: str | Path | None, overrides: dict[str, Any] | None = None) -> TrainConfig:
    """Reads a YAML file and lays dotted overrides (``training.learning_rate``) over it.

    Raises:
        ConfigError: a missing or unreadable file, an unknown key (with a suggestion), a value out of range.
    """
    values: dict[str, Any] = {}
    if path is not None:
        try:
            loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
        if not isinstance(loaded, dict):
            raise ConfigError(f"{path}: expected keys like data:, model:, training:, got {type(loaded).__name__}")
        values = loaded
    for key, value in (overrides or {}).items():
        _set_dotted(values, key, value)
    return make_config(values)


def _yaml_value(name: str, value: Any) -> Any:
    """What was meant where YAML 1.1 reads something else: an unquoted ``no``, and ``1e-5`` as a text."""
    if value is False and name.endswith("_strategy"):
        return "no"
    if isinstance(value, str) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", value):
        return float(value)
    return value


def _check_value(name: str, value: Any, annotation: str) -> None:
    """Refuses text where a number is wanted, and numbers that cannot work."""
    kinds = set(re.findall(r"[a-z]+", annotation.lower()))
    if value is None or kinds & {"str", "dict", "list", "any"} or "strategy" in kinds:
        return
    if kinds & {"int", "float"}:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"training.{name}: expected a number, got {value!r}")
        if "float" not in kinds and value != int(value):
            raise ValueError(f"training.{name}: expected a whole number, got {value!r}")
        if name in _POSITIVE and not value > 0 and not (name == "max_steps" and value == -1):
            raise ValueError(f"training.{name}: expected a number above 0, got {value!r}")
    elif kinds & {"bool"} and not isinstance(value, bool):
        raise ValueError(f"training.{name}: expected true or false, got {value!r}")


def _set_dotted(values: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for depth, parent in enumerate(parents):
        child = values.setdefault(parent, {})
        if isinstance(child, str):  # data: file.jsonl and model: name are short for their first field
            child = values[parent] = {{"data": "source", "model": "name"}.get(parent, "value"): child}
        if not isinstance(child, dict):
            raise ConfigError(f"{key}: {'.'.join(parents[: depth + 1])} is no section")
        values = child
    values[last] = value


def _explain(error: Any) -> str:
    place = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        sections: dict[str, type[BaseModel]] = {"data": DataConfig, "model": ModelConfig}
        section = sections.get(place[0], TrainConfig) if len(place) > 1 else TrainConfig
        return f"unknown key {'.'.join(place)!r}{suggest(place[-1], sorted(section.model_fields))}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "missing":
        return f"{'.'.join(place)} is required"
    got = "" if error["type"] == "value_error" else f", got {error['input']!r}"
    return f"{'.'.join(place) or 'configuration'}: {message}{got}"


def __getattr__(name: str) -> Any:
    if name == "RewardConfig":
        from plaudit.training.reward_config import RewardConfig

        return RewardConfig
    raise AttributeError(name)
