"""One spelling for conversations: lists of ``{"role", "content", …}``, whatever the data calls them.

Knows the OpenAI and the ShareGPT spelling, content parts, and conversations written as JSON text. Knows nothing of
prompts, preferences or chat templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from plaudit.errors import RowError

__all__ = ["drop_nulls", "kind", "text_or_messages"]

ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
    "observation": "tool",
    "function_response": "tool",
    "function_call": "assistant",
}
_WRAPPERS = ("messages", "conversations")
_LOOKS_LIKE_MESSAGES = re.compile(r"\s*\[\s*\{")


def kind(value: object) -> str:
    """What a value is, in a user's words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, (list, tuple)):
        return "a conversation" if value and isinstance(value[0], Mapping) else "a list"
    return type(value).__name__


def text_or_messages(value: object, column: str) -> str | list[dict[str, Any]]:
    """The text, or the conversation as a list of ``{"role", "content", …}``.

    Accepts text, a list of messages, one message, an object around a list of messages, and JSON text of a list of
    messages (anything else that starts like a list stays the text it is).

    Raises:
        RowError: anything else; ``column`` is the name it is given in the message.
    """
    if isinstance(value, str):
        embedded = _embedded(value)
        return value if embedded is None else embedded
    if isinstance(value, Mapping):
        for wrapper in _WRAPPERS:
            if isinstance(value.get(wrapper), (list, tuple)):
                return _messages(value[wrapper], column)
        return [_message(value, column)]
    if isinstance(value, (list, tuple)):
        return _messages(value, column)
    raise RowError(f"{column} is {kind(value)} ({value!r:.60}); expected text or a list of messages")


def drop_nulls(value: Any) -> Any:
    """The value without the keys that are null: Arrow fills them in so that all rows have the same fields."""
    if isinstance(value, Mapping):
        return {key: drop_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [drop_nulls(item) for item in value]
    return value


def _embedded(text: str) -> list[dict[str, Any]] | None:
    if not _LOOKS_LIKE_MESSAGES.match(text):
        return None
    try:
        value = json.loads(text)
        known = all(str(message.get("role", message.get("from"))).lower() in ROLES for message in value)
        return _messages(value, "") if known else None
    except (ValueError, AttributeError, RecursionError, RowError):
        return None  # a reply may be a JSON list, or look like one


def _messages(values: Sequence[object], column: str) -> list[dict[str, Any]]:
    return [_message(value, f"{column}[{index}]") for index, value in enumerate(values)]


def _message(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise RowError(f"{where} is {kind(value)} ({value!r:.60}); expected a message with role and content")
    role, content = value.get("role"), value.get("content")
    if role is None:
        role = value.get("from")
        if isinstance(role, str) and role.lower() not in ROLES:
            raise RowError(f"{where}: unknown speaker {role!r}; known: {', '.join(ROLES)}")
    if content is None:
        content = value.get("value")
    if not isinstance(role, str) or not role:
        raise RowError(f"{where} has no role; its keys are: {', '.join(map(str, value)) or '(none)'}")
    extras = {
        key: drop_nulls(item)
        for key, item in value.items()
        if key not in ("role", "from", "content", "value") and item is not None
    }
    if content is None and not extras.get("tool_calls"):
        raise RowError(f"{where} has neither content nor tool_calls; its keys are: {', '.join(map(str, value))}")
    return {"role": ROLES.get(role.lower(), role), "content": _content(content, where), **extras}


def _content(content: object, where: str) -> str | None:
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, (list, tuple)):
        raise RowError(f"{where}: content is {kind(content)} ({content!r:.60}); expected text or a list of text parts")
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else part
        if not isinstance(text, str):
            found = part.get("type") if isinstance(part, Mapping) else kind(part)
            raise RowError(f"{where}: a content part of type {found!r}; only text parts can be used, images cannot")
        texts.append(text)
    return "".join(texts)
