"""Prompts that other files have too: splits of the same data, and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from plaudit.curation.inspect.shingles import shingles
from plaudit.curation.inspect.texts import normal, plain, spaced
from plaudit.data import Columns, read_rows, to_example
from plaudit.data.messages import text_or_messages
from plaudit.errors import DataError, RowError
from plaudit.types import Prompt, prompt_group

__all__ = ["CONTAINED", "RUN", "PromptFile", "prompt_key"]

RUN = 5
"""Words of a run."""
CONTAINED = 0.8
"""Share of a benchmark prompt's runs that a prompt must hold to be near it."""
LEAST_RUNS = 4
"""A benchmark prompt with fewer runs (8 words) is found only where it is equal."""


def prompt_key(prompt: Prompt) -> int:
    """64 bits of the normalised prompt: equal where `plaudit.types.prompt_group` is."""
    return int(prompt_group(prompt), 16)


@dataclass
class PromptFile:
    """The prompts of a file.

    Attributes:
        name: its path.
        places: key of each prompt -> where it is first.
        near: prompts nearly like one of its own are looked for too.
    """

    name: str
    places: dict[int, str] = field(default_factory=dict)
    near: bool = False
    _runs: npt.NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    _owners: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    _counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    _keys: list[int] = field(default_factory=list)

    @classmethod
    def read(cls, path: str | Path, *, near: bool, columns: Columns | None = None) -> PromptFile:
        """Reads the prompts of any file with a prompt column, or of pairs that share their start.

        Memory grows with the number of its different prompts; with ``near``, with their words.

        Raises:
            DataError: it cannot be read, or has no prompts.
            RowError: a row without a prompt, with its place.
        """
        file, texts, keys = cls(str(path), near=near), [], []
        known = columns or Columns()
        for location, row in read_rows(path):
            if isinstance(row, RowError):
                raise row
            prompt = _prompt_of(row, known, location)
            key = prompt_key(prompt)
            if prompt is not None and key not in file.places:
                file.places[key] = location
                if near:
                    texts.append(spaced(normal(plain(prompt))))
                    keys.append(key)
        if not file.places:
            raise DataError(f"{path} has no prompts to compare with")
        file._index(texts, keys)
        return file

    def _index(self, texts: list[str], keys: list[int]) -> None:
        owners, runs, counts = [], [], []
        for start in range(0, len(texts), 1024):
            hashes, starts = shingles(texts[start : start + 1024], RUN)
            for place in range(len(starts) - 1):
                mine = np.unique(hashes[starts[place] : starts[place + 1]])
                counts.append(len(mine))
                if len(mine) >= LEAST_RUNS:
                    runs.append(mine)
                    owners.append(np.full(len(mine), start + place))
        if runs:
            every = np.concatenate(runs)
            order = np.argsort(every, kind="stable")
            self._runs, self._owners = every[order], np.concatenate(owners)[order]
        self._counts, self._keys = np.asarray(counts, dtype=np.int64), keys

    def nearest(self, hashes: npt.NDArray[np.uint64]) -> str | None:
        """Where the prompt is that has most of its runs among ``hashes`` (runs of 5 words), if that is enough.

        The measure is containment, |S(x) ∩ S(b)| / |S(b)| (Broder 1997), of the benchmark's prompt b in the row's
        prompt x: a benchmark question inside of a longer prompt is found, one that shares a phrase is not.
        """
        if not len(self._runs):
            return None
        mine = np.unique(hashes)
        low, high = np.searchsorted(self._runs, mine, "left"), np.searchsorted(self._runs, mine, "right")
        if (high > low).sum() < CONTAINED * LEAST_RUNS:
            return None
        hits = np.concatenate([self._owners[a:b] for a, b in zip(low, high, strict=True) if b > a])
        owners, found = np.unique(hits, return_counts=True)
        shares = found / self._counts[owners]
        best = int(np.argmax(shares))
        return self.places[self._keys[int(owners[best])]] if shares[best] >= CONTAINED else None


def _prompt_of(row: dict[str, Any], columns: Columns, location: str) -> Prompt:
    try:
        name = columns.find("prompt", row)
        if name is not None and row[name] is not None:
            prompt = text_or_messages(row[name], name)
            whole = isinstance(prompt, list) and prompt and prompt[-1]["role"] == "assistant"
            if not whole:  # else a dialogue with its reply, which only the responses can cut
                more = row.get("input")
                alpaca = name == "instruction" and isinstance(prompt, str) and isinstance(more, str) and more.strip()
                return f"{prompt}\n{more}" if alpaca else prompt
        return to_example(row, columns, location).prompt
    except RowError as error:
        raise RowError(error.problem, location) from None
