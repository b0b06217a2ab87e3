"""The public surface: exactly these names, and an import that costs nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

import plaudit

PUBLIC = [
    "AuditReport",
    "BenchmarkReport",
    "Calibration",
    "Columns",
    "Comparison",
    "CompositeReward",
    "DistillConfig",
    "Ensemble",
    "EvaluationReport",
    "Example",
    "PlauditError",
    "PreferenceData",
    "PreferencePair",
    "RLConfig",
    "RLResult",
    "RLTrainer",
    "RankedResponse",
    "Ranking",
    "Rating",
    "RatingReport",
    "RemoteScorer",
    "RenderSpec",
    "Renderer",
    "RewardConfig",
    "RewardFunction",
    "RewardModel",
    "RewardModelDataset",
    "RewardModelLoader",
    "RewardModelSourceConfig",
    "RewardModelTrainer",
    "RewardModelTrainingConfig",
    "RewardModelValidator",
    "RewardRegistry",
    "RewardTrainer",
    "Scorer",
    "ScoringContract",
    "TrainConfig",
    "audit",
    "augment_preferences",
    "balance_preferences",
    "best_of_n",
    "calibrate",
    "clean_preferences",
    "convert_preferences",
    "create_rl_trainer",
    "debias",
    "distill",
    "evaluate",
    "evaluate_ratings",
    "export_model",
    "filter_corpus",
    "find_noise",
    "fit_laplace",
    "inspect_preferences",
    "label_queue",
    "leaderboard",
    "list_benchmarks",
    "load_preferences",
    "merge_models",
    "paired_tests",
    "preferences_from_ab",
    "preferences_from_rankings",
    "preferences_from_ratings",
    "promote",
    "resolve_scorer",
    "reward_function",
    "run_benchmark",
    "sample_best_of_n",
    "sample_preferences",
    "select_pairs",
    "split_preferences",
    "train",
    "train_ensemble",
]


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after some code."""
    probe = f"{code}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


def test_the_public_names_are_exactly_these() -> None:
    assert plaudit.__all__ == PUBLIC == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_resolves(name: str) -> None:
    thing = getattr(plaudit, name)
    assert thing.__name__ == name
    assert thing.__doc__
    assert name in dir(plaudit)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'plaudit' has no attribute 'Reward'"):
        plaudit.Reward  # noqa: B018


def test_a_star_import_brings_the_public_names() -> None:
    space: dict[str, object] = {}
    exec("from plaudit import *", space)
    assert {name for name in space if not name.startswith("__")} == set(PUBLIC)


HEAVY = {"torch", "transformers", "trl", "datasets", "accelerate", "numpy", "pyarrow", "pydantic", "huggingface_hub"}


@pytest.mark.parametrize("code", ["import plaudit", "import plaudit; dir(plaudit)", "from plaudit import Example"])
def test_importing_plaudit_imports_nothing_heavy(code: str) -> None:
    assert not loaded_after(code) & HEAVY


@pytest.mark.parametrize("name", ["Example", "PlauditError", "RenderSpec", "load_preferences", "Columns", "Scorer"])
def test_data_and_types_never_import_torch(name: str) -> None:
    assert not loaded_after(f"from plaudit import {name}") & {"torch", "transformers", "trl", "datasets"}


def test_scoring_does_not_import_trl_or_datasets() -> None:
    assert not loaded_after("from plaudit import RewardModel, evaluate, resolve_scorer") & {"trl", "datasets"}
