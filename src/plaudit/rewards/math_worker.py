"""Reads and compares formulas with math-verify in a process of its own, so that a formula that takes for ever can be
stopped from any thread. Imports nothing of plaudit: `FormulaComparer` runs this file as a script.

Each line of the input is a JSON list, [reference] or [reference, answer, decimals]; each line of the output is a JSON
text: "unreadable", "readable", "equal" or "different".
"""

from __future__ import annotations

import atexit
import functools
import json
import logging
import os
import subprocess
import sys
import threading
from typing import Any

__all__ = ["FormulaComparer"]

MEMORY = 4 << 30  # bytes of address space: 9^9^9 must end in an error of this process, not of the machine


class FormulaComparer:
    """Asks a process of math-verify, started when first needed and again after it was stopped. Safe to use from several
    threads, which wait for each other."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._owner = 0

    def ask(self, question: list[Any], seconds: float) -> str | None:
        """The process's answer, or None where it took longer than ``seconds``.

        Raises:
            RuntimeError: the process cannot work, or ended by itself.
        """
        with self._lock:
            process = self._running()
            assert process.stdin is not None
            assert process.stdout is not None
            stopped = threading.Event()

            def stop() -> None:
                stopped.set()
                process.kill()

            timer = threading.Timer(seconds, stop)
            timer.daemon = True
            timer.start()
            try:
                process.stdin.write(json.dumps(question) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
            except BrokenPipeError:
                line = ""
            finally:
                timer.cancel()
                timer.join()
            if stopped.is_set() or not line:
                self._end()
            if line:
                return str(json.loads(line))
            if stopped.is_set():
                return None
            raise RuntimeError(f"the process that compares formulas ended (code {process.returncode}) at {question!r}")

    def _running(self) -> subprocess.Popen[str]:
        if self._process is not None and self._owner != os.getpid():
            self._process = None  # of the process that this one was forked from: its pipes are not ours
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-P", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONIOENCODING": "utf-8"},
            )
            self._owner = os.getpid()
            atexit.register(self._end)
            self._process.stdout.readline()  # type: ignore[union-attr]  # its imports are not the first question's time
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def _main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # what a library prints is no answer
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    logging.disable(logging.CRITICAL)
    import math_verify

    config = [math_verify.LatexExtractionConfig()]

    @functools.lru_cache(maxsize=1024)
    def read(formula: str) -> list[Any]:
        parsed = math_verify.parse(f"${formula}$", config, fallback_mode="no_fallback", parsing_timeout=None)
        return list(parsed)

    def answer(reference: str, given: str | None = None, decimals: int = 6) -> str:
        wanted = read(reference)
        if not wanted:
            return "unreadable"
        if given is None:
            return "readable"
        equal = math_verify.verify(wanted, read(given), float_rounding=decimals, timeout_seconds=None)
        return "equal" if equal else "different"

    print('"ready"', file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(*json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    _main()
