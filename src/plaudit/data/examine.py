"""The checks that every row passes on its way in, and the report that counts what became of it.

Knows examples, not files: `plaudit.data.source` brings the rows, `plaudit.data.rows` converts them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, TypeAlias

from plaudit.data.columns import Columns
from plaudit.data.messages import kind
from plaudit.data.rows import pair_group, to_example
from plaudit.data.source import Item
from plaudit.errors import RowError
from plaudit.types import Example, PreferencePair, Ranking, Rating, Response

__all__ = ["DataReport", "Examiner", "OnBadRow"]

OnBadRow: TypeAlias = Literal["error", "skip"]

_SHOWN_PROBLEMS = 5


@dataclass
class DataReport:
    """What loading did with every row: ``rows = kept + bad + empty + identical + duplicates + over_limit``.

    Attributes:
        rows: rows read.
        kept: rows that are there to train on.
        bad: rows that could not be used (counted with ``on_bad_row="skip"`` only).
        empty: dropped, a response is blank.
        identical: dropped, the responses are the same.
        duplicates: dropped, the same prompt and responses came before.
        over_limit: good rows not drawn, because of ``max_samples``.
        contradictory: kept, but the same pair came before with the preference the other way round.
        problems: the first few messages about bad rows.
        sources: kept rows by source, where rows have one.
        fingerprint: 16 hex digits over the content of the kept rows, in order.
    """

    rows: int = 0
    kept: int = 0
    bad: int = 0
    empty: int = 0
    identical: int = 0
    duplicates: int = 0
    over_limit: int = 0
    contradictory: int = 0
    problems: list[str] = field(default_factory=list)
    sources: dict[str, int] = field(default_factory=dict)
    fingerprint: str = ""

    def lines(self) -> list[str]:
        """The counts in words, one line for each that is not zero."""
        counts = [
            (self.bad, "skipped: the row cannot be used"),
            (self.empty, "dropped: a response is empty"),
            (self.identical, "dropped: chosen and rejected are identical"),
            (self.duplicates, "dropped: the same pair came before"),
            (self.over_limit, "left out: over max_samples"),
            (
                self.contradictory,
                "kept, but an earlier row has the same two responses the other way round",
            ),
        ]
        lines = [f"{self.rows:,} rows read, {self.kept:,} kept"]
        lines += [f"{count:,} {what}" for count, what in counts if count]
        lines += [f"  {problem}" for problem in self.problems]
        if self.bad > len(self.problems) > 0:
            lines.append(f"  … and {self.bad - len(self.problems):,} more")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Examiner:
    """The checks of one pass: items in, good rows (with a hash of their content) out, everything else counted."""

    columns: Columns
    on_bad_row: OnBadRow
    progress: Callable[[int], None] | None

    def __call__(self, items: Iterable[Item], report: DataReport) -> Iterator[tuple[dict[str, Any], int]]:
        seen: set[int] = set()
        for location, item in items:
            report.rows += 1
            if self.progress is not None and report.rows % 1000 == 0:
                self.progress(report.rows)
            try:
                example = _convert(item, self.columns, location)
                row, key, opposite = _row_and_key(example, location)
            except RowError as error:
                if self.on_bad_row == "error":
                    raise
                report.bad += 1
                if len(report.problems) < _SHOWN_PROBLEMS:
                    report.problems.append(str(error))
                continue
            if example.input_ids is None and any(map(_is_blank, example.responses)):
                report.empty += 1
            elif _is_identical(row):
                report.identical += 1
            elif key in seen:
                report.duplicates += 1
            else:
                seen.add(key)
                report.kept += 1
                report.contradictory += opposite in seen
                if example.source is not None:
                    report.sources[example.source] = report.sources.get(example.source, 0) + 1
                yield row, _hash(str(key), *(str(row[name]) for name in ("margin", "weight", "group", "source")))
        if self.progress is not None:
            self.progress(report.rows)


def _convert(item: object, columns: Columns, location: str) -> Example:
    if isinstance(item, RowError):
        raise item
    if isinstance(item, (PreferencePair, Rating, Ranking)):
        item = item.example(group="")
    if not isinstance(item, Example):
        if not isinstance(item, Mapping):
            raise RowError(
                f"the row is {kind(item)}; expected an object, a PreferencePair, Rating, Ranking or Example", location
            )
        return to_example(item, columns, location)
    if columns.kind == "ratings" and len(item.labels) != 1:
        raise RowError(f"the row has {len(item.labels)} responses; expected a rating, which has one", location)
    if columns.kind == "rankings" and len(item.labels) < 2:
        raise RowError("the row has 1 response; expected a ranking, which has two or more", location)
    if len(item.responses) != len(item.labels):
        raise RowError(
            f"the row has {len(item.responses)} responses and {len(item.labels)} labels; expected equally many",
            location,
        )
    for text in (item.prompt or "", *item.responses):
        turns = isinstance(text, Sequence) and all(isinstance(turn, Mapping) for turn in text)
        if not isinstance(text, str) and not turns:
            raise RowError(f"a prompt or response is {kind(text)}; expected text or a list of messages", location)
    for number in (*item.labels, item.weight, item.margin or 0.0):
        if not math.isfinite(number):
            raise RowError(f"a label, weight or margin is {number}; expected a finite number", location)
    return replace(
        item,
        group=item.group or pair_group(item.prompt, item.responses),
        source=None if item.source is None else str(item.source),
        location=item.location or location,
    )


def _row_and_key(example: Example, location: str) -> tuple[dict[str, Any], int, int | None]:
    """The row, the key of its prompt and responses, and, for a pair, the key of the opposite preference."""
    try:
        row = example.to_row()
        context = [row["prompt"] or "", row["extras"] or ""]
        labels, answers = list(map(str, example.labels)), _answers(row)
        opposite = None
        if len(answers) == 2 and labels[0] != labels[1]:
            opposite = _hash(*context, *labels, *reversed(answers))
        return row, _hash(*context, *labels, *answers), opposite
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise RowError(f"the text holds {half}, half of a surrogate pair, which is no Unicode text", location) from None
    except (TypeError, ValueError) as error:
        raise RowError(f"the row cannot be stored as JSON: {error}", location) from None


def _answers(row: Mapping[str, Any]) -> list[str]:
    return row["responses"] if row["token_ids"] is None else list(map(str, row["token_ids"]))


def _is_identical(row: Mapping[str, Any]) -> bool:
    answers = _answers(row)
    return len(answers) > 1 and len(set(answers)) == 1


def _is_blank(response: Response) -> bool:
    if isinstance(response, str):
        return not response.strip()
    last = response[-1] if response else {}
    return not last.get("tool_calls") and not str(last.get("content") or "").strip()


def _hash(*parts: str) -> int:
    return int.from_bytes(hashlib.blake2b("\0".join(parts).encode(), digest_size=8).digest(), "little")
