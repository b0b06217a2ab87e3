"""Which rows can be judged, what is shown of them, and which are refused with file and line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plaudit.curation.label.queue import Queue
from plaudit.data import Columns
from plaudit.errors import ConfigError, DataError, RowError


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def view(path: Path, row: Any, **options: Any) -> Any:
    (item,) = Queue(write(path / "queue.jsonl", row), **options)
    return json.loads(item.view)


@pytest.mark.parametrize(
    "sides",
    [
        {"response_a": "one", "response_b": "two"},
        {"response_A": "one", "response_B": "two"},
        {"response_0": "one", "response_1": "two"},
        {"chosen": "one", "rejected": "two"},
        {"responses": ["one", "two"]},
        {"response_a": "one", "response_b": "two", "chosen": "x", "rejected": "y"},
        {"responses": ["one", "two"], "chosen": "x", "rejected": "y"},
        {"response_a": None, "response_b": None, "chosen": "one", "rejected": "two"},
    ],
)
def test_every_shape_of_a_row_is_read(tmp_path: Path, sides: dict[str, Any]) -> None:
    shown = view(tmp_path, {"prompt": "Count.", **sides})
    assert shown == {"prompt": [["", "Count."]], "a": [["", "one"]], "b": [["", "two"]]}


def test_a_conversation_is_shown_turn_by_turn(tmp_path: Path) -> None:
    call = {"type": "function", "function": {"name": "now", "arguments": "{}"}}
    shown = view(
        tmp_path,
        {
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What time is it?"}],
            "chosen": [{"role": "assistant", "content": "Noon."}],
            "rejected": [{"role": "assistant", "content": None, "tool_calls": [call]}],
        },
    )
    assert shown["prompt"] == [["system", "Be brief."], ["user", "What time is it?"]]
    assert shown["a"] == [["assistant", "Noon."]]
    assert shown["b"] == [["assistant", json.dumps(call, indent=2)]]


def test_a_prompt_that_both_sides_repeat_is_shown_once(tmp_path: Path) -> None:
    start = "\n\nHuman: Hi\n\nAssistant:"
    shown = view(tmp_path, {"chosen": start + " Hello.", "rejected": start + " What?"})
    assert shown == {"prompt": [["", start]], "a": [["", " Hello."]], "b": [["", " What?"]]}


def test_the_prompt_column_can_be_named(tmp_path: Path) -> None:
    row = {"prompt": "no", "task": "yes", "response_a": "1", "response_b": "2"}
    assert view(tmp_path, row, columns=Columns(prompt="task"))["prompt"] == [["", "yes"]]
    assert view(tmp_path, row, columns=Columns(prompt=""))["prompt"] == []


def test_the_columns_of_the_responses_can_be_named(tmp_path: Path) -> None:
    row = {"prompt": "p", "new": "1", "old": "2", "response_a": "x", "response_b": "y"}
    assert view(tmp_path, row, columns=Columns(chosen="new", rejected="old"))["a"] == [["", "1"]]
    with pytest.raises(RowError, match="no column 'older' for rejected"):
        view(tmp_path, row, columns=Columns(chosen="new", rejected="older"))
    with pytest.raises(ConfigError, match="name the columns of both"):
        Queue(tmp_path, columns=Columns(chosen="new"))


def test_labels_that_came_with_a_row_do_not_matter(tmp_path: Path) -> None:
    row = {"prompt": "p", "chosen": "1", "rejected": "2", "margin": "?", "soft_label": 7, "weight": -1, "source": []}
    assert view(tmp_path, row)["a"] == [["", "1"]]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"prompt": "p"}, "no two responses: looked for response_a and response_b"),
        ({"prompt": "p", "response_a": "x"}, "response_a is there, but response_b is not"),
        ({"prompt": "p", "rejected": "x"}, "rejected is there, but the other response is not"),
        ({"prompt": "p", "responses": ["x", "y", "z"]}, "responses is a list of 3; expected a list of two"),
        ({"prompt": "p", "responses": ["x", None]}, "responses is a list of 2; expected a list of two"),
        ({"prompt": "p", "responses": "[x"}, "responses is no JSON list"),
        ({"prompt": "p", "response_a": 1, "response_b": "x"}, "is a number"),
        ({"prompt": 3, "response_a": "y", "response_b": "x"}, "prompt is a number"),
        ({"prompt": "p", "response_a": "same", "response_b": "same"}, "identical, so there is nothing to choose"),
        ({"prompt": "p", "response_a": " \n", "response_b": "x"}, "response a is empty"),
        ({"prompt": "p", "response_a": "\ud800", "response_b": "x"}, "half of a surrogate pair"),
        ({"prompt": "p", "response_a": [1, 2], "response_b": [1, 3]}, "token ids"),
        ({"responses": ["1"], "labels": [1], "extras": None, "token_ids": None}, "plaudit's own tables"),
        (["p", "x", "y"], "the row is a list"),
    ],
)
def test_a_row_that_cannot_be_judged_is_named(tmp_path: Path, row: Any, problem: str) -> None:
    good = {"prompt": "p", "response_a": "x", "response_b": "y"}
    path = write(tmp_path / "queue.jsonl", good, row, good)
    with pytest.raises(RowError, match=problem) as caught:
        list(Queue(path))
    assert caught.value.location == f"{path}:2"
    queue = Queue(path, on_bad_row="skip")
    assert [item.number for item in queue] == [0, 1]
    assert (queue.rows, queue.bad) == (2, 1)
    assert f"{path}:2" in queue.problems[0]


def test_broken_lines_are_bad_rows(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    path.write_bytes(b'{"prompt": "p", "response_a": "x", "response_b": "y"}\n{"prompt": \n\xff\xfe\n')
    with pytest.raises(RowError, match="no valid JSON") as caught:
        list(Queue(path))
    assert caught.value.location == f"{path}:2"
    queue = Queue(path, on_bad_row="skip")
    assert len(list(queue)) == 1
    assert queue.bad == 2


def test_an_empty_queue_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row to label"):
        list(Queue(write(tmp_path / "queue.jsonl")))
    with pytest.raises(DataError, match="all 1 rows were skipped"):
        list(Queue(write(tmp_path / "queue.jsonl", {}), on_bad_row="skip"))
    with pytest.raises(ConfigError, match="'error' or 'skip'"):
        Queue(tmp_path / "queue.jsonl", on_bad_row="drop")  # type: ignore[arg-type]


def test_the_fingerprint_is_of_what_is_shown(tmp_path: Path) -> None:
    def fingerprint(name: str, *rows: Any) -> str:
        queue = Queue(write(tmp_path / name, *rows))
        list(queue)
        return queue.fingerprint

    row = {"prompt": "p", "response_a": "x", "response_b": "y"}
    first = fingerprint("1.jsonl", row, row)
    assert fingerprint("2.jsonl", {**row, "source": "new"}, row) == first
    assert fingerprint("3.jsonl", {**row, "response_a": "z"}, row) != first
    assert fingerprint("4.jsonl", row) != first


def test_tables_are_queues_too(tmp_path: Path) -> None:
    path = tmp_path / "queue.csv"
    path.write_text('prompt,responses\n"a ""quoted""\nprompt","[""one"", ""two""]"\n', encoding="utf-8")
    (item,) = Queue(path)
    assert json.loads(item.view)["prompt"] == [["", 'a "quoted"\nprompt']]
    assert item.sides == ("one", "two")
