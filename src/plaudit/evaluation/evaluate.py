"""How good a scorer is on preference pairs: the figure, its noise, and the baselines it has to beat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.data.rows import pair_group
from plaudit.errors import ConfigError, DataError, ItemError, RowError, ScoreError
from plaudit.evaluation.baselines import NgramModel, Pairs, decided_pairs
from plaudit.formatting import RenderItem
from plaudit.metrics import Interval, bootstrap_accuracy, pair_accuracy
from plaudit.models.reward_model import RewardModel
from plaudit.types import Example, Response, Scorer

__all__ = ["EvaluationReport", "evaluate", "example_scores"]


FEW_GROUPS = 10
"""With fewer groups a bootstrap over groups has too few values to draw from (Cameron, Gelbach & Miller 2008)."""


@dataclass(frozen=True)
class EvaluationReport:
    """Figures on M preference pairs. A ranking counts as all its pairs of responses with unequal ranks.

    Attributes:
        pairs, prompts: how many pairs, of how many prompts (the unit of the bootstrap).
        accuracy: share of pairs with chosen > rejected strictly, with a 95% interval by prompt.
        ties: share of pairs with exactly equal scores (they count as wrong).
        nll: mean negative log-likelihood of the preferences, -log sigmoid(chosen - rejected); unlike the training loss
            it knows no margins, weights or smoothing.
        margin: mean of chosen - rejected.
        reward_mean, reward_std: over all scores.
        baselines: accuracy of ``longer wins`` and ``shorter wins`` (characters) on the same pairs, and of the
            ``n-gram model`` where training pairs were given.
        by_source: accuracy for each value of ``source``, where the data has it.
        undecided: examples whose labels are all equal (ties): no figure counts them.
    """

    pairs: int
    prompts: int
    accuracy: Interval
    ties: float
    nll: float
    margin: float
    reward_mean: float
    reward_std: float
    baselines: dict[str, Interval]
    by_source: dict[str, Interval] = field(default_factory=dict)
    undecided: int = 0

    @property
    def caution(self) -> str | None:
        """What a reader must know before trusting the intervals, or None."""
        if self.prompts < FEW_GROUPS:
            return f"only {self.prompts} independent groups: the intervals are too narrow to be trusted"
        return None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"caution": self.caution}


def evaluate(
    scorer: Scorer,
    data: Iterable[Example],
    *,
    train: Pairs | None = None,
    overlong: str = "error",
    progress: Callable[[int], None] | None = None,
) -> EvaluationReport:
    """Scores the responses of every example and sums up over the pairs of them that the labels order.

    Args:
        scorer: any scorer.
        data: pairs and rankings.
        train: the pairs that the scorer was trained on: an `NgramModel` of them joins the baselines. Pairs that came
            tokenised have no words to read, so there is no such baseline then.
        overlong: for a learned model: what happens to a response too long by itself, ``error`` or ``cut``.
        progress: called with the number of examples scored since the last call.

    Raises:
        DataError: no pairs, or an example with one response.
        ScoreError: scores that are not N finite numbers.
    """
    if overlong != "error" and not isinstance(scorer, RewardModel):
        raise ConfigError(
            f"overlong {overlong!r} has a meaning only for a learned model, not for {type(scorer).__name__}"
        )
    ngram = NgramModel().fit(train) if train is not None and (not len(train) or train[0].input_ids is None) else None
    chosen: list[float] = []
    rejected: list[float] = []
    rivals: dict[str, list[float]] = defaultdict(list)
    groups: list[str] = []
    sources: list[str | None] = []
    undecided = done = texts = 0
    for chunk in _chunks(data, 2048):
        pairs = [(example, decided_pairs(example)) for example in chunk]
        decided = [(example, places) for example, places in pairs if places]
        undecided += len(chunk) - len(decided)
        sides = [(e.responses[best], e.responses[worst]) for e, places in decided for best, worst in places]
        if sides:
            for name, margins in _baseline_margins(sides, ngram).items():
                rivals[name].extend(margins)
        scores = example_scores(scorer, [example for example, _ in decided], overlong=overlong, done=done, texts=texts)
        for (example, places), own in zip(decided, scores, strict=True):
            for best, worst in places:
                chosen.append(own[best])
                rejected.append(own[worst])
                groups.append(example.group or pair_group(example.prompt, example.responses))
                sources.append(example.source)
        done += len(chunk)
        texts += sum(map(len, scores))
        if progress is not None:
            progress(len(chunk))
    if not chosen:
        ties = f": all {undecided:,} examples are ties" if undecided else ": the data has no pairs"
        raise DataError(f"there is nothing to evaluate{ties}")
    return _summarise(np.array(chosen), np.array(rejected), rivals, groups, sources, undecided)


def example_scores(
    scorer: Scorer, examples: list[Example], *, overlong: str = "error", done: int = 0, texts: int = 0
) -> list[npt.NDArray[np.float64]]:
    """For each example the scores of its responses (K,).

    Args:
        scorer: any scorer.
        examples: with any number of responses.
        overlong: for a learned model.
        done, texts: examples and texts that came before, for error messages.

    Raises:
        RowError: a learned model cannot take a text; names its row.
        ScoreError: scores that are not N finite numbers.
    """
    if not examples:
        return []
    items = [item for example in examples for item in RenderItem.of(example)]
    ends = np.cumsum([len(example.responses) for example in examples])
    if isinstance(scorer, RewardModel):
        try:
            scores = scorer.score_items(items, overlong=overlong)
        except ItemError as error:
            place = int(np.searchsorted(ends, error.index or 0, side="right"))
            where = examples[place].location or f"example {done + place + 1}"
            raise RowError(error.problem, where) from error
    else:
        scores = scorer.score([item.prompt for item in items], [item.response for item in items])
    return np.split(checked_scores(scores, len(items), start=texts), ends[:-1])


def _summarise(
    chosen: Any,
    rejected: Any,
    rivals: dict[str, list[float]],
    groups: list[str],
    sources: list[str | None],
    undecided: int,
) -> EvaluationReport:
    correct = pair_accuracy(chosen, rejected)
    rows: dict[str, list[int]] = defaultdict(list)
    for index, source in enumerate(sources):
        if source is not None:
            rows[source].append(index)
    both = np.concatenate([chosen, rejected])
    return EvaluationReport(
        pairs=len(chosen),
        prompts=len(set(groups)),
        accuracy=bootstrap_accuracy(correct, groups),
        ties=float((chosen == rejected).mean()),
        nll=float(np.logaddexp(0.0, rejected - chosen).mean()),
        margin=float((chosen - rejected).mean()),
        reward_mean=float(both.mean()),
        reward_std=float(both.std()),
        baselines={
            name: bootstrap_accuracy((np.array(margins) > 0).astype(float), groups) for name, margins in rivals.items()
        },
        by_source={
            source: bootstrap_accuracy(correct[index], [groups[i] for i in index])
            for source, index in sorted(rows.items())
            if len(rows) > 1
        },
        undecided=undecided,
    )


def _baseline_margins(
    sides: list[tuple[Response, Response]], ngram: NgramModel | None
) -> dict[str, npt.NDArray[np.float64]]:
    """By baseline, (M,) numbers above 0 where it prefers the preferred response, the first of each of the M sides."""
    longer = np.array([length_of(best) - length_of(worst) for best, worst in sides], dtype=np.float64)
    margins = {"longer wins": longer, "shorter wins": -longer}
    if ngram is not None:
        scores = ngram.score([None] * (2 * len(sides)), [response for pair in sides for response in pair])
        margins = {"n-gram model": scores[::2].astype(np.float64) - scores[1::2]} | margins
    return margins


def checked_scores(scores: Any, expected: int, *, start: int) -> npt.NDArray[np.float64]:
    """Scores as float64, checked: a scorer may be anybody's."""
    result = np.asarray(scores, dtype=np.float64)
    if result.shape != (expected,):
        raise ScoreError(f"the scorer returned an array of shape {result.shape} for {expected} texts")
    bad = np.flatnonzero(~np.isfinite(result))
    if len(bad):
        raise ScoreError(f"the scorer gave text {start + bad[0]} the score {result[bad[0]]}; expected a finite number")
    return result


def length_of(response: Response) -> int:
    """Characters of a response, all its turns together."""
    if isinstance(response, str):
        return len(response)
    return sum(len(str(message.get("content") or "")) for message in response)


def _chunks(data: Iterable[Example], size: int) -> Iterable[list[Example]]:
    chunk: list[Example] = []
    for example in data:
        chunk.append(example)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
