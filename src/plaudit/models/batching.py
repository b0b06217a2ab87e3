"""Which path the batches of a reward model take; prepares the network for it."""

from __future__ import annotations

import logging

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from plaudit.engine.attention import switch_off, switch_on
from plaudit.engine.batcher import Batcher
from plaudit.engine.last_layer import read_last_layer
from plaudit.engine.linear import fast_linears
from plaudit.engine.norms import fast_norms
from plaudit.engine.support import Support, packing_support
from plaudit.errors import ConfigError
from plaudit.models.heads import pools_first_token, reads_last_token

__all__ = ["BATCHING", "batcher_of", "choose_path"]

logger = logging.getLogger(__name__)

BATCHING = ("auto", "packed", "padded")


def choose_path(model: PreTrainedModel, batching: str | Support) -> Support:
    """Makes a classifier ready for the path that its batches are to take.

    Args:
        model: with the reward head (`plaudit.models.heads.install_reward_head`).
        batching: one of `BATCHING`, or the padded path with the reason for it.

    Raises:
        ConfigError: ``packed``, and the architecture cannot; or no such batching.
    """
    if batching == "padded" or isinstance(batching, Support):
        switch_off(model)
        if isinstance(batching, Support):
            logger.info("%s", batching.line)
            return batching
        return Support("padded", "as asked")
    if batching not in BATCHING:
        raise ConfigError(f"batching: expected one of {', '.join(BATCHING)}, got {batching!r}")
    support = packing_support(model)
    if support.path == "padded":
        if batching == "packed":
            raise ConfigError(f"batching packed: {type(model).__name__} cannot, {support.reason}; use auto")
        logger.info("%s", support.line)
        return support
    switch_on(model)
    fast_linears(model)
    fast_norms(model)
    causal = support.path == "shared"
    if causal or pools_first_token(model):
        read_last_layer(model, causal=causal)
    return support


def batcher_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, support: Support) -> Batcher:
    """Makes the inputs of such a model."""
    pad = tokenizer.pad_token_id
    return Batcher(
        path=support.path,
        last_token=reads_last_token(model),
        token_types="token_type_ids" in tokenizer.model_input_names,
        pad_token_id=pad if pad is not None else 0,
        first_position=support.first_position,
    )
