"""Tiny random sequence classifiers of many architectures, and the path that each must take. Knows nothing of data."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import torch
import transformers
from transformers import PreTrainedModel

from plaudit.engine.batcher import Batcher
from plaudit.engine.support import packing_support
from plaudit.formatting import Rendered
from plaudit.models.heads import install_reward_head, reads_last_token
from plaudit.models.trainable import set_dropout

__all__ = [
    "ARCHITECTURES",
    "PACKED",
    "PADDED",
    "VOCABULARY",
    "Architecture",
    "batcher_of",
    "build",
    "mixed_texts",
    "plain",
]

VOCABULARY = 200
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "initializer_range": 0.2,
    "num_labels": 1,
}


@dataclass(frozen=True)
class Architecture:
    """One row of the table.

    Attributes:
        family: what its classes in transformers begin with.
        path: a key of `plaudit.engine.support.PATHS`.
        reason: a word of the reason for ``padded``.
        shape: what differs from `SHAPE`.
    """

    family: str
    path: str
    reason: str = ""
    shape: dict[str, Any] = field(default_factory=dict)


WINDOW = {"sliding_window": 9}
MODERNBERT = {"local_attention": 12, "cls_token_id": 1, "sep_token_id": 2}
ARCHITECTURES = {
    "Llama": Architecture("Llama", "shared"),
    "Qwen2": Architecture("Qwen2", "shared"),
    "Qwen3": Architecture("Qwen3", "shared"),
    "Mistral": Architecture("Mistral", "shared", shape=WINDOW),
    "Gemma 2": Architecture("Gemma2", "shared", shape=WINDOW | {"query_pre_attn_scalar": 8}),
    "Gemma 3": Architecture("Gemma3Text", "shared", shape=WINDOW | {"query_pre_attn_scalar": 8}),
    "Phi-3": Architecture("Phi3", "shared"),
    "GPT-2": Architecture("GPT2", "shared", shape={"n_inner": 48}),
    "GPT-NeoX": Architecture("GPTNeoX", "shared"),
    "OPT": Architecture("OPT", "shared", shape={"word_embed_proj_dim": 32, "ffn_dim": 48, "dropout": 0.0}),
    "OLMo 2": Architecture("Olmo2", "shared"),
    "SmolLM3": Architecture("SmolLM3", "shared"),
    "gpt-oss": Architecture(
        "GptOss", "shared", shape=WINDOW | {"num_local_experts": 2, "num_experts_per_tok": 1, "rope_scaling": None}
    ),
    "Qwen3 MoE": Architecture(
        "Qwen3Moe", "shared", shape={"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
    ),
    "ModernBERT (cls)": Architecture("ModernBert", "unpadded", shape=MODERNBERT | {"classifier_pooling": "cls"}),
    "ModernBERT (mean)": Architecture("ModernBert", "unpadded", shape=MODERNBERT | {"classifier_pooling": "mean"}),
    "BERT": Architecture("Bert", "unpadded"),
    "RoBERTa": Architecture("Roberta", "unpadded"),
    "XLM-RoBERTa": Architecture("XLMRoberta", "unpadded"),
    "DistilBERT": Architecture(
        "DistilBert", "unpadded", shape={"dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4}
    ),
    "ELECTRA": Architecture("Electra", "unpadded"),
    "DeBERTa-v2": Architecture("DebertaV2", "padded", "attention interface"),
    "MPNet": Architecture("MPNet", "padded", "attention interface"),
    "BLOOM": Architecture("Bloom", "padded", "attention interface"),
    "Jamba": Architecture(
        "Jamba",
        "padded",
        "state",
        {"num_experts": 2, "attn_layer_period": 2, "attn_layer_offset": 1, "mamba_d_state": 4},
    ),
}
PACKED = [name for name, architecture in ARCHITECTURES.items() if architecture.path != "padded"]
PADDED = [name for name, architecture in ARCHITECTURES.items() if architecture.path == "padded"]


def build(name: str, **changes: Any) -> PreTrainedModel:
    """A model with plaudit's reward head, without dropout, in evaluation mode; plain attention."""
    family, shape = ARCHITECTURES[name].family, SHAPE | ARCHITECTURES[name].shape | changes
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(**shape)
    model: PreTrainedModel = getattr(transformers, f"{family}ForSequenceClassification")(config).eval()
    set_dropout(model, 0.0)
    install_reward_head(model)
    return model


def batcher_of(model: PreTrainedModel) -> Batcher:
    """As `RewardModel` makes it."""
    support = packing_support(model)
    return Batcher(support.path, reads_last_token(model), False, 0, first_position=support.first_position)


def plain(model: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """The reward of one text through the class's own forward: (1,)."""
    return type(model).forward(model, input_ids=torch.tensor([ids])).logits[0]


def mixed_texts(seed: int = 0) -> list[Rendered]:
    """Prompts with 1 to 16 responses, some of one token; one text of one token, a start of another, and two alike."""
    rng = random.Random(seed)

    def ids(count: int) -> list[int]:
        return [rng.randrange(5, VOCABULARY) for _ in range(count)]

    texts = []
    for prompt_length, k in ((21, 1), (30, 2), (9, 16), (14, 5), (3, 2)):
        prompt = ids(prompt_length)
        texts += [prompt + ids(rng.choice((1, 2, 7, 25))) for _ in range(k)]
    texts += [ids(1), ids(40), texts[1][:-1], texts[1][:12], texts[4], texts[4]]
    rng.shuffle(texts)
    return [Rendered(text) for text in texts]
