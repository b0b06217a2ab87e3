"""How well sentences follow each other."""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from plaudit.rewards.base import Item, RewardFunction, register
from plaudit.rewards.coherence_features import FEATURES, features, prose
from plaudit.rewards.embeddings import sentence_encoder

__all__ = ["WEIGHTS", "Coherence"]

WEIGHTS = Path(__file__).with_name("coherence_weights.json")
"""Fitted by benchmarks/coherence_fit.py on real paragraphs and replies."""


@register("coherence")
@dataclass(frozen=True)
class Coherence(RewardFunction):
    """How well the response's sentences follow each other and belong together.

    The chance, by a logistic model, that the text is whole rather than the same text with its sentences shuffled or one
    of them exchanged for a foreign one, where both are as likely beforehand: the two tests by which models of local
    coherence are judged (Barzilay and Lapata 2008, section 5; Elsner and Charniak 2011). The model weighs

    - the likeness of sentences' embeddings: of near ones against all (Foltz, Kintsch and Landauer 1998), of all, and of
      the one that is least like any other;
    - words that stand early or late in texts, and that begin or end them ("is a", "additionally", "overall"), as
      Lapata (2003) learns order from the words of sentences;
    - "the thing" after a thing was mentioned (Elsner and Charniak 2008), years and list numbers that rise.

    A text of one sentence equals all of its shuffles, so nothing tells which of the two it is: exactly 0.5, and no case
    for this function; so do texts of code alone. Code in fences, list marks and repeated sentences are left out.

    Fitted on English: of other languages it sees what the embedding sees. It judges the order and unity of sentences,
    not whether they are true, grammatical or an answer.

    Range: 0 to 1. Whole paragraphs score 0.66 on average, shuffled ones 0.45.

    Args:
        device: of the encoder: ``cuda``, ``cuda:1``, ``mps``, ``cpu``; None takes the best there is.
    """

    device: str | None = None

    slow: ClassVar[str] = "embeds every sentence with a neural encoder"

    def many(self, items: Sequence[Item]) -> list[float]:
        texts = [prose(item.response) for item in items]
        distinct = {sentence.text: 0 for text in texts if len(text) > 1 for sentence in text}
        if not distinct:
            return [0.5] * len(items)
        vectors = sentence_encoder("embedded", self.device).encode(list(distinct))
        rows = {text: row for row, text in enumerate(distinct)}
        model = _model()
        scores = []
        for text in texts:
            if len(text) < 2:
                scores.append(0.5)
                continue
            found = features(text, vectors[[rows[sentence.text] for sentence in text]], model["cues"])
            logit = model["intercept"] + sum(
                model["weights"][name] * value for name, value in zip(FEATURES, found.tolist(), strict=True)
            )
            scores.append(1 / (1 + math.exp(-logit)))
        return scores

    def one(self, item: Item) -> float:
        return self.many([item])[0]


@functools.cache
def _model() -> dict[str, Any]:
    """``weights`` of the features, ``intercept``, and ``cues``: cue -> weights for standing late, first and last."""
    return dict(json.loads(WEIGHTS.read_text(encoding="utf-8")))
