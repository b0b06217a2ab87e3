"""The best of n: responses of a policy, or given ones, put in the order of a scorer. No training.

Knows nothing of files; what a curve of such choices looks like is `plaudit.evaluation.best_of_n`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from plaudit.errors import ConfigError, ItemError, RenderError, RowError
from plaudit.evaluation.benchmarks.run import chunked, scored_examples
from plaudit.metrics.intervals import Array
from plaudit.rl.prompts import TaskPrompt
from plaudit.rl.rewards import Rewards
from plaudit.types import Example, Prompt, Response, Scorer

if TYPE_CHECKING:
    from plaudit.rl.policy import Policy

__all__ = ["Ranked", "rank_candidates", "sample_best_of_n"]

CHUNK = 256
"""Responses sampled and scored at a time: what a run that is killed loses at most."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """A prompt and its scored responses.

    Attributes:
        prompt: what they answer.
        responses: K of them, as they were given or sampled.
        scores: (K,) by the scorer that chooses; NaN for an empty response of a policy, which no scorer takes.
        gold: (K,) by the one that judges; None: there is none.
        location: of the prompt.
    """

    prompt: Prompt
    responses: tuple[Response, ...]
    scores: Array
    gold: Array | None
    location: str | None

    @property
    def order(self) -> list[int]:
        """Places of the responses, the best first; equal ones keep their order, empty ones come last."""
        return sorted(range(len(self.responses)), key=lambda i: (np.isnan(self.scores[i]), -self.scores[i]))

    @property
    def best(self) -> int | None:
        """The place of the best one; None where all are empty."""
        first = self.order[0]
        return None if np.isnan(self.scores[first]) else first


def rank_candidates(
    examples: Iterable[Example],
    scorer: Scorer,
    *,
    gold: Scorer | None = None,
    gold_labels: bool = False,
    overlong: str = "error",
    skip: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Ranked]:
    """Given responses, scored; those to one prompt in one pass that computes the prompt once.

    Args:
        examples: a prompt with K responses each; a chunk of them is in memory at a time.
        scorer: what chooses.
        gold: what judges.
        gold_labels: the examples' labels are the gold scores.
        overlong: of learned models: a response too long by itself is an ``error``, or its end is ``cut``.
        skip: leave out so many at the start; what is scored together stays the same, so the scores do.
        progress: called with the number of prompts since the last call.

    Raises:
        RowError: a text that cannot be scored; names its row.
        ScoreError: scores that are no finite numbers.
    """
    if gold is not None and gold_labels:
        raise ConfigError("the gold scores are labels or a scorer's, not both")
    scorers = [scorer] if gold is None else [scorer, gold]
    done = 0
    for chunk in chunked(examples, lambda example: example):
        if done + len(chunk) > skip:
            scored = list(scored_examples(scorers, chunk, overlong=overlong))
            for example, scores in scored[max(0, skip - done) :]:
                judged = np.array(example.labels) if gold_labels else scores[1] if gold is not None else None
                yield Ranked(example.prompt, example.responses, scores[0], judged, example.location)
        done += len(chunk)
        if progress is not None:
            progress(len(chunk))


def sample_best_of_n(
    policy: Policy | str | Path,
    prompts: Sequence[TaskPrompt | Prompt],
    scorer: Scorer,
    *,
    n: int = 16,
    gold: Scorer | None = None,
    max_new_tokens: int = 256,
    temperature: float = 1.0,
    seed: int = 0,
    batch_size: int = 64,
    skip: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Iterator[Ranked]:
    """Samples n responses to each prompt and scores them, all responses of a prompt in one pass.

    A response that is too long for a learned scorer is cut at its end, as in training by reinforcement; an empty one is
    never chosen. The answers to a prompt depend on the seed and on the prompts before it, not on ``skip``.

    Args:
        policy: a `Policy`, or what `plaudit.rl.policy.load_policy` loads.
        prompts: texts, conversations, or what `plaudit.rl.prompts.load_prompts` read, with references.
        scorer: what chooses; an `Ensemble` with combine ``mean_minus_std`` chooses by a lower bound.
        n: responses to each prompt, at least 1.
        gold: what judges.
        max_new_tokens: most tokens of a response.
        temperature: of sampling, above 0.
        seed: makes it repeatable.
        batch_size: responses sampled side by side.
        skip: leave out so many prompts at the start.
        progress: called with the number of prompts since the last call.

    Raises:
        ConfigError: an option out of range.
        RowError: a prompt that the policy cannot read, or a response that cannot be scored; names the prompt.
        ScoreError: scores that are no finite numbers.
    """
    for name, value, low in (("n", n, 1), ("max_new_tokens", max_new_tokens, 1), ("batch_size", batch_size, 1)):
        if value < low:
            raise ConfigError(f"{name} is {value}; expected at least {low}")
    if not temperature > 0:
        raise ConfigError(f"temperature is {temperature}; expected a number above 0: n equal responses need no choice")
    if isinstance(policy, (str, Path)):
        from plaudit.rl.policy import load_policy

        policy = load_policy(policy)
    tasks = [p if isinstance(p, TaskPrompt) else TaskPrompt(p, None, f"prompts[{i}]") for i, p in enumerate(prompts)]
    rendered = [_rendered(policy, task, max_new_tokens) for task in tasks]  # a bad prompt is told before the work
    rewards = Rewards(scorer, {} if gold is None else {"gold": gold})
    size = max(1, CHUNK // n)
    for start in range(0, len(tasks), size):
        chunk = tasks[start : start + size]
        if start + len(chunk) > skip:
            ids = [own for own in rendered[start : start + size] for _ in range(n)]
            own_seed = int(np.random.default_rng([seed, start]).integers(2**31))
            answers = policy.sample(
                ids, max_new_tokens=max_new_tokens, temperature=temperature, seed=own_seed, batch_size=batch_size
            )
            yield from _scored(chunk, answers.texts, n, rewards, gold is not None)[max(0, skip - start) :]
        if progress is not None:
            progress(len(chunk))


def _rendered(policy: Policy, task: TaskPrompt, new: int) -> list[int]:
    try:
        ids = policy.render(task.prompt)
    except RenderError as error:
        raise RowError(error.problem, task.location) from error
    if policy.limit is not None and len(ids) + new > policy.limit:
        raise RowError(
            f"the prompt has {len(ids)} tokens, and the policy takes {policy.limit} with the {new} of the response; "
            "leave it out, or ask for shorter responses",
            task.location,
        )
    return ids


def _scored(tasks: Sequence[TaskPrompt], texts: Sequence[str], n: int, rewards: Rewards, judged: bool) -> list[Ranked]:
    full = [i for i, text in enumerate(texts) if text.strip()]
    scores, gold = np.full(len(texts), np.nan), np.full(len(texts), np.nan)
    owners = [tasks[i // n] for i in full]
    if full:
        references = [owner.reference for owner in owners]
        known = references if any(reference is not None for reference in references) else None
        try:
            found = rewards.score([owner.prompt for owner in owners], [texts[i] for i in full], known)
        except ItemError as error:
            if error.index is None:
                raise
            raise RowError(error.problem, owners[error.index].location) from error
        scores[full] = found.total
        if judged:
            gold[full] = found.gold["gold"]
    ranked = []
    for place, task in enumerate(tasks):
        own = slice(place * n, (place + 1) * n)
        values: dict[str, Any] = {"scores": scores[own], "gold": gold[own] if judged else None}
        ranked.append(Ranked(task.prompt, tuple(texts[own]), location=task.location, **values))
    return ranked
