"""What the rules on wording have in common: a model that is named takes their place or joins them."""

from __future__ import annotations

import functools
import json
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from plaudit.errors import ConfigError
from plaudit.rewards.base import Item, RewardFunction
from plaudit.rewards.classifier import Classifier, Long

__all__ = ["EMBEDDED", "HEADS", "RulesOrModel"]

EMBEDDED = "embedded"
HEADS = Path(__file__).with_name("heads.json")
"""For each reward, a logistic regression on the embedded encoder's vectors: 384 weights and a bias, fitted by
``benchmarks/rewards_harm.py --fit`` on the dev halves of its labelled sets."""

_SUREST = (0.02, 0.98)  # no head is believed beyond


@dataclass(frozen=True)
class RulesOrModel(RewardFunction):
    """A `RewardFunction` by rules on wording; `model` names what is asked instead or as well. See the subclasses."""

    model: str | None = None
    label: str | int | None = None
    bad_label: str | int | None = None

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    long: ClassVar[Long] = "worst"
    surest: ClassVar[tuple[float, float]] = (0.02, 0.8)  # beside a head, rules count so far: no find proves little

    def __post_init__(self) -> None:
        labels = (self.label is not None) + (self.bad_label is not None)
        if self.model in (None, EMBEDDED):
            if labels:
                raise ConfigError(f"reward {self.name!r}: label and bad_label need a classifier as model")
        elif labels != 1:
            raise ConfigError(
                f"reward {self.name!r}: with model {self.model!r} give label (a good class) or bad_label, one of them"
            )
        else:
            self._classifier  # noqa: B018  checks the options; loads nothing

    @abstractmethod
    def rules(self, item: Item) -> float:
        """The score by wording."""

    @functools.cached_property
    def _classifier(self) -> Classifier:
        assert self.model is not None
        return Classifier(self.model, self.label, self.bad_label, long=self.long)

    def one(self, item: Item) -> float:
        return self.rules(item) if self.model is None else self.many([item])[0]

    def many(self, items: Sequence[Item]) -> Sequence[float]:
        if self.model is None or not items:
            return super().many(items)
        if self.model != EMBEDDED:
            return self._classifier.many(items)
        heads = _head(self.name, [item.response for item in items])
        return [
            _joined(_log_odds(self.rules(item), self.surest), _log_odds(head, _SUREST))
            for item, head in zip(items, heads, strict=True)
        ]


def _joined(rules: float, head: float) -> float:
    """The chance from two log odds, as if independent: they add up."""
    return 1 / (1 + math.exp(-rules - head))


def _log_odds(chance: float, surest: tuple[float, float]) -> float:
    low, high = surest
    chance = min(max(chance, low), high)
    return math.log(chance / (1 - chance))


def _head(reward: str, texts: Sequence[str]) -> list[float]:
    import numpy as np

    from plaudit.rewards.embeddings import sentence_encoder

    head = _heads()[reward]
    total = sentence_encoder(EMBEDDED).encode(texts) @ np.asarray(head["weights"], dtype=np.float32) + head["bias"]
    return [float(chance) for chance in 1 / (1 + np.exp(-total))]


@functools.cache
def _heads() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(HEADS.read_text(encoding="utf-8"))
    return document
