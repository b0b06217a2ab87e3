"""What scores rows: a learned model, or reward functions. Asked chunk by chunk; errors name the row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from plaudit.errors import ItemError, RowError
from plaudit.evaluation.scoring_rows import ScoringRow, reference_of
from plaudit.formatting import RenderItem
from plaudit.models.ensemble import Ensemble
from plaudit.models.reward_model import RewardModel
from plaudit.rewards.composite import CompositeReward
from plaudit.types import Prompt, Scorer

__all__ = [
    "ModelScorer",
    "RewardScorer",
    "RowScorer",
    "Scored",
    "row_scorer",
    "score_located",
    "score_rows",
    "scoring_chunks",
]

Advance = Callable[[float], None]
Scored = tuple[list[float], dict[str, Any] | None]
"""The scores of a row's items, and what else goes into its line."""

CHUNK_RESPONSES = 2048
CHUNK_CHARACTERS = 4_000_000
"""What is read and scored at a time. Responses to one prompt share it wherever they are in a chunk, so a chunk holds
many prompts with all their responses. Prompts count for each of their responses: where texts are long, a chunk is
about a million tokens (60 to 100 MB)."""


class RowScorer(Protocol):
    """Scores rows."""

    def rows(self, chunk: Sequence[ScoringRow], advance: Advance) -> list[Scored]:
        """For each row its scores; errors name the row."""
        ...

    def one(self, prompt: Prompt, response: str, reference: str | None) -> float:
        """The score of one text."""
        ...

    def facts(self) -> dict[str, Any]:
        """What decides the scores, the rows apart."""
        ...


class ModelScorer:
    """A learned reward model, or an ensemble of them."""

    def __init__(self, model: RewardModel | Ensemble, name: str, overlong: str) -> None:
        self.model, self.name, self.overlong = model, name, overlong

    def rows(self, chunk: Sequence[ScoringRow], advance: Advance) -> list[Scored]:
        items = [item for row in chunk for item in row.items]
        locations = [row.location for row in chunk for _ in row.items]
        share = len(chunk) / len(items)

        def progress(count: int) -> None:
            advance(count * share)

        if isinstance(self.model, Ensemble) and self.model.reference_means is not None:
            with _located(locations):
                members = self.model.member_score_items(items, overlong=self.overlong, progress=progress)
            scores = iter(self.model.combined(members).astype(np.float32).tolist())
            spread = iter(self.model.spread(members).tolist())
            return [(list(islice(scores, n)), _disagreement(list(islice(spread, n)))) for n in _sizes(chunk)]
        scores = iter(score_located(self.model, items, locations, overlong=self.overlong, progress=progress).tolist())
        return [(list(islice(scores, n)), None) for n in _sizes(chunk)]

    def one(self, prompt: Prompt, response: str, reference: str | None) -> float:
        return float(self.model.score([prompt], [response], overlong=self.overlong)[0])

    def facts(self) -> dict[str, Any]:
        members = self.model.models if isinstance(self.model, Ensemble) else (self.model,)
        contracts = [member.contract or member.make_contract() for member in members]
        own = {}
        if isinstance(self.model, Ensemble):
            means = self.model.reference_means
            own = {"combine": self.model.combine, "k": self.model.k}
            own |= {"reference_means": None if means is None else means.tolist()}
        return own | {
            "model": self.name,
            "rendering": ", ".join(dict.fromkeys(contract.render_hash for contract in contracts)),
            "golden": [golden.score for contract in contracts for golden in contract.golden],
            "dtype": members[0].dtype,
            "overlong": self.overlong,
        }


def _sizes(chunk: Sequence[ScoringRow]) -> list[int]:
    return [len(row.items) for row in chunk]


def _disagreement(values: list[float]) -> dict[str, Any]:
    rounded = [round(value, 6) for value in values]
    return {"disagreement": rounded[0] if len(rounded) == 1 else rounded}


class RewardScorer:
    """Reward functions (and models) combined, with each one's own scores. ``references``: rows may have some."""

    def __init__(self, composite: CompositeReward, reference_column: str | None, *, references: bool = True) -> None:
        self.composite, self.reference_column, self.references = composite, reference_column, references

    def rows(self, chunk: Sequence[ScoringRow], advance: Advance) -> list[Scored]:
        items = [item for row in chunk for item in row.items]
        references = None
        if self.references:
            references = [
                reference_of(row.row, row.location, self.reference_column) for row in chunk for _ in row.items
            ]
        try:
            raw = self.composite.raw(
                [item.prompt for item in items], [item.response for item in items], references=references
            )
            combined = self.composite.combine(raw)
        except ItemError as error:
            if error.index is None:
                raise
            locations = [row.location for row in chunk for _ in row.items]
            raise RowError(_without_index(error), locations[error.index]) from error
        advance(len(chunk))
        scored: list[Scored] = []
        start = 0
        for row in chunk:
            mine = slice(start, start + len(row.items))
            start = mine.stop
            own = {name: [round(float(v), 6) for v in values[mine]] for name, values in raw.items()}
            single = len(row.items) == 1
            parts = {name: values[0] if single else values for name, values in own.items()}
            scored.append(([round(float(v), 6) for v in combined[mine]], {"rewards": parts}))
        return scored

    def one(self, prompt: Prompt, response: str, reference: str | None) -> float:
        return float(self.composite.score([prompt], [response], references=[reference])[0])

    def facts(self) -> dict[str, Any]:
        return {"rewards": self.composite.to_dict(), "reference_column": self.reference_column, "golden": []}


def _without_index(error: ItemError) -> str:
    reward = getattr(error, "reward", None)
    return f"reward {reward!r}: {error.problem}" if reward else error.problem


def row_scorer(scorer: Scorer, *, overlong: str = "error", reference_column: str | None = None) -> RowScorer:
    """Any scorer as one of rows.

    Args:
        scorer: a learned model, a rule or a composite.
        overlong: of a learned model: what happens to a response too long by itself, ``error`` or ``cut``.
        reference_column: of a rule: the column with reference answers.
    """
    if isinstance(scorer, RewardModel):
        return ModelScorer(scorer, scorer.base_model or "model", overlong)
    if isinstance(scorer, Ensemble) and scorer.learned:
        return ModelScorer(scorer, repr(scorer), overlong)
    composite = scorer if isinstance(scorer, CompositeReward) else CompositeReward([scorer])
    return RewardScorer(composite, reference_column)


def score_located(
    model: RewardModel | Ensemble,
    items: Sequence[RenderItem],
    locations: Sequence[str],
    *,
    overlong: str = "error",
    progress: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """`RewardModel.score_items`, whose errors name ``locations`` (``file:line``) instead of indices."""
    with _located(locations):
        return model.score_items(items, overlong=overlong, progress=progress)


@contextmanager
def _located(locations: Sequence[str]) -> Iterator[None]:
    """Errors name ``locations`` instead of indices."""
    try:
        yield
    except ItemError as error:
        if error.index is None:
            raise
        raise RowError(error.problem, locations[error.index]) from error


def scoring_chunks(
    rows: Iterable[ScoringRow], responses: int = CHUNK_RESPONSES, characters: int = CHUNK_CHARACTERS
) -> Iterator[list[ScoringRow]]:
    """Cuts by the rows alone, so that a run that goes on cuts as the one before it did."""
    chunk: list[ScoringRow] = []
    had_responses = had_characters = 0
    for row in rows:
        size = sum(map(_characters, row.items))
        full = had_responses + len(row.items) > responses or had_characters + size > characters
        if chunk and full:
            yield chunk
            chunk, had_responses, had_characters = [], 0, 0
        chunk.append(row)
        had_responses += len(row.items)
        had_characters += size
    if chunk:
        yield chunk


def _characters(item: RenderItem) -> int:
    return sum(len(text if isinstance(text, str) else str(text)) for text in (item.prompt, item.response))


def score_rows(
    rows: Iterable[ScoringRow],
    scorer: RowScorer,
    *,
    progress: Callable[[int], None] | None = None,
    on_bad: Callable[[RowError], None] | None = None,
) -> Iterator[tuple[ScoringRow, list[float]]]:
    """Every row with its scores, in order; a chunk of rows is in memory at a time.

    Args:
        rows: what to score.
        scorer: what scores.
        progress: called with the number of rows since the last call.
        on_bad: called for a row that cannot be scored, which is left out unless this raises; then the others of its
            chunk are scored anew.

    Raises:
        RowError: a row cannot be scored, where ``on_bad`` is None.
    """
    for chunk in scoring_chunks(rows):
        size = len(chunk)
        scored: list[Scored] = []
        while chunk:
            try:
                scored = scorer.rows(chunk, lambda count: None)
                break
            except RowError as error:
                left = [row for row in chunk if row.location != error.location]
                if on_bad is None or len(left) == len(chunk):
                    raise
                on_bad(error)
                chunk = left
        yield from ((row, scores) for row, (scores, _) in zip(chunk, scored, strict=True))
        if progress is not None:
            progress(size)
