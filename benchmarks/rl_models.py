"""A small language model that writes headlines and a reward model that was trained to like what a rule likes.

Both are trained here, from nothing, on real headlines (``ratings/upworthy_ctr.jsonl``), in about three minutes on one
core, and kept in a folder. Used by ``rl.py`` and ``ppo_step.py``.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import plaudit
from common import SHARED_DATA

WORDS = 4
"""Words of a headline that are the prompt; the policy writes the rest."""

GOLD = "sentiment"


def headlines() -> list[tuple[str, str]]:
    """(prompt, rest) of every headline that has a rest."""
    lines = (SHARED_DATA / "ratings/upworthy_ctr.jsonl").read_text(encoding="utf-8").splitlines()
    texts = sorted({json.loads(line)["response"].strip() for line in lines})
    random.Random(0).shuffle(texts)
    split = [(words[:WORDS], words[WORDS:]) for words in (text.split() for text in texts)]
    return [(" ".join(start), " " + " ".join(rest)) for start, rest in split if len(rest) >= 3]


def build(folder: Path) -> tuple[Path, Path, Path]:
    """Folders of the policy and the reward model, and a file of prompts that neither was trained on."""
    policy, reward, prompts = folder / "policy", folder / "reward", folder / "prompts.json"
    rows = headlines()
    held, trained = rows[:600], rows[600:]
    if not policy.exists():
        _train_policy(policy, [start + rest for start, rest in trained])
    if not reward.exists():
        texts = [{"prompt": start, "response": rest} for start, rest in trained]
        model = plaudit.distill(
            texts=texts,
            rewards=[GOLD],
            model={"name": str(policy), "max_length": 64},
            training={"num_train_epochs": 2, "learning_rate": 5e-4, "per_device_train_batch_size": 32},
            output=reward,
        )
        print(
            "reward model against its rule:",
            json.loads((reward / "metrics.json").read_text())["distillation"]["overall"],
        )
        del model
    prompts.write_text(json.dumps([{"prompt": start} for start, _ in held]), encoding="utf-8")
    return policy, reward, prompts


def _train_policy(folder: Path, texts: list[str], seconds: float = 100) -> None:
    """Next-token training from random weights for a fixed CPU time."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    specials = ["<|end|>", "<|pad|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=2048, special_tokens=specials, initial_alphabet=alphabet)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", pad_token="<|pad|>")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    ids = [tokenizer(text)["input_ids"] + [tokenizer.eos_token_id] for text in texts]
    began, step, losses = time.process_time(), 0, []
    while (spent := time.process_time() - began) < seconds:
        rows = random.Random(step).sample(ids, 48)
        width = max(map(len, rows))
        batch = torch.full((len(rows), width), tokenizer.pad_token_id)
        labels = torch.full_like(batch, -100)
        for row, tokens in enumerate(rows):
            batch[row, : len(tokens)] = labels[row, : len(tokens)] = torch.tensor(tokens)
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * max(0.02, 1 - spent / seconds)
        loss = model(input_ids=batch, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
        step += 1
    print(f"policy: {step} steps, loss {losses[0]:.2f} to {sum(losses[-20:]) / 20:.2f}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    build(Path("runs/rl"))
