"""The curves of a run as one picture, from the Trainer's log history. Knows nothing else."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_training"]

BLUE, GREY = "#3b6ea8", "#9aa0a6"
EVALUATIONS = ("#d9722e", "#3f9b6c", "#8d62a8", "#b8476b")
"""One colour for each evaluation set."""
SMOOTH_FROM = 40
"""With more points than this, training figures are drawn as a moving average over a light line of what was logged."""

Series = tuple[list[int], list[float]]


def plot_training(history: list[dict[str, Any]], folder: Path, *, best_step: int | None = None) -> Path:
    """Writes ``training.png``: loss and accuracy (ratings: correlation) over steps, the learning rate behind.

    Args:
        history: the entries of ``trainer.state.log_history``.
        folder: where the picture goes; it must exist.
        best_step: the step whose checkpoint was the best; marked.

    Returns:
        The picture's path.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    pairs = any("accuracy" in key for entry in history for key in entry)
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy" if pairs else "correlation"), strict=True):
        _draw_learning_rate(axes, _series(history, "learning_rate"))
        _draw_figure(axes, history, name)
        if best_step is not None:
            axes.axvline(best_step, color="#444444", linewidth=1, linestyle="--", label=f"best: step {best_step:,}")
    handles, labels = figure.axes[0].get_legend_handles_labels()  # the same in both panels
    if handles:
        figure.legend(handles, labels, fontsize=9, frameon=False, loc="outside lower center", ncols=4)
    path = folder / "training.png"
    figure.savefig(path, dpi=144)
    return path


def _draw_figure(axes: Axes, history: list[dict[str, Any]], name: str) -> None:
    axes.set_title(name, loc="left", fontsize=11, fontweight="bold")
    axes.set_xlabel("step", fontsize=9)
    axes.tick_params(labelsize=9, length=0)
    axes.locator_params(axis="x", integer=True)
    axes.grid(axis="y", color="#e4e6e9", linewidth=0.8)
    axes.spines[:].set_visible(False)
    if name == "accuracy":
        axes.axhline(0.5, color=GREY, linewidth=1, linestyle=":")
    steps, values = _series(history, name)
    smooth = len(steps) > SMOOTH_FROM
    if smooth:
        axes.plot(steps, values, color=BLUE, linewidth=0.8, alpha=0.25)
        values = _moving_average(values, len(values) // 20)
    if steps:
        label = "training (smoothed)" if smooth else "training"
        axes.plot(steps, values, color=BLUE, linewidth=1.8, label=label, marker="." if len(steps) == 1 else None)
    keys = dict.fromkeys(key for entry in history for key in entry if key.startswith("eval_"))
    for key, color in zip((key for key in keys if key.endswith(f"_{name}")), cycle(EVALUATIONS)):
        label = key.removeprefix("eval_").removesuffix(name).strip("_") or "held out"
        axes.plot(*_series(history, key), color=color, linewidth=1.8, marker="o", markersize=4, label=label)


def _draw_learning_rate(axes: Axes, rates: Series) -> None:
    """As a light surface from 0 to its peak, without an axis of its own: its form is what matters."""
    peak = max(rates[1], default=0.0)
    if peak <= 0:
        return
    behind = axes.twinx()
    behind.set_zorder(-1)
    axes.patch.set_visible(False)
    behind.fill_between(*rates, color=GREY, alpha=0.13, linewidth=0)
    behind.set_ylim(0, 1.02 * peak)
    behind.set_yticks([])
    behind.spines[:].set_visible(False)
    axes.fill_between([], [], color=GREY, alpha=0.25, linewidth=0, label=f"learning rate (peak {peak:.1e})")


def _series(history: list[dict[str, Any]], name: str) -> Series:
    """Steps and finite values; of a step that was logged twice, as after resuming, the last one."""
    points = {int(entry["step"]): float(entry[name]) for entry in history if name in entry}
    finite = {step: value for step, value in sorted(points.items()) if np.isfinite(value)}
    return list(finite), list(finite.values())


def _moving_average(values: list[float], width: int) -> list[float]:
    """Centred over ``2 * width + 1`` points, fewer at the ends."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    index = np.arange(len(values))
    low, high = np.maximum(index - width, 0), np.minimum(index + width + 1, len(values))
    return list((total[high] - total[low]) / (high - low))
