"""The progress bar of a training run: loss, accuracy, margin, tokens a second, time left. On stderr."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

__all__ = ["RichProgress", "describe"]


def describe(logs: dict[str, Any]) -> str:
    """The figures of a log entry in one short line."""
    parts = []
    for name, label, form in (
        ("loss", "loss", ".4f"),
        ("accuracy", "accuracy", ".3f"),
        ("margin", "margin", ".3f"),
        ("correlation", "correlation", ".3f"),
        ("tokens_per_second", "tokens/s", ",.0f"),
    ):
        if name in logs:
            parts.append(f"{label} {logs[name]:{form}}")
    return "  ".join(parts)


class RichProgress(TrainerCallback):
    """One live bar on a terminal; a line per log entry where the output is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True)
        self.progress: Progress | None = None
        self.task: TaskID | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if not state.is_world_process_zero:
            return
        self.progress = Progress(
            TextColumn("[bold]training"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        self.task = self.progress.add_task("training", total=state.max_steps, completed=state.global_step, figures="")
        self.progress.start()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self.progress is not None and self.task is not None:
            self.progress.update(self.task, completed=state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if self.progress is None or self.task is None or not logs:
            return
        evaluation = {key.removeprefix("eval_"): value for key, value in logs.items() if key.startswith("eval_")}
        if "loss" in logs:
            self.progress.update(self.task, figures=describe(logs))
            if not self.console.is_terminal:
                self.console.print(f"step {state.global_step}/{state.max_steps}  {describe(logs)}", highlight=False)
        elif "loss" in evaluation:
            self.console.print(
                f"step {state.global_step}/{state.max_steps}  held out: {describe(evaluation)}", highlight=False
            )

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the terminal back; also after an error, when the Trainer says nothing."""
        if self.progress is not None:
            self.progress.stop()
            self.progress = None
