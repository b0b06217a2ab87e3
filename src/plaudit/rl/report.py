"""A run of reinforcement learning as one page of HTML that needs nothing from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.errors import ConfigError
from plaudit.files import atomic_text
from plaudit.pages import render_template
from plaudit.rl.report_plots import CAPTIONS, curves_of, series_of
from plaudit.rl.win_rates import WinRates
from plaudit.types import Prompt

__all__ = ["render_report", "write_report"]

MOST_PROMPTS, MOST_STEPS, MOST_CHARACTERS = 12, 6, 1500
"""Of the samples that are shown."""
TABLE = ("reward", "kl", "kl_coef", "length", "repetition", "eos_share", "empty_share", "entropy", "value_loss")
FACTS = (("kl", "nats of KL"), ("length", "tokens an answer"))
SHARES = {"repetition", "eos_share", "empty_share"}


@dataclass(frozen=True)
class Shown:
    """One answer of the samples, ready for the page."""

    step: int
    text: str
    more: int
    reward: float | None
    gold: dict[str, float]


def write_report(path: str | Path, run: Mapping[str, Any]) -> None:
    """Writes the page under a temporary name and renames it.

    Args:
        path: ends in ``.html``.
        run: what `render_report` takes.

    Raises:
        ConfigError: another ending.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".html":
        raise ConfigError(f"{path}: the report is a page of HTML; give a name that ends in .html")
    page = render_report(run)
    atomic_text(path, page.encode("utf-8", "replace").decode("utf-8"))  # half a surrogate pair has no bytes


def render_report(run: Mapping[str, Any]) -> str:
    """The page: figures, warnings, win rates, curves, answers over time. Everything from the run is escaped.

    Args:
        run: what there is of

            - ``records``: of the steps, see `plaudit.rl.watch.HackingWatch.see`; further numbers are drawn too;
            - ``samples``: ``{"step", "prompt", "response", "reward", "gold": {name: score}}``;
            - ``warnings``: lines;
            - ``win_rates``: a `WinRates`, or None;
            - ``results``: ``algorithm``, ``backend``, ``policy``, ``reward``, ``steps``, ``episodes``,
              ``stopped_early``;
            - ``config``: of the run, shown as it is; its options may hold a ``kl_target``.
    """
    records: list[Mapping[str, Any]] = list(run.get("records") or [])
    results: Mapping[str, Any] = run.get("results") or {}
    warnings = [str(line) for line in run.get("warnings") or []]
    wins: WinRates | None = run.get("win_rates")
    config = run.get("config") or {}
    options = config.get("options") if isinstance(config, Mapping) else None
    target = options.get("kl_target") if isinstance(options, Mapping) else None
    curves = curves_of(records, kl_target=target, marks=_steps_of(warnings))
    return render_template(
        Path(__file__).with_name("report.html.j2"),
        {str(place): curve.drawing for place, curve in enumerate(curves)},
        filters={"short": _short, "signed": lambda value: f"{value:+.3g}"},
        title=f"{results.get('algorithm', 'a run')} · {Path(str(results.get('policy', 'policy'))).name}",
        results=results,
        facts=_facts(records, results, wins),
        warnings=warnings,
        wins=wins,
        table=_table(records),
        curves=list(enumerate(curves)),
        samples=_samples(run.get("samples") or []),
        config=json.dumps(config, indent=1, ensure_ascii=False, default=str) if config else "",
    )


# -- figures -----------------------------------------------------------------------------------------------------------


def _facts(
    records: Sequence[Mapping[str, Any]], results: Mapping[str, Any], wins: WinRates | None
) -> list[tuple[str, str, str]]:
    """Number, name and a line below, of the boxes on top."""
    facts = []
    for name, own in (wins.scorers if wins else {}).items():
        rate = own.win_rate
        facts.append((f"{rate.value:.0%}", f"wins by {name}", f"{rate.low:.0%} – {rate.high:.0%}"))
    if not facts:
        facts += [_fact(series_of(records, "reward")[1], "reward")]
    facts += [_fact(series_of(records, name)[1], label) for name, label in FACTS]
    facts = [fact for fact in facts if fact[0]]
    steps, episodes = results.get("steps"), results.get("episodes")
    if steps is not None:
        below = f"{episodes:,} answers" if isinstance(episodes, int) else ""
        early = ", stopped early" if results.get("stopped_early") else ""
        facts.append((f"{steps:,}", f"steps{early}", below))
    seconds = sum(series_of(records, "seconds")[1])
    if seconds:
        facts.append((_time(seconds), "of training", f"{seconds / len(records):,.2g} s a step"))
    return facts


def _fact(values: Sequence[float], label: str) -> tuple[str, str, str]:
    first, last = _ends(values) if values else (0.0, 0.0)
    return (_short(last) if values else "", label, f"{_short(first)} at first")


def _table(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Figure, mean of the first and of the last steps, lowest, highest."""
    gold = dict.fromkeys(name for record in records for name in (record.get("gold") or {}))
    paths = [("reward",), *(("gold", name) for name in gold), *((name,) for name in TABLE[1:])]
    rows = []
    for path in paths:
        values = series_of(records, *path)[1]
        if values:
            form = _percent if path[-1] in SHARES and len(path) == 1 else _short
            name = f"Gold {path[1]}" if len(path) > 1 else CAPTIONS.get(path[0], path[0])
            rows.append((name, *(form(value) for value in (*_ends(values), min(values), max(values)))))
    return rows


def _ends(values: Sequence[float]) -> tuple[float, float]:
    """Means of the first and the last tenth of the steps."""
    tenth = max(1, len(values) // 10)
    return float(np.mean(values[:tenth])), float(np.mean(values[-tenth:]))


def _steps_of(warnings: Sequence[str]) -> list[int]:
    return [int(found[1]) for line in warnings if (found := re.match(r"step (\d+):", line))]


# -- samples -----------------------------------------------------------------------------------------------------------


def _samples(rows: Sequence[Mapping[str, Any]]) -> list[tuple[list[tuple[str, str]], list[Shown]]]:
    """For each prompt (its turns) the answers over time, the same steps for all of them."""
    steps = sorted({int(row["step"]) for row in rows})
    if len(steps) > MOST_STEPS:  # evenly, the first and the last among them
        steps = [steps[round(i * (len(steps) - 1) / (MOST_STEPS - 1))] for i in range(MOST_STEPS)]
    found: dict[str, tuple[Prompt, list[Shown]]] = {}
    for row in sorted(rows, key=lambda row: int(row["step"])):
        if int(row["step"]) not in steps:
            continue
        key = json.dumps(row["prompt"], sort_keys=True, default=str)
        found.setdefault(key, (row["prompt"], []))[1].append(_shown(row))
    return [(_turns(prompt), answers) for prompt, answers in list(found.values())[:MOST_PROMPTS]]


def _shown(row: Mapping[str, Any]) -> Shown:
    text = str(row["response"])
    gold = {str(name): float(value) for name, value in (row.get("gold") or {}).items() if value is not None}
    more = max(0, len(text) - MOST_CHARACTERS)
    reward = row.get("reward")
    return Shown(int(row["step"]), text[:MOST_CHARACTERS], more, None if reward is None else float(reward), gold)


def _turns(prompt: Prompt) -> list[tuple[str, str]]:
    """Roles and texts of a prompt; a text has no role."""
    if prompt is None or isinstance(prompt, str):
        return [("", prompt or "")]
    return [(str(turn.get("role", "")), str(turn.get("content") or "")) for turn in prompt]


# -- numbers -----------------------------------------------------------------------------------------------------------


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
