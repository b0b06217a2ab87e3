"""Prompts from every shape of row, each once, drawn and held out by seed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import ConfigError, DataError, RowError
from plaudit.rl.job import Task, Tasks
from plaudit.rl.prompts import TaskPrompt, load_prompts, split_prompts

TALK = [{"role": "user", "content": "Who?"}, {"role": "assistant", "content": "Me."}]


def asked(rows: list[Any], **options: Any) -> list[Any]:
    return [prompt.prompt for prompt in load_prompts(rows, **options)]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("Who?", "Who?"),
        ({"prompt": "Who?"}, "Who?"),
        ({"question": "Who?", "answer": "Me."}, "Who?"),
        ({"instruction": "Who?"}, "Who?"),
        ({"prompt": TALK[:1]}, TALK[:1]),
        ({"messages": TALK}, TALK[:1]),
        ({"conversations": [{"from": "human", "value": "Who?"}, {"from": "gpt", "value": "Me."}]}, TALK[:1]),
        ({"chosen": TALK, "rejected": TALK}, TALK[:1]),
        ({"prompt": "Who?", "chosen": "a", "rejected": "b"}, "Who?"),
    ],
)
def test_a_row_of_any_usual_shape_has_a_prompt(row: Any, expected: Any) -> None:
    assert asked([row]) == [expected]


def test_references_come_with_their_prompts() -> None:
    (prompt,) = load_prompts([{"question": "2 + 2?", "answer": "4"}])
    assert prompt.reference == "4"
    (prompt,) = load_prompts([{"question": "2 + 2?", "key": "5"}], reference_column="key")
    assert prompt.reference == "5"


def test_equal_prompts_are_kept_once_and_samples_are_drawn_by_seed() -> None:
    rows = [str(number) for number in range(50)] * 2
    assert asked(rows) == rows[:50]
    drawn = asked(rows, max_samples=10, seed=1)
    assert drawn == asked(rows, max_samples=10, seed=1) != asked(rows, max_samples=10, seed=2)
    assert len(drawn) == 10


@pytest.mark.parametrize("suffix", ["json", "jsonl"])
def test_prompts_come_from_files_and_bad_rows_name_their_place(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"prompts.{suffix}"
    rows = [{"prompt": "a"}, {"prompt": "b"}]
    text = json.dumps(rows) if suffix == "json" else "\n".join(map(json.dumps, rows))
    path.write_text(text, encoding="utf-8")
    assert asked(str(path)) == ["a", "b"]  # type: ignore[arg-type]
    lines = tmp_path / "bad.jsonl"
    lines.write_text('{"prompt": "a"}\n{"prompt": " "}\n', encoding="utf-8")
    with pytest.raises(RowError, match=r"bad.jsonl:2: the prompt is empty"):
        load_prompts(lines)


@pytest.mark.parametrize(
    ("rows", "error", "problem"),
    [
        ([], DataError, "holds no prompts"),
        ([{"text": "a"}], RowError, r"prompts\[0\]: the row has no a prompt|the row has no"),
        ([3], RowError, "the row is int"),
        ([{"prompt": TALK[1:]}], RowError, "no turn before the assistant's"),
        ([{"messages": "a text"}], RowError, "messages is a text; expected a conversation"),
    ],
)
def test_rows_without_a_prompt_are_refused(rows: list[Any], error: type[Exception], problem: str) -> None:
    with pytest.raises(error, match=problem):
        load_prompts(rows)


def test_held_out_prompts_are_no_training_prompts() -> None:
    prompts = [TaskPrompt(str(i), None, "") for i in range(20)]
    train, held_out = split_prompts(prompts, 5, seed=3)
    assert len(held_out) == 5
    assert not {p.prompt for p in train} & {p.prompt for p in held_out}
    assert len(train) == 15
    with pytest.raises(ConfigError, match="leaves none of the 20 prompts"):
        split_prompts(prompts, 20)


def test_every_pass_answers_every_prompt_once_in_another_order() -> None:
    tasks = Tasks([Task(TaskPrompt(str(i), None, ""), [i]) for i in range(7)], seed=0)
    found = [task.ids[0] for step in range(7) for task in tasks.step(step, 3)]
    assert [sorted(found[start : start + 7]) for start in (0, 7, 14)] == [list(range(7))] * 3
    assert found[:7] != found[7:14]
    assert tasks.steps(2, 3) == 5  # 14 prompts, the last step reaches into the third pass
