"""The policy: a language model that answers prompts, and the frozen one it started as.

Knows how prompts become tokens and how answers are sampled and read back. Knows nothing of rewards or algorithms.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from jinja2 import TemplateError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from plaudit.errors import ConfigError, ModelError, RenderError
from plaudit.models.build import load_tokenizer, position_limit, quiet_transformers, resolve_name
from plaudit.models.device import parse_dtype, resolve_device
from plaudit.models.lora import quiet_peft
from plaudit.models.trainable import set_dropout
from plaudit.types import Prompt

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["Answers", "Policy", "load_policy"]

logger = logging.getLogger(__name__)

PromptLayout = Literal["auto", "chat", "text"]


@dataclass
class Answers:
    """Sampled answers to B prompts.

    Attributes:
        prompts: B lists of token ids, as the policy read them.
        ids: B lists of token ids, up to and including the end token where there is one.
        texts: the answers as a person reads them: no end token, no special tokens.
        ended: B booleans, whether the policy ended the answer itself.
    """

    prompts: list[list[int]]
    ids: list[list[int]]
    texts: list[str]
    ended: list[bool]

    def __len__(self) -> int:
        return len(self.ids)


class Policy:
    """A language model that answers prompts.

    Args:
        model: a ``*ForCausalLM``; its dropout is switched off, so that sampling, old and new log-probabilities are
            those of one function.
        tokenizer: its tokenizer.
        layout: how a text prompt is put: ``chat``, as a user's message in the chat template; ``text``, as it is;
            ``auto``: chat where there is a template. A conversation always needs the template.
        adapter: the `PeftModel` around the model, where it carries one.

    Attributes:
        end_ids: tokens that end an answer: those of the generation configuration and the tokenizer's EOS.
        pad_id: fills batches; never an end token, so that what ends an answer is never taken for filling.
        limit: most positions, prompt and answer together; None where the model does not say.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        layout: PromptLayout = "auto",
        adapter: PeftModel | None = None,
    ) -> None:
        self.model, self.tokenizer, self.adapter = model, tokenizer, adapter
        if layout == "chat" and not tokenizer.chat_template:
            raise ConfigError("prompt_layout 'chat' needs a chat template, and this policy's tokenizer has none")
        self.layout: str = layout if layout != "auto" else "chat" if tokenizer.chat_template else "text"
        set_dropout(model, 0.0)
        self.end_ids = _end_ids(model, tokenizer)
        self.pad_id = _pad_id(tokenizer, self.end_ids)
        self.limit = position_limit(model, tokenizer)
        self._own_generation_config = model.generation_config
        # what is sampled from must be the distribution whose log-probabilities are computed: the checkpoint's own
        # top_p, top_k, repetition penalty and the like would make it another one
        model.generation_config = GenerationConfig(
            do_sample=True, eos_token_id=list(self.end_ids), pad_token_id=self.pad_id, top_k=0, top_p=1.0
        )

    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    @property
    def trained(self) -> torch.nn.Module:
        """What an optimizer and a saving routine see: the model, or the adapter around it."""
        return self.model if self.adapter is None else self.adapter

    # -- texts and tokens ----------------------------------------------------------------------------------------

    def render(self, prompt: Prompt) -> list[int]:
        """The token ids of a prompt, ready to be answered.

        Raises:
            RenderError: a conversation for a policy without chat template, or nothing to render.
        """
        if prompt is None:
            raise RenderError("there is no prompt; a policy needs one to answer")
        if isinstance(prompt, str) and self.layout == "text":
            ids: list[int] = self.tokenizer(prompt)["input_ids"]
            end = self.tokenizer.eos_token_id
            return ids[:-1] if len(ids) > 1 and ids[-1] == end else ids  # some tokenizers end every text
        if not self.tokenizer.chat_template:
            raise RenderError(
                "the prompt is a conversation and the policy's tokenizer has no chat template; give prompts as texts, "
                "or a policy with a template"
            )
        messages: Any = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt)
        template = self.tokenizer.apply_chat_template
        try:
            return list(template(messages, add_generation_prompt=True, tokenize=True, return_dict=False))
        except TemplateError as error:
            raise RenderError(f"the policy's chat template refuses the prompt: {error}") from error

    def text_of(self, ids: Sequence[int]) -> str:
        """What an answer says: special tokens left out, spaces as they are."""
        text = self.tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return str(text)

    # -- sampling ------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(
        self,
        prompts: Sequence[Sequence[int]],
        *,
        max_new_tokens: int,
        temperature: float = 1.0,
        seed: int | None = None,
        batch_size: int = 64,
    ) -> Answers:
        """One answer to each prompt, sampled from softmax(logits / temperature), cut off after its first end token.

        Args:
            prompts: B lists of token ids, see `render`.
            max_new_tokens: most tokens of an answer.
            temperature: above 0; exactly 0 takes the likeliest token.
            seed: makes the draw repeatable and leaves the state of the random generators alone; None: goes on from it.
            batch_size: prompts answered side by side; those of similar length share a batch.
        """
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        ids: list[list[int]] = [[] for _ in prompts]
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices, enabled=seed is not None):
            if seed is not None:
                torch.manual_seed(seed)
            for start in range(0, len(order), batch_size):
                chosen = order[start : start + batch_size]
                found = self._generate([prompts[i] for i in chosen], max_new_tokens, temperature)
                for i, answer in zip(chosen, found, strict=True):
                    ids[i] = answer
        ended = [bool(answer) and answer[-1] in self.end_ids for answer in ids]
        texts = [self.text_of(answer[:-1] if end else answer) for answer, end in zip(ids, ended, strict=True)]
        return Answers([list(p) for p in prompts], ids, texts, ended)

    def _generate(self, prompts: list[Sequence[int]], new: int, temperature: float) -> list[list[int]]:
        width = max(len(p) for p in prompts)
        rows = torch.full((len(prompts), width), self.pad_id)
        mask = torch.zeros_like(rows)
        for row, prompt in enumerate(prompts):  # padded on the left: all answers begin at one place
            rows[row, width - len(prompt) :] = torch.tensor(prompt)
            mask[row, width - len(prompt) :] = 1
        network: Any = self.model
        was_training = network.training
        network.eval()
        how: dict[str, Any] = {"temperature": temperature} if temperature > 0 else {"do_sample": False}
        out = network.generate(
            input_ids=rows.to(self.device), attention_mask=mask.to(self.device), max_new_tokens=new, **how
        )
        network.train(was_training)
        return [self._cut(row) for row in out[:, width:].tolist()]

    def _cut(self, answer: list[int]) -> list[int]:
        for place, token in enumerate(answer):
            if token in self.end_ids:
                return answer[: place + 1]
        return answer

    # -- the start and the end -----------------------------------------------------------------------------------

    @contextmanager
    def as_reference(self) -> Iterator[None]:
        """Inside, an adapted policy computes as it did before training."""
        if self.adapter is None:
            raise ConfigError("a policy without adapter needs a frozen copy as reference")
        with self.adapter.disable_adapter():
            yield

    def frozen_copy(self) -> PreTrainedModel:
        """The policy as it is now, for good."""
        copied: PreTrainedModel = copy.deepcopy(self.model).eval()
        for parameter in copied.parameters():
            parameter.requires_grad_(False)
        return copied

    def save(self, folder: Path, state_dict: dict[str, torch.Tensor] | None = None) -> None:
        """Model (or adapter), tokenizer and the checkpoint's own generation configuration."""
        ours, self.model.generation_config = self.model.generation_config, self._own_generation_config
        try:
            with quiet_transformers(), quiet_peft():
                self.trained.save_pretrained(folder, state_dict=state_dict)  # type: ignore[operator]
        finally:
            self.model.generation_config = ours
        self.tokenizer.save_pretrained(folder)


def load_policy(
    name: str | Path,
    *,
    dtype: str = "auto",
    device: str | None = None,
    layout: PromptLayout = "auto",
    lora: dict[str, Any] | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
    attn_implementation: str | None = None,
) -> Policy:
    """A policy from a folder or the Hub.

    Args:
        name: folder or Hub id of a language model.
        dtype: of its weights; ``auto``: float32 (forwards on CUDA run in bfloat16 all the same), as saved under an
            adapter on a GPU.
        device: ``cuda``, ``mps``, ``cpu``; None takes the best there is.
        layout: as in `Policy`.
        lora: fields of peft's `LoraConfig` (``r``, ``lora_alpha``, ``target_modules``, …): train an adapter only.
        revision, trust_remote_code, attn_implementation: as in transformers.

    Raises:
        ModelError: there is no such model, or it is no language model.
    """
    path = resolve_name(name)
    target = resolve_device(device)
    _check_causal(path, name, revision=revision, trust_remote_code=trust_remote_code)
    tokenizer = load_tokenizer(name, revision=revision, trust_remote_code=trust_remote_code)
    wanted: Any = "auto" if dtype == "auto" else parse_dtype(dtype)
    if dtype == "auto" and (target.type == "cpu" or lora is None):
        wanted = torch.float32  # small steps of an optimizer are lost in the digits of half precision
    try:
        with quiet_transformers():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                path,
                dtype=wanted,
                revision=revision,
                trust_remote_code=trust_remote_code,
                attn_implementation=attn_implementation,
                use_safetensors=True,
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ModelError(f"cannot load the policy {name}: {' '.join(str(error).split())[:400]}") from error
    model, info = loaded
    if info["missing_keys"]:
        missing = ", ".join(sorted(info["missing_keys"])[:3])
        raise ModelError(f"the policy {name} lacks weights ({missing}): it is no language model, or it is damaged")
    model.to(target)
    adapter = _adapted(model, lora) if lora is not None else None
    return Policy(model, tokenizer, layout=layout, adapter=adapter)


def _check_causal(path: str, name: str | Path, *, revision: str | None, trust_remote_code: bool) -> None:
    try:
        config = AutoConfig.from_pretrained(path, revision=revision, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        raise ModelError(f"cannot load the policy {name}: {' '.join(str(error).split())[:400]}") from error
    kinds = [str(kind) for kind in config.architectures or []]
    if kinds and not any("CausalLM" in kind or "LMHead" in kind or "ConditionalGeneration" in kind for kind in kinds):
        raise ModelError(
            f"the policy {name} is a {kinds[0]}, which writes no text; give a language model (…ForCausalLM)"
        )


def _adapted(model: PreTrainedModel, settings: dict[str, Any]) -> PeftModel:
    from peft import LoraConfig, get_peft_model

    values = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear", **settings}
    if values["lora_dropout"]:
        raise ConfigError("lora_dropout: dropout makes the ratios of PPO noise; leave it at 0")
    try:
        with quiet_peft():
            return get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", **values))  # type: ignore[return-value]
    except (ValueError, TypeError) as error:
        raise ConfigError(f"lora: {' '.join(str(error).split())[:300]}") from error


def _end_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    own = getattr(model.generation_config, "eos_token_id", None)
    ids = list(own) if isinstance(own, (list, tuple)) else [own]
    found = [int(i) for i in (*ids, tokenizer.eos_token_id) if i is not None]
    if not found:
        raise ModelError("the policy has no end token (eos_token_id), so its answers could never end; set one")
    return tuple(dict.fromkeys(found))


def _pad_id(tokenizer: PreTrainedTokenizerBase, end_ids: tuple[int, ...]) -> int:
    """A token that ends nothing. It is masked wherever it stands, so any other one will do."""
    known = (tokenizer.pad_token_id, tokenizer.unk_token_id, tokenizer.bos_token_id)
    return next(int(i) for i in (*known, *range(len(end_ids) + 1)) if i is not None and i not in end_ids)
