"""Every option of a run has its effect, or is refused with what to change."""

from __future__ import annotations

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import TrainerCallback

from plaudit import RewardConfig, RewardModel, RewardTrainer, train
from plaudit.errors import ConfigError, ContractError, DeviceError
from plaudit.training.config import make_config
from plaudit.training.layers import lay_over
from plaudit.training.run import TrainResult, run_training


@pytest.fixture
def settings(base: str, pairs: str, tmp_path: Path) -> dict[str, Any]:
    training = {"per_device_train_batch_size": 4, "max_steps": 4, "bf16": False, "learning_rate": 1e-2}
    training |= {"logging_steps": 1, "warmup_steps": 0}
    data = {"source": pairs, "eval_fraction": 0.2}
    return {"data": data, "model": base, "output": str(tmp_path / "rm"), "training": training}


def run(settings: dict[str, Any], training: dict[str, Any] | None = None, **more: Any) -> TrainResult:
    return run_training(make_config({**settings, **more, "training": settings["training"] | (training or {})}))


def history(result: TrainResult, name: str) -> list[float]:
    document = json.loads((result.folder / "metrics.json").read_text(encoding="utf-8"))
    return [entry[name] for entry in document["training"]["history"] if name in entry]


# -- adapters --------------------------------------------------------------------------------------------------------


def test_lora_trains_adapter_and_head_and_saves_both(settings: dict[str, Any], base: str) -> None:
    result = run(settings, lora={"r": 4})
    names = {path.name for path in result.folder.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "scoring_contract.json"} <= names
    assert "model.safetensors" not in names
    assert result.settings["lora r"] == "4"
    again = RewardModel.from_pretrained(result.folder)
    scores = again.score(["a"] * 2, ["good apple", "bad bread"])
    np.testing.assert_array_equal(scores, result.model.score(["a"] * 2, ["good apple", "bad bread"]))


def test_merge_saves_a_plain_model_with_the_scores_of_the_adapter(settings: dict[str, Any], tmp_path: Path) -> None:
    apart = run(settings, lora={"r": 4})
    merged = run(settings, lora={"r": 4, "merge": True}, output=str(tmp_path / "merged"))
    assert (merged.folder / "model.safetensors").is_file()
    assert not (merged.folder / "adapter_config.json").exists()
    texts = ["good apple", "bad bread", "something else"]
    np.testing.assert_allclose(merged.model.score(["a"] * 3, texts), apart.model.score(["a"] * 3, texts), atol=1e-5)
    assert any("merged into the weights" in note for note in merged.notes)


def test_the_card_of_an_adapter_shows_how_to_load_it(settings: dict[str, Any], capsys: Any) -> None:
    result = run(settings, lora={"r": 4})
    capsys.readouterr()
    warnings.simplefilter("ignore")  # peft's, about its own use of transformers
    for block in re.findall(r"```python\n(.*?)```", (result.folder / "README.md").read_text(encoding="utf-8"), re.S):
        exec(block, {})
    printed = capsys.readouterr().out.split("\n")
    assert float(printed[0]) == pytest.approx(float(printed[2]), abs=1e-5)


def test_training_goes_on_with_a_saved_adapter(settings: dict[str, Any], tmp_path: Path) -> None:
    first = run(settings, lora={"r": 4})
    second = run(settings, {"learning_rate": 1e-9}, model=str(first.folder), output=str(tmp_path / "second"))
    assert second.model.adapter is not None
    texts = ["good apple", "bad bread"]
    np.testing.assert_allclose(second.model.score(["a"] * 2, texts), first.model.score(["a"] * 2, texts), atol=1e-4)
    with pytest.raises(ConfigError, match="carries an adapter already"):
        run(settings, model=str(first.folder), output=str(tmp_path / "third"), lora=True)


def test_the_best_checkpoint_of_an_adapter_is_loaded_whole(settings: dict[str, Any]) -> None:
    steps = {"max_steps": 6, "eval_strategy": "steps", "eval_steps": 2, "load_best_model_at_end": True}
    result = run(settings, steps | {"greater_is_better": True, "metric_for_best_model": "loss"}, lora={"r": 4})
    worst = max(range(3), key=lambda i: history(result, "eval_loss")[i])  # "best" is the worst here: not the last
    assert worst == 0
    assert result.evaluation is not None
    assert result.evaluation.nll == pytest.approx(history(result, "eval_loss")[0], abs=1e-4)
    assert any("checkpoint-2 was the best" in note for note in result.notes)


def test_gradient_checkpointing_with_an_adapter_gives_the_same_weights(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    plain = run(settings, lora={"r": 4, "dropout": 0.0}).model
    saved = run(
        settings, {"gradient_checkpointing": True}, lora={"r": 4, "dropout": 0.0}, output=str(tmp_path / "second")
    ).model
    for a, b in zip(plain.model.parameters(), saved.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=0)


def test_lora_dropout_has_its_effect_where_other_dropout_is_off(settings: dict[str, Any], tmp_path: Path) -> None:
    without = run(settings, {"disable_dropout": True}, lora={"r": 4, "dropout": 0.0})
    with_it = run(settings, {"disable_dropout": True}, lora={"r": 4, "dropout": 0.5}, output=str(tmp_path / "second"))
    assert history(without, "loss")[1:] != history(with_it, "loss")[1:]


def test_comma_text_names_the_targets(settings: dict[str, Any]) -> None:
    config = make_config({**settings, "lora": {"target_modules": "q_proj, v_proj"}})
    assert config.lora is not None
    assert config.lora.target_modules == ["q_proj", "v_proj"]


def test_the_trainer_takes_a_peft_config_and_a_peft_model(base: str, pairs: str, tmp_path: Path) -> None:
    import datasets
    import peft

    data = datasets.load_dataset("json", data_files=pairs, split="train")
    args = {"max_steps": 2, "use_cpu": True, "bf16": False, "report_to": "none", "disable_tqdm": True}
    lora = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="SEQ_CLS")
    first = RewardTrainer(base, RewardConfig(str(tmp_path / "a"), **args), train_dataset=data, peft_config=lora)
    first.train()
    first.save_model(str(tmp_path / "adapter"))
    loaded = RewardModel.from_pretrained(tmp_path / "adapter")
    assert loaded.adapter is not None
    with pytest.raises(ConfigError, match="carries an adapter already"):
        RewardTrainer(loaded, RewardConfig(str(tmp_path / "b"), **args), train_dataset=data, peft_config=lora)
    second = RewardTrainer(
        first.model, RewardConfig(str(tmp_path / "c"), **args), train_dataset=data, processing_class=loaded.tokenizer
    )
    assert second.reward_model.adapter is first.model


# -- schedules and control -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["linear", "cosine", "polynomial"])
def test_the_end_rate_is_what_the_schedule_falls_to(schedule: str, tmp_path: Path) -> None:
    args = RewardConfig(
        str(tmp_path),
        use_cpu=True,
        learning_rate=1e-3,
        learning_rate_end=2e-4,
        lr_scheduler_type=schedule,
        max_steps=10,
    )
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=args.learning_rate)
    scheduler = get_scheduler(
        args.lr_scheduler_type, optimizer, 0, 10, scheduler_specific_kwargs=args.lr_scheduler_kwargs
    )
    for _ in range(10):
        optimizer.step()
        scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(2e-4, rel=1e-6)


def test_the_end_rate_takes_effect_in_a_run(settings: dict[str, Any]) -> None:
    result = run(settings, {"learning_rate_end": 5e-3})
    assert history(result, "learning_rate")[0] == pytest.approx(1e-2)
    assert min(history(result, "learning_rate")) > 5e-3
    assert history(result, "learning_rate")[-1] == pytest.approx(1e-2 - 3 / 4 * 5e-3)


@pytest.mark.parametrize(("total", "expected"), [(8, (4, 2)), (4, (4, 1)), (6, (3, 2)), (2, (2, 1)), (7, (1, 7))])
def test_the_total_batch_size_decides_the_accumulation(total: int, expected: tuple[int, int], tmp_path: Path) -> None:
    args = RewardConfig(str(tmp_path), use_cpu=True, per_device_train_batch_size=4, total_batch_size=total)
    assert (args.per_device_train_batch_size, args.gradient_accumulation_steps) == expected


def test_a_run_takes_steps_of_the_total_batch_size(settings: dict[str, Any]) -> None:
    result = run(settings, {"total_batch_size": 8, "max_steps": -1, "num_train_epochs": 1})
    steps = json.loads((result.folder / "metrics.json").read_text(encoding="utf-8"))["training"]["steps"]
    assert steps == -(-(50 - (result.evaluation.pairs if result.evaluation else 0)) // 8)


def test_dropout_turns_disable_dropout_off(settings: dict[str, Any], tmp_path: Path) -> None:
    off = run(settings)  # a decoder: without dropout by default
    on = run(settings, {"dropout": 0.4}, output=str(tmp_path / "second"))
    assert history(off, "loss")[1:] != history(on, "loss")[1:]


def test_a_frozen_backbone_stays_as_it_was(settings: dict[str, Any], base: str) -> None:
    from transformers import AutoModelForCausalLM

    result = run(settings, {"freeze": "backbone"})
    before = AutoModelForCausalLM.from_pretrained(base).get_input_embeddings().weight
    assert torch.equal(result.model.model.get_input_embeddings().weight, before)


def test_early_stopping_ends_the_run_and_takes_the_best(settings: dict[str, Any]) -> None:
    training = {"max_steps": 40, "eval_steps": 1, "early_stopping_patience": 2, "early_stopping_threshold": 10.0}
    result = run(settings, training)
    assert len(history(result, "eval_loss")) == 3  # the first is the best so far, two bring no gain of 10
    assert any("was the best" in note for note in result.notes)


def test_eval_and_save_steps_imply_their_strategy(settings: dict[str, Any]) -> None:
    result = run(settings, {"eval_steps": 2, "save_steps": 2})
    assert len(history(result, "eval_loss")) == 2
    assert sorted(path.name for path in result.folder.glob("checkpoint-*")) == ["checkpoint-2", "checkpoint-4"]


def test_tensorboard_gets_the_curves_where_it_was_asked_for(settings: dict[str, Any]) -> None:
    pytest.importorskip("tensorboard")
    assert not list(run(settings).folder.rglob("events*"))
    again = {**settings, "overwrite": True}
    assert list(run(again, {"report_to": "tensorboard"}).folder.rglob("events*"))


def test_further_figures_come_from_compute_metrics(settings: dict[str, Any]) -> None:
    def spread(prediction: Any) -> dict[str, float]:
        return {"spread": float(np.ptp(prediction.predictions))}

    values = {**settings, "training": settings["training"] | {"eval_steps": 2}}
    result = run_training(make_config(values), compute_metrics=spread)
    assert len(history(result, "eval_spread")) == 2


@pytest.mark.parametrize("given", ["path", "object"])
def test_training_goes_on_from_a_reward_model_with_its_head_and_rendering(
    settings: dict[str, Any], given: str, tmp_path: Path
) -> None:
    first = run({**settings, "model": {"name": settings["model"], "max_length": 48}})
    before = first.model.score(["a"] * 2, ["good apple", "bad bread"])
    values = {**settings, "output": str(tmp_path / "second")}
    values["training"] = settings["training"] | {"learning_rate": 1e-9}
    values["model"] = str(first.folder) if given == "path" else RewardModel.from_pretrained(first.folder)
    second = train(**values)
    assert second.spec == first.model.spec
    np.testing.assert_allclose(second.score(["a"] * 2, ["good apple", "bad bread"]), before, atol=1e-4)


# -- contradictions --------------------------------------------------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"model.quantization": "int4"}, "add lora"),
    ({"lora": {"merge": True}, "model.quantization": "int8"}, "merge"),
    ({"lora": True, "training.freeze": "backbone"}, "frozen; leave it out"),
    ({"lora": {"target_modules": ""}}, "names of layers"),
    ({"lora": {"r": 0}}, "greater than or equal to 1"),
    ({"data.eval_fraction": 0, "training.early_stopping_patience": 2}, "needs evaluation"),
    ({"training.eval_strategy": "no", "training.load_best_model_at_end": True}, "needs evaluation"),
    ({"data.eval_fraction": 0, "training.eval_steps": 2}, "nothing to evaluate"),
    ({"training.warmup_ratio": 0.1, "training.warmup_steps": 3}, "exclude each other"),
    ({"training.warmup_ratio": 1.5}, r"\[0, 1\)"),
    ({"training.dropout": 0.1, "training.disable_dropout": True}, "contradict each other"),
    ({"training.total_batch_size": 10, "training.per_device_train_batch_size": 4}, "no multiple of the 4 pairs"),
    ({"training.save_steps": 3, "training.save_strategy": "epoch"}, "leave one out"),
    ({"training.weight_decay": -1}, "expected 0 or more"),
    ({"max_steps": 2}, "belongs in 'training'"),
    ({"training.mixed_precision": "bf8"}, "expected no, bf16 or fp16"),
    ({"training.mixed_precision": "bf16", "training.bf16": True}, "give one of them"),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED, ids=[" ".join(changes) for changes, _ in REFUSED])
def test_options_that_contradict_each_other_say_what_to_change(
    settings: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    values: dict[str, Any] = {**settings, "training": {}, "data": dict(settings["data"])}
    lay_over(values, changes)
    with pytest.raises(ConfigError, match=message):
        make_config(values)


ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"learning_rate_end": 1e-5, "lr_scheduler_type": "constant"}, "no effect with the schedule 'constant'"),
    ({"learning_rate_end": 1.0}, "less than learning_rate"),
    ({"learning_rate_end": 1e-6, "lr_scheduler_type": "cosine", "lr_scheduler_kwargs": {"min_lr": 1e-7}}, "give one"),
    ({"lr_scheduler_type": "constant", "warmup_steps": 3}, "use constant_with_warmup"),
    ({"total_batch_size": 8, "gradient_accumulation_steps": 4}, "contradicts"),
    ({"early_stopping_patience": 2}, "set eval_strategy"),
    ({"early_stopping_threshold": 0.1}, "without early_stopping_patience"),
    ({"dropout": 1.0}, r"\[0, 1\)"),
    ({"fp16": True, "bf16": False}, "fp16 training needs a GPU"),
    ({"torch_empty_cache_steps": 2}, "no effect on the CPU"),
    ({"activation_offloading": True}, "where they are already"),
]


@pytest.mark.parametrize(("values", "message"), ARGUMENTS, ids=[" ".join(values) for values, _ in ARGUMENTS])
def test_arguments_without_effect_are_refused(values: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardConfig(str(tmp_path), use_cpu=True, **values)


def test_checkpoints_that_miss_the_evaluations_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"evaluation is 'epoch' and checkpoints are every 3 steps"):
        run(settings, {"early_stopping_patience": 2, "save_steps": 3})


def test_a_schedule_that_needs_more_says_where_it_goes(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"num_decay_steps.*goes into lr_scheduler_kwargs"):
        run(settings, {"lr_scheduler_type": "warmup_stable_decay"})


def test_figures_without_evaluation_are_refused(settings: dict[str, Any]) -> None:
    values = {**settings, "data": settings["data"] | {"eval_fraction": 0}}
    with pytest.raises(ConfigError, match="compute_metrics has no effect"):
        run_training(make_config(values), compute_metrics=lambda prediction: {})


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"training": {"learning_rate": 5e-3}}, "training.learning_rate"),
        ({"data": {"split_seed": 5}}, "data.split_seed"),
        ({"seed": 7}, "seed"),
        ({"lora": {"r": 4}}, "lora.r"),
    ],
)
def test_resuming_with_other_settings_is_refused(settings: dict[str, Any], changes: dict[str, Any], named: str) -> None:
    values = {**settings, "training": settings["training"] | {"save_steps": 2}}
    with pytest.raises(KeyboardInterrupt):
        run_training(make_config(values), callbacks=[_StopAt(3)])
    changed = values | {k: {**values[k], **v} if k in ("data", "training") else v for k, v in changes.items()}
    with pytest.raises(ConfigError, match=rf"these differ: .*{named}"):
        run_training(make_config(changed | {"resume": True}))
    assert not (run_training(make_config(values | {"resume": True})).folder / "run_start.json").exists()


def test_resuming_on_other_data_is_refused(settings: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "pairs.jsonl"
    rows = Path(settings["data"]["source"]).read_text(encoding="utf-8")
    file.write_text(rows, encoding="utf-8")
    values = {**settings, "data": {"source": str(file), "eval_fraction": 0.2}}
    values["training"] = settings["training"] | {"save_steps": 2}
    with pytest.raises(KeyboardInterrupt):
        run_training(make_config(values), callbacks=[_StopAt(3)])
    file.write_text(rows.replace("good", "fine"), encoding="utf-8")
    with pytest.raises(ConfigError, match="the data have changed"):
        run_training(make_config(values | {"resume": True}))


class _StopAt(TrainerCallback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize("kind", ["adapter", "merged", "frozen"])
def test_an_object_is_trained_further_whatever_it_was_loaded_for(
    settings: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    if kind == "frozen":
        start = run(settings, {"freeze": "backbone"}).model
    else:
        start = RewardModel.from_pretrained(run(settings, lora={"r": 4}).folder)
    if kind == "merged":
        start.merge_adapter()
    before = {name: p.detach().clone() for name, p in start.model.named_parameters()}
    after = train(**{**settings, "model": start, "output": str(tmp_path / "second")})
    moved = {name for name, p in after.model.named_parameters() if not torch.equal(p, before[name])}
    if kind == "adapter":
        assert moved
        assert all("lora_" in name or "modules_to_save" in name for name in moved)
        assert any("score" in name for name in moved)
    else:
        assert any(".layers.0." in name for name in moved)


def test_training_does_not_go_on_from_a_model_that_was_changed(settings: dict[str, Any], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    first = run(settings).folder
    weights = load_file(first / "model.safetensors")
    save_file({name: tensor * 1.1 for name, tensor in weights.items()}, first / "model.safetensors", {"format": "pt"})
    with pytest.raises(ContractError, match="does not reproduce"):
        run(settings, model=str(first), output=str(tmp_path / "second"))


def test_quantization_without_cuda_is_refused(settings: dict[str, Any]) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    with pytest.raises(DeviceError, match="needs a CUDA device"):
        run(settings, model={"name": settings["model"], "quantization": "int4"}, lora=True)


def test_targets_that_match_nothing_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no layer of Qwen3ForSequenceClassification is called 'query'"):
        run(settings, lora={"target_modules": "query"})


def test_a_model_split_by_a_device_map_scores_and_trains(settings: dict[str, Any]) -> None:
    result = run(settings, model={"name": settings["model"], "device_map": "auto"})
    again = RewardModel.from_pretrained(result.folder, device_map="auto")
    assert again.predict("a", "good apple") == pytest.approx(result.model.predict("a", "good apple"), abs=1e-5)
    with pytest.raises(ConfigError, match="exclude each other"):
        RewardModel.from_pretrained(result.folder, device_map="auto", device="cpu")
