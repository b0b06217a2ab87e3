"""How sure votes and clicks make us: Beta posteriors with a uniform prior.

Votes and clicks are counts of successes; with the prior Beta(1, 1), s successes in n trials give the posterior
Beta(1 + s, 1 + n - s), whose mean is (1 + s) / (2 + n) and whose variance is
mean (1 - mean) / (n + 3) (Gelman et al., Bayesian Data Analysis, 3rd edition, sections 2.1 and 2.4).
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

__all__ = ["probability_higher", "two_proportion_z", "vote_posterior"]

_NODES = 200
_TAIL = 1e-14


def vote_posterior(votes_a: float, votes_b: float, ties: float = 0.0) -> tuple[float, float]:
    """Mean and standard deviation of the probability that A is preferred, given votes.

    A tie counts half for each side. The mean is in (0, 1).
    """
    n = votes_a + votes_b + ties
    mean = (1 + votes_a + ties / 2) / (2 + n)
    return mean, math.sqrt(mean * (1 - mean) / (n + 3))


def probability_higher(successes_a: float, trials_a: float, successes_b: float, trials_b: float) -> float:
    """P(rate of A > rate of B), the rates independent with posteriors Beta(1 + s, 1 + n - s).

    The integral of the density of the surer arm times the distribution function of the other, by Gauss-Legendre
    quadrature with 200 nodes: exact to about 1e-9, no normal approximation.
    """
    import numpy as np
    from scipy.special import betainc, betaincinv, xlog1py, xlogy

    a = (1 + successes_a, 1 + trials_a - successes_a)
    b = (1 + successes_b, 1 + trials_b - successes_b)
    if _variance(*a) > _variance(*b):
        return 1 - probability_higher(successes_b, trials_b, successes_a, trials_a)
    low, high = betaincinv(*a, _TAIL), 1 - betaincinv(*a[::-1], _TAIL)
    nodes, weights = _legendre()
    x = low + (high - low) * (nodes + 1) / 2
    log_density = xlogy(a[0] - 1, x) + xlog1py(a[1] - 1, -x)
    density = weights * np.exp(log_density - log_density.max())
    return float((density * betainc(*b, x)).sum() / density.sum())


def _variance(alpha: float, beta: float) -> float:
    return alpha * beta / ((alpha + beta) ** 2 * (alpha + beta + 1))


@cache
def _legendre() -> tuple[Any, Any]:
    import numpy as np

    return np.polynomial.legendre.leggauss(_NODES)


def two_proportion_z(successes_a: float, trials_a: float, successes_b: float, trials_b: float) -> float:
    """z of the pooled two-proportion test, positive where A's rate is higher; 0 where both are all or none.

    z = (p_a - p_b) / sqrt(p (1 - p) (1 / n_a + 1 / n_b)), with p the rate of both arms together
    (Fleiss, Levin & Paik, Statistical Methods for Rates and Proportions, 3rd edition, section 3.2, without the
    continuity correction).
    """
    pooled = (successes_a + successes_b) / (trials_a + trials_b)
    spread = math.sqrt(pooled * (1 - pooled) * (1 / trials_a + 1 / trials_b))
    return 0.0 if spread == 0 else (successes_a / trials_a - successes_b / trials_b) / spread
