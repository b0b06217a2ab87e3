"""What an objective is, and the registry of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from plaudit.registry import Registry

__all__ = ["OBJECTIVES", "LossOptions", "Objective"]


@dataclass(frozen=True)
class LossOptions:
    """What the user chose about the loss.

    Attributes:
        center_rewards: weight of the centering term, >= 0 (Eisenstein et al. 2023, arXiv:2312.09244, eq. 2).
        label_smoothing: share of labels taken to be wrong, in [0, 0.5).
    """

    center_rewards: float = 0.0
    label_smoothing: float = 0.0


class Objective(Protocol):
    """A loss with one value per example."""

    def __call__(
        self, rewards: torch.Tensor, labels: torch.Tensor, margin: torch.Tensor, options: LossOptions
    ) -> torch.Tensor:
        """Losses (M,) from rewards (M, K), labels (M, K) and margins (M,); all float32."""
        ...


OBJECTIVES: Registry[Objective] = Registry("objectives")
