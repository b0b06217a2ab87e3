"""Patterns, JSON schemas and keywords on constructed texts."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("regex")
pytest.importorskip("jsonschema")

from plaudit.errors import ConfigError, RewardError
from plaudit.rewards import form as form
from plaudit.rewards.base import make
from plaudit.rewards.markdown import fenced_blocks, prose


def score(name: str, text: str, **options: object) -> float:
    return float(make(name, options).score([None], [text])[0])


# --- format ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "<think>2 + 2</think><answer>4</answer>",
        "\n<think>\nfirst\n\nthen\n</think>\n\n<answer>\n1 < 2\n</answer>\n",
        "<think></think> <answer>4</answer>",
    ],
)
def test_the_default_format_is_thoughts_and_then_an_answer(text: str) -> None:
    assert score("format", text) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        "<answer>4</answer>",
        "<think>2 + 2</think>4",
        "<think>a</think><answer> </answer>",
        "<answer>4</answer><think>a</think>",
        "<think>a</think><answer>4</answer>.",
        "<think>a</think><think>b</think><answer>4</answer>",
        "<think>a<answer>4</answer></think><answer>4</answer>",
        "<think>a</think><answer>4</answer><answer>5</answer>",
    ],
)
def test_the_default_format_wants_both_parts_once_in_order_and_nothing_else(text: str) -> None:
    assert score("format", text) == 0.0


def test_a_full_match_covers_the_response_and_a_search_a_part_of_it() -> None:
    assert score("format", " Answer: 42\n", pattern=r"Answer: \d+") == 1.0
    assert score("format", "So the Answer: 42.", pattern=r"Answer: \d+") == 0.0
    assert score("format", "So the Answer: 42.", pattern=r"Answer: \d+", mode="search") == 1.0


def test_flags_are_off_unless_asked_for() -> None:
    for option, pattern, text in (
        ("dotall", "a.b", "a\nb"),
        ("ignorecase", "yes", "YES"),
        ("multiline", "x\n^y$\nz", "x\ny\nz"),
    ):
        assert score("format", text, pattern=pattern, **{option: True}) == 1.0
        if option != "multiline":
            assert score("format", text, pattern=pattern) == 0.0
    assert score("format", "x\nAnswer: 1\ny", pattern=r"^Answer: \d$", mode="search") == 0.0
    assert score("format", "x\nAnswer: 1\ny", pattern=r"^Answer: \d$", mode="search", multiline=True) == 1.0


@pytest.mark.parametrize(
    "options",
    [{"pattern": "("}, {"pattern": ""}, {"pattern": None}, {"mode": "count"}, {"dotall": 1}, {"pattern": "[a-"}],
)
def test_a_format_that_is_no_pattern_is_refused_when_it_is_made(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="reward 'format'"):
        make("format", options)


def test_a_pattern_that_backtracks_without_end_is_an_error_and_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(form, "_SECONDS", 0.05)
    slow = make("format", {"pattern": "(a|aa)+[bc]"})
    with pytest.raises(RewardError, match=r"item 1: .*without nested repetition"):
        slow.score([None, None], ["b", "a" * 60])


# --- json_schema ----------------------------------------------------------------------------------------------------

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
ADA = '{"name": "Ada", "age": 36}'


@pytest.mark.parametrize(
    "text",
    [
        ADA,
        f"\n {ADA}\n",
        f"```json\n{ADA}\n```",
        f"Here it is:\n\n```JSON\n{ADA}\n```\nAnything else?",
        f"```\n{ADA}\n```",
        f"```json {ADA}```",
        f"~~~json\n{ADA}\n~~~",
        f"```json\n{ADA}",
        f'```json\n{{"name": 1}}\n```\nNo, this:\n```json\n{ADA}\n```',
        f"```python\nprint(1)\n```\n```json\n{ADA}\n```\n```\noutput\n```",
        '{"name": "Ада \\ud83d\\ude00", "age": 36.0}',
    ],
)
def test_valid_json_scores_one_bare_or_fenced(text: str) -> None:
    assert score("json_schema", text, schema=PERSON) == 1.0


@pytest.mark.parametrize(
    "text",
    [
        f"Here it is: {ADA}",
        ADA[:-1],
        ADA + ADA,
        '{"name": "Ada"}',
        '{"name": "Ada", "age": "36"}',
        '{"name": "Ada", "age": true}',
        '{"name": "Ada", "age": -1}',
        '{"name": "Ada", "age": 36, "born": 1815}',
        "{'name': 'Ada', 'age': 36}",
        '{"name": "Ada", "age": 36,}',
        "null",
        "I'd rather not.",
        f"```json\n{ADA}\n```\nor\n```json\n{{}}\n```",
        f"```python\n{ADA}\n```",
    ],
)
def test_what_is_no_json_or_breaks_the_schema_scores_zero(text: str) -> None:
    assert score("json_schema", text, schema=PERSON) == 0.0


def test_without_a_schema_any_json_is_right_and_nothing_else() -> None:
    for text in ("[1, null]", '"text"', "-3.5e2", "true", "{}"):
        assert score("json_schema", text) == 1.0
    for text in ("True", "NaN", "[Infinity]", "hello", "{a: 1}", "[1] // one"):
        assert score("json_schema", text) == 0.0


def test_json_too_deep_or_with_too_long_a_number_scores_zero() -> None:
    assert score("json_schema", "[" * 200_000 + "]" * 200_000) == 0.0
    assert score("json_schema", "1" * 10_000) == 0.0


def test_fences_can_be_ruled_out() -> None:
    assert score("json_schema", f"```json\n{ADA}\n```", fences=False) == 0.0
    assert score("json_schema", ADA, fences=False) == 1.0


def test_references_inside_of_the_schema_and_old_drafts_work() -> None:
    listed = {"type": "array", "items": {"$ref": "#/$defs/person"}, "$defs": {"person": PERSON}}
    assert score("json_schema", f"[{ADA}]", schema=listed) == 1.0
    assert score("json_schema", "[1]", schema=listed) == 0.0
    draft4 = {
        "$schema": "http://json-schema.org/draft-04/schema#",
        "definitions": {"n": {"type": "number", "minimum": 0, "exclusiveMinimum": True}},
        "properties": {"n": {"$ref": "#/definitions/n"}},
    }
    assert score("json_schema", '{"n": 1}', schema=draft4) == 1.0
    assert score("json_schema", '{"n": 0}', schema=draft4) == 0.0
    recursive = {"type": "object", "additionalProperties": {"$ref": "#"}}
    assert score("json_schema", '{"a": {"b": {}}}', schema=recursive) == 1.0
    assert score("json_schema", '{"a": {"b": 1}}', schema=recursive) == 0.0


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objekt"}, "no valid schema at type"),
        ({"properties": {"a": {"minimum": "0"}}}, "no valid schema at properties/a/minimum"),
        ({"pattern": "("}, "no valid schema at pattern"),
        ({"items": {"$ref": "#/$defs/missing"}}, "leads nowhere"),
        ({"$ref": "https://example.org/person.json"}, "leads nowhere"),
        ({"$schema": "https://example.org/mine"}, r"unknown \$schema"),
        ({"enum": {1, 2}}, "cannot be written as JSON"),
        ("{}", "schema is a mapping"),
        ([], "schema is a mapping"),
    ],
)
def test_a_bad_schema_is_refused_when_the_reward_is_made(schema: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make("json_schema", {"schema": schema})


# --- keywords -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "required", "expected"),
    [
        ("The cat sat.", ["cat"], 1.0),
        ("The category", ["cat"], 0.0),
        ("CAT and dog", ["cat", "bird"], 0.5),
        ("one two three four", ["one", "two", "three", "five"], 0.75),
        ("in the  United\nStates of", ["united states"], 1.0),
        ("C++ and C#, e.g. here", ["C++", "C#", "e.g."], 1.0),
        ("don’t", ["don't"], 1.0),
        ("Die STRASSE", ["straße"], 1.0),
        ("cafe\u0301", ["café"], 1.0),
        ("snake_case", ["case"], 0.0),
        ("well-known", ["known"], 1.0),
    ],
)
def test_the_score_is_the_share_of_required_words(text: str, required: list[str], expected: float) -> None:
    assert score("keywords", text, required=required) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "word", "expected"),
    [
        ("我们使用人工智能技术", "人工智能", 1.0),
        ("我们使用AI技术", "AI", 1.0),
        ("ＡＩは便利", "AI", 1.0),
        ("彼はコーヒーを飲む", "コーヒー", 1.0),
        ("ฉันชอบกินข้าวผัด", "ข้าวผัด", 1.0),
        ("고양이가 잔다", "고양이", 1.0),
        ("길고양이가 잔다", "고양이", 0.0),
        ("Москва — столица", "москва", 1.0),
        ("московский", "москва", 0.0),
        ("हिन्दी भाषा", "हिन्दी", 1.0),
        ("हिन्दी भाषा", "हिन्", 0.0),
        ("كتاب جديد", "كتاب", 1.0),
        ("كتابي", "كتاب", 0.0),
    ],
)
def test_words_are_found_in_scripts_with_and_without_spaces(text: str, word: str, expected: float) -> None:
    assert score("keywords", text, required=[word]) == expected


def test_one_forbidden_word_spoils_everything() -> None:
    assert score("keywords", "a cat and a dog", required=["cat"], forbidden=["dog"]) == 0.0
    assert score("keywords", "a cat in a doghouse", required=["cat"], forbidden=["dog"]) == 1.0
    assert score("keywords", "a cat", forbidden=["dog"]) == 1.0
    assert score("keywords", "a dog", forbidden=["dog"]) == 0.0


def test_case_and_word_bounds_are_options() -> None:
    assert score("keywords", "CAT", required=["cat"], case_sensitive=True) == 0.0
    assert score("keywords", "category", required=["cat"], whole_words=False) == 1.0


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"required": "cat"},
        {"required": [""]},
        {"required": [3]},
        {"required": ["cat", "CAT"]},
        {"required": ["cat"], "forbidden": ["Cat"]},
        {"required": ["cat"], "whole_words": "no"},
    ],
)
def test_word_lists_that_cannot_work_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="reward 'keywords'"):
        make("keywords", options)


# --- all three ------------------------------------------------------------------------------------------------------


def test_options_make_an_equal_reward_again() -> None:
    for name, options in (
        ("format", {"pattern": "a.", "dotall": True}),
        ("json_schema", {"schema": PERSON}),
        ("keywords", {"required": ["a"], "forbidden": ["b"]}),
    ):
        made = make(name, options)
        assert make(name, made.options()) == made


def test_blocks_and_prose_of_a_markdown_text() -> None:
    text = "See [docs](https://x.org/a) and `f(x)`.\n```Python\nx = 1\n```\nDone.\n~~~\n```\n~~~\n"
    assert fenced_blocks(text) == [("python", "x = 1\n"), ("", "```\n")]
    assert " ".join(prose(text).split()) == "See [docs] and . Done."
    assert prose("~" * 50_000)  # at once, not in hours


def test_the_libraries_are_imported_when_needed_only() -> None:
    code = "import sys, plaudit.rewards.form; assert not {'regex', 'jsonschema', 'torch'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
