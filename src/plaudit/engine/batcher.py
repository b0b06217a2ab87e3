"""From rendered texts to model inputs: the one place, for training, evaluation and scoring alike.

Plain values only, so that worker processes can have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from plaudit.engine.packing import Packing, pack, packed_size, plan_packed, plan_sorted
from plaudit.engine.padded import padded_inputs, plan_padded
from plaudit.engine.segments import Segments
from plaudit.formatting import Rendered

__all__ = ["Batcher"]


@dataclass(frozen=True)
class Batcher:
    """How batches are made.

    Attributes:
        path: a key of `plaudit.engine.support.PATHS`.
        last_token: the reward is read at each text's last token (decoders); otherwise the class pools.
        token_types: the model takes token types.
        pad_token_id, multiple: of padded batches, see `plaudit.engine.padded.padded_inputs`.
        first_position: the position id of a text's first token, in packed rows.
    """

    path: str
    last_token: bool
    token_types: bool
    pad_token_id: int = 0
    multiple: int | None = None
    first_position: int = 0

    def inputs(self, texts: Sequence[Rendered]) -> dict[str, Any]:
        """Keyword arguments of the reward forward (`plaudit.models.heads`) for N texts, rewarded in their order."""
        if self.path == "padded":
            return padded_inputs(
                texts,
                pad_token_id=self.pad_token_id,
                last_token=self.last_token,
                token_types=self.token_types,
                multiple=self.multiple,
            )
        packing = pack([text.input_ids for text in texts], share=self.path == "shared")
        inputs: dict[str, Any] = {
            "input_ids": torch.from_numpy(packing.ids).long().unsqueeze(0),
            "position_ids": torch.from_numpy(packing.positions).long().unsqueeze(0) + self.first_position,
            "segments": Segments.of(packing, causal=self.last_token),
        }
        if self.token_types:
            inputs["token_type_ids"] = _token_types(packing, texts)
        if self.last_token:
            inputs["read_index"] = torch.tensor(packing.last())
        else:
            inputs |= _unpacking(packing)
        return inputs

    def size(self, texts: Sequence[Sequence[int]]) -> int:
        """Tokens that are computed for texts that stay together; of a padded batch: without its padding."""
        return packed_size(texts, share=self.path == "shared")

    def plan(
        self, items: Sequence[Sequence[Sequence[int]]], *, max_tokens: int | None, max_items: int
    ) -> list[list[int]]:
        """Cuts M items (examples of K texts each) into batches.

        Args:
            max_tokens: computed tokens of a batch, padding included; None: no limit.
            max_items: of a padded batch. Packed rows are cut by tokens only.

        Returns:
            Batches of item indices; every item in exactly one.
        """
        if self.path != "padded":
            sizes = [self.size(item) for item in items]
            return plan_packed(sizes, max_tokens=max_tokens or sum(sizes))
        k = max(map(len, items))
        longest = [max(map(len, item)) for item in items]
        return plan_padded(longest, rows=[k] * len(items), max_rows=k * max_items, max_tokens=max_tokens)

    def plan_texts(self, texts: Sequence[Sequence[int]], *, max_tokens: int, max_rows: int) -> list[list[int]]:
        """Cuts N texts into batches, those that start alike together; ``max_rows`` is of padded batches."""
        if self.path != "padded":
            return plan_sorted(texts, share=self.path == "shared", max_tokens=max_tokens)
        return plan_padded(
            [len(text) for text in texts], rows=[1] * len(texts), max_rows=max_rows, max_tokens=max_tokens
        )


def _token_types(packing: Packing, texts: Sequence[Rendered]) -> torch.Tensor:
    types = torch.zeros(1, len(packing.ids), dtype=torch.long)
    for stretch in packing.stretches:
        boundary = texts[stretch.text].type_boundary
        if boundary is not None:
            types[0, stretch.start + boundary : stretch.start + stretch.length] = 1
    return types


def _unpacking(packing: Packing) -> dict[str, torch.Tensor]:
    """Where the tokens of each text lie in the row, as a rectangle: ``unpack_index, unpack_mask: (N, longest)``."""
    longest = max(stretch.length for stretch in packing.stretches)
    index = torch.zeros(len(packing.stretches), longest, dtype=torch.long)
    mask = torch.zeros(len(packing.stretches), longest, dtype=torch.long)
    for stretch in packing.stretches:
        index[stretch.text, : stretch.length] = torch.arange(stretch.start, stretch.start + stretch.length)
        mask[stretch.text, : stretch.length] = 1
    return {"unpack_index": index, "unpack_mask": mask}
