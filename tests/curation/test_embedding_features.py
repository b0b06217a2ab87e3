"""Embeddings of prompts and responses as features."""

from __future__ import annotations

import numpy as np
import pytest

from plaudit.curation import embedding_features as module
from plaudit.curation.embedding_features import PairEmbeddings
from plaudit.models.features import Extractor
from plaudit.rewards.embeddings import sentence_encoder


@pytest.fixture(scope="module")
def extractor() -> PairEmbeddings:
    return PairEmbeddings(device="cpu")


def test_features_are_the_response_and_its_product_with_the_prompt(extractor: PairEmbeddings) -> None:
    turns = [{"role": "user", "content": "Why is the sky blue?"}]
    found = extractor.extract(["Why is the sky blue?", None, turns], ["Because of the air.", "A river.", "No idea."])
    question, air, river, idea = sentence_encoder("embedded", "cpu").encode(
        ["Why is the sky blue?", "Because of the air.", "A river.", "No idea."]
    )
    assert found.shape == (3, extractor.dimension)
    assert found.dtype == np.float32
    expected = [[*air, *(question * air)], [*river, *(0 * river)], [*idea, *(question * idea)]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert isinstance(extractor, Extractor)


def test_a_text_without_tokens_has_no_direction(extractor: PairEmbeddings) -> None:
    found = extractor.extract(["Why?", "Why?", "Why?"], ["", " \n", "So."])
    assert not found[:2].any()
    assert np.linalg.norm(found[2, : extractor.dimension // 2]) == pytest.approx(1, abs=1e-5)
    assert extractor.extract([], []).shape == (0, extractor.dimension)


def test_texts_that_come_again_are_embedded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    extractor = PairEmbeddings(device="cpu")
    asked: list[str] = []
    encode = extractor.encoder.encode
    monkeypatch.setattr(extractor.encoder, "encode", lambda texts: asked.extend(texts) or encode(texts))
    extractor.extract(["Why?", "Why?"], ["So.", "No."])
    extractor.extract(["Why?"], ["No."])
    assert sorted(asked) == ["No.", "So.", "Why?"]
    monkeypatch.setattr(module, "REMEMBERED", 4)
    extractor.extract(["How?"], ["Thus."])
    assert len(extractor._vectors) == 2


def test_the_fingerprint_follows_the_weights(extractor: PairEmbeddings) -> None:
    assert PairEmbeddings(device="cpu").fingerprint == extractor.fingerprint
    weight = next(iter(extractor.encoder._network.parameters())).data
    before = weight[0, 0].item()
    weight[0, 0] += 1
    try:
        assert PairEmbeddings(device="cpu").fingerprint != extractor.fingerprint
    finally:
        weight[0, 0] = before
