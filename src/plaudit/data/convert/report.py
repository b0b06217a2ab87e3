"""What a conversion did with every row, and the conversion itself: an iterable of rows that can be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar

from plaudit.data.write import RowWriter
from plaudit.errors import DataError, RowError

__all__ = ["Conversion", "ConvertReport"]

Row: TypeAlias = dict[str, Any]
T = TypeVar("T")
P = ParamSpec("P")

_SHOWN_PROBLEMS = 5


@dataclass
class ConvertReport:
    """Counts of one pass.

    Attributes:
        shape: what the rows were taken for.
        to: what they became.
        rows: rows read.
        written: rows made.
        bad: rows that could not be used (counted with ``on_bad_row="skip"`` only).
        dropped: what else was left out, reason -> count; the reason says of what.
        notes: what was kept, but changed or is worth knowing, reason -> count.
        left_out: columns of the first row that are not carried over.
        problems: the first few messages about bad rows.
        settings: what was chosen where nothing was asked for.
    """

    shape: str = ""
    to: str = ""
    rows: int = 0
    written: int = 0
    bad: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    notes: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    def drop(self, reason: str) -> None:
        """One more left out for this reason."""
        self.dropped[reason] = self.dropped.get(reason, 0) + 1

    def note(self, reason: str) -> None:
        """One more that was changed like this."""
        self.notes[reason] = self.notes.get(reason, 0) + 1

    def lines(self) -> list[str]:
        """The counts in words."""
        lines = [f"{self.rows:,} rows read as {self.shape or 'nothing'}, {self.written:,} rows of {self.to} made"]
        if self.bad:
            lines.append(f"{self.bad:,} skipped: the row cannot be used")
        lines += [f"{count:,} dropped: {reason}" for reason, count in self.dropped.items()]
        lines += [f"{count:,} {reason}" for reason, count in self.notes.items()]
        return lines + [f"  {problem}" for problem in self.problems]

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)


class Conversion:
    """Converted rows, made while they are iterated over; every pass reads the source anew.

    Attributes:
        report: what the pass that runs, or ran last, did so far.
    """

    def __init__(self, name: str, convert: Callable[[ConvertReport], Iterator[Row]]) -> None:
        self.report = ConvertReport()
        self._name = name
        self._convert = convert

    def __iter__(self) -> Iterator[Row]:
        """The rows.

        Raises:
            RowError: a bad row, with its file and line.
            DataError: the source cannot be used, or no row is left (the message says where they went).
        """
        report = self.report = ConvertReport()
        for row in self._convert(report):
            report.written += 1
            yield row
        if not report.written:
            counts = report.lines()[: -len(report.problems) or None]
            first = f"; the first: {report.problems[0]}" if report.problems else ""
            raise DataError(f"nothing is left of {self._name}: {'; '.join(counts)}{first}")

    def write(
        self, path: str | Path, *, overwrite: bool = False, sources: tuple[str | Path, ...] = ()
    ) -> ConvertReport:
        """Writes the rows to a file (`RowWriter`), which appears only when it is whole.

        Raises:
            OutputError: the file exists, is the source, or cannot be written.
            DataError: as iterating, or a row that the format cannot hold.
        """
        with RowWriter(path, overwrite=overwrite, sources=sources) as writer:
            for row in self:
                writer.write(row)
        return self.report


@dataclass
class Guard:
    """Calls that may find a row bad: it stops the pass, or is counted."""

    report: ConvertReport
    on_bad_row: Literal["error", "skip"]

    def __call__(self, location: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """What ``call`` returns, or None where the row is skipped."""
        try:
            return call(*args, **kwargs)
        except RowError as error:
            located = error if error.location is not None else RowError(error.problem, location)
            if self.on_bad_row == "error":
                raise located from None
            self.report.bad += 1
            if len(self.report.problems) < _SHOWN_PROBLEMS:
                self.report.problems.append(str(located))
            return None
