"""From options to a loaded model, and from text to a prompt."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from plaudit.cli.output import say, waiting
from plaudit.types import Prompt

if TYPE_CHECKING:
    from plaudit.models.reward_model import RewardModel

__all__ = ["load_reward_model", "parse_prompt"]


logger = logging.getLogger(__name__)


def load_reward_model(name: str, *, batching: str | None = None, **options: Any) -> RewardModel:
    """`RewardModel.from_pretrained` with a spinner; says where the model runs."""
    with waiting(f"loading {name}"):
        from plaudit.models.reward_model import RewardModel

        model = RewardModel.from_pretrained(name, batching=batching or "auto", **options)
    say(f"{name} on {model.device}, {model.dtype}")
    if model.support.path != "padded":  # the model says itself why it is
        logger.info("%s", model.support.line)
    return model


def parse_prompt(text: str | None) -> Prompt:
    """A prompt from the command line: text, or a conversation written as a JSON list of messages."""
    if text is None:
        return None
    from plaudit.data.messages import text_or_messages

    return text_or_messages(text, "--prompt")
