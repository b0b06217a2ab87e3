"""Resuming exactly: what transformers' Trainer leaves out, so that a run killed at any moment ends in the same weights.

Optimizer, scheduler, random numbers and the place in the data are the Trainer's own doing. Knows nothing about rewards.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR, IntervalStrategy

__all__ = ["ExactResume"]


class ExactResume(Trainer):
    """A Trainer whose resumed runs equal uninterrupted ones.

    Beyond the Trainer: a run that had reached its last step does not train another one; an evaluation that was due
    at the checkpoint and did not happen is made up for; a stream goes on in the pass in which it was; a checkpoint is
    vouched for by its state file only when every file of every rank is written.
    """

    _decided_to_stop = False

    def _init_training_state(
        self,
        max_steps: int,
        num_update_steps_per_epoch: int,
        num_train_epochs: int,
        resume_from_checkpoint: str | None,
        trial: Any,
    ) -> tuple[int, int]:
        """(epochs, steps into the epoch) to go on from; of a stream, whose passes have no length, by the state."""
        self._decided_to_stop = False
        place: tuple[int, int] = super()._init_training_state(
            max_steps, num_update_steps_per_epoch, num_train_epochs, resume_from_checkpoint, trial
        )
        stream = isinstance(self.train_dataset, datasets.IterableDataset)
        if not stream or resume_from_checkpoint is None or self.args.ignore_data_skip:
            return place
        passes, share = divmod(self.state.epoch, 1)  # the Trainer counts a pass of a stream as max_steps long
        return int(passes), round(share * max_steps)

    def _prepare_for_training(self, max_steps: int, train_dataloader: Any, resume_from_checkpoint: Any) -> Any:
        prepared = super()._prepare_for_training(  # type: ignore[no-untyped-call]
            max_steps, train_dataloader, resume_from_checkpoint
        )
        if resume_from_checkpoint is not None and self._evaluation_is_owed():
            self.control.should_training_stop = False  # restored from a checkpoint that a stopped run has left
            metrics = self._evaluate(None, None)
            if self._determine_best_metric(metrics, None):
                self.state.best_model_checkpoint = str(resume_from_checkpoint)
            self._decided_to_stop = self.control.should_training_stop  # an early stop; on_train_begin takes it back
        return prepared

    def _evaluation_is_owed(self) -> bool:
        """True where the run ended between the checkpoint and the evaluation that belongs to it."""
        args, state = self.args, self.state
        if self.eval_dataset is None:
            return False
        ended = state.global_step >= state.max_steps
        if args.eval_strategy == IntervalStrategy.STEPS:
            due = (ended or state.global_step % state.eval_steps == 0) and args.eval_delay <= state.global_step
        elif args.eval_strategy == IntervalStrategy.EPOCH:
            due = (ended or float(state.epoch).is_integer()) and args.eval_delay <= state.epoch
        else:
            due = False
        here = [entry for entry in state.log_history if entry.get("step") == state.global_step]
        return due and not any(name.startswith("eval_") for entry in here for name in entry)

    def _run_epoch(self, *, epoch: int, train_dataloader: Any, **place: Any) -> None:  # type: ignore[override]
        if self._decided_to_stop or self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        train_dataloader.set_epoch(epoch)  # before the Trainer wraps it to skip steps, which hides a stream's set_epoch
        super()._run_epoch(epoch=epoch, train_dataloader=train_dataloader, **place)  # type: ignore[no-untyped-call]

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        if self.args.should_save:  # one that is written anew is not whole until it has a new state file
            folder = Path(self._get_output_dir(trial)) / f"{PREFIX_CHECKPOINT_DIR}-{self.state.global_step}"
            (folder / TRAINER_STATE_NAME).unlink(missing_ok=True)
        super()._save_checkpoint(model, trial)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        self.accelerator.wait_for_everyone()  # the state file, which vouches for all others, comes next
