"""``plaudit benchmarks``, ``best-of-n`` and ``leaderboard`` as a user types them, and benchmarks side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from plaudit.cli.any_scorer import load_any_scorer
from plaudit.cli.benchmarks import print_benchmarks, run_benchmarks
from plaudit.errors import ConfigError

LONG = "length{unit: characters, low: 50}"


@pytest.fixture
def candidates(write_rows) -> Path:
    rows = [
        {"prompt": f"Q{i}", "responses": ["a" * (1 + (i + k) % 6) for k in range(5)], "gold": [k % 3 for k in range(5)]}
        for i in range(12)
    ]
    return write_rows("candidates.jsonl", *rows)


@pytest.fixture
def outputs(write_rows) -> list[Path]:
    return [
        write_rows(f"{name}.jsonl", *({"prompt": f"Q{i}", "output": "a" * (i % 4 + extra)} for i in range(12)))
        for name, extra in (("one", 1), ("two", 2), ("three", 3))
    ]


def test_benchmarks_are_listed(run) -> None:
    table = run("benchmarks")
    assert table.exit_code == 0
    assert max(map(len, table.stdout.splitlines())) <= 80
    listed = {info["name"]: info for info in json.loads(run("benchmarks", "--json").stdout)}
    assert listed["rm-bench"]["hub"] == "THU-KEG/RM-Bench"
    assert all(name in table.stdout for name in listed)


def test_best_of_n_is_told_drawn_and_given_as_json(run, candidates: Path, tmp_path: Path) -> None:
    picture = tmp_path / "curve.png"
    result = run("best-of-n", candidates, "--model", LONG, "--gold", "length{target: 3}", "--plot", picture)
    assert result.exit_code == 0, result.stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "12 prompts, 60 responses" in result.stderr
    document = json.loads(run("best-of-n", candidates, "--model", LONG, "--gold-column", "gold", "--json").stdout)
    assert [point["n"] for point in document["points"]] == [1, 2, 3, 4, 5]
    assert document["random"]["value"] == pytest.approx((0 + 1 + 2 + 0 + 1) / 5)
    assert document["gold"] == "column gold"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --output FILE for the best responses, --gold SCORER or --gold-column NAME for a curve"),
        (["--gold", "length", "--gold-column", "gold"], "one of the two"),
        (["--gold-column", "quality"], "no column 'quality' for the gold scores"),
        (["--gold", "lenght"], "lenght"),
        (["--gold-column", "gold", "--device", "cpu"], "--device: no effect on reward functions"),
        (["--gold-column", "gold", "--overlong", "cut"], "--overlong: no effect on reward functions"),
        (["--gold-column", "gold", "--plot", "curve.pdf"], "expected a name that ends in .png"),
        (["--gold-column", "gold", "--min-responses", "9"], "12 have fewer than 9 responses"),
    ],
)
def test_best_of_n_refuses_in_one_line(run, candidates: Path, arguments: list[str], message: str) -> None:
    result = run("best-of-n", candidates, "--model", LONG, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_a_picture_that_is_there_is_kept(run, candidates: Path, tmp_path: Path) -> None:
    picture = tmp_path / "curve.png"
    picture.write_text("mine")
    arguments = ["best-of-n", candidates, "--model", LONG, "--gold-column", "gold", "--plot", picture]
    assert "exists already; --overwrite replaces it" in " ".join(run(*arguments).stderr.split())
    assert picture.read_text() == "mine"
    assert run(*arguments, "--overwrite").exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_leaderboard_is_printed_written_and_given_as_json(run, outputs: list[Path], tmp_path: Path) -> None:
    board = tmp_path / "board.md"
    result = run("leaderboard", *outputs, "--model", LONG, "--baseline", "one", "--markdown", board)
    assert result.exit_code == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "against one" in result.stdout
    assert board.read_text().splitlines()[2].startswith("| 1 | three |")
    document = json.loads(run("leaderboard", *outputs, "--model", LONG, "--json").stdout)
    assert [s["system"] for s in document["standings"]] == ["three", "two", "one"]
    assert document["matrix"]["three"]["one"]["value"] == 1.0
    assert "exists already" in run("leaderboard", *outputs, "--model", LONG, "--markdown", board).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--baseline", "ones"], "did you mean 'one'"),
        (["--markdown", "board.txt"], "expected a name that ends in .md"),
        (["--response-column", "text"], "text"),
        (["--revision", "x"], "--revision: no effect on reward functions"),
    ],
)
def test_a_leaderboard_refuses_in_one_line(run, outputs: list[Path], arguments: list[str], message: str) -> None:
    result = run("leaderboard", *outputs, "--model", LONG, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_learned_model_judges(run, outputs: list[Path], reward_model: Path) -> None:
    result = run("leaderboard", *outputs, "--model", reward_model, "--device", "cpu", "--json")
    assert result.exit_code == 0, result.stderr
    assert len(json.loads(result.stdout)["standings"]) == 3


def benchmark_rows(write_rows: Any) -> Path:
    row = {"prompt": "Q", "chosen": ["a", "bb", "ccc"], "rejected": ["dddd", "ee", "f"], "domain": "code"}
    return write_rows("rm.jsonl", *(row | {"prompt": f"Q{i}"} for i in range(12)))


def test_models_stand_side_by_side_with_paired_differences(write_rows, capsys: pytest.CaptureFixture[str]) -> None:
    models = [(name, load_any_scorer(name, {})) for name in (LONG, "length{unit: characters, target: 1}")]
    path = benchmark_rows(write_rows)
    reports = run_benchmarks(models, ["rm-bench"], path)
    print_benchmarks(reports)
    told = capsys.readouterr()
    assert max(map(len, told.out.splitlines())) <= 80
    assert "12 rows of 12 prompts" in told.err
    assert "overall is of 1 of 4 domains: no rows of chat, math, safety" in " ".join(told.err.split())
    print_benchmarks(reports, as_json=True)
    document = json.loads(capsys.readouterr().out)["rm-bench"]
    first, second = (report["overall"]["value"] for report in document["reports"])
    assert document["differences"][0]["value"] == pytest.approx(second - first)


def test_what_benchmarks_cannot_run_is_refused(write_rows) -> None:
    models = [(LONG, load_any_scorer(LONG, {}))]
    path = benchmark_rows(write_rows)
    for arguments, message in (
        (([], ["rm-bench"], path), "name a model"),
        ((models, [], path), "name a benchmark"),
        ((models, ["rm-bench", "rm-bench"], path), "named twice"),
        ((models, ["rm-bench", "judgebench"], path), "--benchmark-data is of one benchmark"),
        ((models, ["rmbench"], path), "did you mean 'rm-bench'"),
    ):
        with pytest.raises(ConfigError, match=message):
            run_benchmarks(*arguments)
    with pytest.raises(ConfigError, match="--overlong cut: no effect on reward functions"):
        run_benchmarks(models, ["rm-bench"], path, overlong="cut")
    with pytest.raises(ConfigError, match="no published scores"):
        run_benchmarks([], ["rm-bench"], path, published=True)
