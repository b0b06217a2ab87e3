"""One dataloader item is one rank's share of an optimizer step, already cut into micro-batches.

The loss is normalised over the step's pairs on all ranks, so neither the cut nor the number of ranks nor a short last
step changes the gradient. Knows nothing about models or losses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from plaudit.engine.batcher import Batcher
from plaudit.formatting import Rendered

__all__ = [
    "Features",
    "StepCollator",
    "StepDataset",
    "StepFeatures",
    "StepLoader",
    "StepSampler",
    "TokenSteps",
    "cut_by_tokens",
    "even_shares",
    "response_major",
]

Key = tuple[int, bool]
Features = dict[str, Any]
"""One rendered example: ``input_ids`` K id lists, ``type_boundary`` K ints (-1: none), ``labels`` K floats, ``margin``,
``weight``, ``tokens`` (of all texts), and ``counted`` (False for a stand-in that only keeps ranks in step)."""


class StepSampler(Sampler[list[Key]]):
    """Yields, for each optimizer step, the keys of one rank's share: ``(index, counted)``.

    Every example is drawn exactly once an epoch; epochs are shuffled by ``seed + epoch``. A rank whose share of a
    short last step is empty gets one example that does not count.

    Args:
        tokens: of each example, all its texts together: what a rank's work is measured by.
        per_step: examples in an optimizer step, over all ranks.
        tokens_per_step: instead: about so many tokens in each; every epoch then has equally many steps.
        rank, world: this process among how many.
        seed: None keeps the order of the data (or ``order``).
        order: a fixed order of indices, for evaluation.
        drop_last: leaves out a short last step.
    """

    def __init__(
        self,
        tokens: npt.NDArray[np.integer[Any]],
        per_step: int,
        *,
        tokens_per_step: int | None = None,
        rank: int = 0,
        world: int = 1,
        seed: int | None = None,
        order: Sequence[int] | None = None,
        drop_last: bool = False,
    ) -> None:
        self.tokens, self.per_step, self.tokens_per_step = tokens, per_step, tokens_per_step
        self.size, self.rank, self.world = len(tokens), rank, world
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
        if self.tokens_per_step is not None:
            return max(1, int(self.tokens.sum()) // self.tokens_per_step)
        return self.size // self.per_step if self.drop_last else -(-self.size // self.per_step)

    def __iter__(self) -> Iterator[list[Key]]:
        if self.seed is not None:
            generator = torch.Generator().manual_seed(self.seed + self.epoch)
            order = torch.randperm(self.size, generator=generator).numpy()
        else:
            order = np.asarray(self.order if self.order is not None else range(self.size))
        if self.tokens_per_step is not None:
            chunks = cut_by_tokens(self.tokens[order], len(self))
        else:
            chunks = [slice(step * self.per_step, (step + 1) * self.per_step) for step in range(len(self))]
        for chunk in chunks:
            step = order[chunk].tolist()
            share = even_shares(self.tokens[step].tolist(), self.world)[self.rank]
            yield [(step[place], True) for place in share] or [(step[0], False)]


def cut_by_tokens(tokens: npt.NDArray[np.integer[Any]], steps: int) -> list[slice]:
    """Cuts items, in their order, into steps of about equally many tokens; none is empty where no item is larger than
    the mean of a step. Linear time."""
    ends = tokens.cumsum()
    middles = ends - tokens / 2
    bounds = np.searchsorted(middles, np.arange(1, steps) * (ends[-1] / steps))
    edges = [0, *bounds.tolist(), len(tokens)]
    return [slice(a, b) for a, b in pairwise(edges)]


def even_shares(tokens: Sequence[int], world: int) -> list[list[int]]:
    """Gives the items of a step to ranks, the largest first and always to the rank with the least so far (Graham 1969);
    each share in the order of the items."""
    if world == 1:
        return [list(range(len(tokens)))]
    shares: list[list[int]] = [[] for _ in range(world)]
    loads = [0] * world
    for item in sorted(range(len(tokens)), key=lambda item: -tokens[item]):
        rank = loads.index(min(loads))
        shares[rank].append(item)
        loads[rank] += tokens[item]
    return [sorted(share) for share in shares]


class StepDataset(Dataset[Features]):
    """Rendered examples by key; the underlying rows stay on disk until they are asked for."""

    def __init__(self, rows: Any) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, key: Key) -> Features:
        index, counted = key
        return {**self.rows[index], "counted": counted}


class TokenSteps(IterableDataset[list[Features]]):
    """A stream of examples as a stream of steps of at most ``tokens_per_step`` tokens (a larger example goes alone).

    Args:
        rows: yields rendered examples with ``tokens``.
        drop_last: leaves out a last step that is not full.
    """

    def __init__(self, rows: Any, tokens_per_step: int, *, drop_last: bool = False) -> None:
        self.rows, self.tokens_per_step, self.drop_last = rows, tokens_per_step, drop_last

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.rows, "set_epoch"):
            self.rows.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[Features]]:
        step: list[Features] = []
        used = 0
        for row in self.rows:
            if step and used + row["tokens"] > self.tokens_per_step:
                yield step
                step, used = [], 0
            step.append(row)
            used += row["tokens"]
        if step and not self.drop_last:
            yield step


class StepLoader(DataLoader[Any]):
    """A DataLoader of steps that passes ``set_epoch`` on to its sampler."""

    def set_epoch(self, epoch: int) -> None:
        sampler = self.batch_sampler
        if isinstance(sampler, StepSampler):
            sampler.set_epoch(epoch)
        elif hasattr(self.dataset, "set_epoch"):
            self.dataset.set_epoch(epoch)


class StepFeatures(list[Features]):
    """The examples of a step as they came, so that it can be cut anew; a class of its own, since the libraries that
    move batches to a device would otherwise walk through every token."""


class StepCollator:
    """Turns the examples of a step into ``{"micro_batches": [...], "pairs": n, "features": the examples}``.

    A micro-batch holds the model inputs of M examples with K responses each, response-major (all first responses, then
    all second ones, …), and ``labels, lengths: (M, K)``, ``margin, weight, counted: (M,)``.

    Args:
        batcher: makes the model inputs.
        micro_batch_size: the most examples in a padded micro-batch; packed ones are cut by tokens only.
        micro_batch_tokens: the most tokens in a micro-batch, padding included; None: no limit.
        collate: a user's collator in TRL's shape (``chosen_ids``, ``rejected_ids`` in; chosen rows above rejected rows
            out), used instead of ours.
    """

    def __init__(
        self,
        batcher: Batcher,
        micro_batch_size: int,
        *,
        micro_batch_tokens: int | None = None,
        collate: Callable[[list[Features]], dict[str, torch.Tensor]] | None = None,
    ) -> None:
        self.batcher, self.micro_batch_size, self.collate = batcher, micro_batch_size, collate
        self.micro_batch_tokens = micro_batch_tokens

    def __call__(self, features: list[Features]) -> dict[str, Any]:
        counts = [len(f["input_ids"]) for f in features]
        micro_batches = []
        for k in sorted(set(counts)):
            same = [f for f, count in zip(features, counts, strict=True) if count == k]
            plan = self.batcher.plan(
                [f["input_ids"] for f in same], max_tokens=self.micro_batch_tokens, max_items=self.micro_batch_size
            )
            for batch in plan:
                micro_batches.append(self._micro_batch([same[i] for i in batch], k))
        pairs = sum(f.get("counted", True) for f in features)
        return {"micro_batches": micro_batches, "pairs": pairs, "features": StepFeatures(features)}

    def _micro_batch(self, features: list[Features], k: int) -> dict[str, Any]:
        inputs = (
            self.batcher.inputs(response_major(features, k)) if self.collate is None else self._user_inputs(features)
        )
        lengths = [[len(ids) for ids in f["input_ids"]] for f in features]
        margins = [0.0 if f["margin"] is None else f["margin"] for f in features]
        return inputs | {
            "labels": torch.tensor([f["labels"] for f in features], dtype=torch.float32),
            "lengths": torch.tensor(lengths),
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
        if self.batcher.last_token:
            mask = inputs["attention_mask"]
            width = mask.shape[1]
            last = width - 1 - mask.flip(1).argmax(dim=1)
            inputs["read_index"] = torch.arange(len(mask)) * width + last
        return inputs


def response_major(features: Sequence[Features], k: int) -> list[Rendered]:
    """The texts of M examples with K responses: all first ones, then all second ones, …."""
    texts = []
    for response in range(k):
        for f in features:
            boundary = f["type_boundary"][response]
            texts.append(Rendered(f["input_ids"][response], boundary if boundary >= 0 else None))
    return texts
