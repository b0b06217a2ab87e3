"""From what the pass noted to findings: which rows, why, what to do, and the command that does it.

The names are those that ``plaudit data clean --drop NAME`` takes. `hits_of` gives every row of a finding and is what
cleaning works from; `find_all` counts, and picks examples.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

from plaudit.curation.inspect import row as s
from plaudit.curation.inspect.repeats import earlier_equal, earlier_opposite, near_duplicates, pair_keys
from plaudit.curation.inspect.scan import Scan
from plaudit.curation.inspect.shared import PromptFile
from plaudit.curation.inspect.shingles import mix
from plaudit.curation.inspect.sides import NEAR_REASONS, artefact_names

__all__ = ["FINDINGS", "Finding", "Hit", "find_all", "hits_of", "rows_of"]

SUSPECT = 0.5
"""Posterior of being flipped from which a row counts as a suspect."""
UNBALANCED = 10
"""The largest source has so many times the rows of the smallest."""


@dataclass(frozen=True)
class Hit:
    """A row with a finding.

    Attributes:
        row: place among the good rows of the scan; ``index``: among all rows read, from 0.
        location: ``file:line``.
        detail: what exactly, where there is more to say.
        other: where the other row is, of findings about two.
        texts: starts of the prompt and of the responses, the preferred one first; empty where they were not asked for.
    """

    row: int
    index: int
    location: str
    detail: str = ""
    other: str | None = None
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Finding:
    """What is wrong with how many rows.

    Attributes:
        name: as in `FINDINGS`.
        count: rows.
        checked: rows that were looked at.
        what: in words.
        advice: what to do.
        command: the command that does it.
        examples: the first few rows.
        details: further figures, by name.
    """

    name: str
    count: int
    checked: int
    what: str
    advice: str
    command: str
    examples: tuple[Hit, ...] = ()
    details: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Kind:
    what: str
    advice: str
    kinds: tuple[str, ...] = ("pairs", "rankings", "ratings")
    command: str = "plaudit data clean {data} {out} --drop {name}"


_SIDED = ("pairs", "rankings")
FINDINGS: dict[str, _Kind] = {
    "duplicates": _Kind("the same prompt, responses and label came before", "keep the first of each"),
    "near-duplicates": _Kind(
        "prompt and both sides at least 80% like those of an earlier row", "keep the first, or keep all in one split"
    ),
    "contradictory": _Kind(
        "another row has the same texts with another label",
        "drop both rows, or keep one with the label of the majority",
    ),
    "empty": _Kind("a response is blank", "drop them: nothing can be learnt from them"),
    "identical": _Kind("both responses are the same", "drop them: there is nothing to prefer", _SIDED),
    "near-identical": _Kind(
        "the sides differ in almost nothing", "drop them, unless the small difference is what you want to teach", _SIDED
    ),
    "identical-after-truncation": _Kind(
        "the responses differ only beyond --max-length", "raise --max-length, or drop them", ("pairs",),
        "plaudit data clean {data} {out} --drop {name} {length}",
    ),
    "too-long": _Kind(
        "longer than --max-length: the prompt is cut, or a response does not fit",
        "raise --max-length where a response does not fit; a cut prompt may be fine",
        command="plaudit data clean {data} {out} --drop {name} {length}",
    ),
    "leaked": _Kind(
        "the prompt is in another split, too", "drop them here, or split both anew by prompt",
        command="plaudit data clean {data} {out} --drop {name} {against}",
    ),
    "contaminated": _Kind(
        "the prompt is in a benchmark, or nearly", "drop them: figures on that benchmark would be too good",
        command="plaudit data clean {data} {out} --drop {name} {benchmark}",
    ),
    "artefacts": _Kind(
        "leftovers of templates or broken characters", "look at where the texts come from and repair them, or drop them"
    ),
    "language": _Kind("the two sides are in different languages", "drop them, unless that is what you teach", _SIDED),
    "noise": _Kind(
        "the label is probably the wrong way round", "look at the first ones; drop them, or flip them if you agree",
        ("pairs",),
    ),
    "unbalanced-sources": _Kind(
        "one source outweighs the others", "draw as many rows of each, or weight them",
        command="plaudit data balance {data} {out} --by {source} {sides}",
    ),
}  # fmt: skip
"""Every finding, in the order of the report."""

Detail = Callable[[int], tuple[str, "str | None"]]
Found = tuple[npt.NDArray[np.int64], Detail]


def rows_of(scan: Scan, name: str) -> npt.NDArray[np.int64]:
    """The good rows with a finding, in order (noise: the most probable first)."""
    return _FINDERS[name](scan)[0]


def hits_of(scan: Scan, name: str) -> Iterator[Hit]:
    """Every row with a finding, in the order of `rows_of`."""
    rows, detail = _FINDERS[name](scan)
    for row in rows.tolist():
        text, other = detail(row)
        yield Hit(row, int(scan.index[row]), scan.location(row), text, other)


def find_all(scan: Scan, names: Sequence[str], *, examples: int = 5, words: dict[str, str]) -> list[Finding]:
    """Findings of these names that any row has.

    Args:
        scan: what the pass noted.
        names: which to look for; those that do not apply to the kind of rows are left out.
        examples: how many rows to show of each.
        words: what fills the commands (`command_words`).
    """
    found = []
    for name in names:
        kind = FINDINGS[name]
        rows, detail = _FINDERS[name](scan) if scan.kind in kind.kinds else (np.empty(0, dtype=np.int64), None)
        if detail is None or not len(rows):
            continue
        hits = []
        for row in islice(_spread(rows, examples, in_order=name == "noise"), examples):
            text, other = detail(row)
            hits.append(Hit(row, int(scan.index[row]), scan.location(row), text, other))
        checked = {"noise": len(scan.noise), "language": len(scan.kept)}.get(name, len(scan))
        command = f"{kind.command}{' {columns}' * ('clean' in kind.command)}".format_map(
            {"name": name, "out": "OUTPUT.jsonl", **words}
        )
        found.append(
            Finding(
                name,
                len(rows),
                checked,
                kind.what,
                kind.advice,
                " ".join(command.split()),
                tuple(hits),
                _figures(scan, name, rows),
            )
        )
    return found


def command_words(scan: Scan, against: Sequence[str], benchmarks: Sequence[str]) -> dict[str, str]:
    """What fills the commands of findings."""
    tokens = scan.options.tokens
    length = "" if tokens is None else f"--max-length {tokens.max_length}"
    if tokens is not None and tokens.model != "embedded":
        length += f" --model {shlex.quote(tokens.model)}"
    named = {
        name: getattr(scan.mapping, name) for name in ("prompt", "chosen", "rejected", "response", "score", "source")
    }
    columns = {name: f"--{name}-column {shlex.quote(value)}" for name, value in named.items() if value is not None}
    return {
        "data": shlex.quote(scan.name),
        "length": length,
        "columns": " ".join(columns.values()),
        "sides": " ".join(columns.get(name, "") for name in ("prompt", "chosen", "rejected")),
        "source": shlex.quote(named["source"] or "source"),
        "against": " ".join(f"--against {shlex.quote(path)}" for path in against),
        "benchmark": " ".join(f"--benchmark {shlex.quote(path)}" for path in benchmarks),
    }


def _spread(rows: npt.NDArray[np.int64], count: int, *, in_order: bool) -> Iterator[int]:
    """The first rows, or ``count`` of them from all over the file."""
    step = 1 if in_order else max(len(rows) // count, 1)
    return iter(rows[::step].tolist())


# -- one function a finding: the rows, and what to say of one ----------------------------------------------------------


def _keys(scan: Scan) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    same, opposite = pair_keys(scan.prompts, scan.sides[:, 0], scan.sides[:, 1], scan.has(s.TIE))
    if scan.kind == "pairs":
        return same, opposite
    return mix(same ^ scan.labels), same


def _partners(scan: Scan, partner: npt.NDArray[np.int64], detail: Callable[[int], str] = lambda row: "") -> Found:
    return np.flatnonzero(partner >= 0), lambda row: (detail(row), scan.location(int(partner[row])))


def _duplicates(scan: Scan) -> Found:
    return _partners(scan, earlier_equal(_keys(scan)[0]))


def _near_duplicates(scan: Scan) -> Found:
    same, opposite = _keys(scan)
    partner, swapped = near_duplicates(scan.buckets, scan.signatures, same, opposite)
    partner[earlier_equal(same) >= 0] = -1
    return _partners(scan, partner, lambda row: "the other way round" if swapped[row] else "")


def _contradictory(scan: Scan) -> Found:
    same, opposite = _keys(scan)
    if scan.kind == "pairs":
        return _partners(scan, earlier_opposite(same, opposite))
    _, first, inverse = np.unique(opposite, return_index=True, return_inverse=True)  # here: the texts without labels
    differs = same != same[first[inverse]]
    other = np.full(len(first), -1, dtype=np.int64)  # of each text: a row whose label is not that of the first
    other[inverse[differs]] = np.flatnonzero(differs)
    return _partners(scan, np.where(differs, first[inverse], other[inverse]))


def _with_bit(bit: int, say: str = "") -> Callable[[Scan], Found]:
    return lambda scan: (np.flatnonzero(scan.has(bit)), lambda row: (say, None))


def _too_long(scan: Scan) -> Found:
    alone = scan.has(s.ALONE)

    def detail(row: int) -> tuple[str, str | None]:
        tokens = scan.tokens[row]
        return f"about {tokens[0] + max(tokens[1:]):,} tokens" + (
            ", a response alone is too long" if alone[row] else ""
        ), None

    return np.flatnonzero(scan.has(s.TOO_LONG)), detail


def _near_identical(scan: Scan) -> Found:
    return np.flatnonzero(scan.near), lambda row: (NEAR_REASONS[scan.near[row]], None)


def _artefacts(scan: Scan) -> Found:
    return np.flatnonzero(scan.artefacts), lambda row: (artefact_names(int(scan.artefacts[row])), None)


def _place_in(files: Sequence[PromptFile], key: int) -> str | None:
    return next((file.places[key] for file in files if key in file.places), None)


def _leaked(scan: Scan) -> Found:
    return np.flatnonzero(scan.has(s.LEAKED)), lambda row: ("", _place_in(scan.options.against, int(scan.prompts[row])))


def _contaminated(scan: Scan) -> Found:
    rows = np.union1d(np.flatnonzero(scan.has(s.CONTAMINATED)), np.array(sorted(scan.near_benchmark), dtype=np.int64))

    def detail(row: int) -> tuple[str, str | None]:
        exact = _place_in(scan.options.benchmarks, int(scan.prompts[row]))
        return (
            ("nearly the same", next(iter(scan.near_benchmark[row].values()))) if exact is None else ("the same", exact)
        )

    return rows, detail


def _language(scan: Scan) -> Found:
    names, found = scan.language_names, scan.languages
    differ = (found[:, 1] >= 0) & (found[:, 2] >= 0) & (found[:, 1] != found[:, 2])
    return np.flatnonzero(differ), lambda row: (f"{names[found[row, 1]]} against {names[found[row, 2]]}", None)


def _noise(scan: Scan) -> Found:
    rows = sorted((row for row, p in scan.noise.items() if p >= SUSPECT), key=lambda row: -scan.noise[row])
    return np.array(rows, dtype=np.int64), lambda row: (f"flipped with probability {scan.noise[row]:.2f}", None)


def _unbalanced(scan: Scan) -> Found:
    counts = np.bincount(scan.sources[scan.sources >= 0], minlength=len(scan.source_names))
    if len(counts) < 2 or counts.max() < UNBALANCED * counts.min():
        return np.empty(0, dtype=np.int64), lambda row: ("", None)
    largest = int(counts.argmax())
    return np.flatnonzero(scan.sources == largest), lambda row: (scan.source_names[largest], None)


_FINDERS: dict[str, Callable[[Scan], Found]] = {
    "duplicates": _duplicates,
    "near-duplicates": _near_duplicates,
    "contradictory": _contradictory,
    "empty": _with_bit(s.EMPTY),
    "identical": _with_bit(s.IDENTICAL),
    "near-identical": _near_identical,
    "identical-after-truncation": _with_bit(s.SAME_WHEN_CUT),
    "too-long": _too_long,
    "leaked": _leaked,
    "contaminated": _contaminated,
    "artefacts": _artefacts,
    "language": _language,
    "noise": _noise,
    "unbalanced-sources": _unbalanced,
}


def _figures(scan: Scan, name: str, rows: npt.NDArray[np.int64]) -> dict[str, int]:
    """Further counts of a finding."""
    if name == "too-long":
        alone = int(scan.has(s.ALONE).sum())
        return {"prompt cut": len(rows) - alone, "response does not fit": alone}
    if name == "near-identical":
        return {NEAR_REASONS[code]: int((scan.near == code).sum()) for code in (1, 2, 3) if (scan.near == code).any()}
    if name == "artefacts":
        from plaudit.curation.inspect.sides import ARTEFACTS

        counts = {kind: int((scan.artefacts >> bit & 1).sum()) for bit, kind in enumerate(ARTEFACTS)}
        return {kind: count for kind, count in counts.items() if count}
    if name in ("leaked", "contaminated"):
        return {"prompts": len(np.unique(scan.prompts[rows]))}
    return {}
