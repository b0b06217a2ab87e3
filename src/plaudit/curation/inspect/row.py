"""One row on its way into the arrays of a scan: what can be said of it alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plaudit.curation.inspect.shared import prompt_key
from plaudit.curation.inspect.shortcuts import markdown_marks, position_of
from plaudit.curation.inspect.sides import artefacts, near_identical
from plaudit.curation.inspect.texts import key_of, ordered, plain
from plaudit.types import Example

__all__ = [
    "ALONE",
    "CONTAMINATED",
    "EMPTY",
    "IDENTICAL",
    "LEAKED",
    "SAME_WHEN_CUT",
    "SOFT",
    "TIE",
    "TOO_LONG",
    "ScannedRow",
]

EMPTY, IDENTICAL, TIE, SOFT, TOO_LONG, ALONE, SAME_WHEN_CUT, LEAKED, CONTAMINATED = (1 << bit for bit in range(9))
"""Bits of `Scan.flags`."""


class ScannedRow:
    """One good row, on its way into the arrays."""

    __slots__ = (
        "example",
        "flags",
        "index",
        "label_key",
        "location",
        "normal",
        "position",
        "prompt_key",
        "side_keys",
        "sides",
        "texts",
    )

    def __init__(self, example: Example, kind: str, location: str, index: int, row: Mapping[str, Any]) -> None:
        self.example, self.location, self.index = example, location, index
        responses, tie = ordered(example)
        self.sides = [responses[0], responses[-1]]
        texts = [plain(example.prompt), *map(plain, self.sides)]
        self.texts = texts
        squeezed = [" ".join(text.split()) for text in texts]
        self.normal = [text.casefold() for text in squeezed]
        self.prompt_key = prompt_key(example.prompt)
        self.side_keys, self.label_key = (key_of(squeezed[1]), key_of(squeezed[2])), 0
        if kind != "pairs":
            keyed = sorted(
                zip((key_of(" ".join(plain(each).split())) for each in example.responses), example.labels, strict=True)
            )
            self.side_keys = (key_of(repr([key for key, _ in keyed])),) * 2
            self.label_key = key_of(repr([label for _, label in keyed]))
        self.flags = EMPTY * (not texts[1].strip() or not texts[2].strip() or self._blank(responses)) | TIE * tie
        self.flags |= SOFT * (kind == "pairs" and max(example.labels) not in (1.0, 0.5))
        if len(responses) > 1:
            self.flags |= IDENTICAL * (len(set(map(plain, responses))) < len(responses) and not self.flags & EMPTY)
        self.position = position_of(row) if row else 0

    @staticmethod
    def _blank(responses: list[Any]) -> bool:
        return len(responses) > 2 and not all(plain(response).strip() for response in responses)

    @property
    def marks(self) -> tuple[int, int]:
        return markdown_marks(self.texts[1]), markdown_marks(self.texts[2])

    @property
    def near(self) -> int:
        if self.flags & (EMPTY | IDENTICAL) or len(self.example.responses) < 2:
            return 0
        return near_identical(self.texts[1], self.texts[2])

    def artefacts(self, specials: tuple[str, ...]) -> int:
        prompt = artefacts(self.texts[0], specials, reply=False)
        return prompt | artefacts(self.texts[1], specials) | artefacts(self.texts[2], specials)
