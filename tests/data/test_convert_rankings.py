"""Rankings become pairs or listwise rows, from every shape in which several responses sit in one row."""

from __future__ import annotations

import json
from typing import Any

import pytest

from plaudit.data import Columns, to_example
from plaudit.data.convert import preferences_from_rankings
from plaudit.errors import ConfigError, DataError, RowError

ROW = {"prompt": "p", "responses": ["second", "first", "third"], "ranks": [2, 1, 3]}


def pairs(row: dict[str, Any], **options: Any) -> list[tuple[Any, ...]]:
    names = ("chosen", "rejected", "margin", "soft_label")
    return [tuple(pair[name] for name in names if name in pair) for pair in preferences_from_rankings([row], **options)]


def test_the_best_rank_is_one() -> None:
    assert pairs(ROW) == [("first", "third")]
    assert pairs(ROW, strategy="adjacent") == [("first", "second"), ("second", "third")]
    assert pairs(ROW, strategy="all", margin=0.5, min_gap=2) == [("first", "third", 1.0)]


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "p", "responses": json.dumps(ROW["responses"]), "ranks": "[2, 1, 3]"},
        {"instruction": "p", "completions": ROW["responses"], "scores": [0.5, 0.9, 0.1]},
        {
            "prompt": "p",
            "candidates": [{"text": t, "rank": r} for t, r in (("second", 2), ("first", "1"), ("third", 3))],
        },
        {
            "prompt": "p",
            "responses": [{"response": t, "score": s} for t, s in (("second", 2), ("first", 3), ("third", 1))],
        },
        {
            "question": "p",
            "answers": [{"answer": t, "rank": r} for t, r in (("second", 2.0), ("first", 1.0), ("third", 3.0))],
        },
    ],
)
def test_every_shape_gives_the_same(row: dict[str, Any]) -> None:
    assert pairs(row, strategy="adjacent") == [("first", "second"), ("second", "third")]
    (listwise,) = preferences_from_rankings([row], to="rankings")
    assert listwise == {"prompt": "p", "responses": ["second", "first", "third"], "ranks": [2.0, 1.0, 3.0]}


def test_a_list_in_order_has_to_be_called_so() -> None:
    row = {"prompt": "p", "ranked_responses": ["first", "second", "third"]}
    assert pairs(row, shape="ordered") == [("first", "third")]
    with pytest.raises(RowError, match="row 1: no column for scores: looked for scores, rewards"):
        pairs(row)


def test_columns_can_be_named() -> None:
    row = {"q": "p", "texts": ["b", "a"], "places": [2, 1]}
    names = {"responses": "texts", "ranks": "places"}
    assert pairs(row, fields=names, columns=Columns(prompt="q")) == [("a", "b")]
    assert pairs(row, fields={"responses": "texts", "scores": "places"}, columns=Columns(prompt="q")) == [("b", "a")]


def test_listwise_rows_are_read_as_examples_and_written_as_they_were() -> None:
    row = ROW | {"weight": 2.0, "source": "x", "id": 3}
    (listwise,) = preferences_from_rankings([row], to="rankings", keep=["id"])
    assert listwise == row
    example = to_example(listwise, Columns(kind="rankings"))
    assert example.labels == (-2.0, -1.0, -3.0)
    assert example.weight == 2.0


def test_conversations_are_split_from_their_prompt() -> None:
    user = {"role": "user", "content": "Hi"}
    replies = [[user, {"role": "assistant", "content": text}] for text in ("a", "b")]
    (pair,) = preferences_from_rankings([{"responses": replies, "ranks": [2, 1]}])
    assert pair == {"prompt": [user], "chosen": [replies[1][1]], "rejected": [replies[0][1]]}


def test_a_prompt_that_is_a_transcript_becomes_messages() -> None:
    prompt = "\n\nHuman: Hi\n\nAssistant: Yes?\n\nHuman: Why?\n\nAssistant: "
    row = {"prompt": prompt, "answers": [{"answer": "a", "rank": 1}, {"answer": "b", "rank": 2}]}
    (pair,) = preferences_from_rankings([row], shape="nectar")
    assert [turn["content"] for turn in pair["prompt"]] == ["Hi", "Yes?", "Why?"]
    assert (pair["chosen"], pair["rejected"]) == ("a", "b")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ranks": [1, 2]}, "responses has 3 responses and ranks 2 numbers; expected equally many"),
        ({"ranks": [1, "best", 2]}, r"ranks\[1\] is 'best'; expected a finite number"),
        ({"responses": "text"}, "responses is text"),
        ({"responses": ["a", None, "b"]}, "response 2 is null"),
        ({"responses": [{"text": "a", "rank": 1}, {"text": "b"}]}, r"responses\[1\] lacks text or rank"),
        ({"responses": [{"text": "a"}]}, "expected a response .* and a rank or score"),
    ],
)
def test_what_is_no_ranking_says_why(change: dict[str, Any], message: str) -> None:
    with pytest.raises(RowError, match=message) as caught:
        pairs(ROW | change)
    assert caught.value.location == "row 1"


def test_ties_and_single_responses_are_counted() -> None:
    tied = ROW | {"ranks": [1, 1, 1]}
    with pytest.raises(DataError, match="1 dropped: pairs that tie"):
        pairs(tied)
    assert pairs(tied, ties="keep") == [("second", "third", 0.5)]
    assert len(list(preferences_from_rankings([tied], to="rankings"))) == 1
    with pytest.raises(DataError, match="1 dropped: rankings in which all responses tie"):
        list(preferences_from_rankings([tied], to="rankings", ties="drop"))
    with pytest.raises(DataError, match="1 dropped: prompts with a single response"):
        pairs({"prompt": "p", "responses": ["a"], "ranks": [1]})
    with pytest.raises(ConfigError, match="--attribute: no effect on rankings"):
        pairs(ROW, attributes="x")
