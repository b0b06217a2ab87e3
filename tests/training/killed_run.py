"""A program that kills a tiny run with SIGKILL at many moments, resumes it, and compares the weights bit by bit.

It imports once and forks a child for each run. Half of the moments are random times; half are file operations, counted
by an audit hook, so that kills fall into the writing of checkpoints and of the result. Prints one JSON document.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import transformers

from plaudit.training.config import load_config
from plaudit.training.run import run_training

FILE_EVENTS = ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir")
DIES_AT: list[int] = []  # in a child: the number of the file operation that kills it; empty: none does
SEEN = [0]
PIPE = os.pipe()
"""By which a child that has ended says how many file operations it made."""


def watch_files(folder: Path) -> None:
    """Counts the file operations on ``folder``, and dies at the one that was asked for."""
    inside = str(folder)

    def hook(event: str, values: tuple[object, ...]) -> None:
        if event in FILE_EVENTS and values and inside in str(values[0]):
            SEEN[0] += 1
            if DIES_AT and SEEN[0] == DIES_AT[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def train(base: Path, data: Path, output: Path, resume: bool) -> None:
    """18 pairs, 5 steps an epoch, dropout; a checkpoint every 3 steps, evaluation every epoch, the end inside one."""
    values = {
        "data": str(data),
        "data.eval_fraction": 0.25,
        "model": str(base),
        "model.device": "cpu",
        "output": str(output),
        "resume": resume,
        "training.max_steps": 12,
        "training.save_strategy": "steps",
        "training.save_steps": 3,
        "training.per_device_train_batch_size": 4,
        "training.learning_rate": 1e-3,
        "training.logging_steps": 2,
        "training.bf16": False,
        "training.disable_tqdm": True,
    }
    run_training(load_config(None, values), say=lambda line: None)


def in_child(work: Callable[[], None], seconds: float | None = None) -> tuple[int, float]:
    """Runs it in a forked child, killed after so many seconds; returns its exit status and how long it took."""
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        SEEN[0] = 0
        try:
            work()
            os.write(PIPE[1], str(SEEN[0]).encode())
            os._exit(0)
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status), time.monotonic() - started
        if seconds is not None and time.monotonic() - started > seconds:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)


def weights(output: Path) -> str:
    return hashlib.sha256((output / "model.safetensors").read_bytes()).hexdigest()


def kill_and_resume(base: Path, data: Path, folder: Path, operation: int | None, seconds: float | None) -> str:
    """One kill and one resumed run; returns what the kill left behind."""
    output, run = folder / "rm", folder / "rm.partial"
    folder.mkdir()
    DIES_AT[:] = [operation] if operation is not None else []
    code, _ = in_child(lambda: train(base, data, output, resume=False), seconds)
    DIES_AT.clear()
    checkpoints = sorted(int(path.name.rpartition("-")[2]) for path in run.glob("checkpoint-*"))
    left = f"exit {code}, " + ("published" if output.exists() else f"checkpoints {checkpoints}")
    if not output.exists():
        code, _ = in_child(lambda: train(base, data, output, resume=run.exists()))
        if code != 0:
            return f"{left}: resuming failed"
    litter = sorted(path.name for path in folder.iterdir() if path.name != "rm")
    litter += sorted(path.name for path in output.glob(".*"))
    return left + (f": litter {litter}" if litter else "")


def main(base: Path, data: Path, root: Path, kills: int) -> None:
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    random.seed(0)
    whole = root / "whole"
    whole.mkdir()
    watch_files(root)
    _, seconds = in_child(lambda: train(base, data, whole / "rm", resume=False))
    operations = int(os.read(PIPE[0], 100))
    wanted = weights(whole / "rm")
    results = []
    for number in range(kills):
        by_file = number % 2 == 0
        moment = random.random()
        operation = 1 + int(moment * operations) if by_file else None
        folder = root / f"run{number}"
        left = kill_and_resume(base, data, folder, operation, None if by_file else moment * seconds)
        same = (folder / "rm").exists() and weights(folder / "rm") == wanted
        results.append({"moment": round(moment, 3), "by": "file" if by_file else "time", "left": left, "same": same})
        shutil.rmtree(folder)
    print(json.dumps({"seconds": seconds, "operations": operations, "kills": results}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
