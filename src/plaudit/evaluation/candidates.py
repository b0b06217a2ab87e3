"""Rows with several responses to one prompt, or one response each, as examples. Knows nothing of scorers."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from plaudit.data.columns import CONVENTIONS, list_columns
from plaudit.data.messages import kind
from plaudit.data.rows import pair_group
from plaudit.data.source import open_source
from plaudit.errors import RowError
from plaudit.evaluation.scoring_rows import to_scoring_row
from plaudit.types import Example

__all__ = ["read_candidate_rows", "read_candidates", "to_candidates"]


def read_candidates(
    source: str | Path,
    *,
    split: str | None = None,
    prompt_column: str | None = None,
    response_column: str | None = None,
    gold_column: str | None = None,
) -> Iterator[Example]:
    """The rows of a file, folder or Hub data set, one at a time: K responses, labels are the gold scores (else 0).

    Args:
        source: rows with a prompt and a list of responses.
        split: of the source.
        prompt_column, response_column: found by convention where None (responses, completions, candidates).
        gold_column: a list of K numbers, higher is better; None: there are none.

    Raises:
        RowError: a row of another shape; names file, line and columns.
    """
    rows = read_candidate_rows(
        source, split=split, prompt_column=prompt_column, response_column=response_column, gold_column=gold_column
    )
    return (example for example, _ in rows)


def read_candidate_rows(
    source: str | Path,
    *,
    split: str | None = None,
    prompt_column: str | None = None,
    response_column: str | None = None,
    gold_column: str | None = None,
) -> Iterator[tuple[Example, dict[str, Any]]]:
    """`read_candidates`, each with the other columns of its row: without the responses and their gold scores."""
    for location, row in open_source(source, split=split).read():
        if isinstance(row, RowError):
            raise row
        name = response_column or next((n for n in CONVENTIONS["responses"] if n in row), None)
        if name is None:
            wanted = ", ".join(CONVENTIONS["responses"])
            raise RowError(
                f"no column for responses: looked for {wanted}; {list_columns(row)}. Name it with "
                "--response-column NAME",
                location,
            )
        example = to_candidates(row, location, prompt_column, name)
        if gold_column is not None:
            example = _with_gold(example, row, gold_column, location)
        yield example, {key: value for key, value in row.items() if key not in (name, gold_column)}


def to_candidates(row: Mapping[str, Any], location: str, prompt_column: str | None, response_column: str) -> Example:
    """Prompt and responses of one row; a single response is a list of one.

    Raises:
        RowError: there is no prompt, or no response that can be read.
    """
    items = to_scoring_row(row, location, prompt_column, response_column).items
    prompt = items[0].prompt
    if prompt is None:
        raise RowError(f"no prompt: looked for {', '.join(CONVENTIONS['prompt'])}; {list_columns(row)}", location)
    responses = tuple(item.response for item in items)
    return Example(
        prompt=prompt,
        responses=responses,
        labels=(0.0,) * len(responses),
        group=pair_group(prompt, responses),
        tools=items[0].tools,
        template_kwargs=items[0].template_kwargs,
        location=location,
    )


def _with_gold(example: Example, row: Mapping[str, Any], name: str, location: str) -> Example:
    if name not in row:
        raise RowError(f"no column {name!r} for the gold scores; {list_columns(row)}", location)
    gold, count = row[name], len(example.responses)
    numbers = isinstance(gold, (list, tuple)) and all(
        isinstance(g, (int, float)) and not isinstance(g, bool) and math.isfinite(g) for g in gold
    )
    if not numbers or len(gold) != count:
        raise RowError(f"{name} is {kind(gold)} ({gold!r:.60}); expected {count} finite numbers", location)
    return replace(example, labels=tuple(float(g) for g in gold))
