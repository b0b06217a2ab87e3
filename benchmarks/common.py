"""What every benchmark says about itself: hardware, versions, date; and the place for its result."""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
SHARED_DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"


def surroundings() -> dict[str, Any]:
    """Processor, cores, threads, memory and versions."""
    cpu = platform.processor() or platform.machine()
    if sys.platform == "linux":
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    versions = {"python": platform.python_version()}
    for name in ("plaudit", "torch", "transformers", "trl", "tokenizers", "datasets"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": cpu,
        "cores": os.cpu_count(),
        "threads": os.environ.get("OMP_NUM_THREADS", "default"),
        "versions": versions,
    }


def finish(name: str, result: dict[str, Any], *, save: bool = True) -> None:
    """Writes the dated result and prints it as the last line, one JSON document."""
    document = {"benchmark": name, **surroundings(), **result}
    if save:
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / f"{document['date']}-{name}.json"
        path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(f"written to {path}", file=sys.stderr)
    print(json.dumps(document))
