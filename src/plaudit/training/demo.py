"""The demonstration: a reward model from the preferences that come with plaudit; judged, verified and put to use.

The data are everyday questions, each with good replies and flawed ones; its column ``flaw`` says what is wrong. Half of
the flawed ones are good replies to other questions, which nothing but the question unmasks. Knows nothing about the
command line.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.data import PreferenceData, load_preferences
from plaudit.errors import ConfigError, ContractError
from plaudit.evaluation import EvaluationReport, evaluate
from plaudit.evaluation.baselines import NgramModel, preferred_first
from plaudit.evaluation.picture import draw_evaluation
from plaudit.metrics import Interval, bootstrap_accuracy, pair_accuracy
from plaudit.models.reward_model import RewardModel
from plaudit.models.saved import check_plain_transformers
from plaudit.training.config import TrainConfig, make_config
from plaudit.training.run import TrainResult, run_training
from plaudit.types import Example, RankedResponse, Scorer

__all__ = ["QUESTION", "REPLIES", "DemoResult", "run_demo"]

logger = logging.getLogger(__name__)

HELD_OUT = 0.4
SETTINGS: dict[str, Any] = {"training": {"eval_strategy": "no"}}
"""Beyond the data; the rest has the defaults of `plaudit train`. What is held out is judged once, at the end."""

QUESTION = "How do I keep cut flowers fresh for longer?"
REPLIES = (
    "They are flowers, they die. If you cannot put them in a vase without asking, buy plastic ones and be done.",
    "Carry your passport, tickets and booking numbers in your hand luggage, and keep a copy of each on your phone. "
    "Arrive two hours early, as the queues at security can be long.",
    "Trim the stems at a slant, take off the leaves below the water line, and change the water every two days. Keep "
    "the vase cool and away from ripe fruit.",
    "There are many ways to look after flowers, and much depends on the situation. Just do what feels right to you.",
)


@dataclass(frozen=True)
class DemoResult:
    """What the demonstration found.

    Attributes:
        run: the training run.
        report: figures of the model on held-out prompts.
        surface: figures of an n-gram model of the same training pairs, on the same held-out pairs.
        lead: accuracy of the model minus that of the n-gram model, in [-1, 1], with the interval of the difference.
        flaws: held-out pairs by flaw.
        ranking: `REPLIES` to `QUESTION`, the best first.
        golden: how many golden inputs of the scoring contract agree, here and in plain transformers.
        picture: a PNG in the model's folder.
    """

    run: TrainResult
    report: EvaluationReport
    surface: EvaluationReport
    lead: Interval
    flaws: dict[str, int]
    ranking: list[RankedResponse]
    golden: int
    picture: Path


def run_demo(
    output: Path,
    *,
    max_samples: int | None = None,
    overwrite: bool = False,
    resume: bool = False,
    say: Callable[[str], None] = logger.info,
) -> DemoResult:
    """Trains on 60% of the prompts of the data that comes with plaudit, and judges the model on the others.

    Args:
        output: folder for the reward model and the picture.
        max_samples: at most this many pairs, for a quick look.
        overwrite: replace what is in that folder.
        resume: go on with an interrupted run.
        say: receives what a person should know, one line at a time.

    Raises:
        OutputError: the folder is in use.
        ContractError: the saved model does not score as it did.
    """
    with as_file(files("plaudit") / "resources" / "demo_preferences.jsonl") as source:
        data = {"source": str(source), "source_column": "flaw", "eval_fraction": HELD_OUT, "max_samples": max_samples}
        config = make_config({"data": data, "output": output, "overwrite": overwrite, "resume": resume, **SETTINGS})
        run = run_training(config, say=say)
        train, held_out = _split(config)
    if not isinstance(run.evaluation, EvaluationReport):
        raise ConfigError("the demonstration runs in one process; start it without torchrun")
    say("loading the model as it was saved, and judging it beside a model that sees only words")
    model = RewardModel.from_pretrained(run.folder, device=str(run.model.device))
    golden = _verify(model)
    surface, lead, picture = _compare(model, run.evaluation, train, held_out, run.folder / "demo.png")
    return DemoResult(
        run=run,
        report=run.evaluation,
        surface=surface,
        lead=lead,
        flaws=held_out.report.sources,
        ranking=model.rank(QUESTION, REPLIES),
        golden=golden,
        picture=picture,
    )


def _split(config: TrainConfig) -> tuple[PreferenceData, PreferenceData]:
    """The two sides that the run had."""
    c = config.data
    data = load_preferences(c.source, max_samples=c.max_samples, seed=config.seed, columns=c.columns)
    return data.split(c.eval_fraction, c.split_seed)


def _verify(model: RewardModel) -> int:
    assert model.contract is not None
    assert model.folder is not None
    checks = [*model.check_golden(), *check_plain_transformers(model.folder, model.contract)]
    failed = [check.problem for check in checks if not check.passed]
    if failed:
        raise ContractError(f"{len(failed)} of {len(checks)} golden inputs fail ({failed[0]}); train it again")
    return len(model.contract.golden)


def _compare(
    model: RewardModel, report: EvaluationReport, train: PreferenceData, held_out: PreferenceData, picture: Path
) -> tuple[EvaluationReport, Interval, Path]:
    """The n-gram model's figures, the model's lead over it, and the picture of both."""
    ngram = NgramModel().fit(train)
    surface = evaluate(ngram, held_out)
    pairs = list(held_out)
    chosen, rejected = _scores(model, pairs)
    lead = pair_accuracy(chosen, rejected) - pair_accuracy(*_scores(ngram, pairs))
    flaws = sorted(report.by_source, key=lambda flaw: -report.by_source[flaw].value)
    draw_evaluation(
        picture,
        {"all": report.accuracy} | {flaw: report.by_source[flaw] for flaw in flaws},
        {"all": surface.accuracy} | surface.by_source,
        chosen,
        rejected,
        baseline_name="n-gram model",
    )
    return surface, bootstrap_accuracy(lead, held_out.groups()), picture


def _scores(scorer: Scorer, pairs: Sequence[Example]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(M,) scores of the preferred and of the other responses."""
    responses = [response for pair in pairs for response in preferred_first(pair)]
    scores = scorer.score([pair.prompt for pair in pairs for _ in range(2)], responses).astype(np.float64)
    return scores[::2], scores[1::2]
