"""``plaudit data clean`` as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from plaudit.cli import data_clean
from plaudit.curation.clean import DROPPABLE

Run = Callable[..., Any]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def one_line(result: Any) -> str:
    assert result.exit_code == 2, result.stdout + result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    return str(result.stderr)


@pytest.fixture
def messy(write_rows: Callable[..., Path]) -> Path:
    good = {"prompt": "Why?", "chosen": "Because of it.", "rejected": "No idea", "id": 1}
    return write_rows("messy.jsonl", good, {**good, "id": 2}, {**good, "prompt": "How?", "chosen": " ", "id": 3})


def test_rows_are_dropped_and_the_rest_is_said(run: Run, messy: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    result = run("data", "clean", messy, output, "--drop", "duplicates", "--drop", "empty")
    assert result.exit_code == 0, result.stderr
    assert [row["id"] for row in lines(output)] == [1]
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "duplicates" in result.stdout
    assert "3 rows read, 1 kept" in result.stderr
    assert len(lines(tmp_path / "out.jsonl.ledger.jsonl")) == 2
    assert "exists already" in one_line(run("data", "clean", messy, output, "--drop", "empty"))


def test_json_is_one_document(run: Run, messy: Path, tmp_path: Path) -> None:
    result = run("data", "clean", messy, tmp_path / "out.csv", "--drop", "empty", "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["rows"], report["kept"], report["dropped"]) == (3, 2, {"empty": 1})
    assert report["output"] == str(tmp_path / "out.csv")


def test_a_dry_run_writes_nothing(run: Run, messy: Path, tmp_path: Path) -> None:
    result = run("data", "clean", messy, tmp_path / "out.jsonl", "--drop", "empty", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert "dry run: nothing was written" in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["messy.jsonl"]


def test_noise_is_flipped_without_embeddings(run: Run, write_rows: Callable[..., Path], tmp_path: Path) -> None:
    rows = [
        {"prompt": f"why {i}?", "chosen": f"it is because {i}", "rejected": f"who knows {i}"}
        if i % 6
        else {"prompt": f"why {i}?", "chosen": f"who knows {i}", "rejected": f"it is because {i}"}
        for i in range(90)
    ]
    data = write_rows("noisy.jsonl", *rows)
    output = tmp_path / "out.jsonl"
    result = run("data", "clean", data, output, "--flip", "noise", "--noise-threshold", "0.4", "--no-embeddings")
    assert result.exit_code == 0, result.stderr
    assert all("because" in row["chosen"] for row in lines(output))
    assert "of the labels look flipped" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to do"),
        (("--drop", "duplicate"), "--drop duplicate: expected one of duplicates"),
        (("--drop", "leaked"), "--drop leaked needs --against FILE"),
        (("--drop", "empty", "--full"), "--sample has no effect"),
        (("--drop", "noise", "--full", "--sample", "50"), "give one of the two"),
        (("--drop", "noise"), "label noise needs 20 pairs"),
    ],
)
def test_errors_are_one_line(run: Run, messy: Path, tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    assert message in one_line(run("data", "clean", messy, tmp_path / "out.jsonl", *arguments))
    assert not (tmp_path / "out.jsonl").exists()


def test_help_names_every_finding() -> None:
    assert set(data_clean.FINDINGS.split(", ")) == set(DROPPABLE)
