"""Data in which the values of a column, the bins of difficulty or the clusters of prompts count alike."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plaudit.data.balance import BalanceReport, Target, balance_rows, by_column, check_target
from plaudit.data.columns import Columns
from plaudit.data.examine import OnBadRow
from plaudit.data.passes import Passes, Row, Rows
from plaudit.data.write import RowWriter
from plaudit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from plaudit.types import Scorer

__all__ = ["DIFFICULTY", "PROMPT_CLUSTER", "balance_preferences"]

DIFFICULTY, PROMPT_CLUSTER = "difficulty", "prompt-cluster"


def balance_preferences(
    source: Rows,
    output: str | Path,
    by: str,
    *,
    to: Target | None = None,
    weights: bool = False,
    scorer: Scorer | str | Path | Mapping[str, Any] | None = None,
    bins: int | None = None,
    clusters: int | None = None,
    columns: Columns | None = None,
    overlong: str = "error",
    device: str | None = None,
    seed: int = 0,
    split: str | None = None,
    on_bad_row: OnBadRow = "error",
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> BalanceReport:
    """Draws rows, or writes weights, so that every value of something counts alike.

    ``by`` is a column; or ``"difficulty"``: bins of equal width of the margin by which a reference scorer, or without
    one an n-gram model of other prompts with length taken out, prefers the preferred response
    (`plaudit.curation.difficulty`); or ``"prompt-cluster"``: k-means on embeddings of prompts
    (`plaudit.curation.clusters`). A column of that name comes first. Rows keep their order and their columns.

    The source is read twice, by difficulty or cluster once or twice more. In memory: a count for each value; by
    difficulty and cluster a number for each row too, and a sample of rows (20,000 pairs, 10,000 prompts).

    Args:
        source: rows; pairs, for difficulty.
        output: a file; its suffix says the format.
        by: what by.
        to: how much each value counts: as the rarest ("min"), the mean ("mean") or a number; see
            `plaudit.data.balance.balance_rows`. Default: "min", with weights "mean".
        weights: keep all rows, and write a column ``weight`` (multiplied to one that is there).
        scorer: for difficulty: a scorer, or what `plaudit.resolve_scorer` makes one of.
        bins: of difficulty, from 2; default 5.
        clusters: of prompts, from 2; default 8.
        columns: names of columns.
        overlong: of a learned model: a response too long by itself is an ``error``, or ``cut``.
        device: of the sentence encoder.
        seed: of every draw.
        split: of the source, as in ``train[:5%]``.
        on_bad_row: ``"error"`` stops at a bad row; ``"skip"`` counts it and leaves it out.
        overwrite: replace a file that is there.
        progress: called with the number of rows since the last call, in each pass.

    Raises:
        ConfigError: options that do not go together.
        DataError: nothing to balance.
        OutputError: the output exists, is read, or cannot be written.
    """
    check_target("min" if to is None else to)
    columns = columns or Columns()
    report = BalanceReport(by=f"the column {by!r}")
    passes = Passes(source, report, split=split, on_bad_row=on_bad_row, progress=progress)
    writer = RowWriter(output, overwrite=overwrite, sources=passes.files)
    automatic = by in (DIFFICULTY, PROMPT_CLUSTER) and not _has_column(source, split, by)
    _check(by if automatic else "", scorer, bins, clusters, overlong, device)
    names: list[str] = []
    if not automatic:
        valued = by_column(passes, by, columns if weights else None)
    else:
        if by == DIFFICULTY:
            report.by, places, names = _difficulty(passes, scorer, bins or 5, columns, overlong, seed)
        else:
            from plaudit.curation.clusters import cluster_rows

            places, names = cluster_rows(passes, columns, clusters or 8, device=device, seed=seed)
            report.by = f"{clusters or 8} clusters of prompts"
        valued = _by_place(passes, places, names)
    balance_rows(valued, writer, report, to=to, weights=weights, columns=columns, order=names, seed=seed)
    return report


def _has_column(source: Rows, split: str | None, name: str) -> bool:
    from plaudit.data.source import open_source

    _, row = next(iter(open_source(source, split=split).read()), ("", None))
    return isinstance(row, Mapping) and name in row


def _check(
    automatic: str, scorer: Any, bins: int | None, clusters: int | None, overlong: str, device: str | None
) -> None:
    """Refuses what has no effect."""
    given = [("--model and --reward", DIFFICULTY, scorer), ("--bins", DIFFICULTY, bins)]
    given += [("--clusters", PROMPT_CLUSTER, clusters), ("--device", PROMPT_CLUSTER, device)]
    for name, owner, value in given:
        if value is not None and automatic != owner:
            raise ConfigError(f"{name}: no effect here, it belongs to --by {owner}; leave it out")
    if overlong != "error" and scorer is None:
        raise ConfigError("--overlong: no effect here, it belongs to --by difficulty with --model; leave it out")
    for name, count in (("bins", bins), ("clusters", clusters)):
        if count is not None and count < 2:
            raise ConfigError(f"{name} is {count}; expected a number from 2")


def _difficulty(
    passes: Passes,
    scorer: Any,
    bins: int,
    columns: Columns,
    overlong: str,
    seed: int,
) -> tuple[str, Sequence[int], list[str]]:
    from plaudit.curation.difficulty import bin_margins, ngram_margins, scorer_margins

    if scorer is None:
        margins = ngram_margins(passes, columns, seed=seed)
        what = "by an n-gram model of other prompts, length taken out"
    else:
        from plaudit.scorers import resolve_scorer

        margins = scorer_margins(passes, resolve_scorer(scorer), columns, overlong=overlong)
        what = "by the reference scorer"
    places, names = bin_margins(margins, bins)
    return f"difficulty ({what})", places.tolist(), names


def _by_place(
    passes: Passes,
    places: Sequence[int] | array[int],
    names: Sequence[str],
) -> Callable[[], Iterator[tuple[Row, str]]]:
    """Passes over the rows with the names of their places."""

    def valued() -> Iterator[tuple[Row, str]]:
        of_row = iter(places)
        for row, _ in passes(lambda row, location: None):
            place = next(of_row, None)
            if place is None:
                raise DataError(f"{passes.name} was changed while it was read; run this again")
            yield row, names[place]

    return valued
