"""`PairCounts` while they run: tensors on the device, added up batch by batch, over the ranks once. Knows no model."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from plaudit.metrics import PairCounts

__all__ = ["RunningCounts"]

_SUMS, _MINIMA, _MAXIMA = (PairCounts.names(kind) for kind in ("sum", "min", "max"))


class RunningCounts:
    """`PairCounts` as tensors on the device: no synchronisation until someone asks."""

    def __init__(self) -> None:
        self.values: dict[str, torch.Tensor] = {}

    def add(
        self,
        rewards: torch.Tensor,
        labels: torch.Tensor,
        losses: torch.Tensor,
        counted: torch.Tensor,
        lengths: torch.Tensor,
    ) -> None:
        """Adds M examples: ``rewards, labels, lengths: (M, K)``, ``losses, counted: (M,)``."""
        wide = torch.float32 if rewards.device.type == "mps" else torch.float64
        rewards, losses = rewards.to(wide), losses.to(wide)  # before squaring: the spread of a few equal rewards is 0
        best, worst = labels.argmax(dim=1, keepdim=True), labels.argmin(dim=1, keepdim=True)
        chosen, rejected = rewards.gather(1, best)[:, 0], rewards.gather(1, worst)[:, 0]
        lengths = lengths.to(rewards.dtype)
        length_gap = (lengths.gather(1, best) - lengths.gather(1, worst))[:, 0] * counted
        gap = (chosen - rejected) * counted
        infinity = torch.where(counted > 0, 0.0, torch.inf)
        new = {
            "pairs": counted.sum(),
            "correct": ((chosen > rejected) * counted).sum(),
            "ties": ((chosen == rejected) * counted).sum(),
            "loss": (losses * counted).sum(),
            "tokens": (lengths * counted[:, None]).sum(),
            "reward_gap_squares": gap.square().sum(),
            "length_gap_sum": length_gap.sum(),
            "length_gap_squares": length_gap.square().sum(),
            "gap_products": (gap * length_gap).sum(),
            "unequal": (length_gap != 0).sum(),
            "longer_chosen": (length_gap > 0).sum(),
            "longer_preferred": (gap * length_gap > 0).sum(),
        }
        for side, scores in (("chosen", chosen), ("rejected", rejected)):
            new |= {
                f"{side}_sum": (scores * counted).sum(),
                f"{side}_squares": (scores.square() * counted).sum(),
                f"{side}_minimum": (scores + infinity).min(),
                f"{side}_maximum": (scores - infinity).max(),
            }
        for name, value in new.items():
            value = value.to(wide)
            old = self.values.get(name)
            if old is None:
                self.values[name] = value
            elif name in _SUMS:
                self.values[name] = old + value
            else:
                self.values[name] = (torch.minimum if name in _MINIMA else torch.maximum)(old, value)

    def total(self, accelerator: Any) -> PairCounts:
        """The counts over all ranks."""
        names = [f.name for f in dataclasses.fields(PairCounts)]
        empty = dataclasses.asdict(PairCounts())
        device = accelerator.device
        wide = torch.float32 if device.type == "mps" else torch.float64
        mine = torch.stack([self.values.get(n, torch.tensor(float(empty[n]))).to(device, wide) for n in names])
        every = accelerator.gather(mine.unsqueeze(0)) if accelerator.num_processes > 1 else mine.unsqueeze(0)
        totals = {"sum": every.sum(dim=0), "min": every.amin(dim=0), "max": every.amax(dim=0)}
        kind = {**dict.fromkeys(_SUMS, "sum"), **dict.fromkeys(_MINIMA, "min"), **dict.fromkeys(_MAXIMA, "max")}
        return PairCounts(**{name: float(totals[kind[name]][i]) for i, name in enumerate(names)})
