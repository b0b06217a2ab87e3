"""From what a user writes to a scorer: a folder, a Hub id."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plaudit.models.reward_model import RewardModel
from plaudit.types import Scorer

__all__ = ["resolve_scorer"]


def resolve_scorer(spec: str | Path | Scorer, **options: Any) -> Scorer:
    """A scorer from its name.

    Args:
        spec: a model folder, a Hub id, or a scorer, which is returned as it is.
        options: passed to `RewardModel.from_pretrained` (device, dtype, …).
    """
    if isinstance(spec, (str, Path)):
        return RewardModel.from_pretrained(spec, **options)
    return spec
