"""The final policy against the one it started as: on the same prompts, under every scorer.

Knows texts and scorers; how answers are sampled is not its business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.errors import ConfigError
from plaudit.metrics.intervals import Interval, bootstrap_accuracy
from plaudit.metrics.length import length_controlled_accuracy
from plaudit.rl.rewards import Rewards
from plaudit.types import Prompt, Scorer, prompt_group

__all__ = ["ScorerWins", "WinRates", "win_rates"]

Array = npt.NDArray[np.float64]

FEW_PROMPTS = 20
"""With fewer, an interval of the bootstrap is too narrow to be trusted."""


@dataclass(frozen=True)
class ScorerWins:
    """What one scorer says.

    Attributes:
        win_rate: share of the pairs that the final policy wins, a tie counts half; 0.5: no difference.
        length_controlled: the same at equal length (see `plaudit.metrics.length.length_controlled_accuracy`); pairs
            with an empty answer are left out there. None where no two lengths differ.
        change: mean score of the final answers minus that of the starting ones, by prompt; empty answers, which have no
            score, are left out. None where no prompt has an answer on both sides.
        start, final: mean scores of all answers that are not empty; None where there are none.
        ties: share of the pairs with equal scores.
    """

    win_rate: Interval
    length_controlled: Interval | None
    change: Interval | None
    start: float | None
    final: float | None
    ties: float


@dataclass(frozen=True)
class WinRates:
    """The final policy against the start. All intervals are 95%, of the bootstrap by prompt.

    Attributes:
        prompts, pairs: how many.
        scorers: by name.
        longer: share of the pairs in which the final answer is the longer one, a tie counts half.
        length_start, length_final: mean lengths.
        length_change: their difference, by prompt.
        unit: of lengths.
        identical: share of the pairs whose two texts are the same.
        empty_start, empty_final: shares of the answers that are empty; such a one loses against any other.
    """

    prompts: int
    pairs: int
    scorers: dict[str, ScorerWins]
    longer: Interval
    length_start: float
    length_final: float
    length_change: Interval
    unit: str
    identical: float
    empty_start: float
    empty_final: float

    @property
    def caution(self) -> str | None:
        """What a reader must know before trusting the intervals, or None."""
        return f"only {self.prompts} prompts: the intervals are too narrow" if self.prompts < FEW_PROMPTS else None

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self) | {"caution": self.caution}

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Name, win rate, win rate at equal length, change of the score: a table of texts."""
        rows = [
            (name, _share(own.win_rate), _share(own.length_controlled), _signed(own.change))
            for name, own in self.scorers.items()
        ]
        return [*rows, ("longer", _share(self.longer), "–", _signed(self.length_change))]

    def lines(self) -> list[str]:
        """For the terminal: a table without frame, and what else there is to know."""
        heads = ("", "win rate [95%]", "at equal length", "change")
        rows = [heads, *self.rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        widths[0] = min(widths[0], max(8, 80 - 6 - sum(widths[1:])))
        counts = f"{self.prompts:,} prompts, {self.pairs:,} pairs"
        lines = [f"final policy against the start: {counts}, lengths in {self.unit}"]
        for row in rows:
            name = row[0] if len(row[0]) <= widths[0] else row[0][: widths[0] - 1] + "…"
            cells = (name, *row[1:])
            lines.append("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())
        if self.identical:
            lines.append(f"{self.identical:.1%} of the pairs are identical texts")
        if self.empty_start or self.empty_final:
            lines.append(f"empty answers: {self.empty_start:.1%} at the start, {self.empty_final:.1%} in the end")
        return [*lines, *([f"caution: {self.caution}"] if self.caution else [])]


def win_rates(
    prompts: Sequence[Prompt],
    start: Sequence[str] | Sequence[Sequence[str]],
    final: Sequence[str] | Sequence[Sequence[str]],
    scorers: Mapping[str, Scorer],
    *,
    references: Sequence[str | None] | None = None,
    length: Callable[[str], int] = len,
    unit: str = "characters",
) -> WinRates:
    """Compares the answers of two policies to the same prompts.

    Each answer is scored once; within a prompt every final answer is compared with every starting one.

    Args:
        prompts: P >= 1 prompts, held out from training.
        start, final: for each prompt an answer, or a list of K >= 1 answers; K may differ.
        scorers: the reward and the gold scorers, by name.
        references: P reference answers, for scorers that compare with one.
        length: of a text, in ``unit``.
        unit: what lengths are counted in.

    Raises:
        ConfigError: lists of unequal length, a prompt without answers, or no prompts.
        ScoreError: a scorer gives something else than finite numbers.
    """
    answers = [_checked(prompts, side, name) for side, name in ((start, "start"), (final, "final"))]
    if references is not None and len(references) != len(prompts):
        raise ConfigError(f"{len(references)} references for {len(prompts)} prompts; give one for each")
    pairs = _Pairs(prompts, answers[0], answers[1], references, length)
    texts = [[text for each in side for text in each] for side in answers]
    empty = [float(np.mean([not text.strip() for text in side])) for side in texts]
    lengths = [float(np.mean([length(text) for text in side])) for side in texts]
    return WinRates(
        prompts=len(prompts),
        pairs=len(pairs.gaps),
        scorers={name: pairs.judged(scorer) for name, scorer in scorers.items()},
        longer=pairs.mean(_wins(pairs.gaps)),
        length_start=lengths[0],
        length_final=lengths[1],
        length_change=pairs.mean(pairs.gaps),
        unit=unit,
        identical=float(np.mean(pairs.identical)),
        empty_start=empty[0],
        empty_final=empty[1],
    )


class _Pairs:
    """All pairs of a final and a starting answer to one prompt, M of them."""

    def __init__(
        self,
        prompts: Sequence[Prompt],
        start: list[list[str]],
        final: list[list[str]],
        references: Sequence[str | None] | None,
        length: Callable[[str], int],
    ) -> None:
        owners = [p for p, (a, b) in enumerate(zip(start, final, strict=True)) for _ in (*a, *b)]
        self.texts = [text for a, b in zip(start, final, strict=True) for text in (*a, *b)]
        self.prompts = [prompts[p] for p in owners]
        self.references = None if references is None else [references[p] for p in owners]
        self.groups = [prompt_group(prompt) for prompt in prompts]
        self.full = np.array([bool(text.strip()) for text in self.texts])
        places: list[tuple[int, int, int]] = []
        first = 0
        for p, (a, b) in enumerate(zip(start, final, strict=True)):
            places += [(p, first + i, first + len(a) + j) for j in range(len(b)) for i in range(len(a))]
            first += len(a) + len(b)
        self.owner, self.start, self.final = np.array(places).T
        sizes = np.array([length(text) for text in self.texts], dtype=np.float64)
        self.gaps: Array = sizes[self.final] - sizes[self.start]
        self.identical = [self.texts[a] == self.texts[b] for _, a, b in places]

    def mean(self, values: Array) -> Interval:
        """The mean over prompts of their pairs' means; NaN: a pair that has no value."""
        known = np.isfinite(values)
        count = np.bincount(self.owner[known], minlength=len(self.groups))
        total = np.bincount(self.owner[known], weights=values[known], minlength=len(self.groups))
        asked = np.flatnonzero(count)
        return bootstrap_accuracy(total[asked] / count[asked], [self.groups[p] for p in asked])

    def judged(self, scorer: Scorer) -> ScorerWins:
        """What a scorer says of all of them."""
        scores = np.full(len(self.texts), np.nan)
        asked = np.flatnonzero(self.full)
        if len(asked):
            known = None if self.references is None else [self.references[i] for i in asked]
            found = Rewards(scorer).score([self.prompts[i] for i in asked], [self.texts[i] for i in asked], known)
            scores[asked] = found.total
        margins = scores[self.final] - scores[self.start]
        full_start, full_final = self.full[self.start], self.full[self.final]
        both = full_start & full_final
        wins = np.where(both, _wins(margins), _wins(full_final.astype(np.float64) - full_start))
        sides = [np.unique(side[self.full[side]]) for side in (self.start, self.final)]
        means = [float(scores[side].mean()) if len(side) else None for side in sides]
        return ScorerWins(
            win_rate=self.mean(wins),
            length_controlled=self._length_controlled(wins, both),
            change=self.mean(margins) if both.any() else None,
            start=means[0],
            final=means[1],
            ties=float(np.mean(wins == 0.5)),
        )

    def _length_controlled(self, wins: Array, both: npt.NDArray[np.bool_]) -> Interval | None:
        """Every pair counts twice, a tie once as won and once as lost."""
        gaps = self.gaps[both]
        if not gaps.any():
            return None
        groups = [self.groups[p] for p in self.owner[both]]
        margins = np.concatenate([wins[both] - 0.25, wins[both] - 0.75])
        return length_controlled_accuracy(margins, np.concatenate([gaps, gaps]), groups * 2)


def _wins(margins: Array) -> Array:
    """1 where above 0, 0.5 where 0, else 0; NaN stays."""
    return np.where(np.isnan(margins), np.nan, (np.sign(margins) + 1) / 2)


def _checked(prompts: Sequence[Prompt], answers: Sequence[str] | Sequence[Sequence[str]], name: str) -> list[list[str]]:
    if not len(prompts):
        raise ConfigError("there are no prompts to compare the policies on; give at least one")
    if isinstance(prompts, str) or isinstance(answers, str) or len(prompts) != len(answers):
        raise ConfigError(f"{name}: expected answers to {len(prompts)} prompts, got {len(answers)}")
    found = [[each] if isinstance(each, str) else list(each) for each in answers]
    for place, each in enumerate(found):
        if not each:
            raise ConfigError(f"{name}: prompt {place} has no answers; give at least one")
    return found


def _share(interval: Interval | None) -> str:
    return "–" if interval is None else f"{interval.value:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _signed(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    return f"{interval.value:+.3g} [{interval.low:+.3g}, {interval.high:+.3g}]"
