"""A bounded pool of replies to other prompts. Knows examples only."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass

from plaudit.types import Example, Prompt, Response

__all__ = ["ForeignPair", "ForeignPool"]

NEAR = 0.8
"""Prompts that share so much of their words (Jaccard index) ask nearly the same: one reply may answer both."""

MOST_LOOKED_AT = 1000


@dataclass(frozen=True, slots=True)
class ForeignPair:
    """The replies of one pair, the preferred one first, and what tells whether its prompt is another one."""

    group: str
    words: frozenset[str]
    responses: tuple[Response, Response]


class ForeignPool:
    """Pairs drawn uniformly from all that are offered (Vitter 1985, algorithm R), handed out in turn.

    Every pair of the pool is handed out about equally often.

    Args:
        size: the most pairs held.
        seed: of the draw and of the order.
    """

    def __init__(self, size: int, seed: int) -> None:
        self.size, self._rng = size, random.Random(f"pool:{seed}")
        self._pairs: list[ForeignPair] = []
        self._offered = 0
        self._next = size  # as after a round: the first one begins with a shuffle, since neighbours are alike

    def __len__(self) -> int:
        return len(self._pairs)

    @property
    def groups(self) -> int:
        """How many different prompts its pairs have."""
        return len({pair.group for pair in self._pairs})

    def offer(self, example: Example) -> None:
        """A pair that may come into the pool."""
        self._offered += 1
        place = len(self._pairs) if len(self._pairs) < self.size else self._rng.randrange(self._offered)
        if place < self.size:
            first, second = example.responses
            best = (second, first) if example.labels[1] > example.labels[0] else (first, second)
            pair = ForeignPair(example.group, prompt_words(example.prompt), best)
            self._pairs[place : place + 1] = [pair]

    def take(self, example: Example) -> tuple[Response, Response] | None:
        """Two replies to another prompt, of the kind of the example's own (text or conversation), the preferred first.

        None where the next 1,000 pairs have none that fits: all are replies to the example's prompt or to one with
        nearly the same words, or one of them is a reply of the example too.
        """
        words = prompt_words(example.prompt)
        for _ in range(2):
            for place in range(self._next, min(self._next + MOST_LOOKED_AT, len(self._pairs))):
                found = _fitting(self._pairs[place], example, words)
                if found is not None:
                    pairs, here = self._pairs, self._next
                    pairs[here], pairs[place] = pairs[place], pairs[here]
                    self._next += 1
                    return found
            if len(self._pairs) - self._next > MOST_LOOKED_AT:
                return None
            self._rng.shuffle(self._pairs)
            self._next = 0
        return None


def prompt_words(prompt: Prompt) -> frozenset[str]:
    """The different words of a prompt, without case."""
    if prompt is not None and not isinstance(prompt, str):
        prompt = "\n".join(str(turn.get("content") or "") for turn in prompt)
    return frozenset(re.findall(r"\w+", (prompt or "").casefold()))


def _fitting(pair: ForeignPair, example: Example, words: frozenset[str]) -> tuple[Response, Response] | None:
    shared = len(pair.words & words)
    if pair.group == example.group or (shared and shared >= NEAR * (len(pair.words) + len(words) - shared)):
        return None
    conversation = not isinstance(example.responses[0], str)
    first, second = (_as_kind(response, conversation) for response in pair.responses)
    if first is None or second is None or first in example.responses or second in example.responses:
        return None
    return first, second


def _as_kind(response: Response, conversation: bool) -> Response | None:
    """A text as one turn, one plain turn as a text; None for what is more than a text."""
    if conversation:
        return [{"role": "assistant", "content": response}] if isinstance(response, str) else response
    if isinstance(response, str):
        return response
    plain = len(response) == 1 and set(response[0]) == {"role", "content"} and response[0]["role"] == "assistant"
    return response[0]["content"] if plain else None
