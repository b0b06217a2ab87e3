"""Files are split as data in memory is: by prompt, and no prompt moves."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.data import Columns, load_preferences, read_rows
from plaudit.data.partition import split_preferences
from plaudit.data.passes import row_group
from plaudit.errors import ConfigError, DataError, OutputError, RowError
from plaudit.types import prompt_group


def pair_rows(prompts: int, replies: int = 2) -> list[dict]:
    return [
        {"prompt": f"Prompt {p}", "chosen": f"a{r}", "rejected": "b", "topic": "xyz"[p % 3], "n": p * replies + r}
        for p in range(prompts)
        for r in range(replies)
    ]


def write(path: Path, rows: list[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def part(folder: Path, name: str) -> list[dict]:
    return [row for _, row in read_rows(next(folder.glob(f"{name}.*")))]  # type: ignore[misc]


def test_a_test_file_holds_the_prompts_that_a_split_in_memory_holds_out(tmp_path: Path) -> None:
    file = write(tmp_path / "pairs.jsonl", rows := pair_rows(200))
    report = split_preferences(file, tmp_path / "parts", test_fraction=0.2, seed=3)
    _, test = load_preferences(file).split(0.2, 3)
    assert {prompt_group(row["prompt"]) for row in part(tmp_path / "parts", "test")} == set(test.groups())
    assert report.parts == {"train": 400 - len(test), "test": len(test)}
    both = part(tmp_path / "parts", "train") + part(tmp_path / "parts", "test")
    assert sorted(both, key=lambda row: row["n"]) == rows
    assert part(tmp_path / "parts", "train") == sorted(part(tmp_path / "parts", "train"), key=lambda row: row["n"])


def test_a_validation_part_takes_from_training_and_leaves_the_test_part(tmp_path: Path) -> None:
    rows = pair_rows(300)
    split_preferences(rows, tmp_path / "two", test_fraction=0.2)
    split_preferences(rows, tmp_path / "three", test_fraction=0.2, validation_fraction=0.2)
    assert part(tmp_path / "two", "test") == part(tmp_path / "three", "test")
    prompts = [{row["prompt"] for row in part(tmp_path / "three", name)} for name in ("train", "validation", "test")]
    assert not prompts[0] & prompts[1] | prompts[1] & prompts[2] | prompts[0] & prompts[2]
    assert abs(len(prompts[1]) / 300 - 0.2) < 0.07


@pytest.mark.parametrize("suffix", [".csv", ".parquet", ".jsonl.gz", ".json"])
def test_parts_have_the_format_of_the_source(tmp_path: Path, suffix: str) -> None:
    from plaudit.data.write import RowWriter

    with RowWriter(tmp_path / f"rows{suffix}") as writer:
        for row in pair_rows(60):
            writer.write(row)
    report = split_preferences(tmp_path / f"rows{suffix}", tmp_path / "parts", test_fraction=0.3)
    assert set(report.files) == {"train", "test"}
    assert all(file.endswith(suffix) for file in report.files.values())
    assert len(part(tmp_path / "parts", "train")) + len(part(tmp_path / "parts", "test")) == 120


def test_groups_are_never_torn_and_shares_are_kept(tmp_path: Path) -> None:
    rows = [
        {"prompt": f"p{p}", "response": str(r), "topic": "rare" if p % 10 == 0 else "common", "family": p // 2}
        for p in range(400)
        for r in range(p % 3 + 1)
    ]
    columns = Columns(group_by="family")
    report = split_preferences(
        rows, tmp_path / "parts", test_fraction=0.2, validation_fraction=0.1, columns=columns, stratify="topic"
    )
    families = [{row["family"] for row in part(tmp_path / "parts", name)} for name in ("train", "validation", "test")]
    assert not families[0] & families[1] | families[1] & families[2] | families[0] & families[2]
    totals = Counter(row["topic"] for row in rows)
    for topic, counts in report.strata.items():
        assert sum(counts.values()) == totals[topic]
        assert abs(counts["test"] / totals[topic] - 0.2) < 0.05
        assert abs(counts["validation"] / totals[topic] - 0.1) < 0.05
    assert sum(report.groups.values()) == 200


def test_stratifying_is_seeded_and_splits_equal_groups_exactly(tmp_path: Path) -> None:
    rows = pair_rows(300, replies=1)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        split_preferences(rows, tmp_path / name, test_fraction=0.1, stratify="topic", seed=seed)
    assert Counter(row["topic"] for row in part(tmp_path / "a", "test")) == {"x": 10, "y": 10, "z": 10}
    assert part(tmp_path / "a", "test") == part(tmp_path / "b", "test") != part(tmp_path / "c", "test")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from("ab")), min_size=1, max_size=60), st.integers(0, 3))
def test_no_row_is_lost_and_no_group_is_torn(tmp_path_factory, spec: list[tuple[int, str]], seed: int) -> None:
    rows = [{"prompt": f"p{p}", "topic": topic, "n": n} for n, (p, topic) in enumerate(spec)]
    folder = tmp_path_factory.mktemp("split") / "parts"
    try:
        split_preferences(rows, folder, test_fraction=0.4, stratify="topic", seed=seed)
    except DataError:  # a part is empty
        assert not folder.exists()
        return
    train, test = part(folder, "train"), part(folder, "test")
    assert sorted(row["n"] for row in train + test) == list(range(len(rows)))
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in test}


def test_every_kind_of_row_has_the_key_that_loading_gives_it() -> None:
    turns = [{"role": "user", "content": "Why?"}]
    reply = [{"role": "assistant", "content": "So."}]
    why = prompt_group("Why?")
    kinds = [
        {"prompt": "why? ", "chosen": "a", "rejected": "b"},
        {"prompt": turns, "chosen": "a", "rejected": "b"},
        {"chosen": turns + reply, "rejected": [*turns, {"role": "assistant", "content": "No."}]},
        {"prompt": "Why?", "response": "a", "score": "high"},  # labels are not read
        {"prompt": "Why?", "response": "a"},
        {"prompt": "Why?", "response_a": "a", "response_b": "b", "winner": "a"},
        {"prompt": "Why?", "responses": ["a", "b"], "ranks": [1, 2]},
        {"prompt": "Why?", "chosen": "a", "rejected": "b", "margin": "much", "weight": -1},
    ]
    assert {row_group(row, Columns()) for row in kinds} == {why}
    assert row_group({"prompt": "Why?", "topic": 3}, Columns(group_by="topic")) == "3"
    bare = {"response": "A text."}
    assert row_group(bare, Columns()) == prompt_group("A text.")
    with pytest.raises(RowError, match="no prompt, no response"):
        row_group({"a": 1}, Columns())


def test_what_cannot_be_split_leaves_nothing(tmp_path: Path) -> None:
    rows, out = pair_rows(20), tmp_path / "parts"
    for fractions, message in (
        ({"test_fraction": 1.0}, "from 0, below 1"),
        ({"test_fraction": 0.0}, "split nothing"),
        ({"test_fraction": 0.6, "validation_fraction": 0.4}, "leave no train part"),
    ):
        with pytest.raises(ConfigError, match=message):
            split_preferences(rows, out, **fractions)
    with pytest.raises(DataError, match="the test part is empty"):
        split_preferences(rows[:2], out, test_fraction=0.01)
    with pytest.raises(RowError, match="no column 'tpoic', but the split is stratified by it"):
        split_preferences(rows, out, stratify="tpoic")
    with pytest.raises(RowError, match="topic is empty, but rows are grouped by it"):
        split_preferences([{**rows[0], "topic": None}], out, columns=Columns(group_by="topic"))
    with pytest.raises(DataError, match="there are no rows"):
        split_preferences([], out)
    assert list(tmp_path.iterdir()) == []


def test_parts_are_replaced_only_when_asked_and_never_while_they_are_read(tmp_path: Path) -> None:
    out = tmp_path / "parts"
    split_preferences(pair_rows(100), out, validation_fraction=0.2)
    with pytest.raises(OutputError, match="exists already"):
        split_preferences(pair_rows(100), out)
    (out / "notes.txt").write_text("mine")
    split_preferences(pair_rows(100), out, overwrite=True)
    assert sorted(path.name for path in out.iterdir()) == ["notes.txt", "test.jsonl", "train.jsonl"]
    with pytest.raises(OutputError, match="is read while it would be replaced"):
        split_preferences(out / "train.jsonl", out, overwrite=True)
