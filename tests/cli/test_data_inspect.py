"""``plaudit data inspect`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "pairs.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for i in range(30):
            row = {"prompt": f"Question {i}: why is the sky blue?", "source": "ab"[i % 2]}
            row |= {"chosen": f"Because of the air, {i}." + " And light." * (i % 4), "rejected": f"No idea {i}"}
            print(json.dumps(row), file=out)
        print(json.dumps({"prompt": "Question 3: why is the sky blue?", "chosen": "four", "rejected": "4"}), file=out)
    return file


def test_the_report_fits_the_terminal_and_names_the_command(run, data: Path) -> None:
    result = run("data", "inspect", data, "--no-embeddings")
    assert result.exit_code == 0, result.stderr
    assert "31 pairs, 30 prompts" in result.stdout
    assert "--drop near-identical" in result.stdout
    assert "line 31: numbers written otherwise" in result.stdout
    assert "noise: embeddings were left out" in " ".join(result.stdout.split())
    assert all(len(line) <= 80 for line in result.stdout.splitlines() if str(data) not in line)


def test_everything_is_there_as_json_and_as_a_page(run, data: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("PLAUDIT_CACHE", str(tmp_path / "cache"))
    page = tmp_path / "report.html"
    arguments = ("data", "inspect", data, "--benchmark", data, "--against", data, "--max-length", "16", "--html", page)
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert [(each["kind"], each["exact"]) for each in report["shared"]] == [("against", 30), ("benchmark", 30)]
    assert {"leaked", "contaminated", "too-long"} <= {finding["name"] for finding in report["findings"]}
    assert sum(cluster["size"] for cluster in report["clusters"]["clusters"]) == 30
    assert report["noise"]["checked"] == 31
    assert f"wrote {page}" in result.stderr.replace("\n", "")
    assert "What the prompts are about" in page.read_text(encoding="utf-8")
    again = run(*arguments)
    assert again.exit_code == 2
    assert "--overwrite replaces it" in again.stderr.replace("\n", " ")


def test_a_reward_model_brings_its_rendering_and_limit(run, data: Path, reward_model: Path) -> None:
    result = run("data", "inspect", data, "--no-embeddings", "--model", reward_model, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["tokens"]["max_length"] == 64
    shorter = run("data", "inspect", data, "--no-embeddings", "--model", reward_model, "--max-length", "24", "--json")
    command = next(f["command"] for f in json.loads(shorter.stdout)["findings"] if f["name"] == "too-long")
    assert command.endswith(f"--drop too-long --max-length 24 --model {reward_model}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--overwrite"], "--overwrite belongs to --html"),
        (["--full", "--sample", "100"], "one of the two"),
        (["--sample", "100", "--no-embeddings"], "no effect"),
        (["--chosen-column", "best"], "no column 'best'"),
        (["--benchmark", "missing.jsonl"], "no such file"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--html", "."], "is a folder"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(run, data: Path, arguments: list[str], message: str) -> None:
    result = run("data", "inspect", data, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_bad_rows_stop_or_are_counted(run, data: Path) -> None:
    with data.open("a", encoding="utf-8") as out:
        out.write("{broken\n")
    result = run("data", "inspect", data, "--no-embeddings")
    assert result.exit_code == 2
    assert "pairs.jsonl:32" in result.stderr
    result = run("data", "inspect", data, "--no-embeddings", "--on-bad-row", "skip")
    assert result.exit_code == 0
    assert "1 of 32 rows cannot be used" in result.stdout


def test_files_of_another_shape_are_sent_to_convert(run, tmp_path: Path) -> None:
    file = tmp_path / "ab.jsonl"
    file.write_text('{"prompt": "p", "response_a": "x", "response_b": "y", "winner": "a"}\n')
    result = run("data", "inspect", file)
    assert result.exit_code == 2
    assert "plaudit data convert" in result.stderr
