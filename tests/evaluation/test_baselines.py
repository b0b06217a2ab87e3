"""The surface model: what words give away it finds, what only the prompt gives away it does not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from plaudit.errors import DataError
from plaudit.evaluation import baselines, evaluate
from plaudit.evaluation.baselines import NgramModel
from plaudit.types import Example, PreferencePair, Scorer

TOPICS = "rice bread tea soup beans fish eggs corn plums figs nuts oats".split()
KIND = [PreferencePair(f"about {t}", f"gladly, cook the {t}", f"go away with the {t}").example() for t in TOPICS]
SWAPPED = [
    PreferencePair(f"about {a}", f"boil {a} slowly", f"boil {b} slowly").example()
    for first, second in zip(TOPICS[::2], TOPICS[1::2], strict=True)
    for a, b in ((first, second), (second, first))
]


def margins(model: NgramModel, examples: list[Example]) -> np.ndarray:
    scores = model.score([None] * (2 * len(examples)), [text for e in examples for text in e.responses])
    return scores[::2] - scores[1::2]


def test_words_that_give_the_answer_away_carry_over_to_new_topics() -> None:
    model = NgramModel().fit(KIND[:8])
    assert isinstance(model, Scorer)
    assert (margins(model, KIND[8:]) > 0).all()


def test_replies_that_change_places_teach_it_nothing() -> None:
    assert margins(NgramModel().fit(SWAPPED), SWAPPED) == pytest.approx(0, abs=1e-6)


def test_the_order_of_sides_and_pairs_does_not_matter() -> None:
    turned = [Example(prompt=e.prompt, responses=e.responses[::-1], labels=(0.0, 1.0)) for e in KIND[::-1]]
    weights = [NgramModel().fit(train).weights_ for train in (KIND, turned)]
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-4)


def test_one_pair_is_enough_to_learn_from() -> None:
    assert margins(NgramModel().fit(KIND[:1]), KIND[:1]) > 0


def test_a_large_set_is_drawn_from_with_a_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MOST_PAIRS", 5)
    first, again, other = (NgramModel().fit(KIND, seed=seed).weights_ for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_conversations_are_read_by_their_content() -> None:
    def reply(text: str) -> list[dict[str, str]]:
        return [{"role": "assistant", "content": text}]

    spoken = [Example(prompt=e.prompt, responses=tuple(map(reply, e.responses)), labels=e.labels) for e in KIND]
    assert (NgramModel().fit(spoken).weights_ == NgramModel().fit(KIND).weights_).all()


def test_no_training_pairs_are_an_error() -> None:
    with pytest.raises(DataError, match="nothing to learn from"):
        NgramModel().fit([])


def test_a_ranking_teaches_the_surface_model_all_its_pairs_and_a_tie_nothing() -> None:
    ranking = Example(prompt="p", responses=("a b", "c d", "e f"), labels=(1.0, 0.5, 0.0))
    tie = Example(prompt="p", responses=("a b", "x y"), labels=(0.5, 0.5))
    pairs = [
        Example(prompt="p", responses=sides, labels=(1.0, 0.0))
        for sides in (("a b", "c d"), ("a b", "e f"), ("c d", "e f"))
    ]
    np.testing.assert_allclose(NgramModel().fit([ranking, tie]).weights_, NgramModel().fit(pairs).weights_)


def test_training_rows_that_prefer_nothing_are_an_error() -> None:
    with pytest.raises(DataError, match="no example prefers one response to another"):
        NgramModel().fit([Example(prompt="p", responses=("a", "b"), labels=(0.5, 0.5))])


def test_a_training_row_with_one_response_is_an_error() -> None:
    with pytest.raises(DataError, match="got an example with 1 responses"):
        NgramModel().fit([Example(prompt="p", responses=("a",), labels=(1.0,))])


def test_the_report_shows_the_surface_model_beside_the_lengths() -> None:
    model = NgramModel().fit(KIND[:8])
    report = evaluate(model, KIND[8:], train=KIND[:8])
    assert list(report.baselines) == ["n-gram model", "longer wins", "shorter wins"]
    assert report.baselines["n-gram model"] == report.accuracy
    assert report.accuracy.value == 1.0
    assert json.loads(json.dumps(report.to_dict()))["baselines"]["n-gram model"]["value"] == 1.0


def test_without_training_pairs_there_is_no_surface_model() -> None:
    assert "n-gram model" not in evaluate(NgramModel().fit(KIND), KIND).baselines


def test_pairs_that_came_tokenised_have_no_words_to_read() -> None:
    tokens = Example(prompt=None, responses=("", ""), labels=(1.0, 0.0), input_ids=((1, 2), (1, 3)))
    assert "n-gram model" not in evaluate(NgramModel().fit(KIND), KIND, train=[tokens]).baselines
