"""`distill`: rules -> scores of texts -> a reward model that reproduces them, and how well it does.

The scores live in ``OUTPUT.scores`` until the model is finished, so that a killed run goes on where it was; the
training is the main line (`plaudit.training.run`), with ratings or pairs made of the scores.
"""

from __future__ import annotations

import logging
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.data.split import hash_share
from plaudit.errors import ConfigError, DataError, OutputError, PlauditError, RowError
from plaudit.evaluation.ratings import Fidelity, fidelity
from plaudit.files import atomic_text
from plaudit.formatting import RenderItem
from plaudit.models.reward_model import RewardModel
from plaudit.rewards.composite import CompositeReward
from plaudit.scorers import composite_from
from plaudit.training.config import make_config
from plaudit.training.distill.config import DistillConfig
from plaudit.training.distill.examples import Scored, as_pairs, as_ratings, write_examples
from plaudit.training.distill.scores import ScoreShards
from plaudit.training.distill.texts import Text, read_texts
from plaudit.training.run import Figures, TrainResult, run_training

__all__ = ["DistillReport", "DistillResult", "Scores", "distill", "learn_scores", "run_distillation"]

logger = logging.getLogger(__name__)

Array = npt.NDArray[np.float64]

FEWEST_HELD_OUT = 3
"""Prompts (or bare texts) that are held out at least."""


@dataclass(frozen=True)
class Scores:
    """Texts with what rules say of them.

    Attributes:
        texts: N texts.
        combined: (N,) what is to be learnt.
        raw: each rule's own scores by name, (N,).
        rewards: the rules as a configuration, None where they cannot be written down.
    """

    texts: list[Text]
    combined: Array
    raw: dict[str, Array]
    rewards: dict[str, Any] | None = None

    def some(self, chosen: npt.NDArray[np.bool_]) -> Scores:
        """Those where ``chosen`` (N,) is true."""
        texts = [text for text, take in zip(self.texts, chosen, strict=True) if take]
        return Scores(texts, self.combined[chosen], {n: v[chosen] for n, v in self.raw.items()}, self.rewards)


@dataclass(frozen=True)
class DistillReport:
    """How well a model reproduces the rules on held-out texts.

    Attributes:
        texts, train_texts: held out, and trained on.
        overall: the model's scores against the combined ones.
        components: against each component's own scores, by name.
        rewards: the rules as a configuration, normalizations included; None where a rule was given as an object.
    """

    texts: int
    train_texts: int
    overall: Fidelity
    components: dict[str, Fidelity]
    rewards: dict[str, Any] | None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """For the model card, one sentence each."""
        s, p, a = (getattr(self.overall, name) for name in ("spearman", "pearson", "agreement"))
        lines = [
            f"distilled from rules; on {self.texts:,} held-out texts the model follows them with Spearman {s}, Pearson "
            f"{p}, and puts {a} of the pairs in the same order"
        ]
        lines += [f"against the rule {name} alone: Spearman {f.spearman}" for name, f in self.components.items()]
        return lines


@dataclass
class DistillResult:
    """A finished distillation.

    Attributes:
        model: the trained reward model.
        report: how well it reproduces the rules.
        training: the training run.
    """

    model: RewardModel
    report: DistillReport
    training: TrainResult


def distill(config: DistillConfig | Mapping[str, Any] | None = None, **options: Any) -> RewardModel:
    """Trains a reward model that reproduces rules; see `DistillConfig` for what it takes.

    Args:
        config: a `DistillConfig`, or its values as a mapping.
        options: the values by name instead: ``texts=``, ``rewards=``, ``output=``, ….

    Returns:
        The trained model; ``model.folder`` says where it was saved, with ``distillation`` in its ``metrics.json``.
    """
    if config is not None and options:
        raise ConfigError("pass a config or options, not both")
    if not isinstance(config, DistillConfig):
        config = make_config(dict(config if config is not None else options), DistillConfig)
    return run_distillation(config).model


def run_distillation(
    config: DistillConfig,
    *,
    say: Callable[[str], None] = logger.info,
    progress: Callable[[int], None] | None = None,
) -> DistillResult:
    """`distill` with everything it found out.

    Args:
        config: the run.
        say: receives what a person should know, one line at a time.
        progress: called with the number of texts scored since the last call.

    Raises:
        ConfigError: fewer than ten distinct texts, rules that cannot be combined.
        DataError: scores that are all equal: there is nothing to learn.
        RowError: a text that a rule cannot score.
    """
    for name in ("texts", "rewards"):
        if getattr(config, name) is None:
            raise ConfigError(f"{name} is required")
    composite = _composite(config)
    config.train_config(config.work / "train", config.work / "held_out", resume=False)  # complain before scoring
    resume = _prepare(config)
    with _kept_if_of_use(config):
        scored, held_out = _score(config, composite, resume=resume, say=say, progress=progress)
        train, test = _parted(scored, held_out)
    return _learn(config, train, test, resume=resume, say=say)


@contextmanager
def _kept_if_of_use(config: DistillConfig) -> Iterator[None]:
    """Scores stay for another run after a row that can be mended or a kill, but not after a refusal of the whole."""
    try:
        yield
    except PlauditError as error:
        of_use = isinstance(error, RowError) and any(config.work.glob("scores-*.jsonl"))
        if not of_use and not config.resume:
            shutil.rmtree(config.work, ignore_errors=True)
        raise


def _score(
    config: DistillConfig,
    composite: CompositeReward,
    *,
    resume: bool,
    say: Callable[[str], None],
    progress: Callable[[int], None] | None,
) -> tuple[Scores, npt.NDArray[np.bool_]]:
    """What the rules say of every text, and which texts (N,) are held out."""
    shards = ScoreShards(config.work, composite, shard_size=config.shard_size, batch_size=config.batch_size)
    count = shards.write(_texts(config), progress)
    say(f"scored {count:,} texts by {composite!r}")
    _check_same_rules(config, composite, resume=resume)
    rows = list(shards)
    held_out = _held_out([text for text, _ in rows], config)
    raw = {name: np.array([scores[name] for _, scores in rows]) for name in composite.names}
    if not composite.fitted:
        composite.fit_scores({name: values[~held_out] for name, values in raw.items()})
    combined = composite.combine(raw).astype(np.float64)
    return Scores([text for text, _ in rows], combined, raw, written(composite)), held_out


def _check_same_rules(config: DistillConfig, composite: CompositeReward, *, resume: bool) -> None:
    """A training that goes on must learn what it began to learn.

    Raises:
        ConfigError: the rules are combined otherwise now.
    """
    record, now = config.work / "combined.txt", repr(composite)
    if resume and record.exists() and (then := record.read_text(encoding="utf-8")) != now:
        raise ConfigError(
            f"the run was started with {then}, now it is {now}; give the same, or start anew with overwrite"
        )
    atomic_text(record, now)


def learn_scores(config: DistillConfig, scored: Scores, *, say: Callable[[str], None] = logger.info) -> DistillResult:
    """`run_distillation` from scores that are there already; ``config`` has no texts and no rewards."""
    resume = _prepare(config)
    train, test = _parted(scored, _held_out(scored.texts, config))
    return _learn(config, train, test, resume=resume, say=say)


def _parted(scored: Scores, held_out: npt.NDArray[np.bool_]) -> tuple[Scores, Scores]:
    """What is trained on, whose scores must differ, and what is held out."""
    train, test = scored.some(~held_out), scored.some(held_out)
    if train.combined.min() == train.combined.max():
        raise DataError(
            f"all {len(train.texts):,} training texts have the score {train.combined[0]:g}: there is nothing to learn; "
            "choose rules that tell these texts apart, or bring more varied texts"
        )
    return train, test


def _learn(
    config: DistillConfig, train: Scores, test: Scores, *, resume: bool, say: Callable[[str], None]
) -> DistillResult:
    say(f"{len(train.texts):,} texts to train on, {len(test.texts):,} held out")
    files = {config.work / "train.jsonl": train, config.work / "held_out.jsonl": test}
    config.work.mkdir(parents=True, exist_ok=True)
    for path, some in files.items():
        pairs = list(zip(some.texts, some.combined.tolist(), strict=True))
        unit = float(train.combined.std())
        examples = as_ratings(pairs) if config.objective == "regression" else _pairs(pairs, config, unit)
        if not write_examples(examples, path):
            raise DataError(_no_pairs(some, config))
    reports: list[DistillReport] = []

    def figures(model: RewardModel) -> Figures:
        reports.append(_report(model, test, len(train.texts)))
        return {"distillation": reports[0].to_dict()}, reports[0].lines()

    result = run_training(config.train_config(*files, resume=resume), say=say, figures=figures)
    shutil.rmtree(config.work, ignore_errors=True)
    return DistillResult(result.model, reports[0], result)


def written(composite: CompositeReward) -> dict[str, Any] | None:
    """The composite as a configuration; None where a component was given as an object, which has no name."""
    try:
        return composite.to_dict()
    except ConfigError:
        return None


def _composite(config: DistillConfig) -> CompositeReward:
    if isinstance(config.rewards, CompositeReward):
        return config.rewards
    spec = config.rewards
    if isinstance(spec, list) and len(spec) == 1:
        spec = spec[0]
    whole = isinstance(spec, Mapping) and "rewards" in spec
    file = isinstance(spec, (str, Path)) and str(spec).endswith((".yaml", ".yml"))
    chosen = {name: getattr(config, name) for name in ("mode", "normalize") if getattr(config, name) is not None}
    if not whole and not file:
        spec = {"rewards": spec if isinstance(spec, list) else [spec], **chosen}
    elif chosen:
        raise ConfigError(
            f"{' and '.join(chosen)}: the rewards are a whole composite, which says that itself; leave it out"
        )
    return composite_from(spec, weights=config.weights)


def _prepare(config: DistillConfig) -> bool:
    """Refuses an output in use before anything is scored. True where a training goes on; before it, only scores do."""
    partial = config.output.with_name(config.output.name + ".partial")
    used = config.output.exists() and (not config.output.is_dir() or any(config.output.iterdir()))
    if used and not config.overwrite:
        raise OutputError(
            f"{config.output} exists already; choose another output, or replace it with overwrite (--overwrite)"
        )
    started = config.work.exists() or partial.exists()
    if started and not (config.overwrite or config.resume):
        raise OutputError(
            f"{config.work} or {partial} holds an unfinished run: go on with resume (--resume), or start anew with "
            "overwrite (--overwrite)"
        )
    if config.resume and not started:
        raise OutputError(f"nothing to resume: there is no {config.work}; start without resume")
    if config.overwrite:
        shutil.rmtree(config.work, ignore_errors=True)
    return config.resume and partial.exists()


def _texts(config: DistillConfig) -> Iterable[Text]:
    return read_texts(
        config.texts,
        split=config.split,
        prompt_column=config.prompt_column,
        response_column=config.response_column,
        reference_column=config.reference_column,
        max_samples=config.max_samples,
    )


def _held_out(texts: list[Text], config: DistillConfig) -> npt.NDArray[np.bool_]:
    """(N,) true where a text is held out: the groups with the lowest hashes, at least three of them, so that there is
    something to compare in small data too."""
    groups = sorted({text.group for text in texts}, key=lambda group: hash_share(group, config.split_seed))
    count = max(FEWEST_HELD_OUT, round(config.test_fraction * len(groups)))
    if count >= len(groups):
        raise DataError(
            f"the texts answer {len(groups)} prompts, which leaves none to train on beside {count} held out; bring "
            "more prompts, or a smaller test_fraction"
        )
    chosen = set(groups[:count])
    return np.array([text.group in chosen for text in texts])


def _no_pairs(scored: Scores, config: DistillConfig) -> str:
    groups = Counter(text.group for text in scored.texts)
    what = f"no two of {len(scored.texts):,} texts have scores that differ by more than {config.min_gap or 0:g}"
    if all(text.prompt is not None for text in scored.texts) and max(groups.values()) == 1:
        what = f"no prompt has two responses that could be compared ({len(groups):,} prompts)"
    return f"{what}; use the objective regression, lower min_gap, or score the texts without their prompts"


def _pairs(scored: list[Scored], config: DistillConfig, spread: float) -> Iterable[Any]:
    unit = spread if config.use_margin is not False else None
    return as_pairs(
        scored,
        min_gap=config.min_gap or 0.0,
        margin_unit=unit,
        per_text=config.pairs_per_text or 2,
        seed=config.seed,
    )


def _report(model: RewardModel, held_out: Scores, train_texts: int) -> DistillReport:
    items = [RenderItem(text.prompt, text.response) for text in held_out.texts]
    scores = model.score_items(items, overlong="cut").astype(np.float64)
    groups = [text.group for text in held_out.texts]
    return DistillReport(
        texts=len(held_out.texts),
        train_texts=train_texts,
        overall=fidelity(scores, held_out.combined, groups),
        components={name: fidelity(scores, values, groups) for name, values in held_out.raw.items()},
        rewards=held_out.rewards,
    )
