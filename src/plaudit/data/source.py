"""Where rows come from: finds out what the user meant by a source and a split, and opens it.

A file, a folder of files, a folder written by ``Dataset.save_to_disk``, the id of a Hub data set, a data set or rows in
memory. Knows nothing of what a row means.
"""

from __future__ import annotations

import itertools
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from plaudit.data.read import SUFFIXES, count_rows, data_files, read_rows, suffix_of
from plaudit.errors import DataError, PlauditError
from plaudit.registry import suggest

if TYPE_CHECKING:
    import datasets

__all__ = ["Item", "Source", "SplitSlice", "open_source", "parse_split"]

Item: TypeAlias = tuple[str, Any]
"""Location and what is there: a mapping, an `Example`, a `PreferencePair`, or the `RowError` of a broken row."""

_SLICE = re.compile(r"(?P<name>[^\[\]]*)(\[(?P<start>-?\d+%?)?:(?P<stop>-?\d+%?)?\])?")
_HUB_ID = re.compile(r"[\w.-]+(/[\w.-]+)?(:[\w.-]+)?")
_SHARD = re.compile(r"-\d{5}-of-\d{5}(-[0-9a-f]+)?$")
_NUMBERED = re.compile(r"[-_.]\d+$")
_SPLIT_NAMES = {"train", "training", "test", "testing", "validation", "valid", "val", "dev", "eval", "evaluation"}


@dataclass(frozen=True)
class SplitSlice:
    """``name[start:stop]`` as in the ``datasets`` library; a bound is None, ``(number, "")`` or ``(number, "%")``."""

    name: str
    start: tuple[int, str] | None = None
    stop: tuple[int, str] | None = None

    @property
    def is_whole(self) -> bool:
        """No bounds."""
        return self.start is None and self.stop is None

    @property
    def needs_count(self) -> bool:
        """A bound counts from the end, or in per cent."""
        return any(bound is not None and (bound[0] < 0 or bound[1] == "%") for bound in (self.start, self.stop))

    def bounds(self, count: int) -> tuple[int, int]:
        """First row and the row behind the last one, of ``count`` rows; bounds beyond the end are cut to it."""
        return _position(self.start, count, 0), _position(self.stop, count, count)

    def apply(self, rows: Iterable[Item], count: Callable[[], int] | None) -> Iterator[Item]:
        """The rows inside the bounds."""
        if self.is_whole:
            return iter(rows)
        if not self.needs_count:
            return itertools.islice(rows, self.start[0] if self.start else 0, self.stop[0] if self.stop else None)
        if count is None:
            raise DataError(
                f"the bounds of split {self.name!r} need the number of rows, which is not known here; "
                "use absolute numbers counted from the start, like train[:1000]"
            )
        return itertools.islice(rows, *self.bounds(count()))


def _position(bound: tuple[int, str] | None, count: int, default: int) -> int:
    if bound is None:
        return default
    number, unit = bound
    position = round(number * count / 100) if unit else number
    return min(max(position + count if position < 0 else position, 0), count)


def parse_split(text: str | None) -> SplitSlice:
    """``train``, ``train[:5%]``, ``train[10:20]``, ``[-10%:]`` -> `SplitSlice`; None is the whole of everything."""
    match = _SLICE.fullmatch((text or "").strip())
    if match is None:
        raise DataError(
            f"cannot read the split {text!r}; expected a name and bounds like train, train[:5%] or train[10:20]"
        )
    bounds = []
    for key in ("start", "stop"):
        written = match[key]
        number = int(written.rstrip("%")) if written else 0
        if written and written.endswith("%") and abs(number) > 100:
            raise DataError(f"the split {text!r} asks for {written}; per cent go from -100 to 100")
        bounds.append((number, "%" if written.endswith("%") else "") if written else None)
    return SplitSlice(match["name"].strip(), *bounds)


@dataclass(frozen=True)
class Source:
    """An opened source: what to call it, and a function that reads it from the start."""

    name: str
    read: Callable[[], Iterator[Item]]


def open_source(
    source: Any, *, split: str | None = None, revision: str | None = None, streaming: bool = False
) -> Source:
    """What the user meant by ``source``.

    Args:
        source: path, Hub id (``owner/name``, or ``owner/name:config``), data set of the ``datasets`` library, or an
            iterable of mappings, `Example` or `PreferencePair`.
        split: name and bounds, in the syntax of the ``datasets`` library.
        revision: branch, tag or commit of a Hub data set.
        streaming: read a Hub data set row by row, without downloading it first.

    Raises:
        DataError: there is no such thing, or no such split of it.
    """
    is_path = isinstance(source, Path)
    if not isinstance(source, (str, Path)):
        opened = _open_memory(source, split)
    elif Path(source).expanduser().exists():
        opened = _open_local(Path(source).expanduser(), split)
    elif is_path or _looks_like_path(str(source)):
        path = Path(source).expanduser()
        next(read_rows(path), None)  # raises the error of a missing file, with what is there
        raise DataError(f"no such file: {path}")
    else:
        return _open_hub(str(source), split, revision, streaming)
    if revision is not None:
        raise DataError(f"revision {revision!r} has no effect: {opened.name} is not on the Hub; leave it out")
    return opened


def _looks_like_path(text: str) -> bool:
    known = any(text.lower().endswith(suffix) for suffix in SUFFIXES)
    return known or text[:1] in (".", "/", "~") or text.count(os.sep) > 1 or _HUB_ID.fullmatch(text) is None


# --- files ------------------------------------------------------------------------------------------------------------


def _open_local(path: Path, split: str | None) -> Source:
    if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
        import datasets

        return _open_memory(datasets.load_from_disk(str(path)), split, str(path))
    part = parse_split(split)
    files = _split_files(path, part.name) if path.is_dir() else [path]
    if path.is_file() and part.name not in ("", "train", _split_name(path)):
        raise DataError(f"{path} is one file, so there is no split {part.name!r}; leave the split out, or write train")

    def rows() -> Iterator[Item]:
        return itertools.chain.from_iterable(read_rows(file) for file in files)

    return Source(str(path), lambda: part.apply(rows(), lambda: sum(map(count_rows, files))))


def _split_files(folder: Path, name: str) -> list[Path]:
    """The files of one split; all of them where their names tell of no splits."""
    splits: dict[str, list[Path]] = {}
    for file in data_files(folder):
        splits.setdefault(_split_name(file) or "", []).append(file)
    listed = ", ".join(sorted(key or "(others)" for key in splits))
    if not name and len(splits) > 1:
        raise DataError(f"{folder} holds several splits: {listed}; name one with split (--split NAME)")
    if not name:
        return next(iter(splits.values()))
    matching = [key for key in splits if key == name]
    matching = matching or [key for key in splits if re.match(rf"{re.escape(name)}[-_.]", key)]
    matching = matching or [key for key in splits if key == "" and name == "train"]
    if len(matching) != 1:
        found = f"several splits start with {name!r}" if matching else f"no split {name!r}{suggest(name, list(splits))}"
        raise DataError(f"{folder}: {found}; it holds: {listed}")
    return splits[matching[0]]


def _split_name(file: Path) -> str | None:
    """The split that a name tells of: ``train.jsonl``, ``test_prefs-00000-of-00001.parquet``, ``train-2.csv``."""
    stem = file.name[: -len(suffix_of(file) or "")]
    bare = _NUMBERED.sub("", _SHARD.sub("", stem))
    is_split = _SHARD.search(stem) is not None or re.split(r"[-_.]", bare)[0].lower() in _SPLIT_NAMES
    return bare if is_split else None


# --- the Hub and memory -----------------------------------------------------------------------------------------------


def _open_hub(name: str, split: str | None, revision: str | None, streaming: bool) -> Source:
    import datasets

    repo, _, config = name.partition(":")
    part = parse_split(split) if streaming else SplitSlice(split or "train")
    wanted = part.name or "train"
    try:
        loaded = datasets.load_dataset(repo, config or None, split=wanted, revision=revision, streaming=streaming)
    except Exception as error:  # network, permission, missing split or config, broken files: all kinds
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"cannot load {name!r}, split {wanted!r}: there is no such file or folder here, "
            f"and as a data set of the Hugging Face Hub: {reason}"
        ) from error
    return Source(name, lambda: part.apply(_guarded(loaded, f"{name}[{wanted}]:"), None))


def _guarded(rows: Iterable[Any], prefix: str) -> Iterator[Item]:
    """The rows with their numbers; a failure while reading (the network, a broken file) is a `DataError`."""
    iterator = iter(rows)
    for number in itertools.count(1):
        try:
            row = next(iterator)
        except StopIteration:
            return
        except PlauditError:
            raise
        except Exception as error:
            raise DataError(f"{prefix}{number}: reading failed: {error}") from error
        yield f"{prefix}{number}", row


def _open_memory(source: Any, split: str | None, path: str | None = None) -> Source:
    name = path or "data in memory"
    if _is_dataset_dict(source):
        source, split = _pick_split(source, split, name)
    if isinstance(source, Mapping):
        raise DataError(
            "expected rows, got one mapping; for columns of lists write datasets.Dataset.from_dict(...), "
            "for a single row put it in a list"
        )
    if not isinstance(source, Iterable):
        raise DataError(f"expected a path, a Hub id, a data set or rows; got {type(source).__name__}")
    part = parse_split(split)
    if part.name not in ("", "train", str(getattr(source, "split", None) or "")):
        raise DataError(f"these are rows in memory, so there is no split {part.name!r}; leave the split out")
    rows = _unformatted(source)
    count = source.__len__ if isinstance(source, Sized) else None
    prefix = f"{path}:" if path else "row "
    return Source(name, lambda: part.apply(_guarded(rows, prefix), count))


def _is_dataset_dict(source: object) -> bool:
    loaded = sys.modules.get("datasets")  # nothing can be a data set before that is imported
    return loaded is not None and isinstance(source, (loaded.DatasetDict, loaded.IterableDatasetDict))


def _unformatted(rows: Any) -> Iterable[Any]:
    """A data set may be set to give tensors; here it gives plain Python."""
    loaded = sys.modules.get("datasets")
    is_dataset = loaded is not None and isinstance(rows, loaded.Dataset)
    return cast("Iterable[Any]", rows.with_format(None) if is_dataset else rows)


def _pick_split(splits: Mapping[str, datasets.Dataset], split: str | None, name: str) -> tuple[Any, str | None]:
    part = parse_split(split)
    known = sorted(splits)
    if not part.name and len(known) > 1:
        raise DataError(f"{name} holds several splits: {', '.join(known)}; name one with split (--split NAME)")
    wanted = part.name or known[0]
    if wanted not in splits:
        raise DataError(f"{name}: no split {wanted!r}{suggest(wanted, known)}; it holds: {', '.join(known)}")
    return splits[wanted], None if split is None else split[split.find("[") :] if "[" in split else None
