"""The prompts that a policy is trained on: read from a file, a folder, a Hub data set or a list."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.data.columns import list_columns
from plaudit.data.messages import text_or_messages
from plaudit.data.source import open_source
from plaudit.errors import ConfigError, DataError, RowError
from plaudit.evaluation.scoring_rows import reference_of
from plaudit.types import Prompt

__all__ = ["TaskPrompt", "load_prompts", "split_prompts"]

NAMES = ("prompt", "question", "instruction", "query", "input")
"""Names tried for the column of prompts, in this order; then ``messages`` and ``conversations``."""

TALKS = ("messages", "conversations", "chosen")
"""Columns that hold a whole conversation: what comes before its last assistant turn is the prompt."""

ANSWERS = ("reference", "ground_truth", "answer", "solution", "target")
"""Names tried for the column of reference answers: in a row of prompts, an answer is no response of a policy."""


@dataclass(frozen=True, slots=True)
class TaskPrompt:
    """One prompt to answer.

    Attributes:
        prompt: text, or a conversation whose last turn is not the assistant's.
        reference: a reference answer for rules that compare with one, or None.
        location: ``file:line``, or its place in a list.
    """

    prompt: Prompt
    reference: str | None
    location: str


def load_prompts(
    source: str | Path | Iterable[str | Mapping[str, Any]],
    *,
    split: str | None = None,
    prompt_column: str | None = None,
    reference_column: str | None = None,
    max_samples: int | None = None,
    seed: int = 0,
) -> list[TaskPrompt]:
    """All prompts of a source, each once, in order; they are held in memory.

    A row is a text, or has a ``prompt`` (``question``, ``instruction``, …), or a conversation (``messages``, or the
    ``chosen`` one of a pair), whose last assistant turn is left out.

    Args:
        source: a file, a folder, a Hub data set, or rows.
        split: of a Hub data set, as in ``train[:5%]``.
        prompt_column, reference_column: names of columns; by convention where None.
        max_samples: so many of them, drawn at random by ``seed``.

    Raises:
        RowError: a row without a prompt; names its place.
        DataError: there is not one prompt.
    """
    if max_samples is not None and max_samples < 1:
        raise ConfigError(f"max_samples is a whole number of at least 1, got {max_samples!r}")
    seen: dict[str, TaskPrompt] = {}
    for location, row in _rows(source, split):
        if isinstance(row, RowError):
            raise row
        found = _prompt_of(row, location, prompt_column, reference_column)
        seen.setdefault(repr((found.prompt, found.reference)), found)
    prompts = list(seen.values())
    if not prompts:
        raise DataError(f"{_called(source)} holds no prompts; expected at least one row with a prompt")
    if max_samples is not None and max_samples < len(prompts):
        kept = np.sort(np.random.default_rng(seed).permutation(len(prompts))[:max_samples])
        prompts = [prompts[i] for i in kept]
    return prompts


def split_prompts(prompts: list[TaskPrompt], held_out: int, seed: int = 0) -> tuple[list[TaskPrompt], list[TaskPrompt]]:
    """Prompts to train on, and ``held_out`` others drawn at random.

    Raises:
        ConfigError: none would be left to train on.
    """
    if held_out >= len(prompts):
        raise ConfigError(
            f"eval_prompts {held_out} leaves none of the {len(prompts)} prompts to train on; hold fewer out"
        )
    chosen = set(np.random.default_rng([seed, 1]).permutation(len(prompts))[:held_out].tolist())
    train = [p for i, p in enumerate(prompts) if i not in chosen]
    return train, [p for i, p in enumerate(prompts) if i in chosen]


def _rows(source: Any, split: str | None) -> Iterator[tuple[str, Any]]:
    if isinstance(source, (str, Path)):
        return iter(open_source(source, split=split).read())
    if split is not None:
        raise ConfigError("split belongs to a file or a Hub data set, not to prompts in memory; leave it out")
    return ((f"prompts[{index}]", row) for index, row in enumerate(source))


def _called(source: Any) -> str:
    return str(source) if isinstance(source, (str, Path)) else "the list of prompts"


def _prompt_of(row: Any, location: str, column: str | None, reference: str | None) -> TaskPrompt:
    if isinstance(row, str):
        row = {"prompt": row}
    if not isinstance(row, Mapping):
        raise RowError(f"the row is {type(row).__name__}; expected a text or an object with a prompt", location)
    names = (*NAMES, *TALKS) if column is None else (column,)
    name = next((name for name in names if row.get(name) is not None), None)
    if name is None:
        what = f"prompt in {column!r}" if column else f"prompt; expected one of {', '.join(names)}"
        raise RowError(f"the row has no {what}; {list_columns(row)}", location)
    try:
        prompt = text_or_messages(row[name], name)
    except RowError as error:
        raise RowError(error.problem, error.location or location) from error
    if isinstance(prompt, str):
        if name in TALKS and column is None:
            raise RowError(f"{name} is a text; expected a conversation, or name the column of prompts", location)
        if not prompt.strip():
            raise RowError("the prompt is empty; leave the row out", location)
    else:
        prompt = _asked(prompt, location)
    known = next((n for n in ANSWERS if row.get(n) not in (None, "")), None) if reference is None else None
    return TaskPrompt(prompt, reference_of(row, location, reference or known), location)


def _asked(messages: list[dict[str, Any]], location: str) -> list[dict[str, Any]]:
    while messages and messages[-1]["role"] == "assistant":
        messages = messages[:-1]
    if not messages:
        raise RowError("the conversation has no turn before the assistant's; expected a question", location)
    return messages
