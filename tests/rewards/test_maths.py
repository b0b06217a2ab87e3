"""Final answers: where they stand, what they are, and whether they equal the reference's."""

from __future__ import annotations

import logging
import threading
import time
from fractions import Fraction

import pytest

import plaudit.rewards.maths  # noqa: F401  (registers the function)
from plaudit.errors import ConfigError, RewardError
from plaudit.rewards.answers import Number, final_answer, number
from plaudit.rewards.base import make


def score(response: str, reference: str, **options: object) -> float:
    return float(make("math_correctness", options).score([None], [response], references=[reference])[0])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("42", "42"),
        ("$1,234.50", "1234.5"),
        ("1.234,56", "1234.56"),
        ("1\u202f234", "1234"),
        ("3,14", "3.14"),
        ("12 apples", "12"),
        ("5 dollars per day", "5"),
        ("12 km/h", "12"),
        ("5 cm^2", "5"),
        ("-3/4", "-3/4"),
        ("\u22125", "-5"),
        ("1 1/2", "3/2"),
        ("1½", "3/2"),
        ("3 × 10^5", "300000"),
        ("1e-3", "1/1000"),
        (r"\frac{1}{2}", "1/2"),
        (r"$\dfrac{3}{4}$", "3/4"),
        (r"1{,}234", "1234"),
        (r"90^\circ", "90"),
        (r"5\text{ km}", "5"),
        (r"\$18", "18"),
        ("18 €", "18"),
        ("１２", "12"),
        (".5", "1/2"),
    ],
)
def test_a_number_is_read_in_any_dress(text: str, value: str) -> None:
    assert number(text) == Number(Fraction(value))


@pytest.mark.parametrize(
    ("text", "value", "factor"),
    [
        ("20%", 20, Fraction(1, 100)),
        ("20 percent", 20, Fraction(1, 100)),
        (r"20\%", 20, Fraction(1, 100)),
        ("20 % of the total", 20, Fraction(1, 100)),
        ("$2.5 million", Fraction(5, 2), 10**6),
        ("7 dozen eggs", 7, 12),
    ],
)
def test_signs_and_words_of_scale_are_kept_apart(text: str, value: Fraction, factor: Fraction) -> None:
    assert number(text) == Number(Fraction(value), Fraction(factor))


@pytest.mark.parametrize("text", ["5x", "12 or 13", "1/0", "1,23,456", "x", "twelve", "3 + 4", "2^10", "9" * 5000])
def test_what_is_no_single_number_is_none(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("16 - 7 = 9\n#### 42", "42"),
        ("so 2 * 9 = $<<2*9=18>>18 per day\nA: 18", "18"),
        (r"Thus \boxed{\frac{1}{2}} is it, out of 7.", r"\frac{1}{2}"),
        (r"The final answer is $\boxed{(1,2)}$. I hope it is correct.", "(1,2)"),
        ("So the final answer is: **$18**", "$18"),
        ("**Answer:**\n\\[\nx = 5\n\\]\nThere were 9.", "x = 5"),
        ("The answer is x = 5.", "5"),
        ("The answer is 5 - 3 = 2.", "2"),
        ("The answer is the sum, 3 + 4 = 7 apples.", "7"),
        ("The answer is 18 because 9*2 = 18 and 20 - 1 = 19.", "18"),
        ("The answer is that Janet makes $18 per day.", "$18"),
        ("The answer to the question about 5 apples is 7.", "7"),
        ("The answer is 3, 4 and 5.", "3, 4 and 5"),
        ("The answer is (B).", "(B)"),
        ("The answer is 3.50.", "3.50"),
        ("答案是 12。然后有 3 个。", "12"),
        ("Die Antwort ist 12.", "12"),
        ("The answer is 5. No, the answer is 7.", "7"),
        (r"\boxed{12}. The answer is correct since it adds up.", "12"),
        ("#### Step 2: add\nThe answer is 9.\n#### Check of 4 things\nIt holds.", "9"),
    ],
)
def test_the_last_mark_names_the_answer(text: str, answer: str) -> None:
    assert final_answer(text, marked=True) == answer
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("She makes 9 * 2 = $18 a day.", "$18"),
        (r"There were 3, so the total is $\sqrt{2}$.", r"\sqrt{2}"),
        ("Step 1: 4 + 4 = 8\nStep 2: done", "8"),
        ("It is 12.\n1. Add.\n2. Done.", "12."),
        ("There are 9.\nThus 9 + 6 = <<9+6=15>>15 of the 24 litres are left after 1:00 PM.", "15"),
        ("(1, 2)", "(1, 2)"),
    ],
)
def test_without_a_mark_the_last_number_is_the_answer_unless_strict(text: str, answer: str) -> None:
    assert final_answer(text) == answer
    assert final_answer(text, marked=True) is None


@pytest.mark.parametrize("text", ["He has twelve.", "The answer is not known.", "1. Add.\n2. Multiply."])
def test_a_response_without_an_answer_scores_zero(text: str) -> None:
    assert final_answer(text) is None
    assert score(text, "12") == 0.0


@pytest.mark.parametrize(
    ("response", "reference", "expected"),
    [
        ("The answer is 12.", "Eggs: 84/12 = <<84/12=7>>7\n#### 12", 1),
        ("2+2=5", "4", 0),
        ("2+2=4", "4", 1),
        ("The answer is 1,000 dollars.", "$1000.00", 1),
        ("The answer is 12 or 13", "12", 0),
        ("20%", "20", 1),
        ("20%", "0.2", 1),
        ("20%", "0.02", 0),
        ("20%", "20 percent", 1),
        ("2.5 million", "2500000", 1),
        ("2.5 million", "2.5", 1),
        ("2.5 million", "2.5 thousand", 0),
        ("7 dozen eggs", "84", 1),
        ("1/3", "0.333333", 1),
        ("1/3", "0.33", 0),
        ("1000001", "1000000", 0),
        ("-5", "5", 0),
        (r"\boxed{\frac{2}{4}}", "0.5", 1),
    ],
)
def test_numbers_are_compared_as_fractions(response: str, reference: str, expected: int) -> None:
    assert score(response, reference) == expected


def test_decimals_say_how_far_numbers_with_decimals_must_agree() -> None:
    assert score("The answer is 33.33", "100/3") == 0
    assert score("The answer is 33.33", "100/3", decimals=2) == 1
    assert score("The answer is 5", "6", decimals=0) == 0


def test_strict_counts_marked_answers_alone() -> None:
    assert score("So it is 12.", "12", strict=True) == 0
    assert score("#### 12", "12", strict=True) == 1


def test_a_reference_without_an_answer_is_an_error_that_names_the_item() -> None:
    with pytest.raises(RewardError, match="item 1: no number or formula can be read in the reference 'Paris'"):
        make("math_correctness").score([None, None], ["1", "2"], references=["1", "Paris"])


def test_a_missing_reference_is_an_error() -> None:
    with pytest.raises(RewardError, match="needs a reference"):
        make("math_correctness").score([None], ["2+2=5"])


@pytest.mark.parametrize("options", [{"strict": 1}, {"decimals": -1}, {"decimals": 2.5}, {"seconds": 0}])
def test_options_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="reward 'math_correctness'"):
        make("math_correctness", options)


@pytest.mark.parametrize(
    "piece", ["1", "1,", "\\[", "$1 ", "answer is ", "{", "1/", "5 a/", "1+", "=1", "answer is 1 or "]
)
def test_texts_made_to_stall_are_read_quickly(piece: str) -> None:
    start = time.perf_counter()
    final_answer(piece * 5000)
    assert time.perf_counter() - start < 5


@pytest.mark.parametrize(
    ("response", "reference", "expected"),
    [
        (r"It is $\sqrt{8}$.", r"2\sqrt{2}", 1),
        (r"\boxed{x^2+2x+1}", "(x+1)^2", 1),
        (r"\boxed{x^2+2x+2}", "(x+1)^2", 0),
        ("The answer is 3 and 4.", r"\{4, 3\}", 1),
        ("The answer is 13 or 12.", "12 or 13", 1),
        (r"\boxed{x = 5}", "5", 1),
        (r"\boxed{[0, \infty)}", r"[0,\infty)", 1),
        ("The answer is (B).", "B", 1),
        ("The answer is (C).", "B", 0),
        (r"\boxed{\sqrt{16}}", "4", 1),
        (r"\boxed{\frac{}}", "4", 0),
    ],
)
def test_formulas_are_compared_by_math_verify(response: str, reference: str, expected: int) -> None:
    pytest.importorskip("math_verify")
    assert score(response, reference) == expected


def test_formulas_are_compared_in_threads_too() -> None:
    pytest.importorskip("math_verify")
    results: list[float] = []
    threads = [threading.Thread(target=lambda: results.append(score(r"\boxed{\sqrt{8}}", r"2\sqrt{2}"))) for _ in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [1.0] * 3


def test_an_answer_that_takes_for_ever_is_not_equal_and_the_next_one_is_still_compared(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("math_verify")
    with caplog.at_level(logging.WARNING):
        assert score(r"\boxed{9^{9^{9^9}}}", "5", seconds=0.5) == 0
    assert "item 0: comparing '9^{9^{9^9}}' with '5' took more than 0.5 s" in caplog.text
    assert score(r"\boxed{\sqrt{8}}", r"2\sqrt{2}") == 1
