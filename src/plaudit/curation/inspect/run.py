"""``inspect_preferences``: one pass, what works on a sample of it, and the report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from plaudit.curation.inspect import figures
from plaudit.curation.inspect.clusters import cluster_prompts
from plaudit.curation.inspect.findings import FINDINGS, Finding, command_words, find_all
from plaudit.curation.inspect.languages import find_languages
from plaudit.curation.inspect.lengths import TokenLengths
from plaudit.curation.inspect.report import InspectReport, NoiseFigures
from plaudit.curation.inspect.row import EMPTY, IDENTICAL, TIE
from plaudit.curation.inspect.scan import Scan, ScanOptions, as_example, scan_preferences
from plaudit.curation.inspect.shared import PromptFile
from plaudit.curation.inspect.shortcuts import ngram_shortcut
from plaudit.curation.inspect.texts import excerpt, last_turn, ordered, plain
from plaudit.data import Columns
from plaudit.data.examine import OnBadRow
from plaudit.data.source import open_source
from plaudit.errors import ConfigError, DataError, MissingExtraError
from plaudit.types import Example

__all__ = ["Progress", "inspect_preferences"]

Progress = Callable[[str, int], None]
"""Called with the name of a step and how many rows of it were done since the last call."""

READ_ROWS = 10_000
"""Rows of the sample for what reads texts without embeddings: languages and the n-gram model."""
EMBEDDED_ROWS = 1_000
"""Rows of the sample for what needs embeddings, by default: about a minute on one core."""


def inspect_preferences(
    source: Any,
    *,
    columns: Columns | None = None,
    split: str | None = None,
    model: str = "embedded",
    max_length: int | None = None,
    against: Sequence[str | Path] = (),
    benchmarks: Sequence[str | Path] = (),
    sample: int | None = EMBEDDED_ROWS,
    embeddings: bool = True,
    seed: int = 0,
    on_bad_row: OnBadRow = "error",
    progress: Progress | None = None,
) -> InspectReport:
    """Looks at preference data: what is in it and what is wrong with it.

    Every row is read once, as a stream. Memory grows with the number of rows (about 0.7 kB each), not with their
    length, and by the rows of the samples: 10,000 for languages and the n-gram model, ``sample`` for what needs
    embeddings. Ratings and rankings get the checks that apply to them; the report says which do not.

    Args:
        source: file, folder, Hub id, data set or rows, as in `plaudit.load_preferences`.
        columns: names of columns; None finds names and kind (pairs, ratings or rankings) by the first row.
        split: name and bounds.
        model: whose tokenizer counts: ``embedded``, a folder or a Hub id.
        max_length: limit in tokens; None: the model's (see `TokenLengths`).
        against: other splits; prompts that they have, too, are ``leaked``.
        benchmarks: benchmark files; prompts that they have, too, or nearly, are ``contaminated``.
        sample: rows for prompt clusters and label noise, drawn uniformly; None: all rows (in memory).
        embeddings: False leaves out what needs them.
        seed: of the samples.
        on_bad_row: ``"error"`` stops at the first row that cannot be used; ``"skip"`` counts them.
        progress: see `Progress`.

    Raises:
        DataError: the source cannot be used, or has no good row.
        RowError: a bad row, with its place.
        ConfigError: a sample that is too small to say anything.
    """
    if sample is not None and sample < 20:
        raise ConfigError(f"a sample of {sample} rows says nothing; expected 20 or more, or None for all rows")
    start = time.perf_counter()
    advance = _Advance(progress)
    options = ScanOptions(
        tokens=TokenLengths(model, max_length),
        against=tuple(PromptFile.read(path, near=False) for path in against),
        benchmarks=tuple(PromptFile.read(path, near=True) for path in benchmarks),
        keep=None if sample is None else max(sample, READ_ROWS),
        seed=seed,
    )
    scan = scan_preferences(
        source, columns=columns, split=split, options=options, on_bad_row=on_bad_row, progress=advance.of("rows")
    )
    report = figures.describe(scan)
    if not against:
        report.not_checked["leaked"] = "no other split given (--against FILE)"
    if not benchmarks:
        report.not_checked["contaminated"] = "no benchmark given (--benchmark FILE)"
    _read_sample(scan, report, advance)
    if embeddings:
        _embed_sample(scan, report, sample, seed, advance)
    else:
        report.not_checked["noise"] = report.not_checked["clusters"] = "embeddings were left out (--no-embeddings)"
    for name, kind in FINDINGS.items():
        if scan.kind not in kind.kinds:
            report.not_checked[name] = f"does not apply to {scan.kind}"
    words = command_words(scan, list(map(str, against)), list(map(str, benchmarks)))
    names = [name for name in FINDINGS if name not in report.not_checked]
    report.findings = _with_texts(find_all(scan, names, words=words), scan, source, split)
    report.seconds = round(time.perf_counter() - start, 1)
    return report


def _with_texts(findings: list[Finding], scan: Scan, source: Any, split: str | None) -> list[Finding]:
    """The findings with the texts of their examples, which are read again; as they are where a source cannot be."""
    wanted = {hit.index for finding in findings for hit in finding.examples}
    if not wanted or isinstance(source, Iterator):
        return findings
    texts: dict[int, tuple[str, ...]] = {}
    for index, (location, item) in enumerate(islice(open_source(source, split=split).read(), max(wanted) + 1)):
        if index in wanted:
            example = as_example(item, scan.mapping, location)
            responses, _ = ordered(example)
            texts[index] = tuple(excerpt(plain(text), 400) for text in (example.prompt, *responses))
    return [
        replace(finding, examples=tuple(replace(hit, texts=texts[hit.index]) for hit in finding.examples))
        for finding in findings
    ]


@dataclass(frozen=True)
class _Advance:
    progress: Progress | None

    def of(self, step: str) -> Callable[[int], None] | None:
        """What a step calls with the rows it did."""
        progress = self.progress
        return None if progress is None else lambda count: progress(step, count)


def _read_sample(scan: Scan, report: InspectReport, advance: _Advance) -> None:
    """Languages, and on pairs the n-gram model."""
    rows = len(scan.kept)
    try:
        find_languages(scan, advance.of("languages"))
        report.languages = figures.language_shares(scan)
        report.sampled["language"] = rows
    except MissingExtraError as error:
        report.not_checked["language"] = f"not checked: install the extra [rules] ({error})"
    if scan.kind != "pairs":
        report.not_checked["shortcuts"] = f"pairs only; these are {scan.kind}"
        return
    usable = _usable(scan)
    found = ngram_shortcut(
        [example for _, example in usable], scan.prompts[[row for row, _ in usable]], advance.of("word pairs")
    )
    if found is None:
        report.not_checked["word pairs"] = "fewer than 20 pairs, or one prompt only: nothing could be held out"
    else:
        report.shortcuts.append(found)
        report.sampled["word pairs"] = len(usable)


def _usable(scan: Scan, count: int | None = None) -> list[tuple[int, Example]]:
    """The kept pairs that have a preference and two different sides; ``count`` of them, evenly drawn."""
    kept = scan.kept
    if count is not None and count < len(kept):
        kept = [kept[place] for place in np.linspace(0, len(kept) - 1, count).astype(int)]
    bad = scan.flags & (EMPTY | IDENTICAL | TIE)
    return [(row, example) for row, example in kept if not bad[row]]


def _embed_sample(scan: Scan, report: InspectReport, sample: int | None, seed: int, advance: _Advance) -> None:
    """Prompt clusters, and on pairs label noise."""
    kept = scan.kept
    if sample is not None and sample < len(kept):
        kept = [kept[place] for place in np.linspace(0, len(kept) - 1, sample).astype(int)]
    prompts: dict[int, str] = {}
    for row, example in kept:
        text = last_turn(example.prompt)
        if text.strip():
            prompts.setdefault(int(scan.prompts[row]), text)
    try:
        report.clusters = cluster_prompts(list(prompts.values()), seed=seed, progress=advance.of("prompts"))
        report.sampled["clusters"] = len(prompts)
        if report.clusters is None:
            report.not_checked["clusters"] = f"only {len(prompts)} different prompts"
        if scan.kind == "pairs":
            _find_noise(scan, report, sample, seed, advance)
    except MissingExtraError as error:
        for name in ("clusters", "noise"):
            report.not_checked[name] = f"not checked: install the extra [embedded] ({error})"


def _find_noise(scan: Scan, report: InspectReport, sample: int | None, seed: int, advance: _Advance) -> None:
    from plaudit.curation.noise import find_noise

    usable = _usable(scan, sample)
    pairs = [example for _, example in usable]
    try:
        found = find_noise(pairs, sample=None, seed=seed, progress=advance.of("label noise"))
    except DataError as error:  # too few pairs
        report.not_checked["noise"] = str(error)
        return
    for suspect in found.suspects:
        scan.noise[usable[suspect.index][0]] = float(suspect.posterior)
    report.noise = NoiseFigures(found.checked, found.accuracy, found.noise_rate, found.noise_low, found.noise_high)
    report.sampled["noise"] = found.checked
