"""From options to a loaded model, and from an error inside a batch to the row that caused it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from plaudit.cli.output import say, waiting
from plaudit.errors import ItemError, RowError
from plaudit.types import Prompt

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from plaudit.formatting import RenderItem
    from plaudit.models.reward_model import RewardModel

__all__ = ["load_reward_model", "parse_prompt", "score_located"]


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


def score_located(
    model: RewardModel,
    items: Sequence[RenderItem],
    locations: Sequence[str],
    *,
    overlong: str = "error",
    progress: Callable[[int], None] | None = None,
) -> npt.NDArray[np.float32]:
    """`RewardModel.score_items`, whose errors name ``locations`` (``file:line``) instead of indices."""
    try:
        return model.score_items(items, overlong=overlong, progress=progress)
    except ItemError as error:
        if error.index is None:
            raise
        raise RowError(error.problem, locations[error.index]) from error
