"""What a row asks to be scored: one response, a list of them, or a pair. Reads files and standard input."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plaudit.cli.resumable import encoded
from plaudit.data import Columns, read_rows, to_example
from plaudit.data.columns import list_columns
from plaudit.data.messages import text_or_messages
from plaudit.errors import RowError
from plaudit.formatting import RenderItem

__all__ = ["ScoringRow", "numbered", "read_scoring_rows", "to_scoring_row"]

STDIN = "<stdin>"


@dataclass(frozen=True)
class ScoringRow:
    """A row with what is to be scored in it.

    Attributes:
        row: as it was read.
        items: what to score.
        names: the key that each score gets in the output; one name for several items: a list of scores.
        location: ``file:line``.
    """

    row: Mapping[str, Any]
    items: list[RenderItem]
    names: tuple[str, ...]
    location: str

    def with_scores(self, scores: list[float]) -> dict[str, Any]:
        """The row with its scores."""
        if len(self.names) == len(scores):
            return {**self.row, **dict(zip(self.names, scores, strict=True))}
        return {**self.row, self.names[0]: scores}

    def line(self, scores: list[float]) -> str:
        """`with_scores` as JSON in one line."""
        return json.dumps(self.with_scores(scores), ensure_ascii=False, default=str)

    def wrote(self, line: bytes) -> bool:
        """Whether a line in a file is this row's, whatever its scores are."""
        try:
            document = json.loads(line)
            several = len(self.names) == len(self.items)
            scores = [document[name] for name in self.names] if several else document[self.names[0]]
            return line == encoded(self.line(scores))
        except (ValueError, KeyError, TypeError, IndexError):
            return False


def read_scoring_rows(
    source: str, prompt_column: str | None = None, response_column: str | None = None
) -> Iterator[ScoringRow]:
    """The rows of a file, or of standard input (``-``).

    Raises:
        RowError: a row that cannot be read, or has nothing to score.
    """
    for location, row in _read_stdin() if source == "-" else read_rows(Path(source)):
        if isinstance(row, RowError):
            raise row
        yield to_scoring_row(row, location, prompt_column, response_column)


def _read_stdin() -> Iterator[tuple[str, dict[str, Any]]]:
    """JSON lines where the first line is a JSON object, else one plain response a line."""
    is_json: bool | None = None
    for location, line in numbered(sys.stdin, STDIN):
        try:
            value = json.loads(line)
        except ValueError as error:
            if is_json:
                raise RowError(f"no valid JSON: {error} (the first line is a JSON object)", location) from error
            value = line
        if is_json is None:
            is_json = isinstance(value, dict)
        if is_json and not isinstance(value, dict):
            raise RowError(f"expected a JSON object like on the first line, got {line!r:.60}", location)
        yield location, value if is_json else {"response": line}


def numbered(lines: Any, name: str) -> Iterator[tuple[str, str]]:
    """The lines that are not blank, without their line ends, with ``name:line``."""
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            line = line.removeprefix("\ufeff").rstrip("\r\n")
            if line.strip():
                yield f"{name}:{number}", line
    except UnicodeDecodeError as error:
        raise RowError(f"bytes after line {number} are no UTF-8 text; convert it to UTF-8", name) from error


def to_scoring_row(
    row: Mapping[str, Any], location: str, prompt_column: str | None = None, response_column: str | None = None
) -> ScoringRow:
    """Finds prompt and response(s): ``response`` (or the column named), ``responses``, or ``chosen`` and ``rejected``.

    Raises:
        RowError: none of these columns, or a value that is no response.
    """
    known = ("response", "responses") if response_column is None else (response_column,)
    name = next((column for column in known if column in row), None)
    if name is None:
        if response_column is None and "chosen" in row and "rejected" in row:
            example = to_example(row, Columns(prompt=prompt_column), location)
            if example.input_ids is not None:
                raise RowError("the row holds token ids; expected texts or conversations", location)
            return ScoringRow(row, RenderItem.of(example), ("score_chosen", "score_rejected"), location)
        wanted = response_column or "response, responses, or chosen and rejected"
        raise RowError(f"no column {wanted}; {list_columns(row)}. Name it with --response-column NAME", location)
    value = row[name]
    several = isinstance(value, (list, tuple)) and not (value and isinstance(value[0], Mapping))
    if several and not value:
        raise RowError(f"{name} is an empty list; expected at least one response", location)
    items = [
        _item({**row, name: response}, name, prompt_column, location) for response in (value if several else [value])
    ]
    return ScoringRow(row, items, ("scores",) if several and len(items) > 1 else ("score",), location)


def _item(row: Mapping[str, Any], response: str, prompt_column: str | None, location: str) -> RenderItem:
    """Read as a pair with two equal sides, so that prompt, system message and tools mean what they mean in training."""
    columns = Columns(prompt=prompt_column, chosen=response, rejected=response, margin="", weight="", source="")
    try:
        prompt = columns.find("prompt", row)
        if prompt is None or prompt == response or row[prompt] in (None, ""):
            return _without_prompt(row[response], response)
        return RenderItem.of(to_example(row, columns, location))[0]
    except RowError as error:
        if error.location is not None:
            raise
        raise RowError(error.problem, location) from error


def _without_prompt(value: Any, name: str) -> RenderItem:
    """A bare text, or a conversation: what follows its last user turn is the response."""
    if value is None:
        raise RowError(f"{name} is null; expected text or a list of messages")
    response = text_or_messages(value, name)
    if isinstance(response, str):
        return RenderItem(None, response)
    last = max((i for i, message in enumerate(response) if message["role"] == "user"), default=-1)
    if last == len(response) - 1:
        raise RowError(f"the conversation in {name} ends with a user turn, so there is no response to score")
    return RenderItem(response[: last + 1] or None, response[last + 1 :])
