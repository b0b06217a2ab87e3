"""The preferences that come with plaudit: enough of them, balanced, and hard for whoever reads only the surface."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from importlib.resources import files

import numpy as np
import pytest

from plaudit.data.split import in_test
from plaudit.evaluation import evaluate
from plaudit.evaluation.baselines import NgramModel
from plaudit.types import Example, PreferencePair, prompt_group

FILE = files("plaudit") / "resources" / "demo_preferences.jsonl"
ROWS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]
HELD_OUT = 0.4  # as in plaudit demo
ASK_THE_PROMPT = {"off-topic", "misread"}  # good replies to another question: only the question unmasks them


def held_out(row: dict[str, str]) -> bool:
    return in_test(prompt_group(row["prompt"]), HELD_OUT)


def test_there_are_enough_prompts_pairs_and_areas() -> None:
    assert len(ROWS) > 1200
    assert len({prompt_group(row["prompt"]) for row in ROWS}) >= 400
    assert len({row["area"] for row in ROWS}) >= 6
    assert len({row["prompt"] for row in ROWS if held_out(row)}) >= 150


def test_every_row_has_the_same_filled_columns() -> None:
    for row in ROWS:
        assert list(row) == ["prompt", "chosen", "rejected", "flaw", "area"]
        assert all(value == value.strip() and value for value in row.values())


def test_no_pair_comes_twice_and_no_side_equals_the_other() -> None:
    assert len({(row["prompt"], row["rejected"]) for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert row["chosen"] != row["rejected"]
    good = {(row["prompt"], row["chosen"]) for row in ROWS}
    assert not good & {(row["prompt"], row["rejected"]) for row in ROWS}


def test_every_prompt_has_several_flaws() -> None:
    flaws = defaultdict(set)
    for row in ROWS:
        flaws[row["prompt"]].add(row["flaw"])
    assert min(map(len, flaws.values())) >= 2
    assert all(found & ASK_THE_PROMPT for found in flaws.values())


def test_every_flaw_is_frequent_and_half_of_them_need_the_prompt() -> None:
    counts = Counter(row["flaw"] for row in ROWS)
    assert len(counts) >= 8
    assert min(counts.values()) >= 50
    assert 0.45 <= sum(counts[flaw] for flaw in ASK_THE_PROMPT) / len(ROWS) <= 0.50


@pytest.mark.parametrize("part", ["all", "training", "held out"])
def test_the_longer_reply_wins_in_half_of_the_pairs(part: str) -> None:
    rows = [row for row in ROWS if part == "all" or held_out(row) == (part == "held out")]
    for longer, shorter in (("chosen", "rejected"), ("rejected", "chosen")):
        share = np.mean([len(row[longer]) > len(row[shorter]) for row in rows])
        assert 0.47 <= share <= 0.53


def test_no_single_word_gives_the_answer_away() -> None:
    counts = {"chosen": Counter[str](), "rejected": Counter[str]()}
    for row in ROWS:
        words = {side: set(re.findall(r"[\w']+", row[side].lower())) for side in counts}
        counts["chosen"].update(words["chosen"] - words["rejected"])
        counts["rejected"].update(words["rejected"] - words["chosen"])
    for word in counts["chosen"] | counts["rejected"]:
        sides = [side[word] for side in counts.values()]
        assert sum(sides) < 15 or max(sides) / sum(sides) <= 0.85, f"{word!r}: {sides}"


def test_no_reply_of_a_held_out_prompt_is_seen_in_training() -> None:
    texts = defaultdict(set)
    for row in ROWS:
        texts[held_out(row)] |= {row["chosen"], row["rejected"]}
    assert not texts[True] & texts[False]


def test_a_model_of_words_and_word_pairs_stays_far_behind() -> None:
    sides: dict[bool, list[Example]] = {True: [], False: []}
    for row in ROWS:
        pair = PreferencePair(row["prompt"], row["chosen"], row["rejected"], source=row["flaw"])
        sides[held_out(row)].append(pair.example())
    report = evaluate(NgramModel().fit(sides[False]), sides[True])
    assert report.accuracy.value <= 0.72
    for flaw in ASK_THE_PROMPT:
        assert report.by_source[flaw].value == pytest.approx(0.5, abs=0.06)
