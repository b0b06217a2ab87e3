"""What was chosen is done, nothing else is, and the ledger says all of it."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plaudit.curation.clean import DROPPABLE, FLIPPABLE, clean_preferences, ledger_path
from plaudit.curation.inspect import FINDINGS
from plaudit.data import Columns
from plaudit.errors import ConfigError, DataError, OutputError, RowError
from plaudit.types import PreferencePair


def pair(prompt: str, chosen: str, rejected: str, **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def noisy_pairs(count: int = 120, every: int = 6) -> list[dict[str, Any]]:
    """Pairs in which the side with 'because' is better; every so many is the wrong way round."""
    rows = []
    for row in range(count):
        sides = [f"it is so because of number {row}", f"who knows about number {row}"]
        sides = sides[::-1] if row % every == 0 else sides
        rows.append(pair(f"why {row}?", *sides, id=row))
    return rows


# --- dropping ---------------------------------------------------------------------------------------------------------


def test_kept_rows_keep_their_order_and_columns(tmp_path: Path, output: Path) -> None:
    rows = [
        pair("a?", "yes", "no", id=1, extra={"deep": [1, None]}),
        pair("a?", "yes", "no", id=2),
        pair("b?", "", "no", id=3),
        pair("c?", "same", "same", id=4),
        pair("d?", "good", "bad", id=5, score=0.5),
    ]
    source = write(tmp_path / "in.jsonl", *rows)
    report = clean_preferences(source, output, drop=["duplicates", "empty", "identical"])
    assert lines(output) == [rows[0], rows[4]]
    assert (report.rows, report.kept) == (5, 2)
    assert report.dropped == {"duplicates": 1, "empty": 1, "identical": 1}
    ledger = lines(ledger_path(output))
    assert [(entry["row"], entry["action"], entry["reason"]) for entry in ledger] == [
        (2, "drop", "duplicates"),
        (3, "drop", "empty"),
        (4, "drop", "identical"),
    ]
    assert ledger[0]["location"] == f"{source}:2"
    assert ledger[0]["other"] == f"{source}:1"
    assert report.ledger == str(ledger_path(output))


def test_a_row_with_two_reasons_is_dropped_once_and_both_are_said(tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in.jsonl", *[pair("a?", "", "x")] * 2, pair("b?", "x", "y"))
    report = clean_preferences(source, output, drop=["duplicates", "empty"])
    assert report.dropped == {"duplicates": 1, "empty": 1}
    first, second = lines(ledger_path(output))
    assert (first["reason"], first["also"]) == ("empty", [])
    assert (second["reason"], second["also"]) == ("duplicates", ["empty"])


def test_leaked_and_contaminated_prompts_go(tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in.jsonl", *(pair(f"question {name}?", "x", "y") for name in "abcd"))
    split = write(tmp_path / "test.jsonl", pair("Question A?", "x", "y"))
    bench = write(tmp_path / "bench.jsonl", {"prompt": "question b?"})
    report = clean_preferences(source, output, drop=["leaked", "contaminated"], against=[split], benchmarks=[bench])
    assert report.dropped == {"leaked": 1, "contaminated": 1}
    assert [row["prompt"] for row in lines(output)] == ["question c?", "question d?"]
    assert [entry["other"] for entry in lines(ledger_path(output))] == [f"{split}:1", f"{bench}:1"]


def test_long_texts_go_by_the_limit(tmp_path: Path, output: Path) -> None:
    source = write(
        tmp_path / "in.jsonl", pair("a?", "short", "brief"), pair("b?", "word " * 60 + "x", "word " * 60 + "y")
    )
    report = clean_preferences(source, output, drop=["too-long"], max_length=32)
    assert report.dropped == {"too-long": 1}
    assert [row["prompt"] for row in lines(output)] == ["a?"]


@pytest.mark.parametrize("name", [name for name in DROPPABLE if name not in ("leaked", "contaminated", "noise")])
def test_every_finding_can_be_dropped(tmp_path: Path, output: Path, name: str) -> None:
    pytest.importorskip("py3langid")
    source = write(tmp_path / "in.jsonl", *noisy_pairs(30))
    assert clean_preferences(source, output, drop=[name]).kept == 30


def test_the_findings_are_those_of_inspect() -> None:
    assert set(DROPPABLE) | {"unbalanced-sources"} == set(FINDINGS)
    assert set(FLIPPABLE) <= set(DROPPABLE)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(*[st.sampled_from(["", "x", "y", "z?", "X "])] * 3), min_size=1, max_size=12),
    drop=st.sets(st.sampled_from(["duplicates", "empty", "identical", "near-identical", "contradictory"]), min_size=1),
    flip=st.booleans(),
)
def test_rows_read_are_rows_kept_and_rows_in_the_ledger(
    tmp_path: Path, rows: list[tuple[str, str, str]], drop: set[str], flip: bool
) -> None:
    source = write(tmp_path / "in.jsonl", *(pair(*row, id=place) for place, row in enumerate(rows)))
    output = tmp_path / "out.jsonl"
    chosen = {"drop": sorted(drop - {"contradictory"} if flip else drop), "flip": ["contradictory"] * flip}
    try:
        report = clean_preferences(source, output, **chosen, overwrite=True)
    except DataError:  # nothing would be left
        assert clean_preferences([*lines(source), pair("new?", "p", "q")], output, **chosen, overwrite=True).kept == 1
        return
    kept, ledger = lines(output), lines(ledger_path(output))
    removed = {entry["row"] - 1 for entry in ledger if entry["action"] == "drop"}
    changed = {entry["row"] - 1 for entry in ledger if entry["action"] == "flip"}
    assert len(rows) == report.rows == len(kept) + len(removed)
    assert [row["id"] for row in kept] == [place for place in range(len(rows)) if place not in removed]
    for row in kept:
        prompt, first, second = rows[row["id"]]
        sides = (second, first) if row["id"] in changed else (first, second)
        assert (row["prompt"], row["chosen"], row["rejected"]) == (prompt, *sides)
    assert sum(report.dropped.values()) == len(removed)
    assert sum(report.flipped.values()) == len(changed)


# --- contradictions ---------------------------------------------------------------------------------------------------


def test_the_majority_decides_contradictions(tmp_path: Path, output: Path) -> None:
    rows = [pair("a?", "yes", "no")] * 2 + [pair("a?", "no", "yes"), pair("b?", "x", "y"), pair("b?", "y", "x")]
    source = write(tmp_path / "in.jsonl", *rows)
    report = clean_preferences(source, output, flip=["contradictory"])
    assert report.flipped == {"contradictory": 1}
    assert report.undecided == 2
    assert lines(output) == [rows[0]] * 3 + rows[3:]
    (entry,) = lines(ledger_path(output))
    assert (entry["row"], entry["figures"]) == (3, {"rows like it": 1.0, "rows against it": 2.0})


def test_drops_look_at_the_labels_after_flips(tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in.jsonl", *[pair("a?", "yes", "no")] * 2, pair("a?", "no", "yes"))
    report = clean_preferences(source, output, flip=["contradictory"], drop=["duplicates"])
    assert lines(output) == [pair("a?", "yes", "no")]
    assert report.dropped == {"duplicates": 2}
    assert report.flipped == {"contradictory": 0}  # the flipped row is gone


# --- noise ------------------------------------------------------------------------------------------------------------


def test_suspects_are_flipped_back(tmp_path: Path, output: Path) -> None:
    rows = noisy_pairs()
    source = write(tmp_path / "in.jsonl", *rows)
    report = clean_preferences(source, output, flip=["noise"], embeddings=False)
    assert report.flipped == {"noise": 20}
    assert report.kept == 120
    assert all("because" in row["chosen"] for row in lines(output))
    entries = lines(ledger_path(output))
    assert [entry["row"] for entry in entries] == [6 * place + 1 for place in range(20)]
    assert all(entry["figures"]["posterior"] >= 0.5 > 0 > entry["figures"]["margin"] for entry in entries)
    assert report.noise is not None
    assert report.noise["noise_rate"] == pytest.approx(1 / 6, abs=0.08)


def test_suspects_are_dropped_from_the_threshold_on(tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in.jsonl", *noisy_pairs())
    report = clean_preferences(source, output, drop=["noise"], embeddings=False)
    assert report.kept == 100
    with pytest.raises(ConfigError, match="at most 1"):
        clean_preferences(source, output, drop=["noise"], noise_threshold=1.5, overwrite=True)
    strict = clean_preferences(source, output, drop=["noise"], noise_threshold=1.0, embeddings=False, overwrite=True)
    assert strict.kept == 120


def test_weights_are_multiplied_by_the_probability_of_being_right(tmp_path: Path, output: Path) -> None:
    rows = noisy_pairs()
    rows[0]["weight"] = rows[1]["weight"] = 2
    source = write(tmp_path / "in.jsonl", *rows)
    report = clean_preferences(source, output, down_weight=["noise"], embeddings=False)
    kept = lines(output)
    assert report.kept == len(kept) == 120
    assert all(row["weight"] <= 0.5 for row in kept[6::6])
    assert 0 < kept[0]["weight"] <= 1
    assert kept[1]["weight"] > 1
    assert [{**row, "weight": None} for row in kept] == [{**row, "weight": None} for row in rows]
    first = lines(ledger_path(output))[0]
    assert (first["action"], first["figures"]["before"]) == ("weight", 2)
    assert first["figures"]["weight"] == pytest.approx(2 * (1 - first["figures"]["posterior"]), abs=1e-6)


def test_trusted_pairs_are_learnt_from(tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in.jsonl", *noisy_pairs(24, every=4))
    trusted = write(tmp_path / "trusted.jsonl", *noisy_pairs(100, every=1000)[1:])
    report = clean_preferences(source, output, drop=["noise"], trusted=[trusted], embeddings=False)
    assert report.dropped == {"noise": 6}


def test_rows_beyond_the_sample_are_left_alone_and_counted(tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in.jsonl", *noisy_pairs())
    report = clean_preferences(source, output, drop=["noise"], sample=60, embeddings=False)
    assert report.unchecked == 60
    assert 0 < report.dropped["noise"] < 20
    assert any("60 rows beyond the sample" in line for line in report.lines())


# --- balance ----------------------------------------------------------------------------------------------------------


def test_sources_are_cut_to_the_smallest_after_drops(tmp_path: Path, output: Path) -> None:
    rows = [pair(f"q {place}?", "x", "y", source="large" if place < 9 else "small") for place in range(12)]
    rows[11]["chosen"] = ""
    source = write(tmp_path / "in.jsonl", *rows)
    report = clean_preferences(source, output, drop=["empty"], balance="source")
    assert Counter(row["source"] for row in lines(output)) == {"large": 2, "small": 2}
    assert report.dropped == {"empty": 1, "unbalanced-sources": 7}
    again = clean_preferences(source, tmp_path / "b.jsonl", drop=["empty"], balance="source")
    assert lines(output) == lines(tmp_path / "b.jsonl")
    assert again.kept == 4
    with pytest.raises(ConfigError, match="one source at most"):
        clean_preferences(write(tmp_path / "no.jsonl", *rows[:3]), output, balance="source", overwrite=True)


# --- refusals and files -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to do"),
        ({"drop": ["nonsense"]}, "--drop nonsense: expected one of duplicates, "),
        ({"drop": ["unbalanced-sources"]}, "use --balance source"),
        ({"flip": ["empty"]}, "--flip empty: expected one of noise, contradictory"),
        ({"balance": "language"}, "--balance language: expected one of source"),
        ({"drop": ["noise"], "flip": ["noise"]}, "choose one of them"),
        ({"drop": ["leaked"]}, "--drop leaked needs --against FILE"),
        ({"drop": ["contaminated"]}, "--drop contaminated needs --benchmark FILE"),
        ({"drop": ["empty"], "against": ["x"]}, "--against has no effect without --drop leaked"),
        ({"drop": ["empty"], "max_length": 9}, "--max-length has no effect"),
        ({"drop": ["artefacts"], "max_length": 9}, "--max-length has no effect"),
        ({"drop": ["empty"], "model": "embedded"}, "--model has no effect"),
        ({"drop": ["empty"], "noise_threshold": 0.5}, "--noise-threshold has no effect"),
        ({"down_weight": ["noise"], "noise_threshold": 0.5}, "--noise-threshold has no effect"),
        ({"drop": ["empty"], "sample": None}, "--sample has no effect"),
        ({"drop": ["empty"], "trusted": ["x"]}, "--trusted has no effect"),
        ({"drop": ["empty"], "embeddings": False}, "--no-embeddings has no effect"),
    ],
)
def test_what_cannot_work_is_said(tmp_path: Path, output: Path, options: dict[str, Any], message: str) -> None:
    source = write(tmp_path / "in.jsonl", pair("a?", "x", "y"))
    with pytest.raises(ConfigError, match=message):
        clean_preferences(source, output, **options)
    assert not output.exists()


def test_findings_that_do_not_apply_are_said(tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in.jsonl", {"prompt": "a?", "response": "x", "score": 1})
    with pytest.raises(ConfigError, match="--drop identical does not apply to ratings"):
        clean_preferences(source, output, drop=["identical"])
    with pytest.raises(ConfigError, match="are for pairs; these are ratings"):
        clean_preferences(source, output, flip=["noise"])


def test_ratings_are_cleaned_too(tmp_path: Path, output: Path) -> None:
    rows = [{"prompt": "a?", "response": text, "score": 1} for text in ("x", "", "x")]
    source = write(tmp_path / "in.jsonl", *rows)
    clean_preferences(source, output, drop=["empty", "duplicates"])
    assert lines(output) == rows[:1]


def test_a_bad_row_stops_or_is_in_the_ledger(tmp_path: Path, output: Path) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"prompt": "a?", "chosen": "x", "rejected": "y"}\nnot json\n{"prompt": 1}\n', encoding="utf-8")
    with pytest.raises(RowError, match=":2: "):
        clean_preferences(source, output, drop=["empty"])
    assert not output.exists()
    report = clean_preferences(source, output, drop=["empty"], on_bad_row="skip")
    assert (report.rows, report.kept, report.dropped) == (3, 1, {"empty": 0, "bad-row": 2})
    entries = lines(ledger_path(output))
    assert [entry["location"] for entry in entries] == [f"{source}:2", f"{source}:3"]
    assert "no valid JSON" in entries[0]["detail"]
    assert "no column for chosen" in entries[1]["detail"]


def test_nothing_left_is_an_error(tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in.jsonl", pair("a?", "", "y"))
    with pytest.raises(DataError, match="none of the 1 rows"):
        clean_preferences(source, output, drop=["empty"])
    assert list(tmp_path.iterdir()) == [source]


def test_outputs_are_protected(tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in.jsonl", pair("a?", "x", "y"))
    with pytest.raises(OutputError, match="is read while"):
        clean_preferences(source, source, drop=["empty"], overwrite=True)
    ledger_path(output).write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        clean_preferences(source, output, drop=["empty"])
    assert ledger_path(output).read_text() == "mine"
    clean_preferences(source, output, drop=["empty"], overwrite=True)
    assert ledger_path(output).read_text() == ""


def test_a_dry_run_counts_and_writes_nothing(tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in.jsonl", pair("a?", "", "y"), pair("b?", "x", "y"))
    report = clean_preferences(source, output, drop=["empty"], dry_run=True)
    assert (report.kept, report.dropped, report.ledger) == (1, {"empty": 1}, None)
    assert list(tmp_path.iterdir()) == [source]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, output: Path) -> None:
    source = write(tmp_path / "in.jsonl", pair("a?", "", "y"), pair("b?", "x", "y"))

    def stop(step: str, _count: int) -> None:
        if step == "writing":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clean_preferences(source, output, drop=["empty"], progress=stop)
    assert list(tmp_path.iterdir()) == [source]


def test_other_formats_and_column_names(tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text('q,good,bad\n"a, b?","x\ny",z\nc?,,z\n', encoding="utf-8")
    output = tmp_path / "out.csv"
    columns = Columns(prompt="q", chosen="good", rejected="bad")
    report = clean_preferences(source, output, drop=["empty"], columns=columns)
    assert report.kept == 1
    with output.open(newline="", encoding="utf-8") as file:
        assert list(csv.DictReader(file)) == [{"q": "a, b?", "good": "x\ny", "bad": "z"}]
    assert ledger_path(output).name == "out.csv.ledger.jsonl"


def test_rows_in_memory_have_to_be_rows(tmp_path: Path, output: Path) -> None:
    rows = [pair("a?", "x", "y"), pair("b?", "", "y")]
    assert clean_preferences(rows, output, drop=["empty"]).kept == 1
    with pytest.raises(DataError, match="cleaning writes rows of columns, got PreferencePair"):
        clean_preferences([PreferencePair("a?", "x", "y")], output, drop=["empty"], overwrite=True)
    with pytest.raises(DataError, match="read only once"):
        clean_preferences(iter(rows), output, drop=["empty"], overwrite=True)
