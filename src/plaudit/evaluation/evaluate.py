"""How good a scorer is on preference pairs: the figure, its noise, and the baselines it has to beat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from plaudit.formatting import RenderItem
from plaudit.metrics import Interval, bootstrap_accuracy, pair_accuracy
from plaudit.models.reward_model import RewardModel
from plaudit.types import Example, Response, Scorer

__all__ = ["EvaluationReport", "evaluate"]


@dataclass(frozen=True)
class EvaluationReport:
    """Figures on M preference pairs.

    Attributes:
        pairs, prompts: how many pairs, of how many prompts (the unit of the bootstrap).
        accuracy: share of pairs with chosen > rejected strictly, with a 95% interval by prompt.
        ties: share of pairs with exactly equal scores (they count as wrong).
        loss: mean Bradley-Terry loss, -log sigmoid(chosen - rejected), without margin.
        margin: mean of chosen - rejected.
        reward_mean, reward_std: over all scores.
        baselines: accuracy of ``longer wins`` and ``shorter wins`` (characters) on the same pairs.
        by_source: accuracy for each value of ``source``, where the data has it.
    """

    pairs: int
    prompts: int
    accuracy: Interval
    ties: float
    loss: float
    margin: float
    reward_mean: float
    reward_std: float
    baselines: dict[str, Interval]
    by_source: dict[str, Interval] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


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
    """
    chosen: list[float] = []
    rejected: list[float] = []
    longer: list[float] = []
    groups: list[str] = []
    sources: list[str | None] = []
    for chunk in _chunks(data, 512):
        items = [item for example in chunk for item in RenderItem.of(example)]
        if isinstance(scorer, RewardModel):
            scores = scorer.score_items(items, overlong=overlong)
        else:
            scores = scorer.score([item.prompt for item in items], [item.response for item in items])
        for example, (first, second) in zip(chunk, scores.reshape(-1, 2).astype(np.float64), strict=True):
            swapped = example.labels[1] > example.labels[0]
            best, worst = (example.responses[::-1]) if swapped else example.responses
            chosen.append(second if swapped else first)
            rejected.append(first if swapped else second)
            longer.append(float(np.sign(_length(best) - _length(worst))))
            groups.append(example.group)
            sources.append(example.source)
        if progress is not None:
            progress(len(chunk))
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
        loss=float(np.logaddexp(0.0, rejected - chosen).mean()),
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
