"""What of a network is trained, and with how much dropout. Knows nothing about adapters or losses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import nn
from transformers import PreTrainedModel

from plaudit.errors import ConfigError
from plaudit.models.heads import head_modules

if TYPE_CHECKING:
    from peft import PeftModel

__all__ = ["freeze_layers", "set_dropout", "train_again"]


def set_dropout(network: PreTrainedModel, probability: float) -> None:
    """Sets every dropout of a network but those in front of adapters, which have an option of their own.

    Args:
        network: any transformers model.
        probability: in [0, 1).

    Raises:
        ConfigError: a probability above 0 for a network that has no dropout at all.
    """
    changed = 0
    for path, module in network.named_modules():
        if ".lora_dropout" in path:
            continue
        if isinstance(module, nn.Dropout):
            module.p = probability
            changed += 1
        for name, value in list(vars(module).items()):  # plain numbers, where a layer has no module for it
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, probability)
                changed += 1
    if probability > 0 and not changed:
        raise ConfigError(f"dropout has no effect: {type(network).__name__} has none; leave it out")


def train_again(network: PreTrainedModel, adapter: PeftModel | None) -> None:
    """Makes trainable what a model that was loaded for scoring, or trained with frozen layers, would leave as it is.

    Args:
        network: a ``*ForSequenceClassification``.
        adapter: what is wrapped around it: then the adapter and the head are trained, otherwise everything.
    """
    if adapter is not None:
        for name in adapter.active_adapters:
            adapter.set_requires_grad(name)
        return
    for parameter in network.parameters():
        if parameter.is_floating_point():  # not the packed numbers of a quantized layer
            parameter.requires_grad_(True)


def freeze_layers(network: PreTrainedModel, what: str | int, *, keep: Sequence[str] = ()) -> None:
    """Freezes the backbone or its lower part; the head is always trained.

    Args:
        network: a ``*ForSequenceClassification``.
        what: ``backbone``, or N: the embeddings and the first N layers.
        keep: names of parameters that are trained all the same (fresh ones).

    Raises:
        ConfigError: another word, or more layers than there are.
    """
    heads = head_modules(network)
    backbone = {n: p for n, p in network.named_parameters() if n.partition(".")[0] not in heads and n not in keep}
    if str(what) == "backbone":
        for parameter in backbone.values():
            parameter.requires_grad_(False)
        return
    depth = int(getattr(network.config.get_text_config(), "num_hidden_layers", 0))
    if not str(what).isdigit() or not 1 <= int(what) <= depth:
        raise ConfigError(f"freeze: expected 'backbone' or a number of layers from 1 to {depth}, got {what!r}")
    for name, parameter in backbone.items():
        layer = re.search(r"\.(?:layers?|h|blocks?)\.(\d+)\.", name)
        if int(layer.group(1)) < int(what) if layer else "embed" in name or re.search(r"\bw[tp]e\b", name):
            parameter.requires_grad_(False)
