"""A PPO run that kills itself with SIGKILL in the middle of a step: killed_ppo.py POLICY OUTPUT OPTIONS."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

import torch
from letters import PROMPTS

from plaudit.rl.factory import create_rl_trainer

torch.set_num_threads(1)


def kill(record: Any) -> None:
    if record["step"] == 5:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    values: dict[str, Any] = {"max_new_tokens": 8, "learning_rate": 1e-3, "eval_prompts": 0, "dataset_name": PROMPTS}
    values |= json.loads(sys.argv[3]) | {"output_dir": sys.argv[2]}
    create_rl_trainer(sys.argv[1], "ppo", show=kill, **values).train()
