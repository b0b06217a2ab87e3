"""``plaudit data select`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PLAUDIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def pool(write_rows: Any) -> Path:
    rows = [
        {"prompt": f"Why is {what} {how}?", "response_a": f"Because of {how} light.", "response_b": f"No idea, {what}."}
        for what in ("the sky", "snow", "grass")
        for how in ("blue", "white", "green", "cold")
    ]
    return write_rows("pool.jsonl", *rows)


@pytest.fixture
def labelled(write_rows: Any, pool: Path) -> Path:
    rows = [json.loads(line) for line in pool.read_text().splitlines()[:6]]
    return write_rows(
        "labelled.jsonl",
        *({"prompt": row["prompt"], "chosen": row["response_a"], "rejected": row["response_b"]} for row in rows),
    )


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_queue_is_chosen_before_the_first_label(run, pool: Path, tmp_path: Path) -> None:
    queue = tmp_path / "queue.jsonl"
    result = run("data", "select", pool, queue, "--features", "embedded", "--budget", "4")
    assert result.exit_code == 0, result.stderr
    assert [row["acquisition_rank"] for row in lines(queue)] == [1, 2, 3, 4]
    assert "12 rows read, 12 pairs to choose from" in result.stderr
    assert "plaudit data label" in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_labelled_pairs_are_learned_from_and_left_out(run, pool: Path, labelled: Path, tmp_path: Path) -> None:
    queue = tmp_path / "queue.parquet"
    arguments = ["--features", "embedded", "--labelled", labelled, "--budget", "6", "--json"]
    result = run("data", "select", pool, queue, *arguments)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["pool"]["labelled"], report["pool"]["candidates"], report["labelled"]) == (6, 6, 6)
    assert report["ridge"] > 0
    assert queue.exists()


@pytest.mark.parametrize("method", ["fisher", "margin"])
def test_a_reward_model_chooses(
    run, pool: Path, labelled: Path, reward_model: Path, method: str, tmp_path: Path
) -> None:
    queue = tmp_path / "queue.csv"
    arguments = ["--model", reward_model, "--method", method, "--budget", "3", "--labelled", labelled]
    result = run("data", "select", pool, queue, *arguments)
    assert result.exit_code == 0, result.stderr
    assert queue.read_text().splitlines()[0] == "prompt,response_a,response_b,acquisition,acquisition_rank"


def test_two_models_disagree_about_a_queue(run, pool: Path, reward_model: Path, tmp_path: Path) -> None:
    arguments = ["--model", reward_model, "--model", reward_model, "--method", "disagreement", "--budget", "2"]
    result = run("data", "select", pool, tmp_path / "queue.jsonl", *arguments)
    assert result.exit_code == 0, result.stderr
    assert [row["acquisition"] for row in lines(tmp_path / "queue.jsonl")] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "20", "--method", "random"], "the budget is 20, but there are only 12 pairs"),
        (["--budget", "2"], "needs models (--model) or features (--features embedded)"),
        (["--budget", "2", "--method", "fischer"], "did you mean 'fisher'"),
        (["--budget", "2", "--method", "random", "--device", "cpu"], "--device: no effect without --model"),
        (["--budget", "2", "--model", "x", "--features", "embedded"], "one of the two"),
        (["--budget", "2", "--features", "embedded", "--ensemble", "5"], "members (--ensemble): no effect"),
        (["--budget", "2", "--features", "embedded", "--dtype", "float32"], "--dtype: no effect without --model"),
        (["--budget", "2", "--method", "random", "--prompt-column", "ask"], "no column 'ask' for prompt"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    run, pool: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    result = run("data", "select", pool, tmp_path / "queue.jsonl", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "queue.jsonl").exists()


def test_outputs_are_not_overwritten_unasked_and_never_the_input(run, pool: Path, tmp_path: Path) -> None:
    queue = tmp_path / "queue.jsonl"
    queue.write_text("mine")
    arguments = ["--method", "random", "--budget", "2"]
    assert "--overwrite replaces it" in run("data", "select", pool, queue, *arguments).stderr
    assert queue.read_text() == "mine"
    assert run("data", "select", pool, queue, *arguments, "--overwrite").exit_code == 0
    assert len(lines(queue)) == 2
    result = run("data", "select", pool, pool, *arguments, "--overwrite")
    assert result.exit_code == 2
    assert "read while it would be written" in result.stderr


def test_bad_rows_are_named_or_skipped(run, pool: Path, tmp_path: Path) -> None:
    with pool.open("a") as file:
        file.write('{"prompt": "p", "response_a": "only one"}\n')
    arguments = ["--method", "random", "--budget", "2"]
    result = run("data", "select", pool, tmp_path / "queue.jsonl", *arguments)
    assert result.exit_code == 2
    assert f"{pool}:13" in result.stderr.replace("\n", "")
    result = run("data", "select", pool, tmp_path / "queue.jsonl", *arguments, "--on-bad-row", "skip")
    assert result.exit_code == 0
    assert "1 rows skipped: they cannot be used" in result.stderr


def test_without_an_output_the_rows_are_printed(run, pool: Path) -> None:
    result = run("data", "select", pool, "--method", "random", "--budget", "3")
    assert result.exit_code == 0
    assert [json.loads(line)["acquisition_rank"] for line in result.stdout.splitlines()] == [1, 2, 3]
    assert "name an OUTPUT" in run("data", "select", pool, "--method", "random", "--budget", "3", "--json").stderr
    assert (
        "belongs to OUTPUT" in run("data", "select", pool, "--method", "random", "--budget", "3", "--overwrite").stderr
    )
