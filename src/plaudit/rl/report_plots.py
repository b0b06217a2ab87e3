"""The curves of a run's report. Knows records only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from plaudit.pages import BLUE, GREY, ORANGE, RED, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["CAPTIONS", "Curve", "curves_of", "series_of"]

CAPTIONS = {
    "reward": "Reward",
    "reward_std": "Spread of the reward in a step (standard deviation)",
    "kl": "KL divergence to the start, nats an answer",
    "kl_coef": "Weight of KL",
    "length": "Length of the answers, tokens",
    "repetition": "Repeated word trigrams",
    "eos_share": "Answers that end by themselves",
    "empty_share": "Empty answers",
    "entropy": "Entropy of the policy, nats a token",
    "policy_loss": "Policy loss",
    "value_loss": "Value loss",
    "grad_norm": "Norm of the gradient",
    "learning_rate": "Learning rate",
    "policy_clipped": "Tokens whose ratio is clipped",
    "value_clipped": "Tokens whose value is clipped",
    "update_kl": "KL divergence of a step's updates, nats a token",
    "first_ratio_error": "Distance from 1 of the first ratios of a step",
    "explained_variance": "Variance of the returns that the critic explains",
}
FIRST = ("kl", "length", "repetition", "eos_share")
"""Drawn after reward and gold; everything else is the optimiser's business."""
NOT_DRAWN = {"step", "episodes", "reward", "parts", "gold"}
SHARES = {"repetition", "eos_share", "empty_share", "policy_clipped", "value_clipped"}
MOST_POINTS = 400
"""A longer run is drawn by means of as many steps."""
SMOOTH_FROM = 30
"""With more points, a moving average is drawn over a light line of the steps."""
MOST_CURVES = 40

Series = tuple[list[float], list[float]]


@dataclass(frozen=True)
class Curve:
    """A drawing: its caption, SVG, and whether it belongs to what a reader looks at first."""

    caption: str
    drawing: str
    first: bool


def series_of(records: Iterable[Mapping[str, Any]], *path: str) -> Series:
    """Steps and finite values of a figure; ``path`` leads into nested ones (``gold``, name)."""
    steps, values = [], []
    for record in records:
        value: Any = record
        for name in path:
            value = value.get(name) if isinstance(value, Mapping) else None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            steps.append(float(record["step"]))
            values.append(float(value))
    return steps, values


def curves_of(
    records: Sequence[Mapping[str, Any]], *, kl_target: float | None = None, marks: Sequence[int] = ()
) -> list[Curve]:
    """The drawings there is something to draw for, the most telling first.

    Args:
        records: of the steps.
        kl_target: a line among the KL divergences.
        marks: steps of warnings, drawn as thin lines.
    """
    reward = series_of(records, "reward")
    gold = _names(records, "gold")
    curves: list[Curve] = []

    def add(caption: str, first: bool, **how: Any) -> None:
        drawing = svg(f"c{len(curves)}", (6.4, 2.8), partial(_draw, marks=marks, **how))
        curves.append(Curve(caption, drawing, first))

    for name in gold:
        add(f"Reward (blue) and gold {name} (orange)", True, left=reward, right=series_of(records, "gold", name))
    if not gold and reward[0]:
        add(CAPTIONS["reward"], True, left=reward)
    others = [name for record in records for name in record if name not in NOT_DRAWN and "seconds" not in name]
    for name in dict.fromkeys([*FIRST, *others]):
        series = series_of(records, name)
        constant = len(series[1]) > 1 and len(set(series[1])) == 1  # the table says it
        if series[0] and not constant and len(curves) < MOST_CURVES:
            caption = CAPTIONS.get(name, name)
            target = kl_target if name == "kl" else None
            add(caption, name in FIRST, left=series, target=target, share=name in SHARES)
    for name in _names(records, "parts"):
        if len(curves) < MOST_CURVES:
            add(f"Component {name}, its own scores", True, left=series_of(records, "parts", name))
    return curves


def _names(records: Sequence[Mapping[str, Any]], key: str) -> list[str]:
    return list(dict.fromkeys(name for record in records for name in (record.get(key) or {})))


def _draw(
    axes: Axes,
    left: Series,
    right: Series | None = None,
    target: float | None = None,
    share: bool = False,
    marks: Sequence[int] = (),
) -> None:
    _line(axes, left, BLUE)
    axes.set_xlabel("step")
    axes.locator_params(axis="x", integer=True)
    axes.grid(axis="y", color=GREY, alpha=0.2, linewidth=0.8)
    if target is not None:
        axes.axhline(target, color=GREY, linewidth=1.2, linestyle="--", label="target")
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    if share:
        from matplotlib.ticker import PercentFormatter

        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, symbol="%"))
    for step in marks:
        axes.axvline(step, color=RED, linewidth=1, alpha=0.6, linestyle=":")
    if right is not None:
        beside = axes.twinx()
        beside.spines[["top"]].set_visible(False)
        beside.spines[["left", "bottom", "right"]].set_alpha(0.3)
        beside.tick_params(length=0, labelcolor=ORANGE)
        axes.tick_params(axis="y", labelcolor=BLUE)
        _line(beside, right, ORANGE)


def _line(axes: Axes, series: Series, colour: str) -> None:
    steps, values = _thinned(series)
    if len(steps) > SMOOTH_FROM:
        axes.plot(steps, values, color=colour, linewidth=0.8, alpha=0.3)
        values = _moving_average(values, max(1, len(values) // 30))
    axes.plot(steps, values, color=colour, linewidth=1.8, marker="o" if len(steps) == 1 else None)


def _thinned(series: Series) -> Series:
    """Means of neighbours, where there are too many points."""
    steps, values = (np.asarray(each, dtype=np.float64) for each in series)
    if len(steps) <= MOST_POINTS:
        return series
    parts = np.array_split(np.arange(len(steps)), MOST_POINTS)
    return [float(steps[p].mean()) for p in parts], [float(values[p].mean()) for p in parts]


def _moving_average(values: Sequence[float], width: int) -> list[float]:
    """Centred over ``2 * width + 1`` points, fewer at the ends."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    place = np.arange(len(values))
    low, high = np.maximum(place - width, 0), np.minimum(place + width + 1, len(values))
    return [float(value) for value in (total[high] - total[low]) / (high - low)]
