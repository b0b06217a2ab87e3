"""Bringing components of different scales onto one, by what they score on a set of texts. Pure numpy."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from plaudit.errors import ConfigError

__all__ = ["NORMALIZATIONS", "Normalization", "Normalizer"]

Normalization = Literal["none", "zscore", "rank", "minmax"]
NORMALIZATIONS: tuple[Normalization, ...] = ("none", "zscore", "rank", "minmax")
MOST_POINTS = 1001
"""Points that describe a distribution; more scores are thinned to so many quantiles."""


@dataclass
class Normalizer:
    """A monotone map of scores, fitted on a sample of them.

    With mean m, standard deviation s, least a and greatest b of the scores that it was fitted on:

        zscore   (x - m) / s
        minmax   (x - a) / (b - a), held to 0 and 1
        rank     the share of fitted scores below x, ties counted half (the mid-distribution function, Parzen 1979),
                 straight lines between the points

    Args:
        kind: one of `NORMALIZATIONS`; "none" changes nothing and needs no fit.

    Attributes:
        points_: what was learned, [m, s], [a, b] or quantiles; None before `fit`.
        count_: scores that it was fitted on.
    """

    kind: Normalization = "none"
    points_: list[float] | None = field(default=None)
    count_: int = 0

    def __post_init__(self) -> None:
        if self.kind not in NORMALIZATIONS:
            raise ConfigError(f"normalization is one of {', '.join(NORMALIZATIONS)}; got {self.kind!r}")

    def fit(self, scores: npt.ArrayLike, name: str = "the component") -> Normalizer:
        """Learns from scores (N,).

        Raises:
            ConfigError: they are not finite, or all equal, so that nothing can be told apart.
        """
        values = np.asarray(scores, dtype=np.float64)
        if self.kind == "none":
            return self
        if not np.isfinite(values).all():
            raise ConfigError(f"{name}: scores to normalize by are not finite")
        if len(values) < 2 or values.min() == values.max():
            what = f"all {len(values)} scores are {values[0]:g}" if len(values) else "there are no scores"
            raise ConfigError(
                f"{name}: cannot normalize ({self.kind}), {what}; fit on more varied texts, or leave it out"
            )
        if self.kind == "zscore":
            self.points_ = [float(values.mean()), float(values.std())]
        elif self.kind == "minmax":
            self.points_ = [float(values.min()), float(values.max())]
        else:
            count = min(len(values), MOST_POINTS)
            at = np.linspace(0, len(values) - 1, count).round().astype(int)
            self.points_ = [float(value) for value in np.sort(values)[at]]
        self.count_ = len(values)
        return self

    def __call__(self, scores: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Normalized scores (N,).

        Raises:
            ConfigError: it was not fitted.
        """
        values = np.asarray(scores, dtype=np.float64)
        if self.kind == "none":
            return values
        if self.points_ is None:
            raise ConfigError(f"normalization {self.kind!r} is not fitted; call fit with texts that are typical first")
        if self.kind == "rank":
            points = np.asarray(self.points_)
            below, to = (np.searchsorted(points, values, side) / len(points) for side in ("left", "right"))
            ranks: npt.NDArray[np.float64] = _between(points, values, (below + to) / 2)
            return ranks
        low, second = self.points_
        if self.kind == "zscore":
            return (values - low) / second
        return np.clip((values - low) / (second - low), 0.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """What `from_dict` makes an equal one of."""
        return {"kind": self.kind, "points": self.points_, "count": self.count_}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Normalizer:
        """The inverse of `to_dict`."""
        points = values.get("points")
        if points is not None and not all(isinstance(p, (int, float)) and math.isfinite(p) for p in points):
            raise ConfigError(f"normalization {values.get('kind')!r}: points must be finite numbers")
        return cls(values.get("kind", "none"), points, int(values.get("count", 0)))


def _between(
    points: npt.NDArray[np.float64], values: npt.NDArray[np.float64], at: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Mid-ranks of values that are points; between two points, along the line that joins their mid-ranks."""
    knots, counts = np.unique(points, return_counts=True)
    ranks = (np.cumsum(counts) - counts / 2) / len(points)
    inside = (values >= knots[0]) & (values <= knots[-1])
    return np.where(inside, np.interp(values, knots, ranks), at)
