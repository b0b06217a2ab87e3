"""From margins to the probability that a label was flipped.

Margins z come from models that have not seen the pair, signed so that a positive one agrees with the label. What is
really better follows sigmoid(a z), and a share rho of the labels was flipped afterwards, whatever the pair. So a label
agrees with probability

    P(label | z) = (1 - rho) sigmoid(a z) + rho sigmoid(-a z),

which levels off at 1 - rho however large z is: that is how noise is told from hard pairs. By Bayes' rule

    P(flipped | label, z) = rho sigmoid(-a z) / P(label | z).

It is the class-conditional noise model that confident learning counts by thresholds (Northcutt, Jiang and Chuang 2021,
section 3), here by likelihood, and symmetric, because the sides of a pair have no names. a (the slope of Platt 1999)
and rho are not fixed: every figure is a mean over their own posterior, on a grid, with a prior that is flat over log a
and falls evenly from rho = 0 to rho = 0.5, where labels say nothing. So few or hard pairs give a wide interval for rho,
not a wrong figure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["FlipModel", "calibrate"]

Floats = npt.NDArray[np.float64]

SLOPES, RATES = 48, 50
STEEPEST = (0.1, 60.0)
"""Least and largest slope, in units of 1 / the margins' root mean square."""
NEGLIGIBLE = 1e-5
"""Grid points of less weight are left out of means."""


@dataclass(frozen=True)
class FlipModel:
    """Slopes and rates with their weights.

    Attributes:
        slopes: (A,) values of a; ``rates``: (R,) values of rho.
        weights: (A, R) posterior probabilities, which sum to one.
        evidence: log of the labels' likelihood under the prior, per label; larger is better.
    """

    slopes: Floats
    rates: Floats
    weights: Floats
    evidence: float

    @property
    def rate(self) -> float:
        """Posterior mean of rho."""
        return float(self.weights.sum(axis=0) @ self.rates)

    @property
    def rate_interval(self) -> tuple[float, float]:
        """95% credible interval of rho."""
        below = self.weights.sum(axis=0).cumsum()
        low, high = np.searchsorted(below, [0.025, 0.975])
        last = len(self.rates) - 1
        return float(self.rates[min(low, last)]), float(self.rates[min(high, last)])

    def flipped(self, margins: Floats) -> Floats:
        """(N,) probabilities of being flipped, for margins that agree with the label where positive."""
        from scipy.special import expit

        result = np.zeros(len(margins))
        for slope, weights in zip(self.slopes, self.weights, strict=True):
            wrong = expit(-slope * margins)
            for rate, weight in zip(self.rates, weights, strict=True):
                if weight > NEGLIGIBLE and rate > 0:
                    result += weight * rate * wrong / ((1 - rate) * (1 - wrong) + rate * wrong)
        used: float = self.weights[self.weights > NEGLIGIBLE].sum()
        result /= used
        return result


def calibrate(margins: Floats) -> FlipModel:
    """The posterior of slope and rate, from N margins out of fold; labels are taken to be independent."""
    from scipy.special import expit, logsumexp

    size = max(float(np.sqrt(np.mean(np.square(margins)))), 1e-9)
    slopes = np.geomspace(*STEEPEST, SLOPES) / size
    rates = np.arange(RATES) / (2 * RATES)
    likelihood = np.empty((SLOPES, RATES))
    for place, slope in enumerate(slopes):
        right = expit(slope * margins)
        for column, rate in enumerate(rates):
            likelihood[place, column] = np.log(np.maximum(rate + (1 - 2 * rate) * right, 1e-300)).sum()
    prior = np.log1p(-2 * rates)
    joint = likelihood + prior - logsumexp(prior) - np.log(SLOPES)
    evidence = float(logsumexp(joint))
    return FlipModel(slopes, rates, np.exp(joint - evidence), evidence / max(len(margins), 1))
