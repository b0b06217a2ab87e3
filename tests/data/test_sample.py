"""Samples are uniform, of the size asked for, in order, and whole prompts stay whole."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.data.columns import Columns
from plaudit.data.sample import Draw, sample_preferences
from plaudit.errors import ConfigError, DataError, OutputError, RowError


def pair_rows(prompts: int, replies: int = 1) -> list[dict]:
    return [
        {"prompt": f"Prompt {p}", "chosen": f"a{r}", "rejected": "b", "n": p * replies + r}
        for p in range(prompts)
        for r in range(replies)
    ]


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@given(st.integers(0, 30), st.integers(0, 40), st.integers())
def test_exactly_as_many_are_drawn_as_were_wanted(wanted: int, total: int, seed: int) -> None:
    draw = Draw(wanted, total, random.Random(seed))
    assert sum(draw() for _ in range(total)) == min(wanted, total)
    with pytest.raises(DataError, match="changed while it was read"):
        draw()


def test_every_subset_is_drawn_equally_often() -> None:
    rng, seen = random.Random(0), Counter()
    for _ in range(6000):
        draw = Draw(2, 4, rng)
        seen[tuple(i for i in range(4) if draw())] += 1
    assert len(seen) == 6
    assert all(abs(count - 1000) < 150 for count in seen.values())  # 5 standard deviations of 29


def test_rows_are_drawn_in_order_and_unchanged(tmp_path: Path) -> None:
    rows = pair_rows(100)
    report = sample_preferences(rows, tmp_path / "out.jsonl", rows=10, seed=1)
    drawn = read(tmp_path / "out.jsonl")
    assert (report.rows, report.written, len(drawn)) == (100, 10, 10)
    assert [row["n"] for row in drawn] == sorted(row["n"] for row in drawn)
    assert all(row == rows[row["n"]] for row in drawn)
    sample_preferences(rows, tmp_path / "again.jsonl", rows=10, seed=1)
    assert read(tmp_path / "again.jsonl") == drawn
    sample_preferences(rows, tmp_path / "other.jsonl", rows=10, seed=2)
    assert read(tmp_path / "other.jsonl") != drawn
    assert sample_preferences(rows, tmp_path / "f.jsonl", fraction=0.25).written == 25


def test_whole_prompts_stay_whole_and_a_larger_sample_holds_the_smaller(tmp_path: Path) -> None:
    rows = pair_rows(50, replies=3)
    small = sample_preferences(rows, tmp_path / "small.jsonl", rows=20, by_prompt=True)
    large = sample_preferences(rows, tmp_path / "large.jsonl", rows=60, by_prompt=True)
    assert (small.written, small.prompts) == (18, 6)  # a seventh prompt would make 21
    assert (large.written, large.prompts) == (60, 20)
    few, many = read(tmp_path / "small.jsonl"), read(tmp_path / "large.jsonl")
    assert set(Counter(row["prompt"] for row in few).values()) == {3}
    assert {row["n"] for row in few} < {row["n"] for row in many}
    tenth = sample_preferences(rows, tmp_path / "tenth.jsonl", fraction=0.5, by_prompt=True)
    assert tenth.prompts is not None
    assert 15 <= tenth.prompts <= 35
    assert tenth.written == 3 * tenth.prompts


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.integers(0, 5))
def test_prompts_fill_the_sample_as_far_as_they_fit(tmp_path_factory, sizes: list[int], seed: int) -> None:
    rows = [{"prompt": f"p{p}", "response": "x"} for p, size in enumerate(sizes) for _ in range(size)]
    random.Random(seed).shuffle(rows)
    wanted = max(5, len(rows) // 2)
    if wanted > len(rows):
        return
    path = tmp_path_factory.mktemp("sample") / "out.jsonl"
    report = sample_preferences(rows, path, rows=wanted, by_prompt=True, seed=seed)
    drawn = Counter(row["prompt"] for row in read(path))
    assert all(count == sizes[int(prompt[1:])] for prompt, count in drawn.items())
    assert wanted - 5 < report.written <= wanted


def test_a_sample_of_the_training_side_of_a_split_is_no_special_one(tmp_path: Path) -> None:
    from plaudit.data import in_test
    from plaudit.types import prompt_group

    train = [row for row in pair_rows(400) if not in_test(prompt_group(row["prompt"]), 0.3)]
    report = sample_preferences(train, tmp_path / "out.jsonl", fraction=0.2, by_prompt=True)
    assert 0.12 < report.written / len(train) < 0.28


def test_groups_of_a_column_can_be_drawn(tmp_path: Path) -> None:
    rows = [{"topic": t, "text": str(i)} for i in range(4) for t in "abc"]
    report = sample_preferences(rows, tmp_path / "out.jsonl", rows=8, by_prompt=True, columns=Columns(group_by="topic"))
    assert (report.written, report.prompts) == (8, 2)


def test_bad_rows_stop_or_are_counted_and_never_drawn(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "a", "n": 1}\nnonsense\n{"prompt": "b", "n": 2}\n')
    with pytest.raises(RowError, match=r"rows\.jsonl:2"):
        sample_preferences(file, tmp_path / "out.jsonl", rows=2)
    assert not (tmp_path / "out.jsonl").exists()
    report = sample_preferences(file, tmp_path / "out.jsonl", rows=2, on_bad_row="skip")
    assert (report.rows, report.bad, report.written) == (3, 1, 2)
    assert "1 skipped: the row cannot be used" in report.lines()


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    rows, out = pair_rows(5, replies=4), tmp_path / "out.jsonl"
    with pytest.raises(ConfigError, match="one of the two"):
        sample_preferences(rows, out)
    with pytest.raises(ConfigError, match="one of the two"):
        sample_preferences(rows, out, rows=3, fraction=0.1)
    with pytest.raises(ConfigError, match="above 0, at most 1"):
        sample_preferences(rows, out, fraction=1.5)
    with pytest.raises(DataError, match="20 good rows, fewer than the 30 asked for"):
        sample_preferences(rows, out, rows=30)
    with pytest.raises(DataError, match="the first prompt drawn has 4 rows, more than the 3 asked for"):
        sample_preferences(rows, out, rows=3, by_prompt=True)
    with pytest.raises(DataError, match="fewer than the 30 asked for"):
        sample_preferences(rows, out, rows=30, by_prompt=True)
    with pytest.raises(DataError, match="read only once"):
        sample_preferences(iter(rows), out, rows=3)
    with pytest.raises(DataError, match="there are no rows"):
        sample_preferences([], out, fraction=0.5)
    assert not out.exists()


def test_the_input_is_never_the_output(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "a"}\n')
    with pytest.raises(OutputError, match="is read while it would be written"):
        sample_preferences(file, file, rows=1, overwrite=True)
    assert file.read_text() == '{"prompt": "a"}\n'
