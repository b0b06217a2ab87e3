"""The self-check lets the right path through and stops a wrong one, with figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from architectures import batcher_of, build, mixed_texts
from transformers import PreTrainedModel

from plaudit.engine.attention import switch_on
from plaudit.engine.batcher import Batcher
from plaudit.engine.check import TOLERANCE, check_sample, self_check
from plaudit.engine.segments import Segments
from plaudit.errors import EngineError
from plaudit.formatting import Rendered

TEXTS = mixed_texts()


def rewards_of(model: PreTrainedModel) -> Any:
    switch_on(model)
    return lambda inputs: model(**inputs).logits


@pytest.mark.parametrize("name", ["Llama", "BERT", "BLOOM"])
def test_a_right_path_passes(name: str) -> None:
    model = build(name)
    batcher = batcher_of(model)
    rewards = (lambda inputs: model(**inputs).logits) if batcher.path == "padded" else rewards_of(model)
    assert self_check(rewards, batcher, TEXTS, dtype="float32") < 1e-5


def test_the_sample_has_shared_and_unshared_and_shortest_texts() -> None:
    sample = [text.input_ids for text in check_sample([Rendered(list(range(40))), Rendered(list(range(50, 90)))])]
    assert sample[2][:20] == sample[3][:20] == sample[0][:20]
    assert sample[2] != sample[3] != sample[0]
    assert len(sample[4]) == 1
    assert [len(text.input_ids) for text in check_sample([Rendered([7])])] == [1, 1, 2, 2, 1]


def positions_off_by_one(inputs: dict[str, Any]) -> None:
    for stretch in inputs["segments"].stretches:
        if stretch.path:
            inputs["position_ids"][0, stretch.start : stretch.start + stretch.length] += 1


def sees_its_neighbour(inputs: dict[str, Any]) -> None:
    stretches = list(inputs["segments"].stretches)
    before, last = stretches[-2:]
    stretches[-1] = replace(last, path=(*last.path, (before.start, before.length)))
    inputs["segments"] = Segments(stretches, causal=inputs["segments"].causal)


def reads_one_too_early(inputs: dict[str, Any]) -> None:
    inputs["read_index"][0] -= 1


class WrongBatcher(Batcher):
    damage: Any = None

    def inputs(self, texts: Sequence[Rendered]) -> dict[str, Any]:
        inputs = super().inputs(texts)
        if self.path != "padded":
            type(self).damage(inputs)
        return inputs


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("Llama", positions_off_by_one),
        ("Llama", sees_its_neighbour),
        ("Llama", reads_one_too_early),
        ("BERT", sees_its_neighbour),
    ],
)
def test_a_wrong_path_is_stopped_with_figures(name: str, damage: Any) -> None:
    model = build(name)
    right = batcher_of(model)
    wrong = type("Wrong", (WrongBatcher,), {"damage": staticmethod(damage)})(**vars(right))
    rewards = rewards_of(model)
    with torch.no_grad():
        expected = rewards(replace(right, path="padded").inputs(check_sample(TEXTS)))[0, 0]
    with pytest.raises(EngineError, match=r"batching=padded") as caught:
        self_check(rewards, wrong, TEXTS, dtype="float32")
    assert "tolerance 0.0001 in float32" in str(caught.value)
    assert f"and {expected:.6g}" in str(caught.value)


def test_a_reward_that_only_the_fast_path_loses_is_stopped_and_damaged_weights_are_not_its_business() -> None:
    batcher = Batcher("shared", last_token=True, token_types=False)

    def rewards(value: float) -> Any:
        return lambda inputs: torch.full((5,), value if "segments" in inputs else 1.0)

    with pytest.raises(EngineError, match="nan"):
        self_check(rewards(float("nan")), batcher, TEXTS, dtype="float32")
    assert self_check(lambda _: torch.full((5,), float("nan")), batcher, TEXTS, dtype="float32") == 0
    for dtype, tolerance in TOLERANCE.items():
        assert self_check(rewards(1 + 0.9 * tolerance), batcher, TEXTS, dtype=dtype) > 0
        with pytest.raises(EngineError, match=dtype):
            self_check(rewards(1 + 1.1 * tolerance), batcher, TEXTS, dtype=dtype)
