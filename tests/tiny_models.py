"""Tiny models and tokenizers, built from config: the real classes of transformers, two layers, 32 wide.

Knows nothing of plaudit. Every builder is seeded, so two runs see the same weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

CORPUS = [
    "What is the capital of France? Paris is the capital of France.",
    "Write a function that adds two numbers. def add(a, b): return a + b",
    "The weather is nice today, and rivers carry water and stones to the sea.",
    "user assistant system question answer good bad better worse reward model",
    "List three fruits: apples, pears and plums. All three grow on trees.",
    "0 1 2 3 4 5 6 7 8 9 ten eleven twelve thirteen",
]

CHATML = (
    "{%- if tools %}{{ '<|im_start|>system\nTools: ' + (tools | tojson) + '<|im_end|>\n' }}{% endif %}"
    "{%- for message in messages %}"
    "{%- set content = message.content or '' %}"
    "{{ '<|im_start|>' + message.role + '\n' }}"
    "{%- if message.role == 'assistant' and '</think>' in content %}"
    "{{ '<think>\n' + content.split('</think>')[0].split('<think>')[-1].strip() + '\n</think>\n\n' }}"
    "{%- set content = content.split('</think>')[-1].lstrip('\n') %}"
    "{%- elif message.role == 'assistant' and loop.last and enable_thinking is defined and not enable_thinking %}"
    "{{ '<think>\n\n</think>\n\n' }}"
    "{%- endif %}"
    "{{ content }}"
    "{%- for call in message.tool_calls or [] %}{{ '<tool_call>' + (call | tojson) + '</tool_call>' }}{% endfor %}"
    "{{ '<|im_end|>\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""As Qwen3's: roles as headers, thoughts in their own block, tools, and an argument ``enable_thinking``."""

LLAMA_TEMPLATE = (
    "{{ bos_token }}"
    "{%- for message in messages %}"
    "{%- if message.role not in ('system', 'user', 'assistant') %}"
    "{{ raise_exception('only system, user and assistant roles are supported') }}"
    "{%- endif %}"
    "{{ '<|start_header_id|>' + message.role + '<|end_header_id|>\n\n' + (message.content | trim) + '<|eot_id|>' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
"""As Llama 3's: it writes the BOS itself and strips every message."""


def _byte_level(specials: list[str], *, trim_offsets: bool = False) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim_offsets)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=specials, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def qwen3_tokenizer() -> PreTrainedTokenizerBase:
    """ChatML, no BOS, pad token of its own."""
    core = _byte_level(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    return PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=CHATML
    )


def llama_tokenizer() -> PreTrainedTokenizerBase:
    """BOS both from the template and from the tokenizer (double, if both are asked), offsets trimmed as in Llama 3."""
    specials = ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|pad|>"]
    core = _byte_level(specials)
    bos = core.token_to_id("<|begin_of_text|>")
    core.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=True),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                special_tokens=[("<|begin_of_text|>", bos)],
            ),
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<|pad|>",
        chat_template=LLAMA_TEMPLATE,
    )


def gpt2_tokenizer() -> PreTrainedTokenizerBase:
    """One special token for BOS and EOS, no pad token, no template, and no special tokens of its own accord."""
    core = _byte_level(["<|endoftext|>"])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<|endoftext|>", eos_token="<|endoftext|>")


def bert_tokenizer() -> PreTrainedTokenizerBase:
    """WordPiece with CLS, SEP and token types."""
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = sorted({word for line in CORPUS for word in re.findall(r"\w+", line.lower())})
    letters = [chr(code) for code in range(33, 127) if not chr(code).isupper()]
    vocabulary = dict.fromkeys([*specials, *letters, *(f"##{letter}" for letter in letters), *words])
    ids = {token: index for index, token in enumerate(vocabulary)}  # written out: training one is not repeatable
    core = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    core.add_special_tokens(specials)
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    core.decoder = decoders.WordPiece()
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return _encoder_tokenizer(core, specials, token_types=True)


def modernbert_tokenizer() -> PreTrainedTokenizerBase:
    """Byte-level BPE with CLS and SEP, without token types."""
    core = _byte_level(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    core.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return _encoder_tokenizer(core, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], token_types=False)


def roberta_tokenizer() -> PreTrainedTokenizerBase:
    """Byte-level BPE with <s> and </s></s> between the halves of a pair, offsets trimmed, without token types."""
    core = _byte_level(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    core.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True)
    tokenizer = _encoder_tokenizer(core, ["<pad>", "<unk>", "<s>", "</s>", "<mask>"], token_types=False)
    tokenizer.bos_token, tokenizer.eos_token = "<s>", "</s>"
    return tokenizer


def _encoder_tokenizer(core: Tokenizer, specials: list[str], *, token_types: bool) -> PreTrainedTokenizerBase:
    pad, unk, cls, sep, mask = specials
    names = ["input_ids", "token_type_ids", "attention_mask"] if token_types else ["input_ids", "attention_mask"]
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token=pad,
        unk_token=unk,
        cls_token=cls,
        sep_token=sep,
        mask_token=mask,
        model_input_names=names,
        model_max_length=512,
    )


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "qwen3": qwen3_tokenizer,
    "llama": llama_tokenizer,
    "gpt2": gpt2_tokenizer,
    "bert": bert_tokenizer,
    "modernbert": modernbert_tokenizer,
    "roberta": roberta_tokenizer,
}
DECODERS = ("qwen3", "llama", "gpt2")
ENCODERS = ("bert", "modernbert", "roberta")
FAMILIES = (*DECODERS, *ENCODERS)

_CLASSES = {
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", "Qwen3ForSequenceClassification"),
    "llama": ("LlamaConfig", "LlamaForCausalLM", "LlamaForSequenceClassification"),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", "GPT2ForSequenceClassification"),
    "bert": ("BertConfig", "BertForMaskedLM", "BertForSequenceClassification"),
    "modernbert": ("ModernBertConfig", "ModernBertForMaskedLM", "ModernBertForSequenceClassification"),
    "roberta": ("RobertaConfig", "RobertaForMaskedLM", "RobertaForSequenceClassification"),
}


def tiny_config(family: str, tokenizer: PreTrainedTokenizerBase, **changes: Any) -> transformers.PretrainedConfig:
    """A two-layer config whose vocabulary is exactly the tokenizer's."""
    values: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "initializer_range": 0.2,
    }
    if family in ("qwen3", "llama"):
        values |= {"num_key_value_heads": 2, "head_dim": 8, "tie_word_embeddings": family == "qwen3"}
    if family == "gpt2":
        values |= {"n_inner": 48, "attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
        values.pop("intermediate_size")
    if family == "modernbert":
        values |= {"cls_token_id": 2, "sep_token_id": 3, "local_attention": 16, "global_attn_every_n_layers": 2}
        values |= {"reference_compile": False, "attn_implementation": "sdpa"}
    if family == "roberta":
        values["max_position_embeddings"] = 514
    return getattr(transformers, _CLASSES[family][0])(**(values | changes))


def tiny_model(
    family: str, tokenizer: PreTrainedTokenizerBase, *, reward: bool, seed: int = 0, num_labels: int = 1, **changes: Any
) -> PreTrainedModel:
    """A base model (with its language head) or a sequence classifier, weights large enough that scores differ."""
    torch.manual_seed(seed)
    config = tiny_config(family, tokenizer, **({"num_labels": num_labels} if reward else {}), **changes)
    return getattr(transformers, _CLASSES[family][2 if reward else 1])(config).eval()


def save_tiny(folder: Path, family: str, *, reward: bool, **options: Any) -> Path:
    """A folder as a third party would publish it: weights, config, tokenizer, nothing of plaudit."""
    tokenizer = TOKENIZERS[family]()
    tiny_model(family, tokenizer, reward=reward, **options).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
