"""Soft labels, ties and rankings on their way through the trainer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset

from plaudit import Example, RewardConfig, RewardModel, RewardTrainer, train
from plaudit.errors import ConfigError, DataError
from plaudit.formatting import RenderItem
from plaudit.losses import LossOptions, davidson, plackett_luce

PROMPTS = [f"question {i} about {'things ' * (i % 3)}" for i in range(12)]
RANKINGS = [
    Example(
        prompt=prompt,
        responses=tuple(f" answer {j} {'more ' * j}" for j in range(2 + i % 3)),
        labels=tuple(-float((j * 5 + i) % (2 + i % 3)) for j in range(2 + i % 3)),
    )
    for i, prompt in enumerate(PROMPTS)
]
SOFT = [
    {"prompt": prompt, "chosen": f" yes {i}", "rejected": f" no {i}", "soft_label": [1.0, 0.8, 0.5, 0.3][i % 4]}
    for i, prompt in enumerate(PROMPTS)
]


def rows_of(examples: list[Example]) -> Dataset:
    return Dataset.from_list([example.to_row() for example in examples])


def trainer_of(model: Path, folder: Path, rows: Any, objective: str, **options: Any) -> RewardTrainer:
    extras = {
        name: options.pop(name) for name in ("data_collator", "compute_metrics", "eval_dataset") if name in options
    }
    fields: dict[str, Any] = {"use_cpu": True, "report_to": [], "objective": objective, "save_strategy": "no"}
    fields |= {"max_length": 64, "disable_tqdm": True, "bf16": False, "max_grad_norm": 0}
    return RewardTrainer(
        str(model), RewardConfig(str(folder / "out"), **fields | options), train_dataset=rows, **extras
    )


def first_step(trainer: RewardTrainer) -> torch.Tensor:
    """The loss of the first step, its gradients left on the model."""
    step = next(iter(trainer.get_train_dataloader()))
    trainer.accelerator.gradient_state._set_sync_gradients(True)
    trainer.create_optimizer()
    assert trainer.model is not None
    return trainer.training_step(trainer.model, step, None)


def one_by_one(trainer: RewardTrainer, example: Example) -> torch.Tensor:
    """(1, K) rewards, each text alone through the plain network."""
    texts = trainer.reward_model.renderer.render_batch(RenderItem.of(example))
    network = trainer.reward_model.model
    forward = type(network).forward
    return torch.stack([forward(network, input_ids=torch.tensor([t.input_ids])).logits[0, 0] for t in texts])[None]  # type: ignore[union-attr]


@pytest.mark.parametrize("batching", ["auto", "padded"])
@pytest.mark.parametrize(("batch", "accumulation"), [(12, 1), (5, 3)])
def test_the_gradient_of_rankings_of_any_length_is_that_of_the_mean_loss(
    batch: int, accumulation: int, batching: str, saved: Callable[..., Path], tmp_path: Path
) -> None:
    options = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation, "batching": batching}
    trainer = trainer_of(saved("qwen3", "base"), tmp_path, rows_of(RANKINGS), "plackett_luce", **options)
    loss = first_step(trainer)
    ours = {name: p.grad.clone() for name, p in trainer.reward_model.model.named_parameters() if p.grad is not None}
    trainer.reward_model.model.zero_grad()
    expected = torch.zeros(())
    for example in RANKINGS:
        labels = torch.tensor([example.labels])
        own = plackett_luce(one_by_one(trainer, example), labels, torch.zeros(1), LossOptions())[0] / len(RANKINGS)
        own.backward()
        expected += own.detach()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    for name, parameter in trainer.reward_model.model.named_parameters():
        if parameter.grad is not None:
            torch.testing.assert_close(ours[name], parameter.grad, rtol=1e-3, atol=1e-6)


def test_soft_labels_and_ties_reach_the_loss(saved: Callable[..., Path], tmp_path: Path) -> None:
    options = {"per_device_train_batch_size": 12, "tie_rate": 0.4}
    trainer = trainer_of(saved("qwen3", "base"), tmp_path, Dataset.from_list(SOFT), "davidson", **options)
    loss = first_step(trainer)
    expected = 0.0
    for row in SOFT:
        example = Example(prompt=row["prompt"], responses=(row["chosen"], row["rejected"]), labels=(1.0, 0.0))
        labels = torch.tensor([[row["soft_label"], 1 - row["soft_label"]]])
        with torch.no_grad():
            rewards = one_by_one(trainer, example)
            expected += davidson(rewards, labels, torch.zeros(1), LossOptions(tie_rate=0.4)).item() / len(SOFT)
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_evaluation_of_rankings_counts_pairs_of_responses(saved: Callable[..., Path], tmp_path: Path) -> None:
    seen: list[Any] = []

    def figures(prediction: Any) -> dict[str, float]:
        seen.append(prediction)
        return {}

    data = rows_of(RANKINGS)
    trainer = trainer_of(
        saved("qwen3", "base"), tmp_path, data, "plackett_luce", eval_dataset=data, compute_metrics=figures
    )
    metrics = trainer.evaluate()
    in_order = compared = first = 0
    with torch.no_grad():
        for example in RANKINGS:
            rewards = one_by_one(trainer, example)[0].tolist()
            pairs = [(a, b) for a in range(len(rewards)) for b in range(len(rewards))]
            decided = [(a, b) for a, b in pairs if example.labels[a] > example.labels[b]]
            compared += len(decided)
            in_order += sum(rewards[a] > rewards[b] for a, b in decided)
            first += int(np.argmax(rewards) == np.argmax(example.labels))
    assert (metrics["eval_rankings"], metrics["eval_pairs"]) == (12, compared)
    assert metrics["eval_accuracy"] == pytest.approx(in_order / compared)
    assert metrics["eval_best_first"] == pytest.approx(first / 12)
    assert seen[0].predictions.shape == seen[0].label_ids.shape == (12, 4)
    assert np.isnan(seen[0].predictions).sum() == np.isnan(seen[0].label_ids).sum() == 4 * 2 + 4 * 1
    assert sorted(tuple(row[~np.isnan(row)]) for row in seen[0].label_ids) == sorted(e.labels for e in RANKINGS)


def test_ties_in_an_evaluation_set_have_a_loss_and_no_accuracy(saved: Callable[..., Path], tmp_path: Path) -> None:
    data = Dataset.from_list(SOFT)
    trainer = trainer_of(saved("qwen3", "base"), tmp_path, data, "bradley_terry", eval_dataset=data)
    metrics = trainer.evaluate()
    assert (metrics["eval_pairs"], metrics["eval_undecided"]) == (12, 3)
    assert 9 * metrics["eval_accuracy"] == pytest.approx(round(9 * metrics["eval_accuracy"]))


@pytest.mark.parametrize(
    ("objective", "option", "problem"),
    [
        ("plackett_luce", {"label_smoothing_factor": 0.1}, "label_smoothing_factor has no effect .* reads rankings"),
        ("bradley_terry", {"tie_rate": 0.2}, "tie_rate has no effect with the objective 'bradley_terry'"),
        ("davidson", {"tie_rate": 1.0}, "tie_rate: expected a probability between 0 and 1"),
    ],
)
def test_options_without_effect_are_refused(
    objective: str, option: dict[str, Any], problem: str, saved: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=problem):
        trainer_of(saved("qwen3", "base"), tmp_path, rows_of(RANKINGS), objective, **option)


def ranking_rows() -> list[dict[str, Any]]:
    """Rankings of two to four answers by how often they say "good", under forty prompts."""
    rows = []
    for i in range(40):
        texts = [f"{'good ' * j}{'bad ' * (3 - j)}word {i}" for j in range(2 + i % 3)]
        rows.append({"prompt": f"prompt {i}", "responses": texts, "ranks": [len(texts) - j for j in range(len(texts))]})
    return rows


def test_a_model_is_trained_on_rankings_end_to_end(saved: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "rankings.jsonl"
    file.write_text("\n".join(map(json.dumps, ranking_rows())) + "\n")
    training = {"objective": "plackett_luce", "learning_rate": 3e-3, "num_train_epochs": 6, "bf16": False}
    data = {"source": str(file), "eval_fraction": 0.25}
    model = train(data=data, model=str(saved("qwen3", "base")), output=str(tmp_path / "out"), training=training)
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())["held_out"]
    assert metrics["accuracy"]["value"] > 0.9
    assert metrics["pairs"] > metrics["prompts"]
    ranked = model.rank("prompt 1", ["bad bad bad word 1", "good good good word 1"])
    assert ranked[0].response.startswith("good")
    assert "rankings" in (tmp_path / "out" / "README.md").read_text()
    again = RewardModel.from_pretrained(tmp_path / "out")
    assert again.score(["p"], ["good word"]) == pytest.approx(model.score(["p"], ["good word"]), abs=1e-6)


def test_columns_of_another_kind_of_row_are_refused(saved: Callable[..., Path], tmp_path: Path) -> None:
    data = {"source": "unread.jsonl", "ranks_column": "ranks"}
    with pytest.raises(
        ConfigError, match=r"data.ranks_column has no effect: the objective 'bradley_terry' reads pairs"
    ):
        train(data=data, model=str(saved("qwen3", "base")), output=str(tmp_path / "out"))


def test_nothing_but_ties_is_refused_before_training(saved: Callable[..., Path], tmp_path: Path) -> None:
    file = tmp_path / "ties.jsonl"
    file.write_text("\n".join(json.dumps(row | {"soft_label": 0.5}) for row in SOFT) + "\n")
    with pytest.raises(DataError, match="all 8 training examples are ties"):
        train(
            data={"source": str(file), "eval_fraction": 0.3},
            model=str(saved("qwen3", "base")),
            output=str(tmp_path / "out"),
            training={"bf16": False},
        )
