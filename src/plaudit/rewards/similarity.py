"""Likeness of meaning between a response and a reference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from plaudit.errors import ConfigError, ItemError, RewardError
from plaudit.rewards.base import Item, RewardFunction, register
from plaudit.rewards.embeddings import sentence_encoder

__all__ = ["SemanticSimilarity"]


@register("semantic_similarity")
@dataclass(frozen=True)
class SemanticSimilarity(RewardFunction):
    """How alike the response and the reference are in meaning, by sentence embeddings.

    ``max(0, cos(u, v))`` of the two texts' embeddings (Reimers and Gurevych 2019, section 3): 1 for the same meaning,
    about 0 for unrelated texts. A negative cosine says no more than that texts are unrelated and scores 0; no other
    value is moved. A text beyond the encoder's positions (256 tokens for the embedded one) counts whole, as the mean of
    windows of its sentences.

    The embedded encoder, all-MiniLM-L6-v2, knows English. It hears topic more than truth: "it is safe" and "it is not
    safe" are alike.

    Range: 0 to 1.

    Args:
        model: an encoder: ``embedded`` (the extra [embedded]), a folder, or a Hub id. Pooled as its folder says (mean
            or first token); prompts such as "query: " are not added.
        device: ``cuda``, ``cuda:1``, ``mps``, ``cpu``; None takes the best there is.

    Raises:
        ModelError: no such encoder.
        RewardError: a text without any token that the encoder knows.
    """

    model: str = "embedded"
    device: str | None = None

    needs: ClassVar[frozenset[str]] = frozenset({"reference"})
    slow: ClassVar[str] = "embeds both texts with a neural encoder"

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise ConfigError(f"reward 'semantic_similarity': model is a name or folder, got {self.model!r}")

    def many(self, items: Sequence[Item]) -> list[float]:
        import numpy as np

        if not items:
            return []
        texts = [item.response for item in items] + [item.reference or "" for item in items]
        try:
            vectors = sentence_encoder(self.model, self.device).encode(texts)
        except ItemError as error:
            which = "response" if (error.index or 0) < len(items) else "reference"
            item = items[(error.index or 0) % len(items)]
            raise RewardError(self.name, f"the {which} has no token that the encoder knows", item.index) from error
        cosines = np.einsum("nd,nd->n", vectors[: len(items)], vectors[len(items) :], dtype=np.float64)
        return [float(cosine) for cosine in np.clip(cosines, 0.0, 1.0)]

    def one(self, item: Item) -> float:
        return self.many([item])[0]
