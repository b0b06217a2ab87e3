"""Uniform samples of rows, in their order, without holding the rows.

Knows rows and their split keys, not what they say.
"""

from __future__ import annotations

import random
from bisect import bisect_left, insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from plaudit.data.columns import Columns
from plaudit.data.examine import OnBadRow
from plaudit.data.passes import Passes, Row, RowReport, Rows, row_group
from plaudit.data.split import hash_share
from plaudit.data.write import RowWriter
from plaudit.errors import ConfigError, DataError

__all__ = ["Draw", "SampleReport", "sample_preferences"]


class Draw:
    """Takes exactly ``wanted`` of ``total`` things as they come, every subset with the same probability.

    Selection sampling (Knuth, The Art of Computer Programming, vol. 2, section 3.4.2, algorithm S): the next one is
    taken with the probability that is still wanted of those still to come.
    """

    def __init__(self, wanted: int, total: int, rng: random.Random) -> None:
        self.wanted, self.left, self._rng = min(wanted, total), total, rng

    def __call__(self) -> bool:
        """Whether the next one is taken."""
        if not self.left:
            raise DataError("the data has more rows than before: it was changed while it was read; run this again")
        taken = self._rng.random() * self.left < self.wanted
        self.left -= 1
        self.wanted -= taken
        return taken


@dataclass
class SampleReport(RowReport):
    """What was drawn.

    Attributes:
        by_prompt: whole prompts were drawn.
        prompts: prompts drawn; None where rows were drawn.
    """

    by_prompt: bool = False
    prompts: int | None = None

    def lines(self) -> list[str]:
        """The counts in words."""
        drawn = [f"{self.prompts:,} prompts drawn, each with all its rows"] if self.prompts is not None else []
        return super().lines() + drawn


def sample_preferences(
    source: Rows,
    output: str | Path,
    *,
    rows: int | None = None,
    fraction: float | None = None,
    by_prompt: bool = False,
    columns: Columns | None = None,
    seed: int = 0,
    split: str | None = None,
    on_bad_row: OnBadRow = "error",
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> SampleReport:
    """Writes a uniform random sample, in the order of the rows; every column stays.

    The source is read twice. Rows are drawn by algorithm S (see `Draw`), which holds nothing in memory. Whole prompts
    are drawn by the hash of their split key, smallest first, so a larger sample with the same seed holds the smaller
    one; a number for each prompt that may be drawn is held.

    Args:
        source: rows of any kind.
        output: a file; its suffix says the format.
        rows: how many; by prompt: as many whole prompts as fit into this number.
        fraction: in (0, 1], of the rows; by prompt: of the prompts, about.
        by_prompt: keep all rows of a prompt (or of a group, with ``columns.group_by``) or none.
        columns: names of columns, for the prompt.
        seed: another one draws another sample.
        split: of the source, as in ``train[:5%]``.
        on_bad_row: ``"error"`` stops at a bad row; ``"skip"`` counts it and never draws it.
        overwrite: replace a file that is there.
        progress: called with the number of rows since the last call, in both passes.

    Raises:
        ConfigError: not one of ``rows`` and ``fraction``, or out of range.
        DataError: there is no row to draw, or fewer than ``rows``.
        OutputError: the output exists, is read, or cannot be written.
    """
    _check(rows, fraction)
    report = SampleReport(by_prompt=by_prompt)
    passes = Passes(source, report, split=split, on_bad_row=on_bad_row, progress=progress)
    writer = RowWriter(output, overwrite=overwrite, sources=passes.files)
    drawn = (
        _prompts(passes, columns or Columns(), rows, fraction, seed, report)
        if by_prompt
        else _rows(passes, rows, fraction, seed)
    )
    with writer:
        for row in drawn:
            writer.write(row)
        report.written = writer.count
        if not writer.count:
            raise passes.nothing(f"; of {fraction} nothing is left" if fraction and report.rows > report.bad else "")
    return report


def _check(rows: int | None, fraction: float | None) -> None:
    if (rows is None) == (fraction is None):
        raise ConfigError("give the number of rows (--rows N) or a fraction (--fraction F), one of the two")
    if rows is not None and rows < 1:
        raise ConfigError(f"rows is {rows}; expected a number from 1")
    if fraction is not None and not 0 < fraction <= 1:
        raise ConfigError(f"fraction is {fraction}; expected a number above 0, at most 1")


def _rows(passes: Passes, rows: int | None, fraction: float | None, seed: int) -> Iterator[Row]:
    total = sum(1 for _ in passes(lambda row, location: None))
    if rows is not None and rows > total:
        raise DataError(f"{passes.name} has {total:,} good rows, fewer than the {rows:,} asked for; ask for fewer")
    wanted = rows if rows is not None else round((fraction or 0) * total)
    take = Draw(wanted, total, random.Random(seed))
    for row, _ in passes(lambda row, location: None):
        if take():
            yield row


def _prompts(
    passes: Passes, columns: Columns, rows: int | None, fraction: float | None, seed: int, report: SampleReport
) -> Iterator[Row]:
    # another hash than a split's: a sample of the training side of a split with the same seed is no special one
    def share(row: Row, location: str) -> float:
        return hash_share(f"sample:{row_group(row, columns, location)}", seed)

    limit = fraction if fraction is not None else _limit(passes, share, rows or 0)
    seen: set[float] = set()
    for row, own in passes(share):
        if own < limit:
            seen.add(own)
            report.prompts = len(seen)
            yield row


def _limit(passes: Passes, share: Callable[[Row, str], float], rows: int) -> float:
    """Where to stop so that the prompts below have at most ``rows`` rows together; holds the prompts that may be in."""
    kept: list[float] = []
    counts: dict[float, int] = {}
    total, everything = 0, 0
    limit = 2.0
    for _, own in passes(share):
        everything += 1
        if own >= limit:
            continue
        if own not in counts:
            insort(kept, own)
            counts[own] = 0
        counts[own] += 1
        total += 1
        while total - counts[kept[-1]] > rows:  # those before the last one fill the sample: the last one is out
            limit = kept.pop()
            total -= counts.pop(limit)
    if everything and everything < rows:
        raise DataError(f"{passes.name} has {everything:,} good rows, fewer than the {rows:,} asked for; ask for fewer")
    if total > rows and kept:
        limit = kept[-1]
    if kept and bisect_left(kept, limit) == 0:
        raise DataError(
            f"the first prompt drawn has {counts[kept[0]]:,} rows, more than the {rows:,} asked for; ask for more, "
            "or draw rows, not prompts"
        )
    return limit
