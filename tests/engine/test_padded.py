"""Padded batches and how they are cut."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from plaudit.engine.padded import padded_inputs, plan_padded
from plaudit.formatting import Rendered


def test_texts_are_padded_on_the_right_and_masked() -> None:
    inputs = padded_inputs([Rendered([5, 6, 7]), Rendered([8])], pad_token_id=9, last_token=True, token_types=False)
    assert inputs["input_ids"].tolist() == [[5, 6, 7], [8, 9, 9]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert inputs["read_index"].tolist() == [2, 3]
    assert set(inputs) == {"input_ids", "attention_mask", "read_index"}
    assert {tensor.dtype for tensor in inputs.values()} == {torch.int64}


def test_token_types_begin_at_the_boundary_and_end_with_the_text() -> None:
    inputs = padded_inputs(
        [Rendered([1, 2, 3, 4], 2), Rendered([1, 2], 1), Rendered([1, 2, 3], 3)],
        pad_token_id=0,
        last_token=False,
        token_types=True,
    )
    assert inputs["token_type_ids"].tolist() == [[0, 0, 1, 1], [0, 1, 0, 0], [0, 0, 0, 0]]
    assert "read_index" not in inputs


def test_the_width_is_rounded_up_to_a_multiple() -> None:
    inputs = padded_inputs(
        [Rendered([1] * 9), Rendered([1] * 2)], pad_token_id=0, last_token=True, token_types=False, multiple=8
    )
    assert inputs["input_ids"].shape == (2, 16)
    assert inputs["read_index"].tolist() == [8, 17]


@given(
    lengths=st.lists(st.integers(1, 300), max_size=40),
    max_rows=st.integers(1, 12),
    max_tokens=st.none() | st.integers(1, 2000),
    data=st.data(),
)
def test_every_item_is_in_exactly_one_batch_within_its_limits(
    lengths: list[int], max_rows: int, max_tokens: int | None, data: st.DataObject
) -> None:
    rows = [data.draw(st.integers(1, 6)) for _ in lengths]
    batches = plan_padded(lengths, rows=rows, max_rows=max_rows, max_tokens=max_tokens)
    assert sorted(item for batch in batches for item in batch) == list(range(len(lengths)))
    flat = [lengths[item] for batch in batches for item in batch]
    assert flat == sorted(flat)
    for batch in batches:
        count = sum(rows[item] for item in batch)
        if len(batch) > 1:
            assert count <= max_rows
            assert max_tokens is None or count * max(lengths[item] for item in batch) <= max_tokens


@pytest.mark.parametrize(
    ("max_rows", "max_tokens", "batches"),
    [
        (2, None, [[1, 3], [0, 2]]),
        (4, None, [[1, 3, 0, 2]]),
        (4, 12, [[1, 3], [0], [2]]),
        (1, None, [[1], [3], [0], [2]]),
    ],
)
def test_batches_are_cut_by_rows_and_by_padded_tokens(
    max_rows: int, max_tokens: int | None, batches: list[list[int]]
) -> None:
    lengths = [9, 2, 10, 3]
    assert plan_padded(lengths, rows=[1] * 4, max_rows=max_rows, max_tokens=max_tokens) == batches
