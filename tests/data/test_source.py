"""What a source and a split mean: files, folders, slices, the Hub (a local folder stands in for it), data in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import pytest

from plaudit.data.source import SplitSlice, open_source, parse_split
from plaudit.errors import DataError


def write(path: Path, first: int, count: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(first, first + count)))
    return path


def numbers(source: Any, split: str | None = None, **options: Any) -> list[int]:
    return [row["n"] for _, row in open_source(source, split=split, **options).read()]


@pytest.fixture
def ten(tmp_path: Path) -> Path:
    return write(tmp_path / "ten.jsonl", 0, 10)


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    write(tmp_path / "hub" / "data" / "train-00000-of-00002.jsonl", 0, 2)
    write(tmp_path / "hub" / "data" / "train-00001-of-00002.jsonl", 2, 2)
    write(tmp_path / "hub" / "data" / "test_prefs-00000-of-00001.jsonl", 10, 2)
    return tmp_path / "hub"


@pytest.fixture
def hub(layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """``datasets.load_dataset`` that finds the repository ``org/pairs`` in a local folder; the list holds its calls."""
    calls: list[tuple[Any, ...]] = []
    load: Callable[..., Any] = datasets.load_dataset

    def load_local(path: str, name: str | None = None, *, revision: str | None = None, **options: Any) -> Any:
        calls.append((path, name, revision, options))
        return load(str(layout), name, cache_dir=str(tmp_path / "cache"), **options)

    monkeypatch.setattr(datasets, "load_dataset", load_local)
    return calls


SLICES = [
    ("train", 0, 10),
    ("train[:3]", 0, 3),
    ("[2:4]", 2, 4),
    ("train[7:]", 7, 10),
    ("train[-2:]", 8, 10),
    ("train[:25%]", 0, 2),
    ("train[10%:-10%]", 1, 9),
    ("train[-10%:]", 9, 10),
    ("train[5:100]", 5, 10),
]


@pytest.mark.parametrize(("split", "start", "stop"), SLICES)
def test_slices_of_files_and_lists_are_those_of_the_datasets_library(
    ten: Path, split: str, start: int, stop: int
) -> None:
    expected = list(range(start, stop))
    assert numbers(ten, split) == expected
    assert numbers([{"n": n} for n in range(10)], split) == expected
    if split[0] != "[":
        reference = datasets.ReadInstruction.from_spec(split).to_absolute({"train": 10})[0]
        assert (reference.from_ or 0, reference.to or 10) == (start, stop)


@pytest.mark.parametrize(
    "split", ["train[", "train[1]", "train[a:b]", "train[:5%]x", "train[:1.5%]", "train[:200%]", "a[:1]b[:1]"]
)
def test_a_split_that_cannot_be_read_is_refused(split: str) -> None:
    with pytest.raises(DataError, match="split"):
        parse_split(split)
    assert parse_split("train[:5%]") == SplitSlice("train", None, (5, "%"))


def test_slices_that_need_a_count_are_refused_where_there_is_none() -> None:
    rows: Iterator[dict[str, int]] = ({"n": n} for n in range(10))
    with pytest.raises(DataError, match="need the number of rows"):
        numbers(rows, "train[:50%]")


def test_one_file_has_no_other_split(ten: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is one file, so there is no split 'test'"):
        numbers(ten, "test")
    assert numbers(write(tmp_path / "test.jsonl", 5, 1), "test") == [5]


def test_a_folder_of_splits_wants_a_name(layout: Path) -> None:
    assert numbers(layout, "train") == [0, 1, 2, 3]
    assert numbers(layout, "train[-1:]") == [3]
    assert numbers(layout, "test_prefs") == numbers(layout, "test") == [10, 11]
    with pytest.raises(DataError, match="holds several splits: test_prefs, train; name one"):
        numbers(layout)
    with pytest.raises(DataError, match=r"no split 'trian' \(did you mean 'train'\?\); it holds: test_prefs, train"):
        numbers(layout, "trian")


def test_a_folder_without_split_names_is_one_train_split(tmp_path: Path) -> None:
    write(tmp_path / "d" / "a.jsonl", 0, 1)
    write(tmp_path / "d" / "b.jsonl", 1, 1)
    assert numbers(tmp_path / "d") == numbers(str(tmp_path / "d"), "train") == [0, 1]


@pytest.mark.parametrize("source", ["pairs.jsonl", "./pairs", "~/pairs", "/tmp/no/pairs", "a/b/c", "two words"])
def test_what_looks_like_a_path_is_not_looked_up_on_the_hub(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(datasets, "load_dataset")
    with pytest.raises(DataError, match="no such file"):
        open_source(source)


def test_folders_of_save_to_disk_load(tmp_path: Path) -> None:
    data = datasets.Dataset.from_list([{"n": n} for n in range(4)])
    data.save_to_disk(str(tmp_path / "one"))
    datasets.DatasetDict(train=data, test=data.select([3])).save_to_disk(str(tmp_path / "dict"))
    assert numbers(tmp_path / "one", "train[:50%]") == [0, 1]
    assert numbers(tmp_path / "dict", "test") == [3]
    assert numbers(tmp_path / "dict", "train[1:2]") == [1]
    with pytest.raises(DataError, match="several splits: test, train"):
        numbers(tmp_path / "dict")
    with pytest.raises(DataError, match="no split 'dev'"):
        numbers(tmp_path / "dict", "dev")


def test_data_sets_in_memory_give_plain_rows() -> None:
    data = datasets.Dataset.from_list([{"n": n} for n in range(4)])
    rows = list(open_source(data.with_format("numpy")).read())
    assert rows[1] == ("row 2", {"n": 1})
    assert type(rows[1][1]["n"]) is int
    assert numbers(data.to_iterable_dataset(), "train[:2]") == [0, 1]
    assert numbers(datasets.DatasetDict(only=data)) == [0, 1, 2, 3]


@pytest.mark.parametrize(("source", "problem"), [({"chosen": ["a"]}, "got one mapping"), (5, "got int")])
def test_things_that_are_no_rows_are_refused(source: object, problem: str) -> None:
    with pytest.raises(DataError, match=problem):
        open_source(source)


def test_a_hub_data_set_is_loaded_by_name(hub: list[tuple[Any, ...]]) -> None:
    assert numbers("org/pairs", "train[:50%]", revision="v1") == [0, 1]
    assert hub == [("org/pairs", None, "v1", {"split": "train[:50%]", "streaming": False})]
    assert next(open_source("org/pairs:default").read())[0] == "org/pairs:default[train]:1"
    assert hub[1][:2] == ("org/pairs", "default")


def test_a_hub_data_set_is_streamed_and_sliced_by_absolute_bounds(hub: list[tuple[Any, ...]]) -> None:
    assert numbers("org/pairs", "train[1:3]", streaming=True) == [1, 2]
    assert hub[0][3] == {"split": "train", "streaming": True}
    with pytest.raises(DataError, match="need the number of rows"):
        numbers("org/pairs", "train[:50%]", streaming=True)


@pytest.mark.usefixtures("hub")
@pytest.mark.parametrize("streaming", [False, True])
def test_a_missing_split_of_a_hub_data_set_lists_those_there_are(streaming: bool) -> None:
    with pytest.raises(DataError, match=r"cannot load 'org/pairs', split 'nope'.*no such file.*'train'"):
        numbers("org/pairs", "nope", streaming=streaming)


def test_a_hub_that_cannot_be_reached_is_an_error_with_all_that_was_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        DataError, match=r"cannot load 'no-such-org/no-such-pairs', split 'train'.*no such file or folder"
    ):
        open_source("no-such-org/no-such-pairs")


def test_a_revision_of_a_local_file_is_refused(ten: Path) -> None:
    with pytest.raises(DataError, match="revision 'v1' has no effect"):
        open_source(ten, revision="v1")
