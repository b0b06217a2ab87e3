"""The shapes in which preference data comes: what each looks like, how it is read, and finding out which one it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from plaudit.data.columns import Columns
from plaudit.data.convert import ab, named, rankings, ratings
from plaudit.data.convert.options import ConvertOptions
from plaudit.data.convert.records import Record
from plaudit.data.convert.transcripts import is_transcript
from plaudit.data.convert.values import embedded, listed
from plaudit.errors import ConfigError, DataError
from plaudit.registry import suggest

__all__ = ["ALIASES", "SHAPES", "Shape", "detect", "shape_called"]

Row = Mapping[str, Any]
Kind = Literal["pairs", "ratings", "groups", "dialogues"]

_PAIRING = frozenset({"strategy", "min_gap", "margin", "ties"})
_CONTEXT = ("prompt", "weight", "source", "tools", "chat_template_kwargs", "system")
_PAIR_COLUMNS = (*_CONTEXT, "chosen", "rejected", "margin", "soft_label")
_RATING_COLUMNS = (*_CONTEXT, "response", "group_by")
_LIST_FIELDS = ("responses", "ranks", "scores")


@dataclass(frozen=True)
class Shape:
    """One way to write preference data.

    Attributes:
        kind: what a row becomes: a pair, a rating to be grouped by prompt, a whole group, or a dialogue.
        what: its columns, for people.
        looks: whether a row is of this shape.
        parse: the record in a row; a `RowError` says why there is none.
        effects: the options that change what becomes of its rows.
        columns: the fields of `Columns` that it reads.
        fields: the names of ``fields`` that it reads.
        covers: more general shapes of which its rows are, too.
        uses: the columns that it reads beyond those.
        system: a column ``system`` is a system message (elsewhere it is often the name of a system).
    """

    kind: Kind
    what: str
    looks: Callable[[Row, ConvertOptions], bool]
    parse: Callable[[Row, ConvertOptions], Record]
    effects: frozenset[str] = frozenset({"ties"})
    columns: tuple[str, ...] = _PAIR_COLUMNS
    fields: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()
    uses: Callable[[Row, ConvertOptions], set[str]] = field(default=lambda row, options: set())
    system: bool = False


def _has(*names: str) -> Callable[[Row, ConvertOptions], bool]:
    return lambda row, options: all(name in row for name in names)


def _pair(row: Row, options: ConvertOptions) -> bool:
    return all(_found(options.columns, side, row) for side in ("chosen", "rejected"))


def _found(columns: Columns, name: str, row: Row) -> str | None:
    mapped = getattr(columns, name)
    return mapped if mapped in row else None if mapped is not None else columns.find(name, row)


def _rating(row: Row, options: ConvertOptions) -> bool:
    scores = options.attributes is not None or _found(options.columns, "score", row) is not None
    return scores and _found(options.columns, "response", row) is not None


def _kto(row: Row, options: ConvertOptions) -> bool:
    label = row.get("label")
    boolean = isinstance(label, bool) or str(label).lower() in ("true", "false")
    return "completion" in row and boolean


def _sharegpt(row: Row, options: ConvertOptions) -> bool:
    return "conversations" in row and _pair(row, options)


def _hh(row: Row, options: ConvertOptions) -> bool:
    names = [_found(options.columns, side, row) for side in ("chosen", "rejected")]
    return all(name is not None and is_transcript(row[name]) for name in names)


def _dialogue(row: Row, options: ConvertOptions) -> bool:
    return named.dialogue_column(row, options) is not None and not _pair(row, options) and not _rating(row, options)


def _ultrafeedback(row: Row, options: ConvertOptions) -> bool:
    values = embedded(row.get("completions"))
    if not isinstance(values, (list, tuple)) or not values:
        return False
    return all(isinstance(v, Mapping) and ("overall_score" in v or "annotations" in v) for v in values)


def _names(*names: str) -> Callable[[Row, ConvertOptions], set[str]]:
    return lambda row, options: set(names)


def _dialogue_uses(row: Row, options: ConvertOptions) -> set[str]:
    return {named.dialogue_column(row, options) or ""}


def _rated(row: Row, options: ConvertOptions) -> set[str]:
    return set(named.rated_pair(row) or ())


SHAPES: dict[str, Shape] = {
    "pairs": Shape("pairs", "prompt, chosen, rejected (DPO, TRL)", _pair, named.parse_pair, system=True),
    "sharegpt": Shape(
        *("pairs", "conversations, chosen, rejected (ShareGPT, LLaMA-Factory)", _sharegpt, named.parse_pair),
        covers=("pairs",),
        system=True,
    ),
    "hh": Shape(
        *("pairs", "chosen, rejected: transcripts, 'Human: … Assistant: …'", _hh, named.parse_hh), covers=("pairs",)
    ),
    "ultrafeedback-binarized": Shape(
        *("pairs", "chosen, rejected, score_chosen, score_rejected"),
        lambda row, options: _pair(row, options) and "score_chosen" in row and "score_rejected" in row,
        named.parse_binarized,
        effects=frozenset({"ties", "margin"}),
        covers=("pairs",),
        uses=_names("score_chosen", "score_rejected"),
        system=True,
    ),
    "argilla": Shape(
        *("pairs", "chosen, rejected, chosen-rating, rejected-rating"),
        lambda row, options: _pair(row, options) and named.rated_pair(row) is not None,
        named.parse_argilla,
        effects=frozenset({"ties", "margin"}),
        covers=("pairs",),
        uses=_rated,
        system=True,
    ),
    "helpsteer2-preference": Shape(
        *("pairs", "prompt, response_1, response_2, preference_strength (-3 … 3)"),
        _has("response_1", "response_2", "preference_strength"),
        named.parse_helpsteer2_preference,
        effects=frozenset({"ties", "margin"}),
        columns=_CONTEXT,
        covers=("ab",),
        uses=_names("response_1", "response_2", "preference_strength"),
    ),
    "helpsteer3": Shape(
        *("pairs", "context, response1, response2, overall_preference (-3 … 3)"),
        _has("context", "response1", "response2", "overall_preference"),
        named.parse_helpsteer3,
        effects=frozenset({"ties", "margin"}),
        columns=_CONTEXT,
        covers=("ab",),
        uses=_names("context", "response1", "response2", "overall_preference"),
    ),
    "safe-rlhf": Shape(
        *("pairs", "prompt, response_0, response_1, better_response_id"),
        _has("response_0", "response_1", "better_response_id"),
        named.parse_safe_rlhf,
        effects=frozenset({"ties", "attributes"}),
        columns=_CONTEXT,
        uses=_names("response_0", "response_1", "better_response_id", "safer_response_id"),
    ),
    "ab": Shape(
        *("pairs", "response_a, response_b and a winner, votes, clicks or p_b", ab.looks_like_ab, ab.parse_ab),
        effects=frozenset(
            {"ties", "evidence", "winners", "tie_band", "significance", "weigh_by_certainty"},
        ),
        columns=_CONTEXT,
        fields=(*ab.NAMES, "a", "b"),
        uses=ab.used_columns,
    ),
    "ratings": Shape(
        *("ratings", "prompt, response, score (or scores: an object)", _rating, ratings.parse_rating),
        effects=_PAIRING | {"attributes"},
        columns=(*_RATING_COLUMNS, "score"),
        uses=_names("scores"),
    ),
    "kto": Shape(
        *("ratings", "prompt, completion, label (true or false)", _kto, named.parse_kto),
        effects=_PAIRING,
        columns=(*_RATING_COLUMNS, "score"),
        covers=("ratings",),
        uses=_names("completion", "label"),
        system=True,
    ),
    "helpsteer": Shape(
        *("ratings", "prompt, response, helpfulness, correctness, coherence, complexity, verbosity"),
        _has("response", *named.HELPSTEER),
        named.parse_helpsteer,
        effects=_PAIRING | {"attributes"},
        columns=_RATING_COLUMNS,
        covers=("ratings",),
        uses=_names("response", *named.HELPSTEER),
    ),
    "ultrafeedback": Shape(
        *("groups", "instruction, completions with overall_score or annotations"),
        _ultrafeedback,
        named.parse_ultrafeedback,
        effects=_PAIRING | {"attributes"},
        columns=_CONTEXT,
        covers=("rankings",),
        uses=_names("completions"),
    ),
    "argilla-ratings": Shape(
        *("groups", "instruction, generations, ratings (Argilla, distilabel)"),
        lambda row, options: named.looks_like_argilla_ratings(row),
        named.parse_argilla_ratings,
        effects=_PAIRING,
        columns=_CONTEXT,
        fields=("responses", "scores"),
        uses=_names(*named.GENERATIONS, *named.RATINGS, "input"),
    ),
    "rankings": Shape(
        *("groups", "prompt, responses, ranks or scores; or a list of objects with both (Nectar)"),
        rankings.looks_ranked,
        rankings.parse_ranking,
        effects=_PAIRING,
        columns=_CONTEXT,
        fields=_LIST_FIELDS,
        uses=rankings.used_columns,
    ),
    "ordered": Shape(
        *("groups", "prompt, responses: a list, best first (only where it is named)"),
        lambda row, options: False,
        rankings.parse_ordered,
        effects=_PAIRING,
        columns=_CONTEXT,
        fields=("responses",),
        uses=rankings.used_columns,
    ),
    "dialogues": Shape(
        *("dialogues", "messages, conversations, or a text 'Human: … Assistant: …'", _dialogue, named.parse_dialogue),
        effects=frozenset(),
        columns=("response", "source"),
        uses=_dialogue_uses,
    ),
}
ALIASES = {"dpo": "pairs", "trl": "pairs", "llama-factory": "sharegpt", "nectar": "rankings", "helpsteer2": "helpsteer"}
"""Other names of shapes."""


def shape_called(name: str) -> str:
    """The name of a shape, itself or by another name.

    Raises:
        ConfigError: it is unknown.
    """
    name = ALIASES.get(name, name)
    if name not in SHAPES:
        known = [*SHAPES, *ALIASES]
        raise ConfigError(f"unknown shape {name!r}{suggest(name, known)}; known: auto, {', '.join(known)}")
    return name


def detect(rows: Sequence[Row], options: ConvertOptions, name: str) -> str:
    """The shape of the first rows of a source.

    Raises:
        DataError: none fits, or several do; the message lists them.
    """
    fits = {shape: sum(SHAPES[shape].looks(row, options) for row in rows) for shape in SHAPES}
    best = max(fits.values(), default=0)
    if not rows or best == 0:
        columns = listed(dict.fromkeys(key for row in rows for key in row))
        known = "; ".join(f"{shape} ({SHAPES[shape].what})" for shape in SHAPES)
        raise DataError(f"{name}: no known shape has these columns: {columns}. Name columns, or the shape: {known}")
    candidates = [shape for shape in SHAPES if fits[shape] == best]
    covered = {general for shape in candidates for general in SHAPES[shape].covers}
    candidates = [shape for shape in candidates if shape not in covered]
    if len(candidates) > 1:
        choices = " or ".join(f"--from {shape}" for shape in candidates)
        meant = "; ".join(f"{shape} ({SHAPES[shape].what})" for shape in candidates)
        raise DataError(f"{name}: the columns fit more than one shape: {meant}. Say which one it is: {choices}")
    return candidates[0]


def check_names(shape: str, options: ConvertOptions) -> None:
    """Refuses names of columns that the shape does not read.

    Raises:
        ConfigError: it names the column's field.
    """
    wanted = SHAPES[shape]
    columns = Columns()
    for name in (*_PAIR_COLUMNS, *_RATING_COLUMNS, "score", "responses", "ranks"):
        if getattr(options.columns, name) != getattr(columns, name) and name not in wanted.columns:
            raise ConfigError(f"a column for {name}: no effect, {shape} rows have none ({wanted.what}); leave it out")
    for name in options.fields:
        if name not in wanted.fields:
            raise ConfigError(f"a column for {name}: no effect, {shape} rows have none ({wanted.what}); leave it out")
