"""`Counts` while they run: tensors on the device, added up batch by batch, over the ranks once. Knows no model."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch

from plaudit.losses import Rows
from plaudit.metrics import Counts, PairCounts, RankingCounts, RatingCounts

__all__ = ["RunningCounts"]

KINDS: dict[Rows, type[Counts]] = {"pairs": PairCounts, "ratings": RatingCounts, "rankings": RankingCounts}


class RunningCounts:
    """`Counts` as tensors on the device: no synchronisation until someone asks.

    Args:
        rows: what the examples are: pairs, rankings (the best response against the worst, and all pairs) or ratings.
    """

    def __init__(self, rows: Rows = "pairs") -> None:
        self.kind = KINDS[rows]
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
        rewards, labels, losses = rewards.to(wide), labels.to(wide), losses.to(wide)  # before squaring: of equal
        lengths = lengths.to(wide)  # rewards the spread is 0
        new = {
            "count": counted.sum(),
            "loss": (losses * counted).sum(),
            "tokens": (lengths * counted[:, None]).sum(),
        }
        sums = {PairCounts: _of_pairs, RankingCounts: _of_rankings, RatingCounts: _of_ratings}[self.kind]
        new |= sums(rewards, labels, counted, lengths)
        minima, added = self.kind.names("min"), set(self.kind.names("sum"))
        for name, value in new.items():
            value = value.to(wide)
            old = self.values.get(name)
            if old is None:
                self.values[name] = value
            elif name in added:
                self.values[name] = old + value
            else:
                self.values[name] = (torch.minimum if name in minima else torch.maximum)(old, value)

    def total(self, accelerator: Any) -> Counts:
        """The counts over all ranks."""
        names = [f.name for f in dataclasses.fields(self.kind)]
        empty = dataclasses.asdict(self.kind())
        device = accelerator.device
        wide = torch.float32 if device.type == "mps" else torch.float64
        mine = torch.stack([self.values.get(n, torch.tensor(float(empty[n]))).to(device, wide) for n in names])
        every = accelerator.gather(mine.unsqueeze(0)) if accelerator.num_processes > 1 else mine.unsqueeze(0)
        totals = {"sum": every.sum(dim=0), "min": every.amin(dim=0), "max": every.amax(dim=0)}
        kind = {name: how for how in totals for name in self.kind.names(how)}
        return self.kind(**{name: float(totals[kind[name]][i]) for i, name in enumerate(names)})


Sums = dict[str, torch.Tensor]


def _extremes(name: str, rewards: torch.Tensor, counted: torch.Tensor) -> Sums:
    infinity = torch.where(counted > 0, 0.0, torch.inf)
    return {f"{name}_minimum": (rewards + infinity).min(), f"{name}_maximum": (rewards - infinity).max()}


def _of_pairs(rewards: torch.Tensor, labels: torch.Tensor, counted: torch.Tensor, lengths: torch.Tensor) -> Sums:
    best, worst = labels.argmax(dim=1, keepdim=True), labels.argmin(dim=1, keepdim=True)
    counted = counted * (labels.amax(dim=1) > labels.amin(dim=1))
    chosen, rejected = rewards.gather(1, best)[:, 0], rewards.gather(1, worst)[:, 0]
    length_gap = (lengths.gather(1, best) - lengths.gather(1, worst))[:, 0] * counted
    gap = (chosen - rejected) * counted
    sums = {
        "decided": counted.sum(),
        "correct": ((chosen > rejected) * counted).sum(),
        "ties": ((chosen == rejected) * counted).sum(),
        "reward_gap_squares": gap.square().sum(),
        "length_gap_sum": length_gap.sum(),
        "length_gap_squares": length_gap.square().sum(),
        "gap_products": (gap * length_gap).sum(),
        "unequal": (length_gap != 0).sum(),
        "longer_chosen": (length_gap > 0).sum(),
        "longer_preferred": (gap * length_gap > 0).sum(),
    }
    for side, scores in (("chosen", chosen), ("rejected", rejected)):
        sums |= {f"{side}_sum": (scores * counted).sum(), f"{side}_squares": (scores.square() * counted).sum()}
        sums |= _extremes(side, scores, counted)
    return sums


def _of_rankings(rewards: torch.Tensor, labels: torch.Tensor, counted: torch.Tensor, lengths: torch.Tensor) -> Sums:
    better = (labels[:, :, None] > labels[:, None, :]) * counted[:, None, None]
    best = labels == labels.amax(dim=1, keepdim=True)
    decided = counted * (labels.amax(dim=1) > labels.amin(dim=1))
    first = rewards.masked_fill(~best, -torch.inf).amax(dim=1) > rewards.masked_fill(best, -torch.inf).amax(dim=1)
    return _of_pairs(rewards, labels, counted, lengths) | {
        "compared": better.sum(),
        "in_order": ((rewards[:, :, None] > rewards[:, None, :]) * better).sum(),
        "best_first": (first * decided).sum(),
    }


def _of_ratings(rewards: torch.Tensor, labels: torch.Tensor, counted: torch.Tensor, lengths: torch.Tensor) -> Sums:
    reward, label = rewards[:, 0], labels[:, 0]
    return {
        "reward_sum": (reward * counted).sum(),
        "reward_squares": (reward.square() * counted).sum(),
        "label_sum": (label * counted).sum(),
        "label_squares": (label.square() * counted).sum(),
        "products": (reward * label * counted).sum(),
        "error_squares": ((reward - label).square() * counted).sum(),
    } | _extremes("reward", reward, counted)
