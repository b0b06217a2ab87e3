"""Tiny models saved on disk, data files, and a runner that keeps stdout and stderr apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from plaudit.cli import app

Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run("score", "--model", …, input=…)``."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")

    def invoke(*arguments: str | Path, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments], input=input)

    return invoke


@pytest.fixture(scope="session")
def base_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers without a head, with the tokenizer of the embedded model."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    from plaudit.models.build import resolve_name

    folder = tmp_path_factory.mktemp("models") / "tiny-bert"
    tokenizer = AutoTokenizer.from_pretrained(resolve_name("embedded"))
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=128,
        pad_token_id=tokenizer.pad_token_id,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def reward_model(base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward model with a contract; its scores mean nothing."""
    from plaudit.formatting import default_spec
    from plaudit.models.build import load_model
    from plaudit.models.reward_model import RewardModel

    loaded = load_model(base_model, training=True, seed=1)
    model = RewardModel(loaded.model, loaded.tokenizer, default_spec(loaded.tokenizer, 64), base_model="tiny-bert")
    folder = tmp_path_factory.mktemp("models") / "tiny-rm"
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sharing_model(saved: Callable[[str, str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder with a contract: it computes prompts once."""
    from plaudit.models.reward_model import RewardModel

    folder = tmp_path_factory.mktemp("models") / "sharing-rm"
    RewardModel.from_pretrained(saved("qwen3", "reward"), device="cpu").save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A decoder's tokenizer (byte-level, with a chat template) and configuration; no weights."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|user|>", "<|assistant|>", "<|end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["the sky is blue because of the air"], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", model_max_length=512)
    fast.chat_template = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    folder = tmp_path_factory.mktemp("models") / "decoder"
    fast.save_pretrained(folder)
    LlamaConfig(vocab_size=len(fast), hidden_size=32, num_hidden_layers=1, num_attention_heads=2).save_pretrained(
        folder
    )
    return folder


def write_jsonl(path: Path, rows: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """Preference pairs of several prompts and two sources."""
    return write_jsonl(
        tmp_path / "pairs.jsonl",
        [
            {
                "prompt": f"Question {index}: why is the sky blue?",
                "chosen": f"Because of the air, {index}.",
                "rejected": f"No idea {index}",
                "source": "even" if index % 2 == 0 else "odd",
            }
            for index in range(24)
        ],
    )


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """``write_rows("rows.jsonl", row, row, …)``."""
    return lambda name, *rows: write_jsonl(tmp_path / name, rows)
