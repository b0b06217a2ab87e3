"""Judgements -> preference pairs: the queue's rows with ``chosen``, ``rejected`` and how sure the annotators are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from plaudit.curation.label.queue import Queue, QueueRow
from plaudit.curation.label.report import verdicts_by_row
from plaudit.curation.label.store import default_database, read_judgements
from plaudit.data.write import RowWriter
from plaudit.errors import ConfigError, DataError

__all__ = ["Aggregate", "ExportCounts", "Ties", "export_labels", "share_of_a"]

Ties: TypeAlias = Literal["keep", "drop"]
Aggregate: TypeAlias = Literal["soft", "majority"]


@dataclass
class ExportCounts:
    """What became of the queue's rows: ``rows = written + ties_dropped + unjudged``.

    Attributes:
        rows: good rows of the queue.
        written: pairs written.
        ties: of them, those with ``soft_label`` 0.5.
        ties_dropped: rows left out because neither side is preferred.
        unjudged: rows left out because nobody has judged them.
        bad: rows that were skipped because they cannot be judged.
    """

    rows: int = 0
    written: int = 0
    ties: int = 0
    ties_dropped: int = 0
    unjudged: int = 0
    bad: int = 0

    def to_dict(self) -> dict[str, int]:
        """All fields, ready for JSON."""
        return asdict(self)


def export_labels(
    queue: str | Path | Queue,
    output: str | Path,
    database: str | Path | None = None,
    *,
    ties: Ties = "keep",
    aggregate: Aggregate = "soft",
    overwrite: bool = False,
) -> ExportCounts:
    """Writes the judged rows as preference pairs, in the queue's order.

    A row keeps its columns and gets ``chosen``, ``rejected``, ``soft_label`` (the probability that chosen is preferred,
    in [0.5, 1]) and ``annotators`` (how many judged it). A ``margin`` of the queue belongs to the label that it came
    with and would be read as one of the new label: it becomes ``queue_margin``. Where neither side is preferred the
    first response is called chosen, with ``soft_label`` 0.5.

    Args:
        queue: the file that was labelled; a `Queue` where it was read with options.
        output: JSON, JSON Lines, CSV or Parquet, by suffix.
        database: of the judgements; None: the one beside the queue.
        ties: rows of which neither side is preferred: ``"keep"`` or ``"drop"``.
        aggregate: ``"soft"``: ``soft_label`` is the share of annotators that preferred chosen, a tie counting half for
            each side. ``"majority"``: the commonest verdict alone, 1.0 or, for a tie or equally common ones, 0.5.
        overwrite: replace a file that is there.

    Raises:
        DataError: no pair is left to write; and as `plaudit.curation.label.store.read_judgements`.
        OutputError: the output is there already, or cannot be written.
    """
    for name, value, known in (("ties", ties, ("keep", "drop")), ("aggregate", aggregate, ("soft", "majority"))):
        if value not in known:
            raise ConfigError(f"{name} is {value!r}; expected {known[0]!r} or {known[1]!r}")
    queue = queue if isinstance(queue, Queue) else Queue(queue)
    database = default_database(queue.path) if database is None else database
    writer = RowWriter(output, overwrite=overwrite, sources=(queue.path, database))
    by_row = verdicts_by_row(read_judgements(database, queue))
    counts = ExportCounts()
    with writer:
        for item in queue:
            verdicts = by_row.get(item.number, {}).values()
            share = share_of_a(verdicts, aggregate) if verdicts else None
            if share is None:
                counts.unjudged += 1
            elif share == 0.5 and ties == "drop":
                counts.ties_dropped += 1
            else:
                counts.ties += share == 0.5
                writer.write(_pair(item, share, len(verdicts)))
        counts.rows, counts.bad, counts.written = queue.rows, queue.bad, writer.count
        if not counts.written:
            raise DataError(
                f"no pair to write: of {counts.rows:,} rows {counts.unjudged:,} are not judged yet and "
                f"{counts.ties_dropped:,} are ties, which were to be dropped"
            )
    return counts


def share_of_a(verdicts: Iterable[str], aggregate: Aggregate) -> float:
    """The probability, in [0, 1], that response a is preferred; see `export_labels`."""
    votes = Counter(verdicts)
    if aggregate == "soft":
        return (votes["a"] + votes["tie"] / 2) / votes.total()
    (best, most), *others = votes.most_common()
    if best == "tie" or (others and others[0][1] == most):
        return 0.5
    return 1.0 if best == "a" else 0.0


def _pair(item: QueueRow, share: float, annotators: int) -> dict[str, Any]:
    a, b = item.sides
    chosen, rejected = (a, b) if share >= 0.5 else (b, a)
    kept = {"queue_margin" if name == "margin" else name: value for name, value in item.row.items()}
    label = {"soft_label": max(share, 1 - share), "annotators": annotators}
    return {**kept, "chosen": chosen, "rejected": rejected, **label}
