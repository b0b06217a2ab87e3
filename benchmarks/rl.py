"""Do PPO, RLOO and GRPO raise the learned reward, and the rule behind it, on a CPU in a minute and a half?

    python benchmarks/rl.py [--models DIR] [--algorithms ppo,rloo,grpo] [--seeds 4,5,6] [--no-save]

``rl_models.py`` makes what is needed: a headline writer (Llama, 1.1M parameters, trained from nothing on real
headlines) and a reward model distilled from the rule ``sentiment``, with the policy as its base. A prompt is the first
four words of a headline that neither has seen. 100 prompts are held out; after training both policies, the one at the
start and the trained one, answer them, and the win rates with their intervals by prompt are what counts.

Reached where, in every seed: the learned reward and the rule (the gold scorer, which nothing optimises) win more than
half of the prompts, the interval above a half; the KL of PPO, mean over the last quarter of the steps, lies within a
factor of two of its target; a run takes less than 90 s of one core (processor time, so that what else runs on the
machine does not count; the clock's stands beside it). The curves of every run are in the
result. The settings were chosen on seeds 1 to 3; the seeds of the result had not been run before.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np

from common import RESULTS, finish, surroundings
from rl_models import GOLD, build

SETTINGS: dict[str, dict[str, Any]] = {
    "ppo": {
        "batch_size": 32,
        "max_steps": 60,
        "learning_rate": 5e-4,
        "ppo_epochs": 2,
        "kl_coef": 0.1,
        "kl_gain": 0.4,
        "kl_target": 6.0,
    },
    "rloo": {"batch_size": 8, "max_steps": 90, "learning_rate": 1e-3, "num_generations": 4, "beta": 0.01},
    "grpo": {"batch_size": 8, "max_steps": 60, "learning_rate": 1e-3, "num_generations": 4, "beta": 0.02},
}
COMMON: dict[str, Any] = {"max_new_tokens": 24, "eval_prompts": 100, "gold": [GOLD], "overwrite": True}
CURVES = ("reward", "kl", "kl_coef", "length", "entropy", "eos_share", "repetition")


def one(algorithm: str, seed: int, models: Path) -> dict[str, Any]:
    """One run, with everything that it is judged by."""
    import plaudit

    policy, reward, prompts = build(models)
    began, cpu = time.monotonic(), time.process_time()
    trainer = plaudit.create_rl_trainer(
        str(policy),
        algorithm,
        dataset_name=str(prompts),
        reward_model_path=reward,
        output_dir=models / f"{algorithm}-{seed}",
        seed=seed,
        **(COMMON | SETTINGS[algorithm]),
    )
    result = trainer.train()
    seconds, spent = time.monotonic() - began, time.process_time() - cpu
    wins = result.win_rates
    assert wins is not None
    records = result.records
    kl = [record["kl"] for record in records[-(len(records) // 4) :]]
    last_kl = None if None in kl else float(np.mean(kl))
    rates = {name: own.win_rate for name, own in wins.scorers.items()}
    target = SETTINGS[algorithm].get("kl_target")
    print("\n".join(wins.lines()), file=sys.stderr)
    return {
        "algorithm": algorithm,
        "seed": seed,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(spent, 1),
        "win_rates": {
            name: [round(value, 4) for value in (rate.value, rate.low, rate.high)] for name, rate in rates.items()
        },
        "start": {name: own.start for name, own in wins.scorers.items()},
        "final": {name: own.final for name, own in wins.scorers.items()},
        "length": [wins.length_start, wins.length_final],
        "kl_last_quarter": last_kl,
        "warnings": result.warnings,
        "reached": {
            **{f"{name} rises": rate.low > 0.5 for name, rate in rates.items()},
            "under 90 s": spent < 90,
            **({"KL within a factor of two of its target": target / 2 < (last_kl or 0) < 2 * target} if target else {}),
        },
        "curves": {name: [_short(record.get(name)) for record in records] for name in CURVES}
        | {GOLD: [_short(record["gold"][GOLD]) for record in records]},
    }


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def draw(runs: list[dict[str, Any]], path: Path) -> None:
    """Reward, rule, KL and length over the steps, a colour an algorithm, a line a seed."""
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 4, figsize=(13, 3.2), layout="constrained")
    colours = dict(zip(dict.fromkeys(run["algorithm"] for run in runs), ("#4a84c4", "#e08035", "#4fa873")))
    for axis, (name, title) in zip(
        axes,
        (
            ("reward", "learned reward"),
            (GOLD, f"gold rule: {GOLD}"),
            ("kl", "KL to the start, nats"),
            ("length", "tokens"),
        ),
    ):
        for run in runs:
            values = [np.nan if v is None else v for v in run["curves"][name]]
            smooth = np.convolve(np.pad(values, 2, mode="edge"), np.ones(5) / 5, mode="valid")
            axis.plot(range(1, len(smooth) + 1), smooth, color=colours[run["algorithm"]], lw=1.3, alpha=0.85)
        axis.set(title=title, xlabel="step")
        axis.spines[["top", "right"]].set_visible(False)
    axes[2].axhline(SETTINGS["ppo"]["kl_target"], color="#8a9099", ls=":", lw=1)
    for algorithm, colour in colours.items():
        axes[0].plot([], [], color=colour, label=algorithm)
    axes[0].legend(frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, default=Path("runs/rl"))
    parser.add_argument("--algorithms", default=",".join(SETTINGS))
    parser.add_argument("--seeds", default="4,5,6")
    parser.add_argument("--no-save", action="store_true", help="print the result only")
    arguments = parser.parse_args()
    runs = []
    for algorithm in arguments.algorithms.split(","):
        for seed in arguments.seeds.split(","):
            runs.append(one(algorithm, int(seed), arguments.models))
            run = {name: value for name, value in runs[-1].items() if name != "curves"}
            print(run, file=sys.stderr)
    if not arguments.no_save:
        RESULTS.mkdir(exist_ok=True)
        draw(runs, RESULTS / f"{surroundings()['date']}-rl.png")
    reached = all(all(run["reached"].values()) for run in runs)
    finish("rl", {"reached": reached, "settings": SETTINGS, "runs": runs}, save=not arguments.no_save)


if __name__ == "__main__":
    main()
