"""One dataloader item is one rank's share of an optimizer step, already cut into micro-batches.

The loss is normalised over the step's pairs on all ranks, so neither the cut nor the number of ranks nor a short last
step changes the gradient. Knows nothing about models or losses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from plaudit.formatting import Rendered
from plaudit.models.batch import padded_inputs, plan_padded

__all__ = ["Features", "StepCollator", "StepDataset", "StepLoader", "StepSampler"]

Key = tuple[int, bool]
Features = dict[str, Any]
"""One rendered example: ``input_ids`` K id lists, ``type_boundary`` K ints (-1: none), ``labels`` K floats, ``margin``,
``weight``, and ``counted`` (False for a stand-in that only keeps ranks in step)."""


class StepSampler(Sampler[list[Key]]):
    """Yields, for each optimizer step, the keys of one rank's share: ``(index, counted)``.

    Every example is drawn exactly once an epoch; epochs are shuffled by ``seed + epoch``. A rank whose share of a
    short last step is empty gets one example that does not count.

    Args:
        size: number of examples.
        per_step: examples in an optimizer step, over all ranks.
        rank, world: this process among how many.
        seed: None keeps the order of the data (or ``order``).
        order: a fixed order of indices, for evaluation.
        drop_last: leaves out a short last step.
    """

    def __init__(
        self,
        size: int,
        per_step: int,
        *,
        rank: int = 0,
        world: int = 1,
        seed: int | None = None,
        order: Sequence[int] | None = None,
        drop_last: bool = False,
    ) -> None:
        self.size, self.per_step, self.rank, self.world = size, per_step, rank, world
        self.seed, self.order, self.drop_last = seed, order, drop_last
        self.epoch = 0

    @property
    def batch_sampler(self) -> StepSampler:
        """Itself: the Trainer looks one level below a dataloader's batch sampler for ``set_epoch``."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the shuffle of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size // self.per_step if self.drop_last else -(-self.size // self.per_step)

    def __iter__(self) -> Iterator[list[Key]]:
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
            order: Sequence[int] = torch.randperm(self.size, generator=generator).tolist()
        else:
            order = self.order if self.order is not None else range(self.size)
        for step in range(len(self)):
            chunk = order[step * self.per_step : (step + 1) * self.per_step]
            share = [(index, True) for index in chunk[self.rank :: self.world]]
            yield share or [(chunk[0], False)]


class StepDataset(Dataset[Features]):
    """Rendered examples by key; the underlying rows stay on disk until they are asked for."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> Features:
        index, counted = key
        return {**self.rows[index], "counted": counted}


class StepLoader(DataLoader[Any]):
    """A DataLoader of steps that passes ``set_epoch`` on to its sampler."""

    def set_epoch(self, epoch: int) -> None:
        sampler = self.batch_sampler
        if isinstance(sampler, StepSampler):
            sampler.set_epoch(epoch)
        elif hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)


class StepCollator:
    """Turns the examples of a step into ``{"micro_batches": [...], "pairs": n}``.

    A micro-batch holds the model inputs of M examples with K responses each, response-major (all first responses, then
    all second ones, …), and ``labels: (M, K)``, ``margin, weight, counted: (M,)``.

    Args:
        micro_batch_size: the most examples in a micro-batch.
        micro_batch_tokens: the most padded tokens in a micro-batch; None: no limit.
        pad_token_id, last_token, token_types, multiple: see `plaudit.models.batch.padded_inputs`.
        collate: a user's collator in TRL's shape (``chosen_ids``, ``rejected_ids`` in; chosen rows above rejected rows
            out), used instead of ours.
    """

    def __init__(
        self,
        micro_batch_size: int,
        *,
        pad_token_id: int,
        last_token: bool,
        token_types: bool,
        multiple: int | None = None,
        micro_batch_tokens: int | None = None,
        collate: Callable[[list[Features]], dict[str, torch.Tensor]] | None = None,
    ) -> None:
        self.micro_batch_size, self.micro_batch_tokens, self.collate = micro_batch_size, micro_batch_tokens, collate
        self.last_token = last_token
        self.layout: dict[str, Any] = {
            "pad_token_id": pad_token_id,
            "last_token": last_token,
            "token_types": token_types,
            "multiple": multiple,
        }

    def __call__(self, features: list[Features]) -> dict[str, Any]:
        counts = [len(f["input_ids"]) for f in features]
        micro_batches = []
        for k in sorted(set(counts)):
            same = [f for f, count in zip(features, counts, strict=True) if count == k]
            lengths = [max(map(len, f["input_ids"])) for f in same]
            plan = plan_padded(
                lengths,
                rows=[k] * len(same),
                max_rows=k * self.micro_batch_size,
                max_tokens=self.micro_batch_tokens,
            )
            for batch in plan:
                micro_batches.append(self._micro_batch([same[i] for i in batch], k))
        return {"micro_batches": micro_batches, "pairs": sum(f.get("counted", True) for f in features)}

    def _micro_batch(self, features: list[Features], k: int) -> dict[str, torch.Tensor]:
        if self.collate is not None:
            inputs = self._user_inputs(features)
        else:
            texts = []
            for response in range(k):
                for f in features:
                    boundary = f["type_boundary"][response]
                    texts.append(Rendered(f["input_ids"][response], boundary if boundary >= 0 else None))
            inputs = padded_inputs(texts, **self.layout)
        margins = [0.0 if f["margin"] is None else f["margin"] for f in features]
        return inputs | {
            "labels": torch.tensor([f["labels"] for f in features], dtype=torch.float32),
            "margin": torch.tensor(margins, dtype=torch.float32),
            "weight": torch.tensor([f["weight"] for f in features], dtype=torch.float32),
            "counted": torch.tensor([f.get("counted", True) for f in features], dtype=torch.float32),
        }

    def _user_inputs(self, features: list[Features]) -> dict[str, torch.Tensor]:
        assert self.collate is not None
        rows = []
        for f in features:
            row = {"chosen_ids": f["input_ids"][0], "rejected_ids": f["input_ids"][1]}
            rows.append(row if f["margin"] is None else row | {"margin": f["margin"]})
        inputs = dict(self.collate(rows))
        inputs.pop("margin", None)  # it is in the features
        if self.last_token:
            mask = inputs["attention_mask"]
            width = mask.shape[1]
            last = width - 1 - mask.flip(1).argmax(dim=1)
            inputs["read_index"] = torch.arange(len(mask)) * width + last
        return inputs
