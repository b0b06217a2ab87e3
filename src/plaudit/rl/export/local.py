"""What the reward-function files share that score in the trainer's own process, and how they are checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from plaudit.errors import ContractError, RewardError
from plaudit.models.contract import GOLDEN_INPUTS, tolerance
from plaudit.models.reward_model import RewardModel
from plaudit.rl.export.base import Job
from plaudit.rl.export.functions import needs_reference
from plaudit.scorers import resolve_scorer
from plaudit.types import Prompt

__all__ = ["Case", "as_plaudit", "check_function", "source_line"]

Case: TypeAlias = Callable[[Prompt, str, str | None], float]
"""(prompt, response, reference) -> the reward that the file gives."""
Expected: TypeAlias = tuple[Prompt, str, str | None, float]
"""The same, with the reward that it should give."""


def source_line(job: Job, *, dialect: str | None = None) -> str:
    """The expression of a `RewardSource` in a generated file."""
    scorer = "FOLDER" if job.spec is None else repr(job.spec)
    server = "" if dialect is None else f", dialect={dialect!r}"
    return f"RewardSource({scorer}{server}, overlong={job.overlong!r}, empty_score={job.empty_score!r})"


def as_plaudit(job: Job, name: str) -> str:
    """What to know of a reward function without a checkpoint: Markdown."""
    text = f"`{name}` scores with `{job.spec}` as plaudit does: prompt and response are laid out by nobody else."
    if job.spec is not None and Path(job.spec).exists():
        text += " The scorer is read from there, so it must stay there, on every machine that computes rewards."
    return text


def check_function(job: Job, call: Case, name: str) -> None:
    """Asks a generated file for the rewards of the golden inputs, one at a time, and compares.

    Raises:
        ContractError: they differ from the scores that plaudit gives.
    """
    if job.checkpoint is not None:
        golden = [g for g in job.checkpoint.contract.golden if g.prompt is not None]
        contract = job.checkpoint.contract
        allowed = tolerance(contract.dtype, contract.device, "other")
        _compare([(g.prompt, g.response, None, g.score) for g in golden], call, name, allowed)
        job.checked.append(
            f"{name} imports and gives the saved scores of {len(golden)} golden inputs (tolerance {allowed:g})"
        )
        return
    assert job.spec is not None
    options: dict[str, Any] = {"device": job.device} if job.device else {}
    scorer = resolve_scorer(job.spec, **options)
    prompts = [prompt for prompt, _ in GOLDEN_INPUTS if prompt is not None][:-1]  # the last one is over-long
    responses = [response for prompt, response in GOLDEN_INPUTS if prompt is not None][: len(prompts)]
    references = list(responses) if needs_reference(scorer) else None
    try:
        scores = scorer.score(prompts, responses, **({"references": references} if references else {}))
    except RewardError as error:
        job.unchecked.append(
            f"{name} imports; the scorer does not judge the built-in texts, so no reward was compared ({error})"
        )
        return
    expected: list[Expected] = [
        (prompt, response, references[place] if references else None, float(scores[place]))
        for place, (prompt, response) in enumerate(zip(prompts, responses, strict=True))
    ]
    _compare(expected, call, name, 1e-4 if isinstance(scorer, RewardModel) else 1e-5)
    job.checked.append(f"{name} imports and gives the scores that plaudit gives ({len(expected)} built-in inputs)")


def _compare(expected: Sequence[Expected], call: Case, name: str, allowed: float) -> None:
    for prompt, response, reference, score in expected:
        found = call(prompt, response, reference)
        if not abs(found - score) <= allowed * max(1.0, abs(score)):
            raise ContractError(f"{name} gives {found:.6f} where plaudit gives {score:.6f}; nothing was exported")
