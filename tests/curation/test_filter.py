"""What passes a filter is what scores enough, and pairs are the best and the worst of a prompt."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plaudit.evaluation.row_scorers as row_scorers
from plaudit.curation.filter import filter_corpus
from plaudit.data import load_preferences
from plaudit.errors import ConfigError, DataError, ItemError, OutputError, RowError


class Marks:
    """Scores by the number that a response ends with; counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def score(self, prompts, responses, *, references=None):
        self.asked += len(responses)
        for place, response in enumerate(responses):
            if "unspeakable" in str(response):
                raise ItemError("it cannot be said", place)
        texts = [r if isinstance(r, str) else r[-1]["content"] for r in responses]
        return np.array([float(text.split()[-1]) for text in texts], dtype=np.float32)


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


ROWS = [{"prompt": f"p{n % 3}", "response": f"text {mark}", "n": n} for n, mark in enumerate([5, 1, 4, 2, 3, 0])]


def test_rows_are_kept_by_their_raw_score(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    report = filter_corpus(ROWS, out, Marks(), min_score=3)
    assert read(out) == [{**ROWS[n], "score": score} for n, score in ((0, 5.0), (2, 4.0), (4, 3.0))]
    assert (report.rows, report.responses, report.kept, report.written) == (6, 6, 3, 3)
    assert (report.mean, report.low, report.high, report.threshold) == (2.5, 0, 5, 3)


def test_a_share_is_kept_exactly_and_everything_is_scored_once(tmp_path: Path) -> None:
    out, marks = tmp_path / "out.jsonl", Marks()
    report = filter_corpus(ROWS, out, marks, keep_fraction=0.5, score_name="reward")
    assert [(row["n"], row["reward"]) for row in read(out)] == [(0, 5.0), (2, 4.0), (4, 3.0)]
    assert marks.asked == 6
    assert report.threshold == 3
    equal = [{"response": "same 1", "n": n} for n in range(5)]
    filter_corpus(equal, out, marks, keep_fraction=0.4, overwrite=True)
    assert [row["n"] for row in read(out)] == [0, 1]  # of equal ones the first


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.floats(0.05, 1), st.integers(1, 9))
def test_a_share_is_that_of_the_best(tmp_path_factory, marks: list[int], fraction: float, chunk: int) -> None:
    out = tmp_path_factory.mktemp("filter") / "out.jsonl"
    rows = [{"response": f"text {mark}"} for mark in marks]
    wanted = round(fraction * len(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_scorers.scoring_chunks, "__defaults__", (chunk, 10**6))
        if not wanted:
            with pytest.raises(DataError, match="is none; keep a larger fraction"):
                filter_corpus(rows, out, Marks(), keep_fraction=fraction)
            return
        filter_corpus(rows, out, Marks(), keep_fraction=fraction)
    assert sorted(row["score"] for row in read(out)) == sorted(marks)[len(marks) - wanted :]


def test_of_a_list_the_responses_that_pass_stay_with_their_ranks(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p", "responses": ["a 1", "b 5", "c 3"], "ranks": [3, 1, 2], "tags": ["x", "y", "z"]},
        {"prompt": "q", "responses": ["a 1", "b 2"], "ranks": [2, 1], "tags": []},
        {"prompt": "r", "responses": ["a 9"], "ranks": [1], "tags": []},
    ]
    report = filter_corpus(rows, tmp_path / "out.jsonl", Marks(), min_score=3)
    kept = read(tmp_path / "out.jsonl")
    assert kept[0] == {
        "prompt": "p",
        "responses": ["b 5", "c 3"],
        "ranks": [1, 2],
        "tags": ["x", "y", "z"],
        "scores": [5.0, 3.0],
    }
    assert kept[1] == {**rows[2], "score": 9.0}
    assert (report.responses, report.kept, report.written) == (6, 3, 2)


def test_pairs_are_the_best_and_the_worst_of_a_prompt_wherever_they_are(tmp_path: Path) -> None:
    rows = [*ROWS, {"prompt": "P0 ", "response": "text 9"}, {"prompt": "alone", "response": "text 1"}]
    rows += [{"prompt": "near", "response": "text 1"}, {"prompt": "near", "responses": ["text 1.5", "text 1.2"]}]
    rows += [{"response": "no prompt 3"}]
    report = filter_corpus(rows, tmp_path / "out.jsonl", Marks(), pairs=True, min_margin=1.0)
    best = [("P0 ", 9, 2), ("p1", 3, 1), ("p2", 4, 0)]  # p0: 5, 2 and 9
    assert read(tmp_path / "out.jsonl") == [
        {
            "prompt": prompt,
            "chosen": f"text {high}",
            "rejected": f"text {low}",
            "score_chosen": high,
            "score_rejected": low,
            "margin": high - low,
        }
        for prompt, high, low in best
    ]
    assert (report.prompts, report.alone, report.too_near, report.no_prompt) == (5, 1, 1, 1)
    assert len(load_preferences(tmp_path / "out.jsonl")) == 3


def test_equal_scores_make_no_pair(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "response": f"{name} 1"} for name in "ab"]
    with pytest.raises(DataError, match="nothing is kept: .*1 prompts have a best and a worst response with too small"):
        filter_corpus(rows, tmp_path / "out.jsonl", Marks(), pairs=True)


def test_a_pair_is_of_texts_or_of_conversations_throughout(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Why?"}]
    rows = [{"prompt": turns, "response": "a 1", "tools": [{"name": "t"}]}, {"prompt": turns, "response": "b 2"}]
    rows += [{"prompt": turns, "response": "c 3", "tools": [{"name": "t"}]}]
    filter_corpus(rows, tmp_path / "out.jsonl", Marks(), pairs=True)
    (pair,) = read(tmp_path / "out.jsonl")  # other tools, another question
    assert pair["prompt"] == turns
    assert pair["chosen"] == [{"role": "assistant", "content": "c 3"}]
    assert pair["rejected"] == [{"role": "assistant", "content": "a 1"}]
    assert pair["tools"] == [{"name": "t"}]


def test_responses_can_be_brought_together_by_a_column(tmp_path: Path) -> None:
    rows = [{"prompt": f"Wording {n}", "id": "x", "response": f"text {n}", "source": "s"} for n in range(3)]
    filter_corpus(rows, tmp_path / "out.jsonl", Marks(), pairs=True, group_by="id")
    (pair,) = read(tmp_path / "out.jsonl")
    assert (pair["prompt"], pair["chosen"], pair["rejected"]) == ("Wording 2", "text 2", "text 0")
    assert pair["source"] == "s"


def test_rows_with_chosen_and_rejected_are_kept_by_their_margin(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "chosen": f"a {a}", "rejected": f"b {b}"} for a, b in ((3, 1), (1, 3), (2, 1), (1, 1))]
    report = filter_corpus(rows, tmp_path / "out.jsonl", Marks(), min_margin=1)
    assert read(tmp_path / "out.jsonl") == [
        {**rows[0], "score_chosen": 3.0, "score_rejected": 1.0},
        {**rows[2], "score_chosen": 2.0, "score_rejected": 1.0},
    ]
    assert (report.responses, report.kept) == (8, 4)
    filter_corpus(rows, tmp_path / "pairs.jsonl", Marks(), pairs=True)
    assert read(tmp_path / "pairs.jsonl")[0]["margin"] == 2


def test_a_system_column_can_be_left_out(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "system": f"engine {n}", "response": f"text {n}"} for n in range(2)]
    with pytest.raises(DataError, match="2 prompts have one response"):
        filter_corpus(rows, tmp_path / "out.jsonl", Marks(), pairs=True)
    filter_corpus(rows, tmp_path / "out.jsonl", Marks(), pairs=True, system_column="")
    assert read(tmp_path / "out.jsonl")[0]["prompt"] == "p"


@pytest.mark.parametrize("options", [{"min_score": 0}, {"keep_fraction": 1.0}, {"pairs": True}])
def test_bad_rows_are_named_or_counted(tmp_path: Path, options: dict) -> None:
    rows = [
        {"prompt": "p", "response": "good 1"},
        {"prompt": "p", "response": "unspeakable 1"},
        {"prompt": "p", "response": " "},
        {"prompt": "p"},
        {"prompt": "p", "response": "good 2"},
    ]
    out = tmp_path / "out.jsonl"
    for number, message in ((1, "row 2: .*it cannot be said"), (2, "row 2: a response is empty")):
        with pytest.raises(RowError, match=message):
            filter_corpus([rows[0], rows[number], rows[4]], out, Marks(), **options)
        assert not out.exists()
    report = filter_corpus(rows, out, Marks(), on_bad_row="skip", **options)
    assert (report.rows, report.bad, report.responses) == (5, 3, 2)
    assert len(report.problems) == 3
    assert report.written == (1 if "pairs" in options else 2)


@pytest.mark.parametrize(
    ("rows", "options", "message"),
    [
        (ROWS, {}, "say what to keep"),
        (ROWS, {"min_score": 1, "keep_fraction": 0.5}, "say what to keep"),
        (ROWS, {"pairs": True, "min_score": 1}, "belong to single rows"),
        (ROWS, {"min_score": 1, "group_by": "n"}, "only with --pairs"),
        (ROWS, {"min_score": float("nan")}, "finite"),
        (ROWS, {"keep_fraction": 0.0}, "above 0, at most 1"),
        (ROWS, {"pairs": True, "min_margin": -1.0}, "from 0"),
        (ROWS, {"min_score": 1, "overlong": "cut"}, "only for a learned model"),
        (ROWS, {"min_margin": 1}, "this row has none"),
        ([{"chosen": "a 1", "rejected": "b 2"}], {"min_score": 1}, "which have two scores"),
        ([{"response": "a 1", "score": 3}], {"min_score": 1}, "call the scores something else with --score-name NAME"),
        (ROWS, {"pairs": True, "group_by": "who"}, "no column 'who'"),
        (ROWS, {"min_score": 99}, "nothing is kept"),
        ([], {"min_score": 1}, "there are no rows"),
    ],
)
def test_what_cannot_be_filtered_is_refused(tmp_path: Path, rows: list[dict], options: dict, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        filter_corpus(rows, tmp_path / "out.jsonl", Marks(), **options)
    assert list(tmp_path.iterdir()) == []


def test_the_corpus_is_never_the_output(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(ROWS[0]) + "\n")
    with pytest.raises(OutputError, match="is read while it would be written"):
        filter_corpus(file, file, Marks(), min_score=0, overwrite=True)


def test_a_rule_is_found_by_its_name(tmp_path: Path) -> None:
    rows = [{"response": "one two three four"}, {"response": "one"}]
    filter_corpus(rows, tmp_path / "out.csv", "length{target: 4}", min_score=0.9)
    assert (tmp_path / "out.csv").read_text().splitlines() == ["response,score", "one two three four,1.0"]
