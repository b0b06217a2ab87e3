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
from plaudit.formatting import RenderItem
from plaudit.metrics import Interval, bootstrap_accuracy, pair_accuracy
from plaudit.models.reward_model import RewardModel
from plaudit.types import Example, Response, Scorer

__all__ = ["EvaluationReport", "evaluate"]


FEW_GROUPS = 10
"""With fewer groups a bootstrap over groups has too few values to draw from (Cameron, Gelbach & Miller 2008)."""


@dataclass(frozen=True)
class EvaluationReport:
    """Figures on M preference pairs.

    Attributes:
        pairs, prompts: how many pairs, of how many prompts (the unit of the bootstrap).
        accuracy: share of pairs with chosen > rejected strictly, with a 95% interval by prompt.
        ties: share of pairs with exactly equal scores (they count as wrong).
        nll: mean negative log-likelihood of the preferences, -log sigmoid(chosen - rejected); unlike the training loss
            it knows no margins, weights or smoothing.
        margin: mean of chosen - rejected.
        reward_mean, reward_std: over all scores.
        baselines: accuracy of ``longer wins`` and ``shorter wins`` (characters) on the same pairs.
        by_source: accuracy for each value of ``source``, where the data has it.
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
    overlong: str = "error",
    progress: Callable[[int], None] | None = None,
) -> EvaluationReport:
    """Scores both sides of every pair and sums up.

    Args:
        scorer: any scorer.
        data: examples with two responses each.
        overlong: for a learned model: what happens to a response too long by itself, ``error`` or ``cut``.
        progress: called with the number of pairs scored since the last call.

    Raises:
        DataError: no pairs, or an example that is no pair with a preference.
        ScoreError: scores that are not N finite numbers.
    """
    if overlong != "error" and not isinstance(scorer, RewardModel):
        raise ConfigError(
            f"overlong {overlong!r} has a meaning only for a learned model, not for {type(scorer).__name__}"
        )
    chosen: list[float] = []
    rejected: list[float] = []
    longer: list[float] = []
    groups: list[str] = []
    sources: list[str | None] = []
    for chunk in _chunks(data, 2048):
        for example in chunk:
            _check_pair(example)
        items = [item for example in chunk for item in RenderItem.of(example)]
        if isinstance(scorer, RewardModel):
            try:
                scores = scorer.score_items(items, overlong=overlong)
            except ItemError as error:
                pair = (error.index or 0) // 2
                raise RowError(error.problem, chunk[pair].location or f"pair {len(chosen) + pair + 1}") from error
        else:
            scores = scorer.score([item.prompt for item in items], [item.response for item in items])
        pairs = _checked(scores, len(items), start=2 * len(chosen)).reshape(-1, 2)
        for example, (first, second) in zip(chunk, pairs, strict=True):
            swapped = example.labels[1] > example.labels[0]
            best, worst = (example.responses[::-1]) if swapped else example.responses
            chosen.append(second if swapped else first)
            rejected.append(first if swapped else second)
            longer.append(float(np.sign(_length(best) - _length(worst))))
            groups.append(example.group or pair_group(example.prompt, example.responses))
            sources.append(example.source)
        if progress is not None:
            progress(len(chunk))
    if not chosen:
        raise DataError("there is nothing to evaluate: the data has no pairs")
    return _summarise(np.array(chosen), np.array(rejected), np.array(longer), groups, sources)


def _summarise(
    chosen: Any, rejected: Any, longer: Any, groups: list[str], sources: list[str | None]
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
            "longer wins": bootstrap_accuracy((longer > 0).astype(float), groups),
            "shorter wins": bootstrap_accuracy((longer < 0).astype(float), groups),
        },
        by_source={
            source: bootstrap_accuracy(correct[index], [groups[i] for i in index])
            for source, index in sorted(rows.items())
            if len(rows) > 1
        },
    )


def _check_pair(example: Example) -> None:
    where = f"{example.location}: " if example.location else ""
    if len(example.responses) != 2 or len(example.labels) != 2:
        raise DataError(f"{where}evaluation takes pairs, got an example with {len(example.responses)} responses")
    if example.labels[0] == example.labels[1]:
        raise DataError(f"{where}both responses have the label {example.labels[0]:g}; a pair needs a preferred one")


def _checked(scores: Any, expected: int, *, start: int) -> npt.NDArray[np.float64]:
    """Scores as float64, checked: a scorer may be anybody's."""
    result = np.asarray(scores, dtype=np.float64)
    if result.shape != (expected,):
        raise ScoreError(f"the scorer returned an array of shape {result.shape} for {expected} texts")
    bad = np.flatnonzero(~np.isfinite(result))
    if len(bad):
        raise ScoreError(f"the scorer gave text {start + bad[0]} the score {result[bad[0]]}; expected a finite number")
    return result


def _length(response: Response) -> int:
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
