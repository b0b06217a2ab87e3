"""Rows drawn or weighted so that the values of something count alike.

Knows values and counts; what the values are (a column, a difficulty, a cluster) is the caller's.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from plaudit.data.columns import Columns
from plaudit.data.passes import Passes, Row, RowReport, column_text
from plaudit.data.sample import Draw
from plaudit.data.write import RowWriter
from plaudit.errors import ConfigError, DataError, RowError

__all__ = ["BalanceReport", "Target", "balance_rows", "by_column", "check_target", "row_weight"]

Target: TypeAlias = "Literal['min', 'mean'] | int"
SHOWN = 20


@dataclass
class BalanceReport(RowReport):
    """What was balanced.

    Attributes:
        by: what by.
        weighted: weights were written, no row was dropped.
        target: rows (weighted: the sum of weights) that each value was brought to.
        before: value -> rows read, the commonest first, bins of difficulty from the hardest.
        after: value -> rows written, or, weighted, the sum of their weights.
        short: values with fewer rows than the target, which are kept as they are.
        notes: what the values are.
    """

    by: str = ""
    weighted: bool = False
    target: float = 0.0
    before: dict[str, int] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)
    short: int = 0
    notes: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The counts in words."""
        what = "each value's weights sum to" if self.weighted else "at most so many rows of each value:"
        lines = [
            *super().lines(),
            f"by {self.by}, {len(self.before):,} values; {what} {self.target:,.10g}",
            *self.notes,
        ]
        if self.short:
            lines.append(f"{self.short:,} values have fewer rows than that, and keep them all")
        for value, rows in list(self.before.items())[:SHOWN]:
            lines.append(f"  {value}: {rows:,} -> {self.after[value]:,.6g}")
        return lines + ([f"  … and {len(self.before) - SHOWN:,} more values"] if len(self.before) > SHOWN else [])


def check_target(to: Target) -> None:
    """Refuses what is no target.

    Raises:
        ConfigError: neither min, mean nor a number from 1.
    """
    if isinstance(to, bool) or not (to in ("min", "mean") or (isinstance(to, int) and to >= 1)):
        raise ConfigError(f"balance to min, mean or a number from 1, not {to!r}")


def by_column(passes: Passes, column: str, weigh: Columns | None = None) -> Callable[[], Iterator[tuple[Row, str]]]:
    """Passes over the rows with the value of a column as text; a row without one is a bad row.

    Args:
        passes: the rows.
        column: its name.
        weigh: names of columns, where a weight that cannot be read makes a bad row too.
    """

    def value(row: Row, location: str) -> str:
        if weigh is not None:
            row_weight(row, weigh)
        return column_text(row, column, "rows are balanced")

    return lambda: passes(value)


def balance_rows(
    valued: Callable[[], Iterator[tuple[Row, str]]],
    writer: RowWriter,
    report: BalanceReport,
    *,
    to: Target | None = None,
    weights: bool = False,
    columns: Columns | None = None,
    order: Sequence[str] = (),
    seed: int = 0,
) -> None:
    """Writes the rows so that each value counts alike, in their order; two passes, holding a count for each value.

    Without ``weights``: of a value with N_v rows, min(N_v, T) are drawn (see `Draw`), T = min_v N_v ("min", the
    default), the mean of the N_v, rounded ("mean"), or a number. With ``weights``: every row stays, and its weight w
    becomes w T / W_v, with W_v the sum of the value's weights, and T min_v W_v, their mean (the default: the mean
    weight of the data stays what it is) or a number.

    Args:
        valued: gives a pass over rows and values, the same each time; their weights can be read.
        writer: where they go.
        report: is filled in.
        to: T.
        weights: write a column of weights instead of dropping rows.
        columns: for the name of the column of weights (default: ``weight``).
        order: of the values in the report, where they have one; else the commonest comes first.
        seed: of the draw.

    Raises:
        DataError: no rows; a value whose weights sum to 0.
    """
    to = ("mean" if weights else "min") if to is None else to
    check_target(to)
    columns = columns or Columns()
    counts: dict[str, int] = {}
    sums: dict[str, float] = {}
    for row, value in valued():
        counts[value] = counts.get(value, 0) + 1
        if weights:
            sums[value] = sums.get(value, 0.0) + row_weight(row, columns)[1]
    totals: Mapping[str, float] = sums if weights else counts
    report.weighted, report.target = weights, _target(to, totals, rounded=not weights)
    places = {value: place for place, value in enumerate(order)}
    report.before = dict(sorted(counts.items(), key=lambda item: (places.get(item[0], 0), -item[1])))
    report.after = dict.fromkeys(report.before, 0)
    if not weights:
        report.short = sum(rows < report.target for rows in counts.values())
    rng = random.Random(seed)
    draws = {value: Draw(int(report.target), rows, rng) for value, rows in counts.items()} if not weights else {}
    with writer:
        for row, value in valued():
            if value not in report.after:
                raise DataError("the data has other rows than before: it was changed while it was read; run this again")
            if weights:
                name, weight = row_weight(row, columns)
                weight *= report.target / sums[value]
                writer.write({**row, name: weight})
                report.after[value] += weight
            elif draws[value]():
                writer.write(row)
                report.after[value] += 1
        report.written = writer.count


def _target(to: Target, totals: Mapping[str, float], *, rounded: bool) -> float:
    if not totals:
        raise DataError("nothing to balance: there are no good rows")
    empty = [value for value, total in totals.items() if not total]
    if empty:
        raise DataError(f"the weights of {empty[0]!r} sum to 0, so no factor makes it count; give it weights above 0")
    if isinstance(to, int):
        return to
    target = min(totals.values()) if to == "min" else math.fsum(totals.values()) / len(totals)
    return max(1, round(target)) if rounded else target


def row_weight(row: Row, columns: Columns) -> tuple[str, float]:
    """The column of weights, and the row's; 1 where it has none.

    Raises:
        RowError: it is no number from 0.
    """
    name = columns.find("weight", row)
    value: Any = None if name is None else row[name]
    if name is None or value is None or (isinstance(value, str) and not value.strip()):
        return name or "weight", 1.0
    try:
        weight = float(value)
    except (TypeError, ValueError):
        weight = math.nan
    if isinstance(value, bool) or not (math.isfinite(weight) and weight >= 0):
        raise RowError(f"{name} is {value!r:.60}; expected a number from 0")
    return name, weight
