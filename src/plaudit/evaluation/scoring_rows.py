"""What a row asks to be scored: one response, a list of them, or a pair. Knows nothing of files."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from plaudit.data import Columns, to_example
from plaudit.data.columns import list_columns
from plaudit.data.messages import text_or_messages
from plaudit.errors import RowError
from plaudit.formatting import RenderItem

__all__ = ["ScoringRow", "reference_of", "to_scoring_row"]

REFERENCES = ("reference", "ground_truth", "gold_answer", "target")
"""Names tried for the column of reference answers, in this order."""


@dataclass(frozen=True)
class ScoringRow:
    """A row with what is to be scored in it.

    Attributes:
        row: as it was read.
        items: what to score.
        names: the key that each score gets in the output; one name for several items: a list of scores.
        location: ``file:line``.
        column: the one with the response or responses; empty for a pair.
    """

    row: Mapping[str, Any]
    items: list[RenderItem]
    names: tuple[str, ...]
    location: str
    column: str = ""

    def with_scores(self, scores: list[float]) -> dict[str, Any]:
        """The row with its scores."""
        if len(self.names) == len(scores):
            return {**self.row, **dict(zip(self.names, scores, strict=True))}
        return {**self.row, self.names[0]: scores}

    def line(self, scores: list[float], more: Mapping[str, Any] | None = None) -> str:
        """`with_scores` as JSON in one line, with what else there is to tell."""
        return json.dumps({**self.with_scores(scores), **(more or {})}, ensure_ascii=False, default=str)


def to_scoring_row(
    row: Mapping[str, Any],
    location: str,
    prompt_column: str | None = None,
    response_column: str | None = None,
    system_column: str | None = None,
) -> ScoringRow:
    """Finds prompt and response(s): ``response`` (or the column named), ``responses``, or ``chosen`` and ``rejected``.

    Columns that are named None are found by convention.

    Raises:
        RowError: none of these columns, or a value that is no response.
    """
    known = ("response", "responses") if response_column is None else (response_column,)
    name = next((column for column in known if column in row), None)
    if name is None:
        if response_column is None and "chosen" in row and "rejected" in row:
            example = to_example(row, Columns(prompt=prompt_column, system=system_column), location)
            if example.input_ids is not None:
                raise RowError("the row holds token ids; expected texts or conversations", location)
            return ScoringRow(row, RenderItem.of(example), ("score_chosen", "score_rejected"), location)
        wanted = response_column or "response, responses, or chosen and rejected"
        raise RowError(f"no column {wanted}; {list_columns(row)}. Name it with --response-column NAME", location)
    value = row[name]
    several = isinstance(value, (list, tuple)) and not (value and isinstance(value[0], Mapping))
    if several and not value:
        raise RowError(f"{name} is an empty list; expected at least one response", location)
    columns = Columns(
        prompt=prompt_column,
        system=system_column,
        chosen=name,
        rejected=name,
        margin="",
        weight="",
        source="",
        soft_label="",
    )
    items = [_item({**row, name: response}, name, columns, location) for response in (value if several else [value])]
    return ScoringRow(row, items, ("scores",) if several and len(items) > 1 else ("score",), location, name)


def _item(row: Mapping[str, Any], response: str, columns: Columns, location: str) -> RenderItem:
    """Read as a pair with two equal sides, so that prompt, system message and tools mean what they mean in training."""
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


def reference_of(row: Mapping[str, Any], location: str, column: str | None = None) -> str | None:
    """The reference answer of a row, None where it has none: the column named, or the first one by convention.

    Raises:
        RowError: a column was named that is not there or empty, or it holds no text.
    """
    name = column if column is not None else next((n for n in REFERENCES if row.get(n) not in (None, "")), None)
    if name is None:
        return None
    if name not in row:
        raise RowError(f"no column {name!r} for references; {list_columns(row)}", location)
    value = row[name]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return f"{value:g}" if isinstance(value, float) else str(value)
    if not isinstance(value, str) or not value.strip():
        raise RowError(f"{name} is {value!r:.60}; expected a reference answer as text", location)
    return value
