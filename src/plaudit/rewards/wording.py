"""What the rules on wording share: plain text, quotations, and lists of phrases as regular expressions."""

from __future__ import annotations

import re

from plaudit.rewards import markdown

__all__ = ["QUOTE", "alternatives", "plain"]

QUOTE = re.compile(r'["“”«»„]([^"“”«»„]+)["“”«»]')


def plain(text: str) -> str:
    """The text without code and the targets of links, with straight apostrophes."""
    return markdown.prose(text).replace("’", "'").replace("‘", "'")


def alternatives(phrases: str) -> str:
    """The regular expressions between the semicolons as one group.

    A line break stands for a space, one after a backslash for nothing.
    """
    parts = re.sub(r"\\\n\s*", "", phrases).split(";")
    return "(?:" + "|".join(" ".join(part.split()) for part in parts if part.strip()) + ")"
