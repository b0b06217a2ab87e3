"""More pairs from the pairs there are: replies of other prompts as rejected, ties of two of them, other wordings.

Liu et al. 2024, "RRM: Robust Reward Model Training Mitigates Reward Hacking" (arXiv:2409.13156), section 3: a reward
model that only ever sees two replies to their own prompt can learn what replies look like (their length, their format)
instead of what answers the prompt. With a pair (x, y_w, y_l) and a pair (u, v_w, v_l) of another prompt:

    non-contextual    under x, y_w is preferred to v_w, and to v_l: only y_w answers the prompt
    tie               under x, neither of v_w and v_l answers the prompt, so neither is preferred (soft label 0.5)

Knows rows and examples, no models.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plaudit.data.columns import Columns
from plaudit.data.examine import OnBadRow
from plaudit.data.foreign import ForeignPool
from plaudit.data.paraphrases import Paraphrases, rewritten
from plaudit.data.passes import Passes, Row, RowReport, Rows
from plaudit.data.rows import to_example
from plaudit.data.sample import Draw
from plaudit.data.write import RowWriter
from plaudit.errors import ConfigError, DataError, RowError
from plaudit.types import Example, prompt_group

__all__ = ["AugmentReport", "augment_preferences"]

MARK = "augmented:"
GROUP = "group"
TABLES = (".csv", ".tsv", ".parquet", ".csv.gz")


@dataclass
class AugmentReport(RowReport):
    """What was added.

    Attributes:
        original: rows copied.
        over_preferred: pairs in which the row's preferred reply beats the preferred reply to another prompt.
        over_rejected: pairs in which it beats the rejected reply to another prompt.
        ties: pairs of two replies to another prompt.
        paraphrases: rows with another wording of their prompt.
        same_wording: paraphrases that say the prompt itself, up to case and white space: not added.
        unused_ids: ids of paraphrases that no row has.
        no_reply: pairs and ties not made, since no reply of the pool fitted (another prompt, other words).
        group_column: the column added to every row so that a split keeps a prompt and its paraphrases together.
    """

    original: int = 0
    over_preferred: int = 0
    over_rejected: int = 0
    ties: int = 0
    paraphrases: int = 0
    same_wording: int = 0
    unused_ids: int = 0
    no_reply: int = 0
    group_column: str | None = None

    @property
    def added(self) -> int:
        """Rows that are new."""
        return self.over_preferred + self.over_rejected + self.ties + self.paraphrases

    def lines(self) -> list[str]:
        """The counts in words."""
        counts = [
            (self.original, "rows as they were, first"),
            (self.over_preferred, "added: the preferred reply of another prompt as rejected"),
            (self.over_rejected, "added: the rejected reply of another prompt as rejected"),
            (self.ties, "added: a tie of two replies of another prompt"),
            (self.paraphrases, "added: another wording of the prompt"),
            (self.same_wording, "paraphrases not added: they say the prompt itself"),
            (self.unused_ids, "ids of paraphrases that no row has"),
            (self.no_reply, "not made: no reply of a prompt that is different enough"),
        ]
        lines = [*super().lines(), *(f"{count:,} {what}" for count, what in counts if count)]
        if self.group_column:
            lines.append(
                f"the column {self.group_column!r} holds a prompt and its paraphrases together: "
                f"split and train with --group-by {self.group_column}"
            )
        return lines


@dataclass
class _Making:
    """What a run adds, and with what."""

    columns: Columns
    pool: ForeignPool
    report: AugmentReport
    paraphrases: Paraphrases | None
    keep: tuple[str, ...]
    rng: random.Random
    non_contextual: _Quota
    ties: _Quota


class _Quota:
    """``rate`` things a row over ``rows`` rows: each its whole part, and as many rows one more as the rest says."""

    def __init__(self, rate: float, rows: int, seed: str) -> None:
        self._each = math.floor(rate)
        self._more = Draw(round((rate - self._each) * rows), rows, random.Random(seed))

    def __call__(self) -> int:
        return self._each + self._more()


def augment_preferences(
    source: Rows,
    output: str | Path,
    *,
    non_contextual: float = 0.0,
    ties: float = 0.0,
    paraphrases: str | Path | None = None,
    id_column: str = "prompt_id",
    pool: int = 10_000,
    columns: Columns | None = None,
    seed: int = 0,
    split: str | None = None,
    on_bad_row: OnBadRow = "error",
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> AugmentReport:
    """Writes the pairs as they are, then new ones made of them; see the module for what these are.

    Non-contextual pairs take the other prompt's preferred or rejected reply, each half of the time. Replies come from a
    pool drawn uniformly from the data, in turn. A prompt whose words are nearly the same (Jaccard index from 0.8) is no
    other prompt. New rows say what they are in the column ``source`` (``augmented:non-contextual``,
    ``augmented:tie``, ``augmented:paraphrase``); of the other columns, pairs and ties keep those that belong to the
    prompt (system message, tools, ``group_by``, ``id_column``), paraphrases keep all. In tables (CSV, Parquet) the old
    rows get the new columns too: an empty source, and a soft label of 1.

    Split first and augment the training part: a reply that was moved is in two prompts' rows.

    The source is read twice. In memory are the pool and the paraphrases.

    Args:
        source: pairs.
        output: a file; its suffix says the format.
        non_contextual: how many non-contextual pairs to add per row, from 0; a tie has no preferred reply, so none.
        ties: how many ties to add per row, from 0.
        paraphrases: a file with the columns ``id`` and ``prompt``: each wording gives a row with the same replies. Then
            every row gets a column ``group``, unless ``columns.group_by`` names one that is there.
        id_column: the column of ``source`` with that id.
        pool: the most pairs of the pool.
        columns: names of columns.
        seed: another one makes other pairs.
        split: of the source, as in ``train[:5%]``.
        on_bad_row: ``"error"`` stops at a bad row; ``"skip"`` counts it and leaves it out.
        overwrite: replace a file that is there.
        progress: called with the number of rows since the last call, in both passes.

    Raises:
        ConfigError: nothing to add, or numbers out of range.
        DataError: no reply comes from another prompt, or no paraphrase belongs to a row.
        OutputError: the output exists, is read, or cannot be written.
    """
    for name, rate in (("non_contextual", non_contextual), ("ties", ties)):
        if not (math.isfinite(rate) and rate >= 0):
            raise ConfigError(f"{name} is {rate}; expected a number of rows per row, from 0")
    if not (non_contextual or ties or paraphrases is not None):
        raise ConfigError("nothing to add: give --non-contextual RATE, --ties RATE or --paraphrases FILE")
    if pool < 2:
        raise ConfigError(f"pool is {pool}; expected a number of pairs from 2")
    columns = columns or Columns()
    report = AugmentReport()
    passes = Passes(source, report, split=split, on_bad_row=on_bad_row, progress=progress)
    writer = RowWriter(output, overwrite=overwrite, sources=(*passes.files, *([paraphrases] if paraphrases else [])))
    wordings = Paraphrases(paraphrases, id_column) if paraphrases is not None else None
    foreign = ForeignPool(pool, seed)
    if wordings is not None and columns.group_by is None:
        report.group_column = GROUP
    read = _reader(columns, wordings, report)
    fill = _table_columns(columns, ties=bool(ties)) if str(output).lower().endswith(TABLES) else {}
    with writer:
        decided = 0
        for row, example in passes(read):
            writer.write({**fill, **row, **({report.group_column: example.group} if report.group_column else {})})
            foreign.offer(example)
            decided += example.labels[0] != example.labels[1]
        report.original = writer.count
        if not report.original:
            raise passes.nothing()
        if (non_contextual or ties) and foreign.groups < 2:
            raise DataError("all pairs have the same prompt, so there is no reply from another one")
        keep = tuple(name for name in (columns.group_by, id_column, "chat_template_kwargs", "input") if name)
        making = _Making(
            columns,
            foreign,
            report,
            wordings,
            keep,
            random.Random(f"sides:{seed}"),
            _Quota(non_contextual, decided, f"non-contextual:{seed}"),
            _Quota(ties, report.original, f"ties:{seed}"),
        )
        for row, example in passes(read):
            for new in _made(row, example, making):
                writer.write({**new, **({report.group_column: example.group} if report.group_column else {})})
        report.unused_ids = len(wordings.unused) if wordings is not None else 0
        report.written = writer.count
        if not report.added:
            raise DataError(f"nothing was added: {'; '.join(line.strip() for line in report.lines())}")
    return report


def _reader(columns: Columns, wordings: Paraphrases | None, report: AugmentReport) -> Callable[[Row, str], Example]:
    def read(row: Row, location: str) -> Example:
        example = to_example(row, columns, location)
        if example.input_ids is not None or len(example.responses) != 2:
            raise RowError("the row is no pair of texts or conversations", location)
        if wordings is not None:
            if wordings.id_column not in row:
                raise RowError(
                    f"no column {wordings.id_column!r} to join paraphrases by; name it with --id-column NAME"
                )
            if report.group_column in row:
                raise RowError(
                    f"the row has a column {report.group_column!r} already; if that tells what belongs together, "
                    f"say --group-by {report.group_column}"
                )
        return example

    return read


def _table_columns(columns: Columns, *, ties: bool) -> dict[str, Any]:
    """What a row of a table has where it says nothing: all rows have the same columns there."""
    return {columns.source or "source": None} | ({columns.soft_label or "soft_label": 1.0} if ties else {})


def _made(row: Row, example: Example, making: _Making) -> Iterator[dict[str, Any]]:
    """The new rows that come from a row."""
    report = making.report
    if making.paraphrases is not None:
        for wording, reworded in making.paraphrases.of(row, example):
            if prompt_group(reworded.prompt) == prompt_group(example.prompt):
                report.same_wording += 1
                continue
            new = rewritten(row, making.columns, [wording], reworded)
            if new is None:
                raise RowError("the row cannot be written with another prompt", example.location)
            report.paraphrases += 1
            yield {**new, **_marked(row, making.columns, "paraphrase")}
    base = _of_the_prompt(row, making)
    if example.labels[0] != example.labels[1]:
        for _ in range(making.non_contextual()):
            foreign = making.pool.take(example)
            side = making.rng.randrange(2)
            best = example.responses[example.labels[1] > example.labels[0]]
            pair = None if foreign is None else replace(example, responses=(best, foreign[side]))
            new = None if pair is None else rewritten(base, making.columns, _prompts(row, making.columns), pair)
            if new is None:
                report.no_reply += 1
                continue
            report.over_rejected += side
            report.over_preferred += not side
            yield {**new, **_marked(row, making.columns, "non-contextual")}
    for _ in range(making.ties()):
        foreign = making.pool.take(example)
        pair = None if foreign is None else replace(example, responses=foreign)
        new = None if pair is None else rewritten(base, making.columns, _prompts(row, making.columns), pair)
        if new is None:
            report.no_reply += 1
            continue
        report.ties += 1
        soft = making.columns.find("soft_label", row) or making.columns.soft_label or "soft_label"
        yield {**new, soft: 0.5, **_marked(row, making.columns, "tie")}


def _prompts(row: Row, columns: Columns) -> list[Any]:
    name = columns.find("prompt", row)
    return [] if name is None else [row[name]]


def _of_the_prompt(row: Row, making: _Making) -> dict[str, Any]:
    """The columns that say something about the prompt; a soft label of 1, where there is a column for it."""
    found = [making.columns.find(field, row) for field in ("prompt", "chosen", "rejected", "system", "tools")]
    kept = {name: row[name] for name in (*found, *making.keep) if name is not None and name in row}
    soft = making.columns.find("soft_label", row)
    return kept if soft is None else {**kept, soft: 1.0}


def _marked(row: Mapping[str, Any], columns: Columns, what: str) -> dict[str, str]:
    return {columns.find("source", row) or columns.source or "source": MARK + what}
