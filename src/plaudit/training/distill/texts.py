"""The texts to distil rules on: read from a file, a Hub data set or a list, one response at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from plaudit.data.rows import pair_group
from plaudit.data.source import open_source
from plaudit.errors import ConfigError, DataError, RowError
from plaudit.evaluation.scoring_rows import reference_of, to_scoring_row
from plaudit.types import Prompt, Response

__all__ = ["FEWEST_TEXTS", "Text", "check_texts", "read_texts"]

FEWEST_TEXTS = 10
"""Distinct texts below which there is nothing to learn from."""


@dataclass(frozen=True, slots=True)
class Text:
    """One response to be scored and learnt.

    Attributes:
        prompt: what it answers, None for a bare text.
        response: the text.
        reference: a reference answer, or None.
        location: ``file:line``, or its place in a list.
    """

    prompt: Prompt
    response: Response
    reference: str | None
    location: str

    @property
    def group(self) -> str:
        """The split key: the prompt's, or the text's own."""
        return pair_group(self.prompt, (self.response,))


def read_texts(
    source: str | Path | Iterable[str | Mapping[str, Any]],
    *,
    split: str | None = None,
    prompt_column: str | None = None,
    response_column: str | None = None,
    reference_column: str | None = None,
    max_samples: int | None = None,
) -> Iterator[Text]:
    """The texts of a source, in order.

    A row is a text, or has a ``response`` (or ``text``, ``completion``, …), ``responses``, or ``chosen`` and
    ``rejected``, which are two texts; with a prompt and a reference where there are such columns.

    Args:
        source: a file (also plain text, one text a line), a folder, a Hub data set, or rows.
        split: of a Hub data set, as in ``train[:5%]``.
        prompt_column, response_column, reference_column: names of columns; by convention where None.
        max_samples: the first so many texts.

    Raises:
        RowError: a row without a text, or with an empty one; names its place.
    """
    texts = _rows(source, split, prompt_column, response_column, reference_column)
    return texts if max_samples is None else islice(texts, max_samples)


def check_texts(texts: Sequence[str]) -> None:
    """Refuses what nothing can be learnt from.

    Raises:
        ConfigError: not texts, or fewer than ten distinct ones.
    """
    if isinstance(texts, (str, bytes)):
        raise ConfigError("training texts: expected a list of texts, got one text")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise ConfigError(f"training texts: item {index} is {type(text).__name__} {text!r:.40}; expected a text")
        if not text.strip():
            raise ConfigError(f"training texts: item {index} is empty; leave it out")
    check_count(len(texts), len(set(texts)))


def check_count(texts: int, distinct: int) -> None:
    """Refuses too few texts.

    Raises:
        ConfigError: fewer than ten, or fewer than ten distinct ones.
    """
    if texts < FEWEST_TEXTS:
        raise ConfigError(f"Need at least {FEWEST_TEXTS} training texts, got {texts}; bring more")
    if distinct < FEWEST_TEXTS:
        raise ConfigError(
            f"Need at least {FEWEST_TEXTS} training texts that differ, got {distinct} distinct ones among {texts}: "
            "from copies of a text nothing can be learnt"
        )


def _rows(
    source: Any, split: str | None, prompt: str | None, response: str | None, reference: str | None
) -> Iterator[Text]:
    for location, row in _open(source, split):
        if isinstance(row, RowError):
            raise row
        if isinstance(row, str):
            row = {"response": row}
        elif not isinstance(row, Mapping):
            raise RowError(f"the row is {type(row).__name__}; expected a text or an object with columns", location)
        row = _with_response(row, response)
        scoring = to_scoring_row(row, location, prompt, response)
        answer = reference_of(row, location, reference)
        for item in scoring.items:
            text = item.response if isinstance(item.response, str) else str(item.response[-1].get("content") or "")
            if not text.strip():
                raise RowError("the response is empty; leave the row out", location)
            yield Text(item.prompt, item.response, answer, location)


def _open(source: Any, split: str | None) -> Iterable[tuple[str, Any]]:
    if isinstance(source, (str, Path)):
        path = Path(source).expanduser()
        if path.suffix == ".txt":
            return _lines(path)
        return open_source(str(source), split=split).read()
    if split is not None:
        raise ConfigError("split belongs to a file or a Hub data set, not to texts in memory; leave it out")
    return ((f"texts[{index}]", row) for index, row in enumerate(source))


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        with path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield f"{path}:{number}", line.strip()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}; expected UTF-8 text, one text a line") from error


def _with_response(row: Mapping[str, Any], column: str | None) -> Mapping[str, Any]:
    """A row whose text has one of the other usual names, under the usual one."""
    if column is not None or any(name in row for name in ("response", "responses", "chosen")):
        return row
    name = next((name for name in ("text", "completion", "answer", "output") if row.get(name) is not None), None)
    return row if name is None else {**row, "response": row[name]}
