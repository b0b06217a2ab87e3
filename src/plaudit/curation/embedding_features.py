"""Sentence embeddings of a prompt and a response as features. Knows nothing of what they are used for."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from plaudit.errors import ItemError
from plaudit.evaluation.baselines import response_text
from plaudit.types import Prompt, Response

if TYPE_CHECKING:
    from plaudit.rewards.embeddings import SentenceEncoder

__all__ = ["PairEmbeddings"]

REMEMBERED = 20_000
"""Texts whose vectors stay in memory (30 MB at 384 numbers each), because prompts and responses come again."""

PROBE = "A river carries water; 2 + 2 = 4. Ça va, Zürich? 今天"
"""A text by whose token ids tokenizers are told apart."""


class PairEmbeddings:
    """The response's embedding and its product with the prompt's, number by number: an `Extractor`.

    Both are sentence embeddings e of length one, so f(p, r) = [e(r), e(p) * e(r)], D = 2 × the encoder's dimension. The
    second half lets a linear model ask how the response goes with its prompt; e(p) itself is left out, because
    it is the same for both sides of a pair. Without a prompt the second half is zero; a text without any token has
    the embedding zero. The text of a conversation is the contents of its turns.

    Args:
        model: ``embedded`` (all-MiniLM-L6-v2), a folder, or a Hub id.
        device: ``cuda``, ``cuda:1``, ``mps``, ``cpu``; None takes the best there is.

    Raises:
        ModelError: it is no encoder that can be loaded.
        MissingExtraError: the extra [embedded] is not installed.
    """

    def __init__(self, model: str = "embedded", device: str | None = None) -> None:
        from plaudit.rewards.embeddings import sentence_encoder

        self.encoder: SentenceEncoder = sentence_encoder(model, device)
        self.dimension = 2 * self.encoder.dimension
        self._vectors: dict[str, npt.NDArray[np.float32]] = {}
        self.fingerprint = self._fingerprint()

    def extract(self, prompts: Sequence[Prompt], responses: Sequence[Response]) -> npt.NDArray[np.float32]:
        """Features (N, D), float32."""
        asked = ["" if prompt is None else response_text(prompt) for prompt in prompts]
        said = [response_text(response) for response in responses]
        known = self._embed([*asked, *said])
        answer = np.stack([known[text] for text in said]) if said else np.empty((0, self.dimension // 2), np.float32)
        question = np.stack([known[text] for text in asked]) if asked else answer
        return np.concatenate([answer, question * answer], axis=1)

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Embeddings of N texts, (N, D / 2), of length one or zero."""
        known = self._embed(texts)
        return np.stack([known[text] for text in texts])

    def _embed(self, texts: Sequence[str]) -> dict[str, npt.NDArray[np.float32]]:
        known = {text: self._vectors[text] for text in texts if text in self._vectors}
        new = [text for text in dict.fromkeys(texts) if text not in known]
        vectors = dict.fromkeys(new, np.zeros(self.encoder.dimension, dtype=np.float32))
        left = [text for text in new if text.strip()]
        while left:
            try:
                vectors.update(zip(left, self.encoder.encode(left), strict=True))
                break
            except ItemError as error:  # no token, as of white space that no one sees: the vector stays zero
                if error.index is None:
                    raise
                del left[error.index]
        if len(self._vectors) + len(vectors) > REMEMBERED:
            self._vectors.clear()
        self._vectors.update(vectors)
        return known | vectors

    def _fingerprint(self) -> str:
        """Of the encoder's weights, its pooling, and how it cuts texts."""
        import torch

        checksum = 0
        network = self.encoder._network
        for name, tensor in sorted(network.state_dict().items()):
            content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
            checksum = zlib.crc32(content, zlib.crc32(name.encode(), checksum))
        tokens = self.encoder._ids([PROBE])
        facts = [type(network).__name__, checksum, tokens, self.encoder.dimension, self.encoder.limit]
        facts.append(self.encoder.pooling)
        return "pair-embeddings-1-" + hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]
