"""What attention needs to know of a packed row: which queries see which keys. One argument, which every layer gets."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any, TypeVar

import torch

from plaudit.engine.packing import Packing, Range, Stretch

__all__ = ["AttentionOptions", "Segments", "Siblings"]

T = TypeVar("T")


@dataclass(frozen=True)
class AttentionOptions:
    """How an architecture turns scores into weights.

    Attributes:
        scaling: of the scores.
        dropout: probability, of the weights.
        window: a query sees keys less than so many positions away; None: all of them.
        softcap: scores are capped, softcap * tanh(score / softcap) (Gemma 2, 2024, section 2).
        sinks: (H,) scores of one more key that everyone sees and that has no value (gpt-oss, 2025).
    """

    scaling: float
    dropout: float = 0.0
    window: int | None = None
    softcap: float | None = None
    sinks: torch.Tensor | None = None


@dataclass(frozen=True)
class Siblings:
    """Texts one after the other in the row with the same path.

    Attributes:
        start, length: all their own tokens.
        path: the ranges before each of them.
    """

    start: int
    length: int
    path: tuple[Range, ...]


class Segments:
    """The stretches of a row. Tensors are made on first use, once for every device, and kept for the next layer.

    Args:
        stretches: from `plaudit.engine.packing.pack`, in the order of the row.
        causal: a token sees what comes before it in its text; otherwise all of its text.
    """

    def __init__(self, stretches: Sequence[Stretch], *, causal: bool) -> None:
        self.stretches = tuple(stretches)
        self.causal = causal
        self._kept: dict[tuple[Hashable, ...], Any] = {}

    @classmethod
    def of(cls, packing: Packing, *, causal: bool) -> Segments:
        return cls(packing.stretches, causal=causal)

    @cached_property
    def shares(self) -> bool:
        """Some text has a path."""
        return any(stretch.path for stretch in self.stretches)

    @cached_property
    def query_lengths(self) -> list[int]:
        """Own tokens of each text."""
        return [stretch.length for stretch in self.stretches]

    @cached_property
    def key_lengths(self) -> list[int]:
        """All tokens of each text."""
        return [stretch.shared + stretch.length for stretch in self.stretches]

    @cached_property
    def siblings(self) -> list[Siblings]:
        """Texts with a path, gathered where one path serves several that lie next to each other."""
        found = []
        for path, group in groupby(self.stretches, key=lambda stretch: stretch.path):
            if path:
                texts = list(group)
                found.append(Siblings(texts[0].start, sum(text.length for text in texts), path))
        return found

    def reads(self, device: torch.device) -> torch.Tensor:
        """(N,) positions in the row, in its order, at which rewards are read: last tokens, or first ones (encoders)."""

        def make() -> tuple[torch.Tensor, ...]:
            ends = [s.start + (s.length - 1 if self.causal else 0) for s in self.stretches]
            return (torch.tensor(ends),)

        return self._on(device, "reads", make)[0]

    @cached_property
    def reading(self) -> Segments:
        """The same texts, of which only the last token asks (decoders)."""
        return Reading(self.stretches, causal=True)

    def key_index(self, device: torch.device) -> torch.Tensor:
        """(Σ key lengths,) positions in the row: the keys of one text after the other."""

        def make() -> tuple[torch.Tensor, ...]:
            ranges = [r for s in self.stretches for r in (*s.path, (s.start, s.length))]
            return (torch.cat([torch.arange(start, start + length) for start, length in ranges]),)

        return self._on(device, "keys", make)[0]

    def offsets(self, device: torch.device) -> tuple[torch.Tensor, ...]:
        """Two of (N + 1,) int32: where the queries and where the keys of each text begin and end."""

        def make() -> tuple[torch.Tensor, ...]:
            both = (self.query_lengths, self.key_lengths)
            return tuple(torch.tensor([0, *lengths]).cumsum(0).to(torch.int32) for lengths in both)

        return self._on(device, "offsets", make)

    def owners(self, device: torch.device) -> tuple[torch.Tensor, ...]:
        """For one mask over the whole row: text (T,), offset in its own stretch (T,), position in the text (T,), and
        (N, N) how many tokens of the stretch of text j belong to text i. Texts in the order of the row."""

        def make() -> tuple[torch.Tensor, ...]:
            lengths = torch.tensor(self.query_lengths)
            text = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
            starts = torch.tensor([s.start for s in self.stretches])
            offset = torch.arange(len(text)) - starts[text]
            shared = torch.tensor([s.shared for s in self.stretches])
            visible = torch.zeros(len(lengths), len(lengths), dtype=torch.long)
            owner = {s.start: i for i, s in enumerate(self.stretches)}
            for i, stretch in enumerate(self.stretches):
                for start, length in (*stretch.path, (stretch.start, stretch.length)):
                    visible[i, owner[start]] = length
            return text, offset, offset + shared[text], visible

        return self._on(device, "owners", make)

    def mask(self, text: int, window: int | None, dtype: torch.dtype, device: torch.device) -> torch.Tensor | None:
        """(queries, keys) of one text, 0 where a query sees a key and -inf elsewhere; None: it sees them all."""
        queries, keys = self.query_lengths[text], self.key_lengths[text]
        if (not self.causal or queries == 1) and (window is None or keys <= window):
            return None

        def make() -> tuple[torch.Tensor, ...]:
            distance = torch.arange(keys - queries, keys)[:, None] - torch.arange(keys)[None, :]
            hidden = distance < 0 if self.causal else torch.zeros_like(distance, dtype=torch.bool)
            if window is not None:
                hidden |= distance.abs() >= window
            return (torch.zeros(queries, keys, dtype=dtype).masked_fill_(hidden, float("-inf")),)

        return self._on(device, f"mask {queries} {keys} {window} {dtype}", make)[0]

    def kept(self, key: tuple[Hashable, ...], make: Callable[[], T]) -> T:
        """What ``make`` gave the first time it was asked for under this key: the layers share it."""
        if key not in self._kept:
            self._kept[key] = make()
        kept: T = self._kept[key]
        return kept

    def _on(
        self, device: torch.device, name: str, make: Callable[[], tuple[torch.Tensor, ...]]
    ) -> tuple[torch.Tensor, ...]:
        return self.kept((name, device), lambda: tuple(tensor.to(device) for tensor in make()))

    def __reduce__(self) -> tuple[object, ...]:
        return _segments, (self.stretches, self.causal)


def _segments(stretches: tuple[Stretch, ...], causal: bool) -> Segments:
    return Segments(stretches, causal=causal)


class Reading(Segments):
    """Segments with one query a text, its last token, and all the keys of the text."""

    @cached_property
    def shares(self) -> bool:
        return True  # the keys are always laid out text by text

    @cached_property
    def query_lengths(self) -> list[int]:
        return [1] * len(self.stretches)
