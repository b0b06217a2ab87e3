"""Balancing by how hard pairs are, and by what prompts are about."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from plaudit.curation import clusters as clusters_module
from plaudit.curation.balance import balance_preferences
from plaudit.curation.difficulty import bin_margins, ngram_margins, scorer_margins
from plaudit.data.columns import Columns
from plaudit.data.passes import Passes, RowReport
from plaudit.errors import ConfigError, DataError, ItemError


class Marks:
    """Scores by the number that a response ends with."""

    def score(self, prompts, responses, *, references=None):
        return np.array([float(str(response).split()[-1]) for response in responses], dtype=np.float32)


class Picky(Marks):
    """As `Marks`, but scores no blank text."""

    def score(self, prompts, responses, *, references=None):
        blank = [place for place, response in enumerate(responses) if not response.strip()]
        if blank:
            raise ItemError("the response is empty", blank[0])
        return super().score(prompts, responses)


def pair(chosen: float, rejected: float, n: int = 0, **more) -> dict:
    return {"prompt": f"p{n}", "chosen": f"reply {chosen}", "rejected": f"reply {rejected}", **more}


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_margin_is_that_of_the_preferred_response() -> None:
    rows = [pair(3, 1), pair(1, 3), pair(3, 1, soft_label=0.2), pair(3, 1, soft_label=0.5), pair(1, 3, soft_label=0.5)]
    margins = scorer_margins(Passes(rows, RowReport()), Marks(), Columns())
    assert list(margins) == [2, -2, -2, -2, -2]


def test_bins_are_of_equal_width_and_open_at_the_ends() -> None:
    margins = [*np.linspace(0, 100, 101), -1000.0, 1000.0]
    places, names = bin_margins(margins, 4)
    low, high = np.percentile(margins, [2, 98])
    edges = [low + (high - low) * share for share in (0.25, 0.5, 0.75)]
    assert places[-2] == 0
    assert places[-1] == 3
    assert [int(place) for place in places[:101]] == [sum(margin >= edge for edge in edges) for margin in range(101)]
    assert names[0] == f"margin below {edges[0]:.3g}, the hardest"
    assert names[3] == f"margin from {edges[2]:.3g}, the easiest"
    with pytest.raises(DataError, match="equally hard"):
        bin_margins([1.0, 1.0], 3)


def test_pairs_are_evened_out_by_the_margin_of_a_scorer(tmp_path: Path) -> None:
    rows = [pair(m, 0, n) for n, m in enumerate([0] * 4 + [10] * 30 + [20] * 6)]
    report = balance_preferences(rows, tmp_path / "out.jsonl", "difficulty", scorer=Marks(), bins=2)
    assert list(report.before.values()) == [4, 36]
    assert list(report.after.values()) == [4, 4]
    assert len(read(tmp_path / "out.jsonl")) == 8


def test_a_row_that_cannot_be_scored_is_left_out_of_every_pass(tmp_path: Path) -> None:
    rows = [pair(m, 0, n) for n, m in enumerate([0, 0, 5, 5])]
    rows.insert(1, {"prompt": "x", "chosen": 5, "rejected": "no"})
    rows.insert(3, {"prompt": "x", "chosen": " ", "rejected": "no 1"})
    report = balance_preferences(
        rows, tmp_path / "out.jsonl", "difficulty", scorer=Picky(), bins=2, weights=True, on_bad_row="skip"
    )
    assert (report.bad, report.written) == (2, 4)
    assert [row["weight"] for row in read(tmp_path / "out.jsonl")] == [1, 1, 1, 1]


def test_without_a_scorer_words_of_other_prompts_tell_what_is_easy() -> None:
    easy = [{"prompt": f"e{n}", "chosen": f"kind words {n}", "rejected": f"rude words {n}"} for n in range(60)]
    odd = [{"prompt": f"o{n}", "chosen": f"rude words {n}", "rejected": f"kind words {n}"} for n in range(6)]
    margins = np.array(ngram_margins(Passes([*easy, *odd], RowReport()), Columns()))
    assert len(margins) == 66
    assert margins[:60].min() > 0 > margins[60:].max()


def test_length_is_taken_out_of_the_margins() -> None:
    rows = [
        {"prompt": f"p{n}", "chosen": " ".join(["word"] * (n % 7 + 3)), "rejected": "word " * (n % 3 + 1)}
        for n in range(90)
    ]
    margins = np.array(ngram_margins(Passes(rows, RowReport()), Columns()))
    longer = np.log1p([len(row["chosen"]) for row in rows]) - np.log1p([len(row["rejected"]) for row in rows])
    assert abs(float(margins @ longer)) < 1e-6 * len(rows)


def test_one_prompt_alone_has_no_other_to_learn_from(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "chosen": f"yes {n}", "rejected": "no"} for n in range(5)]
    with pytest.raises(DataError, match="give a reference with --model NAME or --reward NAME"):
        balance_preferences(rows, tmp_path / "out.jsonl", "difficulty")


class Encoder:
    """Texts about cats, dogs and the rest lie in three corners."""

    def encode(self, texts):
        corners = {"cat": (1.0, 0.0), "dog": (0.0, 1.0)}
        found = [next((corner for word, corner in corners.items() if word in text), (-1.0, -1.0)) for text in texts]
        return np.array(found, dtype=np.float32)


@pytest.fixture
def encoder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plaudit.rewards.embeddings.sentence_encoder", lambda model, device=None: Encoder())


@pytest.mark.usefixtures("encoder")
def test_prompts_are_evened_out_by_what_they_are_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters_module, "CHUNK", 7)
    topics = ["cat"] * 20 + ["dog"] * 10 + ["sun"] * 5
    rows = [{"prompt": f"{topic} {n}", "chosen": "a", "rejected": "b"} for n, topic in enumerate(topics)]
    report = balance_preferences(rows, tmp_path / "out.jsonl", "prompt-cluster", clusters=3)
    assert list(report.before.values()) == [20, 10, 5]
    assert [name.split()[1].strip("(") for name in report.before] == ["cat", "dog", "sun"]
    assert Counter(row["prompt"].split()[0] for row in read(tmp_path / "out.jsonl")) == {"cat": 5, "dog": 5, "sun": 5}


@pytest.mark.usefixtures("encoder")
def test_a_row_without_a_prompt_is_a_value_of_its_own(tmp_path: Path) -> None:
    rows = [{"prompt": f"{topic} {n}", "response": "a"} for n in range(4) for topic in ("cat", "dog")]
    rows += [{"prompt": "", "response": f"text {n}"} for n in range(2)]
    report = balance_preferences(rows, tmp_path / "out.jsonl", "prompt-cluster", clusters=2)
    assert sorted(report.before.values()) == [2, 4, 4]
    assert report.before["no prompt"] == 2
    with pytest.raises(DataError, match=r"9 clusters of 8 different prompts; ask for fewer"):
        balance_preferences(rows, tmp_path / "more.jsonl", "prompt-cluster", clusters=9)


def test_a_column_of_that_name_comes_first(tmp_path: Path) -> None:
    rows = [pair(1, 0, n, difficulty=level) for n, level in enumerate(["easy", "easy", "hard"])]
    report = balance_preferences(rows, tmp_path / "out.jsonl", "difficulty")
    assert report.by == "the column 'difficulty'"
    assert report.after == {"easy": 1, "hard": 1}
    with pytest.raises(ConfigError, match="--bins: no effect"):
        balance_preferences(rows, tmp_path / "x.jsonl", "difficulty", bins=3)
