"""Watching for reward hacking: what goes wrong in a run, seen in the figures of its steps, with what to do.

Reads the records of a run's log only; knows nothing of policies, rewards or algorithms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.errors import ConfigError

__all__ = ["Change", "HackingWatch", "change_between"]

Array = npt.NDArray[np.float64]

WINDOW = 5
"""Fewest steps that are compared with as many others, and that go by between two judgements."""
QUARTER = 4
"""After 20 steps, windows of a quarter of the run so far are compared, at every eighth that it has grown: the longer it
runs, the smaller a fall is seen, and the judgements stay few."""
ALPHA = 0.001
"""Chance of a one-sided test to see a fall, or a rise, in noise; that of gold is divided among the windows that are
compared with, and lower from the ninth judgement on: ``ALPHA * 8 / k`` at the k-th."""
AGAIN = 2.0
"""A warning is repeated when what it says has become so many times worse."""
LENGTH_RATIO = 2.0
"""Answers so many times longer, or shorter, than in the first steps."""
REPETITION_RISE = 0.1
"""Good answers repeat from 1% (short chats) to 15% (worked sums) of their word trigrams; 10% more is much."""
EOS_SHARE = 0.5
"""Of the share of answers that ended by themselves in the first steps."""
MAX_KL = 50.0
"""In nats an answer: where no target says better, an answer that the start would give e^50 times less often is odd."""


@dataclass(frozen=True)
class Change:
    """The difference of the means of two windows of steps.

    Attributes:
        value: later mean minus earlier mean.
        low, high: its 95% interval, by Welch's t (Welch 1947).
        fall, rise: one-sided p-values: the chance of such a fall, or rise, where nothing changes.
    """

    value: float
    low: float
    high: float
    fall: float
    rise: float

    def __str__(self) -> str:
        return f"{self.value:+.3g} [{self.low:+.3g}, {self.high:+.3g}]"


def change_between(before: Sequence[float] | Array, after: Sequence[float] | Array) -> Change:
    """Welch's t between the figures of two windows, at least two of each; the steps' means are the observations.

    Their own scatter is the measure of noise, so whatever makes steps differ (few prompts a step, their difficulty) is
    in it. Windows without any scatter differ for sure, or not at all.
    """
    from scipy.special import stdtr, stdtrit

    x, y = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    value = float(y.mean() - x.mean())
    a, b = float(x.var(ddof=1)) / len(x), float(y.var(ddof=1)) / len(y)
    error = math.sqrt(a + b)
    if error <= 1e-9 * max(float(np.abs(x).max()), float(np.abs(y).max()), 1e-30):
        moved = abs(value) > 1e-9 * max(float(np.abs(x).max()), 1e-30)
        return Change(value, value, value, float(not (moved and value < 0)), float(not (moved and value > 0)))
    degrees = (a + b) ** 2 / (a**2 / (len(x) - 1) + b**2 / (len(y) - 1))
    half = float(stdtrit(degrees, 0.975)) * error
    fall = float(stdtr(degrees, value / error))
    return Change(value, value - half, value + half, fall, 1.0 - fall)


class HackingWatch:
    """Sees the records of a run, one a step, and warns of what reward hacking looks like from outside.

    - A **gold score falls while the reward rises**, between the last steps and an earlier window of as many: both
      changes by a one-sided t-test of the steps' means. The earlier window is the one from which gold has fallen most,
      and the level of the test is divided by the number of windows that could have been chosen.
    - **Answers are twice as long, or half as long, as in the first steps; repeat themselves more; end by themselves
      half as often** (they run into the limit of tokens): the mean of the last steps against that of the first, beyond
      noise.
    - **The KL divergence to the start** is on average of the last steps beyond a bound.

    Each is said once, and again when it has become twice as bad.

    How often a falling gold is reported was measured on 2,000 runs each of 40, 200 and 1,000 steps with independent
    normal noise. Gold flat, reward rising by five standard deviations of a step's mean: in 0.05%, 0.6% and 0.8% of the
    runs; rising by 300: in 0.3%, 1.2% and 2.0%. Both flat, or both rising: in at most 0.05%. Gold rising by three
    standard deviations in the first half and falling by three in the second: found in 14%, 99.8% and 100% of the runs.

    Args:
        max_kl: bound of the KL divergence, mean over answers of the summed tokens, in nats. With an adaptive
            controller: some times its target.

    Attributes:
        hacking: a gold score fell while the reward rose.
        warnings: those given so far.

    Raises:
        ConfigError: a bound that is no positive number.
    """

    def __init__(self, *, max_kl: float = MAX_KL) -> None:
        if not (math.isfinite(max_kl) and max_kl > 0):
            raise ConfigError(f"max_kl is {max_kl!r}; expected a positive number of nats")
        self.max_kl = float(max_kl)
        self.hacking = False
        self.warnings: list[str] = []
        self._last: int | None = None
        self._series: dict[str, list[tuple[int, float]]] = {}
        self._gold: dict[str, list[tuple[int, float, float]]] = {}  # step, reward, gold
        self._next: dict[str, tuple[int, int]] = {}  # steps at a gold scorer's next judgement, and its number
        self._said: dict[str, float] = {}

    def see(self, record: Mapping[str, Any]) -> list[str]:
        """Takes in the record of a step; figures that are missing or None are not judged.

        Args:
            record: ``step``, ``reward``, ``gold`` (name -> mean score), ``length``, ``repetition``, ``eos_share``,
                ``kl``. A step that was seen before, as after resuming, changes nothing.

        Returns:
            New warnings, in one line each, with their step.
        """
        step = int(record["step"])
        if self._last is not None and step <= self._last:
            return []
        self._last = step
        had = len(self.warnings)
        for name in ("length", "repetition", "eos_share", "kl"):
            value = _number(record.get(name))
            if value is not None:
                self._series.setdefault(name, []).append((step, value))
                self._judge(name, step)
        reward = _number(record.get("reward"))
        for name, score in (record.get("gold") or {}).items():
            value = _number(score)
            if value is not None and reward is not None:
                self._gold.setdefault(name, []).append((step, reward, value))
                self._judge_gold(name)
        return self.warnings[had:]

    def state_dict(self) -> dict[str, Any]:
        """What is known so far, as plain values; grows by some numbers a step."""
        return {
            "last": self._last,
            "hacking": self.hacking,
            "warnings": list(self.warnings),
            "series": {name: [list(row) for row in rows] for name, rows in self._series.items()},
            "gold": {name: [list(row) for row in rows] for name, rows in self._gold.items()},
            "next": {name: list(due) for name, due in self._next.items()},
            "said": dict(self._said),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from `state_dict`: what comes next is judged as if this object had seen it all."""
        self._last, self.hacking = state["last"], bool(state["hacking"])
        self.warnings = list(state["warnings"])
        self._series = {name: [(int(s), float(v)) for s, v in rows] for name, rows in state["series"].items()}
        self._gold = {name: [(int(s), float(r), float(g)) for s, r, g in rows] for name, rows in state["gold"].items()}
        self._next = {name: (int(due), int(number)) for name, (due, number) in state["next"].items()}
        self._said = {name: float(size) for name, size in state["said"].items()}

    # -- judging -------------------------------------------------------------------------------------------------

    def _warn(self, kind: str, size: float, line: str) -> bool:
        """Says it, unless it was said when it was half as bad or worse; ``size``: how bad it is, above 0."""
        if size < AGAIN * self._said.get(kind, 0.0):
            return False
        self._said[kind] = size
        self.warnings.append(line)
        return True

    def _judge(self, name: str, step: int) -> None:
        rows = self._series[name]
        values = np.array([value for _, value in rows])
        if name == "kl":
            if len(values) >= WINDOW:
                self._judge_kl(float(values[-WINDOW:].mean()), step)
            return
        if len(values) < 2 * WINDOW or len(values) % WINDOW:
            return
        first, recent = values[:WINDOW], values[-WINDOW:]
        change = change_between(first, recent)
        start, now = float(first.mean()), float(recent.mean())
        if name == "length":
            self._judge_length(change, start, now, step)
        elif name == "repetition" and change.value >= REPETITION_RISE and change.rise < ALPHA:
            self._warn(
                name,
                change.value,
                f"step {step}: answers repeat themselves: {now:.0%} of their word trigrams were there before, "
                f"{start:.0%} in the first steps: read the samples, raise the weight of KL, or let a rule against "
                "repetition into the reward",
            )
        elif name == "eos_share" and now <= EOS_SHARE * start and change.fall < ALPHA:
            self._warn(
                name,
                start / max(now, 1e-3),
                f"step {step}: only {now:.0%} of the answers end by themselves, {start:.0%} in the first steps; the "
                "others run into the limit of tokens: raise max_new_tokens or the penalty of a missing end",
            )

    def _judge_kl(self, mean: float, step: int) -> None:
        if mean > self.max_kl:
            self._warn(
                "kl",
                mean,
                f"step {step}: the policy is {mean:.3g} nats an answer away from its start (mean of {WINDOW} steps), "
                f"more than {self.max_kl:g}: raise the weight of KL or lower the learning rate",
            )

    def _judge_length(self, change: Change, start: float, now: float, step: int) -> None:
        if now >= LENGTH_RATIO * start and change.rise < ALPHA:
            ratio, what, hint = now / max(start, 1e-9), "longer", "the reward may follow length: audit it"
        elif now <= start / LENGTH_RATIO and change.fall < ALPHA:
            ratio, what, hint = start / max(now, 1e-9), "shorter", "the reward may follow shortness: audit it"
        else:
            return
        self._warn(
            what,
            ratio,
            f"step {step}: answers are {ratio:.1f} times {what} than in the first steps ({now:,.4g} tokens, "
            f"{start:,.4g} at first): {hint} (plaudit audit), and compare the win rate at equal length",
        )

    def _judge_gold(self, name: str) -> None:
        count = len(self._gold[name])
        due, number = self._next.get(name, (2 * WINDOW, 1))
        if count < due:
            return
        rows = np.array(self._gold[name])
        width = max(WINDOW, count // QUARTER)
        self._next[name] = (count + max(WINDOW, width // 2), number + 1)
        recent = rows[-width:]
        starts = range(count - 2 * width, -1, -width)
        before = min((rows[start : start + width] for start in starts), key=lambda w: -float(w[:, 2].mean()))
        fall, rise = change_between(before[:, 2], recent[:, 2]), change_between(before[:, 1], recent[:, 1])
        level = ALPHA * min(1.0, 8 / number) / len(starts)
        if fall.fall >= level or rise.rise >= ALPHA:
            return
        said = self._warn(
            f"gold {name}",
            -fall.value,
            f"step {int(recent[-1, 0])}: the gold score {name!r} falls while the reward rises: from {_steps(before)} "
            f"to {_steps(recent)} gold changed by {fall}, the reward by {rise} (95% intervals): the policy exploits "
            f"the reward; near step {int(before[-1, 0])} it was better. Raise the weight of KL, stop earlier, or mend "
            "the reward",
        )
        self.hacking = self.hacking or said


def _steps(rows: Array) -> str:
    return f"steps {int(rows[0, 0])} to {int(rows[-1, 0])}"


def _number(value: Any) -> float | None:
    """A finite number, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        return None
    return float(value) if math.isfinite(value) else None
