"""Two processes: rewards that fail on one of them stop both, with a checkpoint that both go on from."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPT = """
import os, sys
import numpy as np
from plaudit.errors import PlauditError, RewardError
from plaudit.rl import create_rl_trainer

policy, algorithm, output, bad, resume = sys.argv[1:]
calls = 0

class Length:
    def score(self, prompts, responses, *, references=None):
        global calls
        calls += 1
        if os.environ["RANK"] == "1" and calls >= int(bad):
            raise RewardError("mine", "cannot", 0)
        return np.array([len(response) for response in responses], dtype=float)

own = {} if algorithm == "ppo" else {"num_generations": 2}
try:
    create_rl_trainer(
        policy, algorithm, dataset_name=[f"What is {i}?" for i in range(8)], reward=Length(), max_steps=3, batch_size=4,
        max_new_tokens=6, eval_prompts=2, sample_steps=3, device="cpu", output_dir=output, resume=resume == "yes",
        **own,
    ).train()
except PlauditError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def run(saved: Callable[[str, str], Path], tmp_path: Path) -> Callable[..., str]:
    (tmp_path / "script.py").write_text(SCRIPT)
    port = iter(range(29731, 29790))

    def launch(algorithm: str, output: str, bad: int, resume: str = "no") -> str:
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(next(port))]
        values = [str(saved("qwen3", "base")), algorithm, str(tmp_path / output), str(bad), resume]
        command = [sys.executable, *launcher, str(tmp_path / "script.py"), *values]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    return launch


@pytest.mark.slow
@pytest.mark.parametrize(("algorithm", "bad", "step"), [("ppo", 4, 1), ("grpo", 5, 3)])
def test_rewards_that_fail_on_one_process_stop_both_and_the_run_goes_on(
    run: Callable[..., str], tmp_path: Path, algorithm: str, bad: int, step: int
) -> None:
    """The second process scores the start's answers, PPO's samples, then its share of every step, then the end's."""
    said = run(algorithm, "run", bad)
    assert "RewardError reward 'mine': item 0: cannot; the policy after step" in said
    assert "PlauditError another process could not reward its answers" in said
    assert said.count(f"checkpoint-{step}: go on with resume") == 2
    run(algorithm, "run", 99, "yes")
    lines = (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]
