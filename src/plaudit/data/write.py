"""Rows -> files: JSON, JSON Lines, CSV, TSV (all also gzipped), Parquet, by suffix. The inverse of `plaudit.data.read`.

A file takes its name only when it is whole. Knows file formats only, nothing of what the columns mean.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from plaudit.errors import DataError, OutputError

__all__ = ["WRITABLE", "RowWriter", "size_of"]

WRITABLE = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".jsonl.gz", ".json.gz", ".csv.gz")
_BATCH_ROWS = 1024
_BATCH_CHARACTERS = 2**25
"""A table keeps at most so many rows, and about so many characters of them, before they are written."""


class RowWriter:
    """Writes rows to a file whose format its suffix says; a context manager.

    The file appears under its name when the block ends without an error, and not at all otherwise. JSON Lines and JSON
    keep no row in memory. Tables take their columns from the first 1,024 rows (fewer where these are more than 32
    million characters); Parquet keeps as many at any time. In the cells of CSV, lists and objects are JSON text, and
    None is the empty text.

    Args:
        path: its suffix is one of `WRITABLE`.
        overwrite: replace a file that is there.
        sources: files that are read while this one is written: it must be none of them.

    Attributes:
        count: rows written so far.

    Raises:
        OutputError: unknown suffix, the file exists, is a source, or cannot be written.
        DataError: later, a value that the format cannot say, or a row that does not fit the columns of a table.
    """

    def __init__(self, path: str | Path, *, overwrite: bool = False, sources: tuple[str | Path, ...] = ()) -> None:
        self.path = Path(path).expanduser()
        self.count = 0
        suffix = next((s for s in sorted(WRITABLE, key=len, reverse=True) if self.path.name.lower().endswith(s)), None)
        if suffix is None:
            raise OutputError(
                f"{path}: cannot tell the format from the name; expected a name that ends in {', '.join(WRITABLE)}"
            )
        for source in sources:
            if _is_read(self.path, Path(source).expanduser()):
                raise OutputError(f"{path} is read while it would be written; choose another output")
        if self.path.is_dir():
            raise OutputError(f"{path} is a folder; choose another name")
        if self.path.exists() and not overwrite:
            raise OutputError(f"{path} exists already; --overwrite replaces it")
        self._make = _FORMATS[suffix.removesuffix(".gz")]
        self._zipped = suffix.endswith(".gz")
        self._staging = self.path.with_name(f".{self.path.name}.{os.getpid()}.partial")

    def __enter__(self) -> RowWriter:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            raw = self._staging.open("wb")
        except OSError as error:
            raise OutputError(f"cannot write {self.path}: {error.strerror or error}; choose another output") from error
        self._raw = raw
        self._file = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if self._zipped else raw
        self._format = self._make(cast("IO[bytes]", self._file))
        return self

    def write(self, row: Mapping[str, Any]) -> None:
        """Adds a row."""
        with self._named(f"row {self.count + 1:,}"):
            self._format.write(row)
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                with self._named("the last rows"):
                    self._format.close()
                    if self._file is not self._raw:
                        self._file.close()
                    self._raw.flush()
                    os.fsync(self._raw.fileno())
                    self._raw.close()
                    os.replace(self._staging, self.path)
        finally:
            with contextlib.suppress(Exception):  # what cannot be finished any more is thrown away
                self._format.give_up()
            for file in (self._file, self._raw):
                with contextlib.suppress(OSError, ValueError):
                    file.close()
            with contextlib.suppress(OSError):  # it is gone after the rename
                self._staging.unlink()

    @contextlib.contextmanager
    def _named(self, what: str) -> Iterator[None]:
        """Errors name the file and the row."""
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"writing {self.path} failed: {reason}; nothing is left of it") from error
        except _MisfitError as error:
            raise DataError(f"{self.path}: {what}: {error}") from error


def _is_read(path: Path, source: Path) -> bool:
    """Whether an output that is there is the source, or one of the files of the folder that is the source."""
    try:
        read = source / path.name if source.is_dir() else source
        return path.exists() and read.exists() and os.path.samefile(path, read)
    except OSError:
        return False


class _MisfitError(Exception):
    """A row that the format, or the table as it is, cannot hold."""


def _json(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise _MisfitError(f"cannot be written as JSON: {error}") from error


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(text[error.start]):04x}"
        raise _MisfitError(f"the text holds {half}, half of a surrogate pair, which is no Unicode text") from error


class _Format:
    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def write(self, row: Mapping[str, Any]) -> None: ...

    def close(self) -> None:
        """Writes what was kept back."""

    def give_up(self) -> None:
        """Lets go of the file, which may be unfinished."""


class _JsonLines(_Format):
    def write(self, row: Mapping[str, Any]) -> None:
        self.file.write(_encoded(_json(dict(row)) + "\n"))


class _Json(_Format):
    before = b"[\n"

    def write(self, row: Mapping[str, Any]) -> None:
        line = _encoded(_json(dict(row)))
        self.file.write(self.before)
        self.file.write(line)
        self.before = b",\n"

    def close(self) -> None:
        self.file.write(b"[]\n" if self.before == b"[\n" else b"\n]\n")


class _Table(_Format):
    """Rows of one set of columns, which the first rows give."""

    keeps_batches = False

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file)
        self.columns: list[str] | None = None
        self.kept: list[dict[str, Any]] = []
        self.characters = 0

    def write(self, row: Mapping[str, Any]) -> None:
        if self.columns is not None:
            more = [name for name in row if name not in self.columns]
            if more:
                raise _MisfitError(
                    f"has the column {more[0]!r}, which the first rows did not have; write JSON Lines instead"
                )
        self.kept.append(dict(row))
        self.characters += sum(map(size_of, row.values()))
        started = self.columns is not None and not self.keeps_batches
        if started or len(self.kept) >= _BATCH_ROWS or self.characters >= _BATCH_CHARACTERS:
            self.flush()

    def flush(self) -> None:
        if self.columns is None:
            self.columns = list(dict.fromkeys(name for row in self.kept for name in row))
            self.start(self.columns)
        kept, self.kept, self.characters = self.kept, [], 0
        self.add(self.columns, [[row.get(name) for name in self.columns] for row in kept])

    def close(self) -> None:
        if self.kept or self.columns is None:
            self.flush()
        self.end()

    def start(self, columns: list[str]) -> None: ...

    def add(self, columns: list[str], rows: list[list[Any]]) -> None: ...

    def end(self) -> None: ...


def size_of(value: Any) -> int:
    """About how many characters a value has."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(size_of, value.values()))
    return sum(map(size_of, value)) if isinstance(value, (list, tuple)) else 8


class _Csv(_Table):
    delimiter = ","

    def start(self, columns: list[str]) -> None:
        self.text = io.StringIO(newline="")
        # a carriage return in a text is quoted only where it is part of the line's end
        self.writer = csv.writer(self.text, delimiter=self.delimiter, lineterminator="\r\n")
        if columns:
            self.line(columns)

    def add(self, columns: list[str], rows: list[list[Any]]) -> None:
        for row in rows:
            self.line([_cell(value) for value in row])

    def line(self, cells: list[str]) -> None:
        self.text.seek(0)
        self.text.truncate()
        self.writer.writerow(cells)
        self.file.write(_encoded(self.text.getvalue().removesuffix("\r\n") + "\n"))


class _Tsv(_Csv):
    delimiter = "\t"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _json(value)


class _Parquet(_Table):
    keeps_batches = True
    writer: Any = None

    def add(self, columns: list[str], rows: list[list[Any]]) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        schema = None if self.writer is None else self.writer.schema
        arrays = {}
        for index, name in enumerate(columns):
            try:
                arrays[name] = _array([row[index] for row in rows], None if schema is None else schema.field(name).type)
            except UnicodeEncodeError as error:
                raise _MisfitError(f"{name} holds half of a surrogate pair, which is no Unicode text") from error
            except (pa.ArrowException, ValueError, TypeError, OverflowError) as error:
                reason = " ".join(str(error).split())
                raise _MisfitError(
                    f"{name} does not fit one type of column ({reason}); write JSON Lines instead"
                ) from error
        try:
            table = pa.table(arrays)
            if self.writer is None:
                self.writer = pyarrow.parquet.ParquetWriter(self.file, table.schema)
            self.writer.write_table(table)
        except pa.ArrowNotImplementedError as error:  # an object without keys
            raise _MisfitError(f"{' '.join(str(error).split())}; write JSON Lines instead") from error

    def end(self) -> None:
        writer, self.writer = self.writer, None
        writer.close()

    def give_up(self) -> None:
        if self.writer is not None:
            self.writer.close()


def _array(values: list[Any], known: Any) -> Any:
    """A column of a table; what an earlier batch's type would leave out is an error."""
    import pyarrow as pa

    if known is None:
        inferred = pa.array(values)
        return inferred.cast(_concrete(inferred.type))
    if pa.types.is_nested(known):
        lost = _left_out(pa.infer_type(values), known)
        if lost:
            raise TypeError(f"the key {lost!r} is not in the first rows")
    return pa.array(values, type=known)


def _concrete(kind: Any) -> Any:
    """A type in which what was only null may be text later."""
    import pyarrow as pa

    if pa.types.is_null(kind):
        return pa.string()
    if pa.types.is_list(kind):
        return pa.list_(_concrete(kind.value_type))
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_concrete(field.type)) for field in kind])
    return kind


def _left_out(found: Any, known: Any) -> str | None:
    """A key of an object that the known type has no place for; Arrow would drop it without a word."""
    import pyarrow as pa

    if pa.types.is_list(found) and pa.types.is_list(known):
        return _left_out(found.value_type, known.value_type)
    if pa.types.is_struct(found) and pa.types.is_struct(known):
        there = {field.name: field.type for field in known}
        for field in found:
            if field.name not in there:
                return str(field.name)
            if (lost := _left_out(field.type, there[field.name])) is not None:
                return lost
    return None


_FORMATS: dict[str, Callable[[IO[bytes]], _Format]] = {
    ".jsonl": _JsonLines,
    ".ndjson": _JsonLines,
    ".json": _Json,
    ".csv": _Csv,
    ".tsv": _Tsv,
    ".parquet": _Parquet,
}
