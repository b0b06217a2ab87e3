"""Policy and critic as one module with one forward, so that data-parallel wrappers see everything that is trained."""

from __future__ import annotations

import copy
import inspect
import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from plaudit.errors import ConfigError
from plaudit.models.build import load_model
from plaudit.models.heads import Float32Linear, reads_last_token
from plaudit.models.lora import quiet_peft
from plaudit.models.reward_model import RewardModel
from plaudit.models.trainable import set_dropout, train_again
from plaudit.rl.policy import Policy
from plaudit.rl.ppo.arithmetic import RewardScale, picked_log_probs
from plaudit.types import Scorer

__all__ = ["ActorCritic", "Batch", "collate", "make_critic", "read_log_probs"]

logger = logging.getLogger(__name__)


class Batch:
    """B prompts with their answers side by side: prompts padded on the left, answers on the right.

    Attributes:
        ids, mask, positions: [B, P + T]; positions count an answer's own tokens, so that padding on the left changes
            nothing, whatever the model would make of it by itself.
        tokens: [B, T] the answers.
        answered: [B, T] true on an answer's own tokens.
    """

    def __init__(
        self, prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], pad: int, device: Any
    ) -> None:
        width, length = max(map(len, prompts)), max(map(len, answers))
        ids = torch.full((len(prompts), width + length), pad)
        mask = torch.zeros(ids.shape, dtype=torch.bool)
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            begin = width - len(prompt)
            ids[row, begin : width + len(answer)] = torch.tensor([*prompt, *answer])
            mask[row, begin : width + len(answer)] = True
        self.ids, self.mask = ids.to(device), mask.to(device)
        self.positions = (self.mask.long().cumsum(1) - 1).clamp(min=0)
        self.length = length
        self.tokens, self.answered = self.ids[:, width:], self.mask[:, width:]

    def inputs(self, model: nn.Module) -> dict[str, Tensor]:
        """What a transformers model is given."""
        inputs = {"input_ids": self.ids, "attention_mask": self.mask.long()}
        if "position_ids" in inspect.signature(model.forward).parameters:  # those without know ALiBi or the mask
            inputs["position_ids"] = self.positions
        return inputs


def collate(
    prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], rows: Sequence[int], pad: int, device: Any
) -> Batch:
    """Some rows of a step, no wider than they need to be."""
    return Batch([prompts[i] for i in rows], [answers[i] for i in rows], pad, device)


def read_log_probs(model: nn.Module, batch: Batch, temperature: float) -> Tensor:
    """log pi(token | what came before), [B, T] float32; only the answers' logits are computed."""
    output = model(**batch.inputs(_plain(model)), logits_to_keep=batch.length + 1, use_cache=False)
    return picked_log_probs(output.logits[:, -batch.length - 1 : -1], batch.tokens, temperature)


def _plain(model: nn.Module) -> nn.Module:
    get = getattr(model, "get_base_model", None)  # peft's forward takes anything
    plain: nn.Module = get() if get is not None else model
    return plain


class Critic(nn.Module):
    """A backbone with one value at every token, float32."""

    def __init__(self, backbone: nn.Module, weight: Tensor | None, bias: Tensor | None, hidden: int) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = Float32Linear(hidden, 1)
        with torch.no_grad():
            self.head.weight.zero_() if weight is None else self.head.weight.copy_(weight)
            self.head.bias.zero_() if bias is None else self.head.bias.copy_(bias)

    def forward(self, batch: Batch) -> Tensor:
        """V before each of the answers' tokens, [B, T]."""
        hidden = self.backbone(**batch.inputs(self.backbone), use_cache=False)[0][:, -batch.length - 1 : -1]
        values: Tensor = self.head(hidden).squeeze(-1)
        return values


class SharedCritic(nn.Module):
    """One value at every token, from the policy's own last hidden states."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.head = Float32Linear(hidden, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)


class ActorCritic(nn.Module):
    """``module(batch) -> (log-probabilities [B, T], values [B, T])`` of the answers' tokens.

    Args:
        policy: what answers.
        critic: what predicts the reward.
        temperature: of sampling.
    """

    def __init__(self, policy: Policy, critic: Critic | SharedCritic, temperature: float) -> None:
        super().__init__()
        self.policy, self.critic, self.temperature = policy.trained, critic, temperature
        self._seen: Tensor | None = None
        if isinstance(critic, SharedCritic):  # what the last layer is given, without keeping every layer's output
            policy.model.get_output_embeddings().register_forward_pre_hook(self._keep)

    def _keep(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._seen = args[0]

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        log_probs = read_log_probs(self.policy, batch, self.temperature)
        if isinstance(self.critic, Critic):
            return log_probs, self.critic(batch)
        assert self._seen is not None
        hidden, self._seen = self._seen[:, -batch.length - 1 : -1], None
        return log_probs, self.critic.head(hidden).squeeze(-1)

    def state(self) -> dict[str, Tensor]:
        """What is trained, by name."""
        return {name: p.detach() for name, p in self.named_parameters() if p.requires_grad}

    def load(self, state: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        own = dict(self.named_parameters())
        with torch.no_grad():
            for name, value in state.items():
                own[name].copy_(value)


def make_critic(
    how: str, policy: Policy, scorer: Scorer, scale: RewardScale, lora: dict[str, Any] | None
) -> tuple[Critic | SharedCritic, str]:
    """The critic, and one sentence on where it comes from.

    Args:
        how: ``auto``, ``reward_model``, ``policy`` or ``shared``.
        policy: the policy at its start.
        scorer: what is optimised.
        scale: of the rewards: a reward model's head is moved to it, so that its values begin right.
        lora: the policy's adapter settings; the critic's backbone gets such an adapter too.

    Raises:
        ConfigError: ``reward_model`` where the reward cannot be a critic.
    """
    reason = _why_not(scorer, policy)
    if how == "reward_model" and reason:
        raise ConfigError(f"critic 'reward_model': {reason}; use 'policy' or 'shared'")
    hidden = int(policy.model.config.get_text_config().hidden_size)
    if how == "shared":
        return SharedCritic(hidden).to(policy.device), "values: a head on the policy itself"
    if how == "policy" or reason:
        backbone: nn.Module = copy.deepcopy(_backbone(policy))
        for parameter in backbone.parameters():
            parameter.requires_grad_(parameter.is_floating_point())
        told = "values: a copy of the policy" + (f" ({reason})" if how == "auto" else "")
        critic = Critic(backbone, None, None, hidden)
    else:
        critic, told = _from_reward_model(scorer, scale), "values: a copy of the reward model"  # type: ignore[arg-type]
    if lora is not None:
        _adapt(critic.backbone, lora)
    return critic.to(policy.device), told


def _why_not(scorer: Scorer, policy: Policy) -> str:
    if not isinstance(scorer, RewardModel):
        return f"the reward is no single reward model but a {type(scorer).__name__}"
    if not reads_last_token(scorer.model) or scorer.attributes is not None:
        return "the reward model is no decoder with one output"
    if scorer.tokenizer.get_vocab() != policy.tokenizer.get_vocab():
        return "the reward model has another tokenizer than the policy"
    if scorer.folder is None and not scorer.base_model:
        return "the reward model was never saved, so it cannot be loaded again"
    return ""


def _backbone(policy: Policy) -> PreTrainedModel:
    """The policy without adapter and language head, as it was at the start."""
    network = policy.model
    if policy.adapter is not None:  # a copy without the adapter's layers: those are injected into the network
        plain = copy.deepcopy(policy.adapter).unload()  # type: ignore[operator]
        return plain.base_model  # type: ignore[no-any-return]
    return network.base_model  # type: ignore[return-value]


def _from_reward_model(model: RewardModel, scale: RewardScale) -> Critic:
    loaded = load_model(str(model.folder or model.base_model), training=True, dtype=model.dtype)
    network = loaded.model
    train_again(network, None)
    set_dropout(network, 0.0)
    score: Any = network.score
    score = getattr(score, "modules_to_save", {}).get("default", score) if hasattr(score, "modules_to_save") else score
    bias = torch.zeros(1) if score.bias is None else score.bias.detach().float()
    # the head predicts raw rewards; the critic's are those of the scale
    weight = score.weight.detach().float() / scale.deviation
    hidden = int(network.config.get_text_config().hidden_size)
    return Critic(getattr(network, network.base_model_prefix), weight, (bias - scale.mean) / scale.deviation, hidden)


def _adapt(backbone: nn.Module, lora: dict[str, Any]) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    values = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear", **lora}
    if values["target_modules"] == "all-linear":
        values["target_modules"] = [n for n, m in backbone.named_modules() if isinstance(m, nn.Linear)]
    with quiet_peft():
        inject_adapter_in_model(LoraConfig(**values), backbone)  # freezes all but the adapter
