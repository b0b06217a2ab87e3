"""Ranks preference pairs by how probably their label was flipped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from plaudit.curation.noise.model import out_of_fold
from plaudit.curation.noise.pairs import is_preference, read_pairs
from plaudit.curation.noise.posterior import calibrate
from plaudit.errors import ConfigError, DataError
from plaudit.types import Example

if TYPE_CHECKING:
    from plaudit.curation.noise.design import PairDesign
    from plaudit.models.features import Extractor, FeatureCache

__all__ = ["SUSPECT", "NoiseReport", "Suspect", "find_noise"]

SUSPECT = 0.5
"""Posterior from which a label counts as a suspect: it is more probably flipped than not."""
FOLDS = 5
LEAST_PAIRS = 20
SCALES = (0.003, 0.01, 0.03, 0.1, 0.3)
"""Factors on the prior variances of the weights, tried in this order until one is worse than the one before."""
TRIED_PAIRS = 4000
"""The factor is chosen on so many pairs."""
LEAST_RATE = 0.02
"""The model of the last pass allows for so many flipped labels at least."""


@dataclass(frozen=True)
class Suspect:
    """A pair whose label was asked about.

    Attributes:
        index: its place in the examples.
        location: ``file:line``, where known.
        margin: reward of the preferred side minus the other's, by a model that has not seen the pair.
        posterior: probability that the label was flipped, in [0, 1].
    """

    index: int
    location: str | None
    margin: float
    posterior: float


@dataclass(frozen=True)
class NoiseReport:
    """What `find_noise` found.

    Attributes:
        checked: pairs that were asked about.
        skipped: examples that cannot be: ties, no pairs, equal or blank sides, token ids without texts.
        left_out: pairs beyond the sample.
        accuracy: share of the labels that the model agrees with, on pairs it has not seen.
        noise_rate: estimated share of flipped labels; ``noise_low`` and ``noise_high``: its 95% credible interval.
        suspects: all pairs that were asked about, the most probably flipped first.
    """

    checked: int
    skipped: int
    left_out: int
    accuracy: float
    noise_rate: float
    noise_low: float
    noise_high: float
    suspects: list[Suspect] = field(repr=False)

    def above(self, threshold: float = SUSPECT) -> list[Suspect]:
        """Suspects with at least this posterior."""
        return [suspect for suspect in self.suspects if suspect.posterior >= threshold]

    def lines(self) -> list[str]:
        """The figures in words."""
        left = f" ({self.left_out:,} beyond the sample were not)" if self.left_out else ""
        return [
            f"label noise: {self.checked:,} pairs were checked{left}, {self.skipped:,} cannot be",
            f"a model that has not seen them agrees with {self.accuracy:.1%} of the labels",
            f"{self.noise_rate:.1%} of the labels are flipped "
            f"(95% interval {self.noise_low:.1%} to {self.noise_high:.1%})",
            f"{len(self.above()):,} labels are more probably flipped than not",
        ]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def find_noise(
    examples: Sequence[Example],
    *,
    trusted: Sequence[Example] = (),
    sample: int | None = 20_000,
    seed: int = 0,
    embeddings: bool = True,
    cache: FeatureCache | None = None,
    extractor: Extractor | None = None,
    progress: Callable[[int], None] | None = None,
) -> NoiseReport:
    """Ranks pairs by the posterior probability that their label was flipped.

    A Bradley-Terry model on embeddings, words, the surface and cues of the responses that allows for flipped labels
    (`plaudit.curation.noise.model`) is fitted on four fifths of the pairs and asked about the rest, five times over.
    The same two texts, in any order, are never on both sides, so that no label speaks for itself; other pairs of the
    same prompt are, so that comparisons of one text with others tell. How strongly weights are held back is chosen by
    the likelihood of the labels as they are. The posterior is that of `plaudit.curation.noise.posterior`. Labels that
    are wrong for a reason that can be seen in the texts (a judge that always prefers the longer one) are not noise in
    this sense and are not found.

    About 1,000 pairs of long and varied texts tell little about each other. Trusted pairs of the same kind of task
    from elsewhere help then: they are learnt from in every fold.

    Memory grows with the pairs that are checked and trusted: about 15 kB each, more where texts are long.

    Args:
        examples: pairs; anything else is counted and left alone.
        trusted: pairs whose labels are believed; ties and the like among them are left alone.
        sample: check at most this many pairs, drawn at random; None: all.
        seed: of the sample and the folds.
        embeddings: False: words, the surface and cues alone, which takes seconds.
        cache: where features are kept; None: the user's (`plaudit.models.features.FeatureCache`).
        extractor: gives features; None: `plaudit.curation.embedding_features.PairEmbeddings`.
        progress: called with the number of pairs whose features are ready since the last call.

    Raises:
        ConfigError: a sample below 20; or a cache or an extractor without embeddings.
        DataError: fewer than 20 pairs that can be checked.
        MissingExtraError: embeddings need the extra [embedded].
    """
    if sample is not None and sample < LEAST_PAIRS:
        raise ConfigError(f"a sample of {sample} pairs tells no noise; expected {LEAST_PAIRS} or more, or None for all")
    if not embeddings and (cache is not None or extractor is not None):
        raise ConfigError("a cache or an extractor has no effect without embeddings; leave it out")
    usable = _usable(examples)
    if len(usable) < LEAST_PAIRS:
        raise DataError(
            f"label noise needs {LEAST_PAIRS} pairs with a preference and two different sides, got {len(usable)} "
            f"among {len(examples)} examples"
        )
    generator = np.random.default_rng(seed)
    chosen = usable
    if sample is not None and sample < len(usable):
        chosen = [usable[place] for place in np.sort(generator.choice(len(usable), sample, replace=False))]
    pairs = [examples[index] for index in chosen] + [trusted[index] for index in _usable(trusted)]
    if embeddings and extractor is None:
        from plaudit.curation.embedding_features import PairEmbeddings

        extractor = PairEmbeddings()
    design, groups = read_pairs(pairs, extractor=extractor, cache=cache, progress=progress)
    folds = generator.permutation(groups.max() + 1)[groups] % FOLDS
    folds[len(chosen) :] = -1
    scale = _choose_scale(design, folds, generator)
    plain = out_of_fold(design, folds, scale=scale)
    rate = max(calibrate(plain.margins[: len(chosen)]).rate, LEAST_RATE)
    margins = out_of_fold(design, folds, scale=scale, rate=rate, start=plain.weights).margins[: len(chosen)]
    model = calibrate(margins)
    posteriors = model.flipped(margins)
    order = np.lexsort((np.arange(len(chosen)), margins, -posteriors))
    low, high = model.rate_interval
    return NoiseReport(
        checked=len(chosen),
        skipped=len(examples) - len(usable),
        left_out=len(usable) - len(chosen),
        accuracy=float((margins > 0).mean()),
        noise_rate=model.rate,
        noise_low=low,
        noise_high=high,
        suspects=[
            Suspect(chosen[i], examples[chosen[i]].location, float(margins[i]), float(posteriors[i])) for i in order
        ],
    )


def _usable(examples: Sequence[Example]) -> list[int]:
    return [index for index in range(len(examples)) if is_preference(examples[index])]


def _choose_scale(design: PairDesign, folds: npt.NDArray[np.int64], generator: np.random.Generator) -> float:
    """The factor on the prior variances under which the labels as they are, out of fold, are most probable."""
    asked = np.flatnonzero(folds >= 0)
    if len(asked) > TRIED_PAIRS:
        tried = np.sort(
            np.concatenate([np.flatnonzero(folds < 0), generator.choice(asked, TRIED_PAIRS, replace=False)])
        )
        design, folds = design.rows(tried), folds[tried]
    best, most = SCALES[0], -np.inf
    for scale in SCALES:
        evidence = calibrate(out_of_fold(design, folds, scale=scale).margins[folds >= 0]).evidence
        if evidence < most:
            break
        best, most = scale, evidence
    return best
