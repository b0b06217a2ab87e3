"""From texts to model inputs: what each path is given, and how items are cut for it."""

from __future__ import annotations

import pickle

import pytest

from plaudit.engine.batcher import Batcher
from plaudit.formatting import Rendered

PROMPT = list(range(20, 30))
PAIR = [Rendered([*PROMPT, 1, 2]), Rendered([*PROMPT, 3])]
SHARED = Batcher("shared", last_token=True, token_types=False)
UNPADDED = Batcher("unpadded", last_token=False, token_types=True, first_position=2)


def test_a_decoder_reads_the_last_token_of_each_text() -> None:
    inputs = SHARED.inputs(PAIR)
    assert set(inputs) == {"input_ids", "position_ids", "segments", "read_index"}
    assert inputs["input_ids"].tolist() == [[*PROMPT, 1, 2, 3]]
    assert inputs["position_ids"].tolist() == [[*range(12), 10]]
    assert inputs["read_index"].tolist() == [11, 12]
    assert inputs["segments"].causal


def test_an_encoder_is_told_where_the_texts_lie_and_their_token_types() -> None:
    inputs = UNPADDED.inputs([Rendered([5, 6, 7], 2), Rendered([8]), Rendered([9, 9], 2)])
    assert set(inputs) == {"input_ids", "position_ids", "segments", "token_type_ids", "unpack_index", "unpack_mask"}
    assert inputs["input_ids"].tolist() == [[5, 6, 7, 8, 9, 9]]
    assert inputs["position_ids"].tolist() == [[2, 3, 4, 2, 2, 3]]
    assert inputs["token_type_ids"].tolist() == [[0, 0, 1, 0, 0, 0]]
    assert inputs["unpack_index"].tolist() == [[0, 1, 2], [3, 0, 0], [4, 5, 0]]
    assert inputs["unpack_mask"].tolist() == [[1, 1, 1], [1, 0, 0], [1, 1, 0]]
    assert not inputs["segments"].causal


def test_padded_inputs_have_no_segments() -> None:
    inputs = Batcher("padded", last_token=True, token_types=False, pad_token_id=4, multiple=8).inputs(PAIR)
    assert set(inputs) == {"input_ids", "attention_mask", "read_index"}
    assert inputs["input_ids"].shape == (2, 16)


def test_batchers_and_their_inputs_go_to_worker_processes() -> None:
    assert pickle.loads(pickle.dumps(SHARED)) == SHARED
    inputs = pickle.loads(pickle.dumps(SHARED.inputs(PAIR)))
    assert inputs["segments"].stretches == SHARED.inputs(PAIR)["segments"].stretches


@pytest.mark.parametrize(
    ("path", "rows"),
    [
        ("shared", [[0, 1], [2]]),  # 13 + 13 and 22 tokens
        ("unpadded", [[0], [1], [2]]),  # 23, 23 and 23
        ("padded", [[2], [0], [1]]),  # 24, 24 and 24; shortest first
    ],
)
def test_examples_are_cut_by_what_each_path_computes(path: str, rows: list[list[int]]) -> None:
    pair = [text.input_ids for text in PAIR]
    items = [pair, pair, [[*PROMPT, 1], [*PROMPT[::-1], 1, 2]]]
    batcher = Batcher(path, last_token=True, token_types=False)
    plan = batcher.plan(items, max_tokens=26, max_items=2)
    assert sorted(map(sorted, plan)) == sorted(rows)
    assert sorted(item for row in batcher.plan(items, max_tokens=None, max_items=2) for item in row) == [0, 1, 2]


@pytest.mark.parametrize("path", ["shared", "padded"])
def test_texts_are_cut_by_tokens_and_padded_ones_by_rows(path: str) -> None:
    texts = [[*PROMPT, i] for i in range(6)]
    plan = Batcher(path, last_token=True, token_types=False).plan_texts(texts, max_tokens=44, max_rows=3)
    assert plan == ([[0, 1, 2, 3, 4, 5]] if path == "shared" else [[0, 1, 2], [3, 4, 5]])
