"""How far one gets without reading: longer wins, markdown wins, first wins, and a linear model on words and word pairs.

What these reach is the bar: a reward model that is no better may have learnt nothing else. Ties count for nobody.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.data.split import hash_share
from plaudit.metrics import Interval, bootstrap_accuracy
from plaudit.types import Example

__all__ = ["MARKS", "LengthBin", "Shortcut", "length_bins", "markdown_marks", "ngram_shortcut", "position_of", "rule"]

MARKS = ("list", "bold", "code", "header")
FOLDS = 5
_BOOTSTRAP_GROUPS = 20_000
_LIST = re.compile(r"^[ \t]*(?:[-*+•]|\d{1,2}[.)])[ \t]+\S", re.MULTILINE)
_BOLD = re.compile(r"\*\*[^*\s][^*\n]*\*\*|__[^_\s][^_\n]*__")
_HEADER = re.compile(r"^#{1,6} \S", re.MULTILINE)
_FIRST = {"a", "first", "left", "model_a", "response_a"}
_SECOND = {"b", "second", "right", "model_b", "response_b"}
_POSITIONS = ("chosen_position", "position", "winner")


@dataclass(frozen=True)
class Shortcut:
    """A rule and how often it is right.

    Attributes:
        name: of the rule.
        accuracy: share of the decided pairs where it is right, with a 95% interval by prompt.
        decided: pairs that it decides; the others look alike to it.
        pairs: pairs that were asked.
        note: how it was measured.
    """

    name: str
    accuracy: Interval
    decided: int
    pairs: int
    note: str = ""


@dataclass(frozen=True)
class LengthBin:
    """Pairs whose lengths differ by ``low`` to ``high`` characters: how many, and how often the longer side wins."""

    low: int
    high: int
    pairs: int
    longer_wins: float


def markdown_marks(text: str) -> int:
    """Which of `MARKS` a text has, one bit each: a list of two items or more, bold, code, a header."""
    marks = 0
    if "\n" in text and _has_two(_LIST, text):
        marks |= 1
    if ("**" in text or "__" in text) and _BOLD.search(text):
        marks |= 2
    if "`" in text and ("```" in text or text.count("`") >= 2):
        marks |= 4
    if "#" in text and _HEADER.search(text):
        marks |= 8
    return marks


def _has_two(pattern: re.Pattern[str], text: str) -> bool:
    found = pattern.finditer(text)
    return next(found, None) is not None and next(found, None) is not None


def position_of(row: Mapping[str, Any]) -> int:
    """Where the preferred response stood when it was judged: 1 first, 2 second, 0 not said.

    Read from the columns ``chosen_position``, ``position`` or ``winner``: a, first, left, model_a, response_a and their
    counterparts. Numbers are not read: some count from 0, some from 1.
    """
    for name in _POSITIONS:
        value = row.get(name)
        if isinstance(value, str):
            said = value.strip().lower()
            if said in _FIRST or said in _SECOND:
                return 1 if said in _FIRST else 2
    return 0


def rule(name: str, gaps: npt.NDArray[Any], groups: npt.NDArray[np.uint64], note: str = "") -> Shortcut | None:
    """A rule that prefers the side with more of something; None where it decides nothing.

    Args:
        name: of the rule.
        gaps: (M,) what the preferred side has more, negative where it has less; 0 is undecided.
        groups: (M,) keys of the prompts.
        note: how it was measured.
    """
    decided = gaps != 0
    if not decided.any():
        return None
    return Shortcut(name, interval(gaps[decided] > 0, groups[decided]), int(decided.sum()), len(gaps), note)


def interval(correct: npt.NDArray[Any], groups: npt.NDArray[np.uint64]) -> Interval:
    """The mean with a 95% interval that knows that pairs of one prompt hang together.

    Up to 20,000 prompts: the bootstrap by prompt (`plaudit.metrics.bootstrap_accuracy`). Beyond that the normal
    approximation with the cluster-robust variance of a ratio, sum over prompts of (s - n p)^2 / N^2 (Cochran 1977,
    section 9A.5), which needs no draws.
    """
    values = correct.astype(np.float64)
    _, inverse = np.unique(groups, return_inverse=True)
    if inverse.max() < _BOOTSTRAP_GROUPS:
        return bootstrap_accuracy(values, inverse.astype(str).tolist())
    mean = float(values.mean())
    sums, counts = np.bincount(inverse, weights=values), np.bincount(inverse)
    error = 1.96 * float(np.sqrt(((sums - counts * mean) ** 2).sum())) / len(values)
    return Interval(mean, max(mean - error, 0.0), min(mean + error, 1.0))


def length_bins(gaps: npt.NDArray[np.int64], count: int = 10) -> list[LengthBin]:
    """How often the longer side wins, by tenths of the pairs, from those of the most similar lengths on.

    Args:
        gaps: (M,) characters of the preferred side minus those of the other.
        count: of the bins.
    """
    gaps = gaps[gaps != 0]
    if not len(gaps):
        return []
    sizes = np.abs(gaps)
    edges = np.unique(np.quantile(sizes, np.linspace(0, 1, count + 1), method="lower"))
    edges[-1] += 1
    if len(edges) < 2:
        edges = np.array([sizes[0], sizes[0] + 1])
    bins = []
    for low, high in itertools.pairwise(edges.tolist()):
        inside = (sizes >= low) & (sizes < high)
        if inside.any():
            bins.append(LengthBin(int(low), int(high) - 1, int(inside.sum()), float((gaps[inside] > 0).mean())))
    return bins


def ngram_shortcut(
    examples: Sequence[Example], groups: npt.NDArray[np.uint64], progress: Callable[[int], None] | None = None
) -> Shortcut | None:
    """Accuracy of `plaudit.evaluation.baselines.NgramModel` on pairs whose prompt it has not seen, in five folds.

    Args:
        examples: M pairs with a preference and two different, non-empty sides.
        groups: (M,) keys of their prompts; a prompt is in one fold only (`plaudit.data.split.hash_share`).
        progress: called with the number of pairs done since the last call.

    Returns:
        None where the pairs have one prompt only, or are fewer than 20: nothing could be held out.
    """
    from plaudit.evaluation.baselines import NgramModel, preferred_first

    folds = np.array([int(hash_share(f"{group:016x}") * FOLDS) for group in groups.tolist()])
    if len(examples) < 20 or len(np.unique(folds)) < 2:
        return None
    margins = np.zeros(len(examples))
    for fold in np.unique(folds):
        held_out = np.flatnonzero(folds == fold).tolist()
        model = NgramModel().fit([examples[place] for place in np.flatnonzero(folds != fold).tolist()])
        sides = [preferred_first(examples[place]) for place in held_out]
        blank = [None] * len(sides)
        margins[held_out] = model.score(blank, [best for best, _ in sides]) - model.score(
            blank, [worst for _, worst in sides]
        )
        if progress is not None:
            progress(len(held_out))
    correct = np.where(margins > 0, 1.0, np.where(margins < 0, 0.0, 0.5))
    note = f"on {len(examples):,} pairs"
    return Shortcut("word pairs (linear)", interval(correct, groups), len(examples), len(examples), note)
