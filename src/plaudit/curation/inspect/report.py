"""The report: figures of a data set and what is wrong with it. Data only; printing and drawing are elsewhere."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from plaudit.curation.inspect.clusters import Clusters
from plaudit.curation.inspect.findings import Finding
from plaudit.curation.inspect.shortcuts import LengthBin, Shortcut

__all__ = ["InspectReport", "Lengths", "NoiseFigures", "Shared"]


@dataclass(frozen=True)
class Lengths:
    """Quantiles of a part of the rows: least, 10%, median, 90%, 99%, most; and the mean."""

    part: str
    unit: str
    quantiles: tuple[int, int, int, int, int, int]
    mean: float


@dataclass(frozen=True)
class Shared:
    """Prompts that a file has in common with the data.

    Attributes:
        file: its path; ``kind``: "against" or "benchmark".
        prompts: different prompts of the file.
        exact: of the data's different prompts, those that it has, too (case and white space do not count).
        near: those that are nearly one of its own, exact ones not counted (benchmarks only).
        rows: rows of the data with such a prompt.
    """

    file: str
    kind: str
    prompts: int
    exact: int
    near: int
    rows: int


@dataclass(frozen=True)
class NoiseFigures:
    """What `plaudit.curation.noise.find_noise` said: pairs asked about, share of labels that its model agrees with, and
    the share that is flipped with its 95% interval."""

    checked: int
    accuracy: float
    rate: float
    low: float
    high: float


@dataclass
class InspectReport:
    """What `inspect_preferences` found.

    Attributes:
        name: of the source; ``kind``: pairs, ratings or rankings.
        rows, good, bad, problems: rows read, those used, those that cannot be, and the first messages about them.
        prompts: different prompts; ``most_rows`` of one prompt.
        ties, soft: pairs with the label (0.5, 0.5), and with another label between 0 and 1.
        columns: name, types, share of rows with a value, and an example, of each column.
        examples: the first rows, as texts: location, prompt, and the responses.
        lengths: characters of every row, and tokens where they were counted.
        tokens: of whose tokenizer, limit, how far counting word by word was off, rows rendered to be sure.
        shortcuts: what rules without understanding reach (pairs).
        length_bins: how often the longer side wins, by how much longer it is.
        marks: share of preferred and of other sides with each kind of markdown.
        sources: rows, share, ties, and how often the longer side wins, by source.
        languages: share of texts in each language, of those that could be named.
        shared: prompts in common with other files.
        clusters: what prompts are about; ``noise``: figures of label noise.
        findings: what is wrong, in order.
        not_checked: what was not looked at, and why.
        sampled: rows that the checks with models looked at, by check.
        drawing: arrays for the plots of the page.
        seconds: it took.
    """

    name: str
    kind: str
    rows: int
    good: int
    bad: int
    problems: list[str]
    prompts: int
    most_rows: int
    ties: int
    soft: int
    columns: list[dict[str, Any]]
    examples: list[dict[str, Any]]
    lengths: list[Lengths]
    tokens: dict[str, Any] | None = None
    shortcuts: list[Shortcut] = field(default_factory=list)
    length_bins: list[LengthBin] = field(default_factory=list)
    marks: dict[str, tuple[float, float]] = field(default_factory=dict)
    sources: list[dict[str, Any]] = field(default_factory=list)
    languages: dict[str, float] = field(default_factory=dict)
    shared: list[Shared] = field(default_factory=list)
    clusters: Clusters | None = None
    noise: NoiseFigures | None = None
    findings: list[Finding] = field(default_factory=list)
    not_checked: dict[str, str] = field(default_factory=dict)
    sampled: dict[str, int] = field(default_factory=dict)
    drawing: dict[str, Any] = field(default_factory=dict, repr=False)
    seconds: float = 0.0

    def finding(self, name: str) -> Finding | None:
        """The finding of that name, None where no row has it."""
        return next((finding for finding in self.findings if finding.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """Everything but what is only drawn, ready for JSON."""
        document = asdict(
            InspectReport(**{k: v for k, v in vars(self).items() if k not in ("clusters", "drawing")}, clusters=None)
        )
        document.pop("drawing")
        if self.clusters is not None:
            groups = [asdict(cluster) for cluster in self.clusters.clusters]
            document["clusters"] = {"prompts": self.clusters.prompts, "clusters": groups}
        return document
