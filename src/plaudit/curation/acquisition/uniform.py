"""Drawing at random: the control that every other method has to beat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plaudit.curation.acquisition.base import Candidates, Choice, register

__all__ = ["uniform"]


@register("random", needs=set())
def uniform(
    candidates: Candidates,
    budget: int,
    rng: np.random.Generator,
    progress: Callable[[int], None] | None = None,
) -> Choice:
    """Each candidate with the same chance, without replacement; every score is 0."""
    return rng.permutation(candidates.count)[:budget].astype(np.int64), np.zeros(budget)
