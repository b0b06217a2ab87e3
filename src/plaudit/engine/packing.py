"""Which tokens are computed: texts that start alike share their start, and nothing is padded.

N texts become one flat row. Each text owns a stretch of it; a text that starts like an earlier one owns only what
differs and names the stretches before it as its path. So K responses to a prompt compute it once, dialogues share
their early turns and answers their first words: all of them are the longest common prefix of token ids.

    texts            a b c d e | a b c f | a b c f g        row      a b c d e f g
    own stretches    0..4 (path: -), 5 (path: 0..2), 6 (path: 0..2, 5)

Knows token ids only: no model, no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

__all__ = ["Packing", "Stretch", "pack", "packed_size", "plan_packed", "plan_sorted"]

MIN_SHARED = 8
"""Fewer tokens in common are computed again: one more attention call costs more than they do."""

Ids = npt.NDArray[np.int32]
Range = tuple[int, int]
"""First position in the row and length."""


@dataclass(frozen=True)
class Stretch:
    """What one text owns of the row.

    Attributes:
        text: index of the text.
        start, length: its own tokens in the row, at least one.
        path: ranges of the row that come before them in the text, in order.
    """

    text: int
    start: int
    length: int
    path: tuple[Range, ...]

    @property
    def shared(self) -> int:
        """Tokens of the text that other texts computed."""
        return sum(length for _, length in self.path)


@dataclass(frozen=True)
class Packing:
    """A row.

    Attributes:
        ids: (T,) the tokens.
        positions: (T,) the position of each in its own text.
        stretches: N, in the order of the row.
        needed: Σ lengths of the N texts; what a batch without sharing and padding would compute.
    """

    ids: Ids
    positions: Ids
    stretches: tuple[Stretch, ...]
    needed: int

    def last(self) -> list[int]:
        """N positions in the row, by text: each text's last token."""
        last = [0] * len(self.stretches)
        for stretch in self.stretches:
            last[stretch.text] = stretch.start + stretch.length - 1
        return last

    def texts(self) -> list[list[int]]:
        """The N texts again, by text."""
        texts: list[list[int]] = [[] for _ in self.stretches]
        for stretch in self.stretches:
            for start, length in (*stretch.path, (stretch.start, stretch.length)):
                texts[stretch.text] += self.ids[start : start + length].tolist()
        return texts


def pack(texts: Sequence[Sequence[int]], *, share: bool) -> Packing:
    """Lays N texts into one row.

    Args:
        texts: N lists of token ids, none empty.
        share: texts may share their start (causal models); otherwise each stands alone.
    """
    arrays = [np.asarray(text, dtype=np.int32) for text in texts]
    order = _sorted(texts) if share else range(len(texts))
    stretches: list[Stretch] = []
    ids, positions = [], []
    whole: tuple[Range, ...] = ()  # the ranges of the text before
    before: Ids | None = None
    cursor = 0
    for index in order:
        text = arrays[index]
        shared = _shared(before, text) if share and before is not None else 0
        path = _cut(whole, shared)
        length = len(text) - shared
        ids.append(text[shared:])
        positions.append(np.arange(shared, len(text), dtype=np.int32))
        stretches.append(Stretch(index, cursor, length, path))
        whole, before = (*path, (cursor, length)), text
        cursor += length
    return Packing(np.concatenate(ids), np.concatenate(positions), tuple(stretches), sum(map(len, arrays)))


def packed_size(texts: Sequence[Sequence[int]], *, share: bool) -> int:
    """Tokens of the row that `pack` would make of these texts."""
    if not share or len(texts) == 1:
        return sum(map(len, texts))
    arrays = [np.asarray(texts[index], dtype=np.int32) for index in _sorted(texts)]
    return sum(map(len, arrays)) - sum(_shared(before, text) for before, text in pairwise(arrays))


def plan_packed(sizes: Sequence[int], *, max_tokens: int) -> list[list[int]]:
    """Cuts items into rows of at most ``max_tokens`` (a larger item goes alone), as few and as even as first fit makes.

    Args:
        sizes: M packed sizes.
        max_tokens: of a row.

    Returns:
        Rows of item indices; every item in exactly one.
    """
    rows: list[list[int]] = []
    room: list[int] = []
    wanted = max(1, -(-sum(min(size, max_tokens) for size in sizes) // max_tokens))
    for item in sorted(range(len(sizes)), key=lambda item: -sizes[item]):
        # the emptiest row first: rows of equal size; a new one only where it does not fit
        if len(rows) >= wanted:
            best = max(range(len(rows)), key=room.__getitem__)
            if room[best] >= sizes[item]:
                rows[best].append(item)
                room[best] -= sizes[item]
                continue
        rows.append([item])
        room.append(max_tokens - sizes[item])
    return rows


def plan_sorted(texts: Sequence[Sequence[int]], *, share: bool, max_tokens: int) -> list[list[int]]:
    """Cuts N texts into rows of at most ``max_tokens`` new tokens each, those that start alike next to each other.

    A row is cut in its second half, where the texts share least: what they share is computed again in the next one.

    Returns:
        Rows of text indices; every text in exactly one.
    """
    rows: list[list[int]] = []
    row: list[tuple[int, int, int]] = []  # text, its tokens, how many of them it shares with the text before it
    used = 0
    before: Ids | None = None
    for index in _sorted(texts) if share else range(len(texts)):
        text = np.asarray(texts[index], dtype=np.int32)
        shared = _shared(before, text) if share and before is not None else 0
        row.append((index, len(text), shared))
        used += len(text) - (shared if len(row) > 1 else 0)
        while used > max_tokens and len(row) > 1:
            cut = _cheapest_cut(row, max_tokens)
            rows.append([number for number, _, _ in row[:cut]])
            row = row[cut:]
            used = row[0][1] + sum(length - common for _, length, common in row[1:])
        before = text
    return [*rows, [number for number, _, _ in row]] if row else rows


def _cheapest_cut(row: list[tuple[int, int, int]], max_tokens: int) -> int:
    """Where to cut a row that is one text too long: as late as possible among the places that share least."""
    filled, places = 0, []
    for place, (_, length, shared) in enumerate(row):
        if place and (2 * filled >= max_tokens or place == len(row) - 1):
            places.append((shared, -place))
        filled += length - (shared if place else 0)
    return -min(places)[1]


def _sorted(texts: Sequence[Sequence[int]]) -> list[int]:
    """Text indices in the order of their tokens: each text next to the one that shares most with it."""
    return sorted(range(len(texts)), key=lambda index: list(texts[index]))


def _shared(before: Ids, text: Ids) -> int:
    """Tokens in common at the start that are worth sharing; at least the last token stays the text's own."""
    most = min(len(before), len(text) - 1)
    different = before[:most] != text[:most]
    shared = int(different.argmax()) if different.any() else most
    return shared if shared >= MIN_SHARED else 0


def _cut(ranges: tuple[Range, ...], length: int) -> tuple[Range, ...]:
    """The first ``length`` tokens of some ranges."""
    cut = []
    for start, size in ranges:
        if length <= 0:
            break
        cut.append((start, min(size, length)))
        length -= size
    return tuple(cut)
