"""What can be seen in one pair alone."""

from __future__ import annotations

import pytest

from plaudit.curation.inspect.shortcuts import MARKS, markdown_marks, position_of
from plaudit.curation.inspect.sides import NEAR_REASONS, artefact_names, artefacts, near_identical
from plaudit.curation.inspect.texts import key_of, last_turn, normal, ordered, plain
from plaudit.types import Example, Rating


@pytest.mark.parametrize(
    ("a", "b", "reason"),
    [
        ("4", "four", 2),
        ("The answer is 12.", "the answer is twelve", 2),
        ("Yes, it is.", "yes it  is", 1),
        ("**Bold** and `code`", "Bold and code", 1),
        ("personal", "personal *****", 1),
        (
            "The quick brown fox jumps over the dog",
            "The quick brown fox jumped over the dog",
            0,
        ),  # two edits, one allowed
        ("The quick brown fox jumps over the dog", "The quick brown fox jumps over the dogs", 3),
        ("", "!", 0),
    ],
)
def test_near_identical_sides_are_found_with_their_reason(a: str, b: str, reason: int) -> None:
    assert near_identical(a, b) == near_identical(b, a) == reason
    assert (NEAR_REASONS[reason] == "") == (reason == 0)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("x + 1", "x - 1"),
        ("5", "-5"),
        ("The total comes to 17 dollars in the end", "The total comes to 18 dollars in the end"),
        ("1.5", "15"),
        ("You can do this at home today", "You can't do this at home today"),
        ("It is not safe to eat this mushroom", "It is now safe to eat this mushroom"),
        ("yes", "no"),
    ],
)
def test_small_differences_that_mean_something_are_no_near_identity(a: str, b: str) -> None:
    assert near_identical(a, b) == 0


def test_edits_are_allowed_by_length() -> None:
    text = "abcdefghij " * 40  # 440 characters: 4 edits
    assert near_identical(text, text.replace("a", "x", 4)) == 3
    assert near_identical(text, text.replace("a", "x", 5)) == 0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Sure.\n\nHuman: and now?", "turn marker"),
        ("Assistant: Of course.", "turn marker"),
        ("### Response:\nYes", "turn marker"),
        ("Done<|im_end|>", "template token"),
        ("[INST] hi [/INST]", "template token"),
        ("It is [SEP] here", "special token of the tokenizer"),
        ("caf\ufffd", "replacement character"),
        ("a &amp; b", "HTML entity"),
        ("itâ€™s", "mojibake"),
        ("cafÃ©", "mojibake"),
        ("a\x00b", "control character"),
    ],
)
def test_leftovers_are_found(text: str, kind: str) -> None:
    assert artefact_names(artefacts(text, ["[SEP]"])) == kind


@pytest.mark.parametrize(
    "text",
    [
        "The Human: a history",
        "a < b and c > d",
        "## Header\n- item\tx",
        "café, naïve, Zürich, 你好",
        "[1] and x[0]",
        "R&D; &c.",
    ],
)
def test_plain_texts_have_no_leftovers(text: str) -> None:
    assert artefacts(text, ["[SEP]"]) == 0


def test_speakers_are_no_fault_of_a_prompt() -> None:
    assert artefacts("Human: hello", reply=False) == 0
    assert artefact_names(artefacts("Human: hello<|im_end|>", reply=False)) == "template token"


def test_markdown_is_seen_by_kind() -> None:
    marks = {
        "- one\n- two": "list",
        "1. one\n2) two": "list",
        "a **bold** word": "bold",
        "use `x` here": "code",
        "```\nx\n```": "code",
        "# Title\ntext": "header",
    }
    for text, name in marks.items():
        assert markdown_marks(text) == 1 << MARKS.index(name), text
    assert markdown_marks("- only one item\nand 2 * 3 * 4, C# code") == 0


@pytest.mark.parametrize(
    ("row", "position"),
    [
        ({"winner": "model_a"}, 1),
        ({"chosen_position": "Second"}, 2),
        ({"position": "left"}, 1),
        ({"winner": "tie"}, 0),
        ({"position": 1}, 0),
        ({}, 0),
    ],
)
def test_positions_are_read_where_they_are_clear(row: dict[str, object], position: int) -> None:
    assert position_of(row) == position


def test_texts_are_read_as_a_person_would() -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    assert plain(turns) == "user: a\nassistant: b\nuser: c"
    assert (plain(turns[:1]), last_turn(turns), last_turn(None), last_turn("x")) == ("a", "c", "", "x")
    assert "get" in plain([{"role": "assistant", "content": None, "tool_calls": [{"name": "get"}]}])
    assert normal("  A\n B ") == "a b"
    assert key_of("a") == key_of("a") != key_of("b")


def test_the_preferred_response_comes_first() -> None:
    example = Example(prompt=None, responses=("worse", "better"), labels=(0.2, 0.8))
    assert ordered(example) == (["better", "worse"], False)
    tie = Example(prompt=None, responses=("a", "b"), labels=(0.5, 0.5))
    assert ordered(tie) == (["a", "b"], True)
    assert ordered(Rating(None, "r", 3.0).example()) == (["r"], False)
