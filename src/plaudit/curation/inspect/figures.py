"""Figures of a scan: counts, lengths, rules without understanding, sources, languages. What is right with the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.curation.inspect.report import InspectReport, Lengths, Shared
from plaudit.curation.inspect.row import CONTAMINATED, EMPTY, IDENTICAL, LEAKED, SOFT, TIE
from plaudit.curation.inspect.scan import Scan
from plaudit.curation.inspect.shared import PromptFile
from plaudit.curation.inspect.shortcuts import MARKS, length_bins, rule
from plaudit.curation.inspect.texts import excerpt, ordered, plain

__all__ = ["describe", "language_shares"]

EXAMPLES, DRAWN = 3, 5_000
LEAST_DECIDED = 20
"""A rule about format or position that decides fewer pairs is left out: its interval would mean nothing."""
_QUANTILES = (0.0, 0.1, 0.5, 0.9, 0.99, 1.0)
_PARTS = {
    "pairs": ("prompt", "preferred", "other"),
    "ratings": ("prompt", "response", ""),
    "rankings": ("prompt", "best", "worst"),
}


def describe(scan: Scan) -> InspectReport:
    """The report without findings and without what needs the texts."""
    _, per_prompt = np.unique(scan.prompts, return_counts=True)
    pairs = scan.kind == "pairs"
    report = InspectReport(
        name=scan.name,
        kind=scan.kind,
        rows=scan.rows,
        good=len(scan),
        bad=scan.bad,
        problems=scan.problems,
        prompts=len(per_prompt),
        most_rows=int(per_prompt.max()),
        ties=int(scan.has(TIE).sum()) if pairs else 0,
        soft=int(scan.has(SOFT).sum()) if pairs else 0,
        columns=_columns(scan),
        examples=[_example(scan, row) for row in range(min(EXAMPLES, len(scan.kept)))],
        lengths=_lengths(scan),
        tokens=_tokens(scan),
        sources=_sources(scan),
        shared=_shared(scan),
        drawing=_drawing(scan),
    )
    if pairs:
        _add_shortcuts(scan, report)
    return report


def _columns(scan: Scan) -> list[dict[str, Any]]:
    return [
        {
            "name": facts.name,
            "types": dict(facts.types.most_common()),
            "filled": facts.filled / scan.rows,
            "example": excerpt(str(facts.example), 200) if facts.filled else None,
        }
        for facts in scan.columns.values()
    ]


def _example(scan: Scan, place: int) -> dict[str, Any]:
    row, example = scan.kept[place * max(len(scan.kept) // EXAMPLES, 1)]
    responses, tie = ordered(example)
    return {
        "location": scan.location(row),
        "prompt": excerpt(plain(example.prompt), 1200),
        "responses": [excerpt(plain(response), 1200) for response in responses],
        "labels": sorted(example.labels, reverse=True),
        "tie": tie,
    }


def _lengths(scan: Scan) -> list[Lengths]:
    found = []
    for unit in ("characters", "tokens"):
        values = scan.arrays.get(unit)
        for place, part in enumerate(_PARTS[scan.kind]):
            if values is not None and part:
                found.append(_quantiles(part, unit, values[:, place]))
        if unit == "tokens" and values is not None:
            whole = values[:, 0] + values[:, 1:].max(axis=1)
            found.append(_quantiles("prompt + longer side" if scan.kind != "ratings" else "both", unit, whole))
    return found


def _quantiles(part: str, unit: str, values: npt.NDArray[Any]) -> Lengths:
    numbers = tuple(int(value) for value in np.quantile(values, _QUANTILES, method="nearest"))
    return Lengths(part, unit, numbers, float(values.mean()))  # type: ignore[arg-type]


def _tokens(scan: Scan) -> dict[str, Any] | None:
    tokens = scan.options.tokens
    if tokens is None:
        return None
    return {
        "model": tokens.model,
        "max_length": tokens.max_length,
        "special_tokens_a_text": [tokens.low, tokens.high],
        "texts_rendered": tokens.rendered,
    }


def _add_shortcuts(scan: Scan, report: InspectReport) -> None:
    fine = (scan.flags & (TIE | EMPTY | IDENTICAL)) == 0
    prompts, characters, marks = scan.prompts[fine], scan.characters[fine].astype(np.int64), scan.marks[fine]
    gaps = characters[:, 1] - characters[:, 2]
    report.length_bins = length_bins(gaps)
    bits = [(marks >> bit & 1).astype(np.int64) for bit in range(len(MARKS))]
    counts = sum(bits)
    rules = [
        rule("longer wins", gaps, prompts, "characters"),
        rule("more markdown wins", counts[:, 0] - counts[:, 1], prompts, "any of these"),
        *(rule(f"{name} wins", bit[:, 0] - bit[:, 1], prompts) for name, bit in zip(MARKS, bits, strict=True)),
    ]
    positions = scan.positions[fine]
    rules.append(rule("first wins", np.where(positions == 0, 0, 3 - 2 * positions), prompts, "order when judged"))
    if not positions.any():
        report.not_checked["first wins"] = (
            "no column says which response stood first (chosen_position, position, winner)"
        )
    report.shortcuts = [
        found for found in rules if found is not None and (found.decided >= LEAST_DECIDED or found is rules[0])
    ]
    if len(marks):
        report.marks = {
            name: (float(bit[:, 0].mean()), float(bit[:, 1].mean())) for name, bit in zip(MARKS, bits, strict=True)
        }


def _sources(scan: Scan) -> list[dict[str, Any]]:
    fine = (scan.flags & (TIE | EMPTY | IDENTICAL)) == 0
    characters = scan.characters.astype(np.int64)
    gaps = np.where(fine, characters[:, 1] - characters[:, 2], 0)
    found = []
    for place, name in enumerate(scan.source_names):
        mine = scan.sources == place
        entry = {"source": name, "rows": int(mine.sum()), "share": float(mine.mean())}
        if scan.kind == "pairs":
            decided = gaps[mine & (gaps != 0)]
            entry |= {"ties": float(scan.has(TIE)[mine].mean()), "soft": float(scan.has(SOFT)[mine].mean())}
            entry["longer_wins"] = float((decided > 0).mean()) if len(decided) else None
        found.append(entry)
    return sorted(found, key=lambda entry: -int(entry["rows"]))


def _shared(scan: Scan) -> list[Shared]:
    files: list[tuple[str, PromptFile]] = [("against", file) for file in scan.options.against]
    files += [("benchmark", file) for file in scan.options.benchmarks]
    marked = np.flatnonzero(scan.has(LEAKED | CONTAMINATED)) if files else np.empty(0, dtype=np.int64)
    keys = scan.prompts[marked].tolist()
    found, benchmark = [], 0
    for kind, file in files:
        here = [key in file.places for key in keys]
        near: list[int] = []
        if kind == "benchmark":
            near = [row for row, places in scan.near_benchmark.items() if benchmark in places]
            benchmark += 1
        exact = {key for key, is_here in zip(keys, here, strict=True) if is_here}
        nearly = {int(scan.prompts[row]) for row in near}
        found.append(Shared(file.name, kind, len(file.places), len(exact), len(nearly), sum(here) + len(near)))
    return found


def _drawing(scan: Scan) -> dict[str, Any]:
    """Lengths of up to 5,000 rows, evenly taken, for the plots."""
    rows = np.unique(np.linspace(0, len(scan) - 1, DRAWN).astype(np.int64))
    values = scan.arrays.get("tokens", scan.characters)
    return {
        "unit": "tokens" if "tokens" in scan.arrays else "characters",
        "lengths": values[rows],
        "parts": _PARTS[scan.kind],
    }


def language_shares(scan: Scan) -> dict[str, float]:
    """Share of each language among the texts of the sample that could be named; the commonest first."""
    named = scan.languages[scan.languages >= 0]
    counts = np.bincount(named, minlength=len(scan.language_names))
    order = np.argsort(-counts, kind="stable")
    return {scan.language_names[place]: float(counts[place] / max(len(named), 1)) for place in order}
