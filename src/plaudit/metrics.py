"""Figures about preferences, pure numpy: counts that add up, and the noise around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

__all__ = ["Interval", "PairCounts", "bootstrap_accuracy", "pair_accuracy"]

Array = npt.NDArray[np.float64]


@dataclass
class PairCounts:
    """Sums over preference pairs, so that figures of batches, ranks and epochs add up exactly.

    ``minimum`` and ``maximum`` combine by min and max, all other fields by addition. Rewards of the preferred side
    are called chosen, those of the other side rejected.
    """

    pairs: float = 0
    correct: float = 0
    ties: float = 0
    loss: float = 0
    tokens: float = 0
    chosen_sum: float = 0
    chosen_squares: float = 0
    rejected_sum: float = 0
    rejected_squares: float = 0
    chosen_minimum: float = float("inf")
    rejected_minimum: float = float("inf")
    chosen_maximum: float = float("-inf")
    rejected_maximum: float = float("-inf")

    def figures(self) -> dict[str, float]:
        """Means over pairs: ``accuracy`` (strictly greater; a tie is wrong), ``margin``, ``mean_reward``, … ."""
        if not self.pairs:
            return {}
        n = self.pairs
        result = {
            "accuracy": self.correct / n,
            "ties": self.ties / n,
            "margin": (self.chosen_sum - self.rejected_sum) / n,
            "mean_reward": (self.chosen_sum + self.rejected_sum) / (2 * n),
            "min_reward": min(self.chosen_minimum, self.rejected_minimum),
            "max_reward": max(self.chosen_maximum, self.rejected_maximum),
        }
        for side in ("chosen", "rejected"):
            total, squares = getattr(self, f"{side}_sum"), getattr(self, f"{side}_squares")
            result |= {
                f"{side}_mean": total / n,
                f"{side}_std": max(squares / n - (total / n) ** 2, 0.0) ** 0.5,
                f"{side}_min": getattr(self, f"{side}_minimum"),
                f"{side}_max": getattr(self, f"{side}_maximum"),
            }
        return result

    @classmethod
    def names(cls, combine: str) -> list[str]:
        """Field names that combine by ``sum``, ``min`` or ``max``."""
        suffix = {"min": "_minimum", "max": "_maximum"}
        if combine in suffix:
            return [f.name for f in fields(cls) if f.name.endswith(suffix[combine])]
        return [f.name for f in fields(cls) if not f.name.endswith(tuple(suffix.values()))]


@dataclass(frozen=True)
class Interval:
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def pair_accuracy(chosen: Array, rejected: Array) -> Array:
    """(M,) of 1.0 where chosen > rejected strictly, else 0.0: a tie is no success."""
    return (np.asarray(chosen) > np.asarray(rejected)).astype(np.float64)


def bootstrap_accuracy(
    correct: Array, groups: Sequence[str], *, samples: int = 2000, level: float = 0.95, seed: int = 0
) -> Interval:
    """Mean of ``correct`` with a percentile bootstrap interval, resampled by group (prompt).

    Pairs of one prompt are not independent, so whole prompts are drawn with replacement (Efron & Tibshirani 1993,
    ch. 13; cluster bootstrap). With one group the interval is the point itself.

    Args:
        correct: (M,) values in [0, 1].
        groups: M group keys.
        samples: bootstrap draws.
    """
    correct = np.asarray(correct, dtype=np.float64)
    _, index = np.unique(np.asarray(groups, dtype=object).astype(str), return_inverse=True)
    sums = np.bincount(index, weights=correct)
    counts = np.bincount(index).astype(np.float64)
    rng = np.random.default_rng(seed)
    means = np.empty(samples)
    for start in range(0, samples, 256):  # bounded memory with many groups
        size = min(256, samples - start)
        draws = rng.integers(0, len(sums), size=(size, len(sums)))
        means[start : start + size] = sums[draws].sum(axis=1) / counts[draws].sum(axis=1)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(correct.mean()), float(low), float(high))
