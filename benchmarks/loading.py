"""Memory and time to load and render generated pairs from a JSON Lines file.

    python benchmarks/loading.py --pairs 1000000        # about 15 minutes on 2 cores
    python benchmarks/loading.py --pairs 100000

The work runs in a process of its own; another one samples the resident memory of it and its children twice a second
(pages of memory-mapped files count as long as they are resident). Needs psutil and the embedded base model, whose
tokenizer renders.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from common import finish

WORDS = (
    "the a river water stone light house garden morning answer question reason people work school music bread winter "
    "summer number paper letter window street market story season friend family doctor engine signal method result "
    "because however although maybe often never always under over between after before without against toward"
).split()

WORK = """
import json, sys, time
from plaudit import load_preferences
from plaudit.formatting import Renderer, default_spec
from plaudit.models.build import resolve_name
from plaudit.training.prepare import render_dataset
from transformers import AutoTokenizer
start = time.perf_counter()
data = load_preferences(sys.argv[1])
loaded = time.perf_counter()
train, held_out = data.split(0.05)
tokenizer = AutoTokenizer.from_pretrained(resolve_name("embedded"))
rendered = render_dataset(train.dataset, Renderer(tokenizer, default_spec(tokenizer, 256)))
done = time.perf_counter()
print(json.dumps({"load_seconds": round(loaded - start, 1), "split_and_render_seconds": round(done - loaded, 1),
                  "pairs": len(data), "tokens": rendered.report.tokens}))
"""


def generate(path: Path, pairs: int) -> None:
    rng = random.Random(0)

    def text(low: int, high: int) -> str:
        return " ".join(rng.choices(WORDS, k=rng.randint(low, high)))

    with path.open("w", encoding="utf-8") as file:
        for index in range(pairs):
            prompt = f"{text(8, 30)} {index // 2}?"
            row = {"prompt": prompt, "chosen": text(20, 80), "rejected": text(20, 80), "margin": rng.random()}
            file.write(json.dumps(row) + "\n")


def measure(path: Path) -> dict[str, Any]:
    process = subprocess.Popen([sys.executable, "-c", WORK, str(path)], stdout=subprocess.PIPE, text=True)
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        try:
            family = [watched, *watched.children(recursive=True)]
            peak = max(peak, sum(member.memory_info().rss for member in family))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.5)
    assert process.stdout is not None
    if process.returncode:
        raise SystemExit(f"the measured process failed with {process.returncode}")
    return {**json.loads(process.stdout.read().splitlines()[-1]), "peak_resident_gb": round(peak / 1e9, 2)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1_000_000)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "pairs.jsonl"
        generate(source, pairs)
        size = source.stat().st_size
        result = measure(source)
    finish(f"loading-{pairs}", {"file_mb": round(size / 1e6), **result})
