"""Properties: nothing is lost or changed on the way from any file to an example, whatever the text."""

from __future__ import annotations

import csv
import gzip
import json
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.data import load_preferences, to_example
from plaudit.data.rows import split_shared_text
from plaudit.types import Example

SETTINGS = settings(max_examples=40, deadline=None)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
words = texts.filter(str.strip)
turns = st.lists(words, min_size=1, max_size=3).map(
    lambda contents: [
        {"role": ("assistant", "user")[(len(contents) - i) % 2], "content": text} for i, text in enumerate(contents)
    ]
)
text_rows = st.fixed_dictionaries({"prompt": texts, "chosen": words, "rejected": words, "source": words})
chat_rows = st.fixed_dictionaries({"prompt": turns, "chosen": words, "rejected": words, "margin": st.floats(-9, 9)})


def write_json(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8", newline="")


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0], delimiter="\t" if path.suffix == ".tsv" else ",")
        writer.writeheader()
        for row in rows:
            writer.writerow({k: v if isinstance(v, (str, float)) else json.dumps(v) for k, v in row.items()})


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


FORMATS = {
    "d.json": write_json,
    "d.jsonl": write_jsonl,
    "d.jsonl.gz": write_jsonl,
    "d.csv": write_csv,
    "d.tsv": write_csv,
    "d.parquet": write_parquet,
}


@pytest.mark.parametrize("name", FORMATS)
@SETTINGS
@given(rows=st.lists(text_rows, min_size=1, max_size=4) | st.lists(chat_rows, min_size=1, max_size=4))
def test_every_format_gives_the_same_examples(name: str, rows: list[dict[str, Any]]) -> None:
    rows = [row for row in rows if row["chosen"] != row["rejected"]] or [{"chosen": "a", "rejected": "b"}]
    with tempfile.TemporaryDirectory() as folder:
        FORMATS[name](Path(folder, name), rows)
        data = load_preferences(Path(folder, name))
    seen: list[dict[str, Any]] = []
    for row in rows:
        same = [other for other in seen if all(other[k] == row[k] for k in row if k not in ("source", "margin"))]
        if not same:
            seen.append(row)
    assert data.report.duplicates == len(rows) - len(seen)
    for row, example in zip(seen, data, strict=True):
        assert Example(**(vars_of(to_example(row)) | {"location": example.location})) == example


def vars_of(example: Example) -> dict[str, Any]:
    return {name: getattr(example, name) for name in Example.__dataclass_fields__}


@SETTINGS
@given(
    prompt=st.none() | texts | turns,
    responses=st.lists(texts | turns, min_size=1, max_size=3).map(tuple),
    margin=st.none() | st.floats(allow_nan=False),
    source=st.none() | texts,
    tools=st.none() | st.lists(st.dictionaries(texts, texts), min_size=1),
    ids=st.none() | st.lists(st.lists(st.integers(0, 2**31 - 1), min_size=1), min_size=1).map(tuple),
)
def test_an_example_survives_its_row(
    prompt: Any, responses: Any, margin: float | None, source: str | None, tools: Any, ids: Any
) -> None:
    labels = tuple(float(k) for k in range(len(responses)))
    example = Example(
        prompt=prompt, responses=responses, labels=labels, margin=margin, source=source, tools=tools, input_ids=ids
    )
    assert Example.from_row(json.loads(json.dumps(example.to_row()))) == example


@settings(max_examples=300, deadline=None)
@given(
    start=st.lists(st.sampled_from(["\n\nHuman:", "\n\nAssistant:", " ", "\n", "a", "b", "ü"]), max_size=8).map(
        "".join
    ),
    ends=st.tuples(*[st.lists(st.sampled_from(["\n\nAssistant:", " ", "\t", "a", "b"]), max_size=4).map("".join)] * 2),
)
def test_an_implicit_prompt_loses_nothing_and_leaves_no_blank_response(start: str, ends: tuple[str, str]) -> None:
    chosen, rejected = start + ends[0], start + ends[1]
    example = to_example({"chosen": chosen, "rejected": rejected})
    prompt = example.prompt or ""
    assert isinstance(prompt, str)
    for response, original in zip(example.responses, (chosen, rejected), strict=True):
        assert isinstance(response, str)
        assert prompt + response == original
        assert response.strip() or not original.strip()
    assert example.prompt is None or example.prompt.strip()


@SETTINGS
@given(chosen=texts, rejected=texts)
def test_the_cut_lies_inside_the_shared_start(chosen: str, rejected: str) -> None:
    cut = split_shared_text(chosen, rejected)
    assert chosen[:cut] == rejected[:cut]
    assert cut == 0 or chosen[cut - 1].isspace() or chosen[:cut].endswith("\n\nAssistant:")


@SETTINGS
@given(start=turns, chosen=turns, rejected=turns)
def test_an_implicit_conversation_prompt_loses_nothing(start: Any, chosen: Any, rejected: Any) -> None:
    example = to_example({"chosen": start + chosen, "rejected": start + rejected})
    assert isinstance(example.prompt, list)
    assert example.prompt + list(example.responses[0]) == start + chosen
    assert example.prompt + list(example.responses[1]) == start + rejected
    assert all(example.responses)
