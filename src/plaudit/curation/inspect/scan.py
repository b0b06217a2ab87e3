"""The one pass over the rows: what every row is, as numbers in a few arrays, and a uniform sample of the rows.

Memory grows with the number of rows (about 0.7 kB each, less without near-duplicates), not with their length.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.curation.inspect.lengths import TokenLengths
from plaudit.curation.inspect.row import (
    ALONE,
    CONTAMINATED,
    EMPTY,
    LEAKED,
    SAME_WHEN_CUT,
    TOO_LONG,
    ScannedRow,
)
from plaudit.curation.inspect.shared import RUN, PromptFile
from plaudit.curation.inspect.shingles import band_keys, shingles, signatures
from plaudit.curation.inspect.texts import plain, spaced
from plaudit.data import Columns, to_example
from plaudit.data.examine import OnBadRow
from plaudit.data.messages import kind as kind_of
from plaudit.data.source import open_source
from plaudit.errors import ConfigError, DataError, RowError
from plaudit.types import Example, PreferencePair, Ranking, Rating

__all__ = ["ColumnFacts", "Scan", "ScanOptions", "find_kind", "scan_preferences"]

BATCH_ROWS, BATCH_CHARACTERS = 1024, 2_000_000
_PLACE = re.compile(r"(.*?)(\d+)", re.DOTALL)


@dataclass(frozen=True)
class ScanOptions:
    """What the pass looks for beyond what costs nothing.

    Attributes:
        near: signatures for near-duplicates (0.5 kB a row).
        tokens: counts tokens and looks at truncation; None: neither.
        against: files whose prompts must not be here (`PromptFile` without ``near``).
        benchmarks: files whose prompts must not be here, nor nearly (`PromptFile` with ``near``).
        keep: how many rows are kept as a uniform sample; None: all of them.
        seed: of the sample.
    """

    near: bool = True
    tokens: TokenLengths | None = None
    against: tuple[PromptFile, ...] = ()
    benchmarks: tuple[PromptFile, ...] = ()
    keep: int | None = 20_000
    seed: int = 0


@dataclass
class ColumnFacts:
    """A column of the data: how many rows have a value there, of which types, and the first one."""

    name: str
    filled: int = 0
    types: Counter[str] = field(default_factory=Counter)
    example: Any = None

    def add(self, value: Any) -> None:
        """Counts one value."""
        if value is None or value == "":
            return
        if not self.filled:
            self.example = value
        self.filled += 1
        self.types["text" if type(value) is str else kind_of(value).removeprefix("a ").removeprefix("an ")] += 1


@dataclass
class Scan:
    """What the pass found. Arrays have one entry for each good row, in order; side 0 is the preferred one. A rating has
    its response as both sides, a ranking its best and its worst.

    Attributes:
        name, kind: of the source; pairs, ratings or rankings. ``mapping``: names of its columns, as used.
        rows, bad, problems: rows read, those that could not be used, and the first messages about them.
        columns: facts about the columns, in order.
        index: which of the rows read it is, from 0.
        prompts: (N,) keys of the normalised prompts.
        sides: (N, 2) keys of the sides, white space aside; of ratings and rankings twice that of all responses.
        labels: (N,) keys of the labels of ratings and rankings.
        flags: (N,) bits.
        near: (N,) why the sides are near-identical, a place in `NEAR_REASONS`.
        artefacts: (N,) masks over `ARTEFACTS`.
        characters, tokens: (N, 3) of prompt and sides; tokens are counted word by word, (0, 3) without a tokenizer.
        marks: (N, 2) markdown of each side, bits of `MARKS`.
        positions: (N,) 1 where the preferred side stood first, 2 second, 0 unknown.
        sources: (N,) places in ``source_names``; -1: the row has none.
        buckets, signatures: for near-duplicates.
        near_benchmark: row -> place of a benchmark -> where it says nearly the same.
        kept: the sample, as (row, example) in order.
        languages: (N, 3) places in ``language_names`` of prompt and sides; -1: not said. Empty until it is filled.
        noise: row -> posterior of being flipped, once it was asked.
    """

    name: str
    kind: str
    mapping: Columns
    options: ScanOptions
    rows: int = 0
    bad: int = 0
    problems: list[str] = field(default_factory=list)
    columns: dict[str, ColumnFacts] = field(default_factory=dict)
    prefixes: list[str] = field(default_factory=list)
    source_names: list[str] = field(default_factory=list)
    near_benchmark: dict[int, dict[int, str]] = field(default_factory=dict)
    kept: list[tuple[int, Example]] = field(default_factory=list)
    language_names: list[str] = field(default_factory=list)
    noise: dict[int, float] = field(default_factory=dict)
    arrays: dict[str, npt.NDArray[Any]] = field(default_factory=dict)

    def __getattr__(self, name: str) -> npt.NDArray[Any]:
        arrays = self.__dict__.get("arrays", {})
        if name not in arrays:
            raise AttributeError(name)
        found: npt.NDArray[Any] = arrays[name]
        return found

    def __len__(self) -> int:
        return len(self.arrays["index"])

    def location(self, row: int) -> str:
        """``file:line`` of a good row."""
        return f"{self.prefixes[self.arrays['prefix'][row]]}{self.arrays['number'][row]}"

    def has(self, bit: int) -> npt.NDArray[np.bool_]:
        """(N,) which rows have a bit of ``flags``."""
        return (self.arrays["flags"] & bit) > 0


def find_kind(row: Mapping[str, Any], columns: Columns = Columns()) -> str:  # noqa: B008
    """What rows like this one are: ``pairs``, ``ratings`` or ``rankings``.

    Raises:
        DataError: it is none of them; says what to do.
    """
    if columns.kind != "pairs":
        return columns.kind
    named = {"ratings": (columns.response, columns.score), "rankings": (columns.responses, columns.ranks)}
    for kind, names in named.items():
        if any(names):
            return kind
    if columns.find_tokenised(row) or all(columns.find(name, row) for name in ("chosen", "rejected")):
        return "pairs"
    if columns.find("responses", row) and columns.find("ranks", row):
        return "rankings"
    if columns.find("response", row) and columns.find("score", row):
        return "ratings"
    raise DataError(
        f"neither pairs (chosen, rejected) nor ratings (response, score) nor rankings (responses, ranks): the columns "
        f"are {', '.join(map(str, row))}; name the columns, or bring the rows into shape with plaudit data convert"
    )


def as_example(item: Any, columns: Columns, location: str) -> Example:
    """What a source gives, as an example.

    Raises:
        RowError: it is none, or cannot be read.
    """
    if isinstance(item, RowError):
        raise item
    if isinstance(item, (PreferencePair, Rating, Ranking)):
        return item.example(group="")
    if isinstance(item, Example):
        return item
    if not isinstance(item, Mapping):
        raise RowError(f"the row is {kind_of(item)}; expected an object or an Example", location)
    return to_example(item, columns, location)


def scan_preferences(
    source: Any,
    *,
    columns: Columns | None = None,
    split: str | None = None,
    options: ScanOptions = ScanOptions(),
    on_bad_row: OnBadRow = "error",
    progress: Callable[[int], None] | None = None,
) -> Scan:
    """Reads every row once.

    Args:
        source: what `plaudit.load_preferences` takes.
        columns: names of columns, found by convention where None; the kind is found by the first row, unless it says
            ratings or rankings.
        split: as in `plaudit.load_preferences`.
        options: what to look for.
        on_bad_row: ``"error"`` stops at the first row that cannot be used; ``"skip"`` counts them.
        progress: called with the number of rows done since the last call.

    Raises:
        DataError: the source cannot be used, or has no good row.
        RowError: a bad row, with its place.
    """
    if on_bad_row not in ("error", "skip"):
        raise ConfigError(f"on_bad_row is {on_bad_row!r}; expected 'error' or 'skip'")
    opened = open_source(source, split=split)
    return _Pass(Scan(opened.name, "", columns or Columns(), options), on_bad_row, progress).run(opened.read())


class _Pass:
    def __init__(self, scan: Scan, on_bad_row: OnBadRow, progress: Callable[[int], None] | None) -> None:
        self.scan, self.on_bad_row, self.progress = scan, on_bad_row, progress
        self.blocks: dict[str, list[npt.NDArray[Any]]] = {}
        self.random = random.Random(scan.options.seed)
        self.prefix_ids: dict[str, int] = {}
        self.source_ids: dict[str, int] = {}
        self.seen: set[int] = set()
        self.count = 0
        self.calibrated = False

    def run(self, items: Iterable[tuple[str, Any]]) -> Scan:
        batch: list[ScannedRow] = []
        size = done = 0
        for row in self._good(items):
            batch.append(row)
            size += sum(map(len, row.texts))
            self._keep(row)
            self.count += 1
            if len(batch) == BATCH_ROWS or size > BATCH_CHARACTERS:
                self._finish(batch)
                batch, size = [], 0
                if self.progress is not None:
                    self.progress(self.scan.rows - done)
                    done = self.scan.rows
        self._finish(batch)
        if self.progress is not None:
            self.progress(self.scan.rows - done)
        if not self.count:
            what = f"{self.scan.rows:,} rows read, none can be used" if self.scan.rows else "it is empty"
            raise DataError(f"no data in {self.scan.name}: {'; '.join([what, *self.scan.problems])}")
        for name in list(self.blocks):
            self.scan.arrays[name] = np.concatenate(self.blocks.pop(name))
        self.scan.kept.sort(key=lambda pair: pair[0])
        self.scan.source_names = list(self.source_ids)
        self.scan.prefixes = list(self.prefix_ids)
        return self.scan

    # -- rows --------------------------------------------------------------------------------------------------------

    def _good(self, items: Iterable[tuple[str, Any]]) -> Iterator[ScannedRow]:
        scan = self.scan
        for location, item in items:
            scan.rows += 1
            try:
                yield self._row(location, item)
            except RowError as error:
                if self.on_bad_row == "error":
                    raise
                scan.bad += 1
                if len(scan.problems) < 5:
                    scan.problems.append(str(error))

    def _row(self, location: str, item: Any) -> ScannedRow:
        row = item if isinstance(item, Mapping) else {}
        for name, value in row.items():
            facts = self.scan.columns.get(name)
            if facts is None:
                facts = self.scan.columns[name] = ColumnFacts(str(name))
            facts.add(value)
        if row and not self.scan.kind:
            self._set_kind(find_kind(row, self.scan.mapping))
        example = as_example(item, self.scan.mapping, location)
        if not self.scan.kind:
            self._set_kind({1: "ratings", 2: "pairs"}.get(len(example.labels), "rankings"))
        if example.input_ids is not None:
            raise RowError("the row holds token ids; texts are needed to look at them", location)
        try:
            return ScannedRow(example, self.scan.kind, example.location or location, self.scan.rows - 1, row)
        except UnicodeEncodeError as error:
            half = f"\\u{ord(error.object[error.start]):04x}"
            raise RowError(f"the text holds {half}, half of a surrogate pair, which is no text", location) from None

    def _set_kind(self, kind: str) -> None:
        self.scan.kind, self.scan.mapping = kind, replace(self.scan.mapping, kind=kind)  # type: ignore[arg-type]

    def _keep(self, row: ScannedRow) -> None:
        """Reservoir sampling (Vitter 1985, algorithm R)."""
        kept, keep = self.scan.kept, self.scan.options.keep
        if keep is None or len(kept) < keep:
            kept.append((self.count, row.example))
        elif (place := self.random.randrange(self.count + 1)) < keep:
            kept[place] = (self.count, row.example)

    # -- batches -----------------------------------------------------------------------------------------------------

    def _finish(self, batch: list[ScannedRow]) -> None:
        if not batch:
            return
        options, first = self.scan.options, self.count - len(batch)
        places = [self._place(row.location) for row in batch]
        self._add("prefix", [place[0] for place in places], np.int32)
        self._add("number", [place[1] for place in places], np.int64)
        self._add("index", [row.index for row in batch], np.int64)
        self._add("prompts", [row.prompt_key for row in batch], np.uint64)
        self._add("sides", [row.side_keys for row in batch], np.uint64)
        self._add("labels", [row.label_key for row in batch], np.uint64)
        self._add("characters", [tuple(map(len, row.texts)) for row in batch], np.int32)
        self._add("marks", [row.marks for row in batch], np.uint8)
        self._add("positions", [row.position for row in batch], np.int8)
        self._add("sources", [self._source(row.example.source) for row in batch], np.int32)
        specials = options.tokens.special_tokens if options.tokens else ()
        self._add("artefacts", [row.artefacts(specials) for row in batch], np.uint8)
        self._add("near", [row.near for row in batch], np.uint8)
        if options.near:
            self._sign(batch)
        if options.tokens is not None:
            self._measure(batch, options.tokens)
        self._share(batch, first)
        self._add("flags", [row.flags for row in batch], np.uint16)

    def _add(self, name: str, values: Any, kind: Any) -> None:
        self.blocks.setdefault(name, []).append(np.asarray(values, dtype=kind))

    def _place(self, location: str) -> tuple[int, int]:
        match = _PLACE.fullmatch(location)
        prefix, number = (match[1], int(match[2])) if match else (f"{location} ", self.count)
        return self.prefix_ids.setdefault(prefix, len(self.prefix_ids)), number

    def _source(self, name: str | None) -> int:
        return -1 if name is None else self.source_ids.setdefault(name, len(self.source_ids))

    def _sign(self, batch: list[ScannedRow]) -> None:
        texts = [spaced(text) for place in range(3) for text in (row.normal[place] for row in batch)]
        signed = signatures(*shingles(texts)).reshape(3, len(batch), -1)
        self._add("buckets", band_keys(np.minimum(signed[1], signed[2]), signed[0]), np.uint64)
        self._add("signatures", signed.transpose(1, 0, 2) & np.uint32(0xFFFF), np.uint16)

    def _measure(self, batch: list[ScannedRow], tokens: TokenLengths) -> None:
        from plaudit.formatting import RenderItem

        counts = tokens.count([text for row in batch for text in row.texts]).reshape(-1, 3)
        if not self.calibrated:
            items = [RenderItem.of(row.example)[0] for row in batch]
            kept = [text == plain(item.response) for text, item in zip((row.texts[1] for row in batch), items)]
            pairs = [
                (item, int(count[0] + count[1])) for item, count, same in zip(items, counts, kept, strict=True) if same
            ]
            tokens.calibrate([item for item, _ in pairs], [count for _, count in pairs])
            self.calibrated = True
        for row, count in zip(batch, counts.tolist(), strict=True):
            if row.flags & EMPTY:
                continue
            measure = tokens.measure(row.example.prompt, row.sides, count, row.example)
            row.flags |= TOO_LONG * measure.too_long | ALONE * measure.alone
            row.flags |= SAME_WHEN_CUT * (measure.identical and self.scan.kind == "pairs")
        self._add("tokens", counts, np.int32)

    def _share(self, batch: list[ScannedRow], first: int) -> None:
        """Which prompts other files have, too."""
        options = self.scan.options
        if not options.against and not options.benchmarks:
            return
        asked = []
        for place, row in enumerate(batch):
            if row.example.prompt is not None:
                row.flags |= LEAKED * any(row.prompt_key in file.places for file in options.against)
                row.flags |= CONTAMINATED * any(row.prompt_key in file.places for file in options.benchmarks)
                asked.append((first + place, row))
        if not asked or not options.benchmarks:
            return
        hashes, starts = shingles([spaced(row.normal[0]) for _, row in asked], RUN)
        for place, (number, row) in enumerate(asked):
            mine = hashes[starts[place] : starts[place + 1]]
            for which, file in enumerate(options.benchmarks):
                near = None if row.prompt_key in file.places else file.nearest(mine)
                if near is not None:
                    self.scan.near_benchmark.setdefault(number, {})[which] = near
