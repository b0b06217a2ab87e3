"""Dialogues in one text, ``"\\n\\nHuman: … \\n\\nAssistant: …"``, as Anthropic's HH-RLHF has them -> messages."""

from __future__ import annotations

import re

from plaudit.errors import RowError

__all__ = ["is_transcript", "messages_from_transcript"]

_TURN = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant|System):")
_ROLES = {"Human": "user", "Assistant": "assistant", "System": "system"}


def is_transcript(value: object) -> bool:
    """Whether a value is a text that starts with a turn of a human and goes on with one of an assistant."""
    if not isinstance(value, str) or not value.lstrip().startswith("Human:"):
        return False
    return "\n\nAssistant:" in value


def messages_from_transcript(text: str) -> list[dict[str, str]]:
    """The turns of a transcript; white space around a turn is dropped.

    A turn starts with ``Human:``, ``Assistant:`` or ``System:`` at the start of the text or behind an empty line.

    Raises:
        RowError: the text does not start with a turn.
    """
    starts = list(_TURN.finditer(text))
    if not starts or starts[0].start() != 0:
        raise RowError(f"the text {text!r:.60} is no transcript; expected it to start with 'Human:' or 'Assistant:'")
    ends = [match.start() for match in starts[1:]] + [len(text)]
    return [
        {"role": _ROLES[match[1]], "content": text[match.end() : end].strip()}
        for match, end in zip(starts, ends, strict=True)
    ]
