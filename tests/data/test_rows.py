"""Every shape in which a pair is written, with the example it has to give, and every row that is refused."""

from __future__ import annotations

import json
import math

import pytest

from plaudit.data import Columns, to_example
from plaudit.data.messages import text_or_messages
from plaudit.errors import RowError
from plaudit.types import Example, prompt_group


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def bot(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def parts(example: Example) -> tuple[object, object, object]:
    return example.prompt, *example.responses


# --- texts ------------------------------------------------------------------------------------------------------------


def test_an_explicit_prompt_is_taken_as_it_is() -> None:
    example = to_example({"prompt": "Hi ", "chosen": " yes", "rejected": "no"}, location="a.jsonl:3")
    assert parts(example) == ("Hi ", " yes", "no")
    assert (example.labels, example.margin, example.weight, example.source) == ((1.0, 0.0), None, 1.0, None)
    assert (example.group, example.location) == (prompt_group("hi"), "a.jsonl:3")


@pytest.mark.parametrize("prompt", ["instruction", "question", "query"])
@pytest.mark.parametrize("sides", [("preferred", "dispreferred"), ("chosen_response", "rejected_response")])
def test_columns_are_found_by_convention(prompt: str, sides: tuple[str, str]) -> None:
    assert parts(to_example({prompt: "p", sides[0]: "c", sides[1]: "r"})) == ("p", "c", "r")


def test_the_input_of_an_alpaca_row_is_part_of_its_prompt() -> None:
    row = {"instruction": "Translate", "input": "Hund", "chosen": "dog", "rejected": "cat"}
    assert to_example(row).prompt == "Translate\nHund"
    assert to_example(row | {"input": ""}).prompt == "Translate"


def test_a_system_column_goes_before_the_prompt() -> None:
    row = {"system": "Be brief.", "question": "Why?", "chosen": "c", "rejected": "r"}
    assert to_example(row).prompt == [{"role": "system", "content": "Be brief."}, user("Why?")]
    assert to_example(row, Columns(system="")).prompt == "Why?"


def test_beside_a_rating_a_system_column_has_to_be_named() -> None:
    row = {"prompt": "p", "response": "r", "score": 1, "system": "model-7"}
    assert to_example(row, Columns(kind="ratings")).prompt == "p"
    named = to_example(row, Columns(kind="ratings", system="system"))
    assert named.prompt == [{"role": "system", "content": "model-7"}, user("p")]


def test_mapped_columns_win_over_conventions() -> None:
    row = {"prompt": "no", "q": "p", "good": "c", "bad": "r", "chosen": "x", "rejected": "y"}
    assert parts(to_example(row, Columns(prompt="q", chosen="good", rejected="bad"))) == ("p", "c", "r")


def test_an_implicit_prompt_of_hh_texts_ends_at_the_last_shared_assistant_marker() -> None:
    start = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:"
    example = to_example({"chosen": start + " The one", "rejected": start + " The other"})
    assert parts(example) == (start, " The one", " The other")
    assert example.group == prompt_group(start)


def test_an_implicit_prompt_of_texts_ends_after_white_space() -> None:
    example = to_example({"chosen": "Q: why? A: because", "rejected": "Q: why? A: believe"})
    assert parts(example) == ("Q: why? A: ", "because", "believe")


def test_texts_that_share_no_word_have_no_prompt() -> None:
    example = to_example({"chosen": "because", "rejected": "believe"})
    assert parts(example) == (None, "because", "believe")
    assert example.group == prompt_group("because\0believe")


def test_no_side_of_an_implicit_prompt_is_left_blank() -> None:
    assert parts(to_example({"chosen": "a b ", "rejected": "a b c"})) == ("a ", "b ", "b c")


def test_a_null_prompt_is_no_prompt_unless_it_was_asked_for() -> None:
    row = {"prompt": None, "chosen": "p a", "rejected": "p b"}
    assert parts(to_example(row)) == ("p ", "a", "b")
    with pytest.raises(RowError, match="prompt is null"):
        to_example(row, Columns(prompt="prompt"))


def test_an_empty_column_name_means_do_not_look() -> None:
    row = {"prompt": "x", "margin": "text", "chosen": "p a", "rejected": "p b"}
    assert parts(to_example(row, Columns(prompt="", margin=""))) == ("p ", "a", "b")


# --- conversations ----------------------------------------------------------------------------------------------------


def test_a_conversation_prompt_with_text_responses_stays_one() -> None:
    assert parts(to_example({"prompt": [user("p")], "chosen": "c", "rejected": "r"})) == ([user("p")], "c", "r")


def test_shared_leading_messages_are_the_implicit_prompt() -> None:
    start = [{"role": "system", "content": "s"}, user("a"), bot("b"), user("c")]
    example = to_example({"chosen": [*start, bot("d")], "rejected": [*start, bot("e")]})
    assert parts(example) == (start, [bot("d")], [bot("e")])


def test_a_conversation_that_is_a_prefix_of_the_other_keeps_a_response() -> None:
    example = to_example({"chosen": [user("a"), bot("b")], "rejected": [user("a"), bot("b"), user("c"), bot("d")]})
    assert parts(example) == ([user("a")], [bot("b")], [bot("b"), user("c"), bot("d")])


def test_a_shared_last_assistant_turn_belongs_to_the_responses() -> None:
    a, b = [user("a"), bot("b"), user("c"), bot("d")], [user("a"), bot("b"), user("x"), bot("d")]
    assert parts(to_example({"chosen": a, "rejected": b})) == (a[:1], a[1:], b[1:])


def test_conversations_without_a_shared_start_are_refused() -> None:
    with pytest.raises(RowError, match="share no first turn"):
        to_example({"chosen": [user("a"), bot("b")], "rejected": [user("c"), bot("b")]})


@pytest.mark.parametrize("prompt", ["p", [user("p")], json.dumps([user("p")])])
def test_responses_that_repeat_the_prompt_are_stripped_of_it(prompt: object) -> None:
    row = {"prompt": prompt, "chosen": [user("p"), bot("c")], "rejected": [user("p"), bot("r")]}
    assert parts(to_example(row)) == ([user("p")], [bot("c")], [bot("r")])


def test_a_text_prompt_is_found_inside_longer_conversations() -> None:
    start = [{"role": "system", "content": "s"}, user("p"), bot("x"), user("q")]
    row = {"prompt": "p", "chosen": [*start, bot("c")], "rejected": [*start, bot("r")]}
    assert parts(to_example(row)) == (start, [bot("c")], [bot("r")])


def test_a_text_prompt_before_one_turn_replies_becomes_a_user_turn() -> None:
    row = {"prompt": "p", "chosen": [bot("c")], "rejected": [bot("r")]}
    assert parts(to_example(row)) == ([user("p")], [bot("c")], [bot("r")])


def test_a_response_that_answers_another_question_is_refused() -> None:
    row = {"prompt": "p", "chosen": [user("other"), bot("c")], "rejected": [user("p"), bot("r")]}
    with pytest.raises(RowError, match=r"chosen conversation starts with a user turn.*'other'"):
        to_example(row)


def test_a_conversation_that_is_only_the_prompt_has_an_empty_response() -> None:
    row = {"prompt": [user("p")], "chosen": [user("p")], "rejected": [user("p"), bot("r")]}
    assert parts(to_example(row)) == ([user("p")], [], [bot("r")])


def test_llama_factory_rows_load() -> None:
    row = {
        "conversations": [{"from": "system", "value": "s"}, {"from": "human", "value": "p"}],
        "chosen": {"from": "gpt", "value": "c"},
        "rejected": {"from": "gpt", "value": "r"},
    }
    assert parts(to_example(row)) == ([{"role": "system", "content": "s"}, user("p")], [bot("c")], [bot("r")])


def test_a_whole_dialogue_in_messages_is_no_prompt() -> None:
    chosen, rejected = [user("p"), bot("c")], [user("p"), bot("r")]
    example = to_example({"messages": chosen, "chosen": chosen, "rejected": rejected})
    assert parts(example) == ([user("p")], [bot("c")], [bot("r")])


def test_messages_may_hold_the_prompt() -> None:
    example = to_example({"messages": [user("p")], "chosen": "c", "rejected": "r"})
    assert parts(example) == ([user("p")], "c", "r")


def test_an_object_around_messages_is_opened() -> None:
    row = {"chosen": {"messages": [user("p"), bot("c")]}, "rejected": {"conversations": [user("p"), bot("r")]}}
    assert parts(to_example(row)) == ([user("p")], [bot("c")], [bot("r")])


def test_sharegpt_speakers_get_their_roles() -> None:
    speakers = ["human", "gpt", "chatgpt", "bing", "bard", "function_call", "observation", "function_response", "tool"]
    turns = text_or_messages([{"from": speaker, "value": "x"} for speaker in speakers], "chosen")
    roles = [turn["role"] for turn in turns if isinstance(turn, dict)]
    assert roles == ["user", *["assistant"] * 5, *["tool"] * 3]


def test_tool_calls_are_kept_and_nulls_from_arrow_dropped() -> None:
    call = {"function": {"name": "f", "arguments": {"city": "Rome", "date": None}}}
    turn = {"role": "assistant", "content": None, "tool_calls": [call], "name": None}
    clean = {"function": {"name": "f", "arguments": {"city": "Rome"}}}
    assert text_or_messages([turn], "chosen") == [{"role": "assistant", "content": None, "tool_calls": [clean]}]


def test_text_parts_are_joined_and_images_refused() -> None:
    text = [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "image": None}]
    assert text_or_messages([{"role": "user", "content": text}], "prompt") == [user("ab")]
    with pytest.raises(RowError, match="'image_url'; only text parts can be used, images cannot"):
        text_or_messages([{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}], "prompt")


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1}]',
        "[{'role': 'user', 'content': 'x'}]",
        '[{"role": "user"',
        "[1, 2]",
        '[{"role": "cook", "content": "x"}]',
    ],
)
def test_a_response_that_only_looks_like_messages_stays_text(text: str) -> None:
    assert text_or_messages(text, "chosen") == text


def test_messages_written_as_json_text_are_a_conversation() -> None:
    row = {"chosen": json.dumps([user("p"), bot("c")]), "rejected": json.dumps([user("p"), bot("r")])}
    assert parts(to_example(row)) == ([user("p")], [bot("c")], [bot("r")])


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"content": "x"}, "no role"),
        ({"role": "user"}, "neither content nor tool_calls"),
        ({"from": "martian", "value": "x"}, "unknown speaker 'martian'"),
        ({"role": "user", "content": 5}, "content is a number"),
        ("hello", "is text"),
    ],
)
def test_a_broken_message_is_refused(message: object, problem: str) -> None:
    with pytest.raises(RowError, match=rf"chosen\[0\].*{problem}"):
        to_example({"chosen": [message], "rejected": [user("x")]})


# --- token ids --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "rejected"),
    [
        ("chosen_ids", "rejected_ids"),
        ("chosen_input_ids", "rejected_input_ids"),
        ("input_ids_chosen", "input_ids_rejected"),
    ],
)
def test_token_ids_are_taken_unrendered(chosen: str, rejected: str) -> None:
    example = to_example({chosen: [1, 2, 3], rejected: [1, 2, 4], "chosen": "text", "rejected": "text"})
    assert (example.prompt, example.responses, example.input_ids) == (None, ("", ""), ([1, 2, 3], [1, 2, 4]))


def test_token_ids_are_grouped_by_their_shared_start() -> None:
    groups = [
        to_example({"chosen_ids": chosen, "rejected_ids": rejected}).group
        for chosen, rejected in [([1, 2, 3], [1, 2, 4]), ([1, 2, 8], [1, 2, 9]), ([1, 3], [1, 4]), ([1, 5], [1, 6])]
    ]
    assert groups[0] == groups[1]
    assert len(set(groups)) == 3  # a shared BOS alone is no prompt
    with_prompt = to_example({"prompt": "P", "chosen_ids": [1, 3], "rejected_ids": [1, 4]})
    assert with_prompt.group == prompt_group("p")


@pytest.mark.parametrize("mask", ["attention_mask_chosen", "chosen_attention_mask"])
def test_padding_is_stripped_by_the_attention_mask(mask: str) -> None:
    example = to_example({"chosen_input_ids": [0, 5, 6], "rejected_input_ids": [5, 7], mask: [0, 1, 1]})
    assert example.input_ids == ([5, 6], [5, 7])


@pytest.mark.parametrize("ids", [[], [1, -1], [1, 2.5], [1, True], [2**31], "1 2", None])
def test_bad_token_ids_are_refused(ids: object) -> None:
    with pytest.raises(RowError, match=r"expected (a list of )?token ids"):
        to_example({"chosen_ids": ids, "rejected_ids": [1, 2]})


# --- the other columns, and what is refused ---------------------------------------------------------------------------


def test_margin_weight_and_source_are_read() -> None:
    row = {"chosen": "c", "rejected": "r", "margin": "0.5", "weight": 2, "source": 7}
    example = to_example(row)
    assert (example.margin, example.weight, example.source) == (0.5, 2.0, "7")
    empty = to_example(row | {"margin": "", "weight": None, "source": ""})
    assert (empty.margin, empty.weight, empty.source) == (None, 1.0, None)


@pytest.mark.parametrize("margin", [math.nan, math.inf, "nan", "high", True, [1], 10**400])
def test_a_margin_that_is_no_finite_number_is_refused(margin: object) -> None:
    with pytest.raises(RowError, match=r"^d\.jsonl:7: margin is .*; expected a finite number"):
        to_example({"chosen": "c", "rejected": "r", "margin": margin}, location="d.jsonl:7")


def test_a_negative_weight_is_refused() -> None:
    with pytest.raises(RowError, match="weight is -1; expected a number from 0"):
        to_example({"chosen": "c", "rejected": "r", "weight": -1})


def test_tools_and_template_arguments_may_be_json_text() -> None:
    tools = [{"type": "function", "function": {"name": "f"}}]
    row = {"chosen": "c", "rejected": "r", "tools": json.dumps(tools), "chat_template_kwargs": '{"thinking": false}'}
    example = to_example(row)
    assert (example.tools, example.template_kwargs) == (tools, {"thinking": False})
    with pytest.raises(RowError, match="tools is no JSON"):
        to_example(row | {"tools": "search"})
    with pytest.raises(RowError, match=r"tools is an object.*expected a list"):
        to_example(row | {"tools": {"a": 1}})


def test_rows_are_grouped_by_a_column_on_demand() -> None:
    row = {"prompt": "p", "chosen": "c", "rejected": "r", "topic": 3}
    assert to_example(row, Columns(group_by="topic")).group == "3"
    with pytest.raises(RowError, match="topic is empty, but rows are grouped by it"):
        to_example(row | {"topic": None}, Columns(group_by="topic"))


def test_a_wrong_column_name_lists_the_columns_and_the_nearest_one() -> None:
    with pytest.raises(RowError, match=r"no column 'choosen' .*did you mean 'chosen'.*are: prompt, chosen, rejected"):
        to_example({"prompt": "p", "chosen": "c", "rejected": "r"}, Columns(chosen="choosen"))


def test_a_missing_response_column_says_how_to_map_it() -> None:
    with pytest.raises(RowError) as caught:
        to_example({"prompt": "p", "good": "c", "rejected": "r"})
    for piece in (
        "looked for chosen, preferred",
        "are: prompt, good, rejected",
        "--chosen-column",
        'Columns(chosen="NAME")',
    ):
        assert piece in str(caught.value)


def test_mixed_kinds_of_responses_are_refused_by_name() -> None:
    with pytest.raises(RowError, match="chosen is text and rejected is a conversation"):
        to_example({"prompt": "p", "chosen": "c", "rejected": [bot("r")]})


@pytest.mark.parametrize(("value", "name"), [(None, "null"), (5, "a number"), (True, "a boolean"), ([1.5], "a number")])
def test_a_response_that_is_no_text_is_refused(value: object, name: str) -> None:
    with pytest.raises(RowError, match=rf"chosen.* is {name}"):
        to_example({"prompt": "p", "chosen": value, "rejected": "r"})


# --- soft labels and rankings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "labels"), [(0.8, (0.8, 0.2)), ("0.5", (0.5, 0.5)), (None, (1.0, 0.0)), (0, (0.0, 1.0))]
)
def test_a_soft_label_is_the_probability_that_chosen_is_preferred(value: object, labels: tuple[float, ...]) -> None:
    example = to_example({"prompt": "p", "chosen": "a", "rejected": "b", "soft_label": value})
    assert example.labels == pytest.approx(labels)
    tokens = to_example({"chosen_ids": [1, 2], "rejected_ids": [1, 3], "p": value}, Columns(soft_label="p"))
    assert tokens.labels == pytest.approx(labels)


@pytest.mark.parametrize("value", [1.2, -0.1, "often", float("nan")])
def test_a_soft_label_that_is_no_probability_is_refused(value: object) -> None:
    with pytest.raises(
        RowError, match=r"d.jsonl:3: soft_label is .*; expected a (probability in \[0, 1\]|finite number)"
    ):
        to_example({"prompt": "p", "chosen": "a", "rejected": "b", "soft_label": value}, location="d.jsonl:3")


RANKINGS = Columns(kind="rankings")


def test_a_ranking_has_minus_its_ranks_as_labels() -> None:
    row = {"prompt": "p", "responses": ["a", "b", "c"], "ranks": [2, "1", 3.0], "source": "s", "weight": 2}
    example = to_example(row, RANKINGS, "r.jsonl:1")
    assert (example.prompt, example.responses, example.labels) == ("p", ("a", "b", "c"), (-2.0, -1.0, -3.0))
    assert (example.source, example.weight, example.group) == ("s", 2.0, prompt_group("p"))
    assert to_example(row | {"responses": '["a", "b", "c"]', "ranks": "[2, 1, 3]"}, RANKINGS).labels == example.labels


def test_ranked_conversations_may_repeat_the_prompt() -> None:
    turns = [user("q"), bot("a"), user("r")]
    replies = [[bot("x")], [bot("y")]]
    whole = to_example({"completions": [turns + reply for reply in replies], "ranking": [1, 2]}, RANKINGS)
    assert (whole.prompt, list(whole.responses)) == (turns, replies)
    given = {"prompt": turns, "responses": [turns + replies[0], replies[1]], "ranks": [1, 2]}
    assert to_example(given, RANKINGS).responses == whole.responses
    text = to_example({"prompt": "q", "responses": replies, "ranks": [1, 2]}, RANKINGS)
    assert text.prompt == [user("q")]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"responses": ["a"], "ranks": [1]}, "1 responses and ranks 1 ranks; expected equally many, at least 2"),
        ({"responses": ["a", "b"], "ranks": [1]}, "2 responses and ranks 1 ranks"),
        ({"responses": "a", "ranks": [1]}, "responses is text .*; expected a list"),
        ({"responses": ["a", "b"], "ranks": [1, "best"]}, r"ranks\[1\] is 'best'; expected a finite number"),
        ({"responses": ["a", None], "ranks": [1, 2]}, r"responses\[1\] is null"),
        ({"responses": ["a", [bot("b")]], "ranks": [1, 2]}, "mixes texts and conversations"),
        ({"responses": [[user("q")], [user("q"), bot("b")]], "ranks": [1, 2]}, "ends with a user turn"),
        ({"responses": [[user("q"), bot("b")], [user("r"), bot("b")]], "ranks": [1, 2]}, "do not share the turns"),
        ({"prompt": "q", "responses": [[bot("b")], []], "ranks": [1, 2]}, r"responses\[1\] holds no reply"),
        ({"ranks": [1, 2]}, "no column for responses"),
    ],
)
def test_a_ranking_that_is_none_is_refused(row: dict[str, object], problem: str) -> None:
    with pytest.raises(RowError, match=rf"r.jsonl:4: .*{problem}"):
        to_example(row, RANKINGS, "r.jsonl:4")
