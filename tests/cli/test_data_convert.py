"""``plaudit data convert`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plaudit.data import load_preferences
from plaudit.data.convert import SHAPES
from plaudit.data.convert.shapes import ALIASES


@pytest.fixture
def ratings(write_rows) -> Path:
    texts = [("good", 4, 1), ("bad", 1, 5), ("fair", 3, 3)]
    rows = [{"prompt": "p", "response": t, "score": s, "scores": {"brief": b}, "id": 1} for t, s, b in texts]
    return write_rows(
        "ratings.jsonl", *rows, {"prompt": "q", "response": "alone", "score": 1, "scores": {"brief": 1}, "id": 2}
    )


def test_ratings_become_a_file_of_pairs_that_loads(run, ratings: Path, tmp_path: Path) -> None:
    output = tmp_path / "pairs.parquet"
    result = run("data", "convert", ratings, output, "--strategy", "all", "--min-gap", "2", "--margin", "0.5")
    assert result.exit_code == 0, result.stderr
    assert [(one.responses, one.margin) for one in load_preferences(output)] == [
        (("good", "bad"), 1.5),
        (("fair", "bad"), 1.0),
    ]
    for line in (
        "4   read",
        "2   written",
        "1   dropped: pairs with a gap below 2",
        "1   dropped: prompts with a single",
    ):
        assert line in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "taken for ratings (found by the columns" in result.stderr
    assert "columns left out: id; --keep NAME carries one over" in result.stderr
    assert f"wrote {output}" in result.stderr.replace("\n", "")


def test_counts_come_as_json(run, ratings: Path, tmp_path: Path) -> None:
    output = tmp_path / "pairs.jsonl"
    arguments = ["--attribute", "brief=2", "--margin", "1", "--group-by", "id", "--keep", "id", "--json"]
    result = run("data", "convert", ratings, output, *arguments)
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["shape"], report["to"], report["rows"], report["written"]) == ("ratings", "pairs", 4, 1)
    assert report["dropped"] == {"prompts with a single response": 1}
    assert json.loads(output.read_text()) == {
        "prompt": "p",
        "chosen": "bad",
        "rejected": "good",
        "margin": 8.0,
        "id": 1,
    }


def test_ab_tests_with_columns_and_winners_of_their_own(run, write_rows, tmp_path: Path) -> None:
    rows = [{"q": "p", "x": "1st", "y": "2nd", "pick": pick} for pick in ("R", "L", "=")]
    flags = ["--column", "a=x", "--column", "b=y", "--column", "winner=pick", "--prompt-column", "q", "--winner", "L=a"]
    source, output = write_rows("ab.jsonl", *rows), tmp_path / "pairs.csv"
    result = run("data", "convert", source, output, *flags, "--winner", "R=b", "--winner", "==tie", "--ties", "drop")
    assert result.exit_code == 0, result.stderr
    assert output.read_text() == "prompt,chosen,rejected,soft_label\np,2nd,1st,1.0\np,1st,2nd,1.0\n"
    assert "1   dropped: ties" in result.stdout
    assert "decided by winner; --evidence chooses another" in result.stderr


def test_pairs_become_what_trl_reads_and_rankings_listwise_rows(run, pairs: Path, write_rows, tmp_path: Path) -> None:
    result = run("data", "convert", pairs, tmp_path / "trl.json", "--to", "trl")
    assert result.exit_code == 0, result.stderr
    assert set(json.loads((tmp_path / "trl.json").read_text())[0]) == {"prompt", "chosen", "rejected"}
    source = write_rows("ranked.jsonl", {"prompt": "p", "responses": ["a", "b"], "ranks": [2, 1]})
    assert run("data", "convert", source, tmp_path / "list.jsonl", "--to", "rankings").exit_code == 0
    assert json.loads((tmp_path / "list.jsonl").read_text())["ranks"] == [2.0, 1.0]


def test_bad_rows_stop_or_are_counted(run, write_rows, tmp_path: Path) -> None:
    source = write_rows(
        "ratings.jsonl",
        *({"prompt": "p", "response": text, "score": score} for text, score in (("a", 1), ("b", "high"), ("c", 2))),
    )
    output = tmp_path / "pairs.jsonl"
    result = run("data", "convert", source, output)
    assert result.exit_code == 2
    assert f"{source}:2: score is 'high'; expected a finite number" in result.stderr.replace("\n", "")
    assert not output.exists()
    result = run("data", "convert", source, output, "--on-bad-row", "skip")
    assert result.exit_code == 0, result.stderr
    assert "1   skipped: the row cannot be used" in result.stdout
    assert json.loads(output.read_text())["chosen"] == "c"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--evidence", "votes"], "--evidence: no effect on ratings rows that become pairs"),
        (["--to", "kto"], "the score is 4; a rating becomes a row of KTO only where it is 0 or 1"),
        (["--to", "trl", "--ties", "keep"], "--ties keep: rows of trl cannot say a tie"),
        (["--min-gap", "9"], "nothing is left of"),
        (["--attribute", "brief=x"], "the weight 'x' is no number"),
        (["--column", "winner"], "--column 'winner': expected FIELD=NAME"),
        (["--winner", "x=c"], "--winner: 'x' stands for 'c'"),
        (["--from", "rating"], "did you mean 'ratings'"),
        (["--from", "pairs"], "no column for chosen"),
        (["--keep", "idd"], "no column 'idd' to keep"),
        (["--score-column", "stars", "--from", "ratings"], "no column 'stars' for score"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(run, ratings: Path, tmp_path: Path, arguments, message: str) -> None:
    result = run("data", "convert", ratings, tmp_path / "pairs.jsonl", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ratings.jsonl"]


def test_an_output_that_is_there_or_is_the_input_is_refused(run, ratings: Path, tmp_path: Path) -> None:
    output = tmp_path / "pairs.jsonl"
    output.write_text("old\n")
    assert "exists already; --overwrite replaces it" in run("data", "convert", ratings, output).stderr
    assert output.read_text() == "old\n"
    assert run("data", "convert", ratings, output, "--overwrite").exit_code == 0
    result = run("data", "convert", ratings, ratings, "--overwrite")
    assert result.exit_code == 2
    assert "is read while it would be written" in result.stderr


def test_the_help_names_every_shape() -> None:
    from plaudit.cli import data_convert

    listed = data_convert.SHAPES.replace("(or ", "").replace(")", "").replace(",", "").split()
    assert {word for word in listed if word not in ("or",)} == {*SHAPES, *ALIASES}
