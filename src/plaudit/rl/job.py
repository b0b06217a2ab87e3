"""What an algorithm is given, and the registry of algorithms. Knows no algorithm."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from accelerate import PartialState

from plaudit.errors import PlauditError
from plaudit.models.device import resolve_device
from plaudit.registry import Registry
from plaudit.rl.config import RLConfig
from plaudit.rl.journal import Journal
from plaudit.rl.policy import Answers, Policy
from plaudit.rl.prompts import TaskPrompt
from plaudit.rl.rewards import Rewarded, Rewards

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Job",
    "Task",
    "Tasks",
    "on_all_ranks",
    "over_ranks",
    "processes",
    "say_where_saved",
]

T = TypeVar("T")


def processes(device: str | None) -> PartialState:
    """The processes that share a run; the first call decides for the whole process what they talk through."""
    return PartialState(cpu=resolve_device(device).type == "cpu")


@dataclass(frozen=True)
class Task:
    """A prompt with its token ids, as the policy reads it."""

    prompt: TaskPrompt
    ids: list[int]


class Tasks:
    """Prompts in the order in which they are answered: every pass shuffled anew, one pass after the other.

    A step may reach into the next pass, so that every step has equally many prompts and none is dropped.
    """

    def __init__(self, tasks: list[Task], seed: int) -> None:
        self.tasks, self.seed = tasks, seed

    def __len__(self) -> int:
        return len(self.tasks)

    def step(self, number: int, size: int) -> list[Task]:
        """The tasks of step ``number`` (from 0)."""
        return [self.tasks[row] for row in self._rows(number * size, (number + 1) * size)]

    def order(self, count: int) -> list[int]:
        """Which tasks the first ``count`` places have."""
        return self._rows(0, count)

    def steps(self, epochs: float, size: int) -> int:
        """Steps of so many passes."""
        return max(1, math.ceil(epochs * len(self.tasks) / size))

    def _rows(self, begin: int, end: int) -> list[int]:
        rows: list[int] = []
        while begin < end:
            epoch, row = divmod(begin, len(self.tasks))
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.tasks))
            rows += order[row : row + end - begin].tolist()
            begin = (epoch + 1) * len(self.tasks)
        return rows


@dataclass
class Job:
    """One run, ready to start.

    Attributes:
        config: what the user said.
        settings: the algorithm's own settings.
        policy: what is trained.
        tasks: what it answers.
        held_out: prompts that it is never trained on.
        rewards: what answers are rewarded by.
        journal: receives figures and samples.
        folder: the run's, until it is finished.
        checkpoint: where an earlier process of the run came to.
        start: the untrained policy's answers to the held-out prompts, and their rewards; None: none are held out.
        say: receives what a person should know.
        steps: how many there are.
    """

    config: RLConfig
    settings: Any
    policy: Policy
    tasks: Tasks
    held_out: list[Task]
    rewards: Rewards
    journal: Journal
    folder: Path
    checkpoint: Path | None
    start: tuple[Answers, Rewarded] | None
    say: Callable[[str], None]
    steps: int

    @property
    def sample_steps(self) -> int:
        """Every so many steps the report's sample answers are taken."""
        return self.config.sample_steps or max(1, self.steps // 5)

    def answer(self, tasks: list[Task], seed: int, batch_size: int = 64) -> Answers:
        """One answer to each task, at the temperature of training; equal seeds give equal answers of equal policies."""
        return self.policy.sample(
            [task.ids for task in tasks],
            max_new_tokens=self.config.max_new_tokens,
            temperature=self.config.temperature,
            seed=seed,
            batch_size=batch_size,
        )

    def reward(self, tasks: list[Task], texts: list[str]) -> Rewarded:
        """Rewards of the answers' texts."""
        references = [task.prompt.reference for task in tasks]
        known = references if any(r is not None for r in references) else None
        return self.rewards.score([task.prompt.prompt for task in tasks], texts, known)

    def take_samples(self, step: int) -> None:
        """Answers to a few held-out prompts (or training prompts), for the report."""
        tasks = (self.held_out or self.tasks.tasks)[:4]
        answers = self.answer(tasks, seed=self.config.seed)
        rewarded = self.reward(tasks, answers.texts)
        self.journal.sample(
            [
                {
                    "step": step,
                    "prompt": task.prompt.prompt,
                    "response": text,
                    "reward": float(rewarded.total[i]),
                    "gold": {name: _number(values[i]) for name, values in rewarded.gold.items()},
                }
                for i, (task, text) in enumerate(zip(tasks, answers.texts, strict=True))
            ]
        )


def _number(value: npt.NDArray[np.float64] | float) -> float | None:
    return float(value) if math.isfinite(float(value)) else None


class Algorithm(Protocol):
    """What is registered under an algorithm's name."""

    backends: tuple[str, ...]
    """Which backends can train it."""

    def settings(self, options: dict[str, Any], config: RLConfig) -> Any:
        """The algorithm's own settings from what the user set.

        Raises:
            ConfigError: an unknown option, or a value out of range.
        """
        ...

    def train(self, job: Job) -> Callable[[], Path]:
        """Trains ``job.policy`` in place, up to ``job.steps``.

        Returns:
            What saves a checkpoint of the end, for the case that the answers of the end cannot be rewarded.

        Raises:
            Interrupted: a signal came; a checkpoint is saved.
            PlauditError: rewards fail for good; a checkpoint is saved first.
        """
        ...


def over_ranks(value: float) -> float:
    """The sum of a number over the processes of the run; every one of them has to call."""
    state = PartialState()
    if state.num_processes == 1:
        return value
    tensor = torch.tensor(value, dtype=torch.float64, device=state.device)
    torch.distributed.all_reduce(tensor)
    return float(tensor)


def on_all_ranks(call: Callable[[], T]) -> T:
    """Calls on every rank; what fails on one fails on all of them, so that none waits for another for ever.

    ``call`` may raise a `PlauditError`, on some ranks only.
    """
    try:
        result = call()
    except PlauditError:
        over_ranks(1.0)
        raise
    if over_ranks(0.0) > 0:
        raise PlauditError("another process could not reward its answers, see its message")
    return result


def say_where_saved(error: PlauditError, checkpoint: Path) -> None:
    """Adds to a message where the run can go on."""
    step = checkpoint.name.rpartition("-")[2]
    error.args = (f"{error}; the policy after step {step} is saved in {checkpoint}: go on with resume (--resume)",)


ALGORITHMS: Registry[Algorithm] = Registry("algorithms")
