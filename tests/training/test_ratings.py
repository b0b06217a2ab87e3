"""Training on ratings: what the head starts from, what the gradient is, what is saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, IterableDataset
from transformers import AutoModelForSequenceClassification

from plaudit import RewardConfig, RewardModel, RewardTrainer, train
from plaudit.errors import ConfigError, DataError, RowError

ROWS = {
    "response": [f"word {'more ' * (i % 5)}end {i}" for i in range(20)],
    "score": [70.0 + 5 * (i % 5) for i in range(20)],
}


def trainer_of(model: str | Path, folder: Path, rows: Any = None, **options: Any) -> RewardTrainer:
    extras = {
        name: options.pop(name) for name in ("data_collator", "compute_metrics", "eval_dataset") if name in options
    }
    fields: dict[str, Any] = {"use_cpu": True, "report_to": [], "objective": "regression", "save_strategy": "no"}
    args = RewardConfig(str(folder / "out"), **fields | {"max_length": 64, "disable_tqdm": True} | options)
    data = rows if rows is not None else Dataset.from_dict(ROWS)
    return RewardTrainer(str(model), args, train_dataset=data, **extras)


def rewards_of(trainer: RewardTrainer) -> torch.Tensor:
    with torch.no_grad():
        return torch.from_numpy(trainer.reward_model.score([None] * 20, ROWS["response"]))


def test_a_fresh_head_with_a_bias_starts_at_the_mean_rating(saved: Callable[..., Path], tmp_path: Path) -> None:
    trainer = trainer_of(saved("bert", "base"), tmp_path)
    assert trainer.targets is not None
    assert (trainer.targets.mean, trainer.targets.shift) == (80.0, 0.0)
    assert trainer.targets.std == pytest.approx(np.std(ROWS["score"]))
    assert rewards_of(trainer).mean().item() == pytest.approx(80.0, abs=trainer.targets.std)


def test_a_head_without_a_bias_learns_ratings_less_their_mean(saved: Callable[..., Path], tmp_path: Path) -> None:
    trainer = trainer_of(saved("qwen3", "base"), tmp_path, learning_rate=3e-3, num_train_epochs=10)
    assert trainer.targets is not None
    assert trainer.targets.shift == 80.0
    assert "scores are ratings less 80" in trainer.targets.note
    trainer.train()
    assert abs(rewards_of(trainer).mean().item()) < 3


def test_a_trained_head_is_left_as_it_is(saved: Callable[..., Path], tmp_path: Path) -> None:
    model = RewardModel.from_pretrained(saved("bert", "reward"))
    before = model.score([None] * 20, ROWS["response"])
    args = RewardConfig(str(tmp_path), use_cpu=True, report_to=[], objective="regression")
    trainer = RewardTrainer(model, args, train_dataset=Dataset.from_dict(ROWS))
    assert rewards_of(trainer).tolist() == before.tolist()


@pytest.mark.parametrize(("batch", "accumulation"), [(20, 1), (5, 4), (3, 7)])
def test_the_gradient_is_that_of_the_mean_squared_error_in_standard_deviations(
    batch: int, accumulation: int, saved: Callable[..., Path], tmp_path: Path
) -> None:
    options = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
    trainer = trainer_of(saved("bert", "base"), tmp_path, max_steps=1, max_grad_norm=0, **options)
    plain = AutoModelForSequenceClassification.from_pretrained(saved("bert", "base"), num_labels=1)
    plain.load_state_dict(trainer.reward_model.model.state_dict())
    plain.eval()
    tokenizer, std = trainer.processing_class, np.std(ROWS["score"])
    for text, score in zip(ROWS["response"], ROWS["score"], strict=True):
        ids = trainer.reward_model.renderer.render_batch([_item(text)])[0].input_ids
        reward = plain(input_ids=torch.tensor([ids])).logits[0, 0]
        (((reward - score) / std) ** 2 / 20).backward()
    assert tokenizer is not None
    step = next(iter(trainer.get_train_dataloader()))
    trainer.accelerator.gradient_state._set_sync_gradients(True)
    trainer.create_optimizer()
    trainer.training_step(trainer.model, step)
    ours = {name: p.grad for name, p in trainer.reward_model.model.named_parameters()}
    for name, parameter in plain.named_parameters():
        if parameter.grad is not None and ours[name] is not None:
            torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-3, atol=1e-5)


def _item(text: str) -> Any:
    from plaudit.formatting import RenderItem

    return RenderItem(None, text)


def test_the_heads_rate_is_in_units_of_the_ratings(saved: Callable[..., Path], tmp_path: Path) -> None:
    trainer = trainer_of(saved("bert", "base"), tmp_path, learning_rate=1e-4)
    rates = sorted({group["lr"] for group in trainer.create_optimizer().param_groups})
    assert trainer.targets is not None
    assert rates == pytest.approx([1e-4, 1e-4 * trainer.targets.std])


def test_compute_metrics_gets_rewards_and_ratings(saved: Callable[..., Path], tmp_path: Path) -> None:
    seen: list[Any] = []

    def figures(prediction: Any) -> dict[str, float]:
        seen.append(prediction)
        return {"mean_label": float(prediction.label_ids.mean())}

    data = Dataset.from_dict(ROWS)
    trainer = trainer_of(saved("bert", "base"), tmp_path, eval_dataset=data, compute_metrics=figures)
    metrics = trainer.evaluate()
    assert metrics["eval_mean_label"] == pytest.approx(80.0)
    assert seen[0].predictions.shape == (20, 1)
    assert metrics["eval_ratings"] == 20
    assert metrics["eval_rmse"] > 0


@pytest.mark.parametrize("option", [{"center_rewards_coefficient": 0.1}, {"label_smoothing_factor": 0.1}])
def test_options_for_pairs_are_refused(option: dict[str, Any], saved: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(option))} has no effect with the objective 'regression'"):
        trainer_of(saved("bert", "base"), tmp_path, **option)


def test_a_collator_of_pairs_is_refused(saved: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a data_collator takes preference pairs"):
        trainer_of(saved("bert", "base"), tmp_path, data_collator=lambda rows: rows)


def test_equal_ratings_are_nothing_to_learn(saved: Callable[..., Path], tmp_path: Path) -> None:
    rows = Dataset.from_dict({"response": ["a", "b", "c"], "score": [2.0, 2.0, 2.0]})
    with pytest.raises(DataError, match="all 3 ratings are 2"):
        trainer_of(saved("bert", "base"), tmp_path, rows)


def test_a_stream_hides_the_spread_of_its_ratings(saved: Callable[..., Path], tmp_path: Path) -> None:
    rows = IterableDataset.from_generator(lambda: iter([{"response": "a", "score": 1.0}]))
    with pytest.raises(ConfigError, match="do not stream"):
        trainer_of(saved("bert", "base"), tmp_path, rows, max_steps=1)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"response": "a"}, "no column for score"),
        ({"score": 1.0}, "no column for response"),
        ({"response": "a", "score": "good"}, "score is 'good'; expected a finite number"),
        ({"response": "a", "score": None}, "score is empty; expected a number"),
        ({"response": None, "score": 1.0}, "response is null"),
        ({"response": "a", "score": float("nan")}, "expected a finite number"),
    ],
)
def test_a_row_that_is_no_rating_is_refused_with_its_place(
    row: dict[str, Any], message: str, saved: Callable[..., Path], tmp_path: Path
) -> None:
    from plaudit.data import Columns, to_example

    with pytest.raises(RowError, match=f"file:3: .*{message}"):
        to_example(row, Columns(kind="ratings"), "file:3")


def test_a_run_on_ratings_is_saved_with_how_well_it_follows_them(saved: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "ratings.jsonl"
    with file.open("w", encoding="utf-8") as out:
        for i in range(60):
            row = {"question": f"what {i}", "reply": "good " * (i % 6 + 1), "stars": i % 6}
            print(json.dumps(row), file=out)
    data = {
        "source": str(file),
        "eval_fraction": 0.3,
        "prompt_column": "question",
        "response_column": "reply",
        "score_column": "stars",
    }
    training = {"objective": "regression", "num_train_epochs": 4, "learning_rate": 1e-3, "bf16": False}
    model = train(data=data, model=str(saved("bert", "base")), output=str(tmp_path / "rm"), training=training)
    report = json.loads((tmp_path / "rm" / "metrics.json").read_text())["held_out"]
    assert {"fidelity", "rmse", "baselines"} <= report.keys()
    card = (tmp_path / "rm" / "README.md").read_text()
    assert "rated texts" in card
    assert "Spearman" in card
    assert (tmp_path / "rm" / "training.png").stat().st_size > 5000
    again = RewardModel.from_pretrained(tmp_path / "rm")
    assert again.score(["what"], ["good good"]).tolist() == pytest.approx(model.score(["what"], ["good good"]).tolist())


def test_columns_of_the_other_kind_of_row_are_refused(saved: Callable[..., Path], pairs: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"model": str(saved("bert", "base")), "output": str(tmp_path / "rm")}
    with pytest.raises(ConfigError, match="data.score_column has no effect: the objective 'bradley_terry' reads pairs"):
        train(data={"source": pairs, "score_column": "stars"}, **options)
    data = {"source": pairs, "chosen_column": "chosen"}
    with pytest.raises(ConfigError, match="data.chosen_column has no effect"):
        train(data=data, training={"objective": "regression"}, **options)
