"""How much a scorer's certainty is worth: what an ensemble gains over its members, and risk against coverage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.errors import ConfigError
from plaudit.evaluation.baselines import decided_pairs
from plaudit.evaluation.evaluate import FEW_GROUPS
from plaudit.evaluation.scored import PairGatherer, ScoredExample, ScoredPairs, score_pairs
from plaudit.metrics.intervals import Interval, bootstrap_accuracy
from plaudit.metrics.selective import RiskCoverage, risk_coverage
from plaudit.models.ensemble import Ensemble
from plaudit.models.laplace import LaplaceLastLayer
from plaudit.types import Example, Scorer

__all__ = [
    "EnsembleReport",
    "MemberFigures",
    "MemberPairs",
    "UncertaintyReport",
    "evaluate_ensemble",
    "pair_nll",
    "risk_of",
    "score_members",
    "score_with_posterior",
]

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MemberPairs:
    """M preference pairs, scored by every member of an ensemble.

    Attributes:
        pairs: with the combined scores.
        margins: (members, M) chosen minus rejected by each member; offsets cancel.
        probabilities: (members, M) P(chosen is preferred) by each member; None where a member is no reward model.
    """

    pairs: ScoredPairs
    margins: Array
    probabilities: Array | None

    @property
    def disagreement(self) -> Array:
        """(M,) standard deviation of the members' margins, in units of reward."""
        result: Array = self.margins.std(axis=0, ddof=1)
        return result


@dataclass(frozen=True)
class MemberFigures:
    """Accuracy and mean negative log-likelihood of one model on the pairs, with 95% intervals by prompt."""

    accuracy: Interval
    nll: Interval


@dataclass(frozen=True)
class EnsembleReport:
    """An ensemble beside its members, on the same M pairs.

    Attributes:
        pairs, prompts: how many.
        members: figures by name.
        ensemble: accuracy of the combined score, and NLL of the mean of the members' probabilities.
        nll_of_score: NLL of the sigmoid of the combined margin, which reads the score alone.
        best: the member with the least NLL on these same pairs: a rival that they chose.
        gain: NLL of that member minus the ensemble's, paired, with a 95% interval by prompt; above 0 is better.
        gain_over_any: mean NLL of the members minus the ensemble's, paired: what it gains over a member taken without
            looking; never below 0, since -log is convex (Jensen's inequality).
        correlation: mean correlation of two members' margins: what all say alike, no mean can mend.
        risk: risk-coverage curves by what certainty is read from: ``margin``, ``agreement``, ``probability``.
    """

    pairs: int
    prompts: int
    members: dict[str, MemberFigures]
    ensemble: MemberFigures
    nll_of_score: float
    best: str
    gain: Interval
    gain_over_any: Interval
    correlation: float
    risk: dict[str, RiskCoverage] = field(default_factory=dict)

    @property
    def caution(self) -> str | None:
        """What a reader must know before trusting the intervals, or None."""
        if self.prompts < FEW_GROUPS:
            return f"only {self.prompts} independent groups: the intervals are too narrow to be trusted"
        return None

    def verdict(self) -> str:
        """Whether it beats its best member, or why not, in one sentence."""
        gain = f"{self.gain.value:+.3f} [{self.gain.low:+.3f}, {self.gain.high:+.3f}]"
        if self.gain.low > 0:
            return f"the ensemble beats its best member, {self.best}: NLL gain {gain}"
        any_member = f"{self.gain_over_any.value:.3f} [{self.gain_over_any.low:.3f}, {self.gain_over_any.high:.3f}]"
        return (
            f"the ensemble is not shown to beat its best member, {self.best} (NLL gain {gain}): that one was picked by "
            f"looking at these very pairs, and the members' margins correlate at {self.correlation:.2f}, so that most "
            f"of their mistakes are common; over a member taken without looking it gains {any_member}"
        )

    def to_dict(self) -> dict[str, Any]:
        plain = asdict(replace(self, risk={})) | {"caution": self.caution, "verdict": self.verdict()}
        return plain | {"risk": {name: curve.to_dict() for name, curve in self.risk.items()}}


@dataclass(frozen=True)
class UncertaintyReport:
    """Risk against coverage of one scorer.

    Attributes:
        pairs, prompts: how many.
        curves: by what certainty is read from, see `risk_of`.
    """

    pairs: int
    prompts: int
    curves: dict[str, RiskCoverage]

    def to_dict(self) -> dict[str, Any]:
        curves = {name: curve.to_dict() for name, curve in self.curves.items()}
        return {"pairs": self.pairs, "prompts": self.prompts, "curves": curves}


def score_members(
    ensemble: Ensemble,
    data: Iterable[Example],
    *,
    overlong: str = "error",
    progress: Callable[[int], None] | None = None,
) -> MemberPairs:
    """Scores pairs and rankings by every member in turn.

    Args:
        ensemble: of any scorers.
        data: pairs and rankings; it is read once a member.
        overlong: for learned members: ``error`` or ``cut``.
        progress: called with the number of examples scored since the last call, by any member.

    Raises:
        DataError: no pairs.
    """
    if iter(data) is data:
        raise ConfigError("score_members reads the data once a member; give a list or PreferenceData, no iterator")
    parts = [score_pairs(member, data, overlong=overlong, progress=progress) for member in ensemble.members]
    chosen, rejected = (np.stack([getattr(part, side) for part in parts]) for side in ("chosen", "rejected"))
    pairs = replace(parts[0], chosen=ensemble.combined(chosen), rejected=ensemble.combined(rejected))
    margins = chosen - rejected
    probabilities = ensemble.probabilities(margins) if ensemble.learned else None
    return MemberPairs(pairs, margins, probabilities)


def pair_nll(probability: Array) -> Array:
    """(M,) negative log-likelihoods of the preferences: -log P(chosen is preferred), P at least 1e-300."""
    result: Array = -np.log(np.maximum(probability, 1e-300))
    return result


def evaluate_ensemble(
    ensemble: Ensemble,
    data: Iterable[Example],
    *,
    overlong: str = "error",
    progress: Callable[[int], None] | None = None,
) -> EnsembleReport:
    """An ensemble of reward models beside its members, and what its certainty is worth.

    Args:
        ensemble: of reward models.
        data, overlong, progress: as in `score_members`.

    Raises:
        ConfigError: a member is no reward model, so that it states no probabilities.
        DataError: no pairs.
    """
    scored = score_members(ensemble, data, overlong=overlong, progress=progress)
    if scored.probabilities is None:
        raise ConfigError("an ensemble is compared with its members by probabilities, which only reward models state")
    groups, own = scored.pairs.groups, scored.probabilities
    losses = {name: pair_nll(own[row]) for row, name in enumerate(ensemble.names)}
    mine = pair_nll(own.mean(axis=0))
    members = {
        name: MemberFigures(
            bootstrap_accuracy((scored.margins[row] > 0).astype(np.float64), groups),
            bootstrap_accuracy(losses[name], groups),
        )
        for row, name in enumerate(ensemble.names)
    }
    best = min(members, key=lambda name: members[name].nll.value)
    return EnsembleReport(
        pairs=len(scored.pairs),
        prompts=len(set(groups)),
        members=members,
        ensemble=MemberFigures(bootstrap_accuracy(scored.pairs.correct, groups), bootstrap_accuracy(mine, groups)),
        nll_of_score=float(np.logaddexp(0.0, -scored.pairs.margins).mean()),
        best=best,
        gain=bootstrap_accuracy(losses[best] - mine, groups),
        gain_over_any=bootstrap_accuracy(np.mean(list(losses.values()), axis=0) - mine, groups),
        correlation=_mean_correlation(scored.margins),
        risk=_ensemble_curves(scored),
    )


def _mean_correlation(margins: Array) -> float:
    """Of all pairs of rows of (members, M); 1 where margins do not vary."""
    with np.errstate(invalid="ignore"):
        correlation = np.atleast_2d(np.corrcoef(margins))[np.triu_indices(len(margins), 1)]
    return float(np.nan_to_num(correlation, nan=1.0).mean())


def risk_of(
    scorer: Scorer,
    data: Iterable[Example],
    *,
    overlong: str = "error",
    progress: Callable[[int], None] | None = None,
) -> UncertaintyReport:
    """Risk against coverage, by everything that the scorer's certainty can be read from.

    - ``margin``: |margin|, for every scorer;
    - of an `Ensemble`, ``agreement``: minus the standard deviation of the members' margins, and, of reward models,
      ``probability``: how far the mean of their probabilities is on the preferred side of 0.5;
    - of a model with a `LaplaceLastLayer`, ``posterior``: minus the standard deviation of the margin, and
      ``probability``: how far the probability that counts it in is from 0.5.

    Args:
        scorer: any scorer, an `Ensemble`, or a `LaplaceLastLayer`.
        data, overlong, progress: as in `score_pairs`.
    """
    if isinstance(scorer, Ensemble):
        members = score_members(scorer, data, overlong=overlong, progress=progress)
        pairs, curves = members.pairs, _ensemble_curves(members)
    elif isinstance(scorer, LaplaceLastLayer):
        pairs, std = score_with_posterior(scorer, data, overlong=overlong, progress=progress)
        sure = {
            "margin": np.abs(pairs.margins),
            "posterior": -std,
            "probability": np.abs(scorer.probability(pairs.margins, std) - 0.5),
        }
        curves = {name: risk_coverage(values, pairs.correct, pairs.groups) for name, values in sure.items()}
    else:
        pairs = score_pairs(scorer, data, overlong=overlong, progress=progress)
        curves = {"margin": risk_coverage(np.abs(pairs.margins), pairs.correct, pairs.groups)}
    return UncertaintyReport(len(pairs), len(set(pairs.groups)), curves)


def _ensemble_curves(scored: MemberPairs) -> dict[str, RiskCoverage]:
    pairs = scored.pairs
    sure = {"margin": np.abs(pairs.margins), "agreement": -scored.disagreement}
    if scored.probabilities is not None:
        sure["probability"] = np.sign(pairs.margins) * (scored.probabilities.mean(axis=0) - 0.5)
    return {name: risk_coverage(values, pairs.correct, pairs.groups) for name, values in sure.items()}


def score_with_posterior(
    posterior: LaplaceLastLayer,
    data: Iterable[Example],
    *,
    overlong: str = "error",
    progress: Callable[[int], None] | None = None,
) -> tuple[ScoredPairs, Array]:
    """Pairs with their scores, and the standard deviation of each margin (M,), from one forward pass.

    Raises:
        RowError: a row that carries tools, template arguments or token ids, which features do not see.
        DataError: no pairs.
    """
    gathered = PairGatherer()
    deviations: list[Array] = []
    rows = iter(data)
    while chunk := list(islice(rows, 1024)):
        places = [decided_pairs(example) for example in chunk]
        features, scores = posterior.features_and_scores(chunk, overlong=overlong)
        own = np.split(scores, np.cumsum([len(example.responses) for example in chunk])[:-1])
        gathered.add([ScoredExample(e, s, p) for e, s, p in zip(chunk, own, places, strict=True)])
        start = 0
        for example, pairs in zip(chunk, places, strict=True):
            if pairs:
                better, worse = (start + np.array(side) for side in zip(*pairs, strict=True))
                deviations.append(posterior.gap_std(features[better] - features[worse]))
            start += len(example.responses)
        if progress is not None:
            progress(len(chunk))
    return gathered.pairs(), np.concatenate(deviations)
