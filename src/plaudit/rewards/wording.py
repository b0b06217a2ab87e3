"""What the rules on wording share: the prose of a text, its quotations, and lists of phrases as regular expressions."""

from __future__ import annotations

import re

__all__ = ["QUOTE", "alternatives", "prose"]

QUOTE = re.compile(r'["“”«»„]([^"“”«»„]+)["“”«»]')

_NOT_PROSE = re.compile(r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)|`[^`\n]*`|https?://\S+|www\.\S+", re.DOTALL)


def prose(text: str) -> str:
    """The text without code and links, with straight apostrophes."""
    return _NOT_PROSE.sub(" . ", text).replace("’", "'").replace("‘", "'")


def alternatives(phrases: str) -> str:
    """The regular expressions between the semicolons as one group.

    A line break stands for a space, one after a backslash for nothing.
    """
    parts = re.sub(r"\\\n\s*", "", phrases).split(";")
    return "(?:" + "|".join(" ".join(part.split()) for part in parts if part.strip()) + ")"
