"""Files -> rows, each with its ``file:line``. One bad line does not end the reading; a broken document does.

Knows file formats only, by suffix: JSON, JSON Lines, CSV, TSV (all also gzipped), Parquet, Arrow. Knows nothing of what
the columns mean.
"""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import json
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeAlias, cast

from plaudit.data.messages import kind
from plaudit.errors import DataError, RowError

__all__ = ["SUFFIXES", "Located", "count_rows", "data_files", "read_rows", "suffix_of"]

Row: TypeAlias = dict[str, Any]
Located: TypeAlias = tuple[str, Row | RowError]
"""``file:line`` and the row there, or the reason why it cannot be read."""

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow", ".jsonl.gz", ".json.gz", ".csv.gz")
_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json"}
_CELL_LIMIT = 2**31 - 1
_BATCH_ROWS = 64


def suffix_of(path: Path) -> str | None:
    """The known suffix of a file's name, or None."""
    return next((suffix for suffix in reversed(SUFFIXES) if path.name.lower().endswith(suffix)), None)


def data_files(folder: Path) -> list[Path]:
    """The data files of a folder and of its ``data/``, by name."""
    candidates = [path for place in (folder, folder / "data") if place.is_dir() for path in sorted(place.iterdir())]
    files = [p for p in candidates if p.is_file() and suffix_of(p) and p.name not in _NOT_DATA and p.name[0] != "."]
    if not files:
        raise DataError(f"no data files in the folder {folder}; expected files that end in {', '.join(SUFFIXES)}")
    return files


def read_rows(path: str | Path) -> Iterator[Located]:
    """The rows of a file, or of all data files of a folder.

    Yields:
        ``("file:line", row)``, or a `RowError` in the place of a row that cannot be read. The line is the one where the
        row starts; Parquet and Arrow count rows. Both from 1.

    Raises:
        DataError: there is no such file, its suffix is unknown, or it is broken as a whole.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        for file in data_files(path):
            yield from _reader(file)(file)
    else:
        yield from _reader(path)(path)


def count_rows(path: Path) -> int:
    """How many rows (good and bad) `read_rows` yields for a file."""
    suffix = suffix_of(path)
    if suffix == ".parquet":
        import pyarrow.parquet

        with _whole(path):
            return int(pyarrow.parquet.read_metadata(path).num_rows)
    if suffix in (".jsonl", ".ndjson", ".jsonl.gz"):
        with _open(path) as file, _whole(path):
            return sum(1 for line in file if line.removeprefix(b"\xef\xbb\xbf").strip())
    return sum(1 for _ in read_rows(path))


def _reader(path: Path) -> Callable[[Path], Iterator[Located]]:
    if not path.is_file():
        siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, siblings, n=3, cutoff=0.75)
        hint = f"; did you mean {', '.join(str(path.parent / name) for name in close)}?" if close else ""
        raise DataError(f"no such file: {path}{hint}")
    suffix = suffix_of(path)
    if suffix is None:
        raise DataError(
            f"{path}: cannot tell the format from the name; expected a name that ends in {', '.join(SUFFIXES)}"
        )
    return _READERS[suffix.removesuffix(".gz")]


def _open(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path)) if path.name.lower().endswith(".gz") else path.open("rb")


@contextmanager
def _whole(path: Path) -> Iterator[None]:
    """Turns the errors of a broken container into a `DataError`."""
    try:
        yield
    except (OSError, EOFError, zlib.error, ValueError) as error:  # pyarrow's errors are ValueErrors and OSErrors
        raise DataError(f"{path}: cannot be read: {str(error) or type(error).__name__}") from error


def _decode(data: bytes, path: Path, line: int) -> str:
    """UTF-8 text; ``line`` is the number of its first line."""
    try:
        return data.decode("utf-8-sig" if line == 1 else "utf-8")
    except UnicodeDecodeError as error:
        line += data.count(b"\n", 0, error.start)
        hint = "; it looks like UTF-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise RowError(
            f"byte 0x{data[error.start]:02x} is no UTF-8 text{hint}; save the file as UTF-8", f"{path}:{line}"
        ) from None


def _syntax_error(error: Exception, where: str, path: Path, first_line: int) -> RowError:
    """``error`` from the decoder, for a text that starts at ``first_line``."""
    if isinstance(error, json.JSONDecodeError):
        line = first_line + error.lineno - 1
        return RowError(f"no valid {where}: {error.msg} at line {line} column {error.colno}", f"{path}:{line}")
    return RowError(f"no valid {where}: {error}", f"{path}:{first_line}")  # too deep, or a number too long


def _located(path: Path, line: int, value: object) -> Located:
    where = f"{path}:{line}"
    if isinstance(value, dict):
        return where, value
    return where, RowError(f"the row is {kind(value)} ({value!r:.60}); expected an object", where)


# --- JSON -------------------------------------------------------------------------------------------------------------


def _read_jsonl(path: Path) -> Iterator[Located]:
    with _open(path) as file, _whole(path):
        yield from _json_lines(file, path)


def _json_lines(lines: IO[bytes], path: Path) -> Iterator[Located]:
    for number, line in enumerate(lines, start=1):
        try:
            text = _decode(line, path, number).strip()
            if text:
                yield _located(path, number, json.loads(text))
        except RowError as error:
            yield f"{path}:{number}", error
        except (ValueError, RecursionError) as error:
            yield f"{path}:{number}", _syntax_error(error, "JSON", path, number)


def _read_json(path: Path) -> Iterator[Located]:
    with _open(path) as file, _whole(path):
        data = file.read()
    text = _decode(data, path, 1)
    start = _skip_space(text, 0)
    if text[start : start + 1] == "[":
        del data
        end = yield from _json_items(text, start, path)
        if _skip_space(text, end) < len(text):
            extra = json.JSONDecodeError("more text after the list", text, _skip_space(text, end))
            raise _syntax_error(extra, "JSON", path, 1)
        return
    try:
        document, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise _syntax_error(error, "JSON", path, 1) from None
    if _skip_space(text, end) < len(text):  # more than one value: JSON Lines under the wrong name
        yield from _json_lines(io.BytesIO(data), path)
    else:
        yield from _json_document(document, text, start, path)


def _json_document(document: object, text: str, start: int, path: Path) -> Iterator[Located]:
    """An object: one around a list of rows, one of columns, or one row."""
    if isinstance(document, dict):
        lists = {key: value for key, value in document.items() if isinstance(value, list)}
    else:
        lists = {}
    around = [key for key, value in lists.items() if value and all(map(_is_row, value))]
    line = text.count("\n", 0, start) + 1
    if len(lists) == len(around) == 1:
        yield from _json_items(text, _value_start(text, start, around[0]), path)
    elif isinstance(document, dict) and len(lists) > 1 and len(lists) == len(document) and not around:
        if len({len(column) for column in lists.values()}) > 1:
            sizes = ", ".join(f"{key}: {len(column)}" for key, column in lists.items())
            raise DataError(f"{path}: columns of unequal length ({sizes})")
        for index, values in enumerate(zip(*lists.values(), strict=True), start=1):
            yield f"{path}:row {index}", dict(zip(lists, values, strict=True))
    else:
        yield _located(path, line, document)


def _is_row(value: object) -> bool:
    return isinstance(value, dict) and "role" not in value and "from" not in value  # a row, and no message


def _value_start(text: str, position: int, wanted: str) -> int:
    """Where the value of a key starts, in an object that is known to parse."""
    decoder = json.JSONDecoder()
    while True:
        key, position = decoder.raw_decode(text, _skip_space(text, position + 1))
        position = _skip_space(text, _skip_space(text, position) + 1)
        if key == wanted:
            return position
        position = _skip_space(text, decoder.raw_decode(text, position)[1])


def _json_items(text: str, position: int, path: Path) -> Generator[Located, None, int]:
    """The items of the list that opens at ``position``, one at a time, with the line where each one starts.

    Returns:
        The position behind the list.
    """
    decoder = json.JSONDecoder()
    line, counted = 1, 0
    position = _skip_space(text, position + 1)
    if text[position : position + 1] == "]":
        return position + 1
    while True:
        line, counted = line + text.count("\n", counted, position), position
        try:
            value, end = decoder.raw_decode(text, position)
            yield _located(path, line, value)
            position = _skip_space(text, end)
            if text[position : position + 1] == "]":
                return position + 1
            if text[position : position + 1] != ",":
                raise json.JSONDecodeError("Expecting ',' or ']'", text, position)
        except (ValueError, RecursionError) as error:
            first = 1 if isinstance(error, json.JSONDecodeError) else line
            raise _syntax_error(error, "JSON", path, first) from None
        position = _skip_space(text, position + 1)


def _skip_space(text: str, position: int) -> int:
    while text[position : position + 1] in (" ", "\n", "\r", "\t"):
        position += 1
    return position


# --- tables -----------------------------------------------------------------------------------------------------------


def _read_csv(path: Path) -> Iterator[Located]:
    delimiter = "\t" if suffix_of(path) == ".tsv" else ","
    if csv.field_size_limit() < _CELL_LIMIT:
        csv.field_size_limit(_CELL_LIMIT)
    with _open(path) as file, _whole(path):
        lines = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        header: list[str] | None = None
        while True:
            where = f"{path}:{reader.line_num + 1}"
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield where, RowError(f"no valid CSV: {error}", where)
                continue
            if not cells:
                continue  # a blank line
            if header is None:
                header = _header(cells, path)
            elif problem := _csv_problem(cells, header):
                yield where, RowError(problem, where)
            else:
                yield where, dict(zip(header, cells, strict=True))


def _header(cells: list[str], path: Path) -> list[str]:
    twice = sorted({name for name in cells if cells.count(name) > 1})
    if twice:
        raise DataError(f"{path}: the header names a column twice: {', '.join(twice)}")
    return cells


def _csv_problem(cells: list[str], header: list[str]) -> str | None:
    for cell in cells:
        if not cell.isascii() and any("\udc80" <= char <= "\udcff" for char in cell):
            return "bytes that are no UTF-8 text; save the file as UTF-8"
    if len(cells) != len(header):
        return f"{len(cells)} fields, but the header has {len(header)} ({', '.join(header)})"
    return None


def _read_parquet(path: Path) -> Iterator[Located]:
    import pyarrow.parquet

    with _whole(path), pyarrow.parquet.ParquetFile(path) as file:
        yield from _batches(file.iter_batches(batch_size=_BATCH_ROWS), path)


def _read_arrow(path: Path) -> Iterator[Located]:
    import pyarrow as pa

    with _whole(path), pa.memory_map(str(path)) as source:
        try:
            file = pa.ipc.open_file(source)
            batches = (file.get_batch(index) for index in range(file.num_record_batches))
        except pa.ArrowInvalid:
            source.seek(0)
            batches = iter(pa.ipc.open_stream(source))
        yield from _batches(batches, path)


def _batches(batches: Any, path: Path) -> Iterator[Located]:
    number = 0
    for batch in batches:
        for start in range(0, batch.num_rows, _BATCH_ROWS):
            for row in batch.slice(start, _BATCH_ROWS).to_pylist():
                number += 1
                yield f"{path}:{number}", row


_READERS: dict[str, Callable[[Path], Iterator[Located]]] = {
    ".jsonl": _read_jsonl,
    ".ndjson": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".parquet": _read_parquet,
    ".arrow": _read_arrow,
}
