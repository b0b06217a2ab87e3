"""``plaudit score``: files, standard input, one text, a conversation; errors name the row."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plaudit.models.reward_model import RewardModel


@pytest.fixture(scope="module")
def loaded(reward_model: Path) -> RewardModel:
    return RewardModel.from_pretrained(reward_model, device="cpu")


def lines(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_rows_keep_their_columns_and_gain_a_score(run, write_rows, reward_model: Path, loaded: RewardModel) -> None:
    rows = [{"prompt": "Why?", "response": "Because.", "id": 7}, {"response": "Äußerst 😀 bare"}]
    result = run("score", "--model", reward_model, write_rows("rows.jsonl", *rows), "--json")
    assert result.exit_code == 0, result.stderr
    scored = lines(result.stdout)
    assert [{k: v for k, v in row.items() if k != "score"} for row in scored] == rows
    expected = loaded.score(["Why?", None], ["Because.", "Äußerst 😀 bare"])
    assert [row["score"] for row in scored] == pytest.approx(expected.tolist(), abs=1e-6)


def test_lists_and_pairs_get_a_score_for_each_response(
    run, write_rows, reward_model: Path, loaded: RewardModel
) -> None:
    file = write_rows(
        "rows.jsonl",
        {"prompt": "Why?", "responses": ["One.", "Two."]},
        {"prompt": "Why?", "chosen": "One.", "rejected": "Two."},
        {"prompt": "Why?", "responses": ["One."]},
    )
    several, pair, single = lines(run("score", "-m", reward_model, file, "--json").stdout)
    expected = loaded.score(["Why?", "Why?"], ["One.", "Two."]).tolist()
    assert several["scores"] == pytest.approx(expected, abs=1e-6)
    assert [pair["score_chosen"], pair["score_rejected"]] == pytest.approx(expected, abs=1e-6)
    assert len(single.get("scores", [single.get("score")])) == 1


def test_without_json_a_line_is_score_and_start_of_the_text(run, write_rows, reward_model: Path) -> None:
    file = write_rows("rows.jsonl", {"response": "short\ntext"}, {"response": "long " * 40})
    result = run("score", "-m", reward_model, file, "--overlong", "cut")
    first, second = (line.split("\t") for line in result.stdout.splitlines())
    assert first[1] == "short text"
    assert second[1].endswith("…")
    assert all(float(line[0]) is not None and len(line[1]) <= 70 for line in (first, second))


def test_columns_can_be_named(run, write_rows, reward_model: Path, loaded: RewardModel) -> None:
    file = write_rows("rows.jsonl", {"q": "Why?", "text": "Because."})
    result = run("score", "-m", reward_model, file, "--json", "--prompt-column", "q", "--response-column", "text")
    assert lines(result.stdout)[0]["score"] == pytest.approx(loaded.predict("Why?", "Because."), abs=1e-6)
    missing = run("score", "-m", reward_model, file)
    assert missing.exit_code == 2
    assert "rows.jsonl:1: no column response" in missing.stderr
    assert "--response-column" in missing.stderr


def test_a_conversation_is_split_after_its_last_user_turn(
    run, write_rows, reward_model: Path, loaded: RewardModel
) -> None:
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Because."}]
    file = write_rows("rows.jsonl", {"messages": turns})
    result = run("score", "-m", reward_model, file, "--json", "--response-column", "messages")
    assert result.exit_code == 0, result.stderr
    assert lines(result.stdout)[0]["score"] == pytest.approx(loaded.predict("Why?", "Because."), abs=1e-6)
    file = write_rows("open.jsonl", {"messages": turns[:1]})
    result = run("score", "-m", reward_model, file, "--response-column", "messages")
    assert result.exit_code == 2
    assert "ends with a user turn" in result.stderr


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_other_formats_score_the_same(
    run, tmp_path: Path, reward_model: Path, loaded: RewardModel, suffix: str
) -> None:
    file = tmp_path / f"rows.{suffix}"
    row = {"prompt": "Why?", "response": "Because."}
    if suffix == "csv":
        file.write_text("prompt,response\nWhy?,Because.\n", encoding="utf-8")
    elif suffix == "json":
        file.write_text(json.dumps([row]), encoding="utf-8")
    else:
        import pyarrow as pa
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist([row]), file)
    result = run("score", "-m", reward_model, file, "--json")
    assert lines(result.stdout) == [row | {"score": pytest.approx(loaded.predict("Why?", "Because."), abs=1e-6)}]


@pytest.mark.parametrize("arguments", [["-"], []])
def test_standard_input_is_json_lines_or_plain_text(run, reward_model: Path, arguments: list[str]) -> None:
    text = "First line\n\n{not json\n"
    result = run("score", "-m", reward_model, "--json", *arguments, input=text)
    assert [row["response"] for row in lines(result.stdout)] == ["First line", "{not json"]
    rows = '\ufeff{"prompt": "Why?", "response": "a"}\n{"response": "b"}\n'
    result = run("score", "-m", reward_model, "--json", *arguments, input=rows)
    assert [row["response"] for row in lines(result.stdout)] == ["a", "b"]


@pytest.mark.parametrize("bad", ["{oops", "plain", "[1]"])
def test_a_bad_line_among_json_lines_names_its_line(run, reward_model: Path, bad: str) -> None:
    result = run("score", "-m", reward_model, "-", input='{"response": "a"}\n\n' + bad + "\n")
    assert result.exit_code == 2
    assert "<stdin>:3: " in result.stderr


def test_one_text_with_and_without_a_prompt(run, reward_model: Path, loaded: RewardModel) -> None:
    result = run("score", "-m", reward_model, "--text", "Because.", "--prompt", "Why?", "--json")
    assert lines(result.stdout)[0] == {
        "prompt": "Why?",
        "response": "Because.",
        "score": pytest.approx(loaded.predict("Why?", "Because."), abs=1e-6),
    }
    result = run("score", "-m", reward_model, "--text", "Because.")
    assert result.stdout == f"{loaded.predict(None, 'Because.'):.4f}\tBecause.\n"


def test_interactive_scores_until_quit_or_the_end(run, reward_model: Path, loaded: RewardModel) -> None:
    for ending in ("quit\n", ""):
        typed = "Why?\nBecause.\n\nA bare text.\nWhy?\n\n" + ending
        result = run("score", "-m", reward_model, "--interactive", "--json", input=typed)
        assert result.exit_code == 0
        assert [(row["prompt"], row["response"]) for row in lines(result.stdout)] == [
            ("Why?", "Because."),
            (None, "A bare text."),
        ]
        assert "the response is empty" in result.stderr
        assert "response> " in result.stderr


def test_an_empty_response_names_its_file_and_line(run, write_rows, reward_model: Path) -> None:
    file = write_rows("rows.jsonl", {"response": "fine"}, {"prompt": "Why?", "response": "  "})
    result = run("score", "-m", reward_model, file)
    assert result.exit_code == 2
    assert f"{file}:2: the response is empty" in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"response": None}, "response is null"),
        ({"prompt": "q", "response": None}, "response is null"),
        ({"responses": []}, "empty list"),
        ({"response": 3}, "response is a number"),
        ({"response": "long " * 200}, "over the limit of 64"),
        ({"chosen_ids": [1], "rejected_ids": [2], "chosen": "a", "rejected": "b"}, "token ids"),
    ],
)
def test_a_bad_row_is_refused_with_its_place(run, write_rows, reward_model: Path, row: dict, problem: str) -> None:
    file = write_rows("rows.jsonl", {"response": "fine"}, row)
    result = run("score", "-m", reward_model, file, "--json")
    assert result.exit_code == 2
    assert f"{file}:2: " in result.stderr
    assert problem in result.stderr


def test_output_is_written_whole_or_not_at_all(run, write_rows, reward_model: Path, tmp_path: Path) -> None:
    good, bad = {"response": "fine"}, {"response": ""}
    target = tmp_path / "new" / "scored.jsonl"
    result = run("score", "-m", reward_model, write_rows("bad.jsonl", good, bad), "--output", target)
    assert result.exit_code == 2
    assert list(target.parent.iterdir()) == []
    result = run("score", "-m", reward_model, write_rows("good.jsonl", good, good), "--output", target)
    assert (result.exit_code, result.stdout) == (0, "")
    assert [row["response"] for row in lines(target.read_text(encoding="utf-8"))] == ["fine", "fine"]
    assert "wrote 2 rows" in result.stderr
    assert [path.name for path in target.parent.iterdir()] == ["scored.jsonl"]


def test_an_output_that_cannot_be_written_is_refused(run, write_rows, reward_model: Path, tmp_path: Path) -> None:
    file = write_rows("rows.jsonl", {"response": "fine"})
    for target in (tmp_path, file / "below-a-file.jsonl"):
        result = run("score", "-m", reward_model, file, "--output", target)
        assert result.exit_code == 2
        assert "\nerror: " in result.stderr


def test_chunks_do_not_change_scores(run, write_rows, reward_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import plaudit.cli.score

    file = write_rows("rows.jsonl", *({"prompt": "Why?", "response": f"Because {i}."} for i in range(7)))
    whole = lines(run("score", "-m", reward_model, file, "--json").stdout)
    monkeypatch.setattr(plaudit.cli.score, "CHUNK_ROWS", 3)
    chunked = lines(run("score", "-m", reward_model, file, "--json").stdout)
    assert [row["score"] for row in chunked] == pytest.approx([row["score"] for row in whole], abs=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        ["rows.jsonl", "--text", "a"],
        ["--interactive", "--text", "a"],
        ["rows.jsonl", "--prompt", "a"],
        ["--text", "a", "--output", "x"],
        ["--text", "a", "--prompt-column", "x"],
    ],
)
def test_options_without_effect_are_refused(run, reward_model: Path, arguments: list[str]) -> None:
    result = run("score", "-m", reward_model, *arguments)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1


def test_a_missing_file_or_model_is_one_line(run, reward_model: Path, tmp_path: Path) -> None:
    result = run("score", "-m", reward_model, tmp_path / "none.jsonl")
    assert result.exit_code == 2
    assert "no such file" in result.stderr
    result = run("score", "-m", tmp_path / "none", "--text", "a")
    assert result.exit_code == 2
    assert "no model folder" in result.stderr
    assert result.stderr.count("\n") == 1


def test_empty_input_is_said_aloud(run, reward_model: Path) -> None:
    result = run("score", "-m", reward_model, "-", input="")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no rows" in result.stderr
