"""Ratings as targets of regression: their scale, and a fresh head that starts at their mean. Knows no loss.

A head that starts near 0 with a small learning rate would take thousands of steps to reach ratings around 80. So the
loss is in units of the ratings' standard deviation, a fresh head's last layer is scaled by it and gets their mean as
its bias, and its learning rate is scaled too. Under Adam that is the same as training on standardised ratings; but the
scores of every checkpoint are in the ratings' own units.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedModel

from plaudit.errors import ConfigError, DataError
from plaudit.models.heads import head_modules

__all__ = ["Targets"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Targets:
    """The scale of the training ratings.

    Attributes:
        mean, std: of the ratings.
        shift: what the model's rewards lack to be ratings: 0 where the head has a bias, else the mean.
    """

    mean: float
    std: float
    shift: float

    @classmethod
    def of(cls, rows: Any, network: PreTrainedModel) -> Targets:
        """From rendered training rows (a data set with ``labels``).

        Raises:
            ConfigError: a stream, whose ratings nobody knows beforehand.
            DataError: all ratings are equal, so there is nothing to learn.
        """
        if not hasattr(rows, "__len__"):
            raise ConfigError(
                "regression needs the mean and spread of all ratings, which a stream hides; do not stream"
            )
        labels = np.concatenate([np.asarray(value, dtype=np.float64) for value in rows["labels"][:]])
        mean, std = float(labels.mean()), float(labels.std())
        if not std > 1e-6 * max(1.0, abs(mean)):
            raise DataError(
                f"all {len(labels):,} ratings are {mean:g}: there is nothing to learn; bring ratings that differ"
            )
        return cls(mean, std, 0.0 if _biased(network) else mean)

    def start(self, network: PreTrainedModel) -> None:
        """Makes the fresh head of a network answer about the mean rating, with a spread in the ratings' units."""
        with torch.no_grad():
            for layer in _last_layers(network):
                layer.weight.mul_(self.std)
                if layer.bias is not None:
                    layer.bias.fill_(self.mean)

    @property
    def note(self) -> str:
        """What a person should know, in one line."""
        line = f"ratings: mean {self.mean:.4g}, standard deviation {self.std:.4g}"
        if math.isclose(self.shift, 0.0):
            return line
        return f"{line}; the head has no bias, so scores are ratings less {self.shift:.4g}"


def _last_layers(network: PreTrainedModel) -> list[nn.Linear]:
    """The layer that gives the reward (and peft's copy of it)."""
    layers = [
        layer for head in head_modules(network).values() for layer in head.modules() if isinstance(layer, nn.Linear)
    ]
    return [layer for layer in layers if layer.out_features == 1]


def _biased(network: PreTrainedModel) -> bool:
    return all(layer.bias is not None for layer in _last_layers(network))
