"""What a run refuses, what its messages say, and that a reward which fails on the way costs no step."""

from __future__ import annotations

import importlib.util
import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plaudit.errors import (
    ConfigError,
    DataError,
    DeviceError,
    ModelError,
    NotARewardModelError,
    OutputError,
    RemoteError,
    RewardError,
    RowError,
    ScoreError,
)
from plaudit.rl.factory import create_rl_trainer
from plaudit.rl.run import RLTrainer
from tiny_models import TOKENIZERS, save_tiny, tiny_model

PROMPTS = ["What is the capital of France?", "List three fruits.", "Write a function.", "How is the weather?"]

slow = pytest.mark.slow
Saved = Callable[[str, str], Path]
Make = Callable[..., RLTrainer]


@pytest.fixture
def make(saved: Saved, tmp_path: Path) -> Make:
    """``make(...)``: a trainer of a tiny policy, three steps of four short answers, rewarded by their length."""

    def trainer(algorithm: str = "ppo", **options: Any) -> RLTrainer:
        values: dict[str, Any] = {
            "model_name": str(saved("qwen3", "base")),
            "dataset_name": PROMPTS,
            "reward": Length(),
            "max_steps": 3,
            "batch_size": 4,
            "max_new_tokens": 6,
            "eval_prompts": 0,
            "device": "cpu",
            "output_dir": tmp_path / "run",
        }
        values |= {"num_generations": 2} if algorithm in ("grpo", "rloo") and "options" not in options else {}
        values |= options
        return create_rl_trainer(algorithm=algorithm, **{k: v for k, v in values.items() if v is not ...})

    return trainer


class Length:
    """A scorer that counts characters and spoils the calls whose numbers it is given."""

    def __init__(self, spoilt: Sequence[int] = (), value: float = math.nan) -> None:
        self.spoilt, self.value, self.calls = set(spoilt), value, 0

    def score(self, prompts: Any, responses: Any, *, references: Any = None) -> Any:
        self.calls += 1
        scores = np.array([len(response) for response in responses], dtype=np.float64)
        if self.calls in self.spoilt:
            scores[-1] = self.value
        return scores


# -- where the reward comes from ---------------------------------------------------------------------------------------


def test_no_reward_source_lists_those_there_are(make: Make) -> None:
    with pytest.raises(ConfigError, match="No reward source specified: give exactly one of") as caught:
        make(reward=...)
    for name in ("reward_model_name", "reward_model_path", "train_custom_reward_model", "reward "):
        assert name in str(caught.value)


def test_two_reward_sources_are_named(make: Make) -> None:
    with pytest.raises(ConfigError, match="Multiple reward sources specified: reward_model_name, reward_model_path"):
        make(reward=..., reward_model_name="a/b", reward_model_path="c")
    with pytest.raises(ConfigError, match="Multiple reward sources specified: reward_model_path, reward; give exactly"):
        make(reward="sentiment", rl_reward_model_path="c")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("reward_training_texts", ["a text"] * 20),
        ("reward_functions", ["length"]),
        ("reward_function_weights", [1.0]),
        ("reward_training_base_model", "embedded"),
        ("reward_training_output_dir", "there"),
        ("reward_training", {"objective": "pairs"}),
    ],
)
def test_what_trains_a_reward_model_needs_the_switch(make: Make, name: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{name} belong to train_custom_reward_model; set it"):
        make(**{name: value})


def test_training_a_reward_model_needs_texts_and_rules(make: Make) -> None:
    with pytest.raises(ConfigError, match="train_custom_reward_model needs reward_training_texts"):
        make(reward=..., train_custom_reward_model=True, reward_functions=["length"])
    with pytest.raises(ConfigError, match="train_custom_reward_model needs reward_functions"):
        make(reward=..., train_custom_reward_model=True, reward_training_texts=["a"] * 20)


def test_a_rule_that_there_is_not_is_named_before_anything_is_trained(make: Make, tmp_path: Path) -> None:
    trainer = make(
        reward=..., train_custom_reward_model=True, reward_training_texts=["a"] * 20, reward_functions=["lenght"]
    )
    with pytest.raises(ConfigError, match="'lenght'.*length"):
        trainer.train()
    assert list(tmp_path.iterdir()) == []


def test_too_few_texts_train_no_reward_model(make: Make, tmp_path: Path) -> None:
    with pytest.raises((ConfigError, DataError), match="Need at least 10"):
        make(
            reward=...,
            train_custom_reward_model=True,
            reward_training_texts=["one", "two"],
            reward_functions=["length"],
        ).train()
    assert list(tmp_path.iterdir()) == []


def test_a_plain_language_model_is_no_reward(make: Make, saved: Saved, tmp_path: Path) -> None:
    with pytest.raises(NotARewardModelError, match="head"):
        make(reward=..., reward_model_path=saved("llama", "base")).train()
    with pytest.raises(NotARewardModelError, match="head"):
        make(reward=str(saved("llama", "base"))).train()
    assert list(tmp_path.iterdir()) == []


def test_a_classifier_with_two_labels_is_no_reward(make: Make, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "two", "bert", reward=True, num_labels=2)
    with pytest.raises(NotARewardModelError, match="2 labels|two labels|num_labels"):
        make(reward=..., reward_model_path=folder).train()


def test_a_random_head_is_no_reward(make: Make, tmp_path: Path) -> None:
    """The folder says that it is a classifier, but its weights have no head: transformers would draw one."""
    tokenizer = TOKENIZERS["llama"]()
    folder = tmp_path / "headless"
    model = tiny_model("llama", tokenizer, reward=True)
    weights = {name: value for name, value in model.state_dict().items() if not name.startswith("score")}
    model.save_pretrained(folder, state_dict=weights)
    tokenizer.save_pretrained(folder)
    with pytest.raises(NotARewardModelError, match="score"):
        make(reward=..., reward_model_path=folder).train()


def test_a_reward_model_that_is_not_there_is_named(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="reward_model_path does not exist: nowhere"):
        make(reward=..., reward_model_path="nowhere").train()
    (tmp_path / "rm").mkdir()
    with pytest.raises(ConfigError, match="is a local folder; give it as reward_model_path"):
        make(reward=..., reward_model_name=str(tmp_path / "rm")).train()


@pytest.mark.parametrize("form", ["scorer", "name", "path"])
def test_gold_that_is_the_reward_is_refused(make: Make, saved: Saved, form: str) -> None:
    own = Length()
    folder = str(saved("bert", "reward"))
    values: dict[str, dict[str, Any]] = {
        "scorer": {"reward": own, "gold": [own]},
        "name": {"reward": "readability", "gold": ["readability"]},
        "path": {"reward": ..., "reward_model_path": folder, "gold": [folder + "/"]},
    }
    with pytest.raises(ConfigError, match="optimised.*repeat"):
        make(**values[form]).train()


# -- prompts -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def plain_policy(tmp_path: Path) -> Path:
    """A policy without a chat template."""
    return save_tiny(tmp_path / "plain", "gpt2", reward=False)


def test_a_conversation_needs_a_policy_with_a_chat_template(make: Make, plain_policy: Path, tmp_path: Path) -> None:
    rows = tmp_path / "prompts.jsonl"
    talk = {"prompt": [{"role": "user", "content": "Hello"}]}
    rows.write_text("".join(json.dumps(row) + "\n" for row in ({"prompt": "Hello"}, talk)))
    with pytest.raises(RowError, match=r"prompts\.jsonl:2: .*no chat template; give prompts as texts, or a policy"):
        make(model_name=str(plain_policy), dataset_name=str(rows)).train()
    with pytest.raises(ConfigError, match="prompt_layout 'chat' needs a chat template"):
        make(model_name=str(plain_policy), prompt_layout="chat").train()


def test_prompts_that_are_too_long_stop_the_run_or_are_left_out_and_counted(make: Make, tmp_path: Path) -> None:
    rows = tmp_path / "prompts.json"
    rows.write_text(json.dumps([{"prompt": p} for p in (*PROMPTS, "word " * 700, "sea " * 900)], indent=0))
    with pytest.raises(RowError, match=r"prompts\.json:\S+ the prompt has \d+ tokens, at most 506 leave room.*2 of"):
        make(dataset_name=str(rows)).train()
    said: list[str] = []
    trainer = make(dataset_name=str(rows), overlong="drop", say=said.append)
    trainer.setup_trainer()
    assert "prompts of more than 506 tokens left out: 2" in said
    assert trainer.job is not None
    assert len(trainer.job.tasks) == 4
    with pytest.raises(DataError, match="no prompt is left: all 4 have more than 2 tokens"):
        make(max_prompt_length=2, overlong="drop", overwrite=True).train()


def test_an_answer_longer_than_the_context_leaves_no_room_for_a_prompt(make: Make) -> None:
    with pytest.raises(ConfigError, match="the policy takes 512 tokens: max_new_tokens 512 leaves 0 for the prompt"):
        make(max_new_tokens=512).train()


@pytest.mark.parametrize("name", ["none.json", "none.jsonl", "list"])
def test_an_empty_prompt_set_is_refused(make: Make, tmp_path: Path, name: str) -> None:
    (tmp_path / "none.json").write_text("[]")
    (tmp_path / "none.jsonl").write_text("\n")
    with pytest.raises(DataError, match="prompts|rows|empty"):
        make(dataset_name=[] if name == "list" else str(tmp_path / name)).setup_data()


def test_bad_prompts_name_their_place(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="dataset_name is missing"):
        make(dataset_name=...)
    with pytest.raises(RowError, match=r"prompts\[1\]: the row has no a prompt|prompts\[1\]: the row has no prompt"):
        make(dataset_name=["Hello", {"text": "Hello"}]).setup_data()
    with pytest.raises(RowError, match=r"prompts\[0\]: the prompt is empty"):
        make(dataset_name=["  "]).setup_data()
    with pytest.raises(ConfigError, match="eval_prompts 4 leaves none of the 4 prompts to train on"):
        make(eval_prompts=4).train()


# -- options -----------------------------------------------------------------------------------------------------------


def test_an_unknown_option_is_named_with_what_was_meant(make: Make) -> None:
    with pytest.raises(ConfigError, match="cliprang.*did you mean 'cliprange'"):
        make(cliprang=0.1)
    with pytest.raises(ConfigError, match="batch_sise.*did you mean 'batch_size'"):
        make(batch_sise=8)
    with pytest.raises(
        ConfigError, match="unknown option 'num_generation'.*did you mean 'num_generations'.*GRPOConfig"
    ):
        make("grpo", num_generation=2, options={})
    with pytest.raises(ConfigError, match="batch_sise.*did you mean 'batch_size'"):
        make("grpo", batch_sise=8)


def test_an_option_of_another_algorithm_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="num_generations"):
        make("ppo", num_generations=4)
    with pytest.raises(ConfigError, match="grpo: unknown option 'cliprange_value'"):
        make("grpo", cliprange_value=0.2)
    with pytest.raises(ConfigError, match="per_device_train_batch_size is set by batch_size; use that"):
        make("rloo", per_device_train_batch_size=4)


def test_an_unknown_algorithm_or_backend_lists_those_there_are(make: Make) -> None:
    with pytest.raises(ConfigError, match=r"'pop'.*ppo"):
        make("pop")
    with pytest.raises(ConfigError, match="backend.*trl.*unsloth"):
        make(backend="deepspeed")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"max_steps": ..., "num_epochs": 0}, "num_epochs"),
        ({"num_epochs": 2.0}, "num_epochs and max_steps exclude each other"),
        ({"temperature": 0}, "temperature"),
        ({"cliprange": 1.5}, "cliprange"),
        ({"kl_coef": 0}, "kl_target steers kl_coef by factors"),
        ({"clip_rewards": 3.0, "normalize_rewards": "none"}, "clip_rewards counts deviations"),
        (
            {"lora": {"r": 4}, "options": {"critic": "shared", "value_learning_rate": 1e-3}},
            "value_learning_rate has no",
        ),
    ],
)
def test_options_that_cannot_work_are_refused(make: Make, options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        make(**options)


def test_a_batch_that_cannot_be_divided_is_refused(make: Make) -> None:
    with pytest.raises(ConfigError, match="mini_batches 3 does not divide the 4 prompts"):
        make(mini_batches=3).train()
    with pytest.raises(ConfigError, match="grpo: generation_batch_size .4. must be divisible"):
        make("grpo", options={"num_generations": 3, "generation_batch_size": 4}).train()
    with pytest.raises(ConfigError, match="the 8 answers of a step cannot be shared by 3; choose another batch_size"):
        make("grpo", options={"num_generations": 2, "gradient_accumulation_steps": 3}).train()


def test_a_backend_that_is_not_there_is_never_replaced(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    find, real = "importlib.util.find_spec", importlib.util.find_spec
    monkeypatch.setattr(find, lambda name, *more: None if name == "unsloth" else real(name, *more))
    with pytest.raises(ConfigError, match="backend 'unsloth' needs Unsloth: pip install unsloth; or use backend='trl'"):
        make(backend="unsloth")
    monkeypatch.setattr(find, lambda name, *more: object() if name == "unsloth" else real(name, *more))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        DeviceError, match="backend 'unsloth' needs a CUDA device, and there is none; use backend='trl'"
    ):
        make(backend="unsloth")


def test_a_policy_that_writes_no_text_is_refused(make: Make, saved: Saved) -> None:
    with pytest.raises(ModelError, match="BertForSequenceClassification, which writes no text"):
        make(model_name=str(saved("bert", "reward"))).train()


# -- outputs -----------------------------------------------------------------------------------------------------------


def test_a_finished_run_is_not_replaced_unasked(make: Make, tmp_path: Path) -> None:
    make(max_steps=1).train()
    for options in ({}, {"resume": True}):
        with pytest.raises(OutputError, match="exists already"):
            make(max_steps=1, **options).train()
    assert (tmp_path / "run" / "results.json").is_file()


def test_a_run_that_is_refused_leaves_another_ones_folder_alone(make: Make, tmp_path: Path) -> None:
    """The other one may be running, and have no checkpoint yet."""
    make().setup_trainer()
    before = (tmp_path / "run.partial" / "run_start.json").read_text()
    for _ in range(2):
        with pytest.raises(OutputError, match="holds an unfinished run"):
            make().train()
    assert (tmp_path / "run.partial" / "run_start.json").read_text() == before


@pytest.mark.parametrize("step", ["setup_trainer", "train"])
def test_a_run_that_cannot_start_leaves_nothing(make: Make, tmp_path: Path, step: str) -> None:
    with pytest.raises(ModelError, match="nowhere"):
        getattr(make(reward=..., reward_model_path="nowhere"), step)()
    assert list(tmp_path.iterdir()) == []


def test_resuming_where_nothing_was_started_is_refused(make: Make) -> None:
    with pytest.raises(OutputError, match="nothing to resume"):
        make(resume=True).train()


# -- rewards that fail on the way --------------------------------------------------------------------------------------


def figures(folder: Path) -> list[tuple[Any, ...]]:
    """Step, reward and policy loss of every step of a run."""
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [(r["step"], r["reward"], r["policy_loss"]) for r in map(json.loads, lines)]


@pytest.mark.parametrize(
    ("algorithm", "value", "done"),
    [
        ("ppo", math.nan, 2),
        ("ppo", math.inf, 0),
        ("grpo", math.nan, 2),
        pytest.param("grpo", -math.inf, 0, marks=slow),
        pytest.param("rloo", math.nan, 1, marks=slow),
    ],
)
def test_a_reward_that_is_no_number_stops_the_run_with_a_checkpoint(
    make: Make, tmp_path: Path, algorithm: str, value: float, done: int
) -> None:
    options: dict[str, Any] = {"sample_steps": 100}
    make(algorithm, output_dir=tmp_path / "whole", **options).train()
    message = rf"Length gave -?(nan|inf) for the answer '.*; the policy after step {done} is .*checkpoint-{done}: go on"
    with pytest.raises(ScoreError, match=message):  # samples at the start, then one call a step
        make(algorithm, reward=Length(spoilt=range(done + 2, 100), value=value), **options).train()
    assert (tmp_path / "run.partial" / f"checkpoint-{done}").is_dir()
    assert not (tmp_path / "run").exists()
    with pytest.raises(OutputError, match="holds an unfinished run: go on with resume"):
        make(algorithm, **options).train()
    with pytest.raises(ConfigError, match="resume goes on with the run as it was started.*learning_rate"):
        make(algorithm, resume=True, learning_rate=1e-2, **options).train()
    with pytest.raises(ScoreError, match=message):  # not mended yet
        make(algorithm, resume=True, reward=Length(spoilt=[1], value=value), **options).train()
    make(algorithm, resume=True, **options).train()
    assert figures(tmp_path / "run") == figures(tmp_path / "whole")


@pytest.mark.parametrize("algorithm", ["ppo", pytest.param("grpo", marks=slow), pytest.param("rloo", marks=slow)])
def test_a_reward_that_fails_when_the_end_is_judged_costs_no_step(make: Make, tmp_path: Path, algorithm: str) -> None:
    options: dict[str, Any] = {"eval_prompts": 2, "sample_steps": 2}
    steady = Length()
    whole = make(algorithm, reward=steady, output_dir=tmp_path / "whole", **options).train()
    for spoilt, step in ((steady.calls, 3), (5, 2)):  # the comparison with the start; samples on the way
        with pytest.raises(ScoreError, match=f"saved in .*checkpoint-{step}: go on with resume"):
            make(algorithm, reward=Length(spoilt=[spoilt]), overwrite=True, **options).train()
        result = make(algorithm, resume=True, **options).train()
        assert figures(result.output) == figures(whole.output)
        assert result.win_rates == whole.win_rates
        assert not list(result.output.glob("checkpoint-*"))


class Picky(Length):
    """A scorer whose errors are built of more than a message, as rules' are."""

    def score(self, prompts: Any, responses: Any, *, references: Any = None) -> Any:
        scores = super().score(prompts, responses)
        if np.isnan(scores[-1]):
            raise RewardError("picky", "this text is beyond it", 1)
        return scores


@pytest.mark.parametrize("algorithm", ["ppo", "rloo"])
def test_a_rule_that_cannot_score_names_itself_and_the_checkpoint(make: Make, algorithm: str) -> None:
    with pytest.raises(
        RewardError, match="^reward 'picky': item 1: this text is beyond it; the policy after step 1 is"
    ):
        make(algorithm, reward=Picky(spoilt=[3]), sample_steps=100).train()


class Server:
    """A reward server that counts characters, breaks down when told to, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked, self.good, self.bad, self.answer = 0, 10**9, set[int](), b""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked += 1
                status, answer = (
                    200,
                    json.dumps([{"scores": [float(len(text)) for text in one["responses"]]} for one in body]).encode(),
                )
                if outer.asked > outer.good or outer.asked in outer.bad:
                    status, answer = (200, outer.answer) if outer.answer else (503, b"down")
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1/reward"


@pytest.fixture
def server() -> Iterator[Server]:
    own = Server()
    thread = threading.Thread(target=own.http.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield own
    own.http.shutdown()
    own.http.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("algorithm", "answer", "problem"),
    [
        ("ppo", b"", "status 503, down"),
        ("grpo", b"<html>", "the answer is no JSON: <html>"),
        pytest.param("ppo", b'[{"scores": [NaN]}]', "the answer has 1 objects for 4 asked", marks=slow),
        pytest.param("grpo", b"", "status 503, down", marks=slow),
    ],
)
def test_a_reward_server_that_fails_is_asked_again_then_the_run_stops_and_can_go_on(
    make: Make, server: Server, tmp_path: Path, algorithm: str, answer: bytes, problem: str
) -> None:
    options: dict[str, Any] = {
        "reward": f"{server.url}{{retries: 2, wait: 0.001, timeout: 5.0}}",
        "sample_steps": 100,
    }
    server.good, server.answer = 2, answer  # samples at the start, step 1
    with pytest.raises(
        RemoteError,
        match=rf"was asked 3 times and gave no scores: .*{problem}.*; the policy after step 1 is .*checkpoint-1: go on",
    ):
        make(algorithm, **options).train()
    assert server.asked == 2 + 3
    server.good = 10**9
    result = make(algorithm, resume=True, **options).train()
    assert [row[0] for row in figures(result.output)] == [1, 2, 3]


def test_a_reward_server_that_is_not_there_stops_before_anything_is_trained(make: Make, server: Server) -> None:
    server.http.server_close()
    with pytest.raises(RemoteError, match="no connection"):
        make(reward=server.url + "{retries: 1, wait: 0.001}").train()


def test_a_server_that_stumbles_once_does_not_change_the_run(make: Make, server: Server, tmp_path: Path) -> None:
    steady = make(sample_steps=100, output_dir=tmp_path / "steady").train()
    server.bad = {2, 3}
    through = make(reward=server.url + "{retries: 3, wait: 0.001}", sample_steps=100).train()
    assert server.asked == 1 + 3 + 2 + 1
    assert figures(through.output) == figures(steady.output)


@pytest.mark.parametrize("reward", ["readability", "http://127.0.0.1:9/v1/reward", Length()])
def test_options_of_a_model_are_refused_where_none_is_loaded(make: Make, reward: Any) -> None:
    with pytest.raises(ConfigError, match="reward_options .'device'. have no effect on .*NAME{option: value}"):
        make(reward=reward, reward_options={"device": "cpu"}).train()
