"""A Bradley-Terry model that knows that labels may be flipped, and its margins on pairs that it has not seen.

The reward of a response is linear in its features, so the margin of a pair is m = w · (f(first) - f(second)), and the
first is really better with probability sigmoid(m). A label that was flipped with probability rho names the first with
probability (1 - rho) sigmoid(m) + rho sigmoid(-m) (symmetric noise: Natarajan et al. 2013, "Learning with Noisy
Labels", section 2). w has a normal prior; the most probable w is taken. Knows nothing of texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.curation.noise.design import PairDesign

__all__ = ["OutOfFold", "Weights", "fit", "margins", "out_of_fold"]

Floats = npt.NDArray[np.float64]
Weights = npt.NDArray[np.float64]
TOLERANCE, MOST_STEPS = 1e-5, 200


def fit(design: PairDesign, *, rate: float | Floats = 0.0, start: Weights | None = None) -> Weights:
    """Weights (D + F,) from N pairs whose labels all name the first side.

    Args:
        design: of the pairs.
        rate: rho, the share of labels that are flipped, in [0, 0.5); (N,) where it differs. Above 0 there are several
            optima: the one that is reached from ``start`` is taken.
        start: weights to start from; None: zeros, and with a rate, those of the model without.
    """
    from scipy.optimize import minimize

    if start is None:
        start = fit(design) if np.any(rate) else np.zeros(design.dense.shape[1] + design.sparse.shape[1])
    transposed = (design.dense.T, design.sparse.T.tocsr())
    limits = {"maxiter": MOST_STEPS, "ftol": TOLERANCE}
    found = minimize(_objective, start, (design, transposed, rate), "L-BFGS-B", jac=True, options=limits)
    weights: Weights = found.x
    return weights


def _objective(weights: Weights, design: PairDesign, transposed: Any, rate: float | Floats) -> tuple[float, Weights]:
    """Minus the log of the posterior density of the weights, and its gradient."""
    from scipy.special import log_expit

    m = margins(design, weights)
    right, wrong = log_expit(m), log_expit(-m)
    with np.errstate(divide="ignore"):  # a rate of 0 has the logarithm minus infinity
        named = np.logaddexp(np.log1p(-np.asarray(rate)) + right, np.log(rate) + wrong)
    slope = (2 * np.asarray(rate) - 1) * np.exp(right + wrong - named)
    gradient = np.concatenate([block @ slope.astype(np.float32) for block in transposed])
    return float(0.5 * weights @ weights - named.sum()), gradient + weights


def margins(design: PairDesign, weights: Weights) -> Floats:
    """(N,) margins; above 0 the first side is the better one."""
    single, count = weights.astype(np.float32), design.dense.shape[1]
    result: Floats = (design.dense @ single[:count] + design.sparse @ single[count:]).astype(np.float64)
    return result


@dataclass(frozen=True)
class OutOfFold:
    """Margins (N,) of each pair by the model of the pairs that are not in its fold, and weights by fold."""

    margins: Floats
    weights: dict[int, Weights]


def out_of_fold(
    design: PairDesign,
    folds: npt.NDArray[np.int64],
    *,
    scale: float,
    rate: float = 0.0,
    start: dict[int, Weights] | None = None,
) -> OutOfFold:
    """Fits as many models as there are folds and asks each about the fold that it has not seen.

    Args:
        design: of N pairs.
        folds: (N,) fold of each; -1: a pair to learn from in every fold, whose label is not flipped. It gets no margin
            (nan).
        scale: factor on the prior variances.
        rate: of the pairs that have a fold, as in `fit`.
        start: weights to start from, by fold, of the same scale.
    """
    found, weights = np.full(len(design), np.nan), {}
    rates = np.where(folds >= 0, rate, 0.0)
    for fold in np.unique(folds[folds >= 0]).tolist():
        held = folds == fold
        before = None if start is None else start[fold]
        weights[fold] = fit(design.rows(~held, scale), rate=rates[~held] if rate else 0.0, start=before)
        found[held] = margins(design.rows(held, scale), weights[fold])
    return OutOfFold(found, weights)
