"""Layers of a configuration: a file, dotted overrides and a preset, laid over each other as plain values.

Knows nothing about which keys there are or what they may be: `plaudit.training.config` checks the result.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from plaudit.errors import ConfigError

__all__ = ["STEP_IN_PAIRS", "lay_over", "read_layer"]

SECTIONS = ("data", "model", "lora", "training")

SHORT = {"data": "source", "model": "name"}
"""Sections that may be given as a text: the field that it fills."""

STEP_IN_PAIRS = ("per_device_train_batch_size", "gradient_accumulation_steps", "total_batch_size")
"""Fields of ``training`` that say how large a step is in pairs, where ``tokens_per_step`` says it in tokens."""

RIVALS = (
    {"warmup_ratio", "warmup_steps"},
    {"mixed_precision", "bf16", "fp16"},
    {"total_batch_size", "gradient_accumulation_steps"},
    {"dropout", "disable_dropout"},
    *({"tokens_per_step", pairs} for pairs in STEP_IN_PAIRS),
)
"""Fields of ``training`` that say the same in other words: where an upper layer gives one, the others below go."""


def read_layer(path: str | Path) -> dict[str, Any]:
    """The values of a YAML file.

    Raises:
        ConfigError: it is missing, unreadable, no YAML, or not made of keys.
    """
    try:
        loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(loaded, dict):
        raise ConfigError(f"{path}: expected keys like data:, model:, training:, got {type(loaded).__name__}")
    return loaded


def lay_over(values: dict[str, Any], layer: dict[str, Any]) -> None:
    """Lays a layer over ``values``, in place.

    Args:
        values: what the layers below amount to.
        layer: nested sections, dotted keys, or both; a section is laid over field by field.

    Raises:
        ConfigError: a dotted key into something that is no section.
    """
    flat: dict[str, Any] = {}
    for key, value in layer.items():
        if key in SECTIONS and isinstance(value, dict) and value:
            flat |= {f"{key}.{name}": v for name, v in value.items()}
        else:
            flat[f"{key}.{SHORT[key]}" if key in SHORT and isinstance(value, str) else key] = value
    below = values.get("training")
    if isinstance(below, dict):
        replaced = {name for rivals in RIVALS if any(f"training.{r}" in flat for r in rivals) for name in rivals}
        for name in replaced & set(below):
            del below[name]
    for key in sorted(flat, key=lambda key: "." in key):  # a section as a whole comes first
        if not (flat[key] in (True, {}) and isinstance(values.get(key), dict)):  # lora: true keeps what lora holds
            _set_dotted(values, key, flat[key])


def _set_dotted(values: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for depth, parent in enumerate(parents):
        child = values.setdefault(parent, {})
        if isinstance(child, str):  # data: file.jsonl and model: name are short for their first field
            child = values[parent] = {SHORT.get(parent, "value"): child}
        elif isinstance(child, bool) or child is None:  # lora: true
            child = values[parent] = {}
        if not isinstance(child, dict):
            raise ConfigError(f"{key}: {'.'.join(parents[: depth + 1])} is no section")
        values = child
    values[last] = value
