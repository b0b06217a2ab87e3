"""TRL's RewardTrainer is the oracle: same tokenised data, same losses, same gradients, same weights."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import trl
from datasets import Dataset, IterableDataset
from gradients import KeepGradients
from transformers import AutoModelForSequenceClassification, AutoTokenizer, LlamaConfig

from plaudit import RewardConfig, RewardModel, RewardTrainer
from plaudit.errors import ConfigError, DataError, NotARewardModelError, RowError
from plaudit.losses import LossOptions, bradley_terry
from plaudit.training.steps import StepSampler

VOCABULARY = 64
PAD, EOS = 63, 62


@pytest.fixture(scope="module")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama classifier with a tokenizer whose words are w0 … w61."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("llama")
    words = {f"w{i}": i for i in range(62)} | {"</s>": EOS, "<pad>": PAD}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", pad_token="<pad>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        pad_token_id=PAD,
        eos_token_id=EOS,
        bos_token_id=None,
        num_labels=1,
    )
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    return folder


def pairs(count: int, seed: int = 0, margin: bool = False) -> dict[str, list[Any]]:
    """Tokenised pairs of ragged lengths."""
    rng = np.random.default_rng(seed)

    def ids() -> list[int]:
        return [*rng.integers(0, 62, rng.integers(3, 20)).tolist(), EOS]

    columns: dict[str, list[Any]] = {
        "chosen_ids": [ids() for _ in range(count)],
        "rejected_ids": [ids() for _ in range(count)],
    }
    if margin:
        columns["margin"] = rng.random(count).tolist()
    return columns


def config(folder: Path, **values: Any) -> dict[str, Any]:
    base = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "max_steps": 3,
        "logging_steps": 1,
        "learning_rate": 0.1,
        "optim": "sgd",
        "max_grad_norm": 0.0,
        "lr_scheduler_type": "constant",
        "bf16": False,
        "use_cpu": True,
        "save_strategy": "no",
        "disable_tqdm": True,
        "train_sampling_strategy": "sequential",
        "activation_checkpointing": False,
        "gradient_checkpointing": False,
    }
    return base | values


def run(trainer_class: Any, config_class: Any, model: Path, data: dict[str, Any], folder: Path, **values: Any) -> Any:
    keep = KeepGradients()
    trainer = trainer_class(
        AutoModelForSequenceClassification.from_pretrained(model, num_labels=1, dtype=torch.float32),
        config_class(**config(folder, **values)),
        train_dataset=Dataset.from_dict(data),
        processing_class=AutoTokenizer.from_pretrained(model),
        callbacks=[keep],
    )
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return keep.steps, losses, trainer


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("margin", "options"),
    [
        (False, {}),
        (True, {}),
        (False, {"center_rewards_coefficient": 0.1}),
        (True, {"center_rewards_coefficient": 0.05, "gradient_accumulation_steps": 2}),
    ],
)
def test_losses_and_every_gradient_equal_trl(
    decoder: Path, tmp_path: Path, margin: bool, options: dict[str, Any]
) -> None:
    data = pairs(24, margin=margin)
    expected, expected_losses, _ = run(trl.RewardTrainer, trl.RewardConfig, decoder, data, tmp_path / "trl", **options)
    got, losses, _ = run(RewardTrainer, RewardConfig, decoder, data, tmp_path / "ours", **options)
    np.testing.assert_allclose(losses, expected_losses, atol=1e-5)
    assert len(got) == len(expected) == 3
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name], atol=1e-5, rtol=1e-5)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
def test_text_and_conversations_are_tokenised_as_trl_tokenises_them(decoder: Path, tmp_path: Path) -> None:
    text = {"prompt": ["w1 w2 ", "w3 "], "chosen": ["w4", "w5 w6"], "rejected": ["w7", "w8"]}
    template = "{% for m in messages %}w9 {{ m.content }} </s>{% endfor %}"
    talk = {
        "prompt": [[{"role": "user", "content": "w1"}]],
        "chosen": [[{"role": "assistant", "content": "w2"}]],
        "rejected": [[{"role": "assistant", "content": "w3"}]],
    }
    for data in (text, talk):
        tokenizer = AutoTokenizer.from_pretrained(decoder)
        tokenizer.chat_template = template
        trainers = [
            cls(
                str(decoder),
                cfg(**config(tmp_path / "x")),
                train_dataset=Dataset.from_dict(data),
                processing_class=copy.deepcopy(tokenizer),
            )
            for cls, cfg in ((trl.RewardTrainer, trl.RewardConfig), (RewardTrainer, RewardConfig))
        ]
        theirs, ours = (trainer.train_dataset for trainer in trainers)
        for mine, other in zip(ours, theirs, strict=True):
            assert mine["input_ids"] == [other["chosen_ids"], other["rejected_ids"]]


@pytest.mark.parametrize("accumulation", [1, 2, 4])
def test_accumulation_gives_the_gradient_of_the_whole_batch(decoder: Path, tmp_path: Path, accumulation: int) -> None:
    data = pairs(8)
    size = 8 // accumulation
    (got,), losses, _ = run(
        RewardTrainer,
        RewardConfig,
        decoder,
        data,
        tmp_path,
        per_device_train_batch_size=size,
        gradient_accumulation_steps=accumulation,
        max_steps=1,
    )
    (whole,), whole_losses, _ = run(
        RewardTrainer, RewardConfig, decoder, data, tmp_path, per_device_train_batch_size=8, max_steps=1
    )
    np.testing.assert_allclose(losses, whole_losses, atol=1e-6)
    for name in whole:
        torch.testing.assert_close(got[name], whole[name], atol=1e-6, rtol=1e-4)


def test_a_short_last_step_is_the_mean_of_its_own_pairs(decoder: Path, tmp_path: Path) -> None:
    data = pairs(10)
    steps, losses, trainer = run(
        RewardTrainer,
        RewardConfig,
        decoder,
        data,
        tmp_path,
        num_train_epochs=1,
        max_steps=-1,
        per_device_train_batch_size=2,
        gradient_accumulation_steps=2,
        learning_rate=0.0,
    )
    assert len(steps) == 3  # 4 + 4 + 2 pairs
    model = RewardModel(trainer.model, trainer.processing_class, trainer.reward_model.spec)
    expected = []
    for start in (0, 4, 8):
        rows = slice(start, start + 4)
        rewards = torch.tensor(
            [_reward(model, ids) for ids in (*data["chosen_ids"][rows], *data["rejected_ids"][rows])]
        )
        margins = rewards.view(2, -1)
        expected.append(torch.nn.functional.softplus(margins[1] - margins[0]).mean().item())
    np.testing.assert_allclose(losses, expected, atol=1e-5)


def _reward(model: RewardModel, ids: list[int]) -> float:
    with torch.no_grad():
        return float(type(model.model).forward(model.model, input_ids=torch.tensor([ids])).logits.item())


def test_weights_scale_a_pair_and_zero_removes_it(decoder: Path, tmp_path: Path) -> None:
    data = pairs(4)
    (with_zero,), _, _ = run(
        RewardTrainer, RewardConfig, decoder, data | {"weight": [1.0, 1.0, 0.0, 0.0]}, tmp_path, max_steps=1
    )
    half = {name: values[:2] for name, values in data.items()}
    (alone,), _, _ = run(RewardTrainer, RewardConfig, decoder, half, tmp_path, max_steps=1)
    for name in alone:  # over 4 pairs instead of 2: half the gradient
        torch.testing.assert_close(with_zero[name] * 2, alone[name], atol=1e-6, rtol=1e-4)


def test_label_smoothing_reaches_the_loss(decoder: Path, tmp_path: Path) -> None:
    data = pairs(4)
    _, plain, trainer = run(RewardTrainer, RewardConfig, decoder, data, tmp_path, max_steps=1, learning_rate=0.0)
    _, smooth, _ = run(
        RewardTrainer, RewardConfig, decoder, data, tmp_path, max_steps=1, learning_rate=0.0, label_smoothing_factor=0.1
    )
    model = RewardModel(trainer.model, trainer.processing_class, trainer.reward_model.spec)
    rewards = torch.tensor(
        [[_reward(model, a), _reward(model, b)] for a, b in zip(data["chosen_ids"], data["rejected_ids"], strict=True)]
    )
    labels = torch.tensor([[1.0, 0.0]] * 4)
    for got, smoothing in ((plain, 0.0), (smooth, 0.1)):
        expected = bradley_terry(rewards, labels, torch.zeros(4), LossOptions(label_smoothing=smoothing)).mean()
        assert got[0] == pytest.approx(expected.item(), abs=1e-5)


def test_every_pair_is_seen_once_an_epoch_in_another_order() -> None:
    sampler = StepSampler(np.full(10, 5), 4, seed=7)
    epochs = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        epochs.append([index for step in sampler for index, counted in step if counted])
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1] != list(range(10))


@pytest.mark.parametrize("size", [1, 7, 8, 9])
def test_ranks_share_every_step_without_losing_or_repeating_a_pair(size: int) -> None:
    ranks = [list(StepSampler(np.arange(1, size + 1), 4, rank=rank, world=3, seed=1)) for rank in range(3)]
    assert {len(steps) for steps in ranks} == {-(-size // 4)}
    seen = [index for steps in ranks for step in steps for index, counted in step if counted]
    assert sorted(seen) == list(range(size))
    assert all(step for steps in ranks for step in steps)  # a stand-in where a share is empty


def test_evaluation_counts_pairs_not_batches(decoder: Path, tmp_path: Path) -> None:
    trainer = RewardTrainer(
        str(decoder),
        RewardConfig(**config(tmp_path, per_device_eval_batch_size=4)),
        train_dataset=Dataset.from_dict(pairs(4)),
        eval_dataset=Dataset.from_dict(pairs(9, seed=3)),  # 4 + 4 + 1: a mean of batch means would be off
        compute_metrics=lambda p: {"mine": float((p.predictions[:, 0] > p.predictions[:, 1]).mean())},
    )
    figures = trainer.evaluate()
    data = pairs(9, seed=3)
    model = trainer.reward_model
    chosen, rejected = ([_reward(model, ids) for ids in data[side]] for side in ("chosen_ids", "rejected_ids"))
    won = [a > b for a, b in zip(chosen, rejected, strict=True)]
    assert figures["eval_accuracy"] == pytest.approx(sum(won) / 9)
    assert figures["eval_mine"] == pytest.approx(sum(won) / 9)
    loss = np.logaddexp(0, np.array(rejected) - np.array(chosen)).mean()
    assert figures["eval_loss"] == pytest.approx(loss, abs=1e-5)
    assert figures["eval_chosen_mean"] == pytest.approx(np.mean(chosen), abs=1e-5)
    assert figures["eval_rejected_std"] == pytest.approx(np.std(rejected), abs=1e-5)
    assert figures["eval_min_reward"] == pytest.approx(min(chosen + rejected), abs=1e-6)
    predicted = trainer.predict(Dataset.from_dict(data))
    assert predicted.predictions.shape == (9, 2)


def test_a_dict_of_evaluation_sets_is_evaluated_by_name(decoder: Path, tmp_path: Path) -> None:
    trainer = RewardTrainer(
        str(decoder),
        RewardConfig(**config(tmp_path, eval_strategy="steps", eval_steps=1, max_steps=1)),
        train_dataset=Dataset.from_dict(pairs(4)),
        eval_dataset={"one": Dataset.from_dict(pairs(3)), "two": Dataset.from_dict(pairs(5, seed=1))},
    )
    trainer.train()
    names = {name for entry in trainer.state.log_history for name in entry}
    assert {"eval_one_accuracy", "eval_two_accuracy", "eval_one_loss"} <= names


def test_trls_collator_and_a_plain_one_give_the_same_gradient(decoder: Path, tmp_path: Path) -> None:
    from trl.trainer.reward_trainer import DataCollatorForPreference

    data = pairs(4, margin=True)
    keeps = []
    for collator in (None, DataCollatorForPreference(pad_token_id=PAD)):
        keep = KeepGradients()
        RewardTrainer(
            str(decoder),
            RewardConfig(**config(tmp_path, max_steps=1)),
            data_collator=collator,
            train_dataset=Dataset.from_dict(data),
            callbacks=[keep],
        ).train()
        keeps.append(keep.steps[0])
    for name in keeps[0]:
        torch.testing.assert_close(keeps[0][name], keeps[1][name], atol=1e-7, rtol=1e-5)


@pytest.mark.slow
def test_worker_processes_survive_spawn_and_change_nothing(decoder: Path, tmp_path: Path) -> None:
    data = pairs(12)
    _, alone, _ = run(RewardTrainer, RewardConfig, decoder, data, tmp_path)
    workers = {"dataloader_num_workers": 2, "dataloader_multiprocessing_context": "spawn", "dataset_num_proc": 2}
    _, losses, _ = run(RewardTrainer, RewardConfig, decoder, data, tmp_path, **workers)
    np.testing.assert_allclose(losses, alone, atol=1e-7)


def test_a_streamed_dataset_trains(decoder: Path, tmp_path: Path) -> None:
    data = pairs(12)
    rows = [{name: data[name][i] for name in data} for i in range(12)]
    stream = IterableDataset.from_generator(lambda: iter(rows))
    trainer = RewardTrainer(str(decoder), RewardConfig(**config(tmp_path)), train_dataset=stream)
    trainer.train()
    assert trainer.state.global_step == 3
    _, losses, _ = run(RewardTrainer, RewardConfig, decoder, data, tmp_path)
    streamed = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    np.testing.assert_allclose(streamed, losses, atol=1e-6)


def test_training_lowers_the_loss_and_reports_both_sides(decoder: Path, tmp_path: Path) -> None:
    _, losses, trainer = run(
        RewardTrainer, RewardConfig, decoder, pairs(8), tmp_path, max_steps=40, optim="adamw_torch", learning_rate=1e-2
    )
    assert losses[-1] < 0.3 < losses[0]
    last = [entry for entry in trainer.state.log_history if "loss" in entry][-1]
    wanted = {"accuracy", "margin", "min_reward", "mean_reward", "max_reward", "num_tokens", "tokens_per_second"}
    assert wanted | {
        f"{side}_{what}" for side in ("chosen", "rejected") for what in ("mean", "std", "min", "max")
    } <= set(last)
    assert last["chosen_mean"] > last["rejected_mean"]
    assert math.isclose(last["margin"], last["chosen_mean"] - last["rejected_mean"], abs_tol=1e-6)


def test_a_checkpoint_is_a_reward_model_that_loads(decoder: Path, tmp_path: Path) -> None:
    trainer = RewardTrainer(
        str(decoder),
        RewardConfig(**config(tmp_path, save_strategy="steps", save_steps=2, bf16=False)),
        train_dataset=Dataset.from_dict(pairs(12)),
    )
    trainer.train()
    model = RewardModel.from_pretrained(tmp_path / "checkpoint-2", device="cpu")
    assert all(check.passed for check in model.check_golden())
    assert not list(tmp_path.rglob("*.bin"))  # no pickled arguments
    trainer.save_model(str(tmp_path / "final"))
    final = RewardModel.from_pretrained(tmp_path / "final", device="cpu")
    assert final.predict(None, "w1 w2") == pytest.approx(trainer.reward_model.predict(None, "w1 w2"), abs=1e-6)


def test_a_reward_model_object_keeps_its_head_and_rendering(decoder: Path, tmp_path: Path) -> None:
    first = RewardTrainer(str(decoder), RewardConfig(**config(tmp_path)), train_dataset=Dataset.from_dict(pairs(12)))
    first.train()
    before = first.model.score.weight.clone()
    second = RewardTrainer(
        first.reward_model, RewardConfig(**config(tmp_path)), train_dataset=Dataset.from_dict(pairs(12))
    )
    assert torch.equal(second.model.score.weight, before)
    assert second.reward_model.spec == first.reward_model.spec


def test_over_long_and_identical_pairs_are_left_out_and_counted(decoder: Path, tmp_path: Path) -> None:
    data = {
        "chosen_ids": [[1, 2, EOS], [1] * 50, [5, EOS]],
        "rejected_ids": [[3, EOS], [2, EOS], [5, EOS]],
    }
    trainer = RewardTrainer(
        str(decoder), RewardConfig(**config(tmp_path, max_length=20)), train_dataset=Dataset.from_dict(data)
    )
    report = trainer.render_reports["train"]
    assert (report.examples, report.kept, report.too_long, report.identical) == (3, 1, 1, 1)
    assert len(trainer.train_dataset) == 1
    with pytest.raises(DataError, match="nothing is left"):
        RewardTrainer(
            str(decoder),
            RewardConfig(**config(tmp_path)),
            train_dataset=Dataset.from_dict({"chosen_ids": [[5, EOS]], "rejected_ids": [[5, EOS]]}),
        )


def test_nan_margin_is_refused_with_its_row(decoder: Path, tmp_path: Path) -> None:
    data = pairs(3) | {"margin": [0.0, float("nan"), 1.0]}
    with pytest.raises(RowError, match=r"train\[1\].*margin"):
        RewardTrainer(str(decoder), RewardConfig(**config(tmp_path)), train_dataset=Dataset.from_dict(data))


def test_dropout_is_off_unless_asked_for(decoder: Path, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(decoder, num_labels=1)
    model.extra = torch.nn.Dropout(0.5)
    trainer = RewardTrainer(
        model,
        RewardConfig(**config(tmp_path)),
        train_dataset=Dataset.from_dict(pairs(4)),
        processing_class=AutoTokenizer.from_pretrained(decoder),
    )
    assert trainer.model.extra.p == 0.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"label_smoothing_factor": 0.5}, "label_smoothing_factor"),
        ({"center_rewards_coefficient": -1.0}, "center_rewards_coefficient"),
        ({"batch_eval_metrics": True}, "batch_eval_metrics"),
        ({"eval_accumulation_steps": 2}, "eval_accumulation_steps"),
        ({"include_for_metrics": ["loss"]}, "include_for_metrics"),
        ({"bf16_full_eval": True}, "bf16_full_eval"),
        ({"train_sampling_strategy": "group_by_length"}, "group_by_length"),
        ({"activation_offloading": True}, "activation_offloading"),
        ({"objective": "bradley_tery"}, "did you mean 'bradley_terry'"),
    ],
)
def test_options_that_would_have_no_effect_are_refused(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardConfig(**config(tmp_path, **values))


def test_reward_config_keeps_trls_defaults() -> None:
    ours, theirs = RewardConfig("x", use_cpu=True), None
    with pytest.warns(FutureWarning):
        theirs = trl.RewardConfig("x", use_cpu=True)
    for name, value in theirs.to_dict().items():
        if name not in ("logging_dir", "run_name"):
            assert ours.to_dict()[name] == value, name
    assert ours.report_to == []


def test_a_two_label_model_is_refused(decoder: Path, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(decoder, num_labels=2, ignore_mismatched_sizes=True)
    with pytest.raises(NotARewardModelError, match="2 outputs"):
        RewardTrainer(model, RewardConfig(**config(tmp_path)), train_dataset=Dataset.from_dict(pairs(2)))


def test_the_pad_token_is_never_eos(decoder: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(decoder)
    tokenizer.pad_token = tokenizer.eos_token
    model = AutoModelForSequenceClassification.from_pretrained(decoder, num_labels=1)
    trainer = RewardTrainer(
        model, RewardConfig(**config(tmp_path)), train_dataset=Dataset.from_dict(pairs(4)), processing_class=tokenizer
    )
    assert trainer.model.config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id


def test_auto_find_batch_size_halves_padded_micro_batches_and_keeps_the_step(decoder: Path, tmp_path: Path) -> None:
    data = pairs(8)
    keep = KeepGradients()
    trainer = RewardTrainer(
        str(decoder),
        RewardConfig(
            **config(tmp_path, per_device_train_batch_size=8, auto_find_batch_size=True, max_steps=1, batching="padded")
        ),
        train_dataset=Dataset.from_dict(data),
        callbacks=[keep],
    )
    compute_loss, seen = trainer.compute_loss, []

    def small_device(model: Any, inputs: Any, **kwargs: Any) -> Any:
        if len(inputs["labels"]) > 4:
            raise RuntimeError("CUDA out of memory.")
        seen.append(len(inputs["labels"]))
        return compute_loss(model, inputs, **kwargs)

    trainer.compute_loss = small_device  # type: ignore[method-assign]
    trainer.train()
    assert seen == [4, 4]
    (whole,), _, _ = run(
        RewardTrainer, RewardConfig, decoder, data, tmp_path, per_device_train_batch_size=8, max_steps=1
    )
    for name in whole:
        torch.testing.assert_close(keep.steps[0][name], whole[name], atol=1e-6, rtol=1e-4)
