"""Trust: figures with their noise and their baselines."""

from plaudit.evaluation.evaluate import EvaluationReport, evaluate

__all__ = ["EvaluationReport", "evaluate"]
