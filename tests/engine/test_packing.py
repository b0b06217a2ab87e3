"""Rows by hand, their sizes, how items are cut into rows, and what must hold of any texts."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plaudit.engine import packing
from plaudit.engine.packing import MIN_SHARED, Packing, Stretch, pack, packed_size, plan_packed, plan_sorted

START = list(range(10, 20))  # ten tokens: enough to be shared

starts = st.lists(st.integers(1, 2), max_size=3 * MIN_SHARED)
texts_that_start_alike = st.lists(
    st.builds(
        lambda start, cut, end: start[:cut] + end, starts, st.integers(0, 24), st.lists(st.integers(1, 2), min_size=1)
    ),
    min_size=1,
    max_size=12,
)


def test_responses_share_their_prompt() -> None:
    row = pack([[*START, 1, 2], [*START, 3], [7]], share=True)
    assert row.ids.tolist() == [7, *START, 1, 2, 3]
    assert row.positions.tolist() == [0, *range(12), 10]
    assert row.stretches == (Stretch(2, 0, 1, ()), Stretch(0, 1, 12, ()), Stretch(1, 13, 1, ((1, 10),)))
    assert row.last() == [12, 13, 0]
    assert row.needed == 24
    assert row.texts() == [[*START, 1, 2], [*START, 3], [7]]


def test_a_path_goes_through_several_texts() -> None:
    longer = [*START, *range(30, 40)]
    row = pack([START, longer, [*longer, 1], [*longer, 2]], share=True)
    assert row.ids.tolist() == [*longer, 1, 2]
    assert row.positions.tolist() == [*range(20), 20, 20]
    first, second = (0, 10), (10, 10)
    assert [stretch.path for stretch in row.stretches] == [(), (first,), (first, second), (first, second)]
    assert [stretch.shared for stretch in row.stretches] == [0, 10, 20, 20]
    assert row.last() == [9, 19, 20, 21]


def test_a_path_may_end_inside_a_range() -> None:
    row = pack([[*START, 1, 2], [*START[:9], 5, 6]], share=True)
    assert [stretch.path for stretch in row.stretches] == [(), ((0, 9),)]  # 5 comes before START's last token
    assert row.stretches[0].text == 1
    assert row.texts() == [[*START, 1, 2], [*START[:9], 5, 6]]


def test_equal_texts_keep_a_last_token_each() -> None:
    row = pack([START, START, START], share=True)
    assert row.ids.tolist() == [*START, START[-1], START[-1]]
    assert sorted(row.last()) == [9, 10, 11]


@pytest.mark.parametrize(("common", "shared"), [(MIN_SHARED - 1, 0), (MIN_SHARED, MIN_SHARED)])
def test_a_short_start_in_common_is_computed_again(common: int, shared: int) -> None:
    row = pack([[*START[:common], 1], [*START[:common], 2]], share=True)
    assert row.stretches[1].shared == shared
    assert len(row.ids) == 2 * common + 2 - shared


def test_without_sharing_texts_stand_alone_in_their_order() -> None:
    row = pack([[9, 9], START, START], share=False)
    assert row.ids.tolist() == [9, 9, *START, *START]
    assert row.positions.tolist() == [0, 1, *range(10), *range(10)]
    assert [(stretch.text, stretch.path) for stretch in row.stretches] == [(0, ()), (1, ()), (2, ())]


@given(texts=texts_that_start_alike, share=st.booleans())
def test_any_row_holds_its_texts(texts: list[list[int]], share: bool) -> None:
    row = pack(texts, share=share)
    assert row.texts() == texts
    assert len(row.ids) == len(row.positions) == packed_size(texts, share=share) <= row.needed == sum(map(len, texts))
    assert [row.ids[last] for last in row.last()] == [text[-1] for text in texts]
    check_stretches(row)


def check_stretches(row: Packing) -> None:
    """They tile the row; a path is made of beginnings of earlier stretches; positions go on where it ends."""
    assert sorted(stretch.text for stretch in row.stretches) == list(range(len(row.stretches)))
    cursor, lengths = 0, {}
    for stretch in row.stretches:
        assert stretch.start == cursor
        assert stretch.length >= 1
        for start, length in stretch.path:
            assert 1 <= length <= lengths[start]
        assert not stretch.path or stretch.shared >= MIN_SHARED
        own = row.positions[stretch.start : stretch.start + stretch.length].tolist()
        assert own == list(range(stretch.shared, stretch.shared + stretch.length))
        lengths[cursor] = stretch.length
        cursor += stretch.length
    assert cursor == len(row.ids)


@given(texts=texts_that_start_alike)
def test_every_start_in_common_is_found(texts: list[list[int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packing, "MIN_SHARED", 1)
        row = pack(texts, share=True)
    different_starts = {tuple(text[:end]) for text in texts for end in range(1, len(text) + 1)}
    assert len(row.ids) == len(different_starts) + len(texts) - len(set(map(tuple, texts)))


@given(sizes=st.lists(st.integers(1, 300), max_size=40), max_tokens=st.integers(1, 600))
def test_rows_keep_the_budget_and_are_few(sizes: list[int], max_tokens: int) -> None:
    rows = plan_packed(sizes, max_tokens=max_tokens)
    assert sorted(item for row in rows for item in row) == list(range(len(sizes)))
    assert all(sum(sizes[item] for item in row) <= max_tokens or len(row) == 1 for row in rows)
    assert len(rows) <= 2 * -(-sum(min(size, max_tokens) for size in sizes) // max_tokens)


def test_rows_are_even_and_a_large_item_does_not_scatter_the_others() -> None:
    sizes = [50, 10, 20, 40, 30, 30]
    rows = plan_packed(sizes, max_tokens=100)
    assert [sum(sizes[item] for item in row) for row in rows] == [90, 90]
    assert plan_packed([500, 20, 20], max_tokens=100) == [[0], [1, 2]]
    assert plan_packed([], max_tokens=100) == []


@given(texts=texts_that_start_alike, share=st.booleans(), max_tokens=st.integers(1, 120))
def test_sorted_rows_keep_the_budget_of_what_is_packed(texts: list[list[int]], share: bool, max_tokens: int) -> None:
    rows = plan_sorted(texts, share=share, max_tokens=max_tokens)
    assert sorted(text for row in rows for text in row) == list(range(len(texts)))
    sizes = [packed_size([texts[text] for text in row], share=share) for row in rows]
    assert all(size <= max_tokens or len(row) == 1 for size, row in zip(sizes, rows, strict=True))
    for row, after in pairwise(rows):  # cut in its second half, and only where the rest does not fit
        assert packed_size([texts[text] for text in (*row, *after)], share=share) > max_tokens


def test_texts_that_start_alike_are_planned_into_one_row() -> None:
    texts = [[*START, 1], [1] * 11, [*START, 2], [1] * 10 + [2]]
    assert [sorted(row) for row in plan_sorted(texts, share=True, max_tokens=12)] == [[1, 3], [0, 2]]
    assert plan_sorted(texts, share=False, max_tokens=22) == [[0, 1], [2, 3]]


def test_a_full_row_is_cut_where_texts_share_least() -> None:
    first, second = [*range(30)], [*range(100, 130)]
    texts = [[*first, 1], [*first, 2], [*second, 3], [*second, 4], [*second, 5], [*second, 6]]
    # 32 + 34 tokens: cutting where the budget ends would compute the second start twice
    assert plan_sorted(texts, share=True, max_tokens=63) == [[0, 1], [2, 3, 4, 5]]
