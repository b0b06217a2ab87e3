"""BLEU and ROUGE against the libraries that define them, and hand-computed values."""

from __future__ import annotations

import importlib.util
import math

import pytest

pytest.importorskip("sacrebleu")
pytest.importorskip("rouge_score")

import rouge_score.rouge_scorer
import sacrebleu
from hypothesis import given
from hypothesis import strategies as st

from plaudit.errors import ConfigError, RewardError
from plaudit.rewards.base import make
from plaudit.rewards.overlap import Tokenizer, longest_common_subsequence

PAIRS = [
    ("The cat sat on the mat.", "The cat sat on the mat."),
    ("The cat sat on the mat.", "On the mat, the cat was sitting; it didn't move."),
    ("a", "b"),
    ("one", "one two three four five six"),
    ("Paris is the capital of France.\nIt lies on the Seine.", "France's capital, Paris,\nlies on the river Seine."),
    ("naïve café; 3.5% of $1,000", "a naive café costs $1,000"),
    ("yes yes yes yes yes", "yes"),
    ("running runners ran happily", "the runner runs happy"),
]


def score(name: str, response: str, reference: str, **options: object) -> float:
    return float(make(name, options).score([None], [response], references=[reference])[0])


@pytest.mark.parametrize(
    "options", [{}, {"tokenizer": "intl", "order": 2}, {"smoothing": "floor"}, {"lowercase": True}]
)
@pytest.mark.parametrize(("reference", "response"), PAIRS)
def test_bleu_is_that_of_sacrebleu(reference: str, response: str, options: dict[str, object]) -> None:
    library = sacrebleu.BLEU(
        smooth_method=str(options.get("smoothing", "exp")),
        lowercase=bool(options.get("lowercase", False)),
        tokenize=str(options.get("tokenizer", "13a")),
        max_ngram_order=int(str(options.get("order", 4))),
        effective_order=True,
    )
    expected = library.sentence_score(response, [reference]).score
    assert score("bleu", response, reference, **options) == pytest.approx(expected / 100, abs=1e-7)


def test_bleu_by_hand() -> None:
    # precisions 3/4, 1/3, then the halves 1/(2*2) and 1/(4*1); 4 tokens against 5
    expected = math.exp(1 - 5 / 4) * (3 / 4 * 1 / 3 * 1 / 4 * 1 / 4) ** 0.25
    assert score("bleu", "a b x d", "a b c d e") == pytest.approx(expected)


def test_equal_texts_score_exactly_one_even_where_the_library_is_above() -> None:
    text = "The cat sat on the mat ."
    assert sacrebleu.sentence_bleu(text, [text]).score > 100
    assert score("bleu", text, text) == 1.0


def test_equal_texts_shorter_than_the_order_score_one() -> None:
    assert score("bleu", "Paris", "Paris") == 1.0


def test_the_tokenizers_are_those_of_sacrebleu() -> None:
    assert set(Tokenizer.__args__) == set(sacrebleu.BLEU.TOKENIZERS)  # type: ignore[attr-defined]


def test_chinese_has_words_with_its_tokenizer() -> None:
    assert score("bleu", "我喜欢猫。", "我喜欢狗。", tokenizer="zh") > 0.4


def test_a_tokenizer_whose_package_is_missing_is_named() -> None:
    if importlib.util.find_spec("MeCab"):
        pytest.skip("MeCab is installed")
    with pytest.raises(ConfigError, match="tokenizer 'ja-mecab' cannot be used"):
        score("bleu", "a", "a", tokenizer="ja-mecab")


@pytest.mark.parametrize("variant", ["rouge1", "rouge2", "rougeL", "rougeLsum"])
@pytest.mark.parametrize("stemmer", [False, True])
@pytest.mark.parametrize(("reference", "response"), PAIRS)
def test_rouge_is_that_of_rouge_score(reference: str, response: str, variant: str, stemmer: bool) -> None:
    expected = rouge_score.rouge_scorer.RougeScorer([variant], use_stemmer=stemmer).score(reference, response)[variant]
    for measure, value in zip(("precision", "recall", "f"), expected, strict=True):
        got = score("rouge", response, reference, variant=variant, stemmer=stemmer, measure=measure)
        assert got == pytest.approx(value, abs=1e-7)


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abcd"), max_size=12))
def test_the_longest_common_subsequence_is_that_of_the_library(a: list[str], b: list[str]) -> None:
    assert longest_common_subsequence(a, b) == rouge_score.rouge_scorer._lcs_table(a, b)[-1][-1]


@given(st.text(st.characters(max_codepoint=0x24F), min_size=1), st.text(st.characters(max_codepoint=0x24F)))
def test_rouge_on_any_latin_text_is_that_of_rouge_score(reference: str, response: str) -> None:
    from plaudit.rewards.overlap import _rouge

    expected = rouge_score.rouge_scorer.RougeScorer(["rouge2"]).score(reference, response)["rouge2"]
    assert _rouge("rouge2", False)(reference, response) == expected


def test_other_scripts_keep_their_words() -> None:
    assert score("rouge", "кошка сидит дома", "кошка спит дома", variant="rouge1") == pytest.approx(2 / 3)
    assert score("rouge", "我喜欢猫。", "我喜欢狗。", variant="rouge1") == pytest.approx(3 / 4)
    assert score("rouge", "हिन्दी भाषा", "हिन्दी", variant="rouge1", measure="precision") == pytest.approx(1 / 2)
    assert score("rouge", "собака", "кошка", variant="rouge1") == 0.0


def test_texts_without_words_have_nothing_in_common() -> None:
    assert score("rouge", "!!!", "…", variant="rougeL") == 0.0
    assert score("rouge", "!!!", "…", variant="rougeLsum") == 0.0


@pytest.mark.parametrize("name", ["bleu", "rouge"])
def test_a_missing_reference_is_an_error(name: str) -> None:
    with pytest.raises(RewardError, match=f"reward '{name}': item 1: needs a reference"):
        make(name).score([None, None], ["a", "b"], references=["a", None])


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("bleu", {"tokenizer": "13b"}),
        ("bleu", {"order": 0}),
        ("bleu", {"smoothing": "add"}),
        ("bleu", {"smoothing_value": 0.1}),
        ("bleu", {"smoothing": "floor", "smoothing_value": 2}),
        ("rouge", {"variant": "rouge3"}),
        ("rouge", {"measure": "f1"}),
    ],
)
def test_options_that_cannot_work_are_refused(name: str, options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"reward '{name}'"):
        make(name, options)
