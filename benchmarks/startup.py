"""How long `plaudit --help` and `import plaudit` take, and whether torch comes along. Seconds to run: about 10.

    python benchmarks/startup.py

The command's median wall time over ten runs after two warm-ups; the interpreter's own start is part of it.
`import plaudit` is timed inside the interpreter, as the time of the statement.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

from common import finish

RUNS = 10


def help_seconds() -> list[float]:
    command = [sys.executable, "-m", "plaudit", "--help"]
    seconds = []
    for _ in range(RUNS + 2):
        start = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    return seconds[2:]


def import_seconds() -> list[float]:
    code = "import time; t = time.perf_counter(); import plaudit; print(time.perf_counter() - t)"
    command = [sys.executable, "-c", code]
    return [float(subprocess.run(command, check=True, capture_output=True, text=True).stdout) for _ in range(RUNS)]


def imports_torch() -> bool:
    start = ["import sys, plaudit.cli", "sys.argv = ['plaudit', '--help']"]
    run = ["try:", "    plaudit.cli.main()", "except SystemExit:", "    pass"]
    code = "\n".join([*start, *run, "print('torch' in sys.modules)"])
    output = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return output.strip().endswith("True")


if __name__ == "__main__":
    shown, imported = help_seconds(), import_seconds()
    finish(
        "startup",
        {
            "help_seconds_median": round(statistics.median(shown), 3),
            "help_seconds_max": round(max(shown), 3),
            "import_seconds_median": round(statistics.median(imported), 4),
            "help_imports_torch": imports_torch(),
        },
    )
