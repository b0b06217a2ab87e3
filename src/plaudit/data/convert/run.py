"""One pass of a conversion: open, find out the shape, read rows into records, pair or rank them, make target rows.

Memory holds one row, or, for ratings, the rows of one prompt (`grouping`); what a file format itself reads at once
(JSON: the whole file) comes on top.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from plaudit.data.columns import Columns
from plaudit.data.convert.ab import check_evidence, evidence_in
from plaudit.data.convert.grouping import grouped
from plaudit.data.convert.options import HARD, PAIRED, TARGETS, ConvertOptions
from plaudit.data.convert.ratings import (
    group_from_members,
    group_key,
    pairs_of_group,
    ranking_of_group,
    ratings_of_group,
)
from plaudit.data.convert.records import Record
from plaudit.data.convert.report import Conversion, ConvertReport, Guard, Row
from plaudit.data.convert.shapes import SHAPES, Shape, check_names, detect, shape_called
from plaudit.data.convert.targets import OUTPUT_COLUMNS, pair_rows, rating_rows
from plaudit.data.messages import kind
from plaudit.data.source import Item, open_source
from plaudit.data.write import size_of
from plaudit.errors import ConfigError, DataError, RowError

__all__ = ["Pass", "start"]

_PEEKED_ROWS = 50
_PROGRESS_ROWS = 100
_PEEKED_CHARACTERS = 2**22
_REACHES = {
    "pairs": PAIRED,
    "ratings": (*PAIRED, "rankings", "ratings"),
    "groups": (*PAIRED, "rankings", "ratings"),
    "dialogues": ("messages",),
}
"""What a shape's kind can become."""


def start(
    source: Any,
    *,
    shape: str,
    to: str | None,
    options: ConvertOptions,
    on_bad_row: Literal["error", "skip"],
    split: str | None,
    progress: Callable[[int], None] | None,
) -> Conversion:
    """The conversion, its options checked as far as they can be before a row is read."""
    if on_bad_row not in ("error", "skip"):
        raise ConfigError(f"on_bad_row is {on_bad_row!r}; expected 'error' or 'skip'")
    if to is not None and to not in TARGETS:
        raise ConfigError(f"--to is {to!r}; expected one of {', '.join(TARGETS)}")
    name = None if shape == "auto" else shape_called(shape)
    if name is not None:
        _checked(name, to, options)
    opened = open_source(source, split=split, streaming=True)

    def convert(report: ConvertReport) -> Iterator[Row]:
        work = Pass(opened.name, options, report, Guard(report, on_bad_row), progress)
        return work.convert(opened.read(), name, to)

    return Conversion(opened.name, convert)


def _checked(shape: str, to: str | None, options: ConvertOptions) -> str:
    """The target, where everything that was asked for has an effect on the shape."""
    kind_of = SHAPES[shape].kind
    to = to or ("messages" if kind_of == "dialogues" else "pairs")
    if to not in _REACHES[kind_of]:
        raise ConfigError(f"{shape} rows cannot become {to}; they become {', '.join(_REACHES[kind_of])}")
    single = _stays_single(kind_of, to)
    options.check(shape, SHAPES[shape].effects, to, paired=to != "rankings" and not single)
    if single and options.ties is not None:
        raise ConfigError(f"--ties: no effect on {shape} rows that become {to}: each is a row of its own; leave it out")
    check_names(shape, options)
    for name in options.keep:
        if name in OUTPUT_COLUMNS[to]:
            raise ConfigError(f"--keep {name}: rows of {to} have such a column already; leave it out")
    return to


def _stays_single(kind_of: str, to: str) -> bool:
    """Whether each rating becomes a row of its own, so that nothing is compared."""
    return to == "ratings" or (to == "kto" and kind_of == "ratings")


@dataclass
class Pass:
    """One pass over the rows of a source."""

    name: str
    options: ConvertOptions
    report: ConvertReport
    guard: Guard
    progress: Callable[[int], None] | None

    def convert(self, items: Iterable[Item], name: str | None, to: str | None) -> Iterator[Row]:
        """The rows of the target."""
        head, items = self._peek(iter(items))
        if name is None:
            name = detect(head, self.options, self.name)
            self.report.settings["shape"] = f"found by the columns: {SHAPES[name].what}"
        shape, to = SHAPES[name], _checked(name, to, self.options)
        self.report.shape, self.report.to = name, to
        self._settle(name, shape, head)
        records = self._records(items, shape)
        if shape.kind == "dialogues":
            for record in records:
                yield {key: record[key] for key in ("messages", "source") if key in record} | record["keep"]
        elif shape.kind == "pairs":
            yield from self._from_pairs(records, to)
        elif _stays_single(shape.kind, to):
            yield from self._from_ratings(records, shape, to)
        else:
            yield from self._from_groups(records if shape.kind == "groups" else self._groups(records), to)

    def _peek(self, items: Iterator[Item]) -> tuple[list[Mapping[str, Any]], Iterator[Item]]:
        """The first good rows, and all of them."""
        taken: list[Item] = []
        rows: list[Mapping[str, Any]] = []
        characters = 0
        for item in items:
            taken.append(item)
            if isinstance(item[1], Mapping):
                rows.append(item[1])
                characters += size_of(item[1])
            if len(taken) >= _PEEKED_ROWS or characters > _PEEKED_CHARACTERS:
                break
        if not taken:
            raise DataError(f"no data in {self.name}: 0 rows read")
        return rows, itertools.chain(taken, items)

    def _settle(self, name: str, shape: Shape, head: list[Mapping[str, Any]]) -> None:
        """What is chosen once for all rows."""
        if not shape.system and self.options.columns.system is None:
            self.options = replace(self.options, columns=replace(self.options.columns, system=""))
        if name == "ab":
            evidence = self.options.evidence or (evidence_in(head[0], self.options) if head else None)
            if evidence is not None:
                check_evidence(evidence, self.options)
                if self.options.evidence is None:
                    self.report.settings["evidence"] = evidence
                self.options = replace(self.options, evidence=evidence)
        if head:
            used = {*shape.uses(head[0], self.options), *self.options.keep, "soft_label_std"}
            for field in shape.columns:
                found = None if field == "group_by" else _find(self.options.columns, field, head[0])
                used |= {found} if found else set()
            if self.report.to in HARD and "source" not in self.options.keep:
                used.discard(_find(self.options.columns, "source", head[0]) or "")
            self.report.left_out = [str(key) for key in head[0] if key not in used]

    def _records(self, items: Iterable[Item], shape: Shape) -> Iterator[Record]:
        for location, item in items:
            self.report.rows += 1
            if self.progress is not None and self.report.rows % _PROGRESS_ROWS == 0:
                self.progress(_PROGRESS_ROWS)
            record = self.guard(location, self._record, item, location, shape)
            if record is not None:
                yield record
        if self.progress is not None:
            self.progress(self.report.rows % _PROGRESS_ROWS)

    def _record(self, item: object, location: str, shape: Shape) -> Record:
        if isinstance(item, RowError):
            raise item
        if not isinstance(item, Mapping):
            raise RowError(f"the row is {kind(item)}; expected an object")
        record = shape.parse(item, self.options) | {"at": location}
        if shape.kind == "ratings" and not _stays_single(shape.kind, self.report.to):
            record["key"] = group_key(record, item, self.options)
        if (note := record.pop("note", None)) is not None:
            self.report.note(note)
        return record

    def _groups(self, records: Iterator[Record]) -> Iterator[Record]:
        for members in grouped((record.pop("key"), record) for record in records):
            group = self.guard(members[0]["at"], group_from_members, members, self.options)
            if group is not None:
                yield group

    def _from_pairs(self, records: Iterable[Record], to: str) -> Iterator[Row]:
        for record in records:
            yield from self.guard(record["at"], self._pair_rows, record, to) or ()

    def _pair_rows(self, record: Record, to: str) -> list[Row]:
        return list(pair_rows(record, to, self.options, self.report))

    def _from_groups(self, groups: Iterable[Record], to: str) -> Iterator[Row]:
        for group in groups:
            if to != "rankings":
                yield from self._from_pairs(pairs_of_group(group, self.options, self.report), to)
                continue
            record = ranking_of_group(group, self.options, self.report)
            if record is not None:
                columns = (*OUTPUT_COLUMNS[to], "source")
                yield {name: record[name] for name in columns if name in record} | record["keep"]

    def _from_ratings(self, records: Iterable[Record], shape: Shape, to: str) -> Iterator[Row]:
        for record in records:
            for rating in ratings_of_group(record) if shape.kind == "groups" else (record,):
                yield from self.guard(record["at"], self._rating_rows, rating, to) or ()

    def _rating_rows(self, rating: Record, to: str) -> list[Row]:
        return list(rating_rows(rating, to, self.report))


def _find(columns: Columns, field: str, row: Mapping[str, Any]) -> str | None:
    try:
        return columns.find(field, row)
    except RowError:  # a column that the user named and that is missing: the row says so when it is read
        return None
