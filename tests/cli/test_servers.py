"""A reward server in the place of a model, wherever a command scores."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reward_server import Server


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


@pytest.fixture
def url(server: Server) -> str:
    return f"{server.root}/v1/reward"


def test_rows_are_scored(run, url: str, write_rows) -> None:
    rows = write_rows(
        "rows.jsonl",
        {"prompt": "p", "responses": ["a", "bbb"], "reference": "not for servers"},
        {"prompt": "q", "responses": ["cc", "dddd"], "reference": "x"},
    )
    result = run("score", "--model", url, rows, "--json")
    assert result.exit_code == 0, result.stderr
    assert [json.loads(line)["scores"] for line in result.stdout.splitlines()] == [[1, 3], [2, 4]]
    mixed = run("score", "--reward", f"{url}=3", "--reward", "length{unit: characters, low: 4}", "--text", "aaaa")
    assert mixed.stdout.startswith("3.2500")


def test_pairs_are_evaluated_and_the_best_of_n_chosen(run, url: str, pairs: Path, write_rows, tmp_path: Path) -> None:
    document = json.loads(run("evaluate", "--model", url, "--data", pairs, "--json").stdout)
    assert document["accuracy"]["value"] == 1.0
    rows = write_rows("rows.jsonl", {"prompt": "p", "responses": ["a", "bbb", "cc"]})
    output = tmp_path / "best.jsonl"
    assert run("best-of-n", rows, "--model", url, "--output", output).exit_code == 0
    assert json.loads(output.read_text())["response"] == "bbb"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--overlong", "cut"], "--overlong: no effect on reward functions and servers"),
        (["--device", "cpu"], "--device: no effect on reward functions and servers"),
        (["--attributes"], "--attributes: no effect on reward functions and servers"),
        (["--combine", "min"], "--combine: no effect on reward functions and servers"),
    ],
)
def test_options_of_models_are_refused(run, url: str, arguments: list[str], message: str) -> None:
    result = run("score", "--model", url, "--text", "x", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_a_server_that_refuses_is_one_line(run, server: Server, url: str) -> None:
    server.answer = lambda body, number: (404, {"detail": "no such model"})
    result = run("score", "--model", url, "--text", "x")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f'error: {url} refused the request: status 404, {{"detail": "no such model"}}' in " ".join(
        result.stderr.split()
    )
