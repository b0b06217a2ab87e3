"""Ctrl-C and SIGTERM while a trainer runs: the step ends, a checkpoint is saved, one clear line says how to go on.

Knows nothing about models, data or the command line. (transformers' own ``enable_jit_checkpoint`` knows SIGTERM only,
saves before the optimizer step of the batch it has spent, and lets the run look finished.)
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from plaudit.errors import Interrupted

__all__ = ["Stopper", "receiving", "stop_on_signals"]

SIGNALS = (signal.SIGINT, signal.SIGTERM)
SETTLE_SECONDS = 1.0
"""A second signal so soon is the first one again: launchers pass on what the terminal has sent to all already."""


class Stopper(TrainerCallback):
    """Stops a run in good order once a signal has come, on all ranks in the same step.

    Args:
        say: receives one line when the first signal comes.
        over_ranks: adds a number up over the ranks.
    """

    def __init__(self, say: Callable[[str], None], over_ranks: Callable[[float], float]) -> None:
        self.say, self.over_ranks = say, over_ranks
        self.owner = os.getpid()
        self.signal: signal.Signals | None = None
        self.since = 0.0
        self.stopping = False
        self.saved_step: int | None = None

    def receive(self, number: int, frame: FrameType | None) -> None:
        """The signal handler: takes note of the first signal, and interrupts at the second one."""
        if os.getpid() != self.owner:  # a worker that was forked with this handler: its parent decides
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
            return
        name = signal.Signals(number).name
        if self.signal is None:
            self.signal, self.since = signal.Signals(number), time.monotonic()
            line = f"{name}: the step ends, a checkpoint is saved, then the run stops (once more: at once)"
            threading.Thread(target=self.say, args=(line,)).start()  # whoever is printing now holds the lock
        elif time.monotonic() - self.since > SETTLE_SECONDS:
            problem = f"stopped at once by a second {name}; resume (--resume) goes on from the last checkpoint, if any"
            raise Interrupted(number, problem)

    def wanted(self) -> bool:
        """True on all ranks once one of them has a signal. Every rank has to ask equally often."""
        if not self.stopping:
            self.stopping = self.over_ranks(float(self.signal is not None)) > 0
        return self.stopping

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.wanted():
            control.should_log = control.should_training_stop = control.should_save = True
            control.should_evaluate = False  # resuming makes up for it
            args.save_only_model = False  # resuming needs the optimizer too

    def on_evaluate(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.wanted():
            control.should_training_stop = control.should_save = True
            args.save_only_model = False

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self.wanted():
            control.should_training_stop = True
            control.should_evaluate = False
            control.should_save = self.saved_step != state.global_step
            args.save_only_model = False

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.saved_step = state.global_step

    def finish(self, trainer: Trainer) -> None:
        """Raises `Interrupted` where a signal has come; saves first where no callback had the chance to.

        With ``load_best_model_at_end`` the weights may be those of another step by now, and checkpoints are there.
        """
        if not self.wanted():
            return
        step, folder = trainer.state.global_step, Path(str(trainer.args.output_dir))
        if self.saved_step != step and not trainer.args.load_best_model_at_end:
            assert trainer.model is not None
            trainer._save_checkpoint(trainer.model, trial=None)
            self.saved_step = step
        number = self.signal or signal.SIGTERM  # another rank's: it is its launcher that stops this one
        raise Interrupted(
            number,
            f"stopped by {number.name} at step {step} of {trainer.state.max_steps}; checkpoint-{self.saved_step} is "
            f"saved in {folder}; go on with resume (--resume)",
        )


@contextmanager
def stop_on_signals(
    trainer: Trainer, say: Callable[[str], None], over_ranks: Callable[[float], float]
) -> Iterator[None]:
    """Lays `Stopper` around ``trainer.train()``, see `receiving`.

    Raises:
        Interrupted: a signal came; the run has stopped with a checkpoint, or, at a second signal, at once.
    """
    stopper = Stopper(say, over_ranks)
    trainer.add_callback(stopper)
    try:
        with receiving(stopper):
            yield
            stopper.finish(trainer)
    finally:
        trainer.remove_callback(stopper)


@contextmanager
def receiving(stopper: Stopper) -> Iterator[None]:
    """Inside, SIGINT and SIGTERM go to ``stopper``.

    Signals reach Python's main thread only; in another thread, nothing is changed. A signal that is ignored (as by
    ``nohup``) stays ignored.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in SIGNALS}
        before = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in before:
        signal.signal(number, stopper.receive)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
