"""A resumed run is the run that was interrupted: what it was started with is kept in its folder and compared.

Otherwise the settings on record would not be those that it was trained with, and prompts that it has learnt from could
be held out. Knows nothing about models.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from plaudit.errors import ConfigError
from plaudit.files import atomic_text
from plaudit.training.config import TrainConfig

__all__ = ["ONCE", "check_same_data", "check_same_settings", "forget_start", "record_start", "refuse_changes"]

ONCE = {"overwrite", "resume", "preflight", "push_to_hub", "hub_private"}
"""What is wanted of one call and is no part of the run."""

START = "run_start.json"
FREE = {"report_to", "logging_steps", "save_steps", "save_strategy", "save_total_limit", "disable_tqdm"}
FREE |= {"dataloader_num_workers", "dataset_num_proc", "batching", "micro_batch_tokens"}
"""Fields of ``training`` that do not change what is learnt; device and fallback of the model neither."""


def record_start(config: TrainConfig, run: Path) -> None:
    """Writes down what a run is started with."""
    atomic_text(run / START, json.dumps({"settings": _settings(config)}, indent=1, ensure_ascii=False) + "\n")


def forget_start(run: Path) -> None:
    """Removes the record of a run that is finished."""
    (run / START).unlink(missing_ok=True)


def check_same_settings(config: TrainConfig, run: Path) -> None:
    """Compares the settings with those that the run was started with.

    Raises:
        ConfigError: names every difference.
    """
    then, now = _read(run).get("settings"), _settings(config)
    if then is None:
        return
    usual = _settings(TrainConfig(data={"source": config.data.source}, output=config.output))
    before = {key: then.get(key, usual.get(key)) for key in {*then, *now}}  # an older version knew fewer settings
    refuse_changes(before, now)


def refuse_changes(then: dict[str, Any], now: dict[str, Any]) -> None:
    """Compares two records of settings.

    Raises:
        ConfigError: names every difference.
    """
    changed = [
        f"{key} (was {then.get(key)!r}, now {now.get(key)!r})"
        for key in sorted({*then, *now})
        if then.get(key) != now.get(key)
    ]
    if changed:
        raise ConfigError(
            f"resume goes on with the run as it was started, but these differ: {'; '.join(changed)}. Give what was "
            "given then, or start anew with overwrite (--overwrite)"
        )


def check_same_data(fingerprint: str, run: Path) -> None:
    """Compares the fingerprint of the pairs with that of the start, or writes it down at the start.

    Raises:
        ConfigError: the data have changed.
    """
    record = _read(run)
    if record.setdefault("data", fingerprint) != fingerprint:
        raise ConfigError(
            f"resume: the data have changed since the run was started (fingerprint {fingerprint}, then "
            f"{record['data']}); bring the old data back, or start anew with overwrite (--overwrite)"
        )
    atomic_text(run / START, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def _read(run: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads((run / START).read_text(encoding="utf-8"))
    except FileNotFoundError:  # started by an older version
        return {}
    return record


def _settings(config: TrainConfig) -> dict[str, Any]:
    """The settings that decide what is learnt, by dotted key; those that were not chosen are left out."""
    flat: dict[str, Any] = {}
    for section, value in json.loads(config.model_dump_json(exclude={*ONCE, "output"})).items():
        if isinstance(value, dict):
            flat |= {f"{section}.{name}": v for name, v in value.items() if v is not None}
        elif value is not None:
            flat[section] = value
    return {
        key: value
        for key, value in flat.items()
        if key.removeprefix("training.") not in FREE and key not in ("model.device", "model.device_fallback")
    }
