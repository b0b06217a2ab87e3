"""Trains tiny models in one of several processes; run by test_distributed.py through torchrun, or plainly for one.

``distributed_worker.py PLAN.json``: the plan names the base model (``model``), a folder (``out``) and the ``runs``
(name -> settings); the main process writes ``NAME.json`` (what was logged), ``NAME.pt`` (weights, and the gradients of
every step) and, where the plan says ``save``, the folder ``NAME-saved``. ``fsdp``: weights are sharded.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import FullyShardedDataParallelPlugin, PartialState
from accelerate.utils import DistributedType
from datasets import Dataset
from gradients import KeepGradients, whole

from plaudit import RewardConfig, RewardTrainer

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()


def pairs(count: int, seed: int) -> Dataset:
    """Tokenised pairs of ragged lengths, with margins."""
    rng = np.random.default_rng(seed)

    def ids() -> list[int]:
        return rng.integers(5, 400, rng.integers(3, 40)).tolist()

    columns: dict[str, list[Any]] = {name: [ids() for _ in range(count)] for name in ("chosen_ids", "rejected_ids")}
    return Dataset.from_dict(columns | {"margin": rng.random(count).tolist()})


class ShardedOnCpu(RewardTrainer):
    """FSDP2 as ``accelerate launch`` sets it up on GPUs; accelerate itself does not offer it on the CPU."""

    def create_accelerator_and_postprocess(self) -> None:
        super().create_accelerator_and_postprocess()
        plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2, auto_wrap_policy="transformer_based_wrap", state_dict_type="FULL_STATE_DICT"
        )
        if self.args.bf16:
            plugin.set_mixed_precision("bf16")
        state = self.accelerator.state
        PartialState().distributed_type = state.distributed_type = DistributedType.FSDP
        state.fsdp_plugin, self.is_fsdp_enabled = plugin, True


def settings(folder: Path, **values: Any) -> RewardConfig:
    base = {
        "output_dir": str(folder),
        "max_length": 128,
        "num_train_epochs": 2,
        "per_device_eval_batch_size": 3,
        "eval_strategy": "epoch",
        "logging_steps": 1,
        "learning_rate": 0.05,
        "optim": "sgd",
        "bf16": False,
        "use_cpu": True,
        "save_strategy": "no",
        "disable_tqdm": True,
        "gradient_checkpointing": False,
        "activation_checkpointing": False,
    }
    return RewardConfig(**(base | values))


def run(plan: dict[str, Any], name: str, values: dict[str, Any]) -> None:
    out, keep = Path(plan["out"]), KeepGradients()
    size, resume = values.pop("size"), values.pop("resume", None)
    trainer = (ShardedOnCpu if plan.get("fsdp") else RewardTrainer)(
        plan["model"],
        settings(out / name, **values),
        train_dataset=pairs(size, seed=0),
        eval_dataset=pairs(11, seed=1),
        callbacks=[keep],
    )
    trainer.train(resume_from_checkpoint=resume)
    weights = {n: whole(p) for n, p in trainer.model.named_parameters()}
    model = trainer.whole_model(out / f"{name}-saved") if plan.get("save") else None
    if trainer.is_world_process_zero():
        result = {"log": trainer.state.log_history, "score": model and model.predict("apples?", "pears")}
        (out / f"{name}.json").write_text(json.dumps(result), encoding="utf-8")
        torch.save({"weights": weights, "gradients": keep.steps}, out / f"{name}.pt")


def main() -> None:
    plan = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for name, values in plan["runs"].items():
        run(plan, name, dict(values))
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
