"""The loop of PPO: answer, reward, learn; checkpoints, signals, several processes.

Every step is a function of the weights, the optimizer, the KL price and the step's number: sampling and shuffling are
seeded by it. So a run that is killed and resumed gives the curve of one that was not.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import Tensor
from transformers import PreTrainedModel, get_scheduler

from plaudit.errors import ConfigError, Interrupted, ModelError, PlauditError
from plaudit.files import atomic_folder
from plaudit.metrics.repetition import repetition
from plaudit.rl.config import RLConfig
from plaudit.rl.job import ALGORITHMS, Job, Task, on_all_ranks, say_where_saved
from plaudit.rl.policy import Answers
from plaudit.rl.ppo.actor_critic import ActorCritic, Batch, make_critic, read_log_probs
from plaudit.rl.ppo.arithmetic import AdaptiveKL, RewardScale
from plaudit.rl.ppo.rollout import Rollout, explained_variance, read, with_advantages
from plaudit.rl.ppo.settings import PPOSettings
from plaudit.rl.ppo.update import update
from plaudit.rl.rewards import Rewarded
from plaudit.training.config import make_config
from plaudit.training.interrupt import Stopper, receiving

__all__ = ["PPOTrainer"]

LEARNING_RATE = 1e-5
STATE = "ppo_state.pt"


class PPO:
    """PPO as a registered algorithm."""

    backends: tuple[str, ...] = ("trl", "unsloth")

    def settings(self, options: dict[str, Any], config: RLConfig) -> PPOSettings:
        try:
            return make_config(options, PPOSettings)
        except ConfigError as error:
            raise ConfigError(f"options of ppo: {error}") from error

    def train(self, job: Job) -> Callable[[], Path]:
        trainer = PPOTrainer(job)
        trainer.train()
        return trainer.save


ALGORITHMS.register("ppo")(PPO())


def _checkpoint_activations(network: PreTrainedModel) -> None:
    """Less memory, more computing; older releases of transformers call the method otherwise."""
    enable = getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
    enable({"use_reentrant": False})


class PPOTrainer:
    """Trains the policy of a job by PPO.

    Args:
        job: the run; its settings are `PPOSettings`.

    Raises:
        ConfigError: a batch that the processes cannot share, or fewer prompts than mini-batches.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.settings = job, job.settings
        config, policy = job.config, job.policy
        half = policy.device.type == "cuda" and torch.cuda.is_bf16_supported()
        AcceleratorState._reset_state()  # of a training before this one, whose number format it would keep
        self.accelerator = Accelerator(cpu=policy.device.type == "cpu", mixed_precision="bf16" if half else "no")
        ranks = self.accelerator.num_processes
        if config.batch_size % ranks:
            raise ConfigError(f"batch_size {config.batch_size} cannot be shared by {ranks} processes; give a multiple")
        self.local_batch = config.batch_size // ranks
        if self.local_batch % self.settings.mini_batches:
            raise ConfigError(
                f"mini_batches {self.settings.mini_batches} does not divide the {self.local_batch} prompts of a "
                "process's step; choose a divisor"
            )
        self.scale = RewardScale(self.settings.normalize_rewards, self.settings.clip_rewards)
        if job.start is not None:
            self._see(job.start[1].total, everywhere=False)
        self.kl = AdaptiveKL(self.settings.kl_coef, self.settings.kl_target, self.settings.kl_gain)
        # the start, for KL: a frozen copy, or the adapted policy with its adapter switched off
        self.reference: PreTrainedModel | None = policy.frozen_copy() if policy.adapter is None else None
        critic, told = make_critic(self.settings.critic, policy, job.rewards.scorer, self.scale, config.lora)
        job.say(told)
        self.actor_critic = ActorCritic(policy, critic, config.temperature)
        if config.gradient_checkpointing:
            for network in (policy.model, getattr(critic, "backbone", None)):
                if network is not None:
                    _checkpoint_activations(network)
            self.actor_critic.train()  # transformers checkpoints in this mode only; there is no dropout
        self.optimizer = self._optimizer(config.learning_rate or LEARNING_RATE)
        self.scheduler = get_scheduler(
            self.settings.lr_scheduler,
            self.optimizer,
            num_warmup_steps=self.settings.warmup_steps,
            num_training_steps=job.steps,
        )
        self.module = self.accelerator.prepare_model(self.actor_critic)
        self.step = 0

    # -- the loop ------------------------------------------------------------------------------------------------

    def train(self) -> None:
        """All steps that are left.

        Raises:
            Interrupted: a signal came; a checkpoint is saved.
            PlauditError: the rewards failed for good; a checkpoint is saved.
        """
        job = self.job
        if job.checkpoint is not None:
            self._load(job.checkpoint)
        else:
            job.take_samples(0)
        stopper = Stopper(job.say, self._sum)
        with receiving(stopper):
            while self.step < job.steps:
                try:
                    record, finished = self._one_step(), False
                    self.step += 1
                    job.journal.record(record)
                    if self.step % job.sample_steps == 0 or self.step == job.steps:
                        on_all_ranks(lambda: job.take_samples(self.step))
                except PlauditError as error:
                    say_where_saved(error, self.save())
                    raise
                if job.config.stop_on_hacking and self._sum(float(job.journal.hacking)) > 0:
                    job.say(f"stopped at step {self.step}: a gold scorer falls while the reward rises")
                    finished = True
                every = job.config.save_steps
                if every is not None and self.step % every == 0 and not finished and self.step < job.steps:
                    self.save()
                if finished:
                    break
                if self.step < job.steps and stopper.wanted():
                    folder = self.save()
                    number = stopper.signal
                    assert number is not None or self.accelerator.num_processes > 1
                    name = number.name if number is not None else "a signal"
                    raise Interrupted(
                        number or 15,
                        f"stopped by {name} at step {self.step} of {job.steps}; {folder.name} is saved in "
                        f"{folder.parent}; go on with resume (--resume)",
                    )

    def _one_step(self) -> dict[str, Any]:
        job, settings, began = self.job, self.settings, time.monotonic()
        rank = self.accelerator.process_index
        tasks = job.tasks.step(self.step, job.config.batch_size)[rank :: self.accelerator.num_processes]
        with self.accelerator.autocast():  # as every forward below, so that one policy samples and learns
            answers = job.answer(tasks, seed=self._seed(rank), batch_size=settings.rollout_batch_size)
        sampled = time.monotonic()
        rewarded = on_all_ranks(lambda: job.reward(tasks, answers.texts))
        self._see(rewarded.total, everywhere=True)
        scored = time.monotonic()
        rollout = self._rollout(answers, rewarded)
        figures = update(
            self.module,
            self.optimizer,
            rollout,
            settings,
            self.accelerator,
            pad=job.policy.pad_id,
            seed=self._seed(0),
        )
        rate = self.scheduler.get_last_lr()[0]
        self.scheduler.step()
        record = self._figures(tasks, answers, rewarded, rollout) | figures | {"learning_rate": rate}
        self.kl.update(record["kl"])
        now = time.monotonic()
        return record | {
            "seconds": now - began,
            "seconds_sampling": sampled - began,
            "seconds_rewarding": scored - sampled,
            "seconds_learning": now - scored,
        }

    def _rollout(self, answers: Answers, rewarded: Rewarded) -> Rollout:
        settings, policy = self.settings, self.job.policy
        rollout = read(
            answers,
            self.module,
            self._start_log_probs,
            pad=policy.pad_id,
            device=policy.device,
            batch_size=settings.rollout_batch_size,
        )
        scores = self.scale(torch.tensor(rewarded.total, dtype=torch.float32))
        scores = scores - settings.missing_eos_penalty * ~torch.tensor(answers.ended)
        with_advantages(
            rollout,
            scores.to(policy.device),
            kl_coef=self.kl.coefficient,
            gamma=settings.gamma,
            lam=settings.gae_lambda,
            whiten=settings.whiten_advantages,
            over_ranks=lambda value: self.accelerator.reduce(value, reduction="sum"),  # type: ignore[arg-type,return-value]
        )
        return rollout

    def _start_log_probs(self, batch: Batch) -> Tensor:
        policy = self.job.policy
        with self.accelerator.autocast():
            if self.reference is not None:
                return read_log_probs(self.reference, batch, self.job.config.temperature)
            with policy.as_reference():
                return read_log_probs(policy.trained, batch, self.job.config.temperature)

    # -- figures -------------------------------------------------------------------------------------------------

    def _figures(self, tasks: list[Task], answers: Answers, rewarded: Rewarded, rollout: Rollout) -> dict[str, Any]:
        """Means over the step's answers on all ranks."""
        kl = rollout.kl.sum(1)
        own = rewarded.figures()
        parts, gold = own.pop("parts"), own.pop("gold")
        local: dict[str, float] = {
            **own,
            "kl": float(kl.mean()),
            "length": float(rollout.mask.sum(1).float().mean()),
            "repetition": float(np.mean([repetition(text) for text in answers.texts])),
            "eos_share": float(np.mean(answers.ended)),
            # of the policy that gave the answers, estimated by what it drew: -E[log pi]
            "entropy": float(-(rollout.log_probs.sum(1) / rollout.mask.sum(1)).mean()),
            "explained_variance": explained_variance(rollout),
        }
        ranks = self.accelerator.num_processes
        record: dict[str, Any] = {"step": self.step + 1, "episodes": (self.step + 1) * self.job.config.batch_size}
        record |= {name: self._sum(value) / ranks for name, value in local.items()}
        record |= {"kl_coef": self.kl.coefficient}
        record["parts"] = {name: self._sum(value) / ranks for name, value in parts.items()}
        record["gold"] = {name: self._sum(value) / ranks for name, value in gold.items()}
        return record

    def _see(self, scores: np.ndarray[Any, np.dtype[np.float64]], *, everywhere: bool) -> None:
        """Takes rewards into the scale: those of all ranks, or such as every rank has."""
        add: Callable[[float], float] = self._sum if everywhere else float
        count = add(float(len(scores)))
        mean = add(float(scores.sum())) / count
        self.scale.see(count, mean, add(float(((scores - mean) ** 2).sum())))

    def _sum(self, value: float) -> float:
        if self.accelerator.num_processes == 1:
            return value
        tensor = torch.tensor(value, dtype=torch.float64, device=self.accelerator.device)
        return float(self.accelerator.reduce(tensor, reduction="sum"))

    # -- optimizer and checkpoints -------------------------------------------------------------------------------

    def _optimizer(self, rate: float) -> torch.optim.Optimizer:
        critic = {id(p) for p in self.actor_critic.critic.parameters()}
        trained = [p for p in self.actor_critic.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if id(p) not in critic], "lr": rate},
            {"params": [p for p in trained if id(p) in critic], "lr": self.settings.value_learning_rate or rate},
        ]
        return torch.optim.AdamW(groups, weight_decay=self.settings.weight_decay, eps=1e-5)

    def _seed(self, rank: int) -> int:
        return int(np.random.default_rng([self.job.config.seed, self.step, rank]).integers(2**31))

    def save(self) -> Path:
        """A checkpoint of where the run is; returns its folder."""
        folder = self.job.folder / f"checkpoint-{self.step}"
        if self.accelerator.is_main_process and not folder.exists():
            with atomic_folder(folder) as staging:
                state = {
                    "trained": self.actor_critic.state(),
                    "optimizer": self.optimizer.state_dict(),
                    "scheduler": self.scheduler.state_dict(),
                    "kl_coef": self.kl.coefficient,
                    "scale": self.scale.state(),
                    "lowest": self.job.rewards.lowest,
                }
                torch.save(state, staging / STATE)
                (staging / "trainer_state.json").write_text(json.dumps({"global_step": self.step}))
        self.accelerator.wait_for_everyone()
        return folder

    def _load(self, folder: Path) -> None:
        try:
            state = torch.load(folder / STATE, map_location=self.job.policy.device, weights_only=True)
        except (OSError, RuntimeError, ValueError) as error:
            raise ModelError(f"{folder} is damaged ({' '.join(str(error).split())[:200]}); remove it") from error
        self.actor_critic.load(state["trained"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.kl.coefficient = state["kl_coef"]
        self.scale.load(state["scale"])
        self.job.rewards.lowest = state["lowest"]
        self.step = json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))["global_step"]
