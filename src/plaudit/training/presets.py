"""Presets: settings for a purpose or a device, in ``configs/NAME.yaml``, laid under everything the user chooses.

A preset is a configuration without data and output, with a ``description``; the comments in the file give the reasons.
Knows nothing about how a configuration is checked or used, and imports no torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import yaml

from plaudit.errors import ConfigError
from plaudit.registry import suggest

__all__ = ["Preset", "all_presets", "load_preset"]


@dataclass(frozen=True)
class Preset:
    """Settings under a name.

    Attributes:
        name: what ``--preset`` takes.
        description: what it is for, in one line.
        values: sections of a `TrainConfig` (model, training, …) with the values that it sets.
    """

    name: str
    description: str
    values: dict[str, Any]

    @property
    def settings(self) -> dict[str, Any]:
        """The values by dotted key: ``{"training.learning_rate": 1e-5}``."""
        return {f"{section}.{key}": value for section, fields in self.values.items() for key, value in fields.items()}

    def summary(self) -> str:
        """The settings in one line."""
        return ", ".join(f"{key} {_written(value)}" for key, value in self.settings.items())

    def lines(self) -> list[str]:
        """What a person should know who has chosen it."""
        return [f"preset {self.name}: {self.description}", f"preset sets: {self.summary()}"]


def all_presets() -> list[Preset]:
    """Every preset that comes with plaudit, by name."""
    return [_read(name) for name in _names()]


def load_preset(name: str) -> Preset:
    """The preset called ``name`` (hyphens or underscores).

    Raises:
        ConfigError: there is none of that name; suggests one.
    """
    known = _names()
    found = str(name).replace("_", "-")
    if found not in known:
        raise ConfigError(f"unknown preset {name!r}{suggest(found, known)}; there is: {', '.join(known)}")
    return _read(found)


def _names() -> list[str]:
    entries = (files("plaudit") / "configs").iterdir()
    return sorted(entry.name.removesuffix(".yaml") for entry in entries if entry.name.endswith(".yaml"))


def _read(name: str) -> Preset:
    values = yaml.safe_load((files("plaudit") / "configs" / f"{name}.yaml").read_text(encoding="utf-8"))
    return Preset(name, values.pop("description"), values)


def _written(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
