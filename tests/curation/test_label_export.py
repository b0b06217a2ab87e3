"""Judgements become figures and preference pairs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit.curation.label import Queue, export_labels, label_report
from plaudit.curation.label.export import share_of_a
from plaudit.curation.label.store import LabelStore, left_side
from plaudit.data import Columns, load_preferences
from plaudit.errors import ConfigError, DataError, OutputError

ROWS: list[dict[str, Any]] = [
    {"id": i, "prompt": f"ask {i}", "response_a": f"one {i}", "response_b": f"two {i}", "source": "s", "margin": 9.0}
    for i in range(4)
]

Labelled = Callable[..., Path]


@pytest.fixture
def labelled(tmp_path: Path) -> Labelled:
    """``labelled({"anna": "ab.t"}, rows)``: a queue with these verdicts, one character a row (``.``: none)."""

    def make(verdicts: dict[str, str], rows: list[dict[str, Any]] = ROWS, name: str = "queue.jsonl") -> Path:
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        path.with_name("queue.labels.db").unlink(missing_ok=True)
        with LabelStore(tmp_path / "queue.labels.db", Queue(path)) as store:
            for annotator, labels in verdicts.items():
                for row, verdict in enumerate(labels):
                    left = left_side(store.fingerprint, annotator, row)
                    choices = {"t": "tie", "s": "skip", left: "left"}
                    if verdict != ".":
                        choice: Any = choices.get(verdict, "right")
                        store.judge(annotator, row, choice, f"{annotator}-{row}")
        return path

    return make


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_pairs_have_the_share_of_annotators_that_preferred_chosen(labelled: Labelled, tmp_path: Path) -> None:
    queue = labelled({"anna": "abt.", "ben": "aba.", "cleo": "btbs"})
    counts = export_labels(queue, tmp_path / "pairs.jsonl")
    rows = read(tmp_path / "pairs.jsonl")
    assert [(row["chosen"], row["rejected"]) for row in rows] == [
        ("one 0", "two 0"),
        ("two 1", "one 1"),
        ("one 2", "two 2"),
    ]
    assert [row["soft_label"] for row in rows] == pytest.approx([2 / 3, 5 / 6, 1 / 2])
    assert [row["annotators"] for row in rows] == [3, 3, 3]
    assert rows[0] | {"soft_label": 0} == {
        "id": 0,
        "prompt": "ask 0",
        "response_a": "one 0",
        "response_b": "two 0",
        "source": "s",
        "queue_margin": 9.0,
        "chosen": "one 0",
        "rejected": "two 0",
        "soft_label": 0,
        "annotators": 3,
    }
    assert counts.to_dict() == {"rows": 4, "written": 3, "ties": 1, "ties_dropped": 0, "unjudged": 1, "bad": 0}


def test_the_majority_decides_alone_where_that_is_asked_for(labelled: Labelled, tmp_path: Path) -> None:
    queue = labelled({"anna": "abt.", "ben": "aba.", "cleo": "btbs"})
    counts = export_labels(queue, tmp_path / "pairs.jsonl", aggregate="majority", ties="drop")
    assert [(row["chosen"], row["soft_label"]) for row in read(tmp_path / "pairs.jsonl")] == [
        ("one 0", 1.0),
        ("two 1", 1.0),
    ]
    assert (counts.written, counts.ties_dropped, counts.unjudged) == (2, 1, 1)


@pytest.mark.parametrize(
    ("verdicts", "soft", "majority"),
    [
        (["a"], 1.0, 1.0),
        (["b"], 0.0, 0.0),
        (["tie"], 0.5, 0.5),
        (["a", "b"], 0.5, 0.5),
        (["a", "tie"], 0.75, 0.5),
        (["a", "a", "tie", "tie", "tie"], 0.7, 0.5),
        (["a", "a", "b"], 2 / 3, 1.0),
        (["b", "b", "a", "tie"], 0.375, 0.0),
    ],
)
def test_verdicts_are_put_together(verdicts: list[str], soft: float, majority: float) -> None:
    assert share_of_a(verdicts, "soft") == pytest.approx(soft)
    assert share_of_a(verdicts, "majority") == majority


def test_exported_pairs_load_with_their_soft_labels(labelled: Labelled, tmp_path: Path) -> None:
    conversations = [
        {
            "prompt": [{"role": "user", "content": f"ask {i}"}],
            "chosen": [{"role": "assistant", "content": f"one {i}"}],
            "rejected": [{"role": "assistant", "content": f"two {i}"}],
        }
        for i in range(4)
    ]
    export_labels(labelled({"anna": "abtb", "ben": "aatb"}, conversations), tmp_path / "pairs.jsonl")
    data = load_preferences(tmp_path / "pairs.jsonl", columns=Columns())
    assert [example.labels for example in data] == [(1.0, 0.0), (0.5, 0.5), (0.5, 0.5), (1.0, 0.0)]
    assert data[3].responses[0] == [{"role": "assistant", "content": "two 3"}]


@pytest.mark.parametrize("name", ["pairs.parquet", "pairs.csv", "pairs.json", "pairs.jsonl.gz"])
def test_every_format_can_be_written(labelled: Labelled, tmp_path: Path, name: str) -> None:
    export_labels(labelled({"anna": "abtb"}), tmp_path / name)
    data = load_preferences(tmp_path / name)
    assert [example.responses[0] for example in data] == ["one 0", "two 1", "one 2", "two 3"]
    assert {example.source for example in data} == {"s"}


def test_nothing_to_write_leaves_no_file(labelled: Labelled, tmp_path: Path) -> None:
    queue = labelled({"anna": "tt.."})
    with pytest.raises(DataError, match="of 4 rows 2 are not judged yet and 2 are ties, which were to be dropped"):
        export_labels(queue, tmp_path / "pairs.jsonl", ties="drop")
    assert not (tmp_path / "pairs.jsonl").exists()


def test_an_output_that_is_there_or_is_read_is_refused(labelled: Labelled, tmp_path: Path) -> None:
    queue = labelled({"anna": "a"})
    (tmp_path / "pairs.jsonl").write_text("mine\n")
    with pytest.raises(OutputError, match="exists already"):
        export_labels(queue, tmp_path / "pairs.jsonl")
    with pytest.raises(OutputError, match="is read while it would be written"):
        export_labels(queue, queue, overwrite=True)
    with pytest.raises(ConfigError, match="expected 'keep' or 'drop'"):
        export_labels(queue, tmp_path / "x.jsonl", ties="flip")  # type: ignore[arg-type]
    export_labels(queue, tmp_path / "pairs.jsonl", overwrite=True)
    assert read(tmp_path / "pairs.jsonl")[0]["soft_label"] == 1.0


def test_the_report_counts_and_compares_annotators(labelled: Labelled) -> None:
    report = label_report(labelled({"anna": "aabt", "ben": "ab.t", "cleo": "s..."}))
    assert (report.rows, report.judged, report.shared, report.judgements) == (4, 4, 3, 7)
    assert report.agreement == pytest.approx(2 / 3)
    (pair,) = report.pairs
    assert (pair.first, pair.second, pair.rows) == ("anna", "ben", 3)
    assert pair.agreement == pytest.approx(2 / 3)
    assert pair.kappa == pytest.approx((2 / 3 - 3 / 9) / (1 - 3 / 9))  # p_e = (2*1 + 0*1 + 1*1) / 9
    # coincidences: aa 2, tt 2, ab 1, ba 1; n_a = 3, n_b = 1, n_t = 2, n = 6
    assert report.alpha == pytest.approx(1 - 5 * 2 / (36 - 14))
    anna, cleo = report.annotators["anna"], report.annotators["cleo"]
    assert (anna.judged, anna.ties, anna.skipped, anna.undone) == (4, 1, 0, 0)
    assert (cleo.judged, cleo.skipped, cleo.left) == (0, 1, None)
    assert report.everyone.judged == 7
    assert json.loads(json.dumps(report.to_dict()))["pairs"][0]["rows"] == 3


def test_position_bias_is_the_share_of_left_choices(tmp_path: Path) -> None:
    path = tmp_path / "queue.jsonl"
    path.write_text("".join(json.dumps(ROWS[0] | {"prompt": str(i)}) + "\n" for i in range(20)))
    with LabelStore(tmp_path / "queue.labels.db", Queue(path)) as store:
        for row in range(20):
            store.judge("anna", row, "tie" if row < 4 else "right" if row < 8 else "left", f"anna-key-{row}")
    left = label_report(path).annotators["anna"].left
    assert left is not None
    assert left.value == 0.75
    assert (left.low, left.high) == pytest.approx((0.4762, 0.9273), abs=1e-3)  # Clopper & Pearson for 12 of 16


VERDICTS = st.lists(st.text("abt.", min_size=4, max_size=4), min_size=1, max_size=3)


@settings(deadline=None, max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(VERDICTS)
def test_every_row_is_written_or_counted(labelled: Labelled, tmp_path: Path, verdicts: list[str]) -> None:
    queue = labelled({f"annotator {i}": labels for i, labels in enumerate(verdicts)})
    judged = [row for row in range(4) if any(labels[row] != "." for labels in verdicts)]
    if not judged:
        with pytest.raises(DataError):
            export_labels(queue, tmp_path / "pairs.jsonl", overwrite=True)
        return
    counts = export_labels(queue, tmp_path / "pairs.jsonl", overwrite=True)
    rows = read(tmp_path / "pairs.jsonl")
    assert [row["id"] for row in rows] == judged
    assert counts.rows == counts.written + counts.unjudged
    for row in rows:
        votes = [labels[row["id"]] for labels in verdicts if labels[row["id"]] != "."]
        side = "a" if row["chosen"].startswith("one") else "b"
        assert row["annotators"] == len(votes)
        assert row["soft_label"] == pytest.approx((votes.count(side) + votes.count("t") / 2) / len(votes))
        assert row["soft_label"] >= 0.5
