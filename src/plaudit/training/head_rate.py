"""A learning rate of its own for the head, which starts from nothing while the backbone only adapts.

With one rate for both, a fresh head of a small encoder hardly moves in a few hundred steps, and the backbone bends
itself to a random direction instead; that costs accuracy on prompts of other kinds (Kumar et al. 2022, section 4).
Knows nothing about losses or data.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers import PreTrainedModel

from plaudit.errors import ConfigError
from plaudit.models.heads import head_modules

__all__ = ["give_head_its_rate"]


def give_head_its_rate(
    optimizer: torch.optim.Optimizer, model: nn.Module, network: PreTrainedModel, rate: float
) -> None:
    """Moves the parameters of the head, and of a pooler in front of it, to groups with another learning rate, in place.

    Args:
        optimizer: with the parameters of ``model``; the new groups keep weight decay and everything else.
        model: what is optimised: ``network``, or what is wrapped around it.
        network: the ``*ForSequenceClassification``.
        rate: peak learning rate; the schedule scales it as it scales the backbone's.

    Raises:
        ConfigError: an optimizer whose groups cannot be changed (one that DeepSpeed makes from its own configuration).
    """
    if not hasattr(optimizer, "add_param_group"):
        raise ConfigError(
            f"head_learning_rate has no effect on a {type(optimizer).__name__}; set training.head_learning_rate to null"
        )
    parts = {*head_modules(network), "pooler"}
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    for group in list(optimizer.param_groups):
        head = [p for p in group["params"] if parts & set(names.get(id(p), "").split("."))]
        rest = [p for p in group["params"] if not parts & set(names.get(id(p), "").split("."))]
        if head and rest:
            group["params"] = rest
            optimizer.add_param_group({**group, "params": head, "lr": rate})
        elif head:
            group["lr"] = rate
