"""One run from start to end: prompts, reward, policy; what the start answers; training; what the end answers; saved."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from accelerate import PartialState

from plaudit.errors import ConfigError, DataError, PlauditError, RenderError, RowError
from plaudit.files import atomic_folder, atomic_text
from plaudit.rewards.composite import CompositeReward, name_of
from plaudit.rl import unsloth
from plaudit.rl.config import RLConfig
from plaudit.rl.job import ALGORITHMS, Algorithm, Job, Task, Tasks, on_all_ranks, processes, say_where_saved
from plaudit.rl.journal import Journal
from plaudit.rl.policy import Policy, load_policy
from plaudit.rl.prompts import TaskPrompt, load_prompts, split_prompts
from plaudit.rl.report import write_report
from plaudit.rl.rewards import Rewards
from plaudit.rl.source import described, gold_scorers, open_reward
from plaudit.rl.watch import HackingWatch
from plaudit.rl.win_rates import WinRates, win_rates
from plaudit.training.output import claim_folder, found_checkpoint, make_folder, publish
from plaudit.training.same_run import refuse_changes

__all__ = ["RLResult", "RLTrainer"]

logger = logging.getLogger(__name__)

MOST_HELD_OUT = 64
REWARD = "reward"
"""What the optimised scorer is called among the win rates."""
START = "run_start.json"
FREE = {"overwrite", "resume", "save_steps", "device", "output_dir"}
"""What may differ between a run and its resumption."""


@dataclass
class RLResult:
    """A finished run. Every figure was measured; what was not measured is None.

    Attributes:
        output: the folder of the trained policy, with ``report.html``, ``results.json`` and ``log.jsonl`` in it.
        algorithm, backend, policy, reward: what ran.
        steps, episodes: how far it came; an episode is one answer.
        stopped_early: the watch for reward hacking ended it.
        reward_start, reward_final: mean reward of the answers to held-out prompts, before and after.
        gold_start, gold_final: the same by each watched scorer.
        kl, length: of the last step's answers: nats from the start, and tokens.
        win_rates: end against start on the held-out prompts; None where none were held out.
        warnings: what the watch saw.
        records: the figures of every step.
    """

    output: Path
    algorithm: str
    backend: str
    policy: str
    reward: str
    steps: int
    episodes: int
    stopped_early: bool
    reward_start: float | None
    reward_final: float | None
    gold_start: dict[str, float | None]
    gold_final: dict[str, float | None]
    kl: float | None
    length: float | None
    win_rates: WinRates | None
    warnings: list[str]
    records: list[dict[str, Any]] = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the steps' records (those are in ``log.jsonl``)."""
        values = {name: value for name, value in vars(self).items() if name not in ("records", "win_rates")}
        values["output"] = str(self.output)
        return values | {"win_rates": self.win_rates.to_dict() if self.win_rates else None}


class RLTrainer:
    """A run in three calls: `setup_data`, `setup_trainer`, `train` (which makes up for those that were left out).

    Args:
        config: what to do.
        say: receives what a person should know, one line each.
        show: receives the figures of every step.
    """

    def __init__(
        self,
        config: RLConfig,
        *,
        say: Callable[[str], None] = logger.info,
        show: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        self.config, self.show = config, show
        self.algorithm: Algorithm = ALGORITHMS.get(config.algorithm)
        if config.backend not in self.algorithm.backends:
            raise ConfigError(
                f"{config.algorithm} cannot be trained by the backend {config.backend!r}; it can by "
                f"{', '.join(self.algorithm.backends)}"
            )
        if config.backend == "unsloth":
            unsloth.check_available()
        self.settings = self.algorithm.settings(dict(config.options), config)
        self.say: Callable[[str], None] = say
        self.prompts: list[TaskPrompt] | None = None
        self.job: Job | None = None

    def setup_data(self) -> None:
        """Reads the prompts.

        Raises:
            DataError: there are none, or a row is bad.
        """
        config = self.config
        self.prompts = load_prompts(
            config.dataset_name,
            split=config.split,
            prompt_column=config.prompt_column,
            reference_column=config.reference_column,
            max_samples=config.max_samples,
            seed=config.seed,
        )

    def setup_trainer(self) -> None:
        """Opens (or trains) the reward, loads the policy, reads its answers before training.

        Raises:
            PlauditError: no such model, no reward, prompts that do not fit, an output that is in use.
        """
        if self.prompts is None:
            self.setup_data()
        process = processes(self.config.device)
        main = process.is_main_process
        if not main:
            self.say, self.show = _silent, None
        checkpoint = self._claim(main)
        process.wait_for_everyone()
        try:
            self._set_up(process, checkpoint)
        except PlauditError:
            self._clean_up()  # only now: a folder that was not claimed is another run's
            raise

    def _set_up(self, process: PartialState, checkpoint: Path | None) -> None:
        config, main = self.config, process.is_main_process
        if process.num_processes > 1 and config.train_custom_reward_model:
            raise ConfigError(
                "train_custom_reward_model needs one process; train it first (plaudit distill), then give its folder "
                "as reward_model_path"
            )
        rewards = Rewards(open_reward(config, self.say), gold_scorers(config))
        policy = self._load_policy(str(process.device) if process.num_processes > 1 else config.device)
        tasks, held_out = self._tasks(policy)
        folder = config.run_folder
        journal = Journal(folder if main else None, HackingWatch(**self._bounds()), self.say, self.show)
        if main and checkpoint is not None:
            journal.go_back_to(json.loads((checkpoint / "trainer_state.json").read_text("utf-8"))["global_step"])
        steps = config.max_steps or tasks.steps(config.num_epochs, config.batch_size)
        self.job = Job(
            config, self.settings, policy, tasks, held_out, rewards, journal, folder, checkpoint, None, self.say, steps
        )
        self.say(
            f"{len(tasks):,} prompts to train on, {len(held_out):,} held out; {steps:,} steps of {config.batch_size} "
            f"prompts; reward: {described(config)}"
        )
        if config.batch_size > len(tasks):
            self.say("a step asks for more prompts than there are: some are answered several times in a step")
        self._read_start(self.job)

    def train(self) -> RLResult:
        """Trains, compares the end with the start, saves.

        Raises:
            Interrupted: a signal came; a checkpoint is saved, and ``resume`` goes on from it.
            PlauditError: it cannot work; says what to do.
        """
        if self.job is None:
            self.setup_trainer()
        assert self.job is not None
        job = self.job
        try:
            save = self.algorithm.train(job)
        except PlauditError:
            self._clean_up()
            raise
        try:
            wins = on_all_ranks(lambda: self._win_rates(job))
        except PlauditError as error:
            say_where_saved(error, save())
            raise
        result = self._finish(job, wins)
        processes(self.config.device).wait_for_everyone()
        return result

    # -- before --------------------------------------------------------------------------------------------------

    def _claim(self, main: bool) -> Path | None:
        """The run's folder; where there is one to resume, its last checkpoint."""
        config, run = self.config, self.config.run_folder
        if not main:
            return found_checkpoint(run, _silent) if config.resume else None
        claim_folder(config.output_dir, run, overwrite=config.overwrite, resume=config.resume)
        now = _settings(config)
        if config.resume and (run / START).exists():
            refuse_changes(json.loads((run / START).read_text(encoding="utf-8")), now)
        make_folder(config.output_dir, run)
        if config.resume:
            return found_checkpoint(run, self.say)
        atomic_text(run / START, json.dumps(now, indent=1, ensure_ascii=False) + "\n")
        return None

    def _bounds(self) -> dict[str, float]:
        """A target of KL says better than the usual bound what is too much."""
        target = getattr(self.settings, "kl_target", None)
        return {} if target is None else {"max_kl": 2 * target}

    def _load_policy(self, device: str | None) -> Policy:
        config = self.config
        if config.backend == "unsloth":
            return unsloth.load_policy(config)
        return load_policy(
            config.model_name,
            dtype=config.dtype,
            device=device,
            layout=config.prompt_layout,
            lora=config.lora,
            revision=config.revision,
            trust_remote_code=config.trust_remote_code,
            attn_implementation=config.attn_implementation,
        )

    def _tasks(self, policy: Policy) -> tuple[Tasks, list[Task]]:
        """What is trained on, and what is held out, as token ids."""
        config = self.config
        most = config.max_prompt_length
        if policy.limit is not None:
            room = policy.limit - config.max_new_tokens
            if room < 1 or (most is not None and most > room):
                raise ConfigError(
                    f"the policy takes {policy.limit} tokens: max_new_tokens {config.max_new_tokens} leaves {room} for "
                    "the prompt; ask for shorter answers or prompts"
                )
            most = most or room
        tasks: list[Task] = []
        longer: list[Task] = []
        assert self.prompts is not None
        for prompt in self.prompts:
            try:
                task = Task(prompt, policy.render(prompt.prompt))
            except RenderError as error:
                raise RowError(str(error), prompt.location) from error
            (longer if most is not None and len(task.ids) > most else tasks).append(task)
        if longer and config.overlong == "error":
            raise RowError(
                f"the prompt has {len(longer[0].ids)} tokens, at most {most} leave room for the answer ({len(longer)} "
                "of the prompts are longer); overlong='drop' (--overlong drop) leaves them out",
                longer[0].prompt.location,
            )
        if longer:
            self.say(f"prompts of more than {most} tokens left out: {len(longer):,}")
        if not tasks:
            raise DataError(f"no prompt is left: all {len(longer)} have more than {most} tokens")
        count = config.eval_prompts if config.eval_prompts is not None else min(MOST_HELD_OUT, len(tasks) // 10)
        by_prompt = {id(task.prompt): task for task in tasks}
        train, held_out = split_prompts([task.prompt for task in tasks], count, config.seed)
        return Tasks([by_prompt[id(p)] for p in train], config.seed), [by_prompt[id(p)] for p in held_out]

    def _read_start(self, job: Job) -> None:
        """The untrained policy's answers; what a composite's normalizations are learnt from, too."""
        scorer = job.rewards.scorer
        unfitted = isinstance(scorer, CompositeReward) and not scorer.fitted
        tasks = job.held_out or (job.tasks.tasks[:MOST_HELD_OUT] if unfitted else [])
        if not tasks:
            return
        answers = job.answer(tasks, seed=self.config.seed)
        if unfitted:
            job.rewards.fit([t.prompt.prompt for t in tasks], answers.texts, [t.prompt.reference for t in tasks])
            self.say(f"the reward's normalizations are learnt from {len(tasks)} answers of the start")
        if job.held_out:
            job.start = answers, job.reward(tasks, answers.texts)

    # -- after ---------------------------------------------------------------------------------------------------

    def _finish(self, job: Job, wins: WinRates | None) -> RLResult:
        config, records = self.config, job.journal.records
        reward = wins.scorers[REWARD] if wins else None
        gold = {name: own for name, own in wins.scorers.items() if name != REWARD} if wins else {}
        last = records[-1] if records else {}
        steps = int(last.get("step", job.steps))
        result = RLResult(
            output=config.output_dir,
            algorithm=config.algorithm,
            backend=config.backend,
            policy=config.model_name,
            reward=described(config),
            steps=steps,
            episodes=int(last.get("episodes", steps * config.batch_size)),
            stopped_early=steps < job.steps,
            reward_start=reward.start if reward else None,
            reward_final=reward.final if reward else None,
            gold_start={name: own.start for name, own in gold.items()},
            gold_final={name: own.final for name, own in gold.items()},
            kl=last.get("kl"),
            length=last.get("length"),
            win_rates=wins,
            warnings=list(job.journal.warnings),
            records=records,
        )
        if processes(self.config.device).is_main_process:
            self._save(job, result)
        return result

    def _win_rates(self, job: Job) -> WinRates | None:
        """The trained policy's answers to the held-out prompts against those of the start."""
        if job.start is None:
            return None
        answers = job.answer(job.held_out, seed=self.config.seed)
        prompts = [task.prompt for task in job.held_out]
        known = [prompt.reference for prompt in prompts]
        return win_rates(
            [prompt.prompt for prompt in prompts],
            job.start[0].texts,
            answers.texts,
            {REWARD: job.rewards.scorer, **job.rewards.gold},
            references=known if any(reference is not None for reference in known) else None,
            length=lambda text: len(job.policy.tokenizer(text)["input_ids"]),
            unit="tokens",
        )

    def _save(self, job: Job, result: RLResult) -> None:
        config, run = self.config, job.folder
        with atomic_folder(run) as staging:
            job.policy.save(staging)
        unread = {"overwrite", "resume", *(["num_epochs"] if config.max_steps is not None else [])}
        values = json.loads(config.model_dump_json(exclude=unread, exclude_none=True, fallback=name_of))
        settings = self.settings.model_dump() if hasattr(self.settings, "model_dump") else {}
        values["options"] = {**settings, **config.options}
        atomic_text(run / "rl_config.yaml", yaml.safe_dump(values, sort_keys=False, allow_unicode=True))
        atomic_text(run / "results.json", json.dumps(result.to_dict(), indent=1, ensure_ascii=False) + "\n")
        write_report(
            run / "report.html",
            {
                "results": result.to_dict(),
                "records": result.records,
                "samples": job.journal.samples,
                "warnings": result.warnings,
                "win_rates": result.win_rates,
                "config": values,
            },
        )
        (run / START).unlink(missing_ok=True)
        if config.save_steps is None:
            for checkpoint in run.glob("checkpoint-*"):
                shutil.rmtree(checkpoint)
        publish(run, config.output_dir)

    def _clean_up(self) -> None:
        """Removes a run's folder without anything to go on with."""
        run = self.config.run_folder
        ours = (self.job is not None or not self.config.resume) and processes(self.config.device).is_main_process
        if ours and run.exists() and not any(run.glob("checkpoint-*")):
            shutil.rmtree(run, ignore_errors=True)


def _settings(config: RLConfig) -> dict[str, Any]:
    """What decides what is learnt, as plain JSON."""
    values = json.loads(config.model_dump_json(exclude=FREE, fallback=_signature))
    return {name: value for name, value in values.items() if value is not None}


def _signature(value: Any) -> str:
    return name_of(value) if hasattr(value, "score") else repr(value)


def _silent(line: str) -> None:
    """What another rank has to say."""
