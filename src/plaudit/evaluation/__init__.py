"""Trust: figures with their noise and their baselines."""

from plaudit.evaluation.evaluate import EvaluationReport, evaluate
from plaudit.evaluation.ratings import Fidelity, RatingReport, evaluate_ratings, fidelity

__all__ = ["EvaluationReport", "Fidelity", "RatingReport", "evaluate", "evaluate_ratings", "fidelity"]
