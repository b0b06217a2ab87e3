"""What is code in a Markdown text and what is prose. Knows nothing of languages or scores."""

from __future__ import annotations

import re

__all__ = ["fenced_blocks", "prose"]

_FENCE = re.compile(  # CommonMark, section 4.5; a last fence may be left open, a block may stand on one line
    r"^[ \t]*(?P<fence>`{3,}+|~{3,}+)[ \t]*(?P<info>[^`\n]*)\n"
    r"(?P<body>.*?)(?:^[ \t]*(?P=fence)[`~]*[ \t]*$|\Z)"
    r"|^[ \t]*```(?P<line>[^`\n]+)```[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_INLINE = re.compile(r"(?<!`)(`{1,2})(?!`)[^`\n]+\1(?!`)")
_TARGET = re.compile(r"(?<=\])\([^()\s]*\)|<?\bhttps?://[^\s<>)\]]+>?|\bwww\.[^\s<>)\]]+")


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    """The fenced blocks of a text in order: tag (the first word after the fence, in lower case) and content."""
    blocks = []
    for found in _FENCE.finditer(text):
        if found["line"] is not None:
            tag = re.match(r"json\b", found["line"], re.IGNORECASE)
            blocks.append(("json", found["line"][4:]) if tag else ("", found["line"]))
        else:
            blocks.append((found["info"].strip().partition(" ")[0].lower(), found["body"]))
    return blocks


def prose(text: str) -> str:
    """The text without fenced blocks, inline code and the targets of links."""
    return _TARGET.sub(" ", _INLINE.sub(" ", _FENCE.sub("\n", text)))
