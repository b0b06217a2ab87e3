"""A program that kills `plaudit score` with SIGKILL at several moments, goes on with --resume, and compares the bytes.

It imports once and forks a child for each run; an audit hook kills a child at a file operation, a patched writer inside
a line. Prints one JSON document.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import torch

import plaudit.cli.score
from plaudit.cli import app
from plaudit.cli.resumable import ResumableLines
from plaudit.engine.linear import fast_products
from plaudit.models.reward_model import RewardModel

DIES_AT: list[tuple[str, str]] = []
"""In a child: the file operation, and the end of the name, that kill it; empty: none does."""


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hook(event: str, values: tuple[object, ...]) -> None:
    if DIES_AT and event == DIES_AT[0][0] and str(values[0]).endswith(DIES_AT[0][1]):
        die()


def dies_in_line(number: int) -> Callable[[ResumableLines, str], None]:
    """A writer that gets half of a line into the file."""
    real, seen = ResumableLines.write, [0]

    def write(self: ResumableLines, line: str) -> None:
        if seen[0] == number:
            assert self._file is not None
            self._file.write(line[: len(line) // 2].encode())
            self.flush()
            die()
        seen[0] += 1
        real(self, line)

    return write


def score(*arguments: object) -> int:
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            app(["score", *map(str, arguments)])
        except SystemExit as end:
            if end.code:
                print(said.getvalue(), file=sys.__stderr__, flush=True)
            return int(end.code or 0)
    return 0


def in_child(work: Callable[[], int]) -> int:
    child = os.fork()
    if child == 0:
        os._exit(work())
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed(arguments: tuple[object, ...], line: int | None, operation: tuple[str, str] | None) -> Callable[[], int]:
    def work() -> int:
        if line is not None:
            ResumableLines.write = dies_in_line(line)  # type: ignore[method-assign]
        if operation is not None:
            DIES_AT.append(operation)
        return score(*arguments)

    return work


def main(model: Path, rows: Path, root: Path) -> None:
    torch.set_num_threads(1)
    plaudit.cli.score.CHUNK_RESPONSES = 7
    RewardModel.from_pretrained(model, device="cpu").predict("a", "b")
    fast_products()  # measured once: the children have the same answer
    sys.addaudithook(hook)
    whole = root / "whole.jsonl"
    assert in_child(lambda: score("-m", model, "--device", "cpu", rows, "-o", whole)) == 0
    moments: list[tuple[int | None, tuple[str, str] | None]] = [(n, None) for n in (0, 3, 11, 39)]
    moments += [(None, ("open", "scored.jsonl.partial")), (None, ("os.rename", "scored.jsonl.partial"))]
    results = []
    for number, (line, operation) in enumerate(moments):
        folder = root / f"run{number}"
        folder.mkdir()
        target = folder / "scored.jsonl"
        arguments = ("-m", model, "--device", "cpu", rows, "-o", target)
        code = in_child(killed(arguments, line, operation))
        partial = Path(f"{target}.partial")
        there = partial.read_bytes().count(b"\n") if partial.exists() else None
        resume = ["--resume"] if partial.exists() else []
        assert in_child(lambda resume=resume, arguments=arguments: score(*arguments, *resume)) == 0
        same = target.read_bytes() == whole.read_bytes()
        litter = sorted(path.name for path in folder.iterdir() if path != target)
        results.append({"exit": code, "lines": there, "same": same, "litter": litter})
    print(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
