"""A/B tests -> pairs with soft labels: from a winner, from votes, from clicks, or from a probability.

The label is the probability that ``chosen`` is preferred, 0.5 for a tie; a tie has A as ``chosen``. What it is made of:

- ``winner``: 1, or 0.5 for a tie; how sure that is, nobody said.
- ``votes``: the posterior mean of P(A is preferred) and its standard deviation (`posterior.vote_posterior`).
- ``clicks``: P(A's rate > B's rate | clicks, impressions) (`posterior.probability_higher`). Its standard deviation is
  that of the event itself, sqrt(p (1 - p)).
- ``z-test``: the winner of a two-sided two-proportion z test; not significant is a tie.
- ``p``: the probability that a column holds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from plaudit.data.convert.options import ConvertOptions, Evidence, flag
from plaudit.data.convert.posterior import probability_higher, two_proportion_z, vote_posterior
from plaudit.data.convert.records import Record, pair_record
from plaudit.data.convert.values import column, embedded, first_column, number
from plaudit.errors import ConfigError, RowError

__all__ = ["WINNERS", "check_evidence", "evidence_in", "looks_like_ab", "parse_ab", "used_columns"]

SIDES = (
    *(("response_a", "response_b"), ("response_A", "response_B"), ("conversation_a", "conversation_b")),
    *(("answer_a", "answer_b"), ("output_a", "output_b"), ("completion_a", "completion_b"), ("text_a", "text_b")),
    *(("response_1", "response_2"), ("response1", "response2"), ("output_1", "output_2"), ("answer_1", "answer_2")),
    *(("completion_1", "completion_2"), ("left", "right")),
)
NAMES: dict[str, tuple[str, ...]] = {
    "winner": ("winner", "preference", "preferred", "choice", "verdict", "label"),
    "votes": ("votes",),
    "votes_a": ("votes_a", "wins_a"),
    "votes_b": ("votes_b", "wins_b"),
    "votes_tie": ("votes_tie", "ties"),
    "p_a": ("p_a", "prob_a", "probability_a"),
    "p_b": ("p_b", "prob_b", "probability_b"),
    "clicks_a": ("clicks_a", "conversions_a"),
    "clicks_b": ("clicks_b", "conversions_b"),
    "impressions_a": ("impressions_a", "views_a", "visitors_a"),
    "impressions_b": ("impressions_b", "views_b", "visitors_b"),
}
WINNERS: dict[str, tuple[str, ...]] = {
    "a": ("a", "A", "model_a", "response_a", "a>b", "a>>b", "1", "left", "first"),
    "b": ("b", "B", "model_b", "response_b", "b>a", "b>>a", "a<b", "a<<b", "2", "right", "second"),
    "tie": ("tie", "tie (bothbad)", "both", "draw", "equal", "same", "neither", "0.5", "a=b", "b=a"),
}
"""Spellings of a winner; case does not count. 0 is none of them: in some data it is B, in others a tie."""
_SPELLINGS = {spelling.lower(): side for side, spellings in WINNERS.items() for spelling in spellings}
_DIGITS = 12
_UNIFORM_VARIANCE = {"votes": 1 / 12, "clicks": 1 / 4}
"""Of the label before any vote (a uniform probability) or click (a fair coin)."""


def looks_like_ab(row: Mapping[str, Any], options: ConvertOptions) -> bool:
    """Two sides, and something that decides between them."""
    return _sides(row, options) is not None and evidence_in(row, options) is not None


def evidence_in(row: Mapping[str, Any], options: ConvertOptions) -> Evidence | None:
    """The richest evidence that a row has: votes, then clicks, then a probability, then a winner."""

    def has(*fields: str) -> bool:
        return all(field in options.fields or first_column(NAMES[field], row) is not None for field in fields)

    if has("votes") or has("votes_a", "votes_b"):
        return "votes"
    if has("clicks_a", "clicks_b", "impressions_a", "impressions_b"):
        return "clicks"
    if has("p_a") or has("p_b"):
        return "p"
    return "winner" if has("winner") else None


def check_evidence(evidence: Evidence, options: ConvertOptions) -> None:
    """Refuses options that this evidence does not read.

    Raises:
        ConfigError: it says which evidence they need.
    """
    for name, needed in (
        ("tie_band", ("votes", "clicks", "p")),
        ("significance", ("z-test",)),
        ("weigh_by_certainty", ("votes", "clicks")),
    ):
        if getattr(options, name) is not None and evidence not in needed:
            raise ConfigError(
                f"{flag(name)}: no effect where {evidence} decides; it needs the evidence {' or '.join(needed)}"
            )


def used_columns(row: Mapping[str, Any], options: ConvertOptions) -> set[str]:
    """The columns that a row's sides and any evidence are in."""
    found = {first_column(names, row) for names in NAMES.values()} | set(options.fields.values())
    return {name for name in (*found, *(_sides(row, options) or ())) if name is not None}


def parse_ab(row: Mapping[str, Any], options: ConvertOptions) -> Record:
    """The pair, with its label; ``note`` says whether the winner column tells another story.

    Raises:
        RowError: no sides, no evidence, or a winner that is not known.
    """
    sides = _sides(row, options)
    if sides is None and ("a" in options.fields or "b" in options.fields):
        sides = column("a", ("response_a",), row, options.fields), column("b", ("response_b",), row, options.fields)
    if sides is None:
        usual = ", ".join(f"{a} and {b}" for a, b in SIDES[:4])
        raise RowError(
            f"no columns for the two responses: looked for {usual}, …; name them with --column a=NAME and b=NAME"
        )
    evidence = options.evidence or evidence_in(row, options)
    if evidence is None:
        raise RowError(
            "nothing decides between the two: expected a winner, votes, clicks and impressions, or p_a or p_b"
        )
    p, std = _READERS[evidence](row, options)
    p = round(p, _DIGITS)  # 1 - 0.9263 is 0.9263 away from 1, and 0.6 is 0.1 away from 0.5
    if round(abs(p - 0.5), _DIGITS) < (options.tie_band or 0.0):
        p = 0.5
    a_first = p >= 0.5
    names = sides if a_first else sides[::-1]
    columns = replace(options.columns, chosen=names[0], rejected=names[1])
    record = pair_record(row, columns, options, soft_label=p if a_first else round(1 - p, _DIGITS), soft_label_std=std)
    if options.weigh_by_certainty and std is not None:
        record["weight"] = record.get("weight", 1.0) * max(0.0, 1 - std**2 / _UNIFORM_VARIANCE[evidence])
    if evidence != "winner" and _differs(row, options, p):
        record["note"] = "rows whose winner column says otherwise than their " + evidence
    return record


def _sides(row: Mapping[str, Any], options: ConvertOptions) -> tuple[str, str] | None:
    known: Sequence[tuple[str, str]] = SIDES
    if "a" in options.fields or "b" in options.fields:
        known = [(options.fields.get("a", "response_a"), options.fields.get("b", "response_b"))]
    return next(((a, b) for a, b in known if a in row and b in row), None)


def _differs(row: Mapping[str, Any], options: ConvertOptions, p: float) -> bool:
    name = options.fields.get("winner") or first_column(NAMES["winner"], row)
    if name is None or name not in row:
        return False
    side = _side(row[name], options)
    return side is not None and side != ("tie" if p == 0.5 else "a" if p > 0.5 else "b")


def _side(value: object, options: ConvertOptions) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    text = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    if options.winners and text in options.winners:
        return options.winners[text]
    return _SPELLINGS.get(text.lower())


def _known_side(value: object, name: str, options: ConvertOptions, more: str | None = None) -> str:
    side = more if more is not None and str(value).strip() in ("0", "0.0") and not options.winners else None
    side = side or _side(value, options)
    if side is None:
        known = "; ".join(f"{side}: {', '.join(spellings)}" for side, spellings in WINNERS.items())
        raise RowError(
            f"{name} is {value!r:.60}, which is no known winner ({known}); "
            f"say what it stands for with --winner {str(value)[:20]}=a (or =b, =tie)"
        )
    return side


def _field(field: str, row: Mapping[str, Any], options: ConvertOptions) -> tuple[str, Any]:
    name = column(field, NAMES[field], row, options.fields)
    return name, row[name]


def _winner(row: Mapping[str, Any], options: ConvertOptions) -> tuple[float, float | None]:
    name, value = _field("winner", row, options)
    return {"a": 1.0, "b": 0.0, "tie": 0.5}[_known_side(value, name, options)], None


def _votes(row: Mapping[str, Any], options: ConvertOptions) -> tuple[float, float | None]:
    counts = {"a": 0.0, "b": 0.0, "tie": 0.0}
    if "votes_a" in options.fields or first_column(NAMES["votes_a"], row) is not None:
        for side in ("a", "b"):
            counts[side] = _count(*_field(f"votes_{side}", row, options))
        if "votes_tie" in options.fields or first_column(NAMES["votes_tie"], row) is not None:
            counts["tie"] = _count(*_field("votes_tie", row, options))
    else:
        name, value = _field("votes", row, options)
        votes = embedded(value)
        if isinstance(votes, Mapping):
            for spelling, many in votes.items():
                counts[_known_side(spelling, f"a key of {name}", options, "tie")] += _count(f"{name}.{spelling}", many)
        elif isinstance(votes, Sequence) and not isinstance(votes, str):
            for vote in votes:
                counts[_known_side(vote, f"a vote in {name}", options, "tie")] += 1
        else:
            raise RowError(f'{name} is {value!r:.60}; expected a list of votes, or an object like {{"a": 3, "b": 1}}')
    if not sum(counts.values()):
        raise RowError("there is not one vote; leave the row out, or choose other evidence")
    return vote_posterior(counts["a"], counts["b"], counts["tie"])


def _count(name: str, value: object) -> float:
    count = number(value, name)
    if count < 0:
        raise RowError(f"{name} is {count:g}; expected a count from 0")
    return count


def _arms(row: Mapping[str, Any], options: ConvertOptions) -> tuple[float, float, float, float]:
    counts = []
    for side in ("a", "b"):
        clicks_name, clicks = _field(f"clicks_{side}", row, options)
        shown_name, shown = _field(f"impressions_{side}", row, options)
        clicked, seen = _count(clicks_name, clicks), _count(shown_name, shown)
        if seen == 0 or clicked > seen:
            raise RowError(
                f"{clicks_name} is {clicked:g} and {shown_name} {seen:g}; expected 0 <= clicks <= impressions > 0"
            )
        counts += [clicked, seen]
    return counts[0], counts[1], counts[2], counts[3]


def _clicks(row: Mapping[str, Any], options: ConvertOptions) -> tuple[float, float | None]:
    clicks_a, seen_a, clicks_b, seen_b = _arms(row, options)
    p = 0.5 if (clicks_a, seen_a) == (clicks_b, seen_b) else probability_higher(clicks_a, seen_a, clicks_b, seen_b)
    return p, math.sqrt(max(p * (1 - p), 0.0))


def _z_test(row: Mapping[str, Any], options: ConvertOptions) -> tuple[float, float | None]:
    z = two_proportion_z(*_arms(row, options))
    if math.erfc(abs(z) / math.sqrt(2)) >= (options.significance or 0.05):  # the two-sided p value
        return 0.5, None
    return (1.0 if z > 0 else 0.0), None


def _probability(row: Mapping[str, Any], options: ConvertOptions) -> tuple[float, float | None]:
    a_known = "p_a" in options.fields or first_column(NAMES["p_a"], row) is not None
    name, value = _field("p_a" if a_known else "p_b", row, options)
    p = number(value, name)
    if not 0 <= p <= 1:
        raise RowError(f"{name} is {p:g}; expected a probability in [0, 1]")
    return (p if a_known else 1 - p), None


_READERS: dict[str, Callable[[Mapping[str, Any], ConvertOptions], tuple[float, float | None]]] = {
    "winner": _winner,
    "votes": _votes,
    "clicks": _clicks,
    "z-test": _z_test,
    "p": _probability,
}
