"""The rows of a source, read as often as an algorithm needs them; each bad one is an error, or counted.

For what reads rows and writes rows: every column stays as it is. Knows what a row's split key is, not what becomes of
the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from plaudit.data.columns import Columns, list_columns
from plaudit.data.examine import OnBadRow
from plaudit.data.messages import kind
from plaudit.data.read import data_files
from plaudit.data.rows import to_example
from plaudit.data.source import open_source
from plaudit.errors import ConfigError, DataError, RowError
from plaudit.types import Example

__all__ = ["Passes", "Row", "RowReport", "Rows", "any_example", "column_text", "row_group"]

Row: TypeAlias = Mapping[str, Any]
Rows: TypeAlias = "str | Path | Iterable[Row]"
"""A file, a folder, a Hub id, a data set of the ``datasets`` library, or a list of rows."""
T = TypeVar("T")

SHOWN_PROBLEMS = 5
_SCORE, _RESPONSE = "\0score", "\0response"


@dataclass
class RowReport:
    """What became of the rows.

    Attributes:
        rows: rows read.
        written: rows written.
        bad: rows that could not be used (counted with ``on_bad_row="skip"`` only).
        problems: the first few messages about bad rows.
    """

    rows: int = 0
    written: int = 0
    bad: int = 0
    problems: list[str] = field(default_factory=list)

    def add_bad(self, error: RowError) -> None:
        """Counts a bad row."""
        self.bad += 1
        if len(self.problems) < SHOWN_PROBLEMS:
            self.problems.append(str(error))

    def lines(self) -> list[str]:
        """The counts in words."""
        lines = [f"{self.rows:,} rows read, {self.written:,} written"]
        lines += [f"{self.bad:,} skipped: the row cannot be used"] if self.bad else []
        lines += [f"  {problem}" for problem in self.problems]
        return lines + ([f"  … and {self.bad - len(self.problems):,} more"] if self.bad > len(self.problems) else [])

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)


class Passes:
    """Reads a source from its start each time it is called, and leaves out in all passes what was bad in one.

    Args:
        source: what is read.
        report: counts rows (of the first pass) and bad rows.
        split: of the source, as in ``train[:5%]``.
        on_bad_row: ``"error"`` stops at the first row that cannot be used; ``"skip"`` counts them, and holds their
            places.
        progress: called with the number of rows since the last call, about every 1,000 rows of every pass.

    Attributes:
        name: of the source, for messages.
        files: what is read, which no output may be.

    Raises:
        DataError: the source cannot be used, or is an iterator, which can be read only once.
    """

    def __init__(
        self,
        source: Rows,
        report: RowReport,
        *,
        split: str | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Callable[[int], None] | None = None,
    ) -> None:
        if on_bad_row not in ("error", "skip"):
            raise ConfigError(f"on_bad_row is {on_bad_row!r}; expected 'error' or 'skip'")
        if isinstance(source, Iterator):
            raise DataError("an iterator can be read only once; pass a list or a file")
        opened = open_source(source, split=split)
        self.name, self._read = opened.name, opened.read
        self.files = _files(source)
        self.report, self.on_bad_row, self._progress = report, on_bad_row, progress
        self._first = True
        self._refused: set[str] = set()

    def __call__(self, convert: Callable[[Row, str], T]) -> Iterator[tuple[Row, T]]:
        """Every good row, with what ``convert(row, location)`` makes of it; a `RowError` from that marks a bad one."""
        first, self._first = self._first, False
        number = 0
        for number, (location, row) in enumerate(self._read(), start=1):
            if first:
                self.report.rows += 1
            if self._progress is not None and number % 1000 == 0:
                self._progress(1000)
            if location in self._refused:
                continue
            try:
                if isinstance(row, RowError):
                    raise row
                if not isinstance(row, Mapping):
                    raise RowError(f"the row is {kind(row)}; expected an object", location)
                converted = _with_location(convert, row, location)
            except RowError as error:
                self.refuse(error, location)
                continue
            yield row, converted
        if self._progress is not None and number % 1000:
            self._progress(number % 1000)

    def refuse(self, error: RowError, location: str | None = None) -> None:
        """Counts a bad row, which no later pass gives; raises the error where bad rows are to stop the work."""
        if self.on_bad_row == "error":
            raise error
        self._refused.add(location or error.location or "")
        self.report.add_bad(error)

    def nothing(self, hint: str = "") -> DataError:
        """The error where no row is left."""
        report = self.report
        reason = f"{report.rows:,} rows read, {report.bad:,} of them bad" if report.rows else "there are no rows"
        first = f", the first one: {report.problems[0]}" if report.problems else ""
        return DataError(f"nothing to write from {self.name}: {reason}{first}{hint}")


def _with_location(convert: Callable[[Row, str], T], row: Row, location: str) -> T:
    try:
        return convert(row, location)
    except RowError as error:
        if error.location is not None:
            raise
        raise RowError(error.problem, location) from None


def _files(source: Any) -> tuple[Path, ...]:
    if not isinstance(source, (str, Path)) or not (path := Path(source).expanduser()).exists():
        return ()
    return (path,) if path.is_file() else tuple(path.rglob("*.arrow")) or tuple(data_files(path))


def column_text(row: Row, name: str, why: str) -> str:
    """The value of a column that rows are told apart by, as text.

    Raises:
        RowError: no such column, no value, or a list or object.
    """
    if name not in row:
        raise RowError(f"no column {name!r}, but {why} by it; {list_columns(row)}")
    value = row[name]
    if value is None or value == "":
        raise RowError(f"{name} is empty, but {why} by it")
    if isinstance(value, (list, tuple, Mapping)):
        raise RowError(f"{name} is {kind(value)} ({value!r:.60}); expected text or a number, since {why} by it")
    return str(value)


def any_example(row: Row, columns: Columns, location: str | None = None) -> Example:
    """A row of any kind (pair, rating, ranking, A/B test, bare prompt) as an `Example` with the prompt and split key
    that loading would give it. Its labels mean nothing, and no margin, weight or source is read.

    Raises:
        RowError: the row has no prompt and no responses that would tell one.
    """
    columns = replace(columns, margin="", weight="", source="", soft_label="")
    plaudits_own = {"responses", "labels", "extras", "token_ids"} <= row.keys()
    pair = columns.find("chosen", row) is not None and columns.find("rejected", row) is not None
    if plaudits_own or pair or columns.find_tokenised(row) is not None:
        return to_example(row, replace(columns, kind="pairs"), location)
    prompt = columns.find("prompt", row)
    if columns.find("response", row) is not None:
        return to_example({**row, _SCORE: 0.0}, replace(columns, kind="ratings", score=_SCORE), location)
    if prompt is not None and row[prompt] is not None:
        marks = {_SCORE: 0.0, _RESPONSE: "-"}
        rating = replace(columns, kind="ratings", score=_SCORE, response=_RESPONSE)
        return to_example({**row, **marks}, rating, location)
    if columns.find("responses", row) is not None and columns.find("ranks", row) is not None:
        return to_example(row, replace(columns, kind="rankings"), location)
    raise RowError(
        f"no prompt, no response, and no chosen and rejected; {list_columns(row)}. Name the column with "
        "--prompt-column NAME, or what rows belong together by with --group-by NAME",
        location,
    )


def row_group(row: Row, columns: Columns, location: str | None = None) -> str:
    """The split key of a row of any kind, equal to that of the `Example` that loading makes of it."""
    if columns.group_by is not None:
        return column_text(row, columns.group_by, "rows are grouped")
    return any_example(row, columns, location).group
