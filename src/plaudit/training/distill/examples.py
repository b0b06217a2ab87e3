"""From scored texts to what the trainer eats: ratings, or pairs of texts with different scores."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

from plaudit.files import atomic_text
from plaudit.training.distill.texts import Text
from plaudit.types import Example

__all__ = ["as_pairs", "as_ratings", "write_examples"]

Scored = tuple[Text, float]


def as_ratings(scored: Iterable[Scored]) -> Iterator[Example]:
    """One example for each text, its score the label."""
    for text, score in scored:
        yield Example(
            prompt=text.prompt,
            responses=(text.response,),
            labels=(score,),
            group=text.group,
            location=text.location,
        )


def as_pairs(
    scored: Sequence[Scored], *, min_gap: float, margin_unit: float | None, per_text: int, seed: int
) -> Iterator[Example]:
    """Pairs whose scores differ by more than ``min_gap``.

    The K responses of a prompt, by score, are paired so that the i-th of the better half meets the i-th of the other
    half: K // 2 pairs with wide gaps. Bare texts are paired with each other at random, each ``per_text`` times as the
    first of a pair.

    Args:
        scored: texts with their scores.
        min_gap: in units of the scores.
        margin_unit: the score difference that is a margin of 1; None: no margin.
        per_text: pairs that each bare text starts.
        seed: of the pairing.
    """
    bare = [item for item in scored if item[0].prompt is None]
    asked = sorted((item for item in scored if item[0].prompt is not None), key=lambda item: item[0].group)
    for _, group in groupby(asked, key=lambda item: item[0].group):
        members = sorted(group, key=lambda item: -item[1])
        half = len(members) // 2
        for better, worse in zip(members[:half], members[len(members) - half :], strict=True):
            yield from _pair(better, worse, min_gap, margin_unit)
    rng = random.Random(seed)
    for _ in range(per_text):
        order = list(range(len(bare)))
        rng.shuffle(order)
        for first, second in zip(order, order[1:] + order[:1], strict=True):
            if first != second:
                yield from _pair(bare[first], bare[second], min_gap, margin_unit)


def _pair(a: Scored, b: Scored, min_gap: float, margin_unit: float | None) -> Iterator[Example]:
    gap = abs(a[1] - b[1])
    if gap <= min_gap or a[0].response == b[0].response:
        return
    better, worse = (a, b) if a[1] > b[1] else (b, a)
    yield Example(
        prompt=better[0].prompt,
        responses=(better[0].response, worse[0].response),
        labels=(1.0, 0.0),
        margin=None if margin_unit is None else gap / margin_unit,
        group=better[0].group if better[0].prompt is not None else min(better[0].group, worse[0].group),
        location=f"{better[0].location} and {worse[0].location}",
    )


def write_examples(examples: Iterable[Example], path: Path) -> int:
    """Writes examples as JSON lines that the loader takes as they are; returns how many."""
    lines = [json.dumps(example.to_row(), ensure_ascii=False) for example in examples]
    atomic_text(path, "".join(line + "\n" for line in lines))
    return len(lines)
