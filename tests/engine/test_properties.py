"""A text's reward does not depend on what it shares a row with, nor on where in the batch it stands."""

from __future__ import annotations

import random
from functools import cache

import torch
from architectures import batcher_of, build, plain
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedModel

from plaudit.engine.attention import switch_on
from plaudit.formatting import Rendered

few = settings(max_examples=25, deadline=None)


@cache
def model_of(name: str) -> PreTrainedModel:
    model = build(name, num_hidden_layers=2)
    switch_on(model)
    return model


@st.composite
def batches(draw: st.DrawFn) -> list[list[int]]:
    """Prompts, empty ones too, with 1 to 16 responses, one-token ones too, of so few tokens that starts coincide; in
    any order."""
    texts = []
    for _ in range(draw(st.integers(1, 3))):
        rng = random.Random(draw(st.integers(0, 3)))  # two prompts may be alike
        prompt = [rng.randrange(5, 8) for _ in range(draw(st.integers(0, 40)))]
        for length in draw(st.lists(st.integers(1, 20), min_size=1, max_size=16)):
            texts.append(prompt + [rng.randrange(5, 7) for _ in range(length)])
    return list(draw(st.permutations(texts)))


@torch.no_grad()
def assert_as_alone(name: str, texts: list[list[int]]) -> None:
    model = model_of(name)
    got = model(**batcher_of(model).inputs([Rendered(text) for text in texts])).logits
    alone = {text: plain(model, list(text)) for text in set(map(tuple, texts))}
    expected = torch.stack([alone[tuple(text)] for text in texts])
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


@few
@given(texts=batches())
def test_a_decoders_reward_in_a_row_is_that_of_the_text_alone(texts: list[list[int]]) -> None:
    assert_as_alone("Llama", texts)


@few
@given(texts=batches())
def test_an_encoders_reward_in_a_row_is_that_of_the_text_alone(texts: list[list[int]]) -> None:
    assert_as_alone("BERT", texts)
