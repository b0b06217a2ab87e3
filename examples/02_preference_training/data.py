"""Writes preferences.json and prompts.json, the two files that train_then_ppo.py reads.

The pairs are those of the demonstration, which come with plaudit; the prompts are those of other pairs.

python data.py [--folder .]
"""

from __future__ import annotations

import argparse
import json
from importlib.resources import files
from pathlib import Path


def main(folder: Path, pairs: int) -> None:
    lines = files("plaudit.resources").joinpath("demo_preferences.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    prompts = list(dict.fromkeys(row["prompt"] for row in rows))
    kept = set(prompts[: len(prompts) * 3 // 4])  # the policy is trained on prompts that the reward model never saw
    chosen = [{name: row[name] for name in ("prompt", "chosen", "rejected")} for row in rows if row["prompt"] in kept]
    asked = [{"prompt": prompt} for prompt in prompts if prompt not in kept]
    for name, values in (("preferences.json", chosen[:pairs]), ("prompts.json", asked)):
        (folder / name).write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{folder / name}: {len(values)} rows")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--pairs", type=int, default=400)
    arguments = parser.parse_args()
    main(arguments.folder, arguments.pairs)
