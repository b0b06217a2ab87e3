"""``plaudit compare``, ``rank``, ``evaluate`` and ``verify``."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file


def test_compare_prints_scores_margin_probability_and_verdict(run, reward_model: Path) -> None:
    arguments = ("compare", "-m", reward_model, "--prompt", "Why?", "Because [of] this.", "No.")
    document = json.loads(run(*arguments, "--json").stdout)
    assert document["margin"] == pytest.approx(document["score_a"] - document["score_b"])
    assert 0 < document["probability"] < 1
    better = document["preferred"]
    assert better == ("a" if document["margin"] > 0 else "b")
    result = run(*arguments)
    assert f"{better.upper()} is preferred, margin {document['margin']:+.4f}" in result.stdout
    assert "Because [of] this." in result.stdout


def test_two_equal_texts_are_equally_likely(run, reward_model: Path) -> None:
    document = json.loads(run("compare", "-m", reward_model, "Same.", "Same.", "--json").stdout)
    assert document["probability"] == pytest.approx(0.5, abs=1e-6)


def test_rank_sorts_the_best_first(run, reward_model: Path) -> None:
    responses = ["One.", "Two words.", "Three is more."]
    result = run("rank", "-m", reward_model, "-p", "Why?", *responses, "--json")
    ranking = json.loads(result.stdout)["ranking"]
    scores = [entry["score"] for entry in ranking]
    assert scores == sorted(scores, reverse=True)
    assert [responses[entry["index"]] for entry in ranking] == [entry["response"] for entry in ranking]
    table = run("rank", "-m", reward_model, "-p", "Why?", *responses).stdout
    places = [table.index(entry["response"]) for entry in ranking]
    assert places == sorted(places)
    assert max(map(len, table.splitlines())) <= 80


def test_rank_reads_lines_and_json_lines(run, write_rows, reward_model: Path, tmp_path: Path) -> None:
    plain = tmp_path / "replies.txt"
    plain.write_text("One.\n\nTwo words.\n", encoding="utf-8")
    rows = write_rows("replies.jsonl", "One.", {"response": "Two words."})
    outputs = [
        run("rank", "-m", reward_model, "-p", "Why?", "--json", "--file", file, input=plain.read_text(encoding="utf-8"))
        for file in (plain, rows, "-")
    ]
    rankings = [json.loads(result.stdout)["ranking"] for result in outputs]
    assert rankings[0] == rankings[1] == rankings[2]
    assert len(rankings[0]) == 2


def test_rank_names_the_bad_response(run, write_rows, reward_model: Path) -> None:
    result = run("rank", "-m", reward_model, "fine", " ")
    assert result.exit_code == 2
    assert "response 2: the response is empty" in result.stderr
    file = write_rows("replies.jsonl", "fine", {"text": "x"})
    result = run("rank", "-m", reward_model, "--file", file)
    assert result.exit_code == 2
    assert f"{file}:2: no column response" in result.stderr


def test_rank_takes_arguments_or_a_file(run, reward_model: Path, tmp_path: Path) -> None:
    for arguments in ([], ["a", "--file", "b.txt"]):
        result = run("rank", "-m", reward_model, *arguments)
        assert result.exit_code == 2
        assert "not both" in result.stderr
    result = run("rank", "-m", reward_model, "--file", tmp_path / "none.txt")
    assert "cannot read" in result.stderr


def test_evaluate_prints_the_baselines_beside_the_model(run, reward_model: Path, pairs: Path, tmp_path: Path) -> None:
    report = tmp_path / "reports" / "figures.json"
    arguments = ("evaluate", "--model", reward_model, "--data", pairs)
    result = run(*arguments, "--report", report)
    assert result.exit_code == 0, result.stderr
    for text in ("accuracy", "longer wins", "shorter wins", "ties", "even", "odd"):
        assert text in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "24 rows read" in result.stderr
    document = json.loads(run(*arguments, "--json").stdout)
    assert document == json.loads(report.read_text(encoding="utf-8"))
    assert document["pairs"] == 24
    assert set(document["by_source"]) == {"even", "odd"}
    assert document["baselines"]["longer wins"]["value"] == 1.0


def test_batching_does_not_change_what_is_judged(run, sharing_model: Path, pairs: Path) -> None:
    for arguments, figure in (
        (["rank", "-p", "Why?", "One.", "Two words.", "Three is more."], lambda d: [r["score"] for r in d["ranking"]]),
        (["compare", "-p", "Why?", "One.", "Two words."], lambda d: [d["score_a"], d["score_b"]]),
        (["evaluate", "--data", pairs], lambda d: [d["nll"], d["reward_std"], d["accuracy"]["value"]]),
    ):
        results = {}
        for batching in ("auto", "packed", "padded"):
            result = run(*arguments, "-m", sharing_model, "--json", "--batching", batching)
            assert result.exit_code == 0, result.stderr
            results[batching] = figure(json.loads(result.stdout))
        assert results["auto"] == results["packed"]
        assert results["packed"] == pytest.approx(results["padded"], abs=1e-5)


def test_verbose_says_how_batches_are_made(run, sharing_model: Path, reward_model: Path) -> None:
    for folder, path in ((sharing_model, "prompts computed once"), (reward_model, "nothing padded; a bidirectional")):
        assert path in " ".join(run("verify", folder, "--verbose").stderr.split())
        assert path not in run("verify", folder).stderr


def test_evaluate_takes_the_data_options(run, reward_model: Path, write_rows) -> None:
    rows = [{"q": f"Why {i}?", "good": "Because.", "bad": "No idea.", "topic": "one"} for i in range(6)]
    file = write_rows("other.jsonl", *rows, {"q": "broken"})
    columns = ("--prompt-column", "q", "--chosen-column", "good", "--rejected-column", "bad", "--group-by", "topic")
    arguments = ("evaluate", "-m", reward_model, "--data", file, *columns, "--json")
    assert f"{file}:7" in run(*arguments).stderr
    document = json.loads(run(*arguments, "--on-bad-row", "skip", "--max-samples", "4").stdout)
    assert (document["pairs"], document["prompts"]) == (4, 1)


def test_verify_passes_an_untouched_model(run, reward_model: Path) -> None:
    result = run("verify", reward_model)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.count("yes") == 8
    assert max(map(len, result.stdout.splitlines())) <= 80
    document = json.loads(run("verify", reward_model, "--json").stdout)
    assert document["passed"] is True
    assert all(check["passed"] and check["difference"] < 1e-5 for check in document["golden"])


def test_verify_fails_when_the_weights_were_changed(run, reward_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tampered"
    shutil.copytree(reward_model, folder)
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] = weights["classifier.weight"] + 0.5
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    result = run("verify", folder, "--json")
    assert result.exit_code == 2
    assert json.loads(result.stdout)["passed"] is False
    assert "golden inputs fail" in result.stderr
    assert "NO" in run("verify", folder).stdout
    assert run("score", "-m", folder, "--text", "a").exit_code == 2


def test_verify_refuses_a_model_without_a_contract(run, reward_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "plain"
    shutil.copytree(reward_model, folder)
    (folder / "scoring_contract.json").unlink()
    result = run("verify", folder)
    assert result.exit_code == 2
    assert "no scoring contract" in result.stderr


def test_verify_refuses_an_edited_contract(run, reward_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "edited"
    shutil.copytree(reward_model, folder)
    path = folder / "scoring_contract.json"
    document = json.loads(path.read_text(encoding="utf-8"))
    document["render"]["max_length"] = 32
    path.write_text(json.dumps(document), encoding="utf-8")
    result = run("verify", folder)
    assert result.exit_code == 2
    assert "rendering has changed" in " ".join(result.stderr.split())
