"""A file as train, validation and test files, by prompt: the rule of `plaudit.data.split`, row by row.

Knows rows and their split keys, not what they say.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from plaudit.data.columns import Columns
from plaudit.data.examine import OnBadRow
from plaudit.data.passes import Passes, Row, RowReport, Rows, column_text, row_group
from plaudit.data.read import suffix_of
from plaudit.data.split import hash_share
from plaudit.data.write import WRITABLE, RowWriter
from plaudit.errors import ConfigError, DataError, OutputError
from plaudit.files import atomic_folder

__all__ = ["PARTS", "SplitReport", "split_preferences"]

PARTS = ("train", "validation", "test")


@dataclass
class SplitReport(RowReport):
    """What was written where.

    Attributes:
        files: part -> path.
        parts: part -> rows.
        groups: part -> groups; empty where rows went by the hash alone, which counts none.
        strata: value of the column -> part -> rows; empty without a column.
    """

    files: dict[str, str] = field(default_factory=dict)
    parts: dict[str, int] = field(default_factory=dict)
    groups: dict[str, int] = field(default_factory=dict)
    strata: dict[str, dict[str, int]] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """The counts in words."""
        lines = super().lines()
        for part, rows in self.parts.items():
            groups = f" in {self.groups[part]:,} groups" if self.groups else ""
            lines.append(f"{part}: {rows:,} rows ({rows / self.written:.1%}){groups}")
        for value, counts in list(self.strata.items())[:20]:
            shares = ", ".join(f"{part} {rows:,} ({rows / sum(counts.values()):.1%})" for part, rows in counts.items())
            lines.append(f"  {value}: {shares}")
        return lines + ([f"  … and {len(self.strata) - 20:,} more values"] if len(self.strata) > 20 else [])


def split_preferences(
    source: Rows,
    output: str | Path,
    *,
    test_fraction: float = 0.1,
    validation_fraction: float = 0.0,
    columns: Columns | None = None,
    stratify: str | None = None,
    seed: int = 0,
    split: str | None = None,
    on_bad_row: OnBadRow = "error",
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> SplitReport:
    """Writes ``train``, ``validation`` and ``test`` files into a folder; no prompt is in two of them.

    The hash of a row's prompt (or of ``columns.group_by``) says where it goes, as in ``plaudit train
    --test-fraction --split-seed``: a test side has the same prompts here and there, and no prompt moves to or from it
    when data is added. The source is read once; nothing is held in memory.

    With ``stratify``, groups are taken in the order of their hash, and each goes where it lowers the distance to the
    shares asked for most: the sum over parts p and values v of (n_pv - f_p N_v)^2 / (f_p N_v), with n_pv rows of v
    in p, N_v in all, and fractions f. That reads the source twice and holds the counts of every group.

    Args:
        source: rows of any kind.
        output: a folder. The files have the format of the source where it is one file or a folder of files that can be
            written (Arrow becomes Parquet), else JSON Lines.
        test_fraction, validation_fraction: of the groups; 0: no such file.
        columns: names of columns; ``group_by`` for what belongs together.
        stratify: a column whose values keep their shares in each part.
        seed: another one splits otherwise.
        split: of the source, as in ``train[:5%]``.
        on_bad_row: ``"error"`` stops at a bad row; ``"skip"`` counts it and leaves it out.
        overwrite: replace files of these names in the folder.
        progress: called with the number of rows since the last call, in every pass.

    Raises:
        ConfigError: fractions that leave no train side, or ask for no other one.
        DataError: a part would be empty.
        OutputError: the folder is in use, holds what is read, or cannot be written.
    """
    fractions = _fractions(test_fraction, validation_fraction)
    columns = columns or Columns()
    report = SplitReport()
    passes = Passes(source, report, split=split, on_bad_row=on_bad_row, progress=progress)
    folder, suffix = Path(output).expanduser(), _suffix(passes.files)
    files = {part: folder / f"{part}{suffix}" for part in PARTS if part in fractions}
    _check_output(folder, passes.files, overwrite=overwrite)
    if stratify is None:
        placed = _by_hash(passes, columns, fractions, seed)
    else:
        placed = _stratified(passes, columns, stratify, fractions, seed, report)
    with atomic_folder(folder, last=files["train"].name, replaces=[f"{part}.*" for part in PARTS]) as staging:
        with ExitStack() as stack:
            writers = {part: stack.enter_context(RowWriter(staging / file.name)) for part, file in files.items()}
            for row, part in placed:
                writers[part].write(row)
            report.parts = {part: writer.count for part, writer in writers.items()}
        report.written = sum(report.parts.values())
        if not report.written:
            raise passes.nothing()
        for part, rows in report.parts.items():
            if not rows:
                raise DataError(
                    f"the {part} part is empty: {report.written:,} rows, {_said(fractions)}, seed {seed}; choose "
                    "other fractions, another seed (--seed N), group by another column (--group-by NAME), or bring "
                    "more data"
                )
    report.files = {part: str(file) for part, file in files.items()}
    return report


def _fractions(test: float, validation: float) -> dict[str, float]:
    """Part -> fraction, in the order in which the hash is compared."""
    for name, value in (("test", test), ("validation", validation)):
        if not 0 <= value < 1:
            raise ConfigError(f"the {name} fraction is {value}; expected a number from 0, below 1")
    if not 0 < test + validation < 1:
        raise ConfigError(
            f"a test fraction of {test:g} and a validation fraction of {validation:g} "
            f"{'split nothing' if not test + validation else 'leave no train part'}; their sum is above 0 and below 1"
        )
    given = {"test": test, "validation": validation, "train": 1 - test - validation}
    return {part: fraction for part, fraction in given.items() if fraction}


def _said(fractions: Mapping[str, float]) -> str:
    return ", ".join(f"{part} fraction {value:g}" for part, value in fractions.items() if part != "train")


def _suffix(files: tuple[Path, ...]) -> str:
    suffix = (suffix_of(files[0]) if files else None) or ".jsonl"
    return ".parquet" if suffix == ".arrow" else suffix if suffix in WRITABLE else ".jsonl"


def _check_output(folder: Path, sources: tuple[Path, ...], *, overwrite: bool) -> None:
    if folder.is_file():
        raise OutputError(f"{folder} is a file; name a folder for the parts")
    there = [path for path in sorted(folder.iterdir()) if path.name.split(".")[0] in PARTS] if folder.is_dir() else []
    for path in there:
        if any(os.path.samefile(path, file) for file in sources):
            raise OutputError(f"{path} is read while it would be replaced; choose another folder")
    if there and not overwrite:
        raise OutputError(f"{there[0]} exists already; choose another folder, or replace it with --overwrite")


def _by_hash(passes: Passes, columns: Columns, fractions: Mapping[str, float], seed: int) -> Iterator[tuple[Row, str]]:
    for row, group in passes(lambda row, location: row_group(row, columns, location)):
        share, bound = hash_share(group, seed), 0.0
        for part, fraction in fractions.items():
            bound += fraction
            if share < bound or part == "train":
                yield row, part
                break


def _stratified(
    passes: Passes, columns: Columns, stratify: str, fractions: Mapping[str, float], seed: int, report: SplitReport
) -> Iterator[tuple[Row, str]]:
    def read(row: Row, location: str) -> tuple[str, str]:
        return row_group(row, columns, location), column_text(row, stratify, "the split is stratified")

    groups: dict[str, Counter[str]] = {}
    for _, (group, value) in passes(read):
        groups.setdefault(group, Counter())[value] += 1
    place = _assign(groups, fractions, seed)
    report.groups = {part: list(place.values()).count(part) for part in PARTS if part in fractions}
    for row, (group, value) in passes(read):
        part = place[group]
        report.strata.setdefault(value, dict.fromkeys(report.groups, 0))[part] += 1
        yield row, part
    report.strata = dict(sorted(report.strata.items(), key=lambda item: -sum(item[1].values())))


def _assign(groups: Mapping[str, Counter[str]], fractions: Mapping[str, float], seed: int) -> dict[str, str]:
    """Group -> part."""
    totals: Counter[str] = Counter()
    for counts in groups.values():
        totals.update(counts)
    filled = {part: dict.fromkeys(totals, 0) for part in fractions}

    def added(part: str, counts: Counter[str]) -> float:
        """What the group adds to the part's distance."""
        return sum(
            (2 * (filled[part][value] - (wanted := fractions[part] * totals[value])) + rows) * rows / wanted
            for value, rows in counts.items()
        )

    place = {}
    for group in sorted(groups, key=lambda group: hash_share(group, seed)):
        counts = groups[group]
        place[group] = best = min(fractions, key=lambda part: added(part, counts))
        for value, rows in counts.items():
            filled[best][value] += rows
    return place
