"""Shingles, signatures and rows that came before."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.curation.inspect.repeats import earlier_equal, earlier_opposite, near_duplicates, pair_keys
from plaudit.curation.inspect.shingles import ENTRIES, band_keys, shingles, signatures


def sets_of(texts: list[str], width: int = 3) -> list[set[int]]:
    hashes, starts = shingles(texts, width)
    return [set(hashes[a:b].tolist()) for a, b in itertools.pairwise(starts)]


words = st.lists(st.sampled_from("a b cc ddd é 你".split()), max_size=12).map(" ".join)


@given(st.lists(words, min_size=1, max_size=5))
def test_a_run_of_words_has_one_hash_wherever_it_stands(texts: list[str]) -> None:
    known: dict[tuple[str, ...], int] = {}
    hashes, starts = shingles(texts)
    for place, text in enumerate(texts):
        pieces = text.split(" ")
        runs = [tuple(pieces[i : i + 3]) for i in range(max(len(pieces) - 2, 1))]
        mine = hashes[starts[place] : starts[place + 1]].tolist()
        assert len(mine) == len(runs)
        for run, number in zip(runs, mine, strict=True):
            assert known.setdefault(run, number) == number
    assert len(set(known.values())) == len(known)


def test_signatures_estimate_resemblance() -> None:
    rng = random.Random(0)
    text = [f"w{rng.randrange(10**6)}" for _ in range(400)]
    for changed in (0, 20, 100, 300):
        other = [*text[:-changed], *(f"x{i}" for i in range(changed))] if changed else text
        pair = [" ".join(text), " ".join(other)]
        a, b = sets_of(pair)
        signed = signatures(*shingles(pair))
        assert (signed[0] == signed[1]).mean() == pytest.approx(len(a & b) / len(a | b), abs=0.15)


def keys(rows: list[tuple[str, str, str]], ties: list[bool] | None = None) -> tuple[np.ndarray, np.ndarray]:
    numbers = {text: place + 1 for place, text in enumerate(sorted({text for row in rows for text in row}))}
    columns = [np.array([numbers[row[place]] for row in rows], dtype=np.uint64) for place in range(3)]
    return pair_keys(*columns, np.array(ties or [False] * len(rows)))


def test_equal_and_opposite_rows_are_told_apart() -> None:
    rows = [("p", "a", "b"), ("p", "a", "b"), ("p", "b", "a"), ("q", "b", "a"), ("p", "c", "a"), ("p", "a", "b")]
    same, opposite = keys(rows)
    assert earlier_equal(same).tolist() == [-1, 0, -1, -1, -1, 0]
    assert earlier_opposite(same, opposite).tolist() == [2, 2, 0, -1, -1, 2]


def test_a_tie_repeats_in_either_order_and_contradicts_nobody() -> None:
    same, opposite = keys([("p", "a", "b"), ("p", "b", "a"), ("p", "a", "b")], [True, True, False])
    assert earlier_equal(same).tolist() == [-1, 0, -1]
    assert earlier_opposite(same, opposite).tolist() == [-1, -1, -1]


def near(rows: list[tuple[str, str, str]]) -> tuple[list[int], list[bool]]:
    signed = signatures(*shingles([row[place] for place in range(3) for row in rows])).reshape(3, len(rows), ENTRIES)
    buckets = band_keys(np.minimum(signed[1], signed[2]), signed[0])
    same, opposite = keys(rows)
    partner, swapped = near_duplicates(buckets, signed.transpose(1, 0, 2).astype(np.uint16), same, opposite)
    return partner.tolist(), swapped.tolist()


def text(seed: int, count: int = 60) -> str:
    rng = random.Random(seed)
    return " ".join(f"w{rng.randrange(5000)}" for _ in range(count))


def test_near_duplicates_need_a_like_prompt_and_two_like_sides() -> None:
    p, a, b = text(1), text(2), text(3)
    rows = [
        (p, a, b),
        (p, a + " end", b),  # one word more
        (p, b, a + " end"),  # and the other way round
        (text(4), a, b),  # another prompt
        (p, a, text(5)),  # another rejected side
    ]
    partner, swapped = near(rows)
    assert partner == [-1, 0, 0, -1, -1]
    assert swapped[1:3] == [False, True]


def test_short_texts_are_alike_only_where_they_are_equal() -> None:
    partner, _ = near([("what is it", "yes", "no"), ("what is it", "yes", "maybe"), ("what is it", "no way", "no")])
    assert partner == [-1, -1, -1]


@given(st.lists(st.sampled_from(["a b c d", "a b c e", "x"]), min_size=1, max_size=6))
def test_partners_are_earlier_rows(sides: list[str]) -> None:
    partner, _ = near([("p", side, "other words here") for side in sides])
    assert all(place == -1 or 0 <= place < row for row, place in enumerate(partner))
