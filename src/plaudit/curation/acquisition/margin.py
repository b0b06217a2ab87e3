"""Uncertainty: pairs between which the model can hardly decide."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plaudit.curation.acquisition.base import Candidates, Choice, best, register

__all__ = ["margin"]


@register("margin", needs={"margin"})
def margin(
    candidates: Candidates,
    budget: int,
    rng: np.random.Generator,
    progress: Callable[[int], None] | None = None,
) -> Choice:
    """Smallest margin first: score ``-|r(a) - r(b)|``, at most 0, in units of reward.

    Under the Bradley-Terry model that is the order of the preference's entropy (uncertainty sampling: Lewis & Gale
    1994; for preferences: Muldrew et al. 2024, arXiv:2402.08114). Several models: the margin of their mean
    reward. Looks at each pair alone, so near copies are chosen together.
    """
    assert candidates.margins is not None
    return best(-np.abs(candidates.margins.mean(axis=0)), budget)
