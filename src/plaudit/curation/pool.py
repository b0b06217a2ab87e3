"""Rows without a label -> pairs that could get one. Knows the shapes of such rows; nothing of what is worth a label.

Shapes: ``response_a`` and ``response_b``; ``chosen`` and ``rejected``, whose order is not read as a label;
``responses``, a list of K of which any two may be compared.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias

from plaudit.data.columns import Columns, list_columns
from plaudit.data.examine import OnBadRow
from plaudit.data.read import read_rows
from plaudit.data.rows import to_example
from plaudit.errors import ConfigError, DataError, RowError
from plaudit.types import Example, Prompt, Response

__all__ = ["LabelledPair", "Pool", "PoolPair", "PoolReport", "Rows", "pair_key", "read_labelled", "read_pool"]

Rows: TypeAlias = "str | Path | Iterable[Mapping[str, Any]]"
"""A file or folder that `plaudit.data.read` knows, or rows."""

SHOWN_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class PoolPair:
    """Two responses that could be compared, and the row that they come from.

    Attributes:
        row: as it was read.
        prompt, responses: what the row says, read as in training.
        places: where the two stand in the row's list ``responses``; None where the row has two columns.
        location: ``file:line``.
        tools: whether the row has tools or arguments of the chat template.
    """

    row: Mapping[str, Any]
    prompt: Prompt
    responses: tuple[Response, Response]
    places: tuple[int, int] | None
    location: str
    tools: bool = False

    def queued(self, score: float, rank: int) -> dict[str, Any]:
        """The row for the labellers: its own columns, ``acquisition`` and ``acquisition_rank``.

        Of K > 2 ``responses`` the two of this pair are ``response_a`` and ``response_b`` instead of the list, and
        ``response_places`` says where they stood.
        """
        row = dict(self.row)
        if self.places is not None and len(listed := _list_of(row["responses"])) > 2:
            del row["responses"]
            row |= {"response_a": listed[self.places[0]], "response_b": listed[self.places[1]]}
            row["response_places"] = list(self.places)
        return row | {"acquisition": score, "acquisition_rank": rank}


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """A pair with its label: ``preferred`` is the probability that the first response is the better one, in [0, 1]."""

    example: Example
    preferred: float


@dataclass
class PoolReport:
    """What became of a pool's rows and pairs.

    Attributes:
        rows: rows read.
        candidates: pairs that may be chosen, all different.
        bad: rows that could not be used (counted with ``on_bad_row="skip"`` only).
        empty, identical: pairs with a blank response, or with the same one twice.
        duplicates: pairs whose prompt and responses, in any order, came before.
        labelled: pairs that have a label already.
        tools: rows with tools or arguments of the chat template, which scores and features here do not see.
        problems: the first few messages about bad rows.
    """

    rows: int = 0
    candidates: int = 0
    bad: int = 0
    empty: int = 0
    identical: int = 0
    duplicates: int = 0
    labelled: int = 0
    tools: int = 0
    problems: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """The counts in words, one line for each that is not zero."""
        counts = [
            (self.bad, "rows skipped: they cannot be used"),
            (self.empty, "pairs left out: a response is empty"),
            (self.identical, "pairs left out: the two responses are identical"),
            (self.duplicates, "pairs left out: the same pair came before"),
            (self.labelled, "pairs left out: they have a label already"),
            (self.tools, "rows have tools or chat_template_kwargs, which are not read here"),
        ]
        lines = [f"{self.rows:,} rows read, {self.candidates:,} pairs to choose from"]
        lines += [f"{count:,} {what}" for count, what in counts if count]
        lines += [f"  {problem}" for problem in self.problems]
        if self.bad > len(self.problems) > 0:
            lines.append(f"  … and {self.bad - len(self.problems):,} more")
        return lines


@dataclass
class Pool:
    """The pairs that may be chosen, those of the pool that have a label already, and the counts."""

    pairs: list[PoolPair] = field(default_factory=list)
    known: list[PoolPair] = field(default_factory=list)
    report: PoolReport = field(default_factory=PoolReport)


def read_pool(source: Rows, columns: Columns, on_bad_row: OnBadRow, labelled: Iterable[LabelledPair] = ()) -> Pool:
    """All candidates of a pool, in memory.

    Raises:
        DataError: the source cannot be read, or holds no pair to choose from.
        RowError: a row that cannot be used.
    """
    if on_bad_row not in ("error", "skip"):
        raise ConfigError(f"on_bad_row is {on_bad_row!r}; expected 'error' or 'skip'")
    known = {pair_key(pair.example.prompt, pair.example.responses) for pair in labelled}
    seen: set[bytes] = set()
    pool = Pool()
    report = pool.report
    for location, row in _located(source):
        report.rows += 1
        try:
            pairs = list(_pairs(row, columns, location))
        except RowError as error:
            if on_bad_row == "error":
                raise
            report.bad += 1
            if len(report.problems) < SHOWN_PROBLEMS:
                report.problems.append(str(error))
            continue
        report.tools += any(pair.tools for pair in pairs)
        for pair in pairs:
            key = pair_key(pair.prompt, pair.responses)
            if any(map(_is_blank, pair.responses)):
                report.empty += 1
            elif pair.responses[0] == pair.responses[1]:
                report.identical += 1
            elif key in known:
                report.labelled += 1
                pool.known.append(pair)
            elif key in seen:
                report.duplicates += 1
            else:
                seen.add(key)
                pool.pairs.append(pair)
    report.candidates = len(pool.pairs)
    if not pool.pairs:
        raise DataError(f"nothing to choose from: {'; '.join(line.strip() for line in report.lines())}")
    return pool


def read_labelled(source: Rows, columns: Columns, on_bad_row: OnBadRow) -> tuple[list[LabelledPair], int]:
    """Preference pairs with their labels, soft labels and ties too; and how many bad rows were skipped.

    Raises:
        DataError: the source cannot be read, or holds no labelled pair.
        RowError: a row that is no pair with a label.
    """
    pairs: list[LabelledPair] = []
    bad = 0
    for location, row in _located(source):
        try:
            if isinstance(row, RowError):
                raise row
            example = to_example(row, columns, location)
            if example.input_ids is not None or len(example.responses) != 2:
                raise RowError("expected a prompt with two responses as text or conversations", location)
            pairs.append(LabelledPair(example, _preferred(example.labels)))
        except RowError:
            if on_bad_row == "error":
                raise
            bad += 1
    if not pairs:
        raise DataError(f"no labelled pairs: {bad:,} rows read, none with a prompt, chosen and rejected")
    return pairs, bad


def pair_key(prompt: Prompt, responses: Iterable[Response]) -> bytes:
    """16 bytes that are the same for the same prompt with the same two responses, in either order."""
    texts = sorted(json.dumps(response, sort_keys=True, default=str) for response in responses)
    whole = json.dumps([prompt, *texts], sort_keys=True, default=str)
    return hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _preferred(labels: tuple[float, ...]) -> float:
    first, second = labels
    if min(labels) >= 0 and abs(first + second - 1) < 1e-9:  # probabilities: hard, soft, or a tie
        return first
    return 0.5 if first == second else float(first > second)


def _located(source: Rows) -> Iterator[tuple[str, Any]]:
    if isinstance(source, (str, Path)):
        return read_rows(source)
    return ((f"row {number}", row) for number, row in enumerate(source, start=1))


def _pairs(row: Any, columns: Columns, location: str) -> Iterator[PoolPair]:
    """The pairs of one row; a row that is an error is raised."""
    if isinstance(row, RowError):
        raise row
    if not isinstance(row, Mapping):
        raise RowError(f"the row is {type(row).__name__}; expected an object with a column for each response", location)
    quiet = replace(columns, margin="", weight="", soft_label="", source="")
    if columns.chosen is None and columns.rejected is None:
        if "response_a" in row and "response_b" in row:
            quiet = replace(quiet, chosen="response_a", rejected="response_b")
        elif "responses" in row:
            yield from _listed(row, quiet, location)
            return
        elif columns.find("chosen", row) is None or columns.find("rejected", row) is None:
            raise RowError(
                "no two responses: looked for response_a and response_b, responses, chosen and rejected; "
                f"{list_columns(row)}. Name them with --chosen-column and --rejected-column",
                location,
            )
    yield _pair(row, row, quiet, None, location)


def _listed(row: Mapping[str, Any], columns: Columns, location: str) -> Iterator[PoolPair]:
    responses = _list_of(row["responses"])
    if not isinstance(responses, (list, tuple)) or len(responses) < 2:
        found = f"a list of {len(responses)}" if isinstance(responses, (list, tuple)) else type(responses).__name__
        raise RowError(f"responses is {found}; expected a list of two or more", location)
    named = replace(columns, chosen="response_a", rejected="response_b")
    for a, b in combinations(range(len(responses)), 2):
        view = {**row, "response_a": responses[a], "response_b": responses[b]}
        yield _pair(row, view, named, (a, b), location)


def _list_of(value: Any) -> Any:
    """A list, or the JSON text of one, which is how a table writes it."""
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value


def _pair(
    row: Mapping[str, Any], view: Mapping[str, Any], columns: Columns, places: tuple[int, int] | None, location: str
) -> PoolPair:
    example = to_example(view, columns, location)
    if example.input_ids is not None or len(example.responses) != 2:
        raise RowError("expected a prompt with two responses as text or conversations", location)
    responses = (example.responses[0], example.responses[1])
    tools = example.tools is not None or example.template_kwargs is not None
    return PoolPair(row, example.prompt, responses, places, location, tools)


def _is_blank(response: Response) -> bool:
    if isinstance(response, str):
        return not response.strip()
    last = response[-1] if response else {}
    return not last.get("tool_calls") and not str(last.get("content") or "").strip()
