"""What every reward function is worth, measured: writes rewards.md and a dated result.

python benchmarks/rewards.py          (some minutes: the functions on embeddings and in sandboxes take most of it)
"""

from __future__ import annotations

import math
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from common import finish, surroundings

PARTS = ("rewards_text", "rewards_harm", "rewards_code", "rewards_reference")
PAGE = Path(__file__).with_name("rewards.md")

HEAD = """# Reward functions, measured

Written by `python benchmarks/rewards.py`. Sets of our own lie in `benchmarks/data`, most of them in two halves: "dev",
which was looked at while the functions were written, and "test". They were written by the same hands as the functions,
which flatters: figures on real data stand beside them where there are any. Intervals are 95%.

"""


def speeds() -> dict[str, float]:
    """Texts a second of CPU time on one core, of each function on samples of what it is for."""
    import json

    command = [sys.executable, "-m", "plaudit", "rewards", "list", "--bench", "--json"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return {row["name"]: row["texts_per_second"] for row in json.loads(done.stdout) if row["texts_per_second"]}


def page(figures: list[dict[str, Any]], rates: dict[str, float]) -> str:
    from plaudit.rewards import REWARDS

    lines = [HEAD, "| reward | measured | value | interval | rows | on |", "|---|---|---|---|---|---|"]
    for figure in sorted(figures, key=lambda f: f["function"]):
        low_high = figure.get("interval")
        interval = f"{_number(low_high[0])} – {_number(low_high[1])}" if low_high else ""
        cells = (
            figure["function"],
            figure["measure"],
            _number(figure["value"]),
            interval,
            figure["rows"],
            figure["data"],
        )
        lines.append("| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |")
    around = surroundings()
    lines += ["", "## Texts a second", "", f"CPU time on one core of {around['cpu']}, {around['date']}.", ""]
    lines += ["| reward | texts/s | why not more |", "|---|---|---|"]
    lines += [f"| {name} | {rate:,.0f} | {REWARDS.get(name).slow} |" for name, rate in sorted(rates.items())]
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:.3f}" if isinstance(value, float) and not math.isclose(value, round(value)) else f"{value:g}"


if __name__ == "__main__":
    figures = [figure for part in PARTS for figure in import_module(part).figures()]
    rates = speeds()
    PAGE.write_text(page(figures, rates), encoding="utf-8")
    finish("rewards", {"figures": figures, "texts_per_second": rates})
