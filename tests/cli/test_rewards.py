"""``plaudit rewards``, ``plaudit distill`` and ``plaudit score --reward`` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    file = tmp_path / "rows.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for i in range(40):
            text = "word " * (i % 8 + 1) + str(i)
            print(json.dumps({"prompt": f"ask {i}", "response": text, "reference": f"answer {i}"}), file=out)
    return file


def test_rewards_are_listed_with_range_and_needs(run) -> None:
    result = run("rewards", "list", "--json")
    assert result.exit_code == 0
    listed = {row["name"]: row for row in json.loads(result.stdout)}
    assert listed["length"]["range"] == [0.0, 1.0]
    assert listed["bleu"]["needs"] == ["reference"]
    table = run("rewards", "list")
    assert max(map(len, table.stdout.splitlines())) <= 80
    assert all(name in table.stdout for name in listed)


def test_one_reward_is_shown_with_options_and_formula(run) -> None:
    result = run("rewards", "show", "length")
    assert "target" in result.stdout
    assert "high / n" in result.stdout
    assert run("rewards", "show", "lenght").exit_code == 2


def test_scores_come_with_those_of_each_reward(run, rows: Path) -> None:
    result = run("score", rows, "--reward", "length{target: 4}=3", "--reward", "length{low: 2}=1", "--json")
    assert result.exit_code == 0, result.stderr
    first = json.loads(result.stdout.splitlines()[0])  # "word 0": two words
    assert first["rewards"] == {"length": 0.5, "length-2": 1.0}
    assert first["score"] == pytest.approx(0.625)


def test_references_are_read_from_their_column(run, rows: Path) -> None:
    result = run("score", rows, "--reward", "bleu", "--json")
    assert result.exit_code == 0, result.stderr
    result = run("score", rows, "--reward", "bleu", "--reference-column", "gold")
    assert result.exit_code == 2
    assert "no column 'gold' for references" in result.stderr
    result = run("score", "--text", "a b c", "--reward", "bleu", "--reference", "a b c")
    assert result.stdout.startswith("1.0000")
    result = run("score", "--text", "a b c", "--reward", "bleu")
    assert result.exit_code == 2
    assert "reward 'bleu'" in result.stderr
    assert "needs a reference" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --model NAME or --reward NAME"),
        (["--model", "x", "--reward", "length"], "one of the two"),
        (["--reward", "lenght"], "did you mean 'length'"),
        (["--reward", "length", "--device", "cpu"], "--device: no effect"),
        (["--reward", "length", "--overlong", "cut"], "--overlong belongs to --model"),
        (["--reward", "length", "--revision", "x", "--dtype", "bfloat16"], "--dtype, --revision: no effect"),
        (["--reward", "length=-1"], "positive"),
        (["--model", "x", "--reference-column", "y"], "belong to --reward"),
    ],
)
def test_what_cannot_score_is_refused_in_one_line(run, rows: Path, arguments: list[str], message: str) -> None:
    result = run("score", rows, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_row_that_a_rule_cannot_score_is_named(run, tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"response": "fine"}\n{"response": " "}\n')
    result = run("score", file, "--reward", "length")
    assert result.exit_code == 2
    assert f"{file}:2" in result.stderr.replace("\n", "")


def test_scoring_by_rules_goes_on_where_it_was(run, rows: Path, tmp_path: Path) -> None:
    target = tmp_path / "scored.jsonl"
    assert run("score", rows, "--reward", "length", "--output", target).exit_code == 0
    whole = target.read_bytes()
    partial = Path(f"{target}.partial")
    partial.write_bytes(b"".join(whole.splitlines(keepends=True)[:17]))
    facts = {"rewards": None, "reference_column": None, "golden": [], "prompt_column": None, "response_column": None}
    Path(f"{target}.partial.json").write_text(json.dumps(facts))
    target.unlink()
    refused = run("score", rows, "--reward", "length", "--output", target, "--resume")
    assert refused.exit_code == 2
    assert "made with other settings: rewards" in refused.stderr
    facts["rewards"] = {"mode": "mean", "normalize": "none"}
    facts["rewards"] |= {"rewards": [{"reward": "length", "name": "length", "weight": 1.0}]}
    Path(f"{target}.partial.json").write_text(json.dumps(facts))
    assert run("score", rows, "--reward", "length", "--output", target, "--resume").exit_code == 0
    assert target.read_bytes() == whole


def test_a_fitted_composite_scores_from_its_file(run, rows: Path, tmp_path: Path) -> None:
    target = tmp_path / "rewards.yaml"
    arguments = ["--reward", "length{target: 4}=1", "--reward", "length=2", "--normalize", "minmax"]
    result = run("rewards", "fit", rows, *arguments, "--output", target)
    assert result.exit_code == 0, result.stderr
    assert yaml.safe_load(target.read_text())["rewards"][0]["normalizer"]["kind"] == "minmax"
    result = run("score", rows, "--reward", target, "--json")
    scores = [json.loads(line)["score"] for line in result.stdout.splitlines()]
    assert (min(scores), max(scores)) >= (0.0, 0.5)
    assert max(scores) <= 1.0
    assert run("rewards", "fit", rows, *arguments, "--output", target).exit_code == 2


def test_what_was_fitted_is_told_as_json_too(run, rows: Path, tmp_path: Path) -> None:
    target = tmp_path / "rewards.yaml"
    result = run("rewards", "fit", rows, "--reward", "length=2", "--max-samples", "8", "--output", target, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told.pop("output"), told.pop("texts")) == (str(target), 8)
    assert told == yaml.safe_load(target.read_text())
    assert told["rewards"][0]["normalizer"]["count"] == 8


def test_a_text_that_cannot_be_fitted_on_is_named_by_file_and_line(run, tmp_path: Path) -> None:
    file, target = tmp_path / "rows.jsonl", tmp_path / "rewards.yaml"
    texts = [{"response": f"text {i}", "reference": "text"} for i in range(600)]  # more than are scored at a time
    del texts[555]["reference"]
    file.write_text("\n".join(map(json.dumps, texts)) + "\n")
    result = run("rewards", "fit", file, "--reward", "bleu", "--output", target)
    assert result.exit_code == 2
    assert f"{file}:556: reward 'bleu': needs a reference" in result.stderr.replace("\n", "")
    assert not target.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rows.jsonl", "--reward", "length", "--output", "rows.jsonl", "--overwrite"], "is the file that is read"),
        (["rows.jsonl", "--reward", "length", "--normalize", "none", "--output", "new.yaml"], "nothing to fit"),
        (["rows.jsonl", "--reward", "a.yaml", "--mode", "min", "--output", "new.yaml"], "the YAML file says that"),
        (["none.jsonl", "--reward", "length", "--output", "new.yaml"], "there are no scores"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_one_line(
    run, rows: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(rows.parent)
    Path("none.jsonl").touch()
    before = rows.read_bytes()
    result = run("rewards", "fit", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
    assert result.stderr.count("\n") == 1
    assert rows.read_bytes() == before
    assert not Path("new.yaml").exists()


def test_distilling_ends_with_how_well_rules_are_followed(run, base_model: Path, rows: Path, tmp_path: Path) -> None:
    flags = ["--model", base_model, "--output", tmp_path / "rm", "--epochs", "1", "--test-fraction", "0.2"]
    result = run("distill", rows, "--reward", "length{target: 6}", *flags)
    assert result.exit_code == 0, result.stderr
    assert "Spearman" in result.stdout
    assert "all rewards" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    config = tmp_path / "distill.yaml"
    values = {"texts": str(rows), "rewards": ["length"], "model": str(base_model), "output": str(tmp_path / "rm2")}
    refused = run("distill", rows, "--reward", "length", *flags[:2], "--objective", "pairs", "-o", tmp_path / "rm4")
    assert "no prompt has two responses" in refused.stderr
    config.write_text(yaml.safe_dump(values | {"training": {"num_train_epochs": 1}, "prompt_column": ""}))
    result = run("distill", "--config", config, "--objective", "pairs", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["distillation"]["train_texts"] == 36
    result = run("distill", rows, "--output", tmp_path / "rm3")
    assert result.exit_code == 2
    assert "--reward NAME is required" in result.stderr
