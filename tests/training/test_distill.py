"""Rules to reward models: scores in shards, the two objectives, what is refused, the document's classes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from plaudit import (
    CompositeReward,
    DistillConfig,
    RewardModel,
    RewardModelDataset,
    RewardModelLoader,
    RewardModelSourceConfig,
    RewardModelTrainer,
    RewardModelTrainingConfig,
    RewardModelValidator,
    RewardRegistry,
    distill,
)
from plaudit.errors import ConfigError, DataError, ModelError, OutputError, PlauditError, RewardError, RowError
from plaudit.training.distill import run_distillation
from plaudit.training.distill.examples import as_pairs, as_ratings
from plaudit.training.distill.texts import Text, read_texts

LETTERS = "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu".split()


def made_texts(count: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(LETTERS, k=rng.randint(1, 12))) + f" {i}" for i in range(count)]


TEXTS = made_texts(60)
RULES = ["length{target: 12}=0.7", "length{high: 4}=0.3"]
FAST: dict[str, Any] = {"num_train_epochs": 3, "learning_rate": 2e-3, "bf16": False}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny encoder without a head."""
    from tiny_models import save_tiny

    return str(save_tiny(tmp_path_factory.mktemp("base") / "bert", "bert", reward=False))


@dataclass
class Counting:
    """A scorer that counts what it was asked, and fails at a text."""

    fails_at: str | None = None
    asked: list[str] = field(default_factory=list)

    def score(self, prompts: Sequence[Any], responses: Sequence[Any], *, references: Any = None) -> Any:
        if self.fails_at in responses:
            raise RewardError("counting", "cannot", list(responses).index(self.fails_at))
        self.asked += responses
        return np.array([len(text) / 10 for text in responses], dtype=np.float32)

    def __repr__(self) -> str:
        return "Counting()"


# -- the run ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("objective", ["regression", "pairs"])
def test_a_model_is_trained_saved_and_measured_against_the_rules(objective: str, base: str, tmp_path: Path) -> None:
    values = {"texts": TEXTS, "rewards": RULES, "model": base, "output": tmp_path / "rm", "training": FAST}
    model = distill(values | {"objective": objective})
    figures = json.loads((tmp_path / "rm" / "metrics.json").read_text())["distillation"]
    assert (figures["texts"], figures["train_texts"]) == (6, 54)
    assert set(figures["components"]) == {"length", "length-2"}
    assert -1 <= figures["overall"]["spearman"]["value"] <= 1
    assert [part["weight"] for part in figures["rewards"]["rewards"]] == [0.7, 0.3]
    assert "distilled from rules" in (tmp_path / "rm" / "README.md").read_text()
    again = RewardModel.from_pretrained(tmp_path / "rm")
    assert again.score([None], TEXTS[:1]).tolist() == pytest.approx(model.score([None], TEXTS[:1]).tolist(), abs=1e-5)
    assert not (tmp_path / "rm.scores").exists()


def test_prompts_stay_with_their_responses_and_on_one_side(base: str, tmp_path: Path) -> None:
    rows = [{"prompt": f"ask {i // 3}", "response": text} for i, text in enumerate(TEXTS)]
    values = {"texts": rows, "rewards": RULES, "model": base, "output": tmp_path / "rm", "training": FAST}
    distill(values | {"objective": "pairs", "test_fraction": 0.25})
    figures = json.loads((tmp_path / "rm" / "metrics.json").read_text())
    assert figures["distillation"]["texts"] == 15  # five of twenty prompts, three responses each
    assert figures["held_out"]["prompts"] <= 5


def test_a_killed_scoring_goes_on_where_it_was(base: str, tmp_path: Path) -> None:
    values = {"texts": TEXTS, "model": base, "output": tmp_path / "rm", "training": FAST, "shard_size": 20}
    first = Counting(fails_at=TEXTS[45])
    with pytest.raises(RowError, match=r"texts\[45\]: reward 'counting': cannot"):
        distill(values | {"rewards": [first]})
    assert sorted(path.name for path in (tmp_path / "rm.scores").glob("scores-*")) == [
        "scores-00000.jsonl",
        "scores-00001.jsonl",
    ]
    with pytest.raises(OutputError, match="holds an unfinished run"):
        distill(values | {"rewards": [Counting()]})
    second = Counting()
    distill(values | {"rewards": [second], "resume": True})
    assert second.asked == TEXTS[40:]


def test_other_rules_or_texts_are_not_gone_on_with(base: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"model": base, "output": tmp_path / "rm", "training": FAST, "shard_size": 20}
    with pytest.raises(RowError):
        distill(values | {"texts": TEXTS, "rewards": [Counting(fails_at=TEXTS[45])]})
    with pytest.raises(ConfigError, match="scores of other rules"):
        distill(values | {"texts": TEXTS, "rewards": ["length"], "resume": True})
    with pytest.raises(ConfigError, match="scores of other texts"):
        distill(values | {"texts": TEXTS[::-1], "rewards": [Counting()], "resume": True})


def test_a_refused_run_leaves_nothing_in_the_way(base: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"model": base, "output": tmp_path / "rm", "rewards": ["length"], "training": FAST}
    for texts in (["same"] * 20, [*TEXTS[:5], " "]):
        with pytest.raises(PlauditError):
            distill(values | {"texts": texts})
        assert not (tmp_path / "rm.scores").exists()
    scorer = Counting()
    with pytest.raises(ConfigError, match="unknown training option 'epoch'"):
        distill(values | {"texts": TEXTS, "rewards": [scorer], "training": {"epoch": 1}})
    assert scorer.asked == []


def test_a_training_does_not_go_on_with_other_weights(base: str, tmp_path: Path) -> None:
    values: dict[str, Any] = {"texts": TEXTS, "model": base, "output": tmp_path / "rm", "training": FAST}
    with pytest.raises(RowError):
        distill(values | {"rewards": [Counting(fails_at=TEXTS[45])], "shard_size": 20})
    (tmp_path / "rm.partial").mkdir()  # as if the training had begun
    (tmp_path / "rm.scores" / "combined.txt").write_text("CompositeReward(Counting=1; mode=min, normalize=none)")
    with pytest.raises(ConfigError, match="the run was started with .*mode=min.*, now it is .*mode=mean"):
        distill(values | {"rewards": [Counting()], "shard_size": 20, "resume": True})


def test_normalizations_are_fitted_on_the_training_texts(base: str, tmp_path: Path) -> None:
    composite = CompositeReward([Counting()], normalize="zscore")
    distill(texts=TEXTS, rewards=composite, model=base, output=str(tmp_path / "rm"), training=FAST)
    assert composite.components[0].normalizer.count_ == 54


def test_an_output_in_use_is_refused_before_anything_is_scored(base: str, tmp_path: Path) -> None:
    (tmp_path / "rm").mkdir()
    (tmp_path / "rm" / "file").write_text("mine")
    scorer = Counting()
    with pytest.raises(OutputError, match="exists already"):
        distill(texts=TEXTS, rewards=[scorer], model=base, output=str(tmp_path / "rm"))
    assert scorer.asked == []


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ([], ConfigError, "Need at least 10 training texts, got 0"),
        (TEXTS[:9], ConfigError, "Need at least 10 training texts, got 9"),
        (["same"] * 20, ConfigError, "got 1 distinct ones among 20"),
        ([*TEXTS, 3], RowError, r"texts\[60\]: the row is int"),
        ([*TEXTS, " "], RowError, r"texts\[60\]: .*empty"),
        ([*TEXTS, {"answer": None}], RowError, r"texts\[60\]: no column"),
    ],
)
def test_texts_that_nothing_can_be_learnt_from_are_refused(
    texts: list[Any], error: type[PlauditError], message: str, base: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        distill(texts=texts, rewards=["length"], model=base, output=str(tmp_path / "rm"), overwrite=True)


def test_equal_scores_are_nothing_to_learn(base: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="all 54 training texts have the score 1"):
        distill(texts=TEXTS, rewards=["length{low: 1}"], model=base, output=str(tmp_path / "rm"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_gap": 0.1}, "min_gap has no effect with the objective 'regression'"),
        ({"training": {"objective": "regression"}}, "training.objective is set by 'objective'"),
        ({"rewrads": []}, "unknown key 'rewrads'.*did you mean 'rewards'"),
        ({"rewards": {"rewards": ["length"]}, "mode": "min"}, "mode: the rewards are a whole composite"),
        ({"weights": [1.0, 2.0]}, "2 weights for 1"),
        ({"training": {"lerning_rate": 1}}, "did you mean 'learning_rate'"),
    ],
)
def test_settings_that_cannot_work_are_refused(values: dict[str, Any], message: str, base: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        distill({"texts": TEXTS, "rewards": ["length"], "model": base, "output": tmp_path / "rm"} | values)


def test_texts_and_rewards_are_required(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="texts is required"):
        run_distillation(DistillConfig(output=tmp_path / "rm", rewards=["length"]))


# -- texts and examples ----------------------------------------------------------------------------------------------


def test_texts_come_from_rows_of_every_shape(tmp_path: Path) -> None:
    rows = [
        {"text": "one"},
        {"prompt": "p", "response": "two", "reference": "r"},
        {"prompt": "p", "responses": ["three", "four"]},
        {"prompt": "p", "chosen": "five", "rejected": "six"},
        {"completion": "seven", "ground_truth": 42},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    texts = list(read_texts(file))
    assert [text.response for text in texts] == ["one", "two", "three", "four", "five", "six", "seven"]
    assert [text.prompt for text in texts] == [None, "p", "p", "p", "p", "p", None]
    assert [text.reference for text in texts] == [None, "r", None, None, None, None, "42"]
    assert texts[6].location == f"{file}:5"
    plain = tmp_path / "rows.txt"
    plain.write_text("a line\n\nanother\n")
    assert [(text.response, text.location) for text in read_texts(plain)] == [
        ("a line", f"{plain}:1"),
        ("another", f"{plain}:3"),
    ]


def scored(values: Sequence[float], prompt: str | None) -> list[tuple[Text, float]]:
    return [(Text(prompt, f"{prompt} {i}", None, f"t[{i}]"), value) for i, value in enumerate(values)]


def test_the_better_half_of_a_prompts_responses_meets_the_other_half() -> None:
    pairs = list(as_pairs(scored([0.1, 0.9, 0.5, 0.3], "p"), min_gap=0.0, margin_unit=0.2, per_text=2, seed=0))
    assert [pair.responses for pair in pairs] == [("p 1", "p 3"), ("p 2", "p 0")]
    assert [pair.margin for pair in pairs] == pytest.approx([0.6 / 0.2, 0.4 / 0.2])
    few = list(as_pairs(scored([0.1, 0.9, 0.5, 0.3], "p"), min_gap=0.5, margin_unit=None, per_text=2, seed=0))
    assert [(pair.responses, pair.margin) for pair in few] == [(("p 1", "p 3"), None)]


def test_bare_texts_are_paired_at_random_and_the_higher_score_is_chosen() -> None:
    texts = scored([i / 10 for i in range(10)], None)
    pairs = list(as_pairs(texts, min_gap=0.0, margin_unit=None, per_text=3, seed=0))
    assert len(pairs) == 30
    value = {text.response: score for text, score in texts}
    assert all(value[str(pair.responses[0])] > value[str(pair.responses[1])] for pair in pairs)
    assert pairs == list(as_pairs(texts, min_gap=0.0, margin_unit=None, per_text=3, seed=0))
    assert pairs != list(as_pairs(texts, min_gap=0.0, margin_unit=None, per_text=3, seed=1))


def test_a_rating_is_the_score_itself() -> None:
    (example,) = as_ratings(scored([0.25], None))
    assert (example.prompt, example.responses, example.labels) == (None, ("None 0",), (0.25,))


# -- the classes -----------------------------------------------------------------------------------------------------


def test_functions_to_data_to_a_model(base: str, tmp_path: Path) -> None:
    length = RewardRegistry().get_reward_function("length", target=6)
    trainer = RewardModelTrainer(base, [length, "length"], [0.6, 0.4])
    data = trainer.generate_training_data(TEXTS, batch_size=7)
    assert len(data) == 60
    expected = 0.6 * length.score([None], TEXTS[:1]) + 0.4 * trainer.composite.components[1].scorer.score(
        [None], TEXTS[:1]
    )
    assert data.reward_scores[0] == pytest.approx(float(expected[0]))
    row = data[0]
    assert row["input_ids"].shape == row["attention_mask"].shape
    assert row["labels"].item() == pytest.approx(data.reward_scores[0])
    folder = trainer.train_reward_model(data, str(tmp_path / "rm"), num_epochs=1, learning_rate=1e-3, batch_size=8)
    assert folder == str(tmp_path / "rm")
    network = RewardModelLoader().load_from_local(folder, dtype=torch.float32)
    assert network.config.num_labels == 1


def test_a_text_that_a_function_cannot_score_is_named_among_all(base: str) -> None:
    with pytest.raises(RewardError, match="reward 'counting': item 45: cannot"):
        RewardModelTrainer(base, [Counting(fails_at=TEXTS[45])]).generate_training_data(TEXTS, batch_size=7)


def test_a_pipeline_streams_an_iterator_once(base: str, tmp_path: Path) -> None:
    trainer = RewardModelTrainer(base, ["length"], [1.0])
    folder = trainer.create_scalable_pipeline(
        iter(TEXTS), str(tmp_path / "rm"), num_epochs=1, shard_size=25, objective="pairs", max_length=64
    )
    assert RewardModel.from_pretrained(folder).spec.max_length == 64


def test_scores_of_ones_own_are_a_data_set_too(base: str, tokenizer_of: Callable[[str], Any], tmp_path: Path) -> None:
    data = RewardModelDataset(TEXTS, [float(len(text)) for text in TEXTS], tokenizer_of("bert"), max_length=32)
    folder = RewardModelTrainer(base, ["length"]).train_reward_model(data, str(tmp_path / "rm"), num_epochs=1)
    figures = json.loads((Path(folder) / "metrics.json").read_text())["distillation"]
    assert figures["components"] == {}
    assert figures["rewards"] is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([*TEXTS[:5]], [0.0]), "5 texts, 1 reward_scores"),
        ((["a", "b"], [0.0, float("nan")]), "item 1: the score is nan"),
    ],
)
def test_a_data_set_of_unequal_or_infinite_scores_is_refused(
    arguments: Any, message: str, tokenizer_of: Callable[[str], Any]
) -> None:
    with pytest.raises(PlauditError, match=message):
        RewardModelDataset(*arguments, tokenizer_of("bert"))


@pytest.mark.parametrize(
    ("functions", "weights", "message"),
    [
        (["lenght"], None, "Missing reward functions: 'lenght' .did you mean 'length'"),
        ([], None, "must not be empty"),
        ("length", None, "expected a list"),
        ([3], None, "neither a name nor a function"),
        (["length"], [0.5, 0.5], "2 weights for 1"),
        (["length"], [-0.5], "positive"),
    ],
)
def test_functions_that_cannot_be_combined_are_refused(functions: Any, weights: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        RewardModelTrainer("embedded", functions, weights)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"base_model_name": ""}, "base_model_name is required"),
        ({"output_dir": " "}, "output_dir is required"),
        ({"training_texts": TEXTS[:9]}, "Need at least 10 training texts"),
        ({"training_texts": ["x"] * 10}, "Need at least 10 training texts that differ"),
        ({"training_texts": [*TEXTS, 4]}, "item 60 is int"),
        ({"training_texts": "one text"}, "expected a list of texts"),
        ({"reward_functions": ["nope"]}, "Missing reward functions"),
        ({"reference_texts": ["r"]}, "1 reference texts for 60"),
        ({"reward_weights": [0.0]}, "positive"),
        ({"reward_weights": [1.0, 1.0]}, "2 weights for 1"),
        ({"num_epochs": 0}, "num_epochs is a whole number of at least 1"),
        ({"learning_rate": 0.0}, "learning_rate is a number above 0"),
        ({"max_length": 1.5}, "max_length is a whole number"),
    ],
)
def test_a_training_configuration_that_cannot_work_is_refused(changes: dict[str, Any], message: str) -> None:
    values: dict[str, Any] = {"base_model_name": "embedded", "training_texts": TEXTS, "output_dir": "out"}
    config = RewardModelTrainingConfig(**values | {"reward_functions": ["length"]} | changes)
    with pytest.raises(ConfigError, match=message):
        RewardModelValidator.validate_training_config(config)


def test_required_fields_have_no_default() -> None:
    with pytest.raises(TypeError, match="4 required positional arguments"):
        RewardModelTrainingConfig()  # type: ignore[call-arg]
    config = RewardModelTrainingConfig("embedded", TEXTS, ["length"], "out")
    RewardModelValidator.validate_training_config(config)
    assert (config.num_epochs, config.learning_rate, config.batch_size) == (3, 1e-5, 8)
    assert (config.gradient_accumulation_steps, config.max_length) == (4, 512)
    assert RewardModelTrainer.from_config(config).composite.names == ["length"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"source_type": "pretrained"}, "Unknown reward source type 'pretrained'"),
        ({"source_type": "pretrained_hf"}, "No reward source specified: 'pretrained_hf' needs model_name"),
        (
            {"source_type": "pretrained_hf", "model_name": "a/b", "model_path": "c"},
            "Multiple reward sources specified: model_name, model_path",
        ),
        ({"source_type": "pretrained_hf", "model_path": "c"}, "needs model_name, but model_path is given"),
        ({"source_type": "pretrained_local", "model_path": "nowhere"}, "reward_model_path does not exist: nowhere"),
        ({"source_type": "pretrained_hf", "model_name": "a/b"}, "Model not accessible on HuggingFace Hub: a/b"),
    ],
)
def test_a_source_that_is_not_exactly_one_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(PlauditError, match=message):
        RewardModelValidator.validate_reward_source(RewardModelSourceConfig(**values))


def test_a_local_path_must_hold_configuration_and_safe_weights(
    saved: Callable[[str, str], Path], copied: Callable[[str, str], Path], tmp_path: Path
) -> None:
    RewardModelValidator.validate_local_path(str(saved("bert", "reward")))
    with pytest.raises(ModelError, match=r"no config\.json"):
        RewardModelValidator.validate_local_path(str(tmp_path))
    folder = copied("bert", "reward")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="has no weights.*pytorch_model.bin is pickled"):
        RewardModelValidator.validate_local_path(str(folder))


def test_a_loader_refuses_what_is_no_reward_model(saved: Callable[[str, str], Path]) -> None:
    loader = RewardModelLoader()
    with pytest.raises(ModelError, match="no trained reward head"):
        loader.load_from_local(str(saved("bert", "base")))
    with pytest.raises(ModelError, match="Model not accessible on HuggingFace Hub"):
        loader.load_from_huggingface("nobody/nothing")
    with pytest.raises(ConfigError, match="use load_from_local"):
        loader.load_from_huggingface(str(saved("bert", "reward")))
