"""A PPO run on several processes, whose answers do not depend on how many there are: ranks_ppo.py POLICY OUTPUT."""

from __future__ import annotations

import sys
import zlib
from typing import Any

import torch
from letters import PROMPTS, Letters

from plaudit.rl.factory import create_rl_trainer
from plaudit.rl.job import Job, Task
from plaudit.rl.policy import Answers

torch.set_num_threads(1)


def one_by_one(self: Job, tasks: list[Task], seed: int, batch_size: int = 64) -> Answers:
    """Every answer drawn by itself, with a seed of its prompt's own."""
    found = [
        self.policy.sample([task.ids], max_new_tokens=8, seed=zlib.crc32(repr(task.ids).encode()) + len(steps))
        for task in tasks
    ]
    steps.append(len(tasks))
    parts: list[Any] = [
        [row for one in found for row in getattr(one, name)] for name in ("prompts", "ids", "texts", "ended")
    ]
    return Answers(*parts)


steps: list[int] = []

if __name__ == "__main__":
    Job.answer = one_by_one  # type: ignore[method-assign]
    trainer = create_rl_trainer(
        sys.argv[1],
        "ppo",
        dataset_name=PROMPTS,
        output_dir=sys.argv[2],
        reward=Letters(),
        batch_size=4,
        max_steps=3,
        max_new_tokens=8,
        learning_rate=1e-3,
        eval_prompts=0,
        sample_steps=100,
        device="cpu",
        mini_batches=1,
    )
    trainer.train()
