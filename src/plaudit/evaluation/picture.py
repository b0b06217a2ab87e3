"""An evaluation as one picture: accuracy by source beside a baseline, and how the scores of both sides lie.

Draws what was computed elsewhere; knows nothing about scorers or data.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from plaudit.metrics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_evaluation"]

BLUE, ORANGE, GREY, LIGHT = "#3b6ea8", "#d9722e", "#9aa0a6", "#e4e6e9"


def draw_evaluation(
    path: Path,
    accuracy: dict[str, Interval],
    baseline: dict[str, Interval],
    chosen: npt.NDArray[np.floating],
    rejected: npt.NDArray[np.floating],
    *,
    baseline_name: str = "baseline",
) -> None:
    """Writes a PNG with two panels.

    Args:
        path: the file to write; its folder must exist.
        accuracy: of the model, by row, the topmost first.
        baseline: of the baseline, by the same names.
        chosen, rejected: (M,) scores of the preferred and the other response of each pair.
        baseline_name: for the legend.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 1.6 + 0.3 * max(len(accuracy), 7)), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_accuracies(left, accuracy, baseline, baseline_name)
    _draw_scores(right, chosen, rejected)
    for axes in (left, right):
        axes.tick_params(labelsize=9, length=0)
        axes.spines[:].set_visible(False)
        axes.legend(fontsize=9, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3)
    figure.savefig(path, dpi=144)


def _draw_accuracies(
    axes: Axes, accuracy: dict[str, Interval], baseline: dict[str, Interval], baseline_name: str
) -> None:
    """A dot and its 95% interval for each row, the baseline a little below in grey."""
    rows = np.arange(len(accuracy))
    for shift, figures, color, label in (
        (0.16, baseline, GREY, baseline_name),
        (-0.10, accuracy, BLUE, "this model"),
    ):
        shown = [figures[name] for name in accuracy]
        axes.hlines(rows + shift, [i.low for i in shown], [i.high for i in shown], color=color, linewidth=2, alpha=0.6)
        axes.plot([i.value for i in shown], rows + shift, "o", color=color, markersize=6, label=label)
    axes.axvline(0.5, color="#444444", linewidth=1, linestyle=":", label="chance", zorder=0)
    axes.set_yticks(rows, list(accuracy))
    axes.set_ylim(len(accuracy) - 0.5, -0.5)
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("accuracy on held-out pairs, with 95% intervals", fontsize=9)
    axes.grid(axis="x", color=LIGHT, linewidth=0.8)
    axes.set_axisbelow(True)


def _draw_scores(axes: Axes, chosen: npt.NDArray[np.floating], rejected: npt.NDArray[np.floating]) -> None:
    both = np.concatenate([chosen, rejected])
    edges = np.linspace(both.min(), max(both.max(), both.min() + 1e-6), 31)
    for scores, color, label in ((rejected, ORANGE, "rejected replies"), (chosen, BLUE, "chosen replies")):
        axes.hist(scores, edges.tolist(), color=color, alpha=0.55, label=label)
        axes.axvline(float(np.mean(scores)), color=color, linewidth=1.5)
    axes.set_xlabel("score (lines: means)", fontsize=9)
    axes.set_ylabel("replies", fontsize=9)
    axes.grid(axis="y", color=LIGHT, linewidth=0.8)
    axes.set_axisbelow(True)
