"""Nothing is lost: pairs, conversations, rankings and ratings through every file format and back."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.data import Columns, load_preferences, read_rows
from plaudit.data.convert import convert_preferences, preferences_from_ratings
from plaudit.errors import RowError

SETTINGS = settings(max_examples=10, deadline=None)
SUFFIXES = (".jsonl", ".json.gz", ".csv", ".parquet")

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip)
plain = words.filter(lambda text: text.lstrip()[0] not in "[{")
numbers = st.floats(-1e6, 1e6)
common = {"weight": st.floats(0, 9), "source": plain}
pairs = st.fixed_dictionaries(
    {"prompt": plain, "chosen": plain, "rejected": plain, "soft_label": st.floats(0, 1), "margin": numbers, **common}
)
turns = st.lists(plain, min_size=1, max_size=3).map(
    lambda texts: [
        {"role": ("assistant", "user")[(len(texts) - i) % 2], "content": text} for i, text in enumerate(texts)
    ]
)
reply = plain.map(lambda text: [{"role": "assistant", "content": text}])
talks = st.fixed_dictionaries({"prompt": turns, "chosen": reply, "rejected": reply})
rankings = st.lists(st.tuples(plain, numbers), min_size=2, max_size=4).flatmap(
    lambda ranked: st.fixed_dictionaries(
        {
            "prompt": plain,
            "responses": st.just([text for text, _ in ranked]),
            "ranks": st.just([rank for _, rank in ranked]),
            **common,
        }
    )
)
ratings = st.fixed_dictionaries({"prompt": plain, "response": plain, "score": numbers, **common})


def through(rows: list[dict[str, Any]], suffix: str, **options: Any) -> list[dict[str, Any]]:
    """Converted, written, and converted from the file again."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"rows{suffix}")
        convert_preferences(rows, **options).write(path)
        return list(convert_preferences(path, **options))


def examples(source: Any, **options: Any) -> list[dict[str, Any]]:
    """What is loaded, without the places."""
    return [example.to_row() | {"location": None} for example in load_preferences(source, **options)]


@pytest.mark.parametrize("suffix", SUFFIXES)
@SETTINGS
@given(rows=st.lists(pairs, min_size=1, max_size=4))
def test_pairs_load_as_the_same_examples(suffix: str, rows: list[dict[str, Any]]) -> None:
    rows.append(rows[0] | {"chosen": "one", "rejected": "two"})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"rows{suffix}")
        convert_preferences(rows).write(path)
        assert examples(path) == examples(rows)


@pytest.mark.parametrize("suffix", SUFFIXES)
@SETTINGS
@given(rows=st.lists(talks, min_size=1, max_size=4))
def test_conversations_and_trl_rows_come_back(suffix: str, rows: list[dict[str, Any]]) -> None:
    assert through(rows, suffix, shape="pairs", to="messages") == rows
    assert through(rows, suffix, shape="pairs", to="trl") == rows


@SETTINGS
@given(
    rows=st.lists(st.fixed_dictionaries({"prompt": plain, "chosen": plain, "rejected": plain}), min_size=1, max_size=4)
)
def test_trl_to_pairs_to_trl(rows: list[dict[str, Any]]) -> None:
    assert list(convert_preferences(list(convert_preferences(rows, to="pairs")), to="trl")) == rows


@pytest.mark.parametrize("suffix", SUFFIXES)
@SETTINGS
@given(rows=st.lists(rankings, min_size=1, max_size=4))
def test_rankings_come_back(suffix: str, rows: list[dict[str, Any]]) -> None:
    assert through(rows, suffix, shape="rankings", to="rankings") == rows


@pytest.mark.parametrize("suffix", SUFFIXES)
@SETTINGS
@given(rows=st.lists(ratings, min_size=1, max_size=4))
def test_ratings_come_back(suffix: str, rows: list[dict[str, Any]]) -> None:
    assert through(rows, suffix, shape="ratings", to="ratings") == rows


def test_rankings_load_as_the_same_examples(tmp_path: Path) -> None:
    rows = [{"prompt": "p", "responses": ["a", "b", "c"], "ranks": [2.0, 1.0, 2.0], "source": "s"}]
    path = tmp_path / "rows.csv"
    convert_preferences(rows, to="rankings").write(path)
    columns = Columns(kind="rankings")
    assert examples(path, columns=columns) == examples(rows, columns=columns)


def test_broken_utf8_names_the_line_or_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "ratings.jsonl"
    rows = [{"prompt": "p", "response": text, "score": score} for text, score in (("ü", 1), ("b", 2))]
    path.write_bytes("\n".join(json.dumps(row, ensure_ascii=False) for row in rows).encode("latin-1"))
    with pytest.raises(RowError, match=r"ratings\.jsonl:1: byte 0xfc is no UTF-8 text"):
        list(preferences_from_ratings(path))
    path.write_bytes(path.read_bytes() + b'\n{"prompt": "p", "response": "c", "score": 3}\n')
    conversion = preferences_from_ratings(path, on_bad_row="skip")
    assert list(conversion) == [{"prompt": "p", "chosen": "c", "rejected": "b"}]
    assert conversion.report.bad == 1


def test_csv_with_quotes_and_newlines(tmp_path: Path) -> None:
    path = tmp_path / "ratings.csv"
    path.write_text('prompt,response,score\n"say ""hi""\nplease","hi, you",2\n"say ""hi""\nplease",no,1\n')
    output = tmp_path / "pairs.csv"
    preferences_from_ratings(path, margin=1.0).write(output)
    (row,) = [row for _, row in read_rows(output)]
    assert row == {"prompt": 'say "hi"\nplease', "chosen": "hi, you", "rejected": "no", "margin": "1.0"}


HUGE = """
import resource, sys
from plaudit.data.convert import convert_preferences
convert_preferences(sys.argv[1]).write(sys.argv[2])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("shape", ["pairs", "ratings"])
def test_a_row_of_100_megabytes_converts_in_bounded_memory(shape: str, tmp_path: Path) -> None:
    path, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    size = 100 * 2**20
    with path.open("w") as file:
        for _ in range(3):
            if shape == "pairs":
                json.dump({"prompt": "p", "chosen": "x" * size, "rejected": "y"}, file)
            else:
                json.dump({"prompt": "p", "response": "x" * size, "score": 1}, file)
                print(file=file)
                json.dump({"prompt": "q", "response": "y", "score": 1}, file)
            print(file=file)
        json.dump({"prompt": "q", "response": "z", "score": 2}, file)
    options = [str(path), str(output)]
    if shape == "pairs":
        path.write_bytes(path.read_bytes().rsplit(b"\n", 1)[0] + b"\n")
    done = subprocess.run([sys.executable, "-c", HUGE, *options], check=True, capture_output=True, text=True)
    peak = int(done.stdout) / 2**20  # GiB
    assert output.stat().st_size > (3 * size if shape == "pairs" else 20)
    assert peak < 2.0, f"{peak:.2f} GiB for rows of 0.1 GiB"
