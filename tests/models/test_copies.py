"""A network that plaudit has prepared can be pickled and copied whole, and the copy is a model of its own."""

from __future__ import annotations

import copy
import io
import json
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from transformers import PreTrainedModel

from plaudit import RewardModel
from plaudit.formatting import RenderItem

PROMPT = "What is the capital of France?"
ITEMS = [RenderItem(PROMPT, "Paris."), RenderItem(PROMPT, "Rivers carry stones."), RenderItem(None, "Apples.")]


def by_torch(value: Any) -> Any:
    file = io.BytesIO()
    torch.save(value, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


COPIES: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "torch": by_torch,
}


@pytest.fixture(params=["qwen3", "bert"])
def model(request: pytest.FixtureRequest, saved: Callable[[str, str], Path]) -> RewardModel:
    model = RewardModel.from_pretrained(saved(request.param, "reward"), device="cpu")
    assert model.support.path != "padded"
    return model


@torch.inference_mode()
def rewards(model: RewardModel, network: PreTrainedModel) -> list[torch.Tensor]:
    """In a packed row, in a padded batch, and as transformers' own users would ask."""
    texts = [model.renderer.render(item) for item in ITEMS]
    padded = replace(model.batcher, path="padded").inputs(texts)
    own = {name: value for name, value in padded.items() if name != "read_index"}
    return [network(**inputs).logits for inputs in (model.batcher.inputs(texts), padded, own)]


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_of_a_network_scores_alike_and_by_its_own_weights(model: RewardModel, way: str) -> None:
    expected = rewards(model, model.model)
    other = COPIES[way](model.model)
    for module, its in zip(model.model.modules(), other.modules(), strict=True):
        assert type(its) is type(module)
        assert ("forward" in vars(its)) == ("forward" in vars(module))
        if "forward" in vars(its):
            assert its.forward.__self__ is its
    for got, reward in zip(rewards(model, other), expected, strict=True):
        assert torch.equal(got, reward)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    for got, reward in zip(rewards(model, other), expected, strict=True):
        assert not torch.isclose(got, reward).any()
    for got, reward in zip(rewards(model, model.model), expected, strict=True):
        assert torch.equal(got, reward)


@pytest.mark.parametrize("way", COPIES)
def test_a_reward_model_is_copied_whole(model: RewardModel, way: str) -> None:
    prompts, responses = [item.prompt for item in ITEMS], [item.response for item in ITEMS]
    expected = model.score(prompts, responses)
    other = COPIES[way](model)
    assert other.model is not model.model
    assert (other.score(prompts, responses) == expected).all()


@pytest.fixture
def bf16() -> Iterator[Accelerator]:
    AcceleratorState._reset_state(reset_partial_state=True)
    yield Accelerator(mixed_precision="bf16", cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_a_copy_made_under_accelerate_s_autocast_computes_with_its_own_weights(
    model: RewardModel, bf16: Accelerator
) -> None:
    exact = rewards(model, model.model)
    wrapped = bf16.prepare_model(model.model)
    expected = rewards(model, wrapped)
    assert not any(torch.equal(*pair) for pair in zip(expected, exact, strict=True))
    other = copy.deepcopy(wrapped)
    assert other.forward.__self__ is other
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.mul_(1.5)
    for got, reward in zip(rewards(model, other), expected, strict=True):
        assert not torch.isclose(got, reward).any()
    unwrapped = bf16.unwrap_model(wrapped, keep_fp32_wrapper=False)
    for got, reward in zip(rewards(model, unwrapped), exact, strict=True):
        assert torch.equal(got, reward)


def test_a_compiled_forward_gives_the_same_rewards(model: RewardModel) -> None:
    expected = rewards(model, model.model)
    for got, reward in zip(rewards(model, torch.compile(model.model, backend="eager")), expected, strict=True):
        torch.testing.assert_close(got, reward, rtol=1e-5, atol=1e-5)


IN_ANOTHER_PROCESS = """
import json, sys, torch
torch.set_num_threads(1)
network, inputs = (torch.load(path, weights_only=False) for path in sys.argv[1:])
with torch.inference_mode():
    print(json.dumps(network(**inputs).logits.flatten().tolist()))
"""


@pytest.mark.slow
def test_a_network_arrives_in_another_process(model: RewardModel, tmp_path: Path) -> None:
    texts = [model.renderer.render(item) for item in ITEMS]
    files = [tmp_path / "network.pt", tmp_path / "inputs.pt"]
    torch.save(model.model, files[0])
    torch.save(model.batcher.inputs(texts), files[1])
    done = subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, *files], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == pytest.approx(rewards(model, model.model)[0].flatten().tolist(), abs=1e-6)
