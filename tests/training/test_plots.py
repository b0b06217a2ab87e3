"""The picture of a run, from log histories of every shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plaudit.training.plots import _moving_average, _series, plot_training


def history(steps: int, every: int = 1) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for step in range(every, steps + 1, every):
        entries.append({"step": step, "loss": 1 / step, "accuracy": 0.5, "learning_rate": 1e-5 * step})
    entries.append({"step": steps, "eval_loss": 0.5, "eval_accuracy": 0.6, "eval_other_accuracy": 0.7})
    return [*entries, {"step": steps, "train_loss": 0.4, "total_flos": 1.0}]


@pytest.mark.parametrize(
    "entries",
    [history(30), history(2000, 10), history(1), [], [{"step": 1, "loss": float("nan"), "accuracy": 0.0}]],
    ids=["short", "long", "one step", "nothing logged", "no finite loss"],
)
def test_every_run_gets_a_picture(entries: list[dict[str, Any]], tmp_path: Path) -> None:
    path = plot_training(entries, tmp_path, best_step=1)
    assert path == tmp_path / "training.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_drawing_leaves_the_global_state_of_matplotlib_alone(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from plaudit.training.plots import plot_training\n"
        "assert 'matplotlib' not in sys.modules\n"
        f"plot_training([{{'step': 1, 'loss': 0.5}}], Path({str(tmp_path)!r}))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_step_that_was_logged_twice_counts_once() -> None:
    entries = [{"step": 2, "loss": 1.0}, {"step": 4, "loss": 3.0}, {"step": 4, "loss": 2.0}, {"step": 5, "other": 1}]
    assert _series(entries, "loss") == ([2, 4], [1.0, 2.0])


def test_the_moving_average_is_centred_and_shorter_at_the_ends() -> None:
    assert _moving_average([1.0, 2.0, 6.0, 3.0], 1) == pytest.approx([1.5, 3.0, 11 / 3, 4.5])
    assert np.allclose(_moving_average([5.0] * 9, 3), 5.0)
