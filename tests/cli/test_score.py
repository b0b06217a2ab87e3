"""``plaudit score``: files, standard input, one text, a conversation; errors name the row."""

from __future__ import annotations

import json
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import plaudit.cli.rows
import plaudit.cli.score
from plaudit.cli.resumable import ResumableLines
from plaudit.cli.scoring import ModelScorer
from plaudit.errors import OutputError
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
        assert result.stderr.splitlines()[-1].startswith("error: ")
        assert "Traceback" not in result.stderr


def test_chunks_do_not_change_scores(run, write_rows, reward_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_rows("rows.jsonl", *({"prompt": "Why?", "response": f"Because {i}."} for i in range(7)))
    whole = lines(run("score", "-m", reward_model, file, "--json").stdout)
    monkeypatch.setattr(plaudit.cli.score, "CHUNK_RESPONSES", 3)
    chunked = lines(run("score", "-m", reward_model, file, "--json").stdout)
    assert [row["score"] for row in chunked] == pytest.approx([row["score"] for row in whole], abs=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        ["rows.jsonl", "--text", "a"],
        ["--interactive", "--text", "a"],
        ["rows.jsonl", "--prompt", "a"],
        ["--text", "a", "--output", "x"],
        ["--text", "a", "--resume"],
        ["rows.jsonl", "--resume"],
        ["rows.jsonl", "--overwrite"],
        ["rows.jsonl", "--output", "x", "--overwrite", "--resume"],
        ["-", "--output", "x", "--resume"],
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
    assert result.stderr.splitlines()[-1] == "warning: no rows in standard input"


# -- in chunks, and after a kill -------------------------------------------------------------------------------------


def conversations(count: int) -> list[dict]:
    """Rows that share prompts: every prompt has several rows, and some rows have several responses."""
    prompt = "What is the capital of France? And what of the rivers that carry stones to the sea? Question"
    rows: list[dict] = []
    for i in range(count):
        row: dict = {"id": i, "prompt": f"{prompt} {i % 5}"}
        if i % 3 == 0:
            row |= {"responses": [f"Paris {i}.", "The weather is nice today.", f"Apples, pears and {i} plums."]}
        elif i % 3 == 1:
            row |= {"chosen": f"Rivers carry water and {i} stones 😀.", "rejected": "Bad."}
        else:
            row |= {"response": f"Good {i}.", "ratio": 0.1 * i, "none": None}
        rows.append(row)
    return rows


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plaudit.cli.score, "CHUNK_RESPONSES", 7)


@pytest.fixture
def interrupted(run, write_rows, sharing_model: Path, tmp_path: Path, small_chunks, monkeypatch) -> Any:
    """``interrupted(lines)``: scores 24 rows and is interrupted before that line; returns input, output, the result."""

    def start(lines: int, error: BaseException | None = None) -> tuple[Path, Path, Any]:
        file, target = write_rows("rows.jsonl", *conversations(24)), tmp_path / "scored.jsonl"
        real, seen = ResumableLines.write, []

        def write(self: ResumableLines, line: str) -> None:
            if len(seen) == lines:
                raise error or KeyboardInterrupt
            seen.append(line)
            real(self, line)

        with monkeypatch.context() as patch:
            patch.setattr(ResumableLines, "write", write)
            return file, target, run("score", "-m", sharing_model, file, "-o", target)

    return start


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("scored"))


def test_scores_of_shared_prompts_are_those_of_padded_batches(run, write_rows, sharing_model: Path) -> None:
    file = write_rows("rows.jsonl", *conversations(20))
    scored = {}
    for batching in ("auto", "packed", "padded"):
        result = run("score", "-m", sharing_model, file, "--json", "--verbose", "--batching", batching)
        assert result.exit_code == 0, result.stderr
        assert ("prompts computed once" in result.stderr) == (batching != "padded")
        rows = lines(result.stdout)
        scored[batching] = [
            s for row in rows for s in (row.get("scores") or [row[k] for k in sorted(row) if k.startswith("score")])
        ]
    assert scored["auto"] == scored["packed"]
    np.testing.assert_allclose(scored["auto"], scored["padded"], atol=1e-5)
    assert len(set(scored["auto"])) > 20


def test_a_model_that_cannot_be_packed_says_so(run, tokenizers, tmp_path: Path) -> None:
    from transformers import DebertaV2Config, DebertaV2ForSequenceClassification

    config = DebertaV2Config(
        vocab_size=len(tokenizers["bert"]), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=16, pad_token_id=0, num_labels=1,
    )  # fmt: skip
    DebertaV2ForSequenceClassification(config).save_pretrained(tmp_path / "deberta")
    tokenizers["bert"].save_pretrained(tmp_path / "deberta")
    for command in (["score", "--text", "a"], ["rank", "a", "b"], ["compare", "a", "b"]):
        result = run(*command, "-m", tmp_path / "deberta", "--batching", "packed")
        assert result.exit_code == 2
        assert "batching packed: DebertaV2ForSequenceClassification cannot" in result.stderr
        assert run(*command, "-m", tmp_path / "deberta").exit_code == 0


def test_lines_are_written_while_rows_are_read_and_chunks_are_dropped(
    run, sharing_model: Path, tmp_path: Path, small_chunks, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "scored.jsonl"
    read, written = 60, []
    alive: list[weakref.ref] = []

    def rows(source: str, *columns: str | None) -> Iterator[Any]:
        for i in range(read):
            if i and i % 7 == 1:  # a chunk is written before the row after it is asked for
                partial = Path(f"{target}.partial")
                written.append(partial.read_bytes().count(b"\n") if partial.exists() else 0)
                assert sum(row() is not None for row in alive) <= 2 * 7 + 1
            row = plaudit.cli.rows.to_scoring_row({"prompt": "Why?", "response": f"Answer {i}."}, f"made:{i + 1}")
            alive.append(weakref.ref(row))
            yield row

    monkeypatch.setattr(plaudit.cli.rows, "read_scoring_rows", rows)
    result = run("score", "-m", sharing_model, "made.jsonl", "-o", target)
    assert result.exit_code == 0, result.stderr
    assert written == [7 * i for i in range(len(written))]
    assert target.read_bytes().count(b"\n") == read


def test_a_chunk_is_cut_by_responses_and_by_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [plaudit.cli.rows.to_scoring_row(row, f"rows:{i}") for i, row in enumerate(conversations(12))]
    rows.append(plaudit.cli.rows.to_scoring_row({"responses": ["a"] * 9}, "rows:12"))
    for responses, characters in ((7, 10**6), (10**6, 300)):
        monkeypatch.setattr(plaudit.cli.score, "CHUNK_RESPONSES", responses)
        monkeypatch.setattr(plaudit.cli.score, "CHUNK_CHARACTERS", characters)
        chunks = list(plaudit.cli.score._chunks(rows))
        assert [row for chunk in chunks for row in chunk] == rows
        for chunk in chunks:
            items = [item for row in chunk for item in row.items]
            size = sum(len(item.prompt or "") + len(item.response) for item in items)
            assert len(chunk) == 1 or (len(items) <= responses and size <= characters)
        assert len(chunks) > 4


@pytest.mark.parametrize("there", [5, 9, 24])
def test_an_interrupted_run_goes_on_to_the_same_bytes(
    run, sharing_model: Path, tmp_path: Path, interrupted, there: int
) -> None:
    whole = tmp_path / "whole.jsonl"
    if there == 24:  # all is written, and then the program ends before it has renamed the file
        file, target, _ = interrupted(23)
        assert run("score", "-m", sharing_model, file, "-o", target, "--resume").exit_code == 0
        record = json.dumps(facts_of(RewardModel.from_pretrained(sharing_model)))
        target.rename(f"{target}.partial")
        Path(f"{target}.partial.json").write_text(record, encoding="utf-8")
    else:
        file, target, result = interrupted(there)
        assert result.exit_code == 130
        assert names(tmp_path) == ["scored.jsonl.partial", "scored.jsonl.partial.json"]
        assert Path(f"{target}.partial").read_bytes().count(b"\n") == there
    result = run("score", "-m", sharing_model, file, "-o", target, "--resume")
    assert result.exit_code == 0, result.stderr
    assert f"{there} rows are there already" in result.stderr
    assert "wrote 24 rows" in result.stderr
    assert names(tmp_path) == ["scored.jsonl"]
    assert run("score", "-m", sharing_model, file, "-o", whole).exit_code == 0
    assert target.read_bytes() == whole.read_bytes()


OPTIONS = {"overlong": "error", "prompt_column": None, "response_column": None}


def facts_of(model: RewardModel) -> dict[str, Any]:
    """What a run of scoring writes down about itself."""
    return ModelScorer(model, "x", str(OPTIONS["overlong"])).facts() | OPTIONS


def test_ctrl_c_says_how_to_go_on(interrupted) -> None:
    _, target, result = interrupted(9)
    assert result.exit_code == 130
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: interrupted; ")
    assert f"rows are in {target}.partial; the same command with --resume goes on from there" in last


def test_an_interruption_before_the_first_line_leaves_nothing(interrupted, tmp_path: Path) -> None:
    _, _, result = interrupted(0)
    assert result.exit_code == 130
    assert names(tmp_path) == []


def test_a_torn_last_line_is_written_again(run, sharing_model: Path, tmp_path: Path, interrupted) -> None:
    file, target, _ = interrupted(9)
    partial = Path(f"{target}.partial")
    partial.write_bytes(partial.read_bytes() + partial.read_bytes().splitlines()[-1][:40])
    assert run("score", "-m", sharing_model, file, "-o", target, "--resume").exit_code == 0
    assert [row["id"] for row in lines(target.read_text(encoding="utf-8"))] == list(range(24))


def test_a_bad_row_keeps_the_chunks_before_it(
    run, sharing_model: Path, write_rows, tmp_path: Path, small_chunks
) -> None:
    rows, target = conversations(24), tmp_path / "scored.jsonl"
    rows[15] = {"id": 15, "prompt": "Why?", "response": " "}
    file = write_rows("rows.jsonl", *rows)
    result = run("score", "-m", sharing_model, file, "-o", target)
    assert result.exit_code == 2
    assert f"{file}:16: the response is empty" in result.stderr
    assert "the same command with --resume goes on from there" in result.stderr
    write_rows("rows.jsonl", *rows[:15], *conversations(24)[15:])
    result = run("score", "-m", sharing_model, file, "-o", target, "--resume")
    assert result.exit_code == 0, result.stderr
    assert [row["id"] for row in lines(target.read_text(encoding="utf-8"))] == list(range(24))


def change_a_row(rows: list[dict]) -> list[dict]:
    return [*rows[:3], rows[3] | {"prompt": "Another?"}, *rows[4:]]


def change_what_is_no_text(rows: list[dict]) -> list[dict]:
    return [rows[0] | {"id": 77}, *rows[1:]]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (change_a_row, "rows.jsonl:4 is not the row that"),
        (change_what_is_no_text, "rows.jsonl:1 is not the row that"),
        (lambda rows: [rows[1], rows[0], *rows[2:]], "rows.jsonl:1 is not the row that"),
        (lambda rows: rows[:8], "more lines than"),
    ],
)
def test_other_rows_than_those_that_are_there_are_refused(
    run, write_rows, sharing_model: Path, interrupted, change: Callable[[list[dict]], list[dict]], problem: str
) -> None:
    file, target, _ = interrupted(9)
    kept = Path(f"{target}.partial").read_bytes()
    write_rows("rows.jsonl", *change(conversations(24)))
    result = run("score", "-m", sharing_model, file, "-o", target, "--resume")
    assert result.exit_code == 2
    assert problem in result.stderr
    assert "start anew with --overwrite" in result.stderr
    assert Path(f"{target}.partial").read_bytes() == kept
    write_rows("rows.jsonl", *conversations(30))  # rows at the end are no other rows
    assert run("score", "-m", sharing_model, file, "-o", target, "--resume").exit_code == 0
    assert len(lines(target.read_text(encoding="utf-8"))) == 30


def test_another_model_or_setting_is_refused(run, sharing_model: Path, reward_model: Path, interrupted) -> None:
    file, target, _ = interrupted(9)
    arguments = ("-o", target, "--resume")
    result = run("score", "-m", reward_model, file, *arguments)
    assert result.exit_code == 2
    assert f"model (was '{sharing_model}', now '{reward_model}', which scores otherwise)" in result.stderr
    result = run("score", "-m", sharing_model, file, *arguments, "--overlong", "cut", "--dtype", "bfloat16")
    assert result.exit_code == 2
    assert "overlong (was 'error', now 'cut')" in result.stderr
    assert "dtype (was 'float32', now 'bfloat16')" in result.stderr
    Path(f"{target}.partial.json").unlink()
    result = run("score", "-m", sharing_model, file, *arguments)
    assert result.exit_code == 2
    assert "nobody can tell" in result.stderr


def test_a_model_without_a_contract_is_known_by_its_scores(saved: Callable[[str, str], Path]) -> None:
    def golden(family: str, batching: str) -> list[float]:
        model = RewardModel.from_pretrained(saved(family, "reward"), batching=batching)
        return list(facts_of(model)["golden"])

    one = golden("qwen3", "auto")
    assert plaudit.cli.resumable.alike(one, golden("qwen3", "padded"))
    assert not plaudit.cli.resumable.alike(one, golden("llama", "auto"))


def test_an_output_in_use_is_refused_until_overwritten(run, sharing_model: Path, tmp_path: Path, interrupted) -> None:
    file, target, _ = interrupted(9)
    arguments = ("score", "-m", sharing_model, file, "-o", target)
    unfinished = run(*arguments)
    assert unfinished.exit_code == 2
    assert "holds the lines of an unfinished run" in unfinished.stderr
    assert "--resume" in unfinished.stderr
    assert "--overwrite" in unfinished.stderr
    assert run(*arguments, "--overwrite").exit_code == 0
    whole = target.read_bytes()
    assert len(lines(whole.decode())) == 24
    assert names(tmp_path) == ["scored.jsonl"]
    for more, problem in (((), "replace it with --overwrite"), (("--resume",), "nothing to resume")):
        result = run(*arguments, *more)
        assert result.exit_code == 2
        assert "exists already" in result.stderr
        assert problem in result.stderr
        assert result.stderr.count("\n") == 1  # before the model is loaded
    assert run(*arguments[:-1], tmp_path / "none.jsonl", "--resume").stderr.startswith("error: nothing to resume")
    assert run(*arguments, "--overwrite").exit_code == 0
    assert target.read_bytes() == whole


def test_overwriting_keeps_the_old_file_until_the_new_one_is_whole(
    run, sharing_model: Path, tmp_path: Path, interrupted
) -> None:
    file, target, _ = interrupted(9)
    target.write_text("old\n", encoding="utf-8")
    assert run("score", "-m", tmp_path / "none", file, "-o", target, "--overwrite").exit_code == 2
    assert names(tmp_path) == ["scored.jsonl", "scored.jsonl.partial", "scored.jsonl.partial.json"]
    assert run("score", "-m", sharing_model, file, "-o", target, "--resume").exit_code == 0
    assert len(lines(target.read_text(encoding="utf-8"))) == 24


@pytest.mark.parametrize("suffix", ["", ".partial", ".partial.json"])
def test_the_input_is_never_written_over(run, write_rows, tmp_path: Path, suffix: str) -> None:
    file, target = write_rows(f"scored.jsonl{suffix}", {"response": "a"}), tmp_path / "scored.jsonl"
    (tmp_path / "link.jsonl").symlink_to(file)
    before = file.read_bytes()
    for source in (file, tmp_path / "link.jsonl"):
        for more in ((), ("--overwrite",)):
            result = run("score", "-m", tmp_path / "none", source, "-o", target, *more)
            assert result.exit_code == 2
            assert f"{file} is the file that is read" in result.stderr
            assert "choose another output" in result.stderr
    assert file.read_bytes() == before
    assert names(tmp_path) == [file.name]


@pytest.mark.parametrize("option", ["--resume", "--overwrite"])
def test_a_second_process_does_not_write_the_same_lines(
    run, sharing_model: Path, tmp_path: Path, interrupted, option: str
) -> None:
    fcntl = pytest.importorskip("fcntl")
    file, target, _ = interrupted(9)
    partial = Path(f"{target}.partial")
    before = partial.read_bytes()
    with partial.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        result = run("score", "-m", sharing_model, file, "-o", target, option)
        assert result.exit_code == 2
        assert f"{partial} is being written by another process" in result.stderr
        assert partial.read_bytes() == before
    assert run("score", "-m", sharing_model, file, "-o", target, option).exit_code == 0
    assert names(tmp_path) == ["scored.jsonl"]


def test_lines_are_locked_until_they_have_their_name(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    target = tmp_path / "scored.jsonl"
    first, second = ResumableLines(target), ResumableLines(target)
    with first.open({}):
        first.write("1")
        first.flush()
        for other in (second, ResumableLines(target, resume=True), ResumableLines(target, overwrite=True)):
            with pytest.raises(OutputError, match="another process"), other.open({}):
                pass
    assert target.read_text() == "1\n"
    assert names(tmp_path) == ["scored.jsonl"]


def test_a_run_killed_before_its_record_was_written_goes_on_with_anything(tmp_path: Path) -> None:
    target = tmp_path / "scored.jsonl"
    Path(f"{target}.partial").touch()
    lines = ResumableLines(target, resume=True)
    assert lines.facts() is None
    with lines.open({"model": "a"}):
        assert lines.facts() == {"model": "a"}
        lines.write("1")
    assert target.read_text() == "1\n"
    assert names(tmp_path) == ["scored.jsonl"]


def test_standard_input_cannot_be_resumed(run, sharing_model: Path, tmp_path: Path) -> None:
    result = run("score", "-m", sharing_model, "-", "-o", tmp_path / "x", "--resume", input='{"response": "a"}\n')
    assert result.exit_code == 2
    assert "standard input cannot be read a second time" in result.stderr


def test_a_full_disk_is_one_line_and_can_be_resumed(run, sharing_model: Path, interrupted) -> None:
    file, target, result = interrupted(9, OutputError("cannot write scored.jsonl: No space left on device"))
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].endswith("No space left on device")
    assert run("score", "-m", sharing_model, file, "-o", target, "--resume").exit_code == 0
    assert len(lines(target.read_text(encoding="utf-8"))) == 24


@pytest.mark.skipif(not hasattr(__import__("os"), "fork"), reason="forks")
def test_a_killed_run_goes_on_to_the_same_bytes(sharing_model: Path, write_rows, tmp_path: Path) -> None:
    file = write_rows("rows.jsonl", *conversations(40))
    script = Path(__file__).with_name("killed_score.py")
    done = subprocess.run(
        [sys.executable, str(script), str(sharing_model), str(file), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    kills = json.loads(done.stdout)
    assert [kill for kill in kills if not kill["same"] or kill["litter"]] == []
    assert all(kill["exit"] == -9 for kill in kills)
    assert [kill["lines"] for kill in kills] == [0, 3, 11, 39, None, 40]


def test_a_record_that_was_left_alone_goes(run, sharing_model: Path, tmp_path: Path, interrupted) -> None:
    file, target, _ = interrupted(9)
    Path(f"{target}.partial").rename(target)  # killed between renaming and clearing away
    assert run("score", "-m", sharing_model, file, "-o", target, "--resume").exit_code == 2
    assert names(tmp_path) == ["scored.jsonl"]
