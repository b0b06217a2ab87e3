"""CPU time of one PPO step: plaudit's against that of TRL 1.12, the last release with PPO (trl.experimental.ppo).

    pip install --target peer --no-deps trl==1.12.0
    OMP_NUM_THREADS=1 python benchmarks/ppo_step.py --models runs/rl --peer-path peer

Both train the same policy (a Llama of 4 layers, 128 wide) with a critic that is a copy of the same reward model, on the
same prompts: 32 a step, at most 24 new tokens, 4 passes in one mini-batch of micro-batches of 16, float32, one thread,
no gradient checkpointing, temperature 1. A step is everything: sampling, rewarding, reading log-probabilities and
values, 4 optimizer steps. Each trainer runs in a process of its own, in turns; a first step is not counted.

Two kinds of answers: ``ends early``: the policy ends by itself, most answers before 24 tokens; ``never ends``: its end
token is one that it never draws, so that all have 24 tokens. TRL runs once more on the first kind with its own defaults
of number format, gradient checkpointing and micro-batch, which is not compared. Required: at most the time of TRL's.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

SIZES = {"batch": 32, "micro_batch": 16, "new_tokens": 24, "ppo_epochs": 4}
ENDS, NEVER = "ends early", "never ends"
NEVER_DRAWN = "À"
"""How byte-level tokenizers write the byte 0xC0, which no text in UTF-8 has."""


def ours(policy: Path, reward: Path, prompts: Path, steps: int) -> tuple[list[float], list[float]]:
    """CPU seconds at the end of every step, and the share of its answers that ended by themselves."""
    from plaudit import create_rl_trainer

    times: list[float] = []
    ended: list[float] = []

    def show(record: Any) -> None:
        times.append(time.process_time())
        ended.append(record["eos_share"])

    with tempfile.TemporaryDirectory() as folder:
        create_rl_trainer(
            str(policy),
            "ppo",
            dataset_name=str(prompts),
            reward_model_path=reward,
            eval_prompts=0,
            max_steps=steps,
            batch_size=SIZES["batch"],
            micro_batch_size=SIZES["micro_batch"],
            max_new_tokens=SIZES["new_tokens"],
            ppo_epochs=SIZES["ppo_epochs"],
            sample_steps=steps,  # the answers for the report are drawn before the first step and after the last
            device="cpu",
            output_dir=Path(folder) / "run",
            show=show,
        ).train()
    return times, ended


def theirs(
    policy: Path, reward: Path, prompts: Path, steps: int, own_defaults: bool
) -> tuple[list[float], list[float]]:
    """The same of TRL's trainer."""
    import trl
    from datasets import Dataset
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForSequenceClassification,
        AutoTokenizer,
        TrainerCallback,
    )
    from trl.experimental.ppo import PPOConfig, PPOTrainer

    assert trl.__version__.startswith("1.12."), trl.__version__
    tokenizer = AutoTokenizer.from_pretrained(policy, padding_side="left")
    rows = [{"input_ids": tokenizer(row["prompt"])["input_ids"]} for row in json.loads(prompts.read_text())]
    times: list[float] = []
    ended: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *args: Any, **kwargs: Any) -> None:
            times.append(time.process_time())

    class Timed(PPOTrainer):
        def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
            ended.append(logs["val/num_eos_tokens"] / SIZES["batch"])

    micro = 8 if own_defaults else SIZES["micro_batch"]
    same = {} if own_defaults else {"bf16": False, "gradient_checkpointing": False}
    load = AutoModelForSequenceClassification.from_pretrained
    with tempfile.TemporaryDirectory() as folder:
        config = PPOConfig(
            output_dir=folder,
            total_episodes=steps * SIZES["batch"],
            per_device_train_batch_size=micro,
            gradient_accumulation_steps=SIZES["batch"] // micro,
            num_mini_batches=1,
            num_ppo_epochs=SIZES["ppo_epochs"],
            response_length=SIZES["new_tokens"],
            stop_token="eos",
            temperature=1.0,
            learning_rate=1e-5,
            num_sample_generations=0,
            use_cpu=True,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            **same,
        )
        trainer = Timed(
            args=config,
            processing_class=tokenizer,
            model=AutoModelForCausalLM.from_pretrained(policy),
            ref_model=AutoModelForCausalLM.from_pretrained(policy),
            reward_model=load(reward),
            value_model=load(reward),
            train_dataset=Dataset.from_list(rows),
            callbacks=[Clock()],
        )
        trainer.train()
    return times, ended


def endless(policy: Path, folder: Path) -> Path:
    """The policy with an end token that it never draws."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(policy)
    tokenizer.eos_token = NEVER_DRAWN
    model = AutoModelForCausalLM.from_pretrained(policy)
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def measure(side: str, policy: Path, models: Path, steps: int, peer: Path) -> dict[str, Any]:
    """Seconds a step of one trainer, in a process of its own."""
    command = [sys.executable, __file__, "--side", side, "--policy", str(policy), "--models", str(models)]
    paths = [str(peer)] if side != "ours" else []
    paths += [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([*command, "--steps", str(steps)], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def one_side(arguments: argparse.Namespace) -> None:
    reward, prompts = arguments.models / "reward", arguments.models / "prompts.json"
    if arguments.side == "ours":
        times, ended = ours(arguments.policy, reward, prompts, arguments.steps)
    else:
        times, ended = theirs(arguments.policy, reward, prompts, arguments.steps, arguments.side == "trl-defaults")
    steps = [after - before for before, after in itertools.pairwise(times)]
    print(json.dumps({"seconds": statistics.median(steps), "ended": statistics.fmean(ended)}))


def main(arguments: argparse.Namespace) -> None:
    from common import finish
    from rl_models import build

    policy, _, _ = build(arguments.models)
    found: dict[str, dict[str, list[float]]] = {}
    ended: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        policies = {ENDS: policy, NEVER: endless(policy, Path(folder) / "endless")}
        for turn in range(arguments.rounds):
            for kind, path in policies.items():
                sides = ["ours", "trl"] if turn % 2 == 0 else ["trl", "ours"]
                for side in sides:
                    one = measure(side, path, arguments.models, arguments.steps, arguments.peer_path)
                    found.setdefault(kind, {}).setdefault(side, []).append(one["seconds"])
                    ended.setdefault(kind, {})[side] = one["ended"]
                    print(f"{kind}, {side}: {one['seconds']:.3f} s a step", file=sys.stderr)
        one = measure("trl-defaults", policy, arguments.models, arguments.steps, arguments.peer_path)
    result: dict[str, Any] = {
        "peer": "trl 1.12.0",
        "sizes": SIZES,
        "steps": arguments.steps - 1,
        "rounds": arguments.rounds,
    }
    for kind, sides in found.items():
        middle = {side: statistics.median(values) for side, values in sides.items()}
        shares = " and ".join(f"{share:.0%}" for share in ended[kind].values())
        print(
            f"{kind} ({shares} of the answers do): plaudit {middle['ours']:.3f} s a step, "
            f"TRL {middle['trl']:.3f} s, {middle['trl'] / middle['ours']:.2f} times as long"
        )
        result[kind] = {
            "ended": ended[kind],
            "plaudit_seconds": sides["ours"],
            "trl_seconds": sides["trl"],
            "trl_over_plaudit": middle["trl"] / middle["ours"],
        }
    print(f"TRL with its defaults, {ENDS}: {one['seconds']:.3f} s a step")
    result["trl_defaults_seconds"] = one["seconds"]
    result["required"] = "ours takes at most the time of TRL's"
    result["passed"] = all(result[kind]["trl_over_plaudit"] >= 1 for kind in found)
    finish("ppo-step", result, save=not arguments.no_save)
    if not result["passed"]:
        raise SystemExit(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("runs/rl"), help="where rl_models.py keeps its models")
    parser.add_argument("--peer-path", type=Path, help="a folder with trl==1.12.0")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--no-save", action="store_true")
    parser.add_argument("--side", choices=["ours", "trl", "trl-defaults"], help=argparse.SUPPRESS)
    parser.add_argument("--policy", type=Path, help=argparse.SUPPRESS)
    parsed = parser.parse_args()
    if parsed.side:
        one_side(parsed)
    elif parsed.peer_path is None:
        parser.error("--peer-path is missing: pip install --target DIR --no-deps trl==1.12.0, then give DIR")
    else:
        main(parsed)
