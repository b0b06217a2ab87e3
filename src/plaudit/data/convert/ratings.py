"""Ratings -> pairs and rankings: the score of a row, and the pairs among the responses to one prompt."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from plaudit.data.convert.options import ConvertOptions
from plaudit.data.convert.records import Record, member
from plaudit.data.convert.report import ConvertReport
from plaudit.data.convert.values import embedded, listed, number
from plaudit.errors import RowError
from plaudit.types import prompt_group

__all__ = [
    "group_from_members",
    "group_key",
    "pairs_of_group",
    "parse_rating",
    "ranking_of_group",
    "ratings_of_group",
    "weighted_score",
]

SCORES = "scores"
"""The column that holds an object of scores, one for each attribute."""


def parse_rating(row: Mapping[str, Any], options: ConvertOptions) -> Record:
    """A row with a prompt, a response and a score, or several scores (``options.attributes`` chooses)."""
    columns = options.columns
    if options.attributes:
        scores = embedded(row.get(SCORES))
        score = weighted_score({**row, **(scores if isinstance(scores, Mapping) else {})}, options.attributes, row)
    else:
        name = columns.find_required("score", row)
        score = number(row[name], name)
    return member(row, columns, score, options)


def weighted_score(
    scores: Mapping[str, Any], attributes: Mapping[str, float], row: Mapping[str, Any] | None = None
) -> float:
    """The sum of weight times score over the attributes.

    Raises:
        RowError: an attribute is missing or no number.
    """
    total = 0.0
    for name, weight in attributes.items():
        if name not in scores:
            known = [key for key in scores if not isinstance(scores[key], (list, Mapping))]
            raise RowError(f"no score {name!r}; the row has: {listed(known)}")
        total += weight * number(scores[name], name)
    return total


def group_key(record: Record, row: Mapping[str, Any], options: ConvertOptions) -> str:
    """What the responses to be compared share: the named column, or the prompt, letter by letter.

    Raises:
        RowError: there is neither.
    """
    name = options.columns.find("group_by", row)
    if name is not None:
        if row[name] in (None, ""):
            raise RowError(f"{name} is empty, but rows are grouped by it")
        key: Any = str(row[name])
    elif "prompt" not in record:
        raise RowError(
            "no prompt: responses are compared with others to the same prompt. Name its column (--prompt-column NAME), "
            "or one whose rows belong together (--group-by NAME)"
        )
    else:
        key = [record["prompt"], record.get("tools"), record.get("chat_template_kwargs")]
    return hashlib.blake2b(json.dumps(key, sort_keys=True).encode(), digest_size=16).hexdigest()


def group_from_members(members: Sequence[Record], options: ConvertOptions) -> Record:
    """Rated responses as one group.

    Raises:
        RowError: they answer different prompts.
    """
    first = members[0]
    shared: Record = {name: first[name] for name in ("prompt", "tools", "chat_template_kwargs") if name in first}
    for other in members[1:]:
        if prompt_group(other.get("prompt")) != prompt_group(first.get("prompt")):
            raise RowError(
                f"{options.columns.group_by} is the same as in {first['at']}, but the prompt is another one; "
                "group by a column whose rows share their prompt",
                other["at"],
            )
    return shared | {"members": list(members), "keep": {}, "at": first["at"]}


def pairs_of_group(group: Record, options: ConvertOptions, report: ConvertReport) -> Iterator[Record]:
    """The pairs among the members of a group, as strategy, gap and ties say; the others are counted."""
    members = sorted(group["members"], key=lambda one: -float(one["score"]))  # stable: equal ones in their order
    if len(members) < 2:
        report.drop("prompts with a single response")
        return
    least, keeps_ties = options.min_gap or 0.0, options.ties == "keep"
    for better, worse in _couples(members, options.strategy or "best-worst"):
        gap = better["score"] - worse["score"]
        if better["response"] == worse["response"]:
            report.drop("pairs of identical responses")
        elif gap == 0 and not keeps_ties:
            report.drop("pairs that tie")
        elif 0 < gap < least:
            report.drop(f"pairs with a gap below {least:g}")
        else:
            yield _pair(group, better, worse, gap, options)


def _couples(members: list[Record], strategy: str) -> Iterator[tuple[Record, Record]]:
    if strategy == "all":
        return itertools.combinations(members, 2)
    if strategy == "adjacent":
        return itertools.pairwise(members)
    return iter([(members[0], members[-1])])


def _pair(group: Record, better: Record, worse: Record, gap: float, options: ConvertOptions) -> Record:
    pair: Record = {"prompt": group["prompt"]} if "prompt" in group else {}
    pair |= {"chosen": better["response"], "rejected": worse["response"]}
    if options.ties == "keep":
        pair["soft_label"] = 0.5 if gap == 0 else 1.0
    if options.margin is not None:
        pair["margin"] = gap * options.margin
    weights = [one["weight"] for one in (better, worse) if "weight" in one]
    if weights:
        pair["weight"] = sum(weights) / len(weights)
    sources = list(dict.fromkeys(one["source"] for one in (better, worse) if "source" in one))
    if sources:
        known = [source for source in sources if source is not None]
        pair["source"] = " / ".join(known) or None
    for name in ("weight", "source", "tools", "chat_template_kwargs"):
        if name in group:
            pair[name] = group[name]
    keep: Record = dict(group["keep"])
    for name in better["keep"]:
        if name == options.columns.group_by:
            keep[name] = better["keep"][name]
        else:
            keep[f"{name}_chosen"], keep[f"{name}_rejected"] = better["keep"][name], worse["keep"][name]
    return pair | {"keep": keep, "at": group["at"]}


def ranking_of_group(group: Record, options: ConvertOptions, report: ConvertReport) -> Record | None:
    """The group as a listwise row: its own ranks, or those of its scores (1 is best, equal scores share one)."""
    members = group["members"]
    if len(members) < 2:
        report.drop("prompts with a single response")
        return None
    scores = [one["score"] for one in members]
    if options.ties == "drop" and len(set(scores)) == 1:
        report.drop("rankings in which all responses tie")
        return None
    order = {score: float(place) for place, score in enumerate(sorted(set(scores), reverse=True), start=1)}
    row: Record = {"prompt": group["prompt"]} if "prompt" in group else {}
    row |= {"responses": [one["response"] for one in members]}
    row["ranks"] = group["ranks"] if "ranks" in group else [order[score] for score in scores]
    first = members[0]
    if "weight" in first:
        row["weight"] = sum(one["weight"] for one in members) / len(members)
    if "source" in first:
        row["source"] = " / ".join(dict.fromkeys(one["source"] for one in members if one["source"])) or None
    for name in ("weight", "source", "tools", "chat_template_kwargs"):
        if name in group:
            row[name] = group[name]
    keep: Record = dict(group["keep"])
    for name in first["keep"]:
        values = [one["keep"][name] for one in members]
        keep[name] = values[0] if name == options.columns.group_by else values
    return row | {"keep": keep}


def ratings_of_group(group: Record) -> Iterator[Record]:
    """The members as ratings of their own, with what the group says of all of them."""
    shared = {name: group[name] for name in group if name not in ("members", "ranks", "at", "keep")}
    for one in group["members"]:
        yield shared | one | {"keep": {**group["keep"], **one["keep"]}}
