"""What the judgements of a queue say about the annotators: how many, how far they agree, whether they prefer a side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from plaudit.curation.label.agreement import cohen_kappa, krippendorff_alpha, raw_agreement, shared_labels
from plaudit.curation.label.queue import Queue
from plaudit.curation.label.store import Judgement, default_database, read_judgements
from plaudit.metrics import Interval, binomial_interval

__all__ = ["AnnotatorFigures", "LabelReport", "PairFigures", "label_report", "verdicts_by_row"]


@dataclass(frozen=True)
class AnnotatorFigures:
    """One annotator, or all together.

    Attributes:
        judged: rows judged.
        ties: of them, ties.
        skipped: rows skipped and not judged since.
        undone: judgements and skips taken back.
        left: share of left choices among those that are no ties, with its exact 95% interval: 0.5 is no preference
            for a side. None where every judgement is a tie.
    """

    judged: int
    ties: int
    skipped: int
    undone: int
    left: Interval | None


@dataclass(frozen=True)
class PairFigures:
    """Two annotators on the rows that both have judged.

    Attributes:
        first, second: their names.
        rows: how many both have judged.
        agreement: share of equal verdicts.
        kappa: Cohen's; None where it is undefined.
    """

    first: str
    second: str
    rows: int
    agreement: float
    kappa: float | None


@dataclass(frozen=True)
class LabelReport:
    """Figures of a queue's judgements; verdicts are a, b and tie, whatever side a response was shown on.

    Attributes:
        rows: rows of the queue.
        bad: rows that were skipped because they cannot be judged.
        judged: rows with a judgement.
        shared: rows with judgements of two annotators or more.
        judgements: how many stand.
        agreement: share of equal verdicts among all pairs of judgements of one row; None: no row is shared.
        alpha: Krippendorff's; None where it is undefined.
        pairs: every two annotators that share rows, with Cohen's kappa.
        annotators: figures by name.
        everyone: those of all together.
    """

    rows: int
    bad: int
    judged: int
    shared: int
    judgements: int
    agreement: float | None
    alpha: float | None
    pairs: list[PairFigures]
    annotators: dict[str, AnnotatorFigures]
    everyone: AnnotatorFigures

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)


def label_report(queue: str | Path | Queue, database: str | Path | None = None) -> LabelReport:
    """Agreement and position bias of the judgements so far; also while someone labels.

    Args:
        queue: the file that was labelled; a `Queue` where it was read with options.
        database: of the judgements; None: the one beside the queue.

    Raises:
        DataError, ConfigError, OutputError: as `plaudit.curation.label.store.read_judgements`.
    """
    queue = queue if isinstance(queue, Queue) else Queue(queue)
    history = read_judgements(default_database(queue.path) if database is None else database, queue)
    by_row = verdicts_by_row(history)
    units = list(by_row.values())
    pairs = []
    for (first, second), (ours, theirs) in shared_labels(units).items():
        agreement = sum(a == b for a, b in zip(ours, theirs, strict=True)) / len(ours)
        pairs.append(PairFigures(first, second, len(ours), agreement, cohen_kappa(ours, theirs)))
    names = sorted({entry.annotator for entry in history})
    return LabelReport(
        rows=queue.rows,
        bad=queue.bad,
        judged=len(units),
        shared=sum(len(labels) > 1 for labels in units),
        judgements=sum(map(len, units)),
        agreement=raw_agreement(units),
        alpha=krippendorff_alpha(units),
        pairs=pairs,
        annotators={name: _figures(e for e in history if e.annotator == name) for name in names},
        everyone=_figures(history),
    )


def verdicts_by_row(history: Iterable[Judgement]) -> dict[int, dict[str, str]]:
    """For each judged row: annotator -> ``a``, ``b`` or ``tie``; without skips and what was taken back."""
    rows: dict[int, dict[str, str]] = {}
    for entry in history:
        if entry.undone is None and entry.verdict != "skip":
            rows.setdefault(entry.row, {})[entry.annotator] = entry.verdict
    return dict(sorted(rows.items()))


def _figures(entries: Iterable[Judgement]) -> AnnotatorFigures:
    entries = list(entries)
    standing = [entry for entry in entries if entry.undone is None]
    judged = [entry for entry in standing if entry.verdict != "skip"]
    sided = [entry for entry in judged if entry.verdict != "tie"]
    seen = {(entry.annotator, entry.row) for entry in judged}
    return AnnotatorFigures(
        judged=len(judged),
        ties=len(judged) - len(sided),
        skipped=len({(entry.annotator, entry.row) for entry in standing} - seen),
        undone=len(entries) - len(standing),
        left=binomial_interval(sum(e.verdict == e.left for e in sided), len(sided)) if sided else None,
    )
