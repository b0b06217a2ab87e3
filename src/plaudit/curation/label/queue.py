"""A queue: a file of rows with two responses each, in any shape, as what an annotator reads.

Knows rows and texts, nothing of annotators.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plaudit.data.columns import Columns, list_columns
from plaudit.data.examine import OnBadRow
from plaudit.data.messages import kind
from plaudit.data.read import read_rows
from plaudit.data.rows import to_example
from plaudit.errors import ConfigError, DataError, RowError
from plaudit.types import Prompt, Response

__all__ = ["SIDES", "Queue", "QueueRow"]

SIDES = (("response_a", "response_b"), ("response_A", "response_B"), ("response_0", "response_1"))
"""Columns of two responses of which none is preferred yet; tried before ``responses``, ``chosen`` and ``rejected``."""

_EXAMPLE_COLUMNS = {"responses", "labels", "extras", "token_ids"}
_SHOWN_PROBLEMS = 5


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One row to judge.

    Attributes:
        number: its place among the good rows, from 0.
        location: ``file:line``.
        row: as it is in the file.
        sides: the two responses, a and b, as they are in the file.
        view: JSON of what is shown: ``prompt``, ``a`` and ``b``, each a list of ``[role, text]``; the role of a plain
            text is empty.
    """

    number: int
    location: str
    row: Mapping[str, Any]
    sides: tuple[Any, Any]
    view: str


class Queue:
    """The rows of a queue, read anew on every pass; memory does not grow with the file.

    A row has a prompt, if there is one, and two responses: ``response_a`` and ``response_b``, or ``responses``, a list
    of two, or ``chosen`` and ``rejected`` (which is which is not shown).

    Args:
        path: file, or folder of files.
        columns: names of the prompt's and the two responses' columns (``prompt``, ``chosen``, ``rejected``), where they
            are not those above.
        on_bad_row: ``"error"`` stops at the first row that cannot be judged, ``"skip"`` counts it.
        progress: called with the number of rows read, about every 1,000 rows.

    Attributes:
        rows: good rows of the pass that runs, or ran last.
        bad: its skipped rows.
        problems: the first few messages about them.
        fingerprint: 16 hex digits over what is shown of all good rows, in order; after a whole pass.

    Raises:
        DataError: during a pass: the file cannot be read, or there is no row in it.
        RowError: during a pass: a row that cannot be judged, with file and line.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        columns: Columns | None = None,
        on_bad_row: OnBadRow = "error",
        progress: Callable[[int], None] | None = None,
    ) -> None:
        if on_bad_row not in ("error", "skip"):
            raise ConfigError(f"on_bad_row is {on_bad_row!r}; expected 'error' or 'skip'")
        self.path = Path(path).expanduser()
        self.columns, self.on_bad_row, self.progress = columns or Columns(), on_bad_row, progress
        if (self.columns.chosen is None) != (self.columns.rejected is None):
            raise ConfigError("name the columns of both responses, chosen and rejected, or of none")
        self.rows, self.bad, self.problems, self.fingerprint = 0, 0, list[str](), ""

    def __iter__(self) -> Iterator[QueueRow]:
        self.rows, self.bad, self.problems, self.fingerprint = 0, 0, [], ""
        running = hashlib.sha256()
        for location, row in read_rows(self.path):
            if self.progress is not None and (self.rows + self.bad) % 1000 == 999:
                self.progress(self.rows + self.bad + 1)
            try:
                item = _queue_row(row, self.rows, location, self.columns)
            except RowError as error:
                if self.on_bad_row == "error":
                    raise
                self.bad += 1
                if len(self.problems) < _SHOWN_PROBLEMS:
                    self.problems.append(str(error))
                continue
            self.rows += 1
            running.update(item.view.encode() + b"\n")
            yield item
        self.fingerprint = running.hexdigest()[:16]
        if self.progress is not None:
            self.progress(self.rows + self.bad)
        if not self.rows:
            skipped = f": all {self.bad:,} rows were skipped; the first: {self.problems[0]}" if self.bad else ""
            raise DataError(f"{self.path}: no row to label{skipped}")


def _queue_row(row: Any, number: int, location: str, named: Columns) -> QueueRow:
    if isinstance(row, RowError):
        raise row
    try:
        sides = _sides(row, named)
        columns = replace(named, chosen="a", rejected="b", margin="", weight="", source="", soft_label="")
        example = to_example({**row, "a": sides[0], "b": sides[1]}, columns)
        if example.input_ids is not None:
            raise RowError("the responses are token ids; expected texts, or lists of messages")
        texts = {"prompt": example.prompt, "a": example.responses[0], "b": example.responses[1]}
        turns = {name: _turns(text) for name, text in texts.items()}
        for name in ("a", "b"):
            if not any(text.strip() for _, text in turns[name]):
                raise RowError(f"response {name} is empty; expected two responses to choose between")
        if turns["a"] == turns["b"]:
            raise RowError("the two responses are identical, so there is nothing to choose; leave the row out")
        view = json.dumps(turns, ensure_ascii=False)
        view.encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise RowError(f"the text holds {half}, half of a surrogate pair, which is no Unicode text", location) from None
    except RowError as error:
        raise RowError(error.problem, location) from None
    return QueueRow(number, location, row, sides, view)


def _sides(row: Mapping[str, Any], columns: Columns) -> tuple[Any, Any]:
    """The two responses as the row has them."""
    if row.keys() >= _EXAMPLE_COLUMNS:
        raise RowError("the row has the columns of plaudit's own tables; write prompt, response_a and response_b")
    if columns.chosen is None:
        for names in SIDES:
            if (pair := _both(row, *names)) is not None:
                return pair
        if row.get("responses") is not None:
            return _two(row["responses"])
    if (pair := _both(row, columns.find("chosen", row), columns.find("rejected", row))) is not None:
        return pair
    raise RowError(
        "no two responses: looked for response_a and response_b, responses (a list of two), chosen and rejected; "
        f"{list_columns(row)}. Name them with --chosen-column and --rejected-column"
    )


def _both(row: Mapping[str, Any], a: str | None, b: str | None) -> tuple[Any, Any] | None:
    """The values of two columns; None where the row has neither."""
    values = tuple(None if name is None else row.get(name) for name in (a, b))
    if None not in values:
        return values[0], values[1]
    if values == (None, None):
        return None
    there, missing = (a, b) if values[1] is None else (b, a)
    raise RowError(f"{there} is there, but {missing or 'the other response'} is not; expected two responses")


def _two(responses: Any) -> tuple[Any, Any]:
    """A list of two, or the JSON text of one, as a cell of a table has it."""
    if isinstance(responses, str):
        try:
            responses = json.loads(responses)
        except ValueError as error:
            raise RowError(f"responses is no JSON list: {error}") from None
    if not isinstance(responses, (list, tuple)) or len(responses) != 2 or None in responses:
        found = f"a list of {len(responses)}" if isinstance(responses, (list, tuple)) else kind(responses)
        raise RowError(f"responses is {found}; expected a list of two texts or conversations")
    return responses[0], responses[1]


def _turns(text: Prompt | Response) -> list[tuple[str, str]]:
    """What is shown of a text or conversation."""
    if text is None:
        return []
    if isinstance(text, str):
        return [("", text)]
    return [(str(message["role"]), _message_text(message)) for message in text]


def _message_text(message: Mapping[str, Any]) -> str:
    """The content of a message, and its tool calls as JSON."""
    calls = [json.dumps(call, ensure_ascii=False, indent=2) for call in message.get("tool_calls") or ()]
    return "\n".join([*filter(None, [message.get("content")]), *calls])
