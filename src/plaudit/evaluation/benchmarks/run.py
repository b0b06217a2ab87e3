"""A scorer on a benchmark: rows are streamed, responses of one prompt scored together, and only scores kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from plaudit.errors import ConfigError, ItemError, RowError
from plaudit.evaluation.benchmarks.base import BENCHMARKS, BenchmarkRow, ScoredRow
from plaudit.evaluation.benchmarks.report import BenchmarkReport
from plaudit.evaluation.scored import example_scores, length_of
from plaudit.metrics.intervals import Array
from plaudit.types import Example, Scorer

__all__ = ["BenchmarkInfo", "chunked", "list_benchmarks", "published_reports", "run_benchmark", "scored_examples"]

T = TypeVar("T")

CHUNK_RESPONSES = 2048
CHUNK_CHARACTERS = 4_000_000
"""What is scored at a time; prompts count for each of their responses, so a chunk is about a million tokens."""


@dataclass(frozen=True)
class BenchmarkInfo:
    """What a benchmark is, for people: its name, what it measures, its figure, its Hub id (empty: bring a file)."""

    name: str
    summary: str
    figure: str
    hub: str
    split: str | None
    columns: tuple[str, ...]
    reference: str


def list_benchmarks() -> list[BenchmarkInfo]:
    """All benchmarks there are, plug-ins included."""
    infos = []
    for name in BENCHMARKS:
        benchmark = BENCHMARKS.get(name)
        summary = (benchmark.__doc__ or "").strip().partition("\n")[0]
        infos.append(
            BenchmarkInfo(
                name,
                summary,
                benchmark.figure,
                benchmark.hub,
                benchmark.split,
                benchmark.columns,
                benchmark.reference,
            )
        )
    return infos


def run_benchmark(
    scorer: Scorer,
    name: str,
    source: str | Path | None = None,
    *,
    split: str | None = None,
    revision: str | None = None,
    overlong: str = "error",
    label: str = "",
    progress: Callable[[int], None] | None = None,
) -> BenchmarkReport:
    """The figures of a scorer on a benchmark, under its published protocol.

    Memory grows with the number of rows by their scores alone, some hundred bytes a row.

    Args:
        scorer: any scorer.
        name: of the benchmark, see `list_benchmarks`.
        source: file, folder or Hub id in the published format; None: the benchmark's own Hub data set.
        split, revision: of the source.
        overlong: for a learned model: what happens to a response too long by itself, ``error`` or ``cut``.
        label: what to call the scorer in the report.
        progress: called with the number of rows scored since the last call.

    Raises:
        ConfigError: no such benchmark, or it has no data of its own and no source is given.
        RowError: a row in another format, or one that cannot be scored; names file and line.
        ScoreError: scores that are no finite numbers.
    """
    benchmark = BENCHMARKS.get(name)()
    rows = benchmark.load(source, split=split, revision=revision)
    scored = list(_scored_rows(scorer, rows, overlong, progress))
    return replace(benchmark.aggregate(scored, source=str(source or benchmark.hub)), scorer=label)


def published_reports(
    name: str, source: str | Path | None = None, *, split: str | None = None
) -> dict[str, BenchmarkReport]:
    """By model, the figures of the raw scores that the rows themselves carry; nothing is scored.

    Raises:
        ConfigError: the rows carry none.
        RowError: a row lacks the scores of a model that others have.
    """
    benchmark = BENCHMARKS.get(name)()
    scored: dict[str, list[ScoredRow]] = {}
    for number, row in enumerate(benchmark.load(source, split=split)):
        if number == 0:
            scored = {model: [] for model in row.published}
            if not scored:
                raise ConfigError(f"{source or benchmark.hub} carries no published scores; name a model to score with")
        if set(row.published) != set(scored):
            odd = sorted(set(row.published) ^ set(scored))
            raise RowError(f"published scores of {', '.join(odd)} in some rows only", row.example.location)
        for model, scores in row.published.items():
            scored[model].append(ScoredRow.of(row, scores))
    where = str(source or benchmark.hub)
    return {model: replace(benchmark.aggregate(own, source=where), scorer=model) for model, own in scored.items()}


def _scored_rows(
    scorer: Scorer, rows: Iterable[BenchmarkRow], overlong: str, progress: Callable[[int], None] | None
) -> Iterator[ScoredRow]:
    for chunk in chunked(rows, lambda row: row.example):
        examples = [row.example for row in chunk]
        for row, scores in zip(chunk, _scores(scorer, examples, overlong), strict=True):
            yield ScoredRow.of(row, scores)
        if progress is not None:
            progress(len(chunk))


def scored_examples(
    scorers: Sequence[Scorer],
    examples: Iterable[Example],
    *,
    overlong: str = "error",
    progress: Callable[[int], None] | None = None,
) -> Iterator[tuple[Example, list[Array]]]:
    """Each example with the scores (K,) of its responses by every scorer; a chunk of texts is in memory at a time.

    Args:
        scorers: any scorers.
        examples: with any number of responses.
        overlong: for the learned models among the scorers.
        progress: called with the number of examples scored since the last call.

    Raises:
        RowError: a text that a scorer cannot take; names its row.
        ScoreError: scores that are no finite numbers.
    """
    learned = [hasattr(scorer, "score_items") for scorer in scorers]
    if overlong != "error" and not any(learned):
        raise ConfigError(f"overlong {overlong!r} has a meaning only for a learned model, and there is none")
    for chunk in chunked(examples, lambda example: example):
        by_scorer = [
            _scores(scorer, chunk, overlong if is_learned else "error")
            for scorer, is_learned in zip(scorers, learned, strict=True)
        ]
        for place, example in enumerate(chunk):
            yield example, [scores[place] for scores in by_scorer]
        if progress is not None:
            progress(len(chunk))


def _scores(scorer: Scorer, examples: list[Example], overlong: str) -> list[Array]:
    if overlong != "error" and not hasattr(scorer, "score_items"):
        raise ConfigError(
            f"overlong {overlong!r} has a meaning only for a learned model, not for {type(scorer).__name__}"
        )
    try:
        return example_scores(scorer, examples, overlong=overlong)
    except ItemError as error:
        if error.index is None:
            raise
        ends = np.cumsum([len(example.responses) for example in examples])
        example = examples[int(np.searchsorted(ends, error.index, side="right"))]
        reward = getattr(error, "reward", None)
        raise RowError(f"reward {reward!r}: {error.problem}" if reward else error.problem, example.location) from error


def chunked(rows: Iterable[T], example_of: Callable[[T], Example]) -> Iterator[list[T]]:
    """Rows some at a time, cut by the rows alone, so that a run that goes on cuts as the one before it did."""
    chunk: list[T] = []
    responses = characters = 0
    for row in rows:
        example = example_of(row)
        size = sum(map(length_of, example.responses)) + len(example.responses) * length_of(example.prompt or "")
        count = len(example.responses)
        if chunk and (responses + count > CHUNK_RESPONSES or characters + size > CHUNK_CHARACTERS):
            yield chunk
            chunk, responses, characters = [], 0, 0
        chunk.append(row)
        responses += count
        characters += size
    if chunk:
        yield chunk
