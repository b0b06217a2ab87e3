"""``plaudit demo``: the whole line on a tiny base, two steps, and what it prints."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import Result

import plaudit.training.demo
from plaudit.cli.demo import CELLS, _bar

FIGURES = ["this model", "n-gram model", "longer wins", "shorter wins"]


@pytest.fixture
def demo(run, monkeypatch: pytest.MonkeyPatch, base_model: Path, tmp_path: Path):
    """``demo("--json")``: 200 pairs, two steps of a tiny model."""
    settings = {"model": {"name": str(base_model), "device": "cpu"}, "training": {"max_steps": 2}}
    monkeypatch.setattr(plaudit.training.demo, "SETTINGS", settings)

    def invoke(*more: str) -> Result:
        return run("demo", "--output", tmp_path / "demo", "--max-samples", "200", *more)

    return invoke


def test_the_demo_trains_judges_verifies_draws_and_says_what_next(demo, tmp_path: Path) -> None:
    result = demo()
    assert result.exit_code == 0, result.stderr
    for name in (*FIGURES, "off-topic", "misread", "rude", plaudit.training.demo.QUESTION):
        assert name in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "golden inputs score there as they did" in result.stderr
    assert f"plaudit verify {tmp_path / 'demo'}" in result.stderr
    assert (tmp_path / "demo" / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "demo" / "scoring_contract.json").is_file()

    again = demo()
    assert again.exit_code == 2
    assert "exists already" in again.stderr

    document = json.loads(demo("--overwrite", "--json").stdout)
    model, ngram = document["evaluation"]["accuracy"]["value"], document["ngram"]["accuracy"]["value"]
    assert document["lead_over_ngram"]["value"] == pytest.approx(model - ngram)
    assert set(document["evaluation"]["by_source"]) == set(document["ngram"]["by_source"])
    assert [ranked["rank"] for ranked in document["ranking"]] == [1, 2, 3, 4]
    assert document["golden_verified"] > 0


def test_a_bar_is_filled_up_to_the_model_with_a_stroke_at_the_baseline() -> None:
    assert str(_bar(1.0, 0.5)) == "█" * (CELLS // 2) + "│" + "█" * (CELLS // 2 - 1)
    assert str(_bar(0.0, 1.0)) == "·" * (CELLS - 1) + "│"
