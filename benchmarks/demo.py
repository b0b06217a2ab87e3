"""The demonstration as a newcomer runs it: wall time, and accuracy on prompts it never saw beside the baselines.

python benchmarks/demo.py          (3 to 4 minutes on two idle cores)
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import finish

if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "plaudit", "demo", "--output", str(Path(folder, "demo")), "--json"]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        seconds = time.perf_counter() - start
    document = {name: value for name, value in json.loads(done.stdout).items() if name not in ("folder", "picture")}
    finish("demo", {"seconds": round(seconds, 1), "demo": document})
