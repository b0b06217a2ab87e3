"""What a conversion is asked to do, checked before a row is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from plaudit.data.columns import Columns
from plaudit.errors import ConfigError
from plaudit.registry import suggest

__all__ = ["FIELDS", "TARGETS", "ConvertOptions", "Evidence", "Strategy", "Target", "Ties"]

Strategy: TypeAlias = Literal["best-worst", "all", "adjacent"]
Ties: TypeAlias = Literal["keep", "drop"]
Evidence: TypeAlias = Literal["winner", "votes", "clicks", "z-test", "p"]
Target: TypeAlias = Literal["pairs", "messages", "trl", "dpo", "kto", "rankings", "ratings"]

TARGETS: tuple[str, ...] = get_args(Target)
PAIRED = ("pairs", "messages", "trl", "dpo", "kto")
"""Targets that are made of pairs."""
HARD = ("trl", "dpo", "kto")
"""Targets that cannot say a tie or a soft label."""

FIELDS = (
    *("a", "b", "winner", "votes", "votes_a", "votes_b", "votes_tie", "p_a", "p_b"),
    *("clicks_a", "clicks_b", "impressions_a", "impressions_b", "responses", "ranks", "scores"),
)
"""Fields whose column ``fields`` names; those of pairs and ratings are in `Columns`."""


@dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """See `plaudit.data.convert.convert_preferences`; None is "as usual"."""

    columns: Columns = field(default_factory=Columns)
    fields: Mapping[str, str] = field(default_factory=dict)
    strategy: Strategy | None = None
    min_gap: float | None = None
    margin: float | None = None
    attributes: Mapping[str, float] | None = None
    ties: Ties | None = None
    evidence: Evidence | None = None
    winners: Mapping[str, str] | None = None
    tie_band: float | None = None
    significance: float | None = None
    weigh_by_certainty: bool | None = None
    keep: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, known in (("strategy", Strategy), ("ties", Ties), ("evidence", Evidence)):
            value = getattr(self, name)
            if value is not None and value not in get_args(known):
                raise ConfigError(f"{flag(name)} is {value!r}; expected one of {', '.join(get_args(known))}")
        for name, low, high in (
            ("min_gap", 0.0, math.inf),
            ("margin", 0.0, math.inf),
            ("tie_band", 0.0, 0.5),
            ("significance", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if value is not None and not (low <= value < high and math.isfinite(value)):
                raise ConfigError(f"{flag(name)} is {value}; expected a number from {low:g}, below {high:g}")
        for name in ("margin", "significance"):
            if getattr(self, name) == 0:
                raise ConfigError(f"{flag(name)} is 0; expected a positive number")
        for name in self.fields:
            if name not in FIELDS:
                raise ConfigError(
                    f"--column: unknown field {name!r}{suggest(name, list(FIELDS))}; known: {', '.join(FIELDS)}"
                )
        for name, weight in (self.attributes or {}).items():
            if not math.isfinite(weight) or weight == 0:
                raise ConfigError(
                    f"the weight of attribute {name!r} is {weight}; expected a finite number other than 0"
                )
        for value, side in (self.winners or {}).items():
            if side not in ("a", "b", "tie"):
                raise ConfigError(f"--winner: {value!r} stands for {side!r}; expected a, b or tie")

    def given(self) -> list[str]:
        """The options of `EFFECTS` that were set."""
        return [name for name in EFFECTS if getattr(self, name) is not None]

    def check(self, shape: str, effects: frozenset[str], to: str, *, paired: bool) -> None:
        """Refuses what has no effect on rows of ``shape``, whose own options are ``effects``.

        Args:
            shape: for the message.
            effects: the options that matter to rows of this shape.
            to: the target.
            paired: pairs are formed among several responses on the way to it, or the rows are pairs.

        Raises:
            ConfigError: it names the option and what it is for.
        """
        for name in self.given():
            what, targets = EFFECTS[name]
            if name not in effects or to not in targets or not (paired or name in ("attributes", "ties")):
                raise ConfigError(f"{flag(name)}: no effect on {shape} rows that become {to}; {what}; leave it out")
        if self.ties == "keep" and to in HARD:
            raise ConfigError(f"--ties keep: rows of {to} cannot say a tie; write pairs or messages, or leave it out")


EFFECTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "strategy": ("it chooses pairs among several rated or ranked responses", PAIRED),
    "min_gap": ("it is the least difference between two ratings or ranks that become a pair", PAIRED),
    "margin": ("it writes the gap of two scores, ranks or strengths to a column", ("pairs", "messages", "trl")),
    "attributes": ("it chooses among several scores of a response", TARGETS),
    "ties": ("it says what becomes of ties", (*PAIRED, "rankings")),
    "evidence": ("it chooses what decides an A/B test", PAIRED),
    "winners": ("it spells the winner of an A/B test", PAIRED),
    "tie_band": ("it is for probabilities of A/B tests", PAIRED),
    "significance": ("it is for the z test of an A/B test", PAIRED),
    "weigh_by_certainty": ("it writes what votes or clicks settle to a column", ("pairs", "messages")),
}
"""Option -> what it is for, and the targets on which it has an effect."""


def flag(name: str) -> str:
    """An option as the command line spells it."""
    return "--" + {"attributes": "attribute", "winners": "winner"}.get(name, name).replace("_", "-")
