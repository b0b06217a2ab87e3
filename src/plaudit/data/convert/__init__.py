"""Preference data from one shape into another: ratings, A/B tests, rankings, transcripts, known data sets.

Reads what `plaudit.data.read` reads, yields rows that `plaudit.data.write` writes. Knows nothing of tokens or models.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from plaudit.data.columns import Columns
from plaudit.data.convert.options import TARGETS, ConvertOptions, Evidence, Strategy, Target, Ties
from plaudit.data.convert.report import Conversion, ConvertReport
from plaudit.data.convert.run import start
from plaudit.data.convert.shapes import SHAPES
from plaudit.data.convert.transcripts import messages_from_transcript
from plaudit.data.examine import OnBadRow
from plaudit.errors import ConfigError

__all__ = [
    "SHAPES",
    "TARGETS",
    "Conversion",
    "ConvertReport",
    "convert_preferences",
    "messages_from_transcript",
    "preferences_from_ab",
    "preferences_from_rankings",
    "preferences_from_ratings",
]

RowSource: TypeAlias = "str | Path | Iterable[Mapping[str, Any]]"
"""A file, a folder of files, a Hub id, a data set of the ``datasets`` library, or rows."""


def convert_preferences(
    source: RowSource,
    *,
    shape: str = "auto",
    to: Target | None = None,
    columns: Columns | None = None,
    fields: Mapping[str, str] | None = None,
    strategy: Strategy | None = None,
    min_gap: float | None = None,
    margin: float | None = None,
    attributes: str | Mapping[str, float] | None = None,
    ties: Ties | None = None,
    evidence: Evidence | None = None,
    winners: Mapping[str, str] | None = None,
    tie_band: float | None = None,
    significance: float | None = None,
    weigh_by_certainty: bool = False,
    keep: Sequence[str] = (),
    split: str | None = None,
    on_bad_row: OnBadRow = "error",
    progress: Callable[[int], None] | None = None,
) -> Conversion:
    """Rows of any known shape as rows of another; they are made while the result is iterated over.

    Args:
        source: file, folder, Hub id, data set or rows.
        shape: a key of `SHAPES`, or ``"auto"``: found by the columns of the first rows.
        to: ``"pairs"`` (the default), ``"messages"`` (the same, all of it conversations; dialogues become this by
            default), ``"trl"``, ``"dpo"``, ``"kto"``, ``"rankings"`` or ``"ratings"``.
        columns: names of columns that are not found by convention; ``group_by`` groups ratings.
        fields: names of the columns of A/B tests and rankings: ``a``, ``b``, ``winner``, ``votes``, ``ranks``, …
        strategy: which pairs several responses to a prompt give: ``"best-worst"`` (the default), ``"all"``,
            ``"adjacent"`` (neighbours in the order of scores).
        min_gap: the least difference of scores or ranks that makes a pair, >= 0.
        margin: write a column ``margin``: the gap of scores, ranks or strengths, times this factor.
        attributes: of several scores: the one to read, or a weight for each in their sum.
        ties: ``"keep"`` them, with ``soft_label`` 0.5, or ``"drop"`` them. Default: kept where the data says that they
            are ties (A/B tests, judged pairs), dropped where two scores or ranks are equal, and in TRL's, DPO's and
            KTO's rows, which cannot say one.
        evidence: what decides an A/B test; default: votes, else clicks, else a probability, else the winner.
        winners: spellings of a winner -> ``"a"``, ``"b"`` or ``"tie"``.
        tie_band: a probability less than this away from 0.5 is a tie, in [0, 0.5).
        significance: level of the z test, in (0, 1); default 0.05.
        weigh_by_certainty: write ``weight``: the share of the prior's variance that votes or clicks have removed, in
            [0, 1].
        keep: further columns to carry over. From two or more rated rows they become ``NAME_chosen`` and
            ``NAME_rejected``, in rankings lists.
        split: ``train``, ``train[:5%]``.
        on_bad_row: ``"error"`` stops at the first row that cannot be used; ``"skip"`` counts them.
        progress: called with the number of rows read since the last call.

    Memory holds a few copies of one row, or of the ratings of one prompt: ratings are sorted by prompt in a temporary
    file (TMPDIR). A ``.json`` file is read whole; Parquet is written in batches (`RowWriter`).

    Raises:
        ConfigError: an option that cannot work, or that has no effect on this shape.
        DataError: the source cannot be used; its shape is unknown or ambiguous; nothing is left.
        RowError: while iterating, a bad row, with its file and line.
    """
    if isinstance(attributes, str):
        attributes = {attributes: 1.0}
    options = ConvertOptions(
        columns=columns or Columns(),
        fields=fields or {},
        strategy=strategy,
        min_gap=min_gap,
        margin=margin,
        attributes=attributes or None,
        ties=ties,
        evidence=evidence,
        winners=winners or None,
        tie_band=tie_band,
        significance=significance,
        weigh_by_certainty=weigh_by_certainty or None,
        keep=tuple(keep),
    )
    return start(source, shape=shape, to=to, options=options, on_bad_row=on_bad_row, split=split, progress=progress)


def preferences_from_ratings(source: RowSource, *, shape: str = "ratings", **options: Any) -> Conversion:
    """Pairs of responses that were rated one by one: rows with a prompt, a response and a score.

    The rows of one prompt need not be neighbours. Options: those of `convert_preferences`; here ``strategy``,
    ``min_gap``, ``margin``, ``attributes`` and ``ties`` matter. ``shape`` may also be ``"kto"``, ``"helpsteer"``,
    ``"ultrafeedback"`` or ``"argilla-ratings"``.

    >>> rows = [{"prompt": "2+2?", "response": "4", "score": 1}, {"prompt": "2+2?", "response": "5", "score": 0}]
    >>> list(preferences_from_ratings(rows, margin=1.0))
    [{'prompt': '2+2?', 'chosen': '4', 'rejected': '5', 'margin': 1.0}]
    """
    _expect(shape, ("ratings", "kto", "helpsteer", "helpsteer2", "ultrafeedback", "argilla-ratings"))
    return convert_preferences(source, shape=shape, **options)


def preferences_from_ab(source: RowSource, **options: Any) -> Conversion:
    """Pairs with soft labels from comparisons of two responses, A and B.

    The evidence is a winner, votes, clicks and impressions, or a probability; ``soft_label`` is the probability that
    ``chosen`` is preferred, ``soft_label_std`` its standard deviation where votes or clicks give one (see
    `plaudit.data.convert.ab`). Options: those of `convert_preferences`; here ``evidence``, ``winners``, ``ties``,
    ``tie_band``, ``significance`` and ``weigh_by_certainty`` matter.

    >>> list(preferences_from_ab([{"prompt": "Hi", "response_a": "Hello!", "response_b": "No.", "winner": "a"}]))
    [{'prompt': 'Hi', 'chosen': 'Hello!', 'rejected': 'No.', 'soft_label': 1.0}]
    """
    return convert_preferences(source, shape="ab", **options)


def preferences_from_rankings(source: RowSource, *, shape: str = "rankings", **options: Any) -> Conversion:
    """Pairs, or with ``to="rankings"`` listwise rows, of several ranked responses in a row.

    Shapes: ``responses`` beside ``ranks`` (1 is best) or ``scores``; a list of objects that hold a response and a rank
    or score; with ``shape="ordered"`` a list in order, best first. Options: those of `convert_preferences`.

    >>> list(preferences_from_rankings([{"prompt": "Hi", "responses": ["a", "b"], "ranks": [2, 1]}]))
    [{'prompt': 'Hi', 'chosen': 'b', 'rejected': 'a'}]
    """
    _expect(shape, ("rankings", "nectar", "ordered", "ultrafeedback", "argilla-ratings"))
    return convert_preferences(source, shape=shape, **options)


def _expect(shape: str, known: Sequence[str]) -> None:
    if shape not in known:
        raise ConfigError(f"the shape is {shape!r}; expected one of {', '.join(known)}, or use convert_preferences")
