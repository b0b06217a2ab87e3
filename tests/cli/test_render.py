"""``plaudit render``: what the model sees, without loading weights."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from plaudit.formatting import RenderItem
from plaudit.models.reward_model import RewardModel


def test_json_holds_exactly_what_the_model_sees(run, reward_model: Path, pairs: Path) -> None:
    document = json.loads(run("render", pairs, "-m", reward_model, "--row", "3", "--json").stdout)
    model = RewardModel.from_pretrained(reward_model, device="cpu")
    row = json.loads(pairs.read_text(encoding="utf-8").splitlines()[2])
    assert document["location"] == f"{pairs}:3"
    assert (document["layout"], document["max_length"], document["hash"]) == ("pair", 64, model.renderer.hash)
    assert document["read_position"] == "pooled"
    for shown, side in zip(document["responses"], ("chosen", "rejected"), strict=True):
        rendered = model.renderer.render(RenderItem(row["prompt"], row[side]))
        assert (shown["name"], shown["ids"]) == (side, rendered.input_ids)
        assert len(shown["ids"]) == len(shown["tokens"]) == len(shown["kinds"])
        assert set(shown["kinds"]) == {"special", "prompt", "response"}
        assert (shown["cut_at"], shown["cut"], shown["read_index"]) == (None, 0, None)


def test_no_weights_are_needed(run, decoder: Path, pairs: Path) -> None:
    document = json.loads(run("render", pairs, "-m", decoder, "--json").stdout)
    assert (document["layout"], document["max_length"], document["read_position"]) == ("chat", 512, "last")
    for shown in document["responses"]:
        assert shown["read_index"] == len(shown["ids"]) - 1
        assert shown["tokens"][-1] == "<|end|>"


def test_a_plain_terminal_shows_kinds_and_the_read_position(run, decoder: Path, pairs: Path) -> None:
    result = run("render", pairs, "-m", decoder)
    assert result.exit_code == 0, result.stderr
    text = result.stdout
    assert text.count("<|end|> [read]") == 2
    for kind in ("special", "prompt", "response"):
        assert re.search(rf"^{kind} +\S", text, re.MULTILINE)
    assert re.search(r"^chosen +\d+ tokens: \d+ special, \d+ prompt, \d+ response$", text, re.MULTILINE)
    assert max(len(line) for line in text.splitlines()[2:-1]) <= 80
    assert "\x1b" not in text


def test_the_place_of_a_cut_is_marked(run, decoder: Path, write_rows) -> None:
    file = write_rows("long.jsonl", {"prompt": "the sky is " * 40, "chosen": "blue", "rejected": "red"})
    text = run("render", file, "-m", decoder, "--max-length", "96").stdout
    lost = [int(number) for number in re.findall(r"✂ +(\d+) tokens lost", text)]
    document = json.loads(run("render", file, "-m", decoder, "--max-length", "96", "--json").stdout)
    assert lost == [shown["cut"] for shown in document["responses"]]
    assert all(number > 0 for number in lost)
    assert all(shown["kinds"][shown["cut_at"]] == "prompt" for shown in document["responses"])


def test_a_response_that_cannot_be_rendered_is_explained(run, decoder: Path, write_rows) -> None:
    file = write_rows("long.jsonl", {"prompt": "why", "chosen": "blue " * 80, "rejected": "red"})
    result = run("render", file, "-m", decoder, "--max-length", "32")
    assert result.exit_code == 0
    assert "not rendered" in result.stdout
    first, second = json.loads(run("render", file, "-m", decoder, "--max-length", "32", "--json").stdout)["responses"]
    assert "over the limit" in first["error"]
    assert "ids" in second


def test_layout_and_length_can_be_tried_out(run, reward_model: Path, pairs: Path) -> None:
    result = run("render", pairs, "-m", reward_model, "--layout", "text", "--max-length", "40", "--json")
    document = json.loads(result.stdout)
    assert (document["layout"], document["max_length"]) == ("text", 40)
    assert "not the rendering of the model's scoring contract" in result.stderr
    assert "contract" not in run("render", pairs, "-m", reward_model, "--layout", "auto").stderr


def test_other_columns_and_single_responses(run, reward_model: Path, write_rows) -> None:
    file = write_rows(
        "rows.jsonl", {"q": "Why?", "good": "Because.", "bad": "No."}, {"prompt": "Why?", "response": "So."}
    )
    columns = ("--prompt-column", "q", "--chosen-column", "good", "--rejected-column", "bad")
    named = json.loads(run("render", file, "-m", reward_model, *columns, "--json").stdout)
    assert [shown["name"] for shown in named["responses"]] == ["chosen", "rejected"]
    single = json.loads(run("render", file, "-m", reward_model, "--row", "2", "--json").stdout)
    assert [shown["name"] for shown in single["responses"]] == ["response"]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--row", "99"], "has no row 99"),
        (["--layout", "chat"], "needs a chat template"),
        (["--row", "0"], "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_shown_is_refused(
    run, base_model: Path, pairs: Path, arguments: list[str], problem: str
) -> None:
    result = run("render", pairs, "-m", base_model, *arguments)
    assert result.exit_code == 2
    assert problem in result.stderr
