"""The pass over the rows and the findings that come out of it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plaudit.curation.inspect import (
    FINDINGS,
    PromptFile,
    Scan,
    ScanOptions,
    TokenLengths,
    hits_of,
    rows_of,
    scan_preferences,
)
from plaudit.curation.inspect.shared import prompt_key
from plaudit.data import Columns
from plaudit.errors import DataError, RowError
from plaudit.types import PreferencePair, prompt_group

TOKENS = TokenLengths("embedded", 32)


def pair(prompt: str | None, chosen: str, rejected: str, **more: Any) -> dict[str, Any]:
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected, **more}


def write(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def found(scan: Scan, *names: str) -> dict[str, list[int]]:
    return {name: rows_of(scan, name).tolist() for name in names or FINDINGS if len(rows_of(scan, name))}


def plain_scan(rows: Any, **options: Any) -> Scan:
    return scan_preferences(rows, options=ScanOptions(**options))


BASIC = ("duplicates", "contradictory", "empty", "identical", "near-identical", "artefacts")


def test_each_kind_of_row_gets_its_finding(tmp_path: Path) -> None:
    rows = [
        pair("p", "good answer", "bad answer"),
        pair(" P ", "good  answer", "bad answer\n"),  # the same but for white space, and the case of the prompt
        pair("p", "Good answer", "bad answer"),
        pair("p", "bad answer", "good answer"),
        pair("p", "x", " "),
        pair("p", "same", "same"),
        pair("q", "4", "four"),
        pair("q", "fine", "so.\nHuman: what?"),
    ]
    scan = scan_preferences(write(tmp_path / "rows.jsonl", rows))
    assert found(scan, *BASIC) == {
        "duplicates": [1],
        "contradictory": [0, 1, 3],
        "empty": [4],
        "identical": [5],
        "near-identical": [6],
        "artefacts": [7],
    }
    hit = next(hits_of(scan, "duplicates"))
    assert (hit.location, hit.other) == (f"{tmp_path}/rows.jsonl:2", f"{tmp_path}/rows.jsonl:1")
    assert next(hits_of(scan, "near-identical")).detail == "numbers written otherwise"


def test_indices_count_bad_rows_too(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text('{"prompt": "p", "chosen": "a", "rejected": "b"}\n{oops\n{"prompt": "p", "chosen": 3}\n')
    with file.open("a") as out:
        out.write('\n{"prompt": "p", "chosen": "a", "rejected": "b"}\n')
    scan = scan_preferences(file, on_bad_row="skip")
    assert (scan.rows, scan.bad, len(scan)) == (4, 2, 2)
    assert [problem.split(": ")[0] for problem in scan.problems] == [f"{file}:2", f"{file}:3"]
    hit = next(hits_of(scan, "duplicates"))
    assert (hit.row, hit.index, hit.location) == (1, 3, f"{file}:5")
    with pytest.raises(RowError, match="rows.jsonl:2"):
        scan_preferences(file)


def test_ties_and_soft_labels_are_counted() -> None:
    rows = [
        pair("p", "a", "b", soft_label=0.5),
        pair("p", "b", "a", soft_label=0.5),
        pair("p", "c", "d", soft_label=0.2),
    ]
    scan = plain_scan([*rows, pair("p", "d", "c", soft_label=1.0)])
    assert found(scan, *BASIC) == {"duplicates": [1, 3]}  # 0.2 for (c, d) prefers d
    assert [scan.has(bit).tolist() for bit in (4, 8)] == [[True, True, False, False], [False, False, True, False]]


def test_ratings_and_rankings_get_what_applies_to_them() -> None:
    rated = [{"prompt": "p", "response": "a", "score": 1}, {"prompt": "p", "response": "a", "score": 2}]
    scan = plain_scan(
        [*rated, {"prompt": "p", "response": "a", "score": 2.0}, {"prompt": "q", "response": " ", "score": 0}]
    )
    assert scan.kind == "ratings"
    assert found(scan, *BASIC) == {"duplicates": [2], "contradictory": [0, 1, 2], "empty": [3]}
    ranked = [
        {"prompt": "p", "responses": ["a", "b", "c"], "ranks": [1, 2, 3]},
        {"prompt": "p", "responses": ["c", "b", "a"], "ranks": [3, 2, 1]},
        {"prompt": "p", "responses": ["a", "b", "c"], "ranks": [2, 1, 3]},
        {"prompt": "p", "responses": ["a", "a", "c"], "ranks": [2, 1, 3]},
    ]
    scan = plain_scan(ranked)
    assert scan.kind == "rankings"
    assert found(scan, "duplicates", "contradictory", "identical") == {
        "duplicates": [1], "contradictory": [0, 1, 2], "identical": [3],
    }  # fmt: skip


def test_the_kind_follows_the_columns() -> None:
    row = {**pair("p", "a", "b"), "response": "r", "score": 1}
    assert plain_scan([row]).kind == "pairs"
    assert scan_preferences([row], columns=Columns(kind="ratings")).kind == "ratings"
    assert scan_preferences([row], columns=Columns(score="score")).kind == "ratings"
    with pytest.raises(DataError, match="plaudit data convert"):
        plain_scan([{"prompt": "p", "response_a": "x", "response_b": "y"}])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "it is empty"),
        ([{"chosen_ids": [1, 2], "rejected_ids": [1, 3]}], "token ids"),
        ([pair("p", "half \ud800", "b")], "half of a surrogate pair"),
        ([3], "expected an object"),
    ],
)
def test_what_cannot_be_read_is_refused(rows: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        plain_scan(rows)


def test_rows_in_memory_can_be_pairs() -> None:
    scan = plain_scan([PreferencePair("p", "a", "b"), PreferencePair("p", "b", "a")])
    assert found(scan, *BASIC) == {"contradictory": [0, 1]}


def test_the_sample_is_uniform_and_in_order() -> None:
    rows = [pair(f"p{i}", "a", "b") for i in range(50)]
    drawn = np.zeros(50)
    for seed in range(100):
        scan = plain_scan(rows, keep=10, near=False, seed=seed)
        places = [row for row, _ in scan.kept]
        assert places == sorted(set(places))
        assert all(example.prompt == f"p{row}" for row, example in scan.kept)
        drawn[places] += 1
    assert drawn.sum() == 1000
    assert (abs(drawn - 20) < 17).all()  # four standard deviations of a binomial(100, 1/5)
    assert len(plain_scan(rows, keep=None).kept) == 50


def test_near_duplicates_are_found_through_the_pass() -> None:
    long = " ".join(f"word{i}" for i in range(50))
    rows = [
        pair("ask", long, "short reply here"),
        pair("ask", long + " more", "short reply here"),
        pair("ask", "no", "yes"),
    ]
    scan = plain_scan([*rows, pair("ask", long, "Short reply  here")])
    assert found(scan, "near-duplicates", "duplicates") == {"near-duplicates": [1, 3]}


def test_scripts_without_spaces_are_read_by_character() -> None:
    text = "国会由众议院和参议院组成每两年换届一次参议员任期为六年但参议院选举是错位的使得国会组成仍然每两年变化一次"
    rows = [
        pair("问", text, "不知道这个问题"),
        pair("问", text + "。", "不知道这个问题"),
        pair("问", text[::-1], "不知道这个问题"),
    ]
    assert found(plain_scan(rows), "near-duplicates") == {"near-duplicates": [1]}


# -- tokens ----------------------------------------------------------------------------------------------------------


def test_tokens_are_counted_as_the_renderer_does() -> None:
    texts = ["Hello, world!", "", "naïve 你好 unbelievable-words", "a  b\n\nc"]
    counted = TOKENS.count(texts).tolist()
    direct = [len(TOKENS._tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    assert counted == direct
    scan = plain_scan([pair("one two", "three four five", "six")], tokens=TOKENS)
    assert scan.tokens.tolist() == [[2, 3, 1]]
    assert (TOKENS.low, TOKENS.high) == (3, 3)  # CLS, SEP, SEP


def test_the_limit_is_applied_exactly() -> None:
    # 32 tokens hold 29 words beside CLS, SEP, SEP
    word = "word "
    rows = [
        pair(word * 10, word * 19, "b"),  # 29: fits
        pair(word * 10, word * 20, "b"),  # 30: the prompt is cut
        pair("p", word * 29, "b"),  # 30: the prompt is cut
        pair("p", word * 31, "b"),  # the response alone does not fit
        pair("p", word * 40 + "x", word * 40 + "y"),  # and beyond the limit is all that differs
        pair("p", "x " + word * 40, "y " + word * 40),
    ]
    scan = plain_scan(rows, tokens=TOKENS)
    assert found(scan, "too-long", "identical-after-truncation") == {
        "too-long": [1, 2, 3, 4, 5], "identical-after-truncation": [4],
    }  # fmt: skip
    assert np.flatnonzero(scan.has(32)).tolist() == [3, 4, 5]


def test_special_tokens_in_texts_are_leftovers() -> None:
    assert found(plain_scan([pair("p", "a [SEP] b", "c")], tokens=TOKENS), "artefacts") == {"artefacts": [0]}
    assert found(plain_scan([pair("p", "a [SEP] b", "c")]), "artefacts") == {}


# -- other files -----------------------------------------------------------------------------------------------------

QUESTION = "what is the tallest mountain of the world and who was the first to climb it"


def test_prompts_of_other_files_are_found(tmp_path: Path) -> None:
    benchmark = write(
        tmp_path / "bench.jsonl",
        [
            {"prompt": QUESTION, "chosen": ["a", "b"]},
            {"prompt": "short one?"},
            {"prompt": [{"role": "user", "content": "Turn"}]},
        ],
    )
    rows = [
        pair(QUESTION.upper(), "a", "b"),
        pair(f"Please say: {QUESTION} thanks", "a", "b"),  # contains it
        pair("what is the tallest mountain of the world", "a", "b"),  # a phrase of it
        pair("short  ONE?", "a", "b"),
        pair("short one, please?", "a", "b"),  # too short to be near
        pair("turn", "a", "b"),
        pair(None, "some text", "another text"),
    ]
    file = PromptFile.read(benchmark, near=True)
    scan = plain_scan(rows, benchmarks=(file,), against=(PromptFile.read(benchmark, near=False),))
    assert found(scan, "contaminated", "leaked") == {"contaminated": [0, 1, 3, 5], "leaked": [0, 3, 5]}
    hits = list(hits_of(scan, "contaminated"))
    assert [(hit.detail, hit.other) for hit in hits[:2]] == [
        ("the same", f"{benchmark}:1"), ("nearly the same", f"{benchmark}:1"),
    ]  # fmt: skip


def test_prompt_keys_are_those_of_splits() -> None:
    assert f"{prompt_key(' A  b ')}" == f"{int(prompt_group('a b'), 16)}"


def test_files_without_prompts_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no prompts"):
        PromptFile.read(write(tmp_path / "a.jsonl", [pair(None, "x", "y")]), near=True)
    with pytest.raises(RowError, match="b.jsonl:1"):
        PromptFile.read(write(tmp_path / "b.jsonl", [{"text": "x"}]), near=True)
    with pytest.raises(DataError, match="no such file"):
        PromptFile.read(tmp_path / "c.jsonl", near=True)


def test_sources_out_of_balance_are_a_finding() -> None:
    rows = [pair(f"p{i}", "a", "b", source="big" if i else "small") for i in range(11)]
    assert found(plain_scan(rows), "unbalanced-sources") == {"unbalanced-sources": list(range(1, 11))}
    assert found(plain_scan(rows[:10]), "unbalanced-sources") == {}
