"""Several processes take the steps of one: DDP and FSDP2 on two gloo processes, and the files to launch them with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from accelerate import FullyShardedDataParallelPlugin
from accelerate.utils import DistributedType
from distributed_worker import pairs, settings
from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

import plaudit
from plaudit import RewardModel, RewardTrainer
from plaudit.errors import ConfigError
from plaudit.training.sharding import check_sharding, in_step

TESTS = Path(__file__).parents[1]
WORKER = Path(__file__).with_name("distributed_worker.py")
CONFIGS = Path(plaudit.__file__).parent / "configs"
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]

RUNS: dict[str, dict[str, Any]] = {
    "short": {"size": 22},  # 6 steps an epoch, the last of 2 pairs
    "empty": {"size": 21},  # the last of 1 pair: the second rank has none
    "accumulated": {"size": 43, "gradient_accumulation_steps": 2},
}
ADAM = {"size": 13, "optim": "adamw_torch", "learning_rate": 0.001, "save_strategy": "epoch"}


def launch(processes: int, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in so many processes on the CPU."""
    paths = os.pathsep.join([str(TESTS), str(Path(plaudit.__file__).parents[1])])
    several = [*TORCHRUN, str(processes)] if processes > 1 else []
    return subprocess.run(
        [sys.executable, *several, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": paths} | environment,
        capture_output=True,
        text=True,
        timeout=600,
    )


def train(processes: int, model: Path, out: Path, runs: dict[str, dict[str, Any]], **more: Any) -> Path:
    """Trains each run with four pairs in all processes' batch; returns the folder of the results."""
    out.mkdir(parents=True, exist_ok=True)
    sized = {name: {"per_device_train_batch_size": 4 // processes} | values for name, values in runs.items()}
    plan = out / "plan.json"
    plan.write_text(json.dumps({"model": str(model), "out": str(out), "runs": sized} | more), encoding="utf-8")
    done = launch(processes, str(WORKER), str(plan))
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def alone(saved: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(1, saved("llama", "reward"), tmp_path_factory.mktemp("alone"), RUNS)


@pytest.fixture(scope="module")
def ddp(saved: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(2, saved("llama", "reward"), tmp_path_factory.mktemp("ddp"), RUNS | {"adam": ADAM})


@pytest.fixture(scope="module")
def fsdp(saved: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = RUNS | {"adam": ADAM, "half": {"size": 13, "bf16": True}}
    return train(2, saved("llama", "reward"), tmp_path_factory.mktemp("fsdp"), runs, fsdp=True, save=True)


def log_of(folder: Path, name: str) -> list[dict[str, float]]:
    log: list[dict[str, float]] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))["log"]
    return log


def tensors_of(folder: Path, name: str) -> dict[str, Any]:
    tensors: dict[str, Any] = torch.load(folder / f"{name}.pt", weights_only=True)
    return tensors


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
@pytest.mark.parametrize("name", list(RUNS))
def test_two_processes_take_the_steps_of_one(kind: str, name: str, alone: Path, request: pytest.FixtureRequest) -> None:
    several = request.getfixturevalue(kind)
    ours, theirs = log_of(several, name), log_of(alone, name)
    assert sum("loss" in entry for entry in theirs) >= 10
    assert [entry["step"] for entry in ours] == [entry["step"] for entry in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        same = {k: v for k, v in other.items() if not any(part in k for part in ("second", "time", "flos", "memory"))}
        assert {k: mine[k] for k in same} == pytest.approx(same, abs=1e-5, rel=1e-5)
    mine, other = tensors_of(several, name), tensors_of(alone, name)
    plain = [{n.removeprefix("module."): g for n, g in step.items()} for step in mine["gradients"]]
    torch.testing.assert_close(plain, other["gradients"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(mine["weights"], other["weights"], atol=1e-6, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sharded_model_is_saved_whole_with_its_golden_scores(fsdp: Path) -> None:
    loaded = RewardModel.from_pretrained(fsdp / "short-saved", device="cpu")  # checks the golden scores
    assert loaded.contract is not None
    assert len(loaded.contract.golden) >= 7
    trained = tensors_of(fsdp, "short")["weights"]
    torch.testing.assert_close(dict(loaded.model.named_parameters()), trained, atol=0, rtol=0)
    said = json.loads((fsdp / "short.json").read_text(encoding="utf-8"))["score"]
    assert loaded.predict("apples?", "pears") == pytest.approx(said, abs=1e-6)
    assert not list(fsdp.glob(".*partial"))
    checkpoints = sorted((fsdp / "adam").glob("checkpoint-*"))
    assert len(checkpoints) == 2
    assert all(RewardModel.from_pretrained(folder, device="cpu").contract for folder in checkpoints)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_rewards_stay_float32_under_sharded_mixed_precision(fsdp: Path) -> None:
    held_out = [entry for entry in log_of(fsdp, "half") if "eval_loss" in entry]
    for entry in held_out:
        for name in ("eval_max_reward", "eval_min_reward"):
            assert entry[name] != torch.tensor(entry[name]).bfloat16().item()
    assert RewardModel.from_pretrained(fsdp / "half-saved", device="cpu").dtype == "float32"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [False, True], ids=["ddp", "fsdp"])
def test_an_interrupted_run_of_two_processes_resumes_to_the_same_weights(
    kind: bool, saved: Callable[[str, str], Path], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    through = request.getfixturevalue("fsdp" if kind else "ddp")
    runs = {"adam": ADAM | {"resume": str(through / "adam/checkpoint-4")}}
    again = train(2, saved("llama", "reward"), tmp_path, runs, fsdp=kind)
    mine, other = (tensors_of(folder, "adam")["weights"] for folder in (again, through))
    torch.testing.assert_close(mine, other, atol=1e-6, rtol=1e-5)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        {"prompt": f"question {i} ?", "chosen": "apples " * (i % 7 + 1) + "good", "rejected": "bad " * (i % 5 + 1)}
        for i in range(30)
    ]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return tmp_path / "pairs.jsonl"


def command(model: Path, data: Path, output: Path, processes: int, *more: str) -> subprocess.CompletedProcess[str]:
    options = f"--device cpu --test-fraction 0.2 --epochs 2 --learning-rate 0.01 --batch-size {4 // processes} --json"
    settings = "--set training.bf16=false --set training.logging_steps=1 --set training.optim=sgd"
    inputs = ["--model", str(model), "--data", str(data), "--output", str(output)]
    return launch(processes, "-m", "plaudit", "train", *inputs, *options.split(), *settings.split(), *more)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_torchrun_of_the_command_writes_one_folder_once(
    saved: Callable[[str, str], Path], table: Path, tmp_path: Path
) -> None:
    one, two = (command(saved("llama", "reward"), table, tmp_path / f"rm-{n}", n) for n in (1, 2))
    assert (one.returncode, two.returncode) == (0, 0), one.stderr + two.stderr
    first, second = json.loads(one.stdout), json.loads(two.stdout)  # one document: one process speaks
    assert second["evaluation"]["pairs"] == first["evaluation"]["pairs"]
    assert second["evaluation"]["accuracy"] == first["evaluation"]["accuracy"]
    assert second["evaluation"]["margin"] == pytest.approx(first["evaluation"]["margin"], abs=1e-5)
    assert two.stderr.count("settings:") == two.stderr.count("held out by prompt") == two.stderr.count("next:") == 1
    assert {p.name for p in (tmp_path / "rm-2").iterdir()} == {p.name for p in (tmp_path / "rm-1").iterdir()}
    assert not list(tmp_path.glob("*partial*"))
    assert all(check.passed for check in RewardModel.from_pretrained(tmp_path / "rm-2", device="cpu").check_golden())
    refused = command(saved("llama", "reward"), table, tmp_path / "rm-2", 2)
    assert refused.returncode != 0
    assert refused.stderr.count("exists already") == 1


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_run_of_several_processes_resumes_through_the_command(
    saved: Callable[[str, str], Path], table: Path, tmp_path: Path
) -> None:
    keep = [f"--set=training.{value}" for value in ("save_strategy=steps", "save_steps=4", "save_total_limit=9")]
    whole = command(saved("llama", "reward"), table, tmp_path / "whole", 2, *keep)
    assert whole.returncode == 0, whole.stderr
    partial = tmp_path / "again.partial"
    partial.mkdir()
    (tmp_path / "whole/checkpoint-4").rename(partial / "checkpoint-4")
    resumed = command(saved("llama", "reward"), table, tmp_path / "again", 2, *keep, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "resuming from checkpoint-4" in resumed.stderr
    a, b = (RewardModel.from_pretrained(tmp_path / name, device="cpu") for name in ("whole", "again"))
    assert a.predict("a ?", "good") == pytest.approx(b.predict("a ?", "good"), abs=1e-6)


# -- in one process --------------------------------------------------------------------------------------------------


def accelerator(kind: DistributedType, processes: int, busiest: int = 0, **state: Any) -> Any:
    """What the sharding module asks of an accelerator."""
    return SimpleNamespace(
        distributed_type=kind,
        num_processes=processes,
        device=torch.device("cpu"),
        gather=lambda counts: torch.tensor([int(counts), busiest]),
        gradient_state=SimpleNamespace(plugin_kwargs=state.pop("gradient", {})),
        state=SimpleNamespace(**state),
    )


def micro_batches(count: int) -> list[dict[str, torch.Tensor]]:
    return [{"input_ids": torch.ones(2, 3 + i), "counted": torch.ones(2)} for i in range(count)]


@pytest.mark.parametrize(
    ("kind", "gradient"),
    [
        (DistributedType.FSDP, {}),
        (DistributedType.DEEPSPEED, {}),
        (DistributedType.MULTI_GPU, {"sync_each_batch": True}),
    ],
)
def test_ranks_make_equally_many_passes_where_each_communicates(kind: Any, gradient: dict[str, bool]) -> None:
    batches = in_step(accelerator(kind, 2, busiest=5, gradient=gradient), micro_batches(3))
    assert [float(batch["counted"].sum()) for batch in batches] == [0, 0, 2, 2, 2]
    assert batches[0]["input_ids"].shape == (2, 3)  # the smallest stands in


def test_ddp_runs_its_own_micro_batches_only() -> None:
    assert len(in_step(accelerator(DistributedType.MULTI_GPU, 2, busiest=5), micro_batches(3))) == 3


@pytest.mark.parametrize(
    ("kind", "state", "message"),
    [
        (DistributedType.FSDP, {"fsdp_version": 1}, "fsdp_version: expected 2"),
        (DistributedType.FSDP, {"fsdp_version": 2, "state_dict_type": "SHARDED_STATE_DICT"}, "FULL_STATE_DICT"),
        (DistributedType.DEEPSPEED, {"zero_stage": 3}, "stage3_gather_16bit_weights_on_model_save"),
    ],
)
def test_what_could_not_be_saved_is_refused_before_training(kind: Any, state: dict[str, Any], message: str) -> None:
    plugin = SimpleNamespace(hf_ds_config=SimpleNamespace(is_true=lambda key: False), **state)
    with pytest.raises(ConfigError, match=message):
        check_sharding(accelerator(kind, 2, fsdp_plugin=plugin, deepspeed_plugin=plugin))


def test_gathered_weights_are_saved_with_the_scores_they_give(
    saved: Callable[[str, str], Path], tmp_path: Path
) -> None:
    trainer = RewardTrainer(
        str(saved("llama", "reward")), settings(tmp_path / "run"), train_dataset=pairs(4, 0), eval_dataset=pairs(4, 1)
    )
    gathered = {name: tensor * 1.5 for name, tensor in trainer.reward_model.model.state_dict().items()}
    trainer._save(str(tmp_path / "saved"), state_dict=gathered)
    loaded = RewardModel.from_pretrained(tmp_path / "saved", device="cpu")  # checks the golden scores
    torch.testing.assert_close(loaded.model.state_dict(), gathered, atol=0, rtol=0)
    assert loaded.predict("a", "b") != pytest.approx(trainer.reward_model.predict("a", "b"), abs=1e-3)


# -- the files ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("ddp", "MULTI_GPU"), ("fsdp2", "FSDP")])
def test_accelerate_reads_the_configuration_files(name: str, kind: str) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(CONFIGS / f"accelerate/{name}.yaml"))
    assert config.distributed_type == kind
    assert config.num_processes == 4


def test_the_fsdp_file_passes_our_own_check(monkeypatch: pytest.MonkeyPatch) -> None:
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(CONFIGS / "accelerate/fsdp2.yaml")).fsdp_config
    for key, value in config.items():
        monkeypatch.setenv(key.upper(), str(value).lower() if isinstance(value, bool) else str(value))
    plugin = FullyShardedDataParallelPlugin()
    assert plugin.fsdp_version == 2
    assert plugin.reshard_after_forward is True
    check_sharding(accelerator(DistributedType.FSDP, 2, fsdp_plugin=plugin))


@pytest.mark.parametrize("stage", [2, 3])
def test_transformers_fills_every_open_value_of_the_deepspeed_files(
    stage: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = deepspeed_rules(CONFIGS / f"deepspeed/zero{stage}.json", monkeypatch)
    args = settings(tmp_path, per_device_train_batch_size=4, bf16=True, max_grad_norm=0.5)
    network = SimpleNamespace(config=SimpleNamespace(hidden_size=32))
    config.trainer_config_process(args)
    config.trainer_config_finalize(args, network, num_training_steps=10)
    assert "auto" not in json.dumps(config.config)
    assert config.config["gradient_accumulation_steps"] == 1
    assert config.config["train_micro_batch_size_per_gpu"] == config.config["train_batch_size"] == 4
    assert config.config["gradient_clipping"] == 0.5
    assert config.config["bf16"]["enabled"] is True
    assert config.config["zero_optimization"]["stage"] == stage
    plugin = SimpleNamespace(zero_stage=stage, hf_ds_config=config)
    check_sharding(accelerator(DistributedType.DEEPSPEED, 2, deepspeed_plugin=plugin))


def deepspeed_rules(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """transformers' rules for DeepSpeed configurations, which need no deepspeed."""
    from accelerate.utils.deepspeed import HfDeepSpeedConfig
    from transformers.integrations import deepspeed

    class Rules(HfDeepSpeedConfig):  # type: ignore[misc]
        fill_match, fill_only = HfTrainerDeepSpeedConfig.fill_match, HfTrainerDeepSpeedConfig.fill_only
        is_auto = HfTrainerDeepSpeedConfig.is_auto
        trainer_config_process = HfTrainerDeepSpeedConfig.trainer_config_process
        trainer_config_finalize = HfTrainerDeepSpeedConfig.trainer_config_finalize
        mismatches: list[str] = []  # noqa: RUF012

    monkeypatch.setattr(deepspeed, "set_hf_deepspeed_config", lambda config: None)
    return Rules(str(path))
