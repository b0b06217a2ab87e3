"""The best and the worst of the scored responses to each prompt, as pairs for DPO and ORPO."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from plaudit.data.passes import RowReport
from plaudit.types import prompt_group

if TYPE_CHECKING:
    from plaudit.evaluation.scoring_rows import ScoringRow

__all__ = ["PairCounts", "best_worst_pairs", "is_far_enough"]


@dataclass
class PairCounts(RowReport):
    """What became of prompts and their responses.

    Attributes:
        kept: responses kept; with pairs, those in pairs.
        prompts: prompts with responses.
        alone: of them, those with one response.
        too_near: of them, those whose best and worst response are nearer than the margin asked for.
        no_prompt: responses without a prompt, which make no pair.
    """

    kept: int = 0
    prompts: int = 0
    alone: int = 0
    too_near: int = 0
    no_prompt: int = 0


def is_far_enough(margin: float, least: float) -> bool:
    """Whether two scores differ by at least ``least``, and differ at all."""
    return margin >= least and margin > 0


def best_worst_pairs(
    scored: Iterator[tuple[ScoringRow, list[float]]],
    group_by: str | None,
    least: float,
    score_name: str,
    report: PairCounts,
) -> Iterator[dict[str, Any]]:
    """The best and the worst response to each prompt; the first one of equally good or bad ones.

    Responses to a prompt may be anywhere: they wait in a temporary file, and those of one prompt are in memory.

    Args:
        scored: rows with the scores of their responses.
        group_by: the column whose equal values are one prompt; None: equal prompts (case and white space do not count).
        least: the smallest margin of a pair.
        score_name: columns are called ``NAME_chosen`` and ``NAME_rejected``.
        report: is added to.

    Yields:
        Rows with prompt, chosen, rejected, their scores and ``margin``, prompts in the order of their first response.
    """
    from plaudit.data.convert.grouping import grouped

    for members in grouped(_by_prompt(scored, group_by, report)):
        report.prompts += 1
        best, worst = max(members, key=_score), min(members, key=_score)
        margin = best["score"] - worst["score"]
        if len(members) == 1:
            report.alone += 1
        elif not is_far_enough(margin, least):
            report.too_near += 1
        else:
            report.kept += 2
            prompt, chosen, rejected = _one_kind(best["prompt"], best["response"], worst["response"])
            yield {
                "prompt": prompt,
                "chosen": chosen,
                "rejected": rejected,
                f"{score_name}_chosen": best["score"],
                f"{score_name}_rejected": worst["score"],
                "margin": margin,
                **{name: best[name] for name in ("tools", "chat_template_kwargs", "source") if best.get(name)},
            }


def _by_prompt(
    scored: Iterator[tuple[ScoringRow, list[float]]], group_by: str | None, report: PairCounts
) -> Iterator[tuple[str, dict[str, Any]]]:
    for found, scores in scored:
        for item, score in zip(found.items, scores, strict=True):
            if item.prompt is None:
                report.no_prompt += 1
                continue
            member = {
                "prompt": item.prompt,
                "response": item.response,
                "score": score,
                "tools": item.tools,
                "chat_template_kwargs": item.template_kwargs,
                "source": found.row.get("source"),
            }
            more = json.dumps([item.tools, item.template_kwargs], sort_keys=True, default=str)
            key = prompt_group(item.prompt) + more if group_by is None else str(found.row[group_by])
            yield key, member


def _score(member: dict[str, Any]) -> float:
    return float(member["score"])


def _one_kind(prompt: Any, *responses: Any) -> tuple[Any, ...]:
    """Texts or conversations throughout: what trains on such rows takes no mixture."""
    if all(isinstance(part, str) for part in (prompt, *responses)):
        return prompt, *responses
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return turns, *([{"role": "assistant", "content": r}] if isinstance(r, str) else r for r in responses)
