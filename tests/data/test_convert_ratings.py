"""Ratings become pairs and rankings: which pairs, which gap, what is counted."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from plaudit.data import Columns
from plaudit.data.convert import convert_preferences, preferences_from_ratings
from plaudit.errors import ConfigError, DataError, RowError

RATINGS = Path(__file__).parents[2].parent / "shared" / "data" / "ratings"

ROWS = [
    {"prompt": "p", "response": "good", "score": 4},
    {"prompt": "q", "response": "only", "score": 1},
    {"prompt": "p", "response": "bad", "score": 1},
    {"prompt": "p", "response": "fair", "score": 3},
    {"prompt": "r", "response": "x", "score": 2},
    {"prompt": "r", "response": "y", "score": 2},
]


def made(rows: Any, **options: Any) -> list[tuple[Any, ...]]:
    """(chosen, rejected) of each pair, with the margin where there is one."""
    names = ("chosen", "rejected", "soft_label", "margin", "weight")
    return [tuple(row[name] for name in names if name in row) for row in preferences_from_ratings(rows, **options)]


def real(name: str) -> Path:
    path = RATINGS / f"{name}.jsonl"
    if not path.exists():
        pytest.skip(f"no real data at {path}")
    return path


def test_best_against_worst_of_each_prompt_wherever_its_rows_are() -> None:
    conversion = preferences_from_ratings(ROWS)
    assert list(conversion) == [{"prompt": "p", "chosen": "good", "rejected": "bad"}]
    assert conversion.report.rows == 6
    assert conversion.report.written == 1
    assert conversion.report.dropped == {"prompts with a single response": 1, "pairs that tie": 1}
    assert list(conversion) == [{"prompt": "p", "chosen": "good", "rejected": "bad"}]  # a second pass is the same


def test_all_pairs_and_neighbours() -> None:
    assert made(ROWS, strategy="all") == [("good", "fair"), ("good", "bad"), ("fair", "bad")]
    assert made(ROWS, strategy="adjacent") == [("good", "fair"), ("fair", "bad")]


def test_a_minimum_gap_and_the_margin_from_the_gap() -> None:
    conversion = preferences_from_ratings(ROWS, strategy="all", min_gap=2, margin=0.5)
    assert [(row["chosen"], row["margin"]) for row in conversion] == [("good", 1.5), ("fair", 1.0)]
    assert conversion.report.dropped["pairs with a gap below 2"] == 1


def test_ties_are_kept_with_a_soft_label_of_one_half() -> None:
    assert made(ROWS, ties="keep", margin=1.0) == [("good", "bad", 1.0, 3.0), ("x", "y", 0.5, 0.0)]
    dropped = preferences_from_ratings([row for row in ROWS if row["prompt"] != "p"])
    with pytest.raises(
        DataError, match=r"nothing is left .* 3 rows read .* 1 dropped: prompts with a single response; 1"
    ):
        list(dropped)


def test_several_attributes_are_chosen_or_summed() -> None:
    rows = [
        {"prompt": "p", "response": "a", "scores": {"clear": 3, "true": 0}},
        {"prompt": "p", "response": "b", "scores": json.dumps({"clear": 1, "true": "1.5"}), "brief": 9},
    ]
    assert made(rows, attributes="clear", margin=1.0) == [("a", "b", 2.0)]
    assert made(rows, attributes={"clear": 1, "true": 2}, margin=1.0) == [("b", "a", 1.0)]  # 4 against 3
    with pytest.raises(RowError, match=r"row 1: no score 'brief'; the row has: prompt, response, clear, true"):
        made(rows, attributes="brief")
    columns = [{"prompt": "p", "response": text, "clear": score} for text, score in (("a", "1"), ("b", "2"))]
    assert made(columns, attributes="clear") == [("b", "a")]


def test_rows_are_grouped_by_a_column() -> None:
    rows = [
        {"prompt": "Why?", "id": 1, "response": "a", "score": 1},
        {"prompt": "why? ", "id": 1, "response": "b", "score": 2},
    ]
    with pytest.raises(DataError, match="2 dropped: prompts with a single response"):
        made(rows)
    assert made(rows, columns=Columns(group_by="id")) == [("b", "a")]
    rows[1]["prompt"] = "another"
    with pytest.raises(RowError, match="row 2: id is the same as in row 1, but the prompt is another one"):
        made(rows, columns=Columns(group_by="id"))
    bare = [{"id": 1, "text": "a", "score": 1}, {"id": 1, "text": "b", "score": 2}]
    with pytest.raises(RowError, match="row 1: no prompt: responses are compared"):
        made(bare)
    assert made(bare, columns=Columns(group_by="id")) == [("b", "a")]


def test_weights_sources_and_kept_columns_come_along() -> None:
    rows = [
        {"prompt": "p", "response": "a", "score": 2, "weight": 1, "source": "x", "model": "m1", "id": 7},
        {"prompt": "p", "response": "b", "score": 1, "weight": 2, "source": "y", "model": "m2", "id": 7},
    ]
    (pair,) = preferences_from_ratings(rows, keep=["model", "id"], columns=Columns(group_by="id"))
    assert pair["weight"] == 1.5
    assert pair["source"] == "x / y"
    assert (pair["model_chosen"], pair["model_rejected"], pair["id"]) == ("m1", "m2", 7)
    with pytest.raises(RowError, match="no column 'modell' to keep; the columns are"):
        list(preferences_from_ratings(rows, keep=["modell"]))
    with pytest.raises(ConfigError, match="--keep chosen: rows of pairs have such a column already"):
        preferences_from_ratings(rows, keep=["chosen"])


def test_columns_that_are_not_carried_over_are_named() -> None:
    conversion = preferences_from_ratings([ROW | {"seg": 1, "system": "Online-W"} for ROW in ROWS])
    assert next(iter(conversion))["prompt"] == "p"  # the name of a system is no system message
    assert conversion.report.left_out == ["seg", "system"]


@pytest.mark.parametrize("score", ["high", "", None, True, float("nan"), [1]])
def test_a_score_that_is_no_number_names_file_and_line(score: Any, tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, ROWS[0] | {"score": score}]))
    with pytest.raises(RowError, match=r"ratings\.jsonl:7: score is .*; expected a finite number"):
        made(path)
    conversion = preferences_from_ratings(path, on_bad_row="skip")
    assert len(list(conversion)) == 1
    assert conversion.report.bad == 1
    assert "ratings.jsonl:7: score is" in conversion.report.problems[0]


def test_identical_responses_make_no_pair() -> None:
    rows = [{"prompt": "p", "response": "same", "score": score} for score in (1, 2)]
    with pytest.raises(DataError, match="1 dropped: pairs of identical responses"):
        made(rows)


def test_ratings_become_rankings_in_the_order_of_their_rows() -> None:
    rows = list(preferences_from_ratings(ROWS, to="rankings"))
    assert rows[0] == {"prompt": "p", "responses": ["good", "bad", "fair"], "ranks": [1.0, 3.0, 2.0]}
    assert rows[1] == {"prompt": "r", "responses": ["x", "y"], "ranks": [1.0, 1.0]}
    assert len(list(preferences_from_ratings(ROWS, to="rankings", ties="drop"))) == 1


def test_options_without_effect_are_refused() -> None:
    for options, message in [
        ({"to": "rankings", "min_gap": 1.0}, "--min-gap: no effect on ratings rows that become rankings"),
        ({"to": "ratings", "ties": "keep"}, "--ties: no effect"),
        ({"to": "kto", "strategy": "all"}, "--strategy: no effect"),
        ({"to": "dpo", "margin": 1.0}, "--margin: no effect"),
        ({"evidence": "votes"}, "--evidence: no effect on ratings"),
        ({"columns": Columns(chosen="x")}, "a column for chosen: no effect"),
        ({"fields": {"winner": "x"}}, "a column for winner: no effect"),
        ({"fields": {"winer": "x"}}, "unknown field 'winer' .did you mean 'winner'"),
        ({"strategy": "best"}, "--strategy is 'best'; expected one of best-worst, all, adjacent"),
        ({"min_gap": -1.0}, "--min-gap is -1.0; expected a number from 0"),
        ({"margin": 0.0}, "--margin is 0; expected a positive number"),
        ({"attributes": {"x": 0.0}}, "the weight of attribute 'x' is 0.0"),
        ({"to": "trl", "ties": "keep"}, "rows of trl cannot say a tie"),
        ({"to": "pear"}, "--to is 'pear'"),
        ({"shape": "pairs"}, "use convert_preferences"),
    ]:
        with pytest.raises(ConfigError, match=message):
            preferences_from_ratings(ROWS, **options)  # type: ignore[arg-type]


def test_the_order_of_rows_changes_no_pair_of_distinct_scores() -> None:
    rows = [{"prompt": f"p{i % 50}", "response": f"r{i}", "score": i * 7919 % 1000} for i in range(400)]
    shuffled = random.Random(0).sample(rows, len(rows))
    pairs = sorted(made(rows, strategy="all", margin=1.0))
    assert pairs == sorted(made(shuffled, strategy="all", margin=1.0))
    assert len(pairs) == 50 * 28


@pytest.mark.parametrize(
    ("name", "strategy", "pairs", "dropped"),
    [
        ("usr_topical_chat", "best-worst", 60, {}),
        ("usr_topical_chat", "all", 830, {"pairs that tie": 65}),  # 59 prompts of 6 and one of 5: 895 pairs
        (
            *("wmt_mqm_ted_ende", "best-worst", 442),
            {"pairs that tie": 43, "pairs of identical responses": 37, "prompts with a single response": 12},
        ),
        ("upworthy_ctr", "best-worst", 2277, {"pairs of identical responses": 4}),
    ],
)
def test_real_ratings_convert(name: str, strategy: str, pairs: int, dropped: dict[str, int]) -> None:
    conversion = convert_preferences(real(name), strategy=strategy, margin=1.0)  # type: ignore[arg-type]
    rows = list(conversion)
    assert len(rows) == conversion.report.written == pairs
    assert conversion.report.dropped == dropped
    assert all(row["margin"] > 0 and row["chosen"] != row["rejected"] for row in rows)


def test_a_real_prompt_is_paired_as_by_hand() -> None:
    path = real("usr_topical_chat")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:6]]
    best, worst = max(rows, key=lambda row: row["score"]), min(rows, key=lambda row: row["score"])
    first = next(iter(preferences_from_ratings(path, margin=2.0)))
    assert (first["chosen"], first["rejected"]) == (best["response"], worst["response"])
    assert first["margin"] == pytest.approx(2 * (best["score"] - worst["score"]))
    aspects = {"coherence": 1.0, "groundedness": 2.0}
    totals = {row["response"]: row["scores"]["coherence"] + 2 * row["scores"]["groundedness"] for row in rows}
    first = next(iter(preferences_from_ratings(path, margin=1.0, attributes=aspects)))
    assert totals[first["chosen"]] == max(totals.values())
    assert first["margin"] == pytest.approx(max(totals.values()) - min(totals.values()))
    assert first["source"] == "usr_topical_chat"


def test_a_real_file_without_two_responses_to_a_prompt_says_so() -> None:
    with pytest.raises(DataError, match="nothing is left .* 4,507 dropped: prompts with a single response"):
        list(convert_preferences(real("halueval_general")))
