"""Several responses in one row, ranked or rated -> a group of responses with scores (minus the rank, or the rating).

Shapes: a list of responses beside a list of ranks or scores; a list of objects that hold both; a list in order, best
first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from plaudit.data.columns import CONVENTIONS
from plaudit.data.convert.options import ConvertOptions
from plaudit.data.convert.records import Record, kept, member
from plaudit.data.convert.transcripts import is_transcript, messages_from_transcript
from plaudit.data.convert.values import column, embedded, first_column, list_of, number
from plaudit.data.messages import kind
from plaudit.errors import RowError

__all__ = ["group_record", "looks_ranked", "parse_ordered", "parse_ranking", "used_columns"]

RESPONSES = (*CONVENTIONS["responses"], "answers", "outputs", "ranked_responses")
RANKS = (*CONVENTIONS["ranks"], "rank")
SCORES = ("scores", "rewards")
TEXT = ("response", "answer", "completion", "text", "content", "output", "generated_text")
RANK = ("rank", "ranking")
SCORE = ("score", "rating", "reward", "overall_score")
_SHARED = ("weight", "source", "tools", "chat_template_kwargs")


def looks_ranked(row: Mapping[str, Any], options: ConvertOptions) -> bool:
    """Responses with ranks or scores, in two lists or in one of objects."""
    name = options.fields.get("responses") or first_column(RESPONSES, row)
    if name is None or name == "prompt":
        return False
    values = embedded(row.get(name))
    if not isinstance(values, (list, tuple)) or not values:
        return False
    if all(isinstance(value, Mapping) for value in values) and first_column((*RANK, *SCORE), values[0]):
        return first_column(TEXT, values[0]) is not None
    other = options.fields.get("ranks") or options.fields.get("scores") or first_column((*RANKS, *SCORES), row)
    return other is not None and isinstance(embedded(row.get(other)), (list, tuple))


def used_columns(row: Mapping[str, Any], options: ConvertOptions) -> set[str]:
    """The columns that hold the responses and what orders them."""
    found = {first_column(names, row) for names in (RESPONSES, RANKS, SCORES)} | set(options.fields.values())
    return {name for name in found if name is not None}


def parse_ranking(row: Mapping[str, Any], options: ConvertOptions) -> Record:
    """A row with ranked or rated responses.

    Raises:
        RowError: no responses, no ranks or scores, or not equally many.
    """
    name = column("responses", RESPONSES, row, options.fields)
    values = list_of(row[name], name)
    if values and all(isinstance(value, Mapping) and "role" not in value for value in values):
        texts, numbers, ranked = _from_objects(values, name)
    else:
        ranks_known = "ranks" in options.fields or first_column(RANKS, row) is not None
        ranked = ranks_known and "scores" not in options.fields
        other = column(*(("ranks", RANKS) if ranked else ("scores", SCORES)), row, options.fields)
        texts, found = values, list_of(row[other], other)
        if len(texts) != len(found):
            raise RowError(f"{name} has {len(texts)} responses and {other} {len(found)} numbers; expected equally many")
        numbers = [number(value, f"{other}[{index}]") for index, value in enumerate(found)]
    return group_record(row, texts, numbers, options, ranked=ranked)


def parse_ordered(row: Mapping[str, Any], options: ConvertOptions) -> Record:
    """A row whose list of responses is in order, best first."""
    name = column("responses", RESPONSES, row, options.fields)
    texts = list_of(row[name], name)
    return group_record(row, texts, [float(place) for place in range(1, len(texts) + 1)], options, ranked=True)


def group_record(
    row: Mapping[str, Any], texts: Sequence[Any], numbers: Sequence[float], options: ConvertOptions, *, ranked: bool
) -> Record:
    """The group: each response with its score, and the ranks as they are where ``ranked``.

    Raises:
        RowError: a response is neither text nor a conversation.
    """
    columns = options.columns
    prompt_name = columns.find("prompt", row)
    plain = {name: value for name, value in row.items() if name not in ("response", "score")}
    if prompt_name is not None and _is_dialogue(row[prompt_name]):
        turns = messages_from_transcript(row[prompt_name])
        waits = turns[-1]["role"] == "assistant" and not turns[-1]["content"]  # "Assistant:", where the reply goes
        plain[prompt_name] = turns[:-1] if waits else turns
    members = []
    without_keep = ConvertOptions(columns=columns)
    for index, (text, value) in enumerate(zip(texts, numbers, strict=True)):
        if text is None:
            raise RowError(f"response {index + 1} is {kind(text)}; expected text or a list of messages")
        one = {**plain, "response": text}
        members.append(member(one, replace(columns, response="response"), -value if ranked else value, without_keep))
    first = members[0] if members else {}
    shared = {name: first[name] for name in ("prompt", *_SHARED) if name in first}
    bare = [{name: value for name, value in one.items() if name not in ("prompt", *_SHARED)} for one in members]
    group = shared | {"members": bare, "keep": kept(row, options), "at": ""}
    return group | ({"ranks": list(numbers)} if ranked else {})


def _is_dialogue(value: object) -> bool:
    """As Nectar writes prompts: a transcript that ends where the assistant is to speak, or after a human's turn."""
    return is_transcript(value) or (isinstance(value, str) and value.lstrip().startswith("Human:"))


def _from_objects(values: Sequence[Any], name: str) -> tuple[list[Any], list[float], bool]:
    text_name = first_column(TEXT, values[0])
    by = first_column(RANK, values[0]) or first_column(SCORE, values[0])
    if text_name is None or by is None:
        raise RowError(
            f"{name}[0] has the keys {', '.join(map(str, values[0]))}; expected a response ({', '.join(TEXT)}) "
            f"and a rank or score ({', '.join((*RANK, *SCORE))})"
        )
    for index, value in enumerate(values):
        if text_name not in value or by not in value:
            raise RowError(f"{name}[{index}] lacks {text_name} or {by}, which {name}[0] has")
    numbers = [number(value[by], f"{name}[{index}].{by}") for index, value in enumerate(values)]
    return [value[text_name] for value in values], numbers, by in RANK
