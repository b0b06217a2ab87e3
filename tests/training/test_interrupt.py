"""Signals, kills and resuming: the weights of a run do not depend on how often it was stopped, nor where."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset, IterableDataset
from transformers import TrainerCallback

from plaudit import RewardConfig, RewardTrainer
from plaudit.errors import Interrupted, ModelError, OutputError
from plaudit.training.config import TrainConfig, load_config
from plaudit.training.interrupt import Stopper, stop_on_signals
from plaudit.training.run import TrainResult, run_training

WORDS = "apple bread cloud delta eagle flame grape house".split()


def rows(count: int = 24) -> list[dict[str, str]]:
    return [
        {
            "prompt": f"{WORDS[i % 8]} {i} ?",
            "chosen": f"apple {WORDS[(i * 5) % 8]} {WORDS[(i * 3) % 8]}",
            "rejected": f"house {WORDS[(i * 7) % 8]} {i}",
        }
        for i in range(count)
    ]


@pytest.fixture
def config(saved: Callable[[str, str], Path], tmp_path: Path) -> Callable[..., TrainConfig]:
    """18 pairs, 5 steps an epoch, dropout on; no checkpoints unless asked for."""
    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")

    def build(output: str, **values: Any) -> TrainConfig:
        fixed = {
            "data": str(data),
            "data.eval_fraction": 0.25,
            "model": str(saved("bert", "base")),
            "model.device": "cpu",
            "output": str(tmp_path / output),
            "training.max_steps": 8,
            "training.save_strategy": "no",
            "training.per_device_train_batch_size": 4,
            "training.learning_rate": 1e-3,
            "training.logging_steps": 1,
            "training.bf16": False,
            "training.disable_tqdm": True,
        }
        return load_config(None, fixed | values)

    return build


class Send(TrainerCallback):
    """Sends signals to this process at an event of a step."""

    def __init__(self, step: int, *signals: int, event: str = "on_step_begin") -> None:
        def send(args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == step:
                for number in signals:
                    os.kill(os.getpid(), number)
                    time.sleep(0.01)  # the handler runs between two instructions

        setattr(self, event, send)


@pytest.fixture(scope="module")
def finished() -> dict[str, TrainResult]:
    """Runs that nothing stopped, by what is special about them."""
    return {}


@pytest.fixture
def whole(finished: dict[str, TrainResult], config: Callable[..., TrainConfig]) -> Callable[..., TrainResult]:
    """``whole(**values)``: the run that nothing stopped, made once."""

    def run(**values: Any) -> TrainResult:
        key = json.dumps(values, sort_keys=True)
        if key not in finished:
            finished[key] = run_training(config("whole", **values))
        return finished[key]

    return run


def same_weights(one: TrainResult, other: TrainResult) -> bool:
    states = [result.model.model.state_dict() for result in (one, other)]
    return all(torch.equal(weight, states[1][name]) for name, weight in states[0].items())


def stop_and_resume(config: Callable[..., TrainConfig], send: Send, **values: Any) -> tuple[str, TrainResult]:
    """The line of the interruption, and the run that went on after it."""
    with pytest.raises(Interrupted) as stopped:
        run_training(config("rm", **values), callbacks=[send])
    return str(stopped.value), run_training(config("rm", **values, resume=True))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_leaves_a_checkpoint_and_a_clear_line(
    number: signal.Signals, config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    said: list[str] = []
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as stopped:
        run_training(config("rm"), callbacks=[Send(2, number)], say=said.append)
    run = tmp_path / "rm.partial"
    assert str(stopped.value) == (
        f"stopped by {number.name} at step 3 of 8; checkpoint-3 is saved in {run}; go on with resume (--resume)"
    )
    assert stopped.value.exit_code == 128 + number
    assert (run / "checkpoint-3/optimizer.pt").exists()
    assert not (tmp_path / "rm").exists()
    assert [line for line in said if line.startswith(f"{number.name}: the step ends")]
    assert signal.getsignal(number) is before


@pytest.mark.parametrize(
    ("step", "values"),
    [
        (2, {}),  # inside the first epoch
        (4, {}),  # the last step of an epoch, whose evaluation is still to come
        (5, {"training.eval_strategy": "steps", "training.eval_steps": 2}),  # a step that would be evaluated
        (7, {}),  # the last step of the run, inside an epoch
        (6, {"training.save_strategy": "steps", "training.save_steps": 2, "training.load_best_model_at_end": True}
         | {"training.eval_strategy": "steps", "training.eval_steps": 2}),
        (6, {"training.save_only_model": True}),
    ],
    ids=["mid-epoch", "end of epoch", "evaluated step", "last step", "best model", "weights only"],
)  # fmt: skip
def test_a_stopped_run_goes_on_to_the_same_weights(
    step: int, values: dict[str, Any], config: Callable[..., TrainConfig], whole: Callable[..., TrainResult]
) -> None:
    line, resumed = stop_and_resume(config, Send(step, signal.SIGTERM), **values)
    assert f"at step {step + 1} of 8" in line
    uninterrupted = whole(**values)
    assert same_weights(uninterrupted, resumed)
    histories = [
        json.loads((result.folder / "metrics.json").read_text(encoding="utf-8"))["training"]["history"]
        for result in (uninterrupted, resumed)
    ]
    figures = [[(e["step"], e["eval_loss"]) for e in history if "eval_loss" in e] for history in histories]
    assert figures[0] == figures[1]
    tokens = [[(e["step"], e["num_tokens"]) for e in history if "num_tokens" in e] for history in histories]
    assert tokens[0] == tokens[1]


@pytest.mark.parametrize("event", ["on_evaluate", "on_epoch_end", "on_train_end"])
def test_a_signal_between_two_steps_stops_as_well(
    event: str, config: Callable[..., TrainConfig], whole: Callable[..., TrainResult]
) -> None:
    step = 8 if event == "on_train_end" else 5
    line, resumed = stop_and_resume(config, Send(step, signal.SIGTERM, event=event))
    assert f"at step {step} of 8; checkpoint-{step} is saved" in line
    assert same_weights(whole(), resumed)


def test_a_run_can_be_stopped_again_and_again(
    config: Callable[..., TrainConfig], whole: Callable[..., TrainResult]
) -> None:
    for step in (1, 4, 6):
        with pytest.raises(Interrupted, match=f"at step {step + 1} of 8"):
            run_training(config("rm", resume=step > 1), callbacks=[Send(step, signal.SIGINT)])
    resumed = run_training(config("rm", resume=True))
    assert same_weights(whole(), resumed)
    assert not list(resumed.folder.glob("checkpoint-*"))  # none was asked for


def test_early_stopping_remembers_what_it_has_counted(
    config: Callable[..., TrainConfig], whole: Callable[..., TrainResult]
) -> None:
    values = {
        "training.early_stopping_patience": 2,
        "training.early_stopping_threshold": 1.0,  # nothing is ever better
        "training.eval_steps": 2,
        "training.save_strategy": "steps",
        "training.save_steps": 2,
    }
    _, resumed = stop_and_resume(config, Send(4, signal.SIGTERM), **values)
    steps = [
        json.loads((result.folder / "metrics.json").read_text(encoding="utf-8"))["training"]["steps"]
        for result in (whole(**values), resumed)
    ]
    assert steps[0] == steps[1] < 8
    assert same_weights(whole(**values), resumed)


def test_a_second_signal_interrupts_at_once(
    config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plaudit.training.interrupt.SETTLE_SECONDS", 0.0)
    with pytest.raises(Interrupted, match="at once by a second SIGINT"):
        run_training(config("rm"), callbacks=[Send(2, signal.SIGTERM, signal.SIGINT)])
    with pytest.raises(OutputError, match="nothing to resume"):
        run_training(config("rm", resume=True))


def test_the_same_signal_twice_in_a_moment_is_one(config: Callable[..., TrainConfig]) -> None:
    with pytest.raises(Interrupted, match="checkpoint-3 is saved"):
        run_training(config("rm"), callbacks=[Send(2, signal.SIGTERM, signal.SIGTERM)])


def test_a_checkpoint_without_its_optimizer_is_no_place_to_go_on_from(config: Callable[..., TrainConfig]) -> None:
    class Kill(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 3:
                raise KeyboardInterrupt

    values = {"training.save_strategy": "steps", "training.save_steps": 2, "training.save_only_model": True}
    with pytest.raises(KeyboardInterrupt):
        run_training(config("rm", **values), callbacks=[Kill()])
    with pytest.raises(ModelError, match="without the optimizer"):
        run_training(config("rm", **values, resume=True))


def test_what_a_killed_run_was_writing_is_cleared_away(config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run_training(config("rm"), callbacks=[Send(2, signal.SIGTERM)])
    run = tmp_path / "rm.partial"
    for litter in (run / ".checkpoint-5.x.partial", tmp_path / ".rm.partial.x.partial", run / "checkpoint-5"):
        litter.mkdir()
        (litter / "model.safetensors").write_bytes(b"half")
    (run / "checkpoint-5/trainer_state.json").write_text('{"epoch": 1', encoding="utf-8")
    (run / ".write").touch()
    resumed = run_training(config("rm", resume=True))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "rm"]
    assert not [path.name for path in resumed.folder.iterdir() if path.name.startswith((".", "checkpoint"))]


@pytest.fixture
def stream_trainer(saved: Callable[[str, str], Path], tmp_path: Path) -> Callable[..., RewardTrainer]:
    """A trainer on a shuffled stream of 18 pairs: 5 steps a pass, 12 steps."""

    def build(name: str, *callbacks: TrainerCallback) -> RewardTrainer:
        args = RewardConfig(
            str(tmp_path / name),
            max_steps=12,
            save_strategy="no",
            per_device_train_batch_size=4,
            learning_rate=1e-3,
            disable_dropout=False,
            logging_steps=1,
            report_to="none",
            bf16=False,
            use_cpu=True,
            disable_tqdm=True,
        )
        data: IterableDataset = Dataset.from_list(rows(18)).to_iterable_dataset().shuffle(seed=0, buffer_size=8)
        return RewardTrainer(str(saved("bert", "reward")), args, train_dataset=data, callbacks=list(callbacks))

    return build


@pytest.mark.parametrize("step", [3, 6, 9])
def test_a_stream_goes_on_in_the_pass_where_it_was(
    step: int, stream_trainer: Callable[..., RewardTrainer], tmp_path: Path
) -> None:
    whole = stream_trainer("whole")
    whole.train()
    stopped = stream_trainer("stopped", Send(step - 1, signal.SIGTERM))
    with pytest.raises(Interrupted), stop_on_signals(stopped, lambda line: None, stopped._over_ranks):
        stopped.train()
    resumed = stream_trainer("resumed")
    resumed.train(resume_from_checkpoint=str(tmp_path / f"stopped/checkpoint-{step}"))
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name


def test_in_another_thread_the_signals_are_left_alone(stream_trainer: Callable[..., RewardTrainer]) -> None:
    trainer, seen = stream_trainer("rm"), []
    before = signal.getsignal(signal.SIGTERM)

    def work() -> None:
        with stop_on_signals(trainer, lambda line: None, trainer._over_ranks):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_an_ignored_signal_stays_ignored(stream_trainer: Callable[..., RewardTrainer]) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        trainer = stream_trainer("rm")
        with stop_on_signals(trainer, lambda line: None, trainer._over_ranks):
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_all_ranks_stop_with_the_one_that_has_the_signal() -> None:
    """Two stoppers whose sums meet, as over ranks: the second one has no signal of its own."""
    ranks = [Stopper(lambda line: None, lambda value: value + 1), Stopper(lambda line: None, lambda value: value + 0)]
    assert [rank.wanted() for rank in ranks] == [True, False]
    assert ranks[0].signal is None


def test_a_forked_worker_leaves_the_decision_to_its_parent() -> None:
    stopper = Stopper(lambda line: None, lambda value: value)
    stopper.owner = -1  # as seen from a worker
    stopper.receive(signal.SIGINT, None)
    assert stopper.signal is None


# -- processes -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_twenty_kills_all_resume_to_the_same_weights(saved: Callable[[str, str], Path], tmp_path: Path) -> None:
    data, runs = tmp_path / "pairs.jsonl", tmp_path / "runs"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    runs.mkdir()
    script = Path(__file__).with_name("killed_run.py")
    arguments = [str(saved("bert", "base")), str(data), str(runs), "20"]
    done = subprocess.run([sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=1100)
    assert done.returncode == 0, done.stderr
    kills = json.loads(done.stdout)["kills"]
    assert len(kills) == 20
    assert [kill for kill in kills if not kill["same"] or "litter" in kill["left"]] == []
    assert sum(kill["left"].startswith("exit -9") for kill in kills) >= 15  # the others had ended by then


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["loading", "training"])
def test_sigterm_ends_the_command_with_one_line_and_clean_folders(
    moment: str, saved: Callable[[str, str], Path], tmp_path: Path
) -> None:
    data, scratch = tmp_path / "pairs.jsonl", tmp_path / "scratch"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    scratch.mkdir()
    arguments = ["--data", data, "--model", saved("bert", "base"), "--output", tmp_path / "rm", "--max-steps", "100000"]
    command = [sys.executable, "-m", "plaudit", "train", *map(str, arguments), "--device", "cpu"]
    lines = []
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(scratch), "COLUMNS": "80"}
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line)
            if line.startswith("step 3/" if moment == "training" else "settings:"):
                process.send_signal(signal.SIGTERM)
    assert process.returncode == 128 + signal.SIGTERM, lines
    wanted = r"error: stopped by SIGTERM at step \d+ of 100000; checkpoint-\d+ is saved in .*rm.partial; go on with"
    other = "error: stopped by SIGTERM; if it had come to a checkpoint, --resume goes on from there"
    assert re.match(wanted if moment == "training" else other, lines[-1]), lines
    assert list(scratch.glob("plaudit-*")) == []
