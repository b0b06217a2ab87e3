"""Where a reward model comes from, checked before anything runs: the Hub, a folder, or training from rules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from plaudit.errors import ConfigError, ModelError, OutputError, PlauditError
from plaudit.models.build import load_model
from plaudit.registry import suggest
from plaudit.rewards.base import REWARDS, RewardFunction
from plaudit.rewards.composite import check_weights
from plaudit.training.distill.texts import check_texts
from plaudit.types import Scorer

__all__ = ["RewardModelLoader", "RewardModelSourceConfig", "RewardModelTrainingConfig", "RewardModelValidator"]

SOURCE_TYPES = {"pretrained_hf": "model_name", "pretrained_local": "model_path", "custom_trained": "training_config"}
LOADING = ("dtype", "attn_implementation", "revision", "trust_remote_code", "quantization", "device_map")


@dataclass
class RewardModelTrainingConfig:
    """A reward model to be trained from rules.

    Attributes:
        base_model_name: folder, Hub id or "embedded".
        training_texts: at least ten distinct texts.
        reward_functions: names, functions or other scorers.
        output_dir: where the model goes.
        reference_texts: one for each text, for functions that compare with one.
        reward_weights: one above 0 for each function; default equal.
        num_epochs, learning_rate, batch_size, gradient_accumulation_steps, max_length: of the training; the batch of an
            optimizer step is ``batch_size * gradient_accumulation_steps`` texts, ``max_length`` is in tokens.
    """

    base_model_name: str
    training_texts: list[str]
    reward_functions: list[Any]
    output_dir: str
    reference_texts: list[str] | None = None
    reward_weights: list[float] | None = None
    num_epochs: int = 3
    learning_rate: float = 1e-5
    batch_size: int = 8
    gradient_accumulation_steps: int = 4
    max_length: int = 512


@dataclass
class RewardModelSourceConfig:
    """Where a reward model comes from: exactly one of the three.

    Attributes:
        source_type: "pretrained_hf", "pretrained_local" or "custom_trained".
        model_name: a Hub id.
        model_path: a local folder.
        training_config: what to train.
    """

    source_type: str
    model_name: str | None = None
    model_path: str | None = None
    training_config: RewardModelTrainingConfig | None = None


class RewardModelValidator:
    """Checks that raise with what was expected, what arrived and what to do; they return nothing."""

    @staticmethod
    def validate_reward_source(source_config: RewardModelSourceConfig) -> None:
        """Exactly one source, of the kind that ``source_type`` says, and itself valid.

        Raises:
            ConfigError, ModelError: it is not.
        """
        kind = source_config.source_type
        if kind not in SOURCE_TYPES:
            raise ConfigError(
                f"Unknown reward source type {kind!r}{suggest(str(kind), list(SOURCE_TYPES))}; expected one of "
                f"{', '.join(SOURCE_TYPES)}"
            )
        given = [name for name in SOURCE_TYPES.values() if getattr(source_config, name) not in (None, "")]
        if len(given) > 1:
            raise ConfigError(f"Multiple reward sources specified: {', '.join(given)}; give exactly one of them")
        if not given:
            raise ConfigError(f"No reward source specified: {kind!r} needs {SOURCE_TYPES[kind]}")
        if given[0] != SOURCE_TYPES[kind]:
            raise ConfigError(f"the source type {kind!r} needs {SOURCE_TYPES[kind]}, but {given[0]} is given")
        if kind == "pretrained_hf":
            RewardModelValidator.validate_hf_model_access(str(source_config.model_name))
        elif kind == "pretrained_local":
            RewardModelValidator.validate_local_path(str(source_config.model_path))
        else:
            assert source_config.training_config is not None
            RewardModelValidator.validate_training_config(source_config.training_config)

    @staticmethod
    def validate_training_config(config: RewardModelTrainingConfig) -> None:
        """All required fields, at least ten distinct texts, known functions, lengths that agree, positive numbers.

        Raises:
            ConfigError: it cannot work.
        """
        for name in ("base_model_name", "output_dir"):
            value = getattr(config, name)
            if not isinstance(value, (str, Path)) or not str(value).strip():
                raise ConfigError(f"{name} is required and must not be empty, got {value!r}")
        check_texts(config.training_texts)
        check_functions(config.reward_functions)
        if config.reference_texts is not None and len(config.reference_texts) != len(config.training_texts):
            raise ConfigError(
                f"{len(config.reference_texts)} reference texts for {len(config.training_texts)} training texts; give "
                "one for each"
            )
        if config.reward_weights is not None:
            check_weights(config.reward_weights, len(config.reward_functions))
        for name in ("num_epochs", "batch_size", "gradient_accumulation_steps", "max_length"):
            value = getattr(config, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} is a whole number of at least 1, got {value!r}")
        rate = config.learning_rate
        if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not (rate > 0 and math.isfinite(rate)):
            raise ConfigError(f"learning_rate is a number above 0, got {rate!r}")
        if Path(config.output_dir).is_file():
            raise OutputError(f"output_dir {config.output_dir} is a file; choose a folder")

    @staticmethod
    def validate_hf_model_access(model_name: str) -> None:
        """The Hub knows the model and lets this machine see it.

        Raises:
            ModelError: it does not, or the Hub cannot be reached.
        """
        if not model_name or not str(model_name).strip():
            raise ConfigError("model_name is required and must not be empty")
        import huggingface_hub

        try:
            huggingface_hub.model_info(model_name)
        except Exception as error:  # whatever it is, network, rights or spelling, it says which
            raise ModelError(
                f"Model not accessible on HuggingFace Hub: {model_name} ({type(error).__name__}: "
                f"{' '.join(str(error).split())[:200]}); check the name, the connection, and your login for a "
                "gated model"
            ) from error

    @staticmethod
    def validate_local_path(path: str) -> None:
        """A folder with a configuration and weights in it.

        Raises:
            ModelError: it is not there, or something is missing.
        """
        folder = Path(path).expanduser()
        if not folder.exists():
            raise ModelError(f"reward_model_path does not exist: {path}; give the folder that the model was saved in")
        if not folder.is_dir():
            raise ModelError(f"reward_model_path is no folder: {path}; give the folder that the model was saved in")
        adapter = (folder / "adapter_config.json").is_file()
        if not adapter and not (folder / "config.json").is_file():
            raise ModelError(f"reward_model_path has no config.json: {path}; save the model with save_pretrained")
        pattern = "adapter_model*.safetensors" if adapter else "model*.safetensors"
        if not any(folder.glob(pattern)):
            pickled = ", ".join(sorted(p.name for p in folder.glob("*.bin")))
            hint = f"; {pickled} is pickled, which plaudit does not load: save it as safetensors" if pickled else ""
            raise ModelError(f"reward_model_path has no weights ({pattern}): {path}{hint}")


class RewardModelLoader:
    """Reward models as transformers models, their head proved to be there.

    Further keyword arguments go to `plaudit.models.build.load_model` (dtype, revision, trust_remote_code, …) or, where
    it does not know them, to transformers' ``from_pretrained``.
    """

    def load_from_huggingface(self, model_name: str, **kwargs: Any) -> PreTrainedModel:
        """A reward model from the Hub, or from its cache where the Hub cannot be reached.

        Raises:
            NotARewardModelError: it has no trained head with one output.
            ModelError: it cannot be had.
        """
        if Path(model_name).expanduser().exists():
            raise ConfigError(f"{model_name} is a local folder; use load_from_local")
        try:
            return _load(model_name, kwargs)
        except ModelError as error:
            if type(error) is not ModelError:
                raise
            raise ModelError(f"Model not accessible on HuggingFace Hub: {error}") from error

    def load_from_local(self, model_path: str, **kwargs: Any) -> PreTrainedModel:
        """A reward model from a folder.

        Raises:
            NotARewardModelError: it has no trained head with one output.
            ModelError: the folder is not there or not whole.
        """
        RewardModelValidator.validate_local_path(model_path)
        return _load(model_path, kwargs)


def check_functions(functions: Any) -> None:
    """Reward functions by name or as objects, at least one, all known.

    Raises:
        ConfigError: they are not.
    """
    if isinstance(functions, (str, bytes)) or not isinstance(functions, (list, tuple)):
        raise ConfigError(f"reward_functions: expected a list of names or functions, got {functions!r:.60}")
    if not functions:
        raise ConfigError("reward_functions is required and must not be empty")
    known = REWARDS.names()
    names = [function for function in functions if isinstance(function, str)]
    missing = [name for name in names if name.partition("{")[0].strip() not in known]
    if missing:
        hints = ", ".join(f"{name!r}{suggest(name, known)}" for name in missing)
        raise ConfigError(f"Missing reward functions: {hints}; there are {', '.join(known)}")
    for function in functions:
        if not isinstance(function, (str, RewardFunction, Scorer)):
            raise ConfigError(f"reward_functions: {function!r} is neither a name nor a function with a method score")


def _load(name: str, kwargs: dict[str, Any]) -> PreTrainedModel:
    known = {key: kwargs[key] for key in LOADING if key in kwargs}
    rest = {key: value for key, value in kwargs.items() if key not in known}
    try:
        network: PreTrainedModel = load_model(name, training=False, model_kwargs=rest or None, **known).model.eval()
        return network
    except PlauditError:
        raise
    except TypeError as error:
        raise ConfigError(f"{name}: {error}") from error
