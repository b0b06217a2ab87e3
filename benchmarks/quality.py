"""Held-out accuracy on real preferences, with the settings of a published comparison and with plaudit's own defaults.

    python benchmarks/quality.py --settings reference --seeds 42
    python benchmarks/quality.py --settings default --seeds 42,43,44 [--sets semeval13_student_pairs,...]

Each run is one ``plaudit train`` (the embedded MiniLM base, 20% held out by prompt, or by stance for ukp_convarg).
``reference``: batch 16, learning rate 5e-5, one epoch, 256 tokens. TRL 1.16's RewardTrainer reached 0.745, 0.610 and
0.840 on the three sets with the same base and settings (on its own split). Finished runs are kept in
``runs/quality`` and not repeated. Takes about an hour a setting and seed on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import SHARED_DATA, finish

TRL = {"semeval13_student_pairs": 0.745, "hh_helpful": 0.610, "ukp_convarg": 0.840}
GROUPS = {"ukp_convarg": "category"}
SETTINGS = {
    "reference": ["--learning-rate", "5e-5", "--batch-size", "16", "--epochs", "1", "--max-length", "256"],
    "default": [],
}


def run(name: str, settings: str, seed: int, folder: Path) -> dict[str, Any]:
    output = folder / f"{name}-{settings}-{seed}"
    if not output.exists():
        command = [sys.executable, "-m", "plaudit", "train", "--data", str(SHARED_DATA / f"preferences/{name}.jsonl")]
        command += ["--test-fraction", "0.2", "--seed", str(seed), "--output", str(output), "--overwrite"]
        command += ["--set", "training.eval_strategy=no", "--set", "training.save_strategy=no"]
        if name in GROUPS:
            command += ["--group-by", GROUPS[name]]
        start = time.perf_counter()
        subprocess.run([*command, *SETTINGS[settings]], check=True, stdout=subprocess.DEVNULL)
        (output / "seconds.json").write_text(json.dumps(time.perf_counter() - start), encoding="utf-8")
    figures = json.loads((output / "metrics.json").read_text(encoding="utf-8"))["held_out"]
    seconds = json.loads((output / "seconds.json").read_text(encoding="utf-8"))
    return {
        "set": name,
        "settings": settings,
        "seed": seed,
        "accuracy": figures["accuracy"],
        "longer_wins": figures["baselines"]["longer wins"]["value"],
        "pairs": figures["pairs"],
        "groups": figures["prompts"],
        "seconds": round(seconds),
        "trl": TRL[name],
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--settings", choices=[*SETTINGS], default="default")
    parser.add_argument("--seeds", default="42")
    parser.add_argument("--sets", default=",".join(TRL))
    parser.add_argument("--folder", type=Path, default=Path("runs/quality"))
    arguments = parser.parse_args()
    results = []
    for seed in map(int, arguments.seeds.split(",")):
        for name in arguments.sets.split(","):
            results.append(run(name, arguments.settings, seed, arguments.folder))
            print(json.dumps(results[-1]), file=sys.stderr)
    mean = sum(result["accuracy"]["value"] for result in results) / len(results)
    reference = sum(result["trl"] for result in results) / len(results)
    finish(
        f"quality-{arguments.settings}",
        {"mean_accuracy": round(mean, 4), "trl_mean_accuracy": round(reference, 4), "runs": results},
    )
