"""Rules distilled into the embedded encoder: how well it reproduces them on held-out texts, and how long that takes.

    python benchmarks/distill.py [--rules length-sentiment,coherence-readability] [--texts 4000]

The texts are replies of real data sets (`SETS`), at most 128 tokens each, a tenth of them held out; the settings are
those that ``plaudit distill`` chooses. Threads: as many as ``OMP_NUM_THREADS`` says, else all cores.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from common import SHARED_DATA, finish

RULES = {
    "length-sentiment": ["length=0.5", "sentiment=0.5"],
    "coherence-readability": ["coherence=0.4", "readability=0.6"],
}
SETS = ("hh_helpful", "oasst_100trees", "ultrafeedback_1k", "finegrained_qa", "alpaca_eval_v1_gpt4", "ukp_convarg")
MOST_TOKENS = 128


def real_texts(count: int, seed: int = 0) -> list[str]:
    """Distinct replies of the sets, equally many of each where there are, in random order."""
    from transformers import AutoTokenizer

    from plaudit.models.build import resolve_name

    tokenizer = AutoTokenizer.from_pretrained(resolve_name("embedded"))
    rng = random.Random(seed)
    found: list[list[str]] = []
    for name in SETS:
        lines = (SHARED_DATA / f"preferences/{name}.jsonl").read_text(encoding="utf-8").splitlines()
        replies = {_text(json.loads(line)[side]) for line in lines for side in ("chosen", "rejected")}
        usable = sorted(text for text in replies if len(text.split()) >= 4)
        rng.shuffle(usable)
        lengths = (len(ids) for ids in tokenizer(usable[: 3 * count], verbose=False)["input_ids"])
        found.append([text for text, length in zip(usable, lengths) if length <= MOST_TOKENS])
    texts: list[str] = []
    while len(texts) < count and any(found):
        texts += [group.pop() for group in found if group]
    rng.shuffle(texts)
    return list(dict.fromkeys(texts))[:count]


def _text(value: Any) -> str:
    return str(value if isinstance(value, str) else value[-1]["content"]).strip()


def run(name: str, texts: list[str], folder: Path) -> dict[str, Any]:
    from plaudit.training.config import make_config
    from plaudit.training.distill import DistillConfig, run_distillation

    values = {
        "texts": texts,
        "rewards": RULES[name],
        "output": str(folder / name),
        "model": {"max_length": MOST_TOKENS},
    }
    start, cpu = time.perf_counter(), time.process_time()
    result = run_distillation(make_config(values, DistillConfig), say=print)
    report = result.report.to_dict()
    return {
        "rules": RULES[name],
        "seconds": round(time.perf_counter() - start),
        "cpu_seconds": round(time.process_time() - cpu),
        "training_seconds": round(result.training.seconds),
        "train_texts": report["train_texts"],
        "held_out": report["texts"],
        "overall": report["overall"],
        "components": {name: value["spearman"] for name, value in report["components"].items()},
        "settings": result.training.settings,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rules", default=",".join(RULES))
    parser.add_argument("--texts", type=int, default=4000)
    arguments = parser.parse_args()
    texts = real_texts(arguments.texts)
    with tempfile.TemporaryDirectory() as folder:
        results = {name: run(name, texts, Path(folder)) for name in arguments.rules.split(",")}
    finish("distill", {"texts": len(texts), "runs": results})
