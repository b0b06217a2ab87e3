"""What can be seen in one pair alone: empty, identical and near-identical sides, and leftovers of templates.

Each check takes texts and says what it found; knows no files and no counts.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

__all__ = ["ARTEFACTS", "NEAR_REASONS", "artefacts", "near_identical"]

NEAR_REASONS = ("", "white space, case or punctuation only", "numbers written otherwise", "a few letters differ")
"""Why two sides are near-identical, by the code that `near_identical` gives."""

ARTEFACTS = (
    "turn marker",
    "template token",
    "special token of the tokenizer",
    "replacement character",
    "HTML entity",
    "mojibake",
    "control character",
)
"""Kinds of leftovers; bit i of the mask that `artefacts` gives stands for the i-th."""

_PIECES = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[+=<>/%^$€£]|-(?=\d)")
_NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen twenty".split()
    )
} | {
    word: str(10 * tens)
    for tens, word in enumerate("thirty forty fifty sixty seventy eighty ninety hundred".split(), start=3)
}
_NEGATIONS = {"not", "no", "never", "nor", "none", "cannot", "without", "t", "nicht", "kein", "pas", "non", "不", "没"}
_SHORT, _MOST_EDITS = 20, 10


def near_identical(a: str, b: str) -> int:
    """Whether two different texts say the same in letters: 0, or the place of the reason in `NEAR_REASONS`.

    Signs of arithmetic and digits count as letters, so ``x + 1`` and ``x - 1``, or ``17`` and ``18``, are not alike. A
    few letters: at most 1 edit for each 100 characters, and 1 to 10 of them (Levenshtein 1966), in texts of 20
    characters or more, with the same numbers and negations on both sides.
    """
    longer = max(len(a), len(b))
    if longer > 60 and abs(len(a) - len(b)) > 0.2 * longer:
        return 0
    left, right = _pieces(a), _pieces(b)
    if left == right:
        return 1 if left else 0
    if len(left) == len(right) and all(_NUMBERS.get(x, x) == _NUMBERS.get(y, y) for x, y in zip(left, right)):
        return 2
    a, b = " ".join(left), " ".join(right)
    most = min(max(1, longer // 100), _MOST_EDITS)
    if min(len(a), len(b)) < _SHORT or abs(len(a) - len(b)) > most:
        return 0
    from rapidfuzz.distance import Levenshtein

    if Levenshtein.distance(a, b, score_cutoff=most) > most:
        return 0
    return 3 if _weighty(left) == _weighty(right) else 0


def _pieces(text: str) -> list[str]:
    """Words, numbers and signs of arithmetic; punctuation and marks of formatting are left out."""
    text = text if text.isascii() else unicodedata.normalize("NFKC", text)
    return _PIECES.findall(text.casefold())


def _weighty(pieces: Iterable[str]) -> list[str]:
    """What changes the meaning of a text by itself: numbers, signs and negations, in order."""
    return [piece for piece in pieces if piece in _NEGATIONS or piece in _NUMBERS or not piece[0].isalpha()]


_TURN = re.compile(
    r"(?:^|\n)[ \t]*(?:\*\*)?"
    r"(?:###[ \t]*(?:Human|User|Assistant|Instruction|Response|Input|System)\b|(?:Human|User|Assistant)(?:\*\*)?:)"
)
_TURN_HINTS = ("Human:", "User:", "Assistant:", "Human**:", "User**:", "Assistant**:", "###")
_TEMPLATE = re.compile(
    r"<\|[A-Za-z_ ]{2,40}\|>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|</?s>(?!\w)|<(?:bos|eos|pad|unk)>"
)
_ENTITY = re.compile(r"&(?:amp|lt|gt|quot|nbsp|apos|#\d{2,5}|#x[0-9a-fA-F]{2,5});")
_MOJIBAKE = re.compile("â€[™œ\x9d“”¦˜¢\x99\x9c\x93\x94\x98\xa6]|Ã[©¨¤¶¼Ÿ±ª§¢¡³º­\x80-\xbf]|Â[\xa0-\xbf]|ï»¿|ðŸ")
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f\x80-\x84\x86-\x9f]")


def artefacts(text: str, special_tokens: Iterable[str] = (), *, reply: bool = True) -> int:
    """What a text holds of leftovers, as a mask over `ARTEFACTS`; 0: nothing.

    Args:
        text: a prompt or a reply.
        special_tokens: those of the tokenizer, looked for as they are written.
        reply: names of speakers (``Human:`` at the start of a line) count, which in a prompt are no fault.
    """
    found = 0
    if reply and any(hint in text for hint in _TURN_HINTS) and _TURN.search(text):
        found |= 1
    if ("<" in text or "[" in text) and _TEMPLATE.search(text):
        found |= 2
    if any(token in text for token in special_tokens):
        found |= 4
    if "&" in text and _ENTITY.search(text):
        found |= 16
    if not text.isascii():
        found |= 8 if "\ufffd" in text else 0
        found |= 32 if _MOJIBAKE.search(text) else 0
    if not text.isprintable() and _CONTROL.search(text):
        found |= 64
    return found


def artefact_names(mask: int) -> str:
    """The kinds in a mask, in words."""
    return ", ".join(name for bit, name in enumerate(ARTEFACTS) if mask >> bit & 1)
