"""``plaudit data split``, ``sample``, ``balance``, ``augment`` and ``filter`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def one_line(result) -> str:
    assert result.exit_code == 2, result.stdout + result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    return result.stderr


def test_split_says_where_rows_went(run, pairs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "parts"
    result = run("data", "split", pairs, "--test-fraction", "0.25", "--stratify", "source", "--output", folder)
    assert result.exit_code == 0, result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "24 rows read, 24 written" in result.stderr
    assert len(lines(folder / "train.jsonl")) == 18
    assert {row["source"] for row in lines(folder / "test.jsonl")} == {"even", "odd"}
    assert "exists already" in one_line(run("data", "split", pairs, "--output", folder))
    result = run("data", "split", pairs, "--output", folder, "--overwrite", "--json", "--validation-fraction", "0.3")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert sum(report["parts"].values()) == 24
    assert Path(report["files"]["validation"]).is_file()


def test_sample_draws_rows_or_prompts(run, pairs: Path, tmp_path: Path) -> None:
    result = run("data", "sample", pairs, tmp_path / "a.csv", "--rows", "5")
    assert result.exit_code == 0, result.stderr
    assert "24 rows read, 5 written" in result.stderr
    result = run("data", "sample", pairs, tmp_path / "b.jsonl", "--fraction", "0.5", "--by-prompt", "--json")
    assert json.loads(result.stdout)["prompts"] == len(lines(tmp_path / "b.jsonl"))
    assert "one of the two" in one_line(run("data", "sample", pairs, tmp_path / "c.jsonl"))
    refused = run("data", "sample", pairs, tmp_path / "c.jsonl", "--rows", "5", "--group-by", "source")
    assert "--group-by: no effect where rows are drawn" in one_line(refused)


def test_balance_shows_before_and_after(run, pairs: Path, tmp_path: Path) -> None:
    skewed = tmp_path / "skewed.jsonl"
    skewed.write_text("".join(json.dumps(row) + "\n" for row in lines(pairs) if row["source"] == "odd") * 2)
    with skewed.open("a") as file:
        file.write(json.dumps(lines(pairs)[0]) + "\n")
    result = run("data", "balance", skewed, tmp_path / "even.jsonl", "--by", "source", "--to", "3")
    assert result.exit_code == 0, result.stderr
    assert len(lines(tmp_path / "even.jsonl")) == 4
    assert "1 values have fewer rows than that, and keep them all" in result.stderr
    assert max(map(len, result.stdout.splitlines())) <= 80
    arguments = ("--by", "difficulty", "--reward", "length{target: 9}", "--weights", "--bins", "2", "--json")
    rows = [{"prompt": f"p{n}", "chosen": "word " * (n % 9 + 1), "rejected": "no way"} for n in range(24)]
    (tmp_path / "lengths.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run("data", "balance", tmp_path / "lengths.jsonl", tmp_path / "weighted.jsonl", *arguments)
    assert result.exit_code == 0, result.stderr
    after = json.loads(result.stdout)["after"]
    assert len(set(map(round, after.values()))) == 1
    assert sum(row["weight"] for row in lines(tmp_path / "weighted.jsonl")) == pytest.approx(24)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--by", "source", "--to", "median"], "--to is min, mean or a number from 1"),
        (["--by", "sauce"], "no column 'sauce'"),
        (["--by", "source", "--model", "x", "--reward", "length"], "one of the two"),
        (["--by", "source", "--reward", "length"], "--model and --reward: no effect here"),
        (["--by", "source", "--dtype", "float32"], "--dtype: no effect without --model"),
        (["--by", "difficulty", "--device", "cpu"], "--device: no effect without --model"),
        (["--by", "prompt-cluster", "--bins", "3"], "--bins: no effect here"),
    ],
)
def test_balance_refuses_what_has_no_effect(run, pairs: Path, tmp_path: Path, arguments, message: str) -> None:
    assert message in one_line(run("data", "balance", pairs, tmp_path / "out.jsonl", *arguments))


def test_augment_counts_what_it_added(run, tmp_path: Path, write_rows) -> None:
    topics = ("cats", "trains", "bread", "stars")
    rows = [{"prompt": f"About {t}", "chosen": f"good {t}", "rejected": f"bad {t}", "prompt_id": t} for t in topics]
    file, out = write_rows("topics.jsonl", *rows), tmp_path / "more.jsonl"
    result = run("data", "augment", file, out, "--non-contextual", "1", "--ties", "0.5")
    assert result.exit_code == 0, result.stderr
    assert "4 rows as they were, first" in result.stderr
    assert "2 added: a tie of two replies of another prompt" in result.stderr
    assert [row.get("source", "")[:9] for row in lines(out)] == [""] * 4 + ["augmented"] * 6
    wordings = write_rows("wordings.jsonl", {"id": "cats", "prompt": "Felines?"})
    result = run("data", "augment", file, tmp_path / "worded.csv", "--paraphrases", wordings, "--json")
    assert json.loads(result.stdout)["paraphrases"] == 1
    assert "nothing to add" in one_line(run("data", "augment", file, tmp_path / "x.jsonl"))
    refused = run("data", "augment", file, tmp_path / "x.jsonl", "--ties", "1", "--id-column", "id")
    assert "--id-column: no effect without --paraphrases" in one_line(refused)
    refused = run("data", "augment", file, tmp_path / "x.jsonl", "--paraphrases", wordings, "--pool", "5")
    assert "--pool: no effect" in one_line(refused)


def test_filter_by_a_model_gives_the_scores_of_plaudit_score(run, reward_model: Path, write_rows, tmp_path) -> None:
    rows = [{"prompt": "Why?", "response": f"Because of {word}."} for word in ("air", "light", "nothing at all")]
    file, out = write_rows("rows.jsonl", *rows), tmp_path / "out.jsonl"
    result = run("data", "filter", file, out, "--model", reward_model, "--min-score", "-100", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    scored = run("score", file, "--model", reward_model, "--json", "--device", "cpu")
    expected = [json.loads(line) for line in scored.stdout.splitlines()]
    assert [row["score"] for row in lines(out)] == pytest.approx([row["score"] for row in expected])
    pair = tmp_path / "pair.jsonl"
    result = run("data", "filter", file, pair, "--model", reward_model, "--pairs", "--json", "--device", "cpu")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["prompts"] == 1
    scores = [row["score"] for row in expected]
    assert lines(pair)[0]["margin"] == pytest.approx(max(scores) - min(scores))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--min-score", "1"], "give --model NAME or --reward NAME"),
        (["--reward", "length"], "say what to keep"),
        (["--reward", "length", "--min-score", "1", "--batching", "padded"], "--batching belongs to --model"),
        (["--reward", "length", "--min-score", "1", "--overlong", "cut"], "only for a learned model"),
        (["--reward", "lenght", "--min-score", "1"], "did you mean 'length'"),
        (["--reward", "length", "--min-score", "1"], "which have two scores"),
    ],
)
def test_filter_refuses_in_one_line(run, pairs: Path, tmp_path: Path, arguments, message: str) -> None:
    assert message in one_line(run("data", "filter", pairs, tmp_path / "out.jsonl", *arguments))


def test_an_output_that_is_there_is_refused_before_a_model_loads(run, pairs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    out.write_text("mine")
    for command, *more in (("filter", "--min-score", "1"), ("balance", "--by", "difficulty")):
        refused = run("data", command, pairs, out, "--model", tmp_path / "no-such-model", *more)
        assert "exists already" in one_line(refused)
    assert out.read_text() == "mine"


@pytest.mark.parametrize("command", ["split", "sample", "balance", "augment", "filter"])
def test_help_has_examples_that_name_the_command(run, command: str) -> None:
    result = run("data", command, "--help")
    assert result.exit_code == 0
    assert f"plaudit data {command}" in result.stdout
    assert "--json" in result.stdout
