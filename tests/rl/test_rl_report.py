"""The page of a run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from plaudit.errors import ConfigError
from plaudit.metrics.intervals import Interval
from plaudit.rl.report import render_report, write_report
from plaudit.rl.report_plots import curves_of, series_of
from plaudit.rl.win_rates import ScorerWins, WinRates

HOSTILE = '<script>alert(1)</script> $x^2$ {{ 7*7 }} & "quoted" \''


def records(count: int = 20, **more: Any) -> list[dict[str, Any]]:
    return [
        {
            "step": i + 1,
            "reward": i / 10,
            "kl": i / 4,
            "kl_coef": None,
            "length": 20.0 + i,
            "repetition": 0.02,
            "policy_loss": float("nan") if i == 3 else -0.01 * i,
            "gold": {"rule": 1 - i / 20, HOSTILE: None if i % 2 else 0.5 * i},
            "parts": {"length": 0.1 * i},
            "seconds": 2.0,
            **more,
        }
        for i in range(count)
    ]


def samples(steps: list[int], prompts: int = 2) -> list[dict[str, Any]]:
    return [
        {
            "step": step,
            "prompt": f"question {p}" if p else [{"role": "user", "content": "question 0"}],
            "response": f"answer {p} of {step}",
            "reward": step / 10,
            "gold": {"rule": 0.5},
        }
        for step in steps
        for p in range(prompts)
    ]


def rates() -> WinRates:
    i = Interval(0.75, 0.6, 0.9)
    wins = {"reward": ScorerWins(i, i, i, 0.0, 1.0, 0.0), HOSTILE: ScorerWins(i, None, None, None, None, 0.0)}
    return WinRates(30, 30, wins, i, 20.0, 30.0, i, "tokens", 0.1, 0.0, 0.05)


def whole_run(**more: Any) -> dict[str, Any]:
    return {
        "records": records(),
        "samples": samples([0, 10, 20]),
        "warnings": ["step 12: the gold score falls"],
        "win_rates": rates(),
        "results": {
            "algorithm": "ppo",
            "backend": "trl",
            "policy": "a/b",
            "reward": "rm",
            "steps": 20,
            "episodes": 320,
        },
        "config": {"model_name": "a/b", "options": {"kl_target": 3.0}},
        **more,
    }


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.links: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href")]


def text_of(page: str) -> str:
    body = re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


def test_figures_warnings_curves_and_answers_are_there() -> None:
    page = render_report(whole_run())
    text = text_of(page)
    for expected in (
        "ppo · b",
        "75% wins by reward",
        "step 12: the gold score falls",
        "30 held-out prompts, 30 pairs of answers",
        "10.0% of the pairs are identical texts",
        "Reward 0.05 1.85 0 1.9",
        "Gold rule 0.975 0.075 0.05 1",
        "Reward (blue) and gold rule (orange)",
        "Component length, its own scores",
        "answer 0 of 20",
        "40 s of training 2 s a step",
        "320 answers",
    ):
        assert expected in text
    assert page.count("<svg") == len(curves_of(records()))
    assert ">target<" in page
    assert "Norm of the gradient" not in page


def test_nothing_of_a_run_becomes_markup_and_nothing_comes_from_outside() -> None:
    run = whole_run(
        samples=[{"step": 0, "prompt": HOSTILE, "response": HOSTILE + "\ud800", "reward": None, "gold": {}}],
        warnings=[HOSTILE],
        results={"algorithm": HOSTILE, "policy": HOSTILE, "reward": HOSTILE},
        config={HOSTILE: HOSTILE},
    )
    page = render_report(run)
    tags = Tags(page)
    assert "script" not in tags.found
    assert "{{ 7*7 }}" in page
    assert all(link.startswith("#") for link in tags.links)


def test_answers_stand_side_by_side_at_the_same_steps_with_the_first_and_the_last() -> None:
    page = render_report({"samples": samples(list(range(0, 101, 10)), prompts=3)})
    steps = re.findall(r"answer 2 of (\d+)", page)
    assert steps == ["0", "20", "40", "60", "80", "100"]
    assert page.count('<div class="times">') == 3
    assert "<b>user</b> question 0" in page


def test_long_and_empty_answers_are_said_to_be_so() -> None:
    rows = [
        {"step": 0, "prompt": "p", "response": " ", "reward": -1.0, "gold": {"rule": None}},
        {"step": 1, "prompt": "p", "response": "x" * 5000, "reward": 1.0, "gold": {}},
    ]
    text = text_of(render_report({"samples": rows}))
    assert "(empty)" in text
    assert "(3,500 more characters)" in text


@pytest.mark.parametrize("run", [{}, {"records": records(1)}, {"results": {"algorithm": "grpo"}, "win_rates": None}])
def test_a_run_of_which_little_is_known_is_shown_too(run: dict[str, Any]) -> None:
    assert render_report(run).rstrip().endswith("</html>")


def test_curves_leave_out_what_is_no_number() -> None:
    found = records(6)
    assert series_of(found, "policy_loss") == ([1, 2, 3, 5, 6], [0, -0.01, -0.02, -0.04, -0.05])
    assert series_of(found, "gold", HOSTILE)[0] == [1, 3, 5]
    assert series_of(found, "kl_coef") == ([], [])
    captions = [curve.caption for curve in curves_of(found)]
    assert "Weight of KL" not in captions
    assert "Repeated word trigrams" not in captions, "it does not change"
    assert [curve.first for curve in curves_of(found)].index(False) >= 4


def test_long_runs_are_drawn_by_few_points(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, {"records": records(3000)})
    assert path.stat().st_size < 600_000
    with pytest.raises(ConfigError, match=r"ends in \.html"):
        write_report(tmp_path / "report.pdf", {})
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]
