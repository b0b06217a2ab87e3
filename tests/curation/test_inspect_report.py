"""The whole report: `inspect_preferences`, its JSON and its page."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from plaudit.curation.inspect import InspectReport, inspect_preferences
from plaudit.curation.inspect import run as inspecting
from plaudit.curation.inspect.clusters import cluster_prompts
from plaudit.curation.inspect.page import render_page, write_page
from plaudit.data import Columns
from plaudit.errors import ConfigError, MissingExtraError, OutputError

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def rows() -> list[dict[str, Any]]:
    pairs = [
        {
            "prompt": f"Question {i}: <b>why</b> is the sky blue?",
            "chosen": f"Because of the air & the light, that is number {i}." + " It scatters." * (i % 3),
            "rejected": f"I do not know this at all, number {i}",
            "source": "a",
        }
        for i in range(24)
    ]
    return [*pairs, pairs[3], {**pairs[4], "rejected": "4", "chosen": "four"}, {**pairs[5], "soft_label": 0.5}]


@pytest.fixture(scope="module")
def report() -> InspectReport:
    steps: dict[str, int] = {}

    def progress(step: str, count: int) -> None:
        steps[step] = steps.get(step, 0) + count

    found = inspect_preferences(rows(), embeddings=False, max_length=64, progress=progress)
    assert steps == {"rows": 27, "languages": 27, "word pairs": 26}
    return found


def test_the_report_counts_what_is_there(report: InspectReport) -> None:
    assert (report.kind, report.rows, report.good, report.prompts, report.most_rows) == ("pairs", 27, 27, 24, 2)
    assert (report.ties, report.soft) == (1, 0)
    assert [column["name"] for column in report.columns] == ["prompt", "chosen", "rejected", "source", "soft_label"]
    assert report.columns[-1]["filled"] == pytest.approx(1 / 27)
    longer = next(rule for rule in report.shortcuts if rule.name == "longer wins")
    assert (longer.accuracy.value, longer.pairs) == (1.0, 26)
    assert {name: report.finding(name).count for name in ("duplicates", "near-identical")} == {  # type: ignore[union-attr]
        "duplicates": 1, "near-identical": 1,
    }  # fmt: skip
    assert set(report.not_checked) == {"leaked", "contaminated", "noise", "clusters", "first wins"}


def test_findings_come_with_texts_and_a_command(report: InspectReport) -> None:
    finding = report.finding("near-identical")
    assert finding is not None
    assert finding.command.endswith("OUTPUT.jsonl --drop near-identical")
    assert finding.examples[0].texts[1:] == ("four", "4")
    assert (finding.examples[0].index, finding.examples[0].detail) == (25, "numbers written otherwise")


def test_commands_name_the_columns_that_were_named() -> None:
    renamed = [{"p": f"p{i}", "best": "yes", "rejected": "yes", "from": "a" if i else "b"} for i in range(11)]
    columns = Columns(prompt="p", chosen="best", source="from")
    report = inspect_preferences(renamed, columns=columns, embeddings=False)
    commands = {finding.name: finding.command.partition("OUTPUT.jsonl ")[2] for finding in report.findings}
    assert commands == {
        "identical": "--drop identical --prompt-column p --chosen-column best --source-column from",
        "unbalanced-sources": "--by from --prompt-column p --chosen-column best",
    }


def test_the_report_is_json(report: InspectReport) -> None:
    document = json.loads(json.dumps(report.to_dict()))
    assert document["kind"] == "pairs"
    assert document["findings"][0]["name"] == "duplicates"
    assert "drawing" not in document


def test_the_page_needs_nothing_from_outside_and_escapes_texts(report: InspectReport, tmp_path: Path) -> None:
    page = render_page(report)
    assert page == render_page(report)
    assert "<b>why</b>" not in page
    assert "&lt;b&gt;why&lt;/b&gt;" in page
    assert page.count("<svg") == 3
    links = re.findall(r"""(?:src|href)=["']([^"'#][^"']*)""", page)
    assert all(link.startswith("data:") for link in links)
    assert "url(http" not in page
    assert "prefers-color-scheme: dark" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    write_page(report, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == page
    with pytest.raises(OutputError):
        write_page(report, tmp_path)


def test_prompts_are_grouped_and_named_by_their_words() -> None:
    foods, stars = ["bread", "soup", "cheese", "salad"], ["planet", "comet", "galaxy", "moon"]
    prompts = [f"How do I cook a tasty {food} for dinner number {i}?" for i in range(5) for food in foods]
    prompts += [f"How far is the {star} from the sun in astronomy, {i}?" for i in range(5) for star in stars]
    found = cluster_prompts(prompts)
    assert found is not None
    assert found.points.shape == (40, 2)
    assert sum(cluster.size for cluster in found.clusters) == found.prompts == 40
    for place in range(len(found.clusters)):
        kinds = {"cook" in prompts[i] for i in range(40) if found.labels[i] == place}
        assert len(kinds) == 1
    assert cluster_prompts(prompts[:19]) is None


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: Any, **__: Any) -> None:
        raise MissingExtraError("language", "rules")

    monkeypatch.setattr(inspecting, "find_languages", missing)
    report = inspect_preferences(rows()[:5], embeddings=False)
    assert "plaudit[rules]" in report.not_checked["language"]
    assert report.finding("language") is None


def test_ratings_get_a_report_of_their_own() -> None:
    rated = [{"prompt": f"p{i}", "response": f"text {i}", "score": i} for i in range(5)]
    report = inspect_preferences([*rated, rated[0]], embeddings=False)
    assert (report.kind, report.shortcuts, report.good) == ("ratings", [], 6)
    assert [length.part for length in report.lengths] == ["prompt", "response", "prompt", "response", "both"]
    assert report.finding("duplicates") is not None
    assert report.not_checked["identical"] == "does not apply to ratings"
    assert "ratings" in render_page(report)


def test_a_sample_that_says_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="20 or more"):
        inspect_preferences(rows(), sample=5)


def test_languages_of_sides_are_compared() -> None:
    row = {
        "prompt": "Tell me about your day and what you did in the morning.",
        "chosen": "I went to the market this morning and bought bread for the whole family.",
        "rejected": "Ich bin heute Morgen auf den Markt gegangen und habe Brot für die Familie gekauft.",
    }
    report = inspect_preferences([row, {**row, "rejected": "No."}], embeddings=False)
    finding = report.finding("language")
    assert finding is not None
    assert (finding.count, finding.examples[0].detail) == (1, "en against de")


@pytest.mark.slow
@pytest.mark.parametrize(("benchmark", "prompts"), [("bench/rm_bench", 129), ("ab/pandalm_test", 163)])
def test_the_known_contamination_is_found_exactly(benchmark: str, prompts: int) -> None:
    if not SHARED.is_dir():
        pytest.skip(f"there is no {SHARED}")
    file = SHARED / f"{benchmark}.jsonl"
    report = inspect_preferences(SHARED / "preferences/alpaca_eval_v1_gpt4.jsonl", benchmarks=[file], embeddings=False)
    assert report.shared[0].exact == prompts
