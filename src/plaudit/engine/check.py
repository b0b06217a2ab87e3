"""The self-check: a few texts through the fast path and through the plain padded one must get the same rewards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch

from plaudit.engine.batcher import Batcher
from plaudit.errors import EngineError
from plaudit.formatting import Rendered

__all__ = ["TOLERANCE", "check_sample", "self_check"]

TOLERANCE = {"float32": 1e-4, "bfloat16": 0.1, "bf16": 0.1, "float16": 2e-2, "fp16": 2e-2}
"""The largest difference of rewards, relative to max(1, |reward|), by number format or kind of mixed precision. The
tests hold float32 to 1e-5 on a CPU; a GPU adds up in another order in every kernel. In half precision the two paths
round differently; a path that is wrong is off by as much as rewards differ."""

SAMPLE_TOKENS = 1024


def check_sample(texts: Sequence[Rendered]) -> list[Rendered]:
    """Two of the texts, their first half with two endings, and one token alone: shared, unshared and shortest cases."""
    first, second = (text.input_ids[:SAMPLE_TOKENS] for text in (texts[0], texts[-1]))
    start = first[: max(1, len(first) // 2)]
    ids = [first, second, start + second[-5:], start + first[-3:], first[:1]]
    return [Rendered(text) for text in ids]


@torch.no_grad()
def self_check(
    rewards: Callable[[dict[str, Any]], torch.Tensor], batcher: Batcher, texts: Sequence[Rendered], *, dtype: str
) -> float:
    """Rewards a sample on both paths.

    Args:
        rewards: model inputs -> (N,) rewards, without dropout.
        batcher: of the fast path.
        texts: some rendered texts.
        dtype: the number format that the model computes in.

    Returns:
        The largest difference, relative to max(1, |reward|).

    Raises:
        EngineError: it is beyond `TOLERANCE`; names the figures.
    """
    sample = check_sample(texts)
    fast = rewards(batcher.inputs(sample)).float().flatten()
    plain = rewards(replace(batcher, path="padded").inputs(sample)).float().flatten()
    finite = plain.isfinite()  # damaged weights are another check's business
    if torch.equal(finite, fast.isfinite()):
        fast, plain = fast[finite], plain[finite]
    difference = float(((fast - plain).abs() / plain.abs().clamp(min=1)).max()) if len(plain) else 0.0
    if not difference <= TOLERANCE[dtype]:
        figures = ", ".join(f"{a:.6g} and {b:.6g}" for a, b in zip(fast.tolist(), plain.tolist(), strict=True))
        raise EngineError(
            f"the fast path and the padded one give different rewards: {difference:.2g} apart, tolerance "
            f"{TOLERANCE[dtype]:g} in {dtype} (fast and padded: {figures}); choose batching=padded "
            "(--batching padded), and report the architecture"
        )
    return difference
