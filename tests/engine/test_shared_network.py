"""Several owners of one network, and settings whose meaning depends on a batch: no silent difference."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from architectures import build

from plaudit import RewardConfig, RewardModel
from plaudit.engine.support import packing_support
from plaudit.errors import ConfigError
from plaudit.training.opening import batching_for

PROMPTS = ["What is the capital of France?"] * 3
RESPONSES = ["Paris.", "It is Paris, a large city.", "Rivers carry stones."]


@pytest.mark.parametrize("family", ["qwen3", "bert"])
@pytest.mark.parametrize("change", ["a padded owner", "eager", "sdpa"])
def test_another_attention_chosen_since_changes_no_score(
    saved: Callable[[str, str], Path], family: str, change: str
) -> None:
    model = RewardModel.from_pretrained(saved(family, "reward"))
    expected = model.score(PROMPTS, RESPONSES)
    if change == "a padded owner":
        other = RewardModel(model.model, model.tokenizer, model.spec, batching="padded")
        np.testing.assert_allclose(other.score(PROMPTS, RESPONSES), expected, atol=1e-5)
    else:
        model.model.set_attn_implementation(change)
    np.testing.assert_allclose(model.score(PROMPTS, RESPONSES), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["dynamic", "longrope"])
def test_positions_that_depend_on_the_longest_text_of_a_batch_are_not_packed(kind: str) -> None:
    rope: dict[str, Any] = {"rope_type": kind, "rope_theta": 10000.0, "factor": 2.0}
    if kind == "longrope":
        rope |= {"short_factor": [1.0] * 4, "long_factor": [4.0] * 4, "original_max_position_embeddings": 64}
    support = packing_support(build("Llama", rope_parameters=rope))
    assert support.path == "padded"
    assert kind in support.reason


@pytest.mark.parametrize(
    ("name", "value"), [("neftune_noise_alpha", 5.0), ("pad_to_multiple_of", 8), ("data_collator", print)]
)
def test_what_needs_padded_batches_is_named(
    name: str, value: Any, saved: Callable[[str, str], Path], tmp_path: Path
) -> None:
    options: dict[str, Any] = {"use_cpu": True, "bf16": False}
    collator = value if name == "data_collator" else None
    if collator is None:
        options[name] = value
    batching = batching_for(RewardConfig(str(tmp_path), **options), collator)
    model = RewardModel.from_pretrained(saved("qwen3", "reward"))
    owner = RewardModel(model.model, model.tokenizer, model.spec, batching=batching)
    assert owner.support.path == owner.batcher.path == "padded"
    reason = f"{'a ' if collator else ''}{name}"
    assert owner.support.line.endswith(f"({reason} is given)")
    assert batching_for(RewardConfig(str(tmp_path), batching="padded", **options), collator) == "padded"
    with pytest.raises(ConfigError, match=f"{reason} means padded batches"):
        batching_for(RewardConfig(str(tmp_path), batching="packed", **options), collator)
