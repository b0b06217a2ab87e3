"""Other wordings of prompts, and rows rewritten so that they read as a given example."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from plaudit.data.columns import Columns, list_columns
from plaudit.data.messages import text_or_messages
from plaudit.data.passes import Row, column_text
from plaudit.data.read import read_rows
from plaudit.data.rows import to_example
from plaudit.errors import DataError, RowError
from plaudit.types import Example, Prompt

__all__ = ["Paraphrases", "rewritten"]


class Paraphrases:
    """Wordings by the id of a prompt, from a file with the columns ``id`` (or the data's own name for it) and
    ``prompt``. All are held in memory.

    Attributes:
        count: how many.
        unused: ids that no row has had so far.

    Raises:
        RowError: a row of the file without an id or a prompt.
        DataError: the file has no rows.
    """

    def __init__(self, path: str | Path, id_column: str) -> None:
        self.id_column = id_column
        self.count = 0
        self._by_id: dict[str, list[Prompt]] = {}
        for location, row in read_rows(path):
            if isinstance(row, RowError):
                raise row
            try:
                name = "id" if "id" in row else id_column
                key = column_text(row, name, "paraphrases are joined to rows")
                if "prompt" not in row or row["prompt"] in (None, ""):
                    raise RowError(f"no prompt; expected the columns {name} and prompt, {list_columns(row)}")
                self._by_id.setdefault(key, []).append(text_or_messages(row["prompt"], "prompt"))
            except RowError as error:
                raise RowError(error.problem, location) from None
            self.count += 1
        if not self.count:
            raise DataError(f"no paraphrases in {path}")
        self.unused = set(self._by_id)

    def of(self, row: Row, example: Example) -> Iterator[tuple[Prompt, Example]]:
        """The wordings of a row's prompt: each as it is written, and the example with it.

        A text takes the place of the last user turn of a conversation.
        """
        key = column_text(row, self.id_column, "paraphrases are joined to rows")
        self.unused.discard(key)
        for wording in self._by_id.get(key, ()):
            yield wording, replace(example, prompt=_reworded(example.prompt, wording))


def _reworded(prompt: Prompt, wording: Prompt) -> Prompt:
    if prompt is None or isinstance(prompt, str) or not isinstance(wording, str):
        return wording
    turns = list(prompt)
    last = max((i for i, turn in enumerate(turns) if turn.get("role") == "user"), default=None)
    if last is None:
        return [*turns, {"role": "user", "content": wording}]
    turns[last] = {**turns[last], "content": wording}
    return turns


def rewritten(base: Row, columns: Columns, prompts: Sequence[Any], example: Example) -> dict[str, Any] | None:
    """``base`` with another prompt and other sides, so that it reads as ``example``; None where nothing does.

    Ways, the first that reads back right: the prompt column with one of ``prompts``; both sides with the prompt at
    their start, as in data without a prompt column; the example's prompt in a column of its own.

    Args:
        base: the columns to keep.
        columns: their names.
        prompts: what the prompt column may hold.
        example: a pair; its prompt and responses count.
    """
    chosen, rejected = columns.find_required("chosen", base), columns.find_required("rejected", base)
    first, second = example.responses
    sides = {chosen: first, rejected: second}
    for candidate in _candidates(base, columns, prompts, example, sides):
        try:
            read = to_example(candidate, columns)
        except RowError:
            continue
        if (read.prompt, read.responses) == (example.prompt, example.responses):
            return candidate
    return None


def _candidates(
    base: Row, columns: Columns, prompts: Sequence[Any], example: Example, sides: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    name = columns.find("prompt", base)
    if name is not None and base[name] is not None:
        for prompt in (*prompts, example.prompt):
            yield {**base, name: prompt, **sides}
            if name == "instruction" and "input" in base:  # Alpaca rows: it would be read as part of the prompt
                yield {**base, name: prompt, "input": "", **sides}
    together = {column: _joined(example.prompt, side) for column, side in sides.items()}
    if None not in together.values():
        yield {**base, **({} if name is None else {name: None}), **together}
    system = columns.find("system", base)
    others = {key: value for key, value in base.items() if key != system}
    yield {**others, columns.prompt or "prompt": example.prompt, **sides}


def _joined(prompt: Prompt, response: Any) -> Any:
    if prompt is None:
        return response
    if isinstance(prompt, str):
        return prompt + response if isinstance(response, str) else [{"role": "user", "content": prompt}, *response]
    return None if isinstance(response, str) else [*prompt, *response]
