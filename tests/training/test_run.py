"""The main line on tiny models: preferences in, a verified reward model out, every bad input refused."""

from __future__ import annotations

import errno
import gzip
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertModel,
    Qwen3Config,
    Qwen3Model,
)

from plaudit import RewardModel, TrainConfig, train
from plaudit.errors import ConfigError, ContractError, DataError, ModelError, OutputError, RowError
from plaudit.training import run as run_module
from plaudit.training.config import load_config
from plaudit.training.run import run_training

WORDS = """apple bread cloud delta eagle flame grape house
igloo jelly kiosk lemon mango night ocean piano""".split()


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny random encoder with a word-piece tokenizer."""
    from transformers import BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *"abcdefghijklmnopqrstuvwxyz?.,!"]
    vocabulary += [f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def qwen(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny random chat decoder."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("qwen")
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    wrapped.add_tokens(["<|im_start|>"], special_tokens=True)
    wrapped.chat_template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    wrapped.save_pretrained(folder)
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=len(wrapped),
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=512,
        pad_token_id=wrapped.pad_token_id,
        eos_token_id=wrapped.eos_token_id,
    )
    Qwen3Model(config).save_pretrained(folder)
    return str(folder)


def rows(count: int = 24) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "prompt": f"{WORDS[i % 16]} {WORDS[(i // 16) % 16]} {i} ?",
            "chosen": "apple " + " ".join(rng.choice(WORDS, 3)),
            "rejected": "night " + " ".join(rng.choice(WORDS, 3)),
        }
        for i in range(count)
    ]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows()), encoding="utf-8")
    return path


def quick(model: str, data: Path | str, output: Path, **values: Any) -> TrainConfig:
    overrides = {
        "data": str(data),
        "data.eval_fraction": 0.25,
        "model": model,
        "model.device": "cpu",
        "output": str(output),
        "training.max_steps": 4,
        "training.per_device_train_batch_size": 4,
        "training.bf16": False,
        "training.disable_tqdm": True,
    }
    return load_config(None, overrides | values)


@pytest.mark.parametrize("base", ["bert", "qwen"])
def test_preferences_go_in_and_a_verified_reward_model_comes_out(
    base: str, data: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = train(quick(request.getfixturevalue(base), data, tmp_path / "rm"))
    assert isinstance(model, RewardModel)
    assert model.folder == tmp_path / "rm"
    loaded = RewardModel.from_pretrained(tmp_path / "rm", device="cpu")
    assert all(check.passed for check in loaded.check_golden())
    assert loaded.predict("apple ?", "bread") == pytest.approx(model.predict("apple ?", "bread"), abs=1e-6)
    files = {path.name for path in (tmp_path / "rm").iterdir()}
    wanted = {"README.md", "config.json", "data.json", "metrics.json", "model.safetensors", "scoring_contract.json"}
    assert wanted | {"tokenizer.json", "training_config.yaml"} <= files
    assert not any(name.endswith((".bin", ".pt", ".pkl")) or name.startswith("checkpoint") for name in files)
    metrics = json.loads((tmp_path / "rm/metrics.json").read_text(encoding="utf-8"))
    assert metrics["held_out"]["pairs"] + json.loads((tmp_path / "rm/data.json").read_text())["train_pairs"] == 24
    config = json.loads((tmp_path / "rm/config.json").read_text(encoding="utf-8"))
    assert config["problem_type"] == "regression"
    assert config["architectures"][0].endswith("ForSequenceClassification")
    assert not list(tmp_path.glob("rm.partial*"))


@pytest.mark.parametrize("base", ["bert", "qwen"])
def test_the_folder_scores_equally_in_plain_transformers(
    base: str, data: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    ours = train(quick(request.getfixturevalue(base), data, tmp_path / "rm"))
    network = AutoModelForSequenceClassification.from_pretrained(tmp_path / "rm").eval()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "rm")
    prompt, response = "apple bread ?", "cloud, delta."
    if base == "bert":
        inputs = tokenizer(prompt, response, return_tensors="pt")
    else:
        turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        inputs = tokenizer.apply_chat_template(turns, return_tensors="pt", return_dict=True)
    with torch.no_grad():
        score = network(**inputs).logits.item()
    assert ours.predict(prompt, response) == pytest.approx(score, abs=1e-6)


@pytest.mark.parametrize("base", ["bert", "qwen"])
def test_the_code_blocks_of_the_model_card_work_and_agree(
    base: str, data: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    train(quick(request.getfixturevalue(base), data, tmp_path / "rm"))
    card = (tmp_path / "rm/README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", card, re.S)
    assert len(blocks) == 2
    done = subprocess.run([sys.executable, "-c", "\n".join(blocks)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    first, compared, last = done.stdout.splitlines()
    assert compared.startswith("Comparison(")
    assert float(first) == pytest.approx(float(last), abs=1e-5)


def test_the_same_data_in_any_file_gives_the_same_model(bert: str, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = rows(12)
    table[0]["chosen"] = 'ein Döner, bitte: 🥙 "mit allem",\nund scharf'
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table)
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "a.json").write_text(json.dumps(table), encoding="utf-8")
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "a.parquet")
    import csv

    with (tmp_path / "a.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ["prompt", "chosen", "rejected"])
        writer.writeheader()
        writer.writerows(table)
    talk = [
        {
            "prompt": [{"role": "user", "content": row["prompt"]}],
            "chosen": [{"role": "assistant", "content": row["chosen"]}],
            "rejected": [{"from": "gpt", "value": row["rejected"]}],
        }
        for row in table
    ]
    (tmp_path / "talk.jsonl").write_text("".join(json.dumps(row) + "\n" for row in talk), encoding="utf-8")
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(tmp_path / "a.jsonl", folder / "train.jsonl")
    weights = []
    for name in ("a.jsonl", "a.json", "a.jsonl.gz", "a.parquet", "a.csv", "talk.jsonl", "folder"):
        model = train(quick(bert, tmp_path / name, tmp_path / f"rm-{name}", **{"training.max_steps": 2}))
        weights.append(model.model.classifier.weight.detach().clone())
    assert all(torch.equal(weight, weights[0]) for weight in weights)


def test_columns_of_any_name_are_mapped_end_to_end(bert: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    odd = [
        {"q": row["prompt"], "good": row["chosen"], "bad": row["rejected"], "topic": str(i % 4)}
        for i, row in enumerate(rows())
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in odd), encoding="utf-8")
    mapping = {
        "data.prompt_column": "q",
        "data.chosen_column": "good",
        "data.rejected_column": "bad",
        "data.group_by": "topic",
    }
    result = run_training(
        quick(bert, path, tmp_path / "rm", **mapping, **{"data.split_seed": 1, "data.eval_fraction": 0.5})
    )
    assert result.evaluation is not None
    assert result.evaluation.prompts < 4
    with pytest.raises(DataError, match="good"):
        train(quick(bert, path, tmp_path / "rm2"))


def test_a_streamed_run_trains_on_a_given_number_of_steps(bert: str, data: Path, tmp_path: Path) -> None:
    values = {"data.streaming": True, "data.eval_fraction": 0.0}
    result = run_training(quick(bert, data, tmp_path / "rm", **values))
    assert result.evaluation is None
    assert "has not been evaluated" in (tmp_path / "rm/README.md").read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="max_steps"):
        train(
            load_config(None, {"data": str(data), "data.streaming": True, "model": bert, "output": str(tmp_path / "x")})
        )
    with pytest.raises(ConfigError, match="cannot hold prompts out"):
        train(quick(bert, data, tmp_path / "y", **{"data.streaming": True}))


def test_a_separate_evaluation_set_is_used_and_may_share_no_prompt(bert: str, data: Path, tmp_path: Path) -> None:
    other = tmp_path / "held_out.jsonl"
    fresh = [{"prompt": "never seen", "chosen": "apple", "rejected": "night"}]
    other.write_text("".join(json.dumps(row) + "\n" for row in fresh), encoding="utf-8")
    result = run_training(quick(bert, data, tmp_path / "rm", **{"data.eval_source": str(other)}))
    assert result.evaluation is not None
    assert result.evaluation.pairs == 1
    other.write_text(json.dumps(rows(1)[0]) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match="are in the training data too"):
        train(quick(bert, data, tmp_path / "rm2", **{"data.eval_source": str(other)}))


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(bert: str, data: Path, tmp_path: Path) -> None:
    states = [
        train(quick(bert, data, tmp_path / f"rm{i}", seed=seed)).model.state_dict() for i, seed in enumerate((1, 1, 2))
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_an_interrupted_run_resumes_to_the_same_weights(bert: str, data: Path, tmp_path: Path) -> None:
    from transformers import TrainerCallback

    class KilledError(Exception):
        pass

    class Kill(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 5:
                raise KilledError

    options = {"training.max_steps": 8, "training.save_strategy": "steps", "training.save_steps": 2}
    whole = train(quick(bert, data, tmp_path / "whole", **options))
    with pytest.raises(KilledError):
        run_training(quick(bert, data, tmp_path / "rm", **options), callbacks=[Kill()])
    assert not (tmp_path / "rm").exists()
    (tmp_path / "rm.partial/checkpoint-6").mkdir()  # as if killed while writing it
    with pytest.raises(OutputError, match="resume"):
        train(quick(bert, data, tmp_path / "rm", **options))
    resumed = train(quick(bert, data, tmp_path / "rm", **options, resume=True))
    for name, weight in whole.model.state_dict().items():
        assert torch.equal(weight, resumed.model.state_dict()[name]), name
    assert sorted(path.name for path in (tmp_path / "rm").glob("checkpoint-*"))  # the user asked for checkpoints


def test_a_corrupt_checkpoint_is_named(bert: str, data: Path, tmp_path: Path) -> None:
    from transformers import TrainerCallback

    class Kill(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 3:
                raise KeyboardInterrupt

    options = {"training.max_steps": 4, "training.save_strategy": "steps", "training.save_steps": 2}
    with pytest.raises(KeyboardInterrupt):
        run_training(quick(bert, data, tmp_path / "rm", **options), callbacks=[Kill()])
    weights = tmp_path / "rm.partial/checkpoint-2/model.safetensors"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"cannot resume from .*checkpoint-2"):
        train(quick(bert, data, tmp_path / "rm", **options, resume=True))


def test_an_existing_output_is_refused_unless_overwritten(bert: str, data: Path, tmp_path: Path) -> None:
    output = tmp_path / "rm"
    train(quick(bert, data, output, seed=1))
    before = (output / "scoring_contract.json").read_text(encoding="utf-8")
    with pytest.raises(OutputError, match="exists already"):
        train(quick(bert, data, output))
    with pytest.raises(OutputError, match="finished"):
        train(quick(bert, data, output, resume=True))
    with pytest.raises(OutputError, match="nothing to resume"):
        train(quick(bert, data, tmp_path / "other", resume=True))
    assert (output / "scoring_contract.json").read_text(encoding="utf-8") == before
    train(quick(bert, data, output, seed=2, overwrite=True))
    assert (output / "scoring_contract.json").read_text(encoding="utf-8") != before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pairs.jsonl", "rm"]


def test_a_full_disk_leaves_nothing_under_the_final_name(
    bert: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plaudit.models.contract import ScoringContract

    def full(self: ScoringContract, folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    options = {"training.save_strategy": "no"}
    monkeypatch.setattr(ScoringContract, "save", full)
    with pytest.raises(OutputError, match="No space left"):
        train(quick(bert, data, tmp_path / "rm", **options))
    assert not (tmp_path / "rm").exists()
    assert not (tmp_path / "rm.partial").exists()


def test_an_output_that_cannot_be_written_is_refused_before_training(bert: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write"):
        train(quick(bert, data, tmp_path / "file" / "rm"))
    with pytest.raises(OutputError, match="is a file"):
        train(quick(bert, data, tmp_path / "file"))


def test_a_model_that_does_not_reload_to_its_scores_is_not_saved(
    bert: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plaudit.models import reward_model
    from plaudit.models.contract import GoldenCheck

    def other(folder: Path, contract: Any) -> list[Any]:
        return [GoldenCheck(contract.golden[0], contract.golden[0].score + 1, True, 1e-5)]

    monkeypatch.setattr(reward_model, "check_plain_transformers", other)
    with pytest.raises(ContractError, match="nothing was saved"):
        train(quick(bert, data, tmp_path / "rm"))
    assert not (tmp_path / "rm").exists()


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"training.learning_rat": 1e-3}, "unknown training option 'learning_rat' .did you mean 'learning_rate'"),
        ({"data.sorce": "x"}, "unknown key 'data.sorce' .did you mean 'source'"),
        ({"modle": "x"}, "unknown key 'modle' .did you mean 'model'"),
        ({"data.eval_fraction": 1.5}, "eval_fraction.*less than 1"),
        ({"model.max_length": 4}, "max_length.*8"),
        ({"training.output_dir": "x"}, "set by 'output'"),
        ({"overwrite": True, "resume": True}, "exclude each other"),
        ({"model.device_fallback": "cuda"}, "device_fallback"),
    ],
)
def test_bad_configuration_is_one_clear_error(overrides: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        load_config(None, {"data": "d.jsonl", "output": str(tmp_path / "o"), **overrides})


def test_what_yaml_misreads_is_read_as_it_was_meant(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    training = "training:\n  learning_rate: 1e-5\n  eval_strategy: no\n"
    path.write_text(f"data: d.jsonl\noutput: out\n{training}", encoding="utf-8")
    assert load_config(path).training == {"learning_rate": 1e-5, "eval_strategy": "no"}


def test_a_yaml_file_and_overrides_are_laid_over_each_other(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data: d.jsonl\nmodel: base\noutput: out\ntraining:\n  learning_rate: 0.5\n", encoding="utf-8")
    config = load_config(path, {"training.num_train_epochs": 2, "data.group_by": "topic", "model.max_length": 99})
    assert config.data.source == "d.jsonl"
    assert config.data.group_by == "topic"
    assert (config.model.name, config.model.max_length) == ("base", 99)
    assert config.training == {"learning_rate": 0.5, "num_train_epochs": 2}
    with pytest.raises(ConfigError, match="cannot read"):
        load_config(tmp_path / "none.yaml")
    path.write_text("data: [", encoding="utf-8")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(path)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", DataError, "no data in"),
        ('{"prompt": "a", "chosen": "b"}\n', RowError, r"bad.jsonl:1.*rejected"),
        ('{"prompt": "a", "chosen": "b", "rejected": ["c"]}\n', RowError, r"bad.jsonl:1"),
        ('{"prompt": "a", "chosen": "b", "rejected": "c", "margin": NaN}\n', RowError, r"bad.jsonl:1.*margin"),
        ('{"prompt": "a", "chosen": "b", "rejected": "b"}\n', DataError, "identical"),
        ('{"prompt": "a", "chosen": "b", "rejected": "c"}\n{"prompt"\n', RowError, r"bad.jsonl:2"),
    ],
)
def test_bad_data_is_refused_before_a_model_loads(
    bert: str, tmp_path: Path, text: str, error: type[Exception], message: str
) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(error, match=message):
        train(quick(bert, path, tmp_path / "rm"))
    assert not (tmp_path / "rm").exists()


def test_missing_inputs_are_named(bert: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no_such\.jsonl"):
        train(quick(bert, tmp_path / "no_such.jsonl", tmp_path / "rm"))
    with pytest.raises(ModelError, match="no model folder"):
        train(quick(str(tmp_path / "nowhere/at/all"), data, tmp_path / "rm"))
    with pytest.raises(ConfigError, match="positions"):
        train(quick(bert, data, tmp_path / "rm", overwrite=True, **{"model.max_length": 1000}))


def test_mps_that_fails_during_a_run_goes_on_on_the_cpu_when_allowed(
    bert: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = run_module._run_on
    seen = []

    def flaky(config: Any, device: torch.device, *rest: Any) -> Any:
        seen.append(device.type)
        if device.type == "mps":
            raise RuntimeError("MPS backend out of memory")
        return real(config, device, *rest)

    monkeypatch.setattr(run_module, "_run_on", flaky)
    monkeypatch.setattr(run_module, "resolve_device", lambda device, fallback: torch.device("mps"))
    said: list[str] = []
    values = {"model.device": "mps", "model.device_fallback": "cpu"}
    run_training(quick(bert, data, tmp_path / "rm", **values), say=said.append)
    assert seen == ["mps", "cpu"]
    assert any("MPS failed" in line for line in said)
    with pytest.raises(RuntimeError, match="out of memory"):
        run_training(quick(bert, data, tmp_path / "rm2", **{"model.device": "mps"}))


def test_a_reward_config_object_can_be_nested(bert: str, data: Path, tmp_path: Path) -> None:
    from plaudit import RewardConfig

    nested = RewardConfig("ignored", max_steps=2, per_device_train_batch_size=4, use_cpu=True, bf16=False)
    config = TrainConfig(
        data=str(data),  # type: ignore[arg-type]
        model={"name": bert, "device": "cpu"},  # type: ignore[arg-type]
        output=tmp_path / "rm",
        training=nested,  # type: ignore[arg-type]
    )
    assert run_training(config).settings["max_steps"] == "2"
    assert train(data=str(data), model=bert, output=tmp_path / "rm2", training={"max_steps": 1}).folder is not None
    with pytest.raises(ConfigError, match="not both"):
        train(config, output="x")
