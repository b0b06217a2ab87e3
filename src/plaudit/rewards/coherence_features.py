"""What tells a text from the same sentences in another order, and from a text with a foreign sentence, as numbers.
Knows nothing of weights."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from plaudit.rewards.sentences import sentences

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]
    Features = npt.NDArray[np.float64]

__all__ = ["FEATURES", "Sentence", "cues", "features", "prose"]

FEATURES = (
    "near", "ends", "place", "opening", "closing", "definite", "counting", "years", "together", "loneliest",
)  # fmt: skip

_FENCE = re.compile(r"^[ \t]*(```|~~~).*?(?:^[ \t]*\1[ \t]*$|\Z)", re.M | re.S)
_MARKER = re.compile(r"^(?:[#>*+•–—|-]+\s+|\(?(?P<number>\d{1,3})[.)]\s+|\(?[A-Za-z][.)]\s+|[*_`]+)+")
_TOKEN = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?|\d+|[?!:;\"()]")
_DEFINITE = re.compile(r"\b(?:the|this|these|that|those|such)\s+([a-z]+)")
_YEAR = re.compile(r"\b(?:1[5-9]\d\d|20\d\d)\b")
_ENDING = re.compile(r"(?:'s|s|es|ed|ing|ly)$")
_ORDINALS = {"first": 1, "firstly": 1, "second": 2, "secondly": 2, "third": 3, "thirdly": 3, "fourth": 4, "lastly": 99}
_EMPTY = frozenset(
    "the a an of to in and is are was were be been being for on with as by at from or that this it its their they he "
    "she his her you your i we our not can will would should may might have has had do does did but if which who what "
    "when where how than then there these those also more most such into other some any each all no one about over "
    "after before so just like".split()
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence without the marks of lists and headings; ``number`` is its list number or ordinal."""

    text: str
    tokens: tuple[str, ...]
    content: frozenset[str]
    definite: frozenset[str]
    year: int | None
    number: int | None


def prose(text: str) -> list[Sentence]:
    """The sentences of a text, without code in fences, without what has no letters, and each but once."""
    found: dict[str, Sentence] = {}
    for raw in sentences(_FENCE.sub("\n", text)):
        marker = _MARKER.match(raw)
        bare = raw[marker.end() :].strip() if marker else raw
        if any(character.isalpha() for character in bare) and bare not in found:
            number = int(marker["number"]) if marker and marker["number"] else None
            found[bare] = _read(bare, number)
    return list(found.values())


def _read(text: str, number: int | None) -> Sentence:
    tokens = tuple(_TOKEN.findall(text.lower()))
    year = _YEAR.search(text)
    return Sentence(
        text,
        tokens,
        frozenset(_stem(token) for token in tokens if len(token) > 2 and token not in _EMPTY and token[0].isalpha()),
        frozenset(_stem(word) for word in _DEFINITE.findall(text.lower())),
        int(year[0]) if year else None,
        number if number is not None else _ORDINALS.get(tokens[0]) if tokens else None,
    )


def _stem(word: str) -> str:
    return _ENDING.sub("", word)


def cues(sentence: Sentence) -> set[str]:
    """Words and marks of a sentence, its first word as "^word", its first two as "^^word word"; figures as "#"."""
    tokens = ["#" * min(len(token), 4) if token.isdigit() else token.replace("’", "'") for token in sentence.tokens]
    return {f"^{' '.join(tokens[:1])}", f"^^{' '.join(tokens[:2])}", *tokens}


def features(text: Sequence[Sentence], vectors: Vectors, table: Mapping[str, Sequence[float]]) -> Features:
    """The numbers named `FEATURES`, shape (10,), of a text of at least two sentences.

    The first eight compare the text with the same sentences in any order (their mean over all orders is about 0), the
    others look at the sentences as a set.

    Args:
        text: n sentences.
        vectors: their embeddings of length one, shape (n, D).
        table: of each cue the weights for standing late, first and last.
    """
    import numpy as np

    n = len(text)
    likeness = (vectors @ vectors.T).astype(np.float64)
    rows, columns = np.triu_indices(n, 1)
    pairs, mean = likeness[rows, columns], likeness[rows, columns].mean()
    closeness = 1.0 / (columns - rows)
    most_alike = (likeness - 2 * np.eye(n)).max(1)
    places = np.linspace(-1, 1, n)
    leaning = np.array([[sum(column) for column in zip(*_weights(s, table))] for s in text])  # (n, 3)
    leaning -= leaning.mean(0)
    ordered = [
        (pairs * closeness).sum() / closeness.sum() - mean,
        likeness[0, -1] - mean,
        (places * leaning[:, 0]).mean(),
        leaning[0, 1],
        leaning[-1, 2],
        _later(text) / n,
        _rising([s.number for s in text], restarts=True),
        _rising([s.year for s in text], restarts=False),
    ]
    return np.array([*ordered, mean, most_alike.min()])


def _weights(sentence: Sentence, table: Mapping[str, Sequence[float]]) -> list[Sequence[float]]:
    return [(0.0, 0.0, 0.0), *(table[cue] for cue in cues(sentence) if cue in table)]


def _later(text: Sequence[Sentence]) -> int:
    """How often "the thing" follows a sentence with "thing", less how often it precedes it."""
    return sum(len(b.definite & a.content) - len(a.definite & b.content) for a, b in itertools.combinations(text, 2))


def _rising(numbers: Sequence[int | None], *, restarts: bool) -> float:
    """Steps up less steps down between neighbours, over their number; 0 where there are none."""
    given = [number for number in numbers if number is not None]
    steps = [(b > a) - (b < a) for a, b in itertools.pairwise(given) if not (restarts and b == 1)]
    return sum(steps) / len(steps) if steps else 0.0
