"""Loading counts every row, drops what cannot teach, stores on disk, and stops with the reason."""

from __future__ import annotations

import gc
import json
import pickle
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import datasets
import pytest

from plaudit.data import Columns, DataReport, PreferenceData, load_preferences, stream_preferences
from plaudit.errors import ConfigError, DataError, RowError
from plaudit.types import Example, PreferencePair, prompt_group


def pair(prompt: str | None, chosen: Any, rejected: Any, **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


MESSY = [
    pair("p", "a", "b", source="x"),
    pair("p", "a", "b", source="y"),  # the same pair again
    pair("p", "b", "a", source="x"),  # the other way round
    pair("p", "a", "a"),
    pair("p", "a", "  "),
    pair("p", "a", 5),
    pair("q", "a", "b"),
]


def write(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def totals(report: DataReport) -> tuple[int, ...]:
    return tuple(
        getattr(report, name)
        for name in ("rows", "kept", "bad", "empty", "identical", "duplicates", "contradictory", "over_limit")
    )


def test_every_row_is_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", MESSY)
    data = load_preferences(path, on_bad_row="skip")
    assert totals(data.report) == (7, 3, 1, 1, 1, 1, 1, 0)
    assert data.report.sources == {"x": 2}
    assert data.report.problems == [f"{path}:6: rejected is a number (5); expected text or a list of messages"]
    assert [(e.prompt, *e.responses, e.location) for e in data] == [
        ("p", "a", "b", f"{path}:1"),
        ("p", "b", "a", f"{path}:3"),
        ("q", "a", "b", f"{path}:7"),
    ]
    assert data.report.lines() == [
        "7 rows read, 3 kept",
        "1 skipped: the row cannot be used",
        "1 dropped: a response is empty",
        "1 dropped: chosen and rejected are identical",
        "1 dropped: the same pair came before",
        "1 kept, but an earlier row has the same two responses the other way round",
        f"  {path}:6: rejected is a number (5); expected text or a list of messages",
    ]
    assert json.loads(json.dumps(data.report.to_dict()))["bad"] == 1


def test_a_bad_row_stops_the_loading_with_its_file_and_line(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", MESSY)
    with pytest.raises(RowError, match=r"d\.jsonl:6: rejected is a number") as caught:
        load_preferences(path)
    assert caught.value.location == f"{path}:6"


def test_lines_that_cannot_be_read_are_skipped_on_demand_only(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(b'{"chosen": "a", "rejected": "b"}\n{"chosen": "\xfc"}\n{]\n' * 4)
    report = load_preferences(path, on_bad_row="skip").report
    assert (report.rows, report.kept, report.bad, report.duplicates) == (12, 1, 8, 3)
    assert len(report.problems) == 5
    assert report.lines()[-1] == "  … and 3 more"
    with pytest.raises(RowError, match=r"d\.jsonl:2: byte 0xfc"):
        load_preferences(path)


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([], "0 rows read, 0 kept"),
        (
            [pair("p", "a", "a"), pair("q", "b", "b")],
            "2 rows read, 0 kept; 2 dropped: chosen and rejected are identical",
        ),
        ([pair("p", "", "a")], "1 dropped: a response is empty"),
        ([pair("p", "a", [{"role": "assistant", "content": ""}])], "chosen is text and rejected is a conversation"),
        ([pair("p", 1, 2)], "1 skipped: the row cannot be used; .*chosen is a number"),
    ],
)
def test_no_data_is_an_error_that_says_where_the_rows_went(
    tmp_path: Path, rows: list[dict[str, Any]], reason: str
) -> None:
    with pytest.raises(DataError, match=rf"no data in .*d\.jsonl: .*{reason}"):
        load_preferences(write(tmp_path / "d.jsonl", rows), on_bad_row="skip")


def test_blank_conversations_are_empty_but_tool_calls_are_not() -> None:
    def turn(content: str | None, **more: Any) -> list[dict[str, Any]]:
        return [{"role": "assistant", "content": content, **more}]

    call = [{"function": {"name": "f", "arguments": {}}}]
    rows = [pair("p", turn("a"), turn(" ")), pair("q", turn("a"), turn("", tool_calls=call)), pair("r", turn("a"), [])]
    report = load_preferences(rows).report
    assert (report.kept, report.empty) == (1, 2)


def test_half_a_surrogate_pair_is_a_bad_row(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text('{"chosen": "a", "rejected": "b"}\n{"chosen": "\\ud800", "rejected": "b"}\n')
    with pytest.raises(RowError, match=r"d\.jsonl:2: the text holds \\ud800, half of a surrogate pair"):
        load_preferences(path)


def test_columns_are_mapped() -> None:
    data = load_preferences([{"q": "p", "good": "a", "bad": "b"}], columns=Columns("q", "good", "bad"))
    assert (data[0].prompt, data[0].responses) == ("p", ("a", "b"))
    with pytest.raises(RowError, match=r"row 1: no column 'godo'.*did you mean 'good'.*: q, good, bad"):
        load_preferences([{"q": "p", "good": "a", "bad": "b"}], columns=Columns("q", "godo", "bad"))


def test_pairs_and_examples_in_memory_load() -> None:
    tools = [{"name": "f"}]
    examples = [
        Example(prompt="p", responses=("a", "b", "a"), labels=(3.0, 2.0, 1.0), margin=0.5, tools=tools, location="x:1"),
        Example(prompt=None, responses=("a",), labels=(0.3,)),
        Example(prompt=None, responses=("", ""), labels=(1.0, 0.0), input_ids=([1, 2], [3]), group="g"),
    ]
    data = load_preferences([PreferencePair("p", "a", "b", weight=2), PreferencePair(None, "a", "b"), *examples])
    assert data.report.kept == 5
    assert [example.group for example in data] == [prompt_group(text) for text in ("p", "a\0b", "p", "a")] + ["g"]
    assert data[2] == Example.from_row(examples[0].to_row() | {"group": prompt_group("p")})
    assert data[4].input_ids == ([1, 2], [3])
    assert (data[0].weight, data[0].location, data[2].location) == (2.0, "row 1", "x:1")
    for bad in (PreferencePair("p", "a", "b", margin=float("nan")), PreferencePair("p", 5, "b"), "text"):  # type: ignore[arg-type]
        with pytest.raises(RowError, match=r"^row 1: "):
            load_preferences([bad])  # type: ignore[list-item]


def test_opposite_soft_labels_are_told_from_duplicates() -> None:
    def example(first: float, second: float) -> Example:
        return Example(prompt="p", responses=("a", "b"), labels=(first, second))

    report = load_preferences([example(1, 0), example(0, 1), example(0.5, 0.5), example(0.5, 0.5)]).report
    assert (report.kept, report.duplicates) == (3, 1)


def test_a_sample_is_uniform_seeded_and_in_order() -> None:
    rows = [pair(f"p{n}", "a", "b", source=str(n % 2)) for n in range(100)]
    data = load_preferences(rows, max_samples=20)
    numbers = [int(str(example.prompt)[1:]) for example in data]
    assert len(set(numbers)) == 20
    assert numbers == sorted(numbers)
    assert numbers != list(range(20))
    assert totals(data.report) == (100, 20, 0, 0, 0, 0, 0, 80)
    assert sum(data.report.sources.values()) == 20
    assert load_preferences(rows, max_samples=20).report == data.report
    assert load_preferences(rows, max_samples=20, seed=1).report.fingerprint != data.report.fingerprint
    assert load_preferences(rows, max_samples=200).report.over_limit == 0


def test_the_fingerprint_is_of_the_content_and_not_of_its_place(tmp_path: Path) -> None:
    rows = [pair("p", "a", "b"), pair("q", "c", "d")]
    data = load_preferences(rows)
    assert load_preferences(write(tmp_path / "d.jsonl", rows)).report.fingerprint == data.report.fingerprint
    others = [rows[::-1], rows[:1], [rows[0], pair("q", "c", "e")], [rows[0], pair("q", "c", "d", margin=1)]]
    assert len({load_preferences(other).report.fingerprint for other in others} | {data.report.fingerprint}) == 5
    assert data.select([0]).report.fingerprint == load_preferences(rows[:1]).report.fingerprint


@pytest.mark.parametrize("options", [{"max_samples": 0}, {"on_bad_row": "ignore"}])
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        load_preferences([pair("p", "a", "b")], **options)


def test_progress_is_told() -> None:
    told: list[int] = []
    rows = (pair(f"p{n}", "a", "b") for n in range(2500))
    load_preferences(rows, progress=told.append)
    assert told == [1000, 2000, 2500]


def test_a_selection_has_its_own_report_and_outlives_its_parent() -> None:
    data: PreferenceData | None = load_preferences([pair(f"p{n}", "a", "b", source="x") for n in range(5)])
    assert data is not None
    folder = Path(data.dataset.cache_files[0]["filename"]).parent
    part = data.select([4, 1])
    del data
    gc.collect()
    assert [example.prompt for example in part] == ["p4", "p1"]
    assert totals(part.report)[:2] == (2, 2)
    assert part.report.sources == {"x": 2}
    copy = pickle.loads(pickle.dumps(part))
    assert copy[0] == part[0]
    del copy
    gc.collect()
    assert folder.exists()
    del part
    gc.collect()
    assert not folder.exists()


def test_rows_of_ten_megabytes_are_stored_on_disk(tmp_path: Path) -> None:
    big = "ü" * 10_000_000
    data = load_preferences(write(tmp_path / "d.jsonl", [pair(str(n), big, "b") for n in range(3)]))
    assert data[2].responses == (big, "b")
    assert data.dataset.cache_files


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = "import sys, plaudit.data; sys.exit(any(m in sys.modules for m in ('datasets', 'torch', 'pyarrow')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- streaming --------------------------------------------------------------------------------------------------------


def test_a_stream_gives_the_rows_of_a_load_on_every_pass(tmp_path: Path) -> None:
    path = write(tmp_path / "d.jsonl", MESSY)
    loaded = load_preferences(path, on_bad_row="skip")
    stream = stream_preferences(path, on_bad_row="skip")
    for _ in range(2):
        assert list(stream) == list(loaded)
        assert stream.report == loaded.report
    assert isinstance(stream.dataset, datasets.IterableDataset)
    assert list(stream.dataset) == list(loaded.dataset)
    assert stream.dataset.features == loaded.dataset.features


def test_a_stream_counts_while_it_runs_and_stops_at_its_limit() -> None:
    stream = stream_preferences([pair(f"p{n}", "a", "b") for n in range(9)], max_samples=3)
    rows = iter(stream)
    next(rows)
    assert stream.report.kept == 1
    assert [example.prompt for example in rows] == ["p1", "p2"]
    assert stream.report.rows == 3


def test_a_stream_complains_at_once_about_its_source_and_later_about_its_rows(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        stream_preferences(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="an iterator can be read only once"):
        stream_preferences(iter([pair("p", "a", "b")]))
    with pytest.raises(RowError, match="row 1: chosen is a number"):
        list(stream_preferences([pair("p", 1, "b")]))
    with pytest.raises(DataError, match="no data in data in memory: 1 rows read"):
        list(stream_preferences([pair("p", "a", "a")]))
