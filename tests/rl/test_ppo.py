"""PPO on tiny models: padding is invisible, the first ratios are 1, a resumed run is the same run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from letters import PROMPTS, FailsOnce, Letters
from safetensors.torch import load_file

from plaudit.errors import ConfigError, Interrupted, PlauditError, ScoreError
from plaudit.models.ensemble import Ensemble
from plaudit.models.reward_model import RewardModel
from plaudit.rl.policy import load_policy
from plaudit.rl.ppo.actor_critic import ActorCritic, Batch, make_critic
from plaudit.rl.ppo.arithmetic import RewardScale
from plaudit.rl.ppo.trainer import PPOTrainer
from plaudit.rl.run import RLTrainer

Make = Callable[..., RLTrainer]
Saved = Callable[[str, str], Path]
TIMES = ("seconds", "seconds_sampling", "seconds_rewarding", "seconds_learning")


def records(trainer: RLTrainer) -> list[dict[str, Any]]:
    assert trainer.job is not None
    return [{k: v for k, v in record.items() if k not in TIMES} for record in trainer.job.journal.records]


@pytest.mark.parametrize("family", ["qwen3", "llama", "gpt2"])
def test_log_probabilities_and_values_do_not_see_the_padding(saved: Saved, family: str) -> None:
    policy = load_policy(saved(family, "base"))
    scale = RewardScale("none")
    critic, _ = make_critic("policy", policy, Letters(), scale, None)
    torch.nn.init.normal_(critic.head.weight)
    module = ActorCritic(policy, critic, temperature=0.7).eval()
    prompts = [policy.render(prompt) for prompt in PROMPTS]
    answers = [[7, 8, 9], [5], [11, 12, 13, 14, 15], [6, 7]]
    with torch.no_grad():
        together, values = module(Batch(prompts, answers, policy.pad_id, "cpu"))
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            plain = policy.model(input_ids=torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1]
            expected = torch.log_softmax(plain / 0.7, -1)[torch.arange(len(answer)), answer]
            torch.testing.assert_close(together[row, : len(answer)], expected, atol=1e-5, rtol=1e-5)
            alone = module(Batch([prompt], [answer], policy.pad_id, "cpu"))[1]
            torch.testing.assert_close(values[row, : len(answer)], alone[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("qwen3", {}),
        ("gpt2", {"mini_batches": 2, "micro_batch_size": 1}),
        ("llama", {"critic": "shared"}),
        ("qwen3", {"lora": {"r": 4}, "critic": "policy"}),
    ],
)
def test_the_first_ratios_are_one_and_the_first_kl_is_zero(
    make_trainer: Make, family: str, options: dict[str, Any]
) -> None:
    trainer = make_trainer(family=family, max_steps=2, **options)
    trainer.train()
    first, second = records(trainer)
    assert first["first_ratio_error"] < 1e-5
    assert second["first_ratio_error"] < 1e-5
    assert abs(first["kl"]) < 1e-5
    assert abs(second["kl"]) > 1e-6


def test_gradients_do_not_depend_on_micro_batches(make_trainer: Make, tmp_path: Path) -> None:
    for size in (1, 3, 16):
        trainer = make_trainer(max_steps=2, micro_batch_size=size, output_dir=tmp_path / str(size))
        trainer.train()
    weights = [load_file(tmp_path / str(size) / "model.safetensors") for size in (1, 3, 16)]
    for name in weights[0]:
        for other in weights[1:]:
            torch.testing.assert_close(weights[0][name], other[name], atol=2e-5, rtol=1e-4)


def test_a_run_that_failed_resumes_to_the_same_curve_and_the_same_weights(make_trainer: Make, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_steps": 6, "kl_gain": 1.0, "normalize_rewards": "running", "sample_steps": 3}
    whole = make_trainer(output_dir=tmp_path / "whole", reward=FailsOnce(10**6), **options)
    whole.train()
    broken = make_trainer(output_dir=tmp_path / "broken", reward=FailsOnce(5), **options)
    with pytest.raises(ScoreError, match=r"the policy after step 3 is saved in .*checkpoint-3.*--resume"):
        broken.train()
    assert not (tmp_path / "broken").exists()
    resumed = make_trainer(output_dir=tmp_path / "broken", reward=FailsOnce(10**6), resume=True, **options)
    resumed.train()
    assert records(resumed) == records(whole)
    expected, found = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    log = [json.loads(line) for line in (tmp_path / "broken" / "log.jsonl").read_text().splitlines()]
    assert [record["step"] for record in log] == [1, 2, 3, 4, 5, 6]
    samples = [json.loads(line) for line in (tmp_path / "broken" / "samples.jsonl").read_text().splitlines()]
    assert samples == [json.loads(line) for line in (tmp_path / "whole" / "samples.jsonl").read_text().splitlines()]


def test_a_resumed_run_refuses_other_settings(make_trainer: Make, tmp_path: Path) -> None:
    with pytest.raises(PlauditError):
        make_trainer(reward=FailsOnce(3)).train()
    with pytest.raises(ConfigError, match=r"learning_rate \(was 0.001, now 0.1\)"):
        make_trainer(reward=FailsOnce(10**6), resume=True, learning_rate=0.1).train()


def test_an_adapted_policy_is_its_own_reference(make_trainer: Make, saved: Saved, tmp_path: Path) -> None:
    trainer = make_trainer(lora={"r": 4}, max_steps=3, learning_rate=1e-2)
    trainer.train()
    assert trainer.job is not None
    policy = trainer.job.policy
    start = load_policy(saved("qwen3", "base"))
    ids = torch.tensor([policy.render(PROMPTS[0])])
    with torch.no_grad():
        with policy.as_reference():
            torch.testing.assert_close(policy.model(input_ids=ids).logits, start.model(input_ids=ids).logits)
        assert not torch.allclose(policy.model(input_ids=ids).logits, start.model(input_ids=ids).logits)
    assert (tmp_path / "policy" / "adapter_config.json").is_file()


def test_a_critic_from_the_reward_model_begins_with_its_scores(saved: Saved, tmp_path: Path) -> None:
    model = RewardModel.from_pretrained(saved("qwen3", "reward"))
    model.save_pretrained(tmp_path / "reward")
    model = RewardModel.from_pretrained(tmp_path / "reward")
    policy = load_policy(saved("qwen3", "base"))
    scale = RewardScale("start")
    scale.see(4, 0.5, 4 * 0.25)  # mean 0.5, deviation 0.5
    critic, told = make_critic("auto", policy, model, scale, None)
    assert told == "values: a copy of the reward model"
    (rendered,) = model.renderer.render_batch([model_item(PROMPTS[0], "Paris.")], overlong="error")
    ids = list(rendered.input_ids)
    # V before a further token, read where the reward is read: the value of the text so far
    with torch.no_grad():
        value = critic(Batch([ids], [[5]], policy.pad_id, "cpu"))[0, 0]
    score = model.predict(PROMPTS[0], "Paris.")
    assert float(value) == pytest.approx((score - 0.5) / 0.5, abs=1e-4)


def model_item(prompt: str, response: str) -> Any:
    from plaudit.formatting import RenderItem

    return RenderItem(prompt, response)


def test_a_critic_from_a_reward_that_cannot_be_one_is_refused(saved: Saved, make_trainer: Make) -> None:
    with pytest.raises(ConfigError, match="critic 'reward_model': the reward is no single reward model but a Letters"):
        make_trainer(critic="reward_model").train()
    model = RewardModel.from_pretrained(saved("gpt2", "reward"))
    with pytest.raises(ConfigError, match="another tokenizer than the policy"):
        make_trainer(critic="reward_model", reward=model).train()


def test_gradient_checkpointing_changes_nothing_but_is_used(make_trainer: Make, tmp_path: Path) -> None:
    weights = []
    for checkpointing in (False, True):
        output = tmp_path / str(checkpointing)
        trainer = make_trainer(output_dir=output, gradient_checkpointing=checkpointing, max_steps=2)
        trainer.train()
        assert trainer.job is not None
        modules = trainer.job.policy.model.modules()
        assert any(getattr(module, "gradient_checkpointing", False) for module in modules) == checkpointing
        assert trainer.job.policy.model.training == checkpointing
        weights.append(load_file(output / "model.safetensors"))
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], atol=1e-5, rtol=1e-4)


def test_reward_models_with_another_tokenizer_score_texts(make_trainer: Make, saved: Saved) -> None:
    model = RewardModel.from_pretrained(saved("bert", "reward"))
    trainer = make_trainer(reward=model, max_steps=1, eval_prompts=2)
    result = trainer.train()
    assert trainer.job is not None
    assert trainer.job.start is not None
    answers, rewarded = trainer.job.start
    prompts = [task.prompt.prompt for task in trainer.job.held_out]
    np.testing.assert_allclose(rewarded.total, model.score(prompts, answers.texts), atol=1e-5)
    assert result.reward_start == pytest.approx(rewarded.total.mean(), abs=1e-5)


def test_the_reward_rises_in_a_few_dozen_steps(make_trainer: Make) -> None:
    trainer = make_trainer(max_steps=60, learning_rate=3e-3, batch_size=8, kl_target=None, kl_coef=0.0)
    result = trainer.train()
    rewards = [record["reward"] for record in result.records]
    assert np.mean(rewards[-10:]) > np.mean(rewards[:10]) + 0.5


def test_an_answer_that_does_not_end_is_penalised(make_trainer: Make) -> None:
    plain, penalised = make_trainer(), make_trainer(missing_eos_penalty=2.0, overwrite=True)
    found = []
    for trainer in (plain, penalised):
        trainer.setup_trainer()
        assert trainer.job is not None
        job = trainer.job
        ppo = PPOTrainer(job)
        tasks = job.tasks.step(0, 4)
        answers = job.answer(tasks, seed=1)
        answers.ended = [True, False, True, True]
        rewarded = job.reward(tasks, answers.texts)
        ppo._see(rewarded.total, everywhere=True)
        found.append((answers, ppo._rollout(answers, rewarded)))
    last = [len(ids) - 1 for ids in found[0][0].ids]
    change = found[1][1].returns - found[0][1].returns
    assert float(change[1, last[1]]) == pytest.approx(-2.0, abs=1e-5)
    assert float(change[0, last[0]]) == pytest.approx(0.0, abs=1e-5)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"mini_batches": 3}, "mini_batches 3 does not divide the 4 prompts"),
        ({"kl_coef": 0.0}, "kl_target steers kl_coef by factors"),
        ({"clip_rewards": 1.0, "normalize_rewards": "none"}, "clip_rewards counts deviations"),
        ({"cliprange": 2.0}, "cliprange"),
        ({"critic": "shared", "value_learning_rate": 1e-4}, "value_learning_rate has no effect with a shared critic"),
    ],
)
def test_settings_that_cannot_work_are_refused(make_trainer: Make, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_trainer(**options).train()


def test_a_signal_ends_the_step_saves_and_says_how_to_go_on(make_trainer: Make, tmp_path: Path) -> None:
    def interrupt(record: Any) -> None:
        if record["step"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

    whole = make_trainer(output_dir=tmp_path / "whole", reward=Letters())
    whole.train()
    with pytest.raises(Interrupted, match="stopped by SIGINT at step 2 of 4; checkpoint-2 is saved"):
        make_trainer(show=interrupt).train()
    resumed = make_trainer(resume=True)
    resumed.train()
    assert records(resumed) == records(whole)


@pytest.mark.slow
def test_a_run_that_was_killed_resumes_to_the_same_curve(make_trainer: Make, saved: Saved, tmp_path: Path) -> None:
    options: dict[str, Any] = {"max_steps": 8, "save_steps": 2, "reward": "length{target: 20}", "batch_size": 4}
    whole = make_trainer(output_dir=tmp_path / "whole", **options)
    whole.train()
    script = Path(__file__).with_name("killed_ppo.py")
    command = [sys.executable, str(script), str(saved("qwen3", "base")), str(tmp_path / "killed"), json.dumps(options)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    resumed = make_trainer(output_dir=tmp_path / "killed", resume=True, **options)
    resumed.train()
    assert records(resumed) == records(whole)


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(saved: Saved, tmp_path: Path) -> None:
    script = Path(__file__).with_name("ranks_ppo.py")
    found = []
    for ranks in (1, 2):
        output = tmp_path / str(ranks)
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
        command += [str(script), str(saved("qwen3", "base")), str(output)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr[-3000:]
        found.append([json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()])
    for one, two in zip(*found, strict=True):
        for name in ("reward", "kl", "length", "policy_loss", "value_loss", "grad_norm", "entropy"):
            assert two[name] == pytest.approx(one[name], abs=2e-5), name
    weights = [load_file(tmp_path / str(ranks) / "model.safetensors") for ranks in (1, 2)]
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], atol=1e-4, rtol=1e-3)


def test_an_ensemble_is_a_reward_by_its_lower_bound(make_trainer: Make, saved: Saved, tmp_path: Path) -> None:
    members = [RewardModel.from_pretrained(saved(family, "reward")) for family in ("qwen3", "bert")]
    ensemble = Ensemble(members, combine="mean_minus_std", k=1.0, reference_means=[0.0, 0.0])
    trainer = make_trainer(reward=ensemble, max_steps=1, eval_prompts=2)
    trainer.train()
    assert trainer.job is not None
    assert trainer.job.start is not None
    answers, rewarded = trainer.job.start
    prompts = [task.prompt.prompt for task in trainer.job.held_out]
    each = np.stack([member.score(prompts, answers.texts) for member in members])
    np.testing.assert_allclose(rewarded.total, each.mean(0) - each.std(0, ddof=1), atol=1e-5)
