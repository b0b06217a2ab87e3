"""Loads preference data: any source -> checked, counted, de-duplicated examples on disk.

Rows are written to an Arrow file in a private temporary folder while they are read, and opened memory-mapped, so a
million pairs never sit in memory. Knows nothing of tokens; a row that is too long for a model is not this module's
business.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from plaudit.data.columns import Columns
from plaudit.data.examine import DataReport, Examiner, OnBadRow
from plaudit.data.source import open_source
from plaudit.data.split import split_data
from plaudit.data.store import Store, fingerprint, row_schema
from plaudit.errors import ConfigError, DataError
from plaudit.types import Example, PreferencePair

if TYPE_CHECKING:
    import datasets

__all__ = [
    "DataReport",
    "PreferenceData",
    "PreferenceSource",
    "PreferenceStream",
    "load_preferences",
    "stream_preferences",
]

PreferenceSource: TypeAlias = "str | Path | Iterable[Mapping[str, Any] | Example | PreferencePair]"
"""A path, a Hub id, a data set of the ``datasets`` library, or rows."""


class PreferenceData:
    """Loaded examples: ``len``, iteration and indexing give `Example`.

    Attributes:
        dataset: a memory-mapped ``datasets.Dataset`` with the columns of `Example.to_row`. Its file lives as long as
            this object or one that was selected from it: keep one of them while you use the data set.
        report: what loading did.
    """

    def __init__(self, dataset: datasets.Dataset, report: DataReport, hashes: npt.NDArray[np.uint64], store: Store):
        self.dataset = dataset
        self.report = report
        self._hashes = hashes
        self._store = store

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[Example]:
        for row in self.dataset:
            yield Example.from_row(row)

    def __getitem__(self, index: int) -> Example:
        return Example.from_row(self.dataset[int(index)])

    def groups(self) -> list[str]:
        """The split key of each row."""
        return self._column("group")

    def select(self, indices: Iterable[int]) -> PreferenceData:
        """The rows at ``indices``, in that order; nothing is copied. Its report counts these rows only."""
        chosen = np.fromiter(indices, dtype=np.int64)
        hashes = self._hashes[chosen]
        selected = PreferenceData(self.dataset.select(chosen), DataReport(), hashes, self._store)
        sources = Counter(source for source in selected._column("source") if source is not None)
        selected.report = DataReport(
            rows=len(chosen), kept=len(chosen), sources=dict(sources), fingerprint=fingerprint(hashes)
        )
        return selected

    def split(self, test_fraction: float, seed: int = 0) -> tuple[PreferenceData, PreferenceData]:
        """(train, test) by prompt; see `plaudit.data.split.split_data`."""
        return split_data(self, test_fraction, seed)

    def _column(self, name: str) -> list[Any]:
        return list(self.dataset.select_columns([name])[:][name])


class PreferenceStream:
    """Examples read anew on every pass, nothing stored. Iteration gives `Example`.

    Attributes:
        report: what the pass that runs, or ran last, did so far (in the process that runs it).
    """

    def __init__(self, examine: Examiner, source: PreferenceSource, options: dict[str, Any], limit: int | None):
        self._examine = examine
        self._source = source
        self._options = options
        self._limit = limit
        self.report = DataReport()

    def __iter__(self) -> Iterator[Example]:
        return map(Example.from_row, self.rows())

    def rows(self) -> Iterator[dict[str, Any]]:
        """One pass, as rows of `Example.to_row`."""
        report = self.report = DataReport()
        opened = open_source(self._source, streaming=True, **self._options)
        running = hashlib.sha256()
        for row, content in self._examine(opened.read(), report):
            running.update(content.to_bytes(8, "little"))
            report.fingerprint = running.hexdigest()[:16]
            yield row
            if report.kept == self._limit:
                return
        _check_not_empty(report, opened.name)

    @property
    def dataset(self) -> datasets.IterableDataset:
        """The stream as a ``datasets.IterableDataset`` with the columns of `Example.to_row`."""
        import datasets

        return datasets.IterableDataset.from_generator(
            self.rows, features=datasets.Features.from_arrow_schema(row_schema())
        )


def load_preferences(
    source: PreferenceSource,
    *,
    split: str | None = None,
    columns: Columns | None = None,
    max_samples: int | None = None,
    seed: int = 0,
    on_bad_row: OnBadRow = "error",
    revision: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> PreferenceData:
    """Loads, converts and checks preference pairs.

    Args:
        source: file, folder, Hub id, data set, or rows (mappings, `PreferencePair`, `Example`).
        split: ``train``, ``train[:5%]``, ``train[10:20]``; for local files the name is that of a file.
        columns: names of columns; by default they are found by convention.
        max_samples: keep a uniform random sample of at most this many good rows, in their order.
        seed: of that sample.
        on_bad_row: ``"error"`` stops at the first row that cannot be used; ``"skip"`` counts them.
        revision: branch, tag or commit, for the Hub only.
        progress: called with the number of rows read, about every 1,000 rows.

    Raises:
        DataError: the source cannot be used, or no row is left (the message says where they went).
        RowError: a bad row, with its file and line.
    """
    _check_options(max_samples, on_bad_row)
    opened = open_source(source, split=split, revision=revision)
    report, store = DataReport(), Store()
    hashes = store.write(Examiner(columns or Columns(), on_bad_row, progress)(opened.read(), report))
    _check_not_empty(report, opened.name)
    report.fingerprint = fingerprint(hashes)
    data = PreferenceData(store.open(), report, hashes, store)
    if max_samples is not None and len(data) > max_samples:
        data = data.select(sorted(random.Random(seed).sample(range(len(data)), max_samples)))
        data.report = replace(
            report,
            kept=max_samples,
            over_limit=report.kept - max_samples,
            sources=data.report.sources,
            fingerprint=data.report.fingerprint,
        )
    return data


def stream_preferences(
    source: PreferenceSource,
    *,
    split: str | None = None,
    columns: Columns | None = None,
    max_samples: int | None = None,
    on_bad_row: OnBadRow = "error",
    revision: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> PreferenceStream:
    """As `load_preferences`, but lazily, with nothing stored; ``max_samples`` takes the first good rows.

    Raises:
        DataError: the source cannot be used; later, during a pass, what `load_preferences` raises.
    """
    _check_options(max_samples, on_bad_row)
    if isinstance(source, Iterator):
        raise DataError("an iterator can be read only once; pass a list, a file, or use load_preferences")
    options = {"split": split, "revision": revision}
    open_source(source, streaming=True, **options)  # complain now, not at the first row
    return PreferenceStream(Examiner(columns or Columns(), on_bad_row, progress), source, options, max_samples)


def _check_options(max_samples: int | None, on_bad_row: str) -> None:
    if max_samples is not None and max_samples < 1:
        raise ConfigError(f"max_samples is {max_samples}; expected a number from 1, or None for all rows")
    if on_bad_row not in ("error", "skip"):
        raise ConfigError(f"on_bad_row is {on_bad_row!r}; expected 'error' or 'skip'")


def _check_not_empty(report: DataReport, name: str) -> None:
    if not report.kept:
        raise DataError(f"no data in {name}: {'; '.join(line.strip() for line in report.lines())}")
