"""A scorer that counts letters, and prompts for it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

PROMPTS = ["What is the capital of France?", "List three fruits.", "Write a function.", "Is the weather nice?"]


class Letters:
    """How often a letter stands in a response; a `Scorer`."""

    def __init__(self, letter: str = "a") -> None:
        self.letter, self.calls = letter, 0

    def score(
        self, prompts: Sequence[Any], responses: Sequence[Any], *, references: Sequence[str | None] | None = None
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        self.calls += 1
        return np.array([str(response).count(self.letter) for response in responses], dtype=np.float32)


class FailsOnce(Letters):
    """Gives no numbers after so many calls."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def score(self, prompts: Sequence[Any], responses: Sequence[Any], **rest: Any) -> Any:
        scores = super().score(prompts, responses, **rest)
        return scores * math.nan if self.calls > self.after else scores
