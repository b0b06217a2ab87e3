"""RLOO, GRPO and online DPO by TRL's trainers, with our rewards, journal, signals and checkpoints around them."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from plaudit.errors import ConfigError, PlauditError
from plaudit.metrics.repetition import repetition
from plaudit.models.build import quiet_transformers
from plaudit.registry import suggest
from plaudit.rl.config import RLConfig
from plaudit.rl.job import ALGORITHMS, Job, on_all_ranks, over_ranks, say_where_saved
from plaudit.rl.rewards import Rewarded, completion_text
from plaudit.training.interrupt import stop_on_signals

__all__ = ["TRLAlgorithm"]

OURS = {
    "output_dir": "output_dir",
    "max_steps": "max_steps",
    "num_train_epochs": "num_epochs",
    "learning_rate": "learning_rate",
    "seed": "seed",
    "temperature": "temperature",
    "max_completion_length": "max_new_tokens",
    "max_new_tokens": "max_new_tokens",
    "per_device_train_batch_size": "batch_size",
    "save_steps": "save_steps",
    "gradient_checkpointing": "gradient_checkpointing",
    "reward_weights": "the weights of a composite",
    "report_to": "log.jsonl and report.html",
    "shuffle_dataset": "seed, by which every pass over the prompts is shuffled anew",
}
"""Fields of TRL's configurations that `RLConfig` sets, and by what."""

ENTROPY = ("entropy", "objective/entropy")


class TRLAlgorithm:
    """One of TRL's online trainers as a registered algorithm.

    Args:
        module, config, trainer: where TRL has them.
        answers: the name of its field for the length of an answer.
        grouped: it samples ``num_generations`` answers to a prompt, and counts a batch in answers.
    """

    def __init__(self, module: str, config: str, trainer: str, *, answers: str, grouped: bool) -> None:
        self.module, self.config_name, self.trainer_name = module, config, trainer
        self.answers, self.grouped = answers, grouped
        self.backends: tuple[str, ...] = ("trl", "unsloth")

    def settings(self, options: dict[str, Any], config: RLConfig) -> dict[str, Any]:
        """The options, once TRL's configuration is known to have them."""
        kind = self._load(self.config_name)
        known = {f.name for f in fields(kind)}
        for name in options:
            if name in OURS and name in known:
                raise ConfigError(f"{name} is set by {OURS[name]}; use that")
            if name not in known:
                raise ConfigError(
                    f"{config.algorithm}: unknown option {name!r}{suggest(name, sorted(known))}; options are the "
                    f"fields of TRL's {self.config_name}"
                )
        return dict(options)

    def train(self, job: Job) -> Callable[[], Path]:
        from datasets import Dataset

        policy = job.policy
        arguments, meter = self._arguments(job), _Meter(job)
        keeper = _Keeper(job, meter)
        rows = Dataset.from_list([{"prompt": self._prompt(job, i), "row": i} for i in range(len(job.tasks))])
        if self.grouped:
            # one row for every prompt of the run, in order: TRL drops what does not fill a batch (all of a small set),
            # and a resumed run of its own would begin again with the first pass's order
            prompts = arguments.generation_batch_size // arguments.num_generations  # type: ignore[attr-defined]
            rows = rows.select(job.tasks.order(job.steps * max(prompts, job.config.batch_size)))
        if job.checkpoint is None and PartialState().is_main_process:
            job.take_samples(0)
        with _quiet():
            trainer: Trainer = self._load(self.trainer_name)(
                model=policy.trained,
                reward_funcs=meter,
                args=arguments,
                train_dataset=rows,
                processing_class=policy.tokenizer,
                callbacks=[keeper],
            )
        trainer.remove_callback(_printer())

        def save() -> Path:
            folder = Path(str(trainer.args.output_dir)) / f"checkpoint-{trainer.state.global_step}"
            if not over_ranks(float(folder.exists())):  # asked on all before one of them makes it
                keeper.restore()
                trainer._save_checkpoint(policy.trained, trial=None)
            return folder

        if job.checkpoint is not None and int(job.checkpoint.name.rpartition("-")[2]) >= job.steps:
            trainer._load_from_checkpoint(str(job.checkpoint))  # a Trainer would take one step more
            return lambda: job.checkpoint or job.folder
        with stop_on_signals(trainer, job.say, over_ranks), _quiet():
            try:
                trainer.train(resume_from_checkpoint=str(job.checkpoint) if job.checkpoint else None)
            except PlauditError as error:
                say_where_saved(error, save())
                raise
        policy.model.eval()
        return save

    def _arguments(self, job: Job) -> TrainingArguments:
        config, options = job.config, dict(job.settings)
        kind = self._load(self.config_name)
        known = {f.name for f in fields(kind)}
        share = PartialState().num_processes * int(options.get("gradient_accumulation_steps", 1))
        size = config.batch_size * (int(options.setdefault("num_generations", 4)) if self.grouped else 1)
        if size % share:
            raise ConfigError(f"the {size} answers of a step cannot be shared by {share}; choose another batch_size")
        cpu = job.policy.device.type == "cpu"
        values: dict[str, Any] = {
            "output_dir": str(job.folder),
            "max_steps": job.steps,
            "per_device_train_batch_size": size // share,
            "temperature": config.temperature,
            self.answers: config.max_new_tokens,
            "seed": config.seed,
            "logging_steps": 1,
            "report_to": "none",
            "disable_tqdm": True,
            "use_cpu": cpu,
            "bf16": not cpu and torch.cuda.is_available() and torch.cuda.is_bf16_supported(),
            "gradient_checkpointing": config.gradient_checkpointing,
            "disable_dropout": True,
            "dataloader_pin_memory": not cpu,
            "save_strategy": "steps" if config.save_steps else "no",
        }
        if "max_length" in known and not self.grouped and "max_length" not in options:
            longest = max(len(task.ids) for task in job.tasks.tasks)
            values["max_length"] = longest + config.max_new_tokens  # nothing is cut
        if self.grouped:
            values["shuffle_dataset"] = False  # they come in the order in which they are answered
        if config.save_steps:
            values["save_steps"] = config.save_steps
        if config.learning_rate is not None:
            values["learning_rate"] = config.learning_rate
        try:
            with _quiet():
                arguments: TrainingArguments = kind(**(values | options))
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{config.algorithm}: {' '.join(str(error).split())[:300]}") from error
        return arguments

    def _prompt(self, job: Job, row: int) -> Any:
        """A prompt as TRL renders it to the very ids that `Policy.render` gives."""
        prompt = job.tasks.tasks[row].prompt.prompt
        if isinstance(prompt, str) and job.policy.layout == "chat":
            return [{"role": "user", "content": prompt}]
        return prompt

    def _load(self, name: str) -> Any:
        import importlib

        with _quiet():
            return getattr(importlib.import_module(self.module), name)


ALGORITHMS.register("rloo")(
    TRLAlgorithm("trl", "RLOOConfig", "RLOOTrainer", answers="max_completion_length", grouped=True)
)
ALGORITHMS.register("grpo")(
    TRLAlgorithm("trl", "GRPOConfig", "GRPOTrainer", answers="max_completion_length", grouped=True)
)
ALGORITHMS.register("online_dpo")(
    TRLAlgorithm(
        "trl.experimental.online_dpo", "OnlineDPOConfig", "OnlineDPOTrainer", answers="max_new_tokens", grouped=False
    )
)


class _Meter:
    """The reward function that TRL calls, which keeps what it saw until the step is logged."""

    __name__ = "reward"

    def __init__(self, job: Job) -> None:
        self.job = job
        self.seen: list[tuple[Rewarded, list[str], list[int]]] = []

    def __call__(self, prompts: Sequence[Any], completions: Sequence[Any], **columns: Any) -> list[float]:
        tasks = [self.job.tasks.tasks[int(row)] for row in columns["row"]]
        texts = [completion_text(completion) for completion in completions]
        rewarded = on_all_ranks(lambda: self.job.reward(tasks, texts))
        lengths = [len(ids) for ids in columns.get("completion_ids") or []]
        self.seen.append((rewarded, texts, lengths))
        return [float(value) for value in rewarded.total]

    def figures(self) -> dict[str, Any]:
        """Means over the answers since the last call."""
        seen, self.seen = self.seen, []
        if not seen:
            return {}
        rewarded = Rewarded(
            np.concatenate([r.total for r, _, _ in seen]),
            {n: np.concatenate([r.parts[n] for r, _, _ in seen]) for n in seen[0][0].parts},
            {n: np.concatenate([r.gold[n] for r, _, _ in seen]) for n in seen[0][0].gold},
            np.concatenate([r.empty for r, _, _ in seen]),
        )
        texts = [text for _, some, _ in seen for text in some]
        lengths = [length for _, _, some in seen for length in some]
        figures = rewarded.figures() | {"repetition": float(np.mean([repetition(text) for text in texts]))}
        return figures | ({"length": float(np.mean(lengths))} if lengths else {})


class _Keeper(TrainerCallback):
    """Hands the figures of every step to the journal."""

    def __init__(self, job: Job, meter: _Meter) -> None:
        self.job, self.meter = job, meter
        self.drawn: tuple[Any, ...] = ()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._remember()

    def _remember(self) -> None:
        """The random generators between two steps, where a checkpoint of the Trainer's own has them."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None
        self.drawn = random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda

    def restore(self) -> None:
        """Takes back what a step has drawn that was not finished, so that it is drawn again in the resumed run."""
        own, numpy, cpu, cuda = self.drawn
        random.setstate(own)
        np.random.set_state(numpy)
        torch.set_rng_state(cpu)
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        job, own = self.job, self.meter.figures()
        if not own or not logs:
            return
        episodes = state.global_step * job.config.batch_size * int(getattr(args, "num_generations", 2))
        record = {"step": state.global_step, "episodes": episodes, **own}
        record["kl"] = _kl(logs, own.get("length"))
        record["entropy"] = _first(logs, ENTROPY)
        record["policy_loss"] = _first(logs, ("loss",))
        record["grad_norm"] = _first(logs, ("grad_norm",))
        record["learning_rate"] = _first(logs, ("learning_rate",))
        clipped = _first(logs, ("completions/clipped_ratio",))
        ended = _first(logs, ("val/contain_eos_token",))
        record["eos_share"] = 1 - clipped if clipped is not None else ended
        job.journal.record(record)
        if state.global_step % job.sample_steps == 0 or state.global_step == job.steps:
            on_all_ranks(lambda: job.take_samples(state.global_step) if state.is_world_process_zero else None)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        job = self.job
        self._remember()
        if job.config.stop_on_hacking and over_ranks(float(job.journal.hacking)) > 0:
            job.say(f"stopped at step {state.global_step}: a gold scorer falls while the reward rises")
            control.should_training_stop = True


def _first(logs: Mapping[str, Any], names: Sequence[str]) -> float | None:
    return next((float(logs[name]) for name in names if logs.get(name) is not None), None)


def _kl(logs: Mapping[str, Any], length: float | None) -> float | None:
    """Nats an answer. GRPO and RLOO report the mean over tokens, which is turned by the mean length."""
    per_token = _first(logs, ("kl",))
    if per_token is not None and length is not None:
        return per_token * length
    return _first(logs, ("objective/kl",))


def _printer() -> type[TrainerCallback]:
    from transformers.trainer_callback import PrinterCallback

    return PrinterCallback


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what TRL says about being experimental and about models that are given as objects."""
    with warnings.catch_warnings(), quiet_transformers():
        warnings.simplefilter("ignore")
        yield
