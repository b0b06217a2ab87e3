"""What the policy is rewarded by: one scorer, its parts, and the gold scorers that are watched but never optimised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.errors import ConfigError, ScoreError
from plaudit.formatting import RenderItem
from plaudit.models.ensemble import Ensemble
from plaudit.models.reward_model import RewardModel
from plaudit.rewards.composite import CompositeReward, name_of
from plaudit.rewards.remote import RemoteScorer
from plaudit.scorers import resolve_scorer
from plaudit.types import Prompt, Scorer

__all__ = ["Rewarded", "Rewards", "reward_function"]

Array = npt.NDArray[np.float64]


@dataclass
class Rewarded:
    """The rewards of N answers.

    Attributes:
        total: (N,) what is optimised.
        parts: each component's raw scores by name, (N,), NaN for an empty answer; empty where there is one scorer only.
        gold: the watched scorers' scores by name, (N,), NaN for an empty answer.
        empty: (N,) whether the answer is empty: scorers refuse those, see `Rewards`.
    """

    total: Array
    parts: dict[str, Array]
    gold: dict[str, Array]
    empty: npt.NDArray[np.bool_]

    def figures(self) -> dict[str, Any]:
        """Means for the log; a part that could score nothing is left out."""
        return {
            "reward": float(self.total.mean()),
            "reward_std": float(self.total.std()),
            "empty_share": float(self.empty.mean()),
            "parts": _means(self.parts),
            "gold": _means(self.gold),
        }


class Rewards:
    """One scorer to optimise and any number to watch.

    A learned reward model renders prompt and answer by its own contract, from the texts: the policy's tokens never
    reach it, so both may have any tokenizer, and the score is the one that ``plaudit score`` gives.

    An empty answer has no score: scorers refuse it. It gets the lowest reward that this object has given so far (at
    least that of its batch), so that answering nothing never pays, and it is counted.

    Args:
        scorer: what is optimised.
        gold: what is watched, by name.

    Raises:
        ConfigError: a gold scorer is the optimised one.
    """

    def __init__(self, scorer: Scorer, gold: Mapping[str, Scorer] | None = None) -> None:
        self.scorer, self.gold = scorer, dict(gold or {})
        if any(watched is scorer for watched in self.gold.values()):
            raise ConfigError("the gold scorer is the optimised one: it would only repeat what is optimised")
        self.lowest: float | None = None

    def score(
        self, prompts: Sequence[Prompt], texts: Sequence[str], references: Sequence[str | None] | None = None
    ) -> Rewarded:
        """Rewards of N answers.

        Raises:
            ScoreError: a reward is not a finite number.
            PlauditError: a scorer cannot score, or a server does not answer.
        """
        if len(prompts) != len(texts):
            raise ConfigError(f"expected one answer a prompt, got {len(prompts)} prompts and {len(texts)} answers")
        empty = np.array([not text.strip() for text in texts], dtype=bool)
        full = [int(i) for i in np.flatnonzero(~empty)]
        asked = [prompts[i] for i in full]
        answers = [texts[i] for i in full]
        known = None if references is None else [references[i] for i in full]
        total, parts = self._optimised(asked, answers, known) if len(full) else (np.zeros(0), {})
        gold = {
            name: _spread(_scores(scorer, asked, answers, known, name), full, len(texts))
            for name, scorer in self.gold.items()
        }
        if len(total):
            self.lowest = float(total.min()) if self.lowest is None else min(self.lowest, float(total.min()))
        elif self.lowest is None:
            raise ScoreError("every answer is empty, so there is nothing to reward; check policy and chat template")
        rewards = np.full(len(texts), self.lowest, dtype=np.float64)
        rewards[full] = total
        return Rewarded(rewards, {n: _spread(v, full, len(texts)) for n, v in parts.items()}, gold, empty)

    def _optimised(
        self, prompts: list[Prompt], texts: list[str], references: list[str | None] | None
    ) -> tuple[Array, dict[str, Array]]:
        if not isinstance(self.scorer, CompositeReward):
            return _scores(self.scorer, prompts, texts, references, name_of(self.scorer)), {}
        raw = {c.name: _scores(c.scorer, prompts, texts, references, c.name) for c in self.scorer.components}
        return self.scorer.combine(raw).astype(np.float64), raw

    def fit(
        self, prompts: Sequence[Prompt], texts: Sequence[str], references: Sequence[str | None] | None = None
    ) -> bool:
        """Learns the normalizations of a composite from the start's answers; whether there was any to learn."""
        if not isinstance(self.scorer, CompositeReward) or self.scorer.fitted:
            return False
        full = [i for i, text in enumerate(texts) if text.strip()]
        known = None if references is None else [references[i] for i in full]
        self.scorer.fit([prompts[i] for i in full], [texts[i] for i in full], references=known)
        return True


def reward_function(
    spec: str | Path | Mapping[str, Any] | Sequence[Any] | Scorer, *, name: str | None = None, **options: Any
) -> Callable[..., list[float]]:
    """A reward function as TRL's trainers take it (``reward_funcs=[plaudit.reward_function("my-rm")]``).

    It scores through the saved contract: conversations and texts are rendered as in training, never re-tokenised from
    the policy's tokens. An empty completion gets the lowest reward seen so far. A column ``reference`` (``answer``,
    ``solution``, ``ground_truth``) of the data set is handed to rules that compare with one.

    Args:
        spec: what `resolve_scorer` takes: a reward model's folder or Hub id, a rule, a composite, an ensemble, a URL.
        name: what TRL logs it as; default: the scorer's own.
        options: passed to `resolve_scorer` (device, dtype, combine, k, …).

    Returns:
        ``function(prompts, completions, **columns) -> list of N floats``.

    Raises:
        PlauditError: no such scorer; a plain language model or a classifier in its place.
    """
    rewards = Rewards(resolve_scorer(spec, **options))
    references = ("reference", "references", "answer", "solution", "ground_truth")

    def function(prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        column = next((columns[n] for n in references if columns.get(n) is not None), None)
        known = None if column is None else [None if value is None else str(value) for value in column]
        texts = [completion_text(c) for c in completions]
        return [float(v) for v in rewards.score(list(prompts), texts, known).total]

    function.__name__ = name or (Path(spec).name if isinstance(spec, (str, Path)) else name_of(rewards.scorer))
    return function


def completion_text(completion: Any) -> str:
    """The text of a completion as TRL hands it over: text, or the messages of the assistant's turn."""
    if isinstance(completion, str):
        return completion
    if isinstance(completion, Sequence) and completion and isinstance(completion[-1], Mapping):
        return str(completion[-1].get("content") or "")
    if isinstance(completion, Sequence) and not completion:
        return ""
    raise ConfigError(f"a completion is text or a list of messages, got {completion!r:.80}")


def _compares(scorer: Scorer) -> bool:
    """Whether references mean anything to a scorer: learned models have no use for them and refuse them."""
    if isinstance(scorer, RewardModel):
        return False
    if isinstance(scorer, RemoteScorer):
        return scorer.compares
    if isinstance(scorer, Ensemble):
        return not scorer.learned
    return True


def _scores(
    scorer: Scorer, prompts: list[Prompt], texts: list[str], references: list[str | None] | None, name: str
) -> Array:
    if isinstance(scorer, RewardModel) or (isinstance(scorer, Ensemble) and scorer.learned):
        items = [RenderItem(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        raw: Any = scorer.score_items(items, overlong="cut")
    else:
        more = {"references": references} if references is not None and _compares(scorer) else {}
        raw = scorer.score(prompts, texts, **more)
    scores = np.asarray(raw, dtype=np.float64)
    if scores.shape != (len(texts),):
        raise ScoreError(f"{name} gave {scores.shape} scores for {len(texts)} answers; expected one for each")
    for index in np.flatnonzero(~np.isfinite(scores)):
        raise ScoreError(
            f"{name} gave {scores[index]} for the answer {texts[index]!r:.60}; expected a finite number", int(index)
        )
    return scores


def _spread(values: Array, places: Sequence[int], count: int) -> Array:
    spread = np.full(count, np.nan)
    spread[places] = values
    return spread


def _means(values: Mapping[str, Array]) -> dict[str, float]:
    return {name: float(np.nanmean(v)) for name, v in values.items() if not np.isnan(v).all()}
