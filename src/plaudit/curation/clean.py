"""Applies what was chosen from the findings of `plaudit.curation.inspect`: rows dropped, flipped, weighted, balanced.

What is wrong with a row is for `scan_preferences` and `find_noise` to say; this decides what becomes of it, and writes
the rows that stay and a ledger of those that do not stay as they were.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plaudit.curation.clean_plan import BAD, DROPPABLE, FLIPPABLE, SAMPLE, TOKENS, Change, Choice, CleanReport, Plan
from plaudit.curation.inspect.languages import find_languages
from plaudit.curation.inspect.scan import ScanOptions, as_example, scan_preferences
from plaudit.curation.inspect.shared import PromptFile
from plaudit.data import Columns, load_preferences
from plaudit.data.balance import row_weight
from plaudit.data.examine import OnBadRow
from plaudit.data.passes import Passes, Row, RowReport, Rows
from plaudit.data.source import open_source
from plaudit.data.write import RowWriter
from plaudit.errors import DataError, RowError

if TYPE_CHECKING:
    from plaudit.models.features import Extractor, FeatureCache

__all__ = ["DROPPABLE", "FLIPPABLE", "SAMPLE", "CleanReport", "clean_preferences", "ledger_path"]

Progress = Callable[[str, int], None]
"""Called with the name of a step and how many rows of it were done since the last call."""


def ledger_path(output: str | Path) -> Path:
    """Where the ledger of an output is: beside it, ``NAME.ledger.jsonl``."""
    path = Path(output).expanduser()
    return path.with_name(f"{path.name}.ledger.jsonl")


def clean_preferences(
    source: Rows,
    output: str | Path,
    *,
    drop: Sequence[str] = (),
    flip: Sequence[str] = (),
    down_weight: Sequence[str] = (),
    balance: str | None = None,
    noise_threshold: float | None = None,
    against: Sequence[str | Path] = (),
    benchmarks: Sequence[str | Path] = (),
    model: str | None = None,
    max_length: int | None = None,
    trusted: Sequence[str | Path] = (),
    embeddings: bool = True,
    sample: int | None = SAMPLE,
    columns: Columns | None = None,
    split: str | None = None,
    seed: int = 0,
    on_bad_row: OnBadRow = "error",
    overwrite: bool = False,
    dry_run: bool = False,
    cache: FeatureCache | None = None,
    extractor: Extractor | None = None,
    progress: Progress | None = None,
) -> CleanReport:
    """Writes the rows that are to stay, and a ledger of every row removed or changed.

    First labels are flipped, then rows are dropped by the labels as they then are, then the kept ones are weighted, and
    last sources are balanced. Kept rows have their order and all their columns; a flipped row has the values of its
    chosen and rejected columns exchanged, a weighted one another weight, and nothing else is changed. The ledger
    (`ledger_path`) has one line for each row removed, and for each flip and weight of a row that stays: ``location``,
    ``row`` (from 1), ``action`` (drop, flip, weight), ``reason``, ``detail``, ``other`` (the other row, of findings
    about two), ``also`` (further reasons to drop it) and ``figures``.

    The source is read twice. Memory grows with the number of rows (about 0.7 kB each), not with their length, and by
    the rows of the sample, where noise or language is asked.

    Args:
        source: a file, folder, Hub data set or list of rows.
        output: a file; its suffix says the format.
        drop: findings (`DROPPABLE`) whose rows are removed. Of duplicates and near-duplicates the first is kept, of
            contradictory rows none.
        flip: ``"noise"``: labels that are probably the wrong way round; ``"contradictory"``: labels against which more
            rows with the same texts speak.
        down_weight: ``"noise"``: each weight is multiplied by 1 - posterior, the probability that its label is right.
        balance: ``"source"``: of each source as many rows as the smallest has are kept, drawn with ``seed``.
        noise_threshold: posterior from which a label is dropped or flipped as noise, in (0, 1]; None: 0.5.
        against: other splits, for ``leaked``.
        benchmarks: benchmark files, for ``contaminated``.
        model, max_length: whose tokens count and the limit, for ``too-long`` and ``identical-after-truncation``; of the
            model the special tokens, for ``artefacts``. None as in `plaudit.inspect_preferences`.
        trusted: files of pairs whose labels are believed, from which noise is learnt, too (``sample`` rows of each).
        embeddings: False: noise is found by words, the surface and cues alone.
        sample: rows that noise and language look at, drawn at random; the others are left alone. None: all rows.
        columns: names of columns.
        split: as in `plaudit.load_preferences`.
        seed: of samples and draws.
        on_bad_row: ``"skip"``: rows that cannot be used are removed, and are in the ledger as ``bad-row``.
        overwrite: replace output and ledger.
        dry_run: write nothing.
        cache, extractor: as in `find_noise`.
        progress: see `Progress`.

    Raises:
        ConfigError: nothing was chosen, or options that do not go together.
        DataError: the source cannot be used, or no row would be left.
        RowError: a bad row, with its place.
        OutputError: the output exists, is read, or cannot be written.
    """
    choice = Choice(tuple(drop), tuple(flip), tuple(down_weight), balance, noise_threshold)
    choice.check(
        against=against,
        benchmark=benchmarks,
        model=model,
        max_length=max_length,
        sample=sample != SAMPLE,
        trusted=trusted,
        no_embeddings=not embeddings,
    )
    files = (*Passes(source, RowReport(), split=split, on_bad_row=on_bad_row).files, *against, *benchmarks, *trusted)
    ledger = ledger_path(output)
    writers = [RowWriter(path, overwrite=overwrite, sources=files) for path in (output, ledger)]  # refuse now
    scan = scan_preferences(
        source,
        columns=columns,
        split=split,
        options=_scan_options(choice, against, benchmarks, model, max_length, sample, seed),
        on_bad_row=on_bad_row,
        progress=_step(progress, "rows"),
    )
    choice.check_kind(scan.kind)
    plan = Plan(scan, choice, np.random.default_rng(seed))
    if choice.asks("noise"):
        plan.ask_noise(
            trusted=[pair for path in trusted for pair in load_preferences(path, max_samples=sample, seed=seed)],
            seed=seed,
            embeddings=embeddings,
            cache=cache,
            extractor=extractor,
            progress=_step(progress, "label noise"),
        )
    if "language" in choice.drop:
        find_languages(scan, _step(progress, "languages"))
    report = plan.decide()
    if not report.kept:
        raise DataError(f"none of the {report.rows:,} rows of {scan.name} would be left; nothing is written")
    if not dry_run:
        report.ledger = str(ledger)
        with writers[0] as kept, writers[1] as changes:
            _write(plan, open_source(source, split=split).read(), kept, changes, _step(progress, "writing"))
    return report


def _step(progress: Progress | None, name: str) -> Callable[[int], None] | None:
    return None if progress is None else lambda count: progress(name, count)


def _scan_options(
    choice: Choice, against: Any, benchmarks: Any, model: str | None, max_length: int | None, sample: Any, seed: int
) -> ScanOptions:
    from plaudit.curation.inspect.lengths import TokenLengths

    return ScanOptions(
        near="near-duplicates" in choice.drop,
        tokens=TokenLengths(model or "embedded", max_length) if TOKENS & {*choice.drop} else None,
        against=tuple(PromptFile.read(path, near=False) for path in against),
        benchmarks=tuple(PromptFile.read(path, near=True) for path in benchmarks),
        keep=sample if choice.asks("noise") or "language" in choice.drop else 1,
        seed=seed,
    )


# -- writing -----------------------------------------------------------------------------------------------------------


def _write(
    plan: Plan,
    items: Iterator[tuple[str, Any]],
    kept: RowWriter,
    changes: RowWriter,
    progress: Callable[[int], None] | None,
) -> None:
    scan = plan.scan
    places = dict(zip(scan.index.tolist(), range(len(scan)), strict=True))
    index = -1
    for index, (location, item) in enumerate(items):
        if index >= scan.rows:
            break
        row = places.get(index)
        if row is None:
            changes.write(_entry(index, location, Change("drop", BAD, _problem(item, scan.mapping, location))))
        elif row in plan.drops:
            changes.write(_entry(index, location, plan.drops[row]))
        elif not isinstance(item, Mapping):
            raise DataError(f"{location}: cleaning writes rows of columns, got {type(item).__name__}")
        else:
            made, noted = _changed(plan, row, item, location)
            for change in noted:
                changes.write(_entry(index, location, change))
            kept.write(made)
        if progress is not None:
            progress(1)
    if index + 1 != scan.rows or kept.count != plan.report.kept:
        raise DataError(f"{scan.name} was changed while it was read; nothing is written")


def _changed(plan: Plan, row: int, item: Row, location: str) -> tuple[dict[str, Any], list[Change]]:
    """A row that stays, as it is to be, and what was changed in it."""
    made, changes, columns = dict(item), [], plan.scan.mapping
    if row in plan.flips:
        chosen, rejected = (columns.find_required(name, item) for name in ("chosen", "rejected"))
        made[chosen], made[rejected] = item[rejected], item[chosen]
        changes.append(plan.flips[row])
    if plan.choice.down_weight:
        name, before = row_weight(item, columns)
        factor = round(plan.weights.get(row, 1.0), 4)
        made[name] = before if factor == 1 else round(before * factor, 6)
        if factor != 1:
            figures = {"posterior": round(1 - factor, 4), "before": before, "weight": made[name]}
            changes.append(
                Change("weight", "noise", f"its label is right with probability {factor:.2f}", figures=figures)
            )
    return made, changes


def _entry(index: int, location: str, change: Change) -> dict[str, Any]:
    return {"location": location, "row": index + 1, **asdict(change)}


def _problem(item: Any, columns: Columns, location: str) -> str:
    """Why a row cannot be used."""
    with contextlib.suppress(DataError):
        try:
            as_example(item, columns, location)
        except RowError as error:
            return error.problem
    return "the row cannot be used"
