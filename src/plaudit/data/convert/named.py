"""The shapes of well-known data sets, by the names of their columns.

KTO rows; Argilla and distilabel; HelpSteer 1, 2, 2-preference and 3; UltraFeedback, whole and binarized; PKU-SafeRLHF;
HH-style transcripts; conversations without a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from plaudit.data.convert.options import ConvertOptions
from plaudit.data.convert.rankings import group_record
from plaudit.data.convert.ratings import weighted_score
from plaudit.data.convert.records import Record, kept, member, pair_record
from plaudit.data.convert.transcripts import is_transcript, messages_from_transcript
from plaudit.data.convert.values import column, embedded, first_column, list_of, number, object_of
from plaudit.data.messages import text_or_messages
from plaudit.errors import ConfigError, RowError

Row = Mapping[str, Any]

HELPSTEER = ("helpfulness", "correctness", "coherence", "complexity", "verbosity")
RATED_PAIRS = (
    ("chosen-rating", "rejected-rating"),
    ("chosen_rating", "rejected_rating"),
    ("rating_chosen", "rating_rejected"),
)
GENERATIONS = ("generations", "responses", "generation_responses")
RATINGS = ("ratings", "rating")
_TRUE, _FALSE = ("true", "1", "1.0", "yes", "desirable"), ("false", "0", "0.0", "no", "undesirable")


def parse_pair(row: Row, options: ConvertOptions) -> Record:
    """``chosen`` and ``rejected``, as every reader of plaudit takes them."""
    return pair_record(row, options.columns, options)


# --- a gap between two scores -----------------------------------------------------------------------------------------


def rated_pair(row: Row) -> tuple[str, str] | None:
    """The columns with the ratings of ``chosen`` and ``rejected``, as Argilla's data sets have them."""
    return next((names for names in RATED_PAIRS if all(name in row for name in names)), None)


def parse_binarized(row: Row, options: ConvertOptions) -> Record:
    """UltraFeedback, binarized: ``score_chosen`` and ``score_rejected``; equal scores are a tie."""
    return _scored_pair(row, options, "score_chosen", "score_rejected")


def parse_argilla(row: Row, options: ConvertOptions) -> Record:
    """Argilla: ``chosen`` and ``rejected`` as texts, conversations or objects, with their ratings."""
    names = rated_pair(row)
    if names is None:
        raise RowError(f"no ratings: looked for {'; '.join(' and '.join(pair) for pair in RATED_PAIRS)}")
    return _scored_pair(row, options, *names)


def _scored_pair(row: Row, options: ConvertOptions, better: str, worse: str) -> Record:
    gap = number(row[better], better) - number(row[worse], worse)
    if gap < 0:
        raise RowError(
            f"{better} is {row[better]} and {worse} {row[worse]}; expected chosen to have the higher score. "
            "To take chosen as it is, name the shape: pairs"
        )
    soft = None if options.columns.find("soft_label", row) is not None else 1.0 if gap else 0.5
    return pair_record(row, options.columns, options, soft_label=soft, gap=gap)


# --- two responses and a judgement ------------------------------------------------------------------------------------


def parse_helpsteer2_preference(row: Row, options: ConvertOptions) -> Record:
    """HelpSteer2-preference: ``preference_strength`` from -3 (response_1 much better) to 3 (response_2)."""
    return _by_strength(row, options, ("response_1", "response_2"), "preference_strength", options.columns.prompt)


def parse_helpsteer3(row: Row, options: ConvertOptions) -> Record:
    """HelpSteer3: ``context`` is the conversation, ``overall_preference`` from -3 (response1) to 3 (response2)."""
    prompt = options.columns.prompt or "context"
    return _by_strength(row, options, ("response1", "response2"), "overall_preference", prompt)


def _by_strength(row: Row, options: ConvertOptions, sides: tuple[str, str], name: str, prompt: str | None) -> Record:
    strength = number(row.get(name), name)
    if not -3 <= strength <= 3:
        raise RowError(f"{name} is {strength:g}; expected a number from -3 to 3")
    chosen, rejected = sides if strength <= 0 else sides[::-1]
    columns = replace(options.columns, chosen=chosen, rejected=rejected, prompt=prompt)
    return pair_record(row, columns, options, soft_label=0.5 if strength == 0 else 1.0, gap=abs(strength))


def parse_safe_rlhf(row: Row, options: ConvertOptions) -> Record:
    """PKU-SafeRLHF: ``better_response_id`` (or, by attribute, ``safer_response_id``) is 0 or 1."""
    attribute = next(iter(options.attributes or {"better": 1.0}))
    if attribute not in ("better", "safer") or len(options.attributes or "1") != 1:
        raise ConfigError(f"--attribute {' '.join(options.attributes or ())}: expected one of better, safer")
    name = f"{attribute}_response_id"
    place = number(row.get(name), name)
    if place not in (0, 1):
        raise RowError(f"{name} is {place:g}; expected 0 or 1")
    sides = ("response_0", "response_1") if place == 0 else ("response_1", "response_0")
    return pair_record(row, replace(options.columns, chosen=sides[0], rejected=sides[1]), options, soft_label=None)


# --- ratings ----------------------------------------------------------------------------------------------------------


def parse_kto(row: Row, options: ConvertOptions) -> Record:
    """KTO: ``prompt``, ``completion`` and ``label``, true or false; the score is 1 or 0."""
    name = options.columns.score or "label"
    value = row.get(name)
    text = str(value).strip().lower()
    if text not in (*_TRUE, *_FALSE):
        raise RowError(f"{name} is {value!r:.60}; expected true or false")
    columns = replace(options.columns, response=options.columns.response or "completion")
    return member(row, columns, 1.0 if text in _TRUE else 0.0, options)


def parse_helpsteer(row: Row, options: ConvertOptions) -> Record:
    """HelpSteer 1 and 2: five scores from 0 to 4; helpfulness unless attributes say otherwise."""
    return member(row, options.columns, weighted_score(row, options.attributes or {HELPSTEER[0]: 1.0}), options)


def parse_ultrafeedback(row: Row, options: ConvertOptions) -> Record:
    """UltraFeedback: ``completions`` with ``overall_score``; where there is none, the mean of the annotations' ratings.

    Attributes are the annotations (``helpfulness``, ``honesty``, ``instruction_following``, ``truthfulness``) and the
    other numbers of a completion (``fine-grained_score``).
    """
    values = [
        object_of(value, f"completions[{i}]") for i, value in enumerate(list_of(row["completions"], "completions"))
    ]
    scores = []
    for index, value in enumerate(values):
        if "response" not in value:
            raise RowError(f"completions[{index}] has no response")
        aspects = object_of(value.get("annotations") or {}, f"completions[{index}].annotations")
        found = {name: aspect.get("Rating") for name, aspect in aspects.items() if isinstance(aspect, Mapping)}
        name = f"completions[{index}]"
        if options.attributes:
            scores.append(weighted_score({**value, **found}, options.attributes))
        elif value.get("overall_score") is not None:
            scores.append(number(value["overall_score"], f"{name}.overall_score"))
        elif found:
            ratings = [number(rating, f"{name}.annotations.{aspect}.Rating") for aspect, rating in found.items()]
            scores.append(sum(ratings) / len(ratings))
        else:
            raise RowError(f"{name} has neither overall_score nor annotations")
    return group_record(row, [value["response"] for value in values], scores, options, ranked=False)


def looks_like_argilla_ratings(row: Row) -> bool:
    """A list of generations beside a list of ratings, as distilabel writes them."""
    lists = (first_column(GENERATIONS, row), first_column(RATINGS, row))
    return all(name is not None and isinstance(embedded(row[name]), (list, tuple)) for name in lists)


def parse_argilla_ratings(row: Row, options: ConvertOptions) -> Record:
    """Argilla and distilabel: ``generations`` (or ``responses``) and ``ratings``."""
    name = column("responses", GENERATIONS, row, options.fields)
    other = column("scores", RATINGS, row, options.fields)
    texts, found = list_of(row[name], name), list_of(row[other], other)
    if len(texts) != len(found):
        raise RowError(f"{name} has {len(texts)} responses and {other} {len(found)} numbers; expected equally many")
    scores = [number(value, f"{other}[{index}]") for index, value in enumerate(found)]
    if options.columns.prompt is None and "input" in row and options.columns.find("prompt", row) is None:
        options = replace(options, columns=replace(options.columns, prompt="input"))
    return group_record(row, texts, scores, options, ranked=False)


# --- dialogues --------------------------------------------------------------------------------------------------------


def parse_hh(row: Row, options: ConvertOptions) -> Record:
    """HH-RLHF: ``chosen`` and ``rejected`` are whole transcripts that share their start."""
    names = [options.columns.find_required(side, row) for side in ("chosen", "rejected")]
    turns = {}
    for name in names:
        if not isinstance(row[name], str):
            raise RowError(f"{name} is no text; expected a transcript that starts with 'Human:'")
        turns[name] = messages_from_transcript(row[name])
    return pair_record({**row, **turns}, replace(options.columns, prompt=options.columns.prompt or ""), options)


def dialogue_column(row: Row, options: ConvertOptions) -> str | None:
    """The column that holds one dialogue: messages, or a transcript."""
    named = options.columns.response or options.columns.prompt
    names = (named,) if named else ("messages", "conversations", "conversation", "text", "transcript")
    for name in names:
        value = embedded(row.get(name))
        if is_transcript(value) or (isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping)):
            return name
    return None


def parse_dialogue(row: Row, options: ConvertOptions) -> Record:
    """One dialogue: ``messages``, ShareGPT's ``conversations``, or a transcript."""
    name = dialogue_column(row, options)
    if name is None:
        raise RowError("no dialogue: expected messages, conversations, or a text that starts with 'Human:'")
    value = row[name]
    turns = messages_from_transcript(value) if is_transcript(value) else text_or_messages(value, name)
    source = options.columns.find("source", row)
    return {"messages": turns} | ({"source": row[source]} if source else {}) | {"keep": kept(row, options)}
