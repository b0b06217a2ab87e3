"""Padded batches: K responses of several examples as one rectangle. The reference path that any other must equal.

The one place that turns rendered texts into model inputs, for training, evaluation and scoring alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from plaudit.formatting import Rendered

__all__ = ["padded_inputs", "plan_padded"]


def padded_inputs(
    texts: Sequence[Rendered], *, pad_token_id: int, last_token: bool, token_types: bool, multiple: int | None = None
) -> dict[str, torch.Tensor]:
    """Model inputs for N texts, padded on the right to T.

    Args:
        texts: N rendered texts.
        pad_token_id: fills the rectangle; masked, so its value never matters.
        last_token: the reward is read at each text's last token (decoders).
        token_types: the model takes token types.
        multiple: T is rounded up to a multiple of this.

    Returns:
        ``input_ids, attention_mask: (N, T)`` int64; ``token_type_ids: (N, T)`` where asked for; and
        ``read_index: (N,)``, flat positions in N * T, where ``last_token``.
    """
    lengths = [len(text.input_ids) for text in texts]
    width = max(lengths)
    if multiple:
        width = -(-width // multiple) * multiple
    ids = torch.full((len(texts), width), pad_token_id, dtype=torch.long)
    mask = torch.zeros((len(texts), width), dtype=torch.long)
    types = torch.zeros((len(texts), width), dtype=torch.long)
    for row, (text, length) in enumerate(zip(texts, lengths, strict=True)):
        ids[row, :length] = torch.tensor(text.input_ids)
        mask[row, :length] = 1
        if text.type_boundary is not None:
            types[row, text.type_boundary : length] = 1
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if token_types:
        inputs["token_type_ids"] = types
    if last_token:
        inputs["read_index"] = torch.tensor([row * width + length - 1 for row, length in enumerate(lengths)])
    return inputs


def plan_padded(
    lengths: Sequence[int], *, rows: Sequence[int], max_rows: int, max_tokens: int | None = None
) -> list[list[int]]:
    """Cuts items into batches of similar length.

    Args:
        lengths: M lengths, the longest text of each item.
        rows: M numbers of texts, one per item.
        max_rows: the most texts in a batch (an item with more goes alone).
        max_tokens: the most padded tokens in a batch.

    Returns:
        Batches of item indices, shortest first; every item in exactly one.
    """
    batches: list[list[int]] = []
    used = 0
    for item in sorted(range(len(lengths)), key=lambda item: lengths[item]):
        full = used + rows[item] > max_rows
        if max_tokens is not None:
            full = full or (used + rows[item]) * lengths[item] > max_tokens
        if not batches or full:
            batches.append([])
            used = 0
        batches[-1].append(item)
        used += rows[item]
    return batches
