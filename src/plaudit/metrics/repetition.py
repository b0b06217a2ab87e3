"""How much a text repeats itself. Knows texts only."""

from __future__ import annotations

import re

__all__ = ["repetition"]

_WITHOUT_SPACES = (
    "\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Tibetan, Burmese, Khmer
    "\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # kana, Han
)
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed\u0900-\u0963\u0966-\u0dff"
"""Signs that belong to the letter before them, which ``\\w`` leaves out; with all of the Indic blocks."""
_LETTER = rf"(?:(?![{_WITHOUT_SPACES}])[\w{_MARKS}])"
_UNIT = re.compile(rf"[{_WITHOUT_SPACES}]|{_LETTER}+(?:['’]{_LETTER}+)*|[^\w\s]")


def repetition(text: str, n: int = 3) -> float:
    """The share of a text's n-grams that were there before, in [0, 1]; 0 where there are fewer than n units.

        1 - |different n-grams| / |n-grams|

    This is seq-rep-n of Welleck et al. 2020, "Neural Text Generation with Unlikelihood Training" (arXiv:1908.04319,
    section 6), over words instead of a model's tokens, so that texts of different models compare. Case does not count.
    A punctuation mark or symbol is a unit of its own, and so is each character of a script that is written without
    spaces. What goes on inside a word (``aaaa``) is not seen.

    Args:
        text: any.
        n: units of an n-gram, at least 1.
    """
    units = _UNIT.findall(text.casefold())
    count = len(units) - n + 1
    if count <= 0:
        return 0.0
    return 1.0 - len(set(zip(*(units[i:] for i in range(n)), strict=False))) / count
