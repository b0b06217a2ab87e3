"""What certainty is worth: members beside their ensemble, and the readings of certainty."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plaudit import Example, RewardModel
from plaudit.errors import ConfigError, DataError
from plaudit.evaluation.risk_plot import plot_risk
from plaudit.evaluation.scored import score_pairs
from plaudit.evaluation.uncertainty import evaluate_ensemble, risk_of, score_members, score_with_posterior
from plaudit.models.ensemble import Ensemble
from plaudit.models.laplace import fit_laplace
from tiny_models import save_tiny

PAIRS = [
    Example(prompt=f"p {i // 2}", responses=(f"good apple {i}", f"bad night {i}"), labels=(1.0, 0.0), group=str(i // 2))
    for i in range(12)
] + [Example(prompt="r", responses=("ten", "eleven", "twelve"), labels=(-1.0, -2.0, -2.0), group="r")]


@pytest.fixture(scope="module")
def members(tmp_path_factory: pytest.TempPathFactory) -> list[RewardModel]:
    root = tmp_path_factory.mktemp("members")
    folders = [save_tiny(root / str(seed), "qwen3", reward=True, seed=seed) for seed in (1, 2, 3)]
    return [RewardModel.from_pretrained(folder, device="cpu") for folder in folders]


def test_figures_are_those_of_the_members_and_of_the_mean_of_their_probabilities(members: list[RewardModel]) -> None:
    report = evaluate_ensemble(Ensemble(members, names=["a", "b", "c"]), PAIRS)
    margins = np.stack([score_pairs(member, PAIRS).margins for member in members])
    losses = np.logaddexp(0, -margins)
    assert report.pairs == 14  # a ranking with one best response is two pairs
    assert [report.members[name].nll.value for name in "abc"] == pytest.approx(losses.mean(axis=1).tolist())
    probability = 1 / (1 + np.exp(-margins))
    assert report.ensemble.nll.value == pytest.approx(-np.log(probability.mean(axis=0)).mean())
    assert report.nll_of_score == pytest.approx(np.logaddexp(0, -margins.mean(axis=0)).mean(), rel=1e-5)
    best = int(losses.mean(axis=1).argmin())
    assert report.best == "abc"[best]
    assert report.gain.value == pytest.approx(losses[best].mean() - report.ensemble.nll.value)
    assert report.caution is not None  # seven prompts
    assert report.gain_over_any.value == pytest.approx(losses.mean() - report.ensemble.nll.value)
    assert report.gain_over_any.value >= 0
    assert report.correlation == pytest.approx(np.corrcoef(margins)[np.triu_indices(3, 1)].mean())
    assert report.best in report.verdict()
    assert report.to_dict()["risk"]["margin"]["pairs"] == 14


def test_disagreement_of_margins_knows_no_offsets(members: list[RewardModel]) -> None:
    scored = score_members(Ensemble(members), PAIRS)
    assert scored.disagreement == pytest.approx(scored.margins.std(axis=0, ddof=1))
    assert scored.probabilities is not None
    assert ((scored.probabilities > 0.5) == (scored.margins > 0)).all()


def test_rules_have_curves_but_no_probabilities() -> None:
    class Rule:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def score(self, prompts: Any, responses: Any, *, references: Any = None) -> Any:
            return np.array([self.factor * len(response) for response in responses], dtype=np.float32)

    rules = Ensemble([Rule(1.0), Rule(2.0)])
    assert set(risk_of(rules, PAIRS).curves) == {"margin", "agreement"}
    assert set(risk_of(Rule(1.0), PAIRS).curves) == {"margin"}
    with pytest.raises(ConfigError, match="only reward models"):
        evaluate_ensemble(rules, PAIRS)


def test_a_posterior_scores_pairs_as_the_model_does(members: list[RewardModel], tmp_path: Path) -> None:
    posterior = fit_laplace(members[0], PAIRS[:12])
    pairs, std = score_with_posterior(posterior, PAIRS)
    plain = score_pairs(members[0], PAIRS)
    assert pairs.margins == pytest.approx(plain.margins, abs=1e-4)
    assert pairs.groups == plain.groups
    assert std.shape == (14,)
    assert std[0] == pytest.approx(posterior.margin_std("p 0", *map(str, PAIRS[0].responses)), rel=1e-4)
    report = risk_of(posterior, PAIRS)
    assert set(report.curves) == {"margin", "posterior", "probability"}
    assert report.to_dict()["pairs"] == 14
    plot_risk(report.curves, tmp_path / "risk.svg")
    assert "probability" in (tmp_path / "risk.svg").read_text() or (tmp_path / "risk.svg").stat().st_size > 5000


def test_what_cannot_be_read_is_refused(members: list[RewardModel]) -> None:
    with pytest.raises(ConfigError, match="no iterator"):
        score_members(Ensemble(members), iter(PAIRS))
    with pytest.raises(DataError, match="nothing to evaluate"):
        score_members(Ensemble(members), [Example(prompt="p", responses=("a", "b"), labels=(0.5, 0.5))])
