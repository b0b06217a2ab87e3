"""Texts as the checks read them: plain, normalised, and as keys. Knows no rows and no findings."""

from __future__ import annotations

import hashlib
import json
import re

from plaudit.types import Example, Message, Prompt, Response

__all__ = ["excerpt", "key_of", "last_turn", "normal", "ordered", "plain", "shared_start", "spaced"]

_UNSPACED = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uac00-\ud7af])")


def plain(value: Prompt | Response) -> str:
    """The text itself; of a conversation, ``role: content`` turn by turn (a single turn: its content). Tool calls count
    as the JSON text they are."""
    if value is None or isinstance(value, str):
        return value or ""
    if len(value) == 1:
        return _content(value[0])
    return "\n".join(f"{turn.get('role', '')}: {_content(turn)}" for turn in value)


def _content(turn: Message) -> str:
    content, calls = turn.get("content") or "", turn.get("tool_calls")
    return f"{content}{json.dumps(calls, ensure_ascii=False, default=str)}" if calls else str(content)


def last_turn(prompt: Prompt) -> str:
    """What the prompt asks in the end: its text, or the last user turn of a conversation."""
    if prompt is None or isinstance(prompt, str):
        return prompt or ""
    asked = [turn for turn in prompt if turn.get("role") == "user"]
    return str((asked or list(prompt))[-1].get("content") or "") if prompt else ""


def normal(text: str) -> str:
    """The text without differences of case and white space, as `plaudit.types.prompt_group` reads it."""
    return " ".join(text.casefold().split())


def spaced(text: str) -> str:
    """A normalised text with each character of a script that writes no spaces as a word of its own."""
    return text if text.isascii() else " ".join(_UNSPACED.sub(r" \1 ", text).split())


def key_of(text: str) -> int:
    """64 bits that stand for the text.

    Raises:
        UnicodeEncodeError: half of a surrogate pair, which is no text.
    """
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def ordered(example: Example) -> tuple[list[Response], bool]:
    """The responses, the most preferred first, and whether the first two are a tie."""
    places = sorted(range(len(example.labels)), key=lambda place: -example.labels[place])
    labels = [example.labels[place] for place in places]
    tie = len(labels) > 1 and labels[0] == labels[-1]
    return [example.responses[place] for place in places], tie


def shared_start(a: str, b: str, limit: int) -> int:
    """How many first characters two texts share, counted up to ``limit``."""
    low, high = 0, min(len(a), len(b), limit)
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def excerpt(text: str, width: int = 160) -> str:
    """The start of a text in one line."""
    flat = " ".join(text[: 4 * width].split())
    return flat if len(flat) <= width and len(text) <= 4 * width else flat[: width - 1] + "…"
