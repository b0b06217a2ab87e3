"""What becomes of each row when data is cleaned, by the findings that were chosen. Reads and writes no files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.curation.inspect.findings import FINDINGS, hits_of
from plaudit.curation.inspect.repeats import pair_keys
from plaudit.curation.inspect.row import TIE
from plaudit.curation.inspect.scan import Scan
from plaudit.curation.noise import SUSPECT, find_noise
from plaudit.errors import ConfigError

__all__ = ["BAD", "DROPPABLE", "FLIPPABLE", "SAMPLE", "TOKENS", "Change", "Choice", "CleanReport", "Plan"]

DROPPABLE = tuple(name for name in FINDINGS if name != "unbalanced-sources")
FLIPPABLE = ("noise", "contradictory")
WEIGHABLE = ("noise",)
SAMPLE = 20_000
BALANCED, BAD = "unbalanced-sources", "bad-row"
TOKENS = {"too-long", "identical-after-truncation", "artefacts"}
"""Findings that need a tokenizer; artefacts: for its special tokens."""


@dataclass
class CleanReport:
    """What became of the rows.

    Attributes:
        rows: rows read, ``kept``: rows written (in a dry run: that would be).
        dropped, flipped, weighted: rows by reason, the name of a finding, 0 where none has it; a row that is dropped
            counts once, for the first reason that was given.
        undecided: contradictory rows left as they are, because as many rows say the opposite.
        noise: figures of `find_noise`, where it was asked.
        unchecked: rows beyond the sample of noise and language, which were left alone.
        ledger: where every change is listed; None in a dry run.
    """

    rows: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    flipped: dict[str, int] = field(default_factory=dict)
    weighted: dict[str, int] = field(default_factory=dict)
    undecided: int = 0
    noise: dict[str, Any] | None = None
    unchecked: int = 0
    ledger: str | None = None

    def lines(self) -> list[str]:
        """The counts in words."""
        lines = [f"{self.rows:,} rows read, {self.kept:,} kept"]
        for done, counts in (("dropped", self.dropped), ("flipped", self.flipped), ("weighted", self.weighted)):
            lines += [f"  {count:,} {done}: {reason}" for reason, count in counts.items()]
        if self.undecided:
            lines.append(f"{self.undecided:,} contradictory rows are as they were: as many rows say the opposite")
        if self.noise is not None:
            rate, low, high = (self.noise[name] for name in ("noise_rate", "noise_low", "noise_high"))
            lines.append(f"{rate:.1%} of the labels look flipped ({low:.1%} to {high:.1%})")
        if self.unchecked:
            lines.append(f"{self.unchecked:,} rows beyond the sample were not checked for noise or language")
        return lines

    def to_dict(self) -> dict[str, Any]:
        """All fields, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Choice:
    """What is to be done."""

    drop: tuple[str, ...]
    flip: tuple[str, ...]
    down_weight: tuple[str, ...]
    balance: str | None
    noise_threshold: float | None

    def asks(self, name: str) -> bool:
        return name in (*self.drop, *self.flip, *self.down_weight)

    def check(self, **given: Any) -> None:
        """Refuses what cannot be done or would have no effect; ``given``: the other options, by name."""
        for option, names, known in (
            ("drop", self.drop, DROPPABLE),
            ("flip", self.flip, FLIPPABLE),
            ("down-weight", self.down_weight, WEIGHABLE),
            ("balance", () if self.balance is None else (self.balance,), ("source",)),
        ):
            for name in names:
                if name not in known:
                    hint = "; use --balance source" if name == BALANCED else ""
                    raise ConfigError(f"--{option} {name}: expected one of {', '.join(known)}{hint}")
        if not (self.drop or self.flip or self.down_weight or self.balance):
            raise ConfigError("nothing to do: choose --drop, --flip, --down-weight or --balance (plaudit data inspect)")
        for name in FLIPPABLE:
            if sum(name in names for names in (self.drop, self.flip, self.down_weight)) > 1:
                raise ConfigError(f"{name} can be dropped, flipped or down-weighted: choose one of them")
        if self.noise_threshold is not None and not 0 < self.noise_threshold <= 1:
            raise ConfigError(f"--noise-threshold {self.noise_threshold:g}: expected a probability above 0, at most 1")
        self._check_effects(given | {"noise_threshold": self.noise_threshold is not None})

    def _check_effects(self, given: dict[str, Any]) -> None:
        noise, dropped = self.asks("noise"), set(self.drop)
        effects = {
            "against": ("leaked" in dropped, "--drop leaked"),
            "benchmark": ("contaminated" in dropped, "--drop contaminated"),
            "model": (bool(TOKENS & dropped), f"--drop {', '.join(sorted(TOKENS))}"),
            "max_length": (bool(TOKENS - {"artefacts"} & dropped), "--drop too-long or identical-after-truncation"),
            "noise_threshold": ("noise" in (*self.drop, *self.flip), "--drop noise or --flip noise"),
            "trusted": (noise, "noise"),
            "no_embeddings": (noise, "noise"),
            "sample": (noise or "language" in dropped, "noise or language"),
        }
        for name, (used, user) in effects.items():
            option = f"--{name.replace('_', '-')}"
            if given[name] and not used:
                raise ConfigError(f"{option} has no effect without {user}; leave it out")
            if used and not given[name] and name in ("against", "benchmark"):
                raise ConfigError(f"{user} needs {option} FILE")

    def check_kind(self, kind: str) -> None:
        """Refuses findings that do not apply to such rows."""
        for name in self.drop:
            if kind not in FINDINGS[name].kinds:
                raise ConfigError(f"--drop {name} does not apply to {kind}")
        if kind != "pairs" and (self.flip or self.down_weight):
            raise ConfigError(f"--flip and --down-weight are for pairs; these are {kind}")


@dataclass
class Change:
    """What becomes of a row, and why."""

    action: str
    reason: str
    detail: str = ""
    other: str | None = None
    also: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)


class Plan:
    """What becomes of every row, by its place among all rows read."""

    def __init__(self, scan: Scan, choice: Choice, generator: np.random.Generator) -> None:
        self.scan, self.choice, self.generator = scan, choice, generator
        self.report = CleanReport(rows=scan.rows)
        self.threshold = SUSPECT if choice.noise_threshold is None else choice.noise_threshold
        self.drops: dict[int, Change] = {}
        self.flips: dict[int, Change] = {}
        self.weights: dict[int, float] = {}
        self.margins: dict[int, float] = {}

    def ask_noise(self, **options: Any) -> None:
        """Fills the scan's posteriors for the rows of its sample; options as in `find_noise`."""
        kept = self.scan.kept
        found = find_noise([example for _, example in kept], sample=None, **options)
        for suspect in found.suspects:
            self.scan.noise[kept[suspect.index][0]] = suspect.posterior
            self.margins[kept[suspect.index][0]] = suspect.margin
        self.report.noise = {name: value for name, value in vars(found).items() if name not in ("suspects", "left_out")}

    def decide(self) -> CleanReport:
        """Flips, drops, weights, balances, and counts."""
        scan, choice, report = self.scan, self.choice, self.report
        for name in choice.flip:
            self._flip(name)
        for name in choice.drop:
            for row, change in self._drops(name):
                if row in self.drops:
                    self.drops[row].also.append(name)
                else:
                    self.drops[row] = change
        if choice.balance:
            self._balance()
        if choice.down_weight:
            self.weights = {row: 1 - posterior for row, posterior in scan.noise.items() if row not in self.drops}
        self.flips = {row: change for row, change in self.flips.items() if row not in self.drops}
        report.dropped = _counts(choice.drop, self.drops)
        report.flipped = _counts(choice.flip, self.flips)
        if scan.bad:
            report.dropped[BAD] = scan.bad
        changed = sum(round(factor, 4) != 1 for factor in self.weights.values())
        report.weighted = dict.fromkeys(choice.down_weight, changed)
        report.kept = len(scan) - len(self.drops)
        if choice.asks("noise") or "language" in choice.drop:
            report.unchecked = len(scan) - len(scan.kept)
        return report

    def _flip(self, name: str) -> None:
        scan = self.scan
        if name == "noise":
            rows = [row for row, posterior in scan.noise.items() if posterior >= self.threshold]
            for row in rows:
                self.flips[row] = self._noisy("flip", row)
        else:
            keys = pair_keys(scan.prompts, scan.sides[:, 0], scan.sides[:, 1], scan.has(TIE))
            known, counts = np.unique(keys[0], return_counts=True)
            mine, theirs = (_count(known, counts, key) for key in keys)
            differs = keys[0] != keys[1]
            rows = np.flatnonzero(differs & (theirs > mine)).tolist()
            self.report.undecided = int((differs & (theirs == mine)).sum())
            for row in rows:
                figures = {"rows like it": float(mine[row]), "rows against it": float(theirs[row])}
                self.flips[row] = Change("flip", name, "more rows say the opposite", figures=figures)
        scan.sides[rows] = scan.sides[rows][:, ::-1]  # drops look at the labels as they now are
        for row in rows:
            if row in scan.noise:
                scan.noise[row], self.margins[row] = 1 - scan.noise[row], -self.margins[row]

    def _noisy(self, action: str, row: int) -> Change:
        posterior = self.scan.noise[row]
        figures = {"posterior": round(posterior, 4), "margin": round(self.margins[row], 4)}
        return Change(action, "noise", f"flipped with probability {posterior:.2f}", figures=figures)

    def _drops(self, name: str) -> Iterator[tuple[int, Change]]:
        if name == "noise":
            for row, posterior in self.scan.noise.items():
                if posterior >= self.threshold:
                    yield row, self._noisy("drop", row)
            return
        for hit in hits_of(self.scan, name):
            yield hit.row, Change("drop", name, hit.detail, hit.other)

    def _balance(self) -> None:
        """Of each source as many rows as the smallest has."""
        scan = self.scan
        left = np.setdiff1d(np.arange(len(scan)), np.fromiter(self.drops, dtype=np.int64))
        sources, counts = np.unique(scan.sources[left], return_counts=True)
        if len(sources) < 2:
            raise ConfigError(
                "--balance source: the rows have one source at most; name the column with --source-column"
            )
        for source in sources.tolist():
            mine = left[scan.sources[left] == source]
            name = scan.source_names[source] if source >= 0 else "(no source)"
            out = self.generator.choice(mine, len(mine) - int(counts.min()), replace=False)
            for row in out.tolist():
                self.drops[row] = Change("drop", BALANCED, f"{name} has {len(mine):,} rows, not {counts.min():,}")


def _counts(names: tuple[str, ...], changes: dict[int, Change]) -> dict[str, int]:
    """Rows by reason; what was asked for and not found has 0."""
    return dict.fromkeys(names, 0) | Counter(change.reason for change in changes.values())


def _count(known: npt.NDArray[np.uint64], counts: npt.NDArray[np.int64], keys: npt.NDArray[np.uint64]) -> Any:
    """How often each key is there."""
    place = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[place] == keys, counts[place], 0)
