"""``plaudit best-of-n --output``: the best responses, given or sampled, and going on after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LONG = "length{unit: characters, low: 50}"


@pytest.fixture
def candidates(write_rows) -> Path:
    rows = [
        {
            "id": i,
            "prompt": f"Q{i}",
            "responses": ["a" * (1 + (i + k) % 6) for k in range(5)],
            "gold": [k % 3 for k in range(5)],
        }
        for i in range(12)
    ]
    return write_rows("candidates.jsonl", *rows)


@pytest.fixture
def prompts(write_rows) -> Path:
    rows = [{"prompt": f"Write about {word}.", "answer": "x"} for word in ("rivers", "stones", "fruits", "rivers")]
    return write_rows("prompts.jsonl", *rows)


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_best_response_is_written_with_the_columns_of_its_row(run, candidates: Path, tmp_path: Path) -> None:
    output = tmp_path / "best.jsonl"
    result = run("best-of-n", candidates, "--model", LONG, "--output", output)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    told = " ".join(result.stderr.split())
    assert f"wrote the best of 60 responses to 12 prompts to {output}" in told
    assert "mean score of the best 0.1167, of one at random 0.07" in told
    rows = lines_of(output)
    assert len(rows) == 12
    first = dict(rows[0])
    assert first["scores"] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    del first["scores"]
    assert first == {
        "id": 0,
        "prompt": "Q0",
        "gold": [0, 1, 2, 0, 1],
        "response": "aaaaa",
        "score": pytest.approx(0.1),
        "index": 4,
    }
    for row in rows:
        assert row["score"] == max(row["scores"])
    assert not list(tmp_path.glob("*.partial*"))


def test_keep_all_writes_all_of_them_ranked_and_gold_draws_the_curve_too(run, candidates: Path, tmp_path: Path) -> None:
    output = tmp_path / "best.jsonl"
    arguments = ("best-of-n", candidates, "--model", LONG, "--gold-column", "gold", "--json")
    document = json.loads(run(*arguments, "--keep-all", "--output", output).stdout)
    alone = json.loads(run(*arguments).stdout)
    assert document["points"] == alone["points"]
    assert document["output"] == str(output)
    assert document["choice"] == {
        "prompts": 12,
        "responses": 60,
        "empty": 0,
        "best": pytest.approx(0.1167, abs=1e-4),
        "mean": pytest.approx(0.07),
    }
    for row in lines_of(output):
        assert row["scores"] == sorted(row["scores"], reverse=True)
        assert [len(text) / 50 for text in row["responses"]] == pytest.approx(row["scores"])
        assert (row["response"], row["score"], row["gold"]) == (
            row["responses"][0],
            row["scores"][0],
            row["gold_scores"][0],
        )
        assert sorted(row["gold_scores"]) == [0, 0, 1, 1, 2]
        assert "index" not in row


def test_a_run_that_stops_goes_on_to_the_same_file_and_the_same_curve(
    run, candidates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plaudit.evaluation.benchmarks.run.CHUNK_RESPONSES", 15)  # three prompts
    whole, output = tmp_path / "whole.jsonl", tmp_path / "best.jsonl"
    arguments = ["best-of-n", candidates, "--model", LONG, "--gold", "length{target: 3}", "--json"]
    expected = run(*arguments, "--output", whole)
    rows = candidates.read_text(encoding="utf-8").splitlines()
    bad = json.dumps({"prompt": "Q", "responses": ["", "x"]})
    candidates.write_text("\n".join([*rows[:7], bad]) + "\n", encoding="utf-8")
    stopped = run(*arguments, "--output", output)
    assert stopped.exit_code == 2
    assert f"{candidates}:8: reward 'length': the response is empty" in " ".join(stopped.stderr.split())
    partial = tmp_path / "best.jsonl.partial"
    assert len(lines_of(partial)) == 6
    with partial.open("ab") as file:
        file.write(b'{"prompt": "Q6", "resp')  # a kill in the middle of a line
    candidates.write_text("\n".join(rows) + "\n", encoding="utf-8")
    assert "--resume" in " ".join(run(*arguments, "--output", output).stderr.split())
    resumed = run(*arguments, "--output", output, "--resume")
    assert resumed.exit_code == 0, resumed.stderr
    assert output.read_bytes() == whole.read_bytes()
    assert json.loads(resumed.stdout) | {"output": ""} == json.loads(expected.stdout) | {"output": ""}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "length{target: 9}"}, "was made with other settings"),
        ({"keep_all": True}, "keep_all (was False, now True)"),
        ({"rows": ["other"]}, "is not what"),
        ({"rows": []}, "has more lines than there are prompts"),
    ],
)
def test_something_else_is_not_gone_on_with(
    run, candidates: Path, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    output = tmp_path / "best.jsonl"
    arguments = ["best-of-n", candidates, "--output", output, "--model"]
    assert run(*arguments, LONG).exit_code == 0
    output.rename(tmp_path / "best.jsonl.partial")
    facts = {
        "model": LONG,
        "scorer": LONG,
        "golden": [],
        "prompt_column": None,
        "response_column": None,
        "gold_column": None,
        "keep_all": False,
        "gold": None,
        "reference_column": None,
    }
    (tmp_path / "best.jsonl.partial.json").write_text(json.dumps(facts))
    if "rows" in change:
        rows = [json.dumps({"id": i, "prompt": name, "responses": ["a", "b"]}) for i, name in enumerate(change["rows"])]
        rows = rows or candidates.read_text().splitlines()[:5]
        candidates.write_text("\n".join(rows) + "\n")
    more = ["--keep-all"] if "keep_all" in change else []
    result = run(*arguments, change.get("model", LONG), "--resume", *more)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert (tmp_path / "best.jsonl.partial").exists()


def test_a_policy_samples_the_responses(
    run, prompts: Path, saved: Callable[[str, str], Path], sharing_model: Path, tmp_path: Path
) -> None:
    output = tmp_path / "best.jsonl"
    arguments = ["best-of-n", prompts, "--policy", saved("qwen3", "base"), "--n", "3", "--max-new-tokens", "5"]
    arguments += ["--model", sharing_model, "--gold", LONG, "--device", "cpu", "--output", output]
    result = run(*arguments, "--keep-all")
    assert result.exit_code == 0, result.stderr
    assert "on cpu: 3 prompts" in " ".join(result.stderr.split())
    assert "mean gold score of the best of n" in result.stdout
    rows = lines_of(output)
    assert [row["prompt"] for row in rows] == ["Write about rivers.", "Write about stones.", "Write about fruits."]
    for row in rows:
        known = [score for score in row["scores"] if score is not None]
        assert len(row["responses"]) == len(row["gold_scores"]) == 3
        assert known == sorted(known, reverse=True)
    again = tmp_path / "again.jsonl"
    assert run(*arguments[:-1], again, "--keep-all").exit_code == 0
    assert again.read_bytes() == output.read_bytes()
    other = tmp_path / "other.jsonl"
    assert run(*arguments[:-1], other, "--keep-all", "--seed", "1").exit_code == 0
    assert other.read_bytes() != output.read_bytes()


def test_a_sampled_run_goes_on_to_the_same_file(
    run, prompts: Path, saved: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plaudit.rl.best_of_n.CHUNK", 6)  # two prompts
    whole, output = tmp_path / "whole.jsonl", tmp_path / "best.jsonl"
    arguments = ["best-of-n", prompts, "--policy", saved("qwen3", "base"), "--n", "3", "--max-new-tokens", "5"]
    arguments += ["--model", LONG, "--device", "cpu", "--output"]
    assert run(*arguments, whole).exit_code == 0
    from plaudit.rl.policy import Policy

    real, calls = Policy.sample, []

    def stops(self: Policy, *given: Any, **how: Any) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(self, *given, **how)

    monkeypatch.setattr(Policy, "sample", stops)
    stopped = run(*arguments, output)
    assert stopped.exit_code == 130
    assert "2 prompts are in" in " ".join(stopped.stderr.split())
    assert "--resume goes on from there" in " ".join(stopped.stderr.split())
    assert run(*arguments, output, "--resume").exit_code == 0
    assert output.read_bytes() == whole.read_bytes()


def test_a_lower_bound_needs_an_ensemble(run, candidates: Path, sharing_model: Path, tmp_path: Path) -> None:
    result = run(
        "best-of-n", candidates, "-m", sharing_model, "--lower-bound", "1", "-o", tmp_path / "o", "--device", "cpu"
    )
    assert result.exit_code == 2
    assert "--lower-bound needs an ensemble" in " ".join(result.stderr.split())


def test_a_lower_bound_of_an_ensemble_is_the_mean_less_k_deviations(
    run, candidates: Path, sharing_model: Path, tmp_path: Path
) -> None:
    import numpy as np

    from plaudit.models.ensemble import Ensemble
    from plaudit.models.reward_model import RewardModel

    members = [RewardModel.from_pretrained(sharing_model, device="cpu") for _ in range(2)]
    members[1].model.score.weight.data.mul_(-0.5)
    for member in members:
        member.contract = None
    folder = tmp_path / "ensemble"
    Ensemble(members, reference_means=[0.0, 0.0]).save_pretrained(folder)
    written = {}
    for k in ("0", "2"):
        output = tmp_path / f"{k}.jsonl"
        result = run("best-of-n", candidates, "-m", folder, "--lower-bound", k, "-o", output, "--device", "cpu")
        assert result.exit_code == 0, result.stderr
        written[k] = np.array([row["scores"] for row in lines_of(output)])
    rows = [json.loads(line) for line in candidates.read_text().splitlines()]
    flat = [(row["prompt"], text) for row in rows for text in row["responses"]]
    each = Ensemble.from_pretrained(folder, device="cpu").member_scores(*map(list, zip(*flat, strict=True)))
    mean, spread = each.mean(0), each.astype(np.float64).std(0, ddof=1)
    assert written["0"].ravel() == pytest.approx(mean, abs=1e-4)
    assert written["2"].ravel() == pytest.approx(mean - 2 * spread, abs=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gold-column", "gold", "--keep-all"], "--keep-all and --resume belong to --output"),
        (["--gold-column", "gold", "--resume"], "--keep-all and --resume belong to --output"),
        (["--gold-column", "gold", "--overwrite"], "--overwrite belongs to --output or --plot"),
        (["-o", "o.jsonl", "--plot", "c.png"], "--plot and --min-responses belong to a curve"),
        (["-o", "o.jsonl", "--min-responses", "3"], "--plot and --min-responses belong to a curve"),
        (["-o", "o.jsonl", "--n", "3", "--seed", "1"], "--n, --seed: belongs to --policy"),
        (["-o", "o.jsonl", "--reference-column", "r"], "--reference-column: belongs to --policy"),
        (["-o", "o.jsonl", "--policy", "x", "--overlong", "cut"], "belong to given responses, not to --policy"),
        (["-o", "o.jsonl", "--policy", "x", "--gold-column", "gold"], "belong to given responses, not to --policy"),
        (["-o", "o.jsonl", "--device", "cpu"], "--device: no effect on reward functions"),
        (["-o", "o.jsonl", "--policy", "x", "--revision", "y"], "--revision: no effect on reward functions"),
        (["-o", "o.jsonl", "--lower-bound", "1"], "--lower-bound needs an ensemble"),
    ],
)
def test_options_without_effect_are_refused(
    run, candidates: Path, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("best-of-n", candidates, "--model", LONG, *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["candidates.jsonl"]


def test_an_output_that_is_there_or_is_the_input_is_refused(run, candidates: Path, tmp_path: Path) -> None:
    output = tmp_path / "best.jsonl"
    output.write_text("mine")
    assert "exists already" in run("best-of-n", candidates, "-m", LONG, "-o", output).stderr
    assert output.read_text() == "mine"
    assert "is the file that is read" in " ".join(
        run("best-of-n", candidates, "-m", LONG, "-o", candidates, "--overwrite").stderr.split()
    )
    assert run("best-of-n", candidates, "-m", LONG, "-o", output, "--overwrite").exit_code == 0
    assert len(lines_of(output)) == 12
