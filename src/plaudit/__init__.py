"""plaudit: train, trust and use reward models.

The public names, each loaded when it is first used: ``import plaudit`` never imports torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
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

_HOME = {
    "AuditReport": "plaudit.evaluation.audit",
    "BenchmarkReport": "plaudit.evaluation.benchmarks",
    "Calibration": "plaudit.calibration",
    "Columns": "plaudit.data",
    "Comparison": "plaudit.types",
    "CompositeReward": "plaudit.rewards",
    "DistillConfig": "plaudit.training.distill",
    "Ensemble": "plaudit.models.ensemble",
    "EvaluationReport": "plaudit.evaluation",
    "Example": "plaudit.types",
    "PlauditError": "plaudit.errors",
    "PreferenceData": "plaudit.data",
    "PreferencePair": "plaudit.types",
    "RLConfig": "plaudit.rl",
    "RLResult": "plaudit.rl",
    "RLTrainer": "plaudit.rl",
    "RankedResponse": "plaudit.types",
    "Ranking": "plaudit.types",
    "Rating": "plaudit.types",
    "RatingReport": "plaudit.evaluation",
    "RemoteScorer": "plaudit.rewards.remote",
    "RenderSpec": "plaudit.formatting",
    "Renderer": "plaudit.formatting",
    "RewardConfig": "plaudit.training.reward_config",
    "RewardFunction": "plaudit.rewards",
    "RewardModel": "plaudit.models.reward_model",
    "RewardModelDataset": "plaudit.training.distill",
    "RewardModelLoader": "plaudit.training.distill",
    "RewardModelSourceConfig": "plaudit.training.distill",
    "RewardModelTrainer": "plaudit.training.distill",
    "RewardModelTrainingConfig": "plaudit.training.distill",
    "RewardModelValidator": "plaudit.training.distill",
    "RewardRegistry": "plaudit.rewards",
    "RewardTrainer": "plaudit.training.trainer",
    "Scorer": "plaudit.types",
    "ScoringContract": "plaudit.models.contract",
    "TrainConfig": "plaudit.training.config",
    "audit": "plaudit.evaluation.audit",
    "augment_preferences": "plaudit.data.augment",
    "balance_preferences": "plaudit.curation.balance",
    "best_of_n": "plaudit.evaluation.best_of_n",
    "calibrate": "plaudit.evaluation.calibrate",
    "clean_preferences": "plaudit.curation.clean",
    "convert_preferences": "plaudit.data.convert",
    "create_rl_trainer": "plaudit.rl",
    "debias": "plaudit.training.debias",
    "distill": "plaudit.training.distill.run",
    "evaluate": "plaudit.evaluation",
    "evaluate_ratings": "plaudit.evaluation",
    "export_model": "plaudit.rl.export",
    "filter_corpus": "plaudit.curation.filter",
    "find_noise": "plaudit.curation.noise",
    "fit_laplace": "plaudit.models.laplace",
    "inspect_preferences": "plaudit.curation.inspect",
    "label_queue": "plaudit.curation.label",
    "leaderboard": "plaudit.evaluation.leaderboard",
    "list_benchmarks": "plaudit.evaluation.benchmarks",
    "load_preferences": "plaudit.data",
    "merge_models": "plaudit.evaluation.soup",
    "paired_tests": "plaudit.evaluation.versus",
    "preferences_from_ab": "plaudit.data.convert",
    "preferences_from_rankings": "plaudit.data.convert",
    "preferences_from_ratings": "plaudit.data.convert",
    "promote": "plaudit.evaluation.promote",
    "resolve_scorer": "plaudit.scorers",
    "reward_function": "plaudit.rl",
    "run_benchmark": "plaudit.evaluation.benchmarks",
    "sample_best_of_n": "plaudit.rl.best_of_n",
    "sample_preferences": "plaudit.data.sample",
    "select_pairs": "plaudit.curation.select",
    "split_preferences": "plaudit.data.partition",
    "train": "plaudit.training.run",
    "train_ensemble": "plaudit.training.seeds",
}

if TYPE_CHECKING:
    from plaudit.calibration import Calibration as Calibration
    from plaudit.curation.balance import balance_preferences as balance_preferences
    from plaudit.curation.clean import clean_preferences as clean_preferences
    from plaudit.curation.filter import filter_corpus as filter_corpus
    from plaudit.curation.inspect import inspect_preferences as inspect_preferences
    from plaudit.curation.label import label_queue as label_queue
    from plaudit.curation.noise import find_noise as find_noise
    from plaudit.curation.select import select_pairs as select_pairs
    from plaudit.data import Columns as Columns
    from plaudit.data import PreferenceData as PreferenceData
    from plaudit.data import load_preferences as load_preferences
    from plaudit.data.augment import augment_preferences as augment_preferences
    from plaudit.data.convert import convert_preferences as convert_preferences
    from plaudit.data.convert import preferences_from_ab as preferences_from_ab
    from plaudit.data.convert import preferences_from_rankings as preferences_from_rankings
    from plaudit.data.convert import preferences_from_ratings as preferences_from_ratings
    from plaudit.data.partition import split_preferences as split_preferences
    from plaudit.data.sample import sample_preferences as sample_preferences
    from plaudit.errors import PlauditError as PlauditError
    from plaudit.evaluation import EvaluationReport as EvaluationReport
    from plaudit.evaluation import RatingReport as RatingReport
    from plaudit.evaluation import evaluate as evaluate
    from plaudit.evaluation import evaluate_ratings as evaluate_ratings
    from plaudit.evaluation.audit import AuditReport as AuditReport
    from plaudit.evaluation.audit import audit as audit
    from plaudit.evaluation.benchmarks import BenchmarkReport as BenchmarkReport
    from plaudit.evaluation.benchmarks import list_benchmarks as list_benchmarks
    from plaudit.evaluation.benchmarks import run_benchmark as run_benchmark
    from plaudit.evaluation.best_of_n import best_of_n as best_of_n
    from plaudit.evaluation.calibrate import calibrate as calibrate
    from plaudit.evaluation.leaderboard import leaderboard as leaderboard
    from plaudit.evaluation.promote import promote as promote
    from plaudit.evaluation.soup import merge_models as merge_models
    from plaudit.evaluation.versus import paired_tests as paired_tests
    from plaudit.formatting import Renderer as Renderer
    from plaudit.formatting import RenderSpec as RenderSpec
    from plaudit.models.contract import ScoringContract as ScoringContract
    from plaudit.models.ensemble import Ensemble as Ensemble
    from plaudit.models.laplace import fit_laplace as fit_laplace
    from plaudit.models.reward_model import RewardModel as RewardModel
    from plaudit.rewards import CompositeReward as CompositeReward
    from plaudit.rewards import RewardFunction as RewardFunction
    from plaudit.rewards import RewardRegistry as RewardRegistry
    from plaudit.rewards.remote import RemoteScorer as RemoteScorer
    from plaudit.rl import RLConfig as RLConfig
    from plaudit.rl import RLResult as RLResult
    from plaudit.rl import RLTrainer as RLTrainer
    from plaudit.rl import create_rl_trainer as create_rl_trainer
    from plaudit.rl import reward_function as reward_function
    from plaudit.rl.best_of_n import sample_best_of_n as sample_best_of_n
    from plaudit.rl.export import export_model as export_model
    from plaudit.scorers import resolve_scorer as resolve_scorer
    from plaudit.training.config import TrainConfig as TrainConfig
    from plaudit.training.debias import debias as debias
    from plaudit.training.distill import DistillConfig as DistillConfig
    from plaudit.training.distill import RewardModelDataset as RewardModelDataset
    from plaudit.training.distill import RewardModelLoader as RewardModelLoader
    from plaudit.training.distill import RewardModelSourceConfig as RewardModelSourceConfig
    from plaudit.training.distill import RewardModelTrainer as RewardModelTrainer
    from plaudit.training.distill import RewardModelTrainingConfig as RewardModelTrainingConfig
    from plaudit.training.distill import RewardModelValidator as RewardModelValidator
    from plaudit.training.distill.run import distill as distill
    from plaudit.training.reward_config import RewardConfig as RewardConfig
    from plaudit.training.run import train as train
    from plaudit.training.seeds import train_ensemble as train_ensemble
    from plaudit.training.trainer import RewardTrainer as RewardTrainer
    from plaudit.types import Comparison as Comparison
    from plaudit.types import Example as Example
    from plaudit.types import PreferencePair as PreferencePair
    from plaudit.types import RankedResponse as RankedResponse
    from plaudit.types import Ranking as Ranking
    from plaudit.types import Rating as Rating
    from plaudit.types import Scorer as Scorer


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'plaudit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
