"""Steps of pairs and of tokens, and that packed and padded micro-batches train alike."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from datasets import Dataset, IterableDataset
from few_steps import losses_of, trainer_of
from gradients import KeepGradients
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from plaudit import RewardConfig, RewardTrainer
from plaudit.engine.batcher import Batcher
from plaudit.errors import ConfigError
from plaudit.training.steps import (
    StepCollator,
    StepSampler,
    TokenSteps,
    cut_by_tokens,
    even_shares,
    response_major,
)
from tiny_models import CORPUS, TOKENIZERS

# -- cutting ---------------------------------------------------------------------------------------------------------

sizes_of_items = st.lists(st.integers(1, 50), min_size=1, max_size=80)


@given(sizes=sizes_of_items, tokens_per_step=st.integers(50, 400))
def test_steps_by_tokens_are_even_and_none_is_empty(sizes: list[int], tokens_per_step: int) -> None:
    tokens = np.array(sizes)
    steps = max(1, sum(sizes) // tokens_per_step)
    chunks = cut_by_tokens(tokens, steps)
    assert len(chunks) == steps
    assert [item for chunk in chunks for item in range(len(sizes))[chunk]] == list(range(len(sizes)))
    mean = sum(sizes) / steps
    for chunk in chunks:
        assert chunk.stop > chunk.start
        assert abs(tokens[chunk].sum() - mean) <= max(sizes)


def test_steps_by_tokens_by_hand() -> None:
    assert cut_by_tokens(np.array([4, 4, 4, 4]), 2) == [slice(0, 2), slice(2, 4)]
    assert cut_by_tokens(np.array([1, 1, 6, 1, 1, 6]), 2) == [slice(0, 3), slice(3, 6)]
    assert cut_by_tokens(np.array([5]), 1) == [slice(0, 1)]


@given(sizes=sizes_of_items, world=st.integers(1, 6))
def test_shares_are_disjoint_and_even(sizes: list[int], world: int) -> None:
    shares = even_shares(sizes, world)
    assert len(shares) == world
    assert sorted(item for share in shares for item in share) == list(range(len(sizes)))
    assert all(share == sorted(share) for share in shares)
    loads = [sum(sizes[item] for item in share) for share in shares]
    assert max(loads) - min(loads) <= max(sizes)


@given(sizes=sizes_of_items, tokens_per_step=st.integers(50, 300), world=st.integers(1, 4))
def test_every_epoch_has_the_same_steps_and_every_example_once(
    sizes: list[int], tokens_per_step: int, world: int
) -> None:
    tokens = np.array(sizes)
    samplers = [
        StepSampler(tokens, 8, tokens_per_step=tokens_per_step, rank=rank, world=world, seed=3) for rank in range(world)
    ]
    for epoch in range(3):
        for sampler in samplers:
            sampler.set_epoch(epoch)
        ranks = [list(sampler) for sampler in samplers]
        assert {len(steps) for steps in ranks} == {len(samplers[0])} == {max(1, sum(sizes) // tokens_per_step)}
        counted = [index for steps in ranks for step in steps for index, counts in step if counts]
        assert sorted(counted) == list(range(len(sizes)))
        for shares in zip(*ranks, strict=True):
            assert all(shares)  # a stand-in where a share is empty
            loads = [sum(sizes[index] for index, counts in share if counts) for share in shares]
            assert max(loads) - min(loads) <= max(sizes)


def test_every_epoch_has_another_order_and_a_seed_gives_it_again() -> None:
    def epochs(seed: int) -> list[list[int]]:
        sampler = StepSampler(np.arange(1, 31), 8, tokens_per_step=50, seed=seed)
        found = []
        for epoch in range(2):
            sampler.set_epoch(epoch)
            found.append([index for step in sampler for index, _ in step])
        return found

    first, second = epochs(1)
    assert first != second
    assert epochs(1) == [first, second] != epochs(2)


def test_the_last_short_step_can_be_left_out() -> None:
    tokens = np.full(10, 5)
    assert [len(step) for step in StepSampler(tokens, 4, drop_last=True)] == [4, 4]
    assert [len(step) for step in StepSampler(tokens, 4)] == [4, 4, 2]


def test_a_stream_is_cut_by_tokens_in_its_order() -> None:
    rows = [{"tokens": n} for n in (300, 40, 60, 1, 200, 30, 70, 5)]

    def steps(**options: Any) -> list[list[int]]:
        return [[row["tokens"] for row in step] for step in TokenSteps(rows, 100, **options)]

    assert steps() == [[300], [40, 60], [1], [200], [30, 70], [5]]
    assert steps(drop_last=True) == [[300], [40, 60], [1], [200], [30, 70]]
    assert list(TokenSteps([], 100)) == []


def test_a_stream_of_steps_passes_the_epoch_on() -> None:
    class Rows:
        epoch = 0

        def set_epoch(self, epoch: int) -> None:
            self.epoch = epoch

        def __iter__(self) -> Iterator[dict[str, Any]]:
            yield {"tokens": self.epoch}

    steps = TokenSteps(Rows(), 100)
    steps.set_epoch(5)
    assert list(steps) == [[{"tokens": 5}]]


def features(*lengths: tuple[int, ...]) -> list[dict[str, Any]]:
    return [
        {
            "input_ids": [list(range(place, place + n)) for n in ks],
            "type_boundary": [-1] * len(ks),
            "labels": [float(len(ks) - k) for k in range(len(ks))],
            "margin": None,
            "weight": 1.0,
            "tokens": sum(ks),
        }
        for place, ks in enumerate(lengths)
    ]


@pytest.mark.parametrize("path", ["shared", "unpadded", "padded"])
def test_micro_batches_hold_every_example_once_within_the_budget(path: str) -> None:
    step = features((9, 5), (3, 4, 5), (12, 2), (7, 7), (1, 1, 1), (30, 31))
    batcher = Batcher(path, last_token=path != "unpadded", token_types=False)
    made = StepCollator(batcher, 2, micro_batch_tokens=30)(step)
    assert made["pairs"] == 6
    assert list(made["features"]) == step
    lengths = [tuple(row) for batch in made["micro_batches"] for row in batch["lengths"].tolist()]
    assert sorted(lengths) == sorted(tuple(map(len, f["input_ids"])) for f in step)
    for batch in made["micro_batches"]:
        assert batch["input_ids"].numel() <= 30 or len(batch["labels"]) == 1
        assert len(batch["labels"]) <= 2 or path != "padded"


def test_texts_of_a_micro_batch_are_all_first_responses_then_all_second_ones() -> None:
    step = features((2, 1), (3, 1))
    step[1]["type_boundary"] = [2, -1]
    texts = response_major(step, 2)
    assert [text.input_ids for text in texts] == [[0, 1], [1, 2, 3], [0], [1]]
    assert [text.type_boundary for text in texts] == [None, 2, None, None]


# -- training --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def models(saved: Callable[[str, str], Path]) -> dict[str, str]:
    return {family: str(saved(family, "reward")) for family in ("qwen3", "bert")}


def rows(count: int) -> dict[str, list[str]]:
    """Long prompts, some of them the same, with answers that start alike."""
    rng = random.Random(0)
    words = " ".join(CORPUS).split()

    def text(count: int) -> str:
        return " ".join(rng.choices(words, k=count))

    prompts = [text(rng.randrange(5, 25)) for _ in range(count // 2)] * 2
    starts = [text(rng.randrange(0, 12)) for _ in range(count)]
    sides = {side: [f"{start} {text(rng.randrange(1, 15))}" for start in starts] for side in ("chosen", "rejected")}
    return {"prompt": prompts, **sides}


def step_sizes(trainer: RewardTrainer) -> list[int]:
    """Tokens of each step that is trained from now on."""
    sizes: list[int] = []
    step = trainer._step
    trainer._step = lambda model, inputs: (  # type: ignore[method-assign]
        sizes.append(sum(f["tokens"] for f in inputs["features"])) or step(model, inputs)
    )
    return sizes


@pytest.mark.parametrize("adapter", [False, True], ids=["whole", "lora"])
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bf16"])
@pytest.mark.parametrize("family", ["qwen3", "bert"])
def test_packed_and_padded_steps_have_the_same_losses_and_gradients(
    family: str, bf16: bool, adapter: bool, models: dict[str, str], tmp_path: Path
) -> None:
    from peft import LoraConfig

    results = []
    for batching in ("packed", "padded"):
        keep = KeepGradients()
        lora = LoraConfig(task_type="SEQ_CLS", r=4, init_lora_weights=False) if adapter else None
        trainer = trainer_of(
            models[family],
            tmp_path,
            Dataset.from_dict(rows(24)),
            keep,
            batching=batching,
            bf16=bf16,
            gradient_accumulation_steps=2,
            micro_batch_tokens=400,
            peft_config=lora,
        )
        trainer.train()
        assert (
            trainer.reward_model.support.path
            == {
                "packed": "shared" if family == "qwen3" else "unpadded",
                "padded": "padded",
            }[batching]
        )
        assert (trainer.engine_difference is not None) == (batching == "packed")
        results.append((losses_of(trainer), keep.steps))
    (losses, steps), (expected_losses, expected_steps) = results
    tolerance = 3e-2 if bf16 else 1e-4
    assert losses == pytest.approx(expected_losses, rel=tolerance)
    assert len(steps) == len(expected_steps) == 3
    for got, expected in zip(steps, expected_steps, strict=True):
        assert got.keys() == expected.keys()
        assert any("lora_B" in name for name in got) == adapter
        whole = torch.stack([gradient.norm() for gradient in expected.values()]).norm()
        for name in expected:
            assert (got[name] - expected[name]).norm() <= tolerance * whole, name


def test_steps_of_tokens_train(models: dict[str, str], tmp_path: Path) -> None:
    trainer = trainer_of(
        models["qwen3"], tmp_path, Dataset.from_dict(rows(24)), tokens_per_step=600, num_train_epochs=2, max_steps=-1
    )
    tokens, sizes = sum(trainer.train_dataset["tokens"]), step_sizes(trainer)
    trainer.train()
    assert len(sizes) == trainer.state.global_step == 2 * (tokens // 600)
    assert sum(sizes) == 2 * tokens
    assert max(sizes) - min(sizes) <= 2 * max(trainer.train_dataset["tokens"])
    assert [entry["num_tokens"] for entry in trainer.state.log_history if "loss" in entry][-1] == 2 * tokens


def test_steps_of_tokens_train_from_a_stream(models: dict[str, str], tmp_path: Path) -> None:
    columns = rows(24)
    stream = IterableDataset.from_generator(lambda: ({k: v[i] for k, v in columns.items()} for i in range(24)))
    trainer = trainer_of(models["qwen3"], tmp_path, stream, tokens_per_step=600, max_steps=4)
    sizes = step_sizes(trainer)
    trainer.train()
    assert trainer.state.global_step == len(sizes) == 4
    assert max(sizes) <= 600
    assert all(np.isfinite(losses_of(trainer)))


def test_the_longest_pair_must_fit_into_a_step_of_tokens(models: dict[str, str], tmp_path: Path) -> None:
    trainer = trainer_of(models["qwen3"], tmp_path, Dataset.from_dict(rows(8)), tokens_per_step=20)
    longest = max(trainer.train_dataset["tokens"])
    with pytest.raises(ConfigError, match=f"at least the {longest} tokens of the longest pair, got 20.*max_length"):
        trainer.train()


@pytest.mark.parametrize("option", ["gradient_accumulation_steps", "total_batch_size"])
def test_a_step_has_one_size(option: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"leave out.*{option}"):
        RewardConfig(str(tmp_path), use_cpu=True, bf16=False, tokens_per_step=500, **{option: 4})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batching": "fast"}, "batching: expected auto, packed or padded, got 'fast'"),
        ({"tokens_per_step": 0}, "tokens_per_step: expected a whole number above 0, got 0"),
        ({"micro_batch_tokens": 1.5}, "micro_batch_tokens: expected a whole number above 0, got 1.5"),
    ],
)
def test_values_out_of_range_are_refused(options: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardConfig(str(tmp_path), use_cpu=True, bf16=False, **options)


def test_packed_is_refused_where_the_architecture_cannot(tmp_path: Path) -> None:
    tokenizer = TOKENIZERS["bert"]()
    config = transformers.DebertaV2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        pad_token_id=tokenizer.pad_token_id,
        num_labels=1,
    )
    model = AutoModelForSequenceClassification.from_config(config)
    data = Dataset.from_dict(rows(8))
    with pytest.raises(ConfigError, match="batching packed: DebertaV2.* cannot, its attention.*use auto"):
        trainer_of(model, tmp_path, data, processing_class=tokenizer, batching="packed")
    trainer = trainer_of(model, tmp_path, data, processing_class=tokenizer, batching="auto", max_steps=1)
    trainer.train()
    assert trainer.reward_model.support.path == "padded"
    assert trainer.engine_difference is None


@pytest.mark.parametrize("option", ["data_collator", "pad_to_multiple_of"])
def test_what_pads_makes_padded_batches_and_packed_refuses_it(
    option: str, models: dict[str, str], tmp_path: Path
) -> None:
    from trl.trainer.reward_trainer import DataCollatorForPreference

    pad = AutoTokenizer.from_pretrained(models["qwen3"]).pad_token_id
    options = {option: DataCollatorForPreference(pad_token_id=pad) if option == "data_collator" else 16}
    data = Dataset.from_dict(rows(8))
    with pytest.raises(ConfigError, match=f"batching packed: .*{option} means padded batches"):
        trainer_of(models["qwen3"], tmp_path, data, batching="packed", **options)
    trainer = trainer_of(models["qwen3"], tmp_path, data, max_steps=1, **options)
    trainer.train()
    assert trainer.reward_model.support.path == "padded"
    widths = {batch["input_ids"].shape[1] for step in trainer.get_train_dataloader() for batch in step["micro_batches"]}
    assert option == "data_collator" or all(width % 16 == 0 for width in widths)
