"""Added pairs are what they say they are, and the old ones stay as they were."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plaudit.data import Columns, load_preferences, read_rows, to_example
from plaudit.data.augment import augment_preferences
from plaudit.data.foreign import ForeignPool
from plaudit.data.partition import split_preferences
from plaudit.data.passes import row_group
from plaudit.errors import ConfigError, DataError, OutputError, RowError

TOPICS = "cats dogs trains music rivers bread chess stars paint wool".split()


def pair_rows(count: int, **more) -> list[dict]:
    return [
        {
            "prompt": f"Tell me about {TOPICS[n % 10]} number {n}",
            "chosen": f"good {n}",
            "rejected": f"bad {n}",
            "votes": n,
            "prompt_id": f"id{n}",
            **more,
        }
        for n in range(count)
    ]


def read(path: Path) -> list[dict]:
    return [row for _, row in read_rows(path)]  # type: ignore[misc]


def test_old_rows_come_first_and_new_ones_are_counted_and_marked(tmp_path: Path) -> None:
    rows = pair_rows(40)
    report = augment_preferences(rows, tmp_path / "out.jsonl", non_contextual=0.5, ties=0.25)
    written = read(tmp_path / "out.jsonl")
    assert written[:40] == rows
    sources = Counter(row["source"] for row in written[40:])
    assert sources == {"augmented:non-contextual": 20, "augmented:tie": 10}
    assert (report.original, report.added, report.ties, report.written) == (40, 30, 10, 70)
    assert report.over_preferred + report.over_rejected == 20
    assert report.over_preferred > 2 < report.over_rejected


def test_every_new_pair_is_one_of_the_three_kinds(tmp_path: Path) -> None:
    rows = pair_rows(30)
    augment_preferences(rows, tmp_path / "out.jsonl", non_contextual=2, ties=1)
    own = {row["prompt"]: row for row in rows}
    good, bad = {row["chosen"]: row for row in rows}, {row["rejected"]: row for row in rows}
    for row in read(tmp_path / "out.jsonl")[30:]:
        base = own[row["prompt"]]
        assert row["prompt_id"] == base["prompt_id"]
        assert "votes" not in row
        if row["source"] == "augmented:tie":
            assert row["soft_label"] == 0.5
            other = good[row["chosen"]]
            assert other["rejected"] == row["rejected"]
        else:
            assert "soft_label" not in row
            assert row["chosen"] == base["chosen"]
            other = good.get(row["rejected"]) or bad[row["rejected"]]
        assert other["prompt"] != base["prompt"]
    data = load_preferences(tmp_path / "out.jsonl")
    assert sorted({example.labels for example in data}) == [(0.5, 0.5), (1.0, 0.0)]


def test_replies_of_the_pool_are_used_in_turn(tmp_path: Path) -> None:
    rows = pair_rows(50)
    augment_preferences(rows, tmp_path / "out.jsonl", ties=1)
    used = Counter(row["chosen"] for row in read(tmp_path / "out.jsonl")[50:])
    assert max(used.values()) <= 2
    assert len(used) > 45


def test_a_prompt_with_nearly_the_same_words_is_no_other_prompt(tmp_path: Path) -> None:
    rows = [
        {"prompt": prompt, "chosen": f"yes {n}", "rejected": f"no {n}"}
        for n, prompt in enumerate(["What is the capital of France today?", "what is THE capital of France today ?"])
    ]
    near = [*rows, {"prompt": "What is the capital of France, today, please?", "chosen": "y", "rejected": "n"}]
    with pytest.raises(DataError, match="nothing was added: .* 6 not made: no reply of a prompt that is different"):
        augment_preferences(near, tmp_path / "out.jsonl", non_contextual=1, ties=1)
    with pytest.raises(DataError, match="all pairs have the same prompt"):
        augment_preferences(rows[:1], tmp_path / "out.jsonl", ties=1)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_pair_with_the_label_the_other_way_round_keeps_its_preference(tmp_path: Path) -> None:
    rows = pair_rows(20, soft_label=0.1)
    augment_preferences(rows, tmp_path / "out.jsonl", non_contextual=1)
    new = read(tmp_path / "out.jsonl")[20:]
    assert all(row["chosen"].startswith("bad") and row["soft_label"] == 1.0 for row in new)
    ties = pair_rows(20, soft_label=0.5)
    with pytest.raises(DataError, match="nothing was added"):
        augment_preferences(ties, tmp_path / "ties.jsonl", non_contextual=1)


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tables_get_their_new_columns_filled(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    augment_preferences(pair_rows(1500), out, non_contextual=0.01, ties=0.02)
    data = load_preferences(out)
    assert len(data) == 1500 + 15 + 30
    assert Counter(example.labels[0] for example in data) == {1.0: 1515, 0.5: 30}
    assert Counter(example.source for example in data)["augmented:tie"] == 30


CONVERSATION = [
    {
        "chosen": [{"role": "user", "content": f"About {t}?"}, {"role": "assistant", "content": f"{t} good"}],
        "rejected": [{"role": "user", "content": f"About {t}?"}, {"role": "assistant", "content": f"{t} bad"}],
    }
    for t in TOPICS
]
TRANSCRIPT = [
    {
        "chosen": f"\n\nHuman: About {t}?\n\nAssistant: {t} good.\n\nHuman: More?\n\nAssistant: Yes {t}",
        "rejected": f"\n\nHuman: About {t}?\n\nAssistant: {t} good.\n\nHuman: More?\n\nAssistant: No {t}",
    }
    for t in TOPICS
]
ALPACA = [
    {"instruction": "Say it", "input": f"about {t} {t}s", "chosen": f"{t} good", "rejected": f"{t} bad"} for t in TOPICS
]
SYSTEM = [
    {"system": "Be kind.", "prompt": f"{t} please", "chosen": f"{t} good", "rejected": f"{t} bad"} for t in TOPICS
]


@pytest.mark.parametrize("rows", [CONVERSATION, TRANSCRIPT, ALPACA, SYSTEM], ids=["turns", "hh", "alpaca", "system"])
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_new_rows_have_the_shape_and_the_prompts_of_the_old(tmp_path: Path, rows: list[dict], suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    report = augment_preferences(rows, out, non_contextual=1, ties=1)
    assert report.added == 20
    assert report.no_reply == 0
    examples = [to_example(row) for row in read(out)]
    old = {json.dumps(example.prompt): example.group for example in examples[:10]}
    assert len(old) == 10
    assert all(old[json.dumps(example.prompt)] == example.group for example in examples[10:])
    assert all(set(row) <= {*rows[0], "source", "soft_label"} for row in read(out))


def test_paraphrases_keep_everything_but_the_wording_and_stay_together(tmp_path: Path) -> None:
    rows = pair_rows(60)
    file = tmp_path / "paraphrases.jsonl"
    wordings = [{"id": f"id{n}", "prompt": f"Wording {k} of {n}"} for n in range(40) for k in range(2)]
    wordings += [{"id": "id0", "prompt": rows[0]["prompt"].upper()}, {"id": "nobody", "prompt": "?"}]
    file.write_text("".join(json.dumps(row) + "\n" for row in wordings))
    out = tmp_path / "out.jsonl"
    report = augment_preferences(rows, out, paraphrases=file)
    assert (report.paraphrases, report.same_wording, report.unused_ids) == (80, 1, 1)
    assert any("--group-by group" in line for line in report.lines())
    written = read(out)
    assert [{k: v for k, v in row.items() if k != "group"} for row in written[:60]] == rows
    assert written[60] == {**written[0], "prompt": "Wording 0 of 0", "source": "augmented:paraphrase"}
    assert all(row["group"] == row_group(rows[row["votes"]], Columns()) for row in written)
    split_preferences(out, tmp_path / "parts", test_fraction=0.3, columns=Columns(group_by="group"))
    train, test = (read(tmp_path / "parts" / f"{part}.jsonl") for part in ("train", "test"))
    assert not {row["votes"] for row in train} & {row["votes"] for row in test}


def test_a_paraphrase_takes_the_place_of_the_last_question(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}, {"role": "user", "content": "C"}]
    rows = [{"id": 7, "prompt": turns, "chosen": "x", "rejected": "y", "family": "f"}]
    file = tmp_path / "p.csv"
    file.write_text("id,prompt\n7,See?\n")
    augment_preferences(
        rows, tmp_path / "out.jsonl", paraphrases=file, id_column="id", columns=Columns(group_by="family")
    )
    new = read(tmp_path / "out.jsonl")[1]
    assert new["prompt"] == [*turns[:2], {"role": "user", "content": "See?"}]
    assert "group" not in new
    assert new["family"] == "f"


def test_paraphrases_that_cannot_be_joined_are_refused(tmp_path: Path) -> None:
    rows, file, out = pair_rows(3), tmp_path / "p.jsonl", tmp_path / "out.jsonl"
    file.write_text('{"id": "id0"}\n')
    with pytest.raises(RowError, match=r"p\.jsonl:1: no prompt"):
        augment_preferences(rows, out, paraphrases=file)
    file.write_text('{"id": "who", "prompt": "x"}\n')
    with pytest.raises(DataError, match="nothing was added: .*1 ids of paraphrases that no row has"):
        augment_preferences(rows, out, paraphrases=file)
    with pytest.raises(RowError, match="no column 'key' to join paraphrases by"):
        augment_preferences(rows, out, paraphrases=file, id_column="key")
    with pytest.raises(RowError, match="say --group-by group"):
        augment_preferences(pair_rows(3, group="g"), out, paraphrases=file)
    with pytest.raises(OutputError, match="is read while"):
        augment_preferences(rows, file, paraphrases=file, overwrite=True)
    file.write_text("")
    with pytest.raises(DataError, match="no paraphrases in"):
        augment_preferences(rows, out, paraphrases=file)
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to add"),
        ({"ties": -1}, "from 0"),
        ({"non_contextual": float("nan")}, "from 0"),
        ({"ties": 1, "pool": 1}, "pairs from 2"),
    ],
)
def test_what_adds_nothing_is_refused(tmp_path: Path, options: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        augment_preferences(pair_rows(3), tmp_path / "out.jsonl", **options)


def test_the_same_seed_makes_the_same_pairs(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        augment_preferences(pair_rows(30), tmp_path / f"{name}.jsonl", non_contextual=1, ties=0.5, seed=seed)
    a, b, c = ((tmp_path / f"{name}.jsonl").read_bytes() for name in "abc")
    assert a == b != c


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 8), st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers())
def test_the_pool_is_bounded_and_never_answers_with_the_own_prompt(size: int, topics: list[int], seed: int) -> None:
    pool = ForeignPool(size, seed)
    examples = [
        to_example({"prompt": TOPICS[t], "chosen": f"good {t}", "rejected": f"bad {t}"}, Columns()) for t in topics
    ]
    for example in examples:
        pool.offer(example)
    assert len(pool) == min(size, len(examples))
    for example in examples:
        found = pool.take(example)
        if found is None:
            assert pool.groups == 1
        else:
            assert not set(found) & set(example.responses)
