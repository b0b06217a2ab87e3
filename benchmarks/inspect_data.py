"""Time and memory of ``inspect_preferences`` on generated pairs, step by step.

    python benchmarks/inspect_data.py --pairs 1000000
    taskset -c 0 python benchmarks/inspect_data.py --pairs 100000

The pairs are those of benchmarks/loading.py, with a known share of duplicates, near-duplicates, contradictions and
near-identical sides mixed in, so that the counts can be checked. The work runs in a process of its own; another one
samples its resident memory twice a second. ``cpu_seconds`` are those of the process: where other work shares the cores,
they say more than the clock does. Needs psutil and the extras [embedded] and [rules].
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from common import finish
from loading import generate

MIXED = {"duplicates": 50, "contradictory": 70, "near-duplicates": 90, "near-identical": 110}
"""One row in so many gets this fault."""

WORK = """
import json, sys, time
import matplotlib, torch  # as in a process that has them anyway
start, cpu, steps, last = time.perf_counter(), time.process_time(), {}, [None, time.process_time()]
def progress(step, count):
    now = time.process_time()
    steps[step] = steps.get(step, 0.0) + now - last[1]
    last[:] = [step, now]
from plaudit.curation.inspect import inspect_preferences
from plaudit.curation.inspect.page import render_page
report = inspect_preferences(sys.argv[1], progress=progress)
page = render_page(report)
print(json.dumps({
    "seconds": round(time.perf_counter() - start, 1), "cpu_seconds": round(time.process_time() - cpu, 1),
    "cpu_seconds_by_step": {name: round(value, 1) for name, value in steps.items()},
    "rows": report.rows, "sampled": report.sampled, "page_kb": len(page) // 1000,
    "found": {finding.name: finding.count for finding in report.findings},
}))
"""


def mix(source: Path, target: Path) -> dict[str, int]:
    """Copies the rows and adds faulty ones; returns how many of each kind."""
    counts = dict.fromkeys(MIXED, 0)
    with source.open(encoding="utf-8") as rows, target.open("w", encoding="utf-8") as out:
        for number, line in enumerate(rows, start=1):
            out.write(line)
            row = json.loads(line)
            for fault, every in MIXED.items():
                if number % every == 0:
                    counts[fault] += 1
                    out.write(json.dumps(_spoil(row, fault, number)) + "\n")
    return counts


def _spoil(row: dict[str, Any], fault: str, number: int) -> dict[str, Any]:
    if fault == "contradictory":
        return {**row, "chosen": row["rejected"], "rejected": row["chosen"]}
    if fault == "near-duplicates":
        return {**row, "chosen": f"{row['chosen']} again"}
    if fault == "near-identical":
        return {**row, "prompt": f"{row['prompt']} {number}", "rejected": f"{row['chosen'].upper()}."}
    return row


def measure(path: Path) -> dict[str, Any]:
    process = subprocess.Popen([sys.executable, "-c", WORK, str(path)], stdout=subprocess.PIPE, text=True)
    watched, peak = psutil.Process(process.pid), 0
    while process.poll() is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            peak = max(peak, watched.memory_info().rss)
        time.sleep(0.5)
    assert process.stdout is not None
    if process.returncode:
        raise SystemExit(f"the measured process failed with {process.returncode}")
    return {**json.loads(process.stdout.read().splitlines()[-1]), "peak_resident_gb": round(peak / 1e9, 2)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=1_000_000, help="rows before the faulty ones are mixed in")
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        plain, source = Path(folder) / "plain.jsonl", Path(folder) / "pairs.jsonl"
        generate(plain, pairs)
        mixed = mix(plain, source)
        plain.unlink()
        size = source.stat().st_size
        result = measure(source)
    finish(f"inspect-data-{pairs}", {"file_mb": round(size / 1e6), "mixed_in": mixed, **result})
