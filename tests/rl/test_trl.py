"""TRL's trainers with our rewards: the policy's prompts, the reward's own rendering, figures, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from letters import PROMPTS, FailsOnce, Letters
from safetensors.torch import load_file

from plaudit.errors import ConfigError, NotARewardModelError, ScoreError
from plaudit.models.reward_model import RewardModel
from plaudit.rl import reward_function
from plaudit.rl.run import RLTrainer

Make = Callable[..., RLTrainer]
Saved = Callable[[str, str], Path]

GROUPED = {"batch_size": 2, "max_steps": 3, "num_generations": 2}
OPTIONS: dict[str, dict[str, Any]] = {
    "grpo": GROUPED,
    "rloo": GROUPED,
    "online_dpo": {"batch_size": 2, "max_steps": 3},
}


class Keeps(Letters):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Any, Any]] = []

    def score(self, prompts: Sequence[Any], responses: Sequence[Any], **rest: Any) -> Any:
        self.asked += list(zip(prompts, responses, strict=True))
        return super().score(prompts, responses, **rest)


@pytest.mark.parametrize("algorithm", OPTIONS)
def test_each_algorithm_trains_saves_and_reports(make_trainer: Make, tmp_path: Path, algorithm: str) -> None:
    reward = Keeps()
    trainer = make_trainer(algorithm, reward=reward, gold=[Letters("e")], eval_prompts=1, **OPTIONS[algorithm])
    result = trainer.train()
    assert [record["step"] for record in result.records] == [1, 2, 3]
    for record in result.records:
        assert np.isfinite(record["reward"])
        assert record["gold"].keys() == {"Letters"}
        assert 0 <= record["eos_share"] <= 1
        assert record["length"] is None or 1 <= record["length"] <= 8
    assert result.win_rates is not None
    assert {prompt for prompt, _ in reward.asked} <= set(PROMPTS)  # as they were given, not as templates made them
    assert (tmp_path / "policy" / "report.html").is_file()
    start = load_file(Path(trainer.config.model_name) / "model.safetensors")
    end = load_file(tmp_path / "policy" / "model.safetensors")
    assert any(not torch.equal(start[name], end[name]) for name in start)


def test_prompts_reach_the_policy_as_the_same_tokens_in_every_algorithm(make_trainer: Make, tmp_path: Path) -> None:
    seen: dict[str, list[list[int]]] = {}
    for family in ("qwen3", "gpt2"):  # with a chat template, and without
        trainer = make_trainer("grpo", family=family, output_dir=tmp_path / family, **GROUPED)
        trainer.setup_trainer()
        assert trainer.job is not None
        policy, generate = trainer.job.policy, trainer.job.policy.model.generate
        seen[family] = []

        def watch(*args: Any, _generate: Any = generate, _seen: Any = seen[family], **kwargs: Any) -> Any:
            ids, mask = kwargs["input_ids"], kwargs["attention_mask"]
            _seen.extend(row[keep.bool()].tolist() for row, keep in zip(ids, mask, strict=True))
            return _generate(*args, **kwargs)

        policy.model.generate = watch  # type: ignore[method-assign]
        trainer.train()
        expected = [policy.render(prompt) for prompt in PROMPTS]
        assert seen[family]
        assert all(ids in expected for ids in seen[family])


def test_an_adapter_is_trained_where_it_is_asked_for(make_trainer: Make, tmp_path: Path) -> None:
    make_trainer("grpo", lora={"r": 4}, **GROUPED).train()
    assert (tmp_path / "policy" / "adapter_model.safetensors").is_file()


def test_failing_rewards_leave_a_checkpoint_from_which_the_run_goes_on(make_trainer: Make) -> None:
    options = {**GROUPED, "max_steps": 4, "sample_steps": 100}
    with pytest.raises(ScoreError, match=r"the policy after step 2 is saved in .*checkpoint-2"):
        make_trainer("grpo", reward=FailsOnce(3), **options).train()  # one call for the samples at the start
    result = make_trainer("grpo", reward=FailsOnce(10**6), resume=True, **options).train()
    assert [record["step"] for record in result.records] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"num_generation": 4}, "unknown option 'num_generation'.*num_generations"),
        ({"max_completion_length": 5}, "max_completion_length is set by max_new_tokens"),
        ({"reward_weights": [1.0]}, "reward_weights is set by the weights of a composite"),
        ({"cliprange": 0.1}, "unknown option 'cliprange'"),
    ],
)
def test_options_that_trl_does_not_have_or_that_are_set_elsewhere_are_refused(
    make_trainer: Make, options: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        make_trainer("grpo", **options)


def test_a_reward_function_scores_conversations_and_texts_as_the_model_does(saved: Saved) -> None:
    model = RewardModel.from_pretrained(saved("qwen3", "reward"))
    function = reward_function(saved("qwen3", "reward"))
    texts = ["Paris.", "apples and pears"]
    expected = model.score(PROMPTS[:2], texts)
    np.testing.assert_allclose(function(PROMPTS[:2], texts), expected, atol=1e-6)
    talks = [[{"role": "user", "content": prompt}] for prompt in PROMPTS[:2]]
    answers = [[{"role": "assistant", "content": text}] for text in texts]
    columns: dict[str, Any] = {"completion_ids": [[1], [2]], "trainer_state": None, "answer": ["x", "y"]}
    np.testing.assert_allclose(function(talks, answers, **columns), expected, atol=1e-6)
    assert function.__name__ == saved("qwen3", "reward").name


def test_a_reward_function_gives_an_empty_completion_the_lowest_reward_so_far() -> None:
    function = reward_function(Letters())
    assert function(["p"] * 3, ["aa", "", "aaa"]) == [2.0, 2.0, 3.0]
    assert function(["p"] * 2, ["a", " "]) == [1.0, 1.0]


def test_a_reward_function_hands_references_to_rules_that_compare() -> None:
    function = reward_function("math_correctness")
    assert function(["p", "p"], ["It is 4.", "It is 5."], answer=["4", 4]) == [1.0, 0.0]


def test_a_reward_function_refuses_what_is_no_reward_model(saved: Saved) -> None:
    with pytest.raises(NotARewardModelError):
        reward_function(saved("qwen3", "base"))
    with pytest.raises(ScoreError, match="expected a finite number"):
        reward_function(FailsOnce(0))(["p"], ["text"])
