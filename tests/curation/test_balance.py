"""Drawing and weighting so that values count alike."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.curation.balance import balance_preferences
from plaudit.errors import ConfigError, DataError, OutputError, RowError


def rows_of(**counts: int) -> list[dict]:
    return [
        {"prompt": f"{v}{i}", "chosen": "a", "rejected": "b", "kind": v} for v, n in counts.items() for i in range(n)
    ]


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize(
    ("to", "expected", "short"),
    [(None, (2, 2, 2), 0), ("min", (2, 2, 2), 0), ("mean", (6, 6, 2), 1), (4, (4, 4, 2), 1)],
)
def test_each_value_is_brought_to_the_target(tmp_path: Path, to, expected: tuple[int, ...], short: int) -> None:
    rows = rows_of(a=10, b=6, c=2)  # 18 rows of 3 values: mean 6
    report = balance_preferences(rows, tmp_path / "out.jsonl", "kind", to=to)
    kept = read(tmp_path / "out.jsonl")
    counts = Counter(row["kind"] for row in kept)
    assert tuple(counts[value] for value in "abc") == expected == tuple(report.after.values())
    assert (report.before, report.short, report.written) == ({"a": 10, "b": 6, "c": 2}, short, sum(expected))
    assert kept == [row for row in rows if row in kept]


def test_weights_make_each_value_count_alike_and_the_mean_weight_stays(tmp_path: Path) -> None:
    rows = rows_of(a=6, b=2)
    rows[0]["weight"] = 3.0  # a: 3 + 5 = 8, b: 2; mean 5
    report = balance_preferences(rows, tmp_path / "out.jsonl", "kind", weights=True)
    kept = read(tmp_path / "out.jsonl")
    assert [row["weight"] for row in kept] == pytest.approx([15 / 8, *[5 / 8] * 5, 2.5, 2.5])
    assert report.after == pytest.approx({"a": 5, "b": 5})
    assert sum(row["weight"] for row in kept) == pytest.approx(10)
    assert [{**row, "weight": None} for row in kept] == [{**row, "weight": None} for row in rows]
    report = balance_preferences(rows, tmp_path / "min.jsonl", "kind", weights=True, to="min")
    assert report.after == pytest.approx({"a": 2, "b": 2})


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=40), st.integers(0, 3))
def test_weights_always_sum_to_the_same(tmp_path_factory, kinds: list[str], seed: int) -> None:
    path = tmp_path_factory.mktemp("balance") / "out.jsonl"
    balance_preferences([{"kind": kind} for kind in kinds], path, "kind", weights=True, to=7, seed=seed)
    sums: Counter[str] = Counter()
    for row in read(path):
        sums[row["kind"]] += row["weight"]
    assert all(total == pytest.approx(7) for total in sums.values())


def test_the_draw_is_seeded(tmp_path: Path) -> None:
    rows = rows_of(a=50, b=5)
    for name, seed in (("x", 0), ("y", 0), ("z", 1)):
        balance_preferences(rows, tmp_path / f"{name}.jsonl", "kind", seed=seed)
    assert read(tmp_path / "x.jsonl") == read(tmp_path / "y.jsonl") != read(tmp_path / "z.jsonl")


def test_a_row_without_the_value_or_with_a_bad_weight_is_a_bad_row(tmp_path: Path) -> None:
    rows = [*rows_of(a=2, b=2), {"prompt": "x", "kind": None}, {"kind": "a", "weight": "heavy"}]
    with pytest.raises(RowError, match="row 5: kind is empty, but rows are balanced by it"):
        balance_preferences(rows, tmp_path / "out.jsonl", "kind")
    with pytest.raises(RowError, match="row 6: weight is 'heavy'; expected a number from 0"):
        balance_preferences([*rows[:4], rows[0], rows[5]], tmp_path / "out.jsonl", "kind", weights=True)
    report = balance_preferences(rows, tmp_path / "out.jsonl", "kind", weights=True, on_bad_row="skip")
    assert (report.bad, report.written) == (2, 4)


def test_what_cannot_be_balanced_is_refused(tmp_path: Path) -> None:
    rows, out = rows_of(a=4, b=2), tmp_path / "out.jsonl"
    for to in (0, -1, "median", True):
        with pytest.raises(ConfigError, match="min, mean or a number from 1"):
            balance_preferences(rows, out, "kind", to=to)
    with pytest.raises(RowError, match="no column 'knid'"):
        balance_preferences(rows, out, "knid")
    with pytest.raises(DataError, match="no good rows"):
        balance_preferences([], out, "kind")
    with pytest.raises(DataError, match="weights of 'b' sum to 0"):
        balance_preferences([{**r, "weight": int(r["kind"] == "a")} for r in rows], out, "kind", weights=True)
    for option in ({"bins": 3}, {"clusters": 3}, {"scorer": "length"}, {"overlong": "cut"}, {"device": "cpu"}):
        with pytest.raises(ConfigError, match="no effect"):
            balance_preferences(rows, out, "kind", **option)
    with pytest.raises(ConfigError, match="no effect"):
        balance_preferences(rows, out, "difficulty", clusters=3)
    assert not out.exists()
    out.write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        balance_preferences(rows, out, "kind")
