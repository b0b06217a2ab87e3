"""The head learns at a rate of its own, where one is given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset

from plaudit import RewardConfig, RewardTrainer
from plaudit.errors import ConfigError
from tiny_models import FAMILIES, save_tiny

ROWS = {"prompt": ["a", "b"] * 4, "chosen": ["good apple"] * 8, "rejected": ["bad bread", "worse bread"] * 4}


def trainer(base: Path, folder: Path, optimizer: Any = None, **options: Any) -> RewardTrainer:
    values = {"use_cpu": True, "bf16": False, "report_to": "none", "disable_tqdm": True, "max_steps": 2}
    values |= {"lr_scheduler_type": "constant", "save_strategy": "no", "learning_rate": 1e-5}
    args = RewardConfig(str(folder), **{**values, **options})
    return RewardTrainer(str(base), args, train_dataset=Dataset.from_dict(ROWS), optimizers=(optimizer, None))


@pytest.mark.parametrize("family", FAMILIES)
def test_head_and_pooler_have_their_rate_and_the_backbone_its_own(family: str, tmp_path: Path) -> None:
    run = trainer(save_tiny(tmp_path / family, family, reward=False), tmp_path / "out", head_learning_rate=1e-2)
    groups = run.create_optimizer().param_groups
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    network = run.reward_model.model
    for name, parameter in network.named_parameters():
        of_head = name.partition(".")[0] != network.base_model_prefix or ".pooler." in name
        assert rates[id(parameter)] == (1e-2 if of_head else 1e-5), name
    assert groups[0]["lr"] == 1e-5  # the one that is logged
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


def test_the_head_moves_further(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "qwen3", "qwen3", reward=False)
    moved = {}
    for rate in (None, 1e-2):
        run = trainer(base, tmp_path / f"out{rate}", head_learning_rate=rate)
        before = run.reward_model.model.score.weight.detach().clone()
        run.train()
        moved[rate] = float((run.reward_model.model.score.weight.detach() - before).abs().max())
    assert moved[None] < 1e-4 < 1e-3 < moved[1e-2]


def test_a_rate_without_effect_is_refused(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "qwen3", "qwen3", reward=False)
    given = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    with pytest.raises(ConfigError, match="no effect on an optimizer that is given"):
        trainer(base, tmp_path / "out", given, head_learning_rate=1e-2)
    with pytest.raises(ConfigError, match="above 0"):
        trainer(base, tmp_path / "out", head_learning_rate=0.0)
