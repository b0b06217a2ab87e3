"""From examples to the design of pairs: texts once each, features from the cache, and which pairs are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from plaudit.curation.noise.design import PairDesign, pair_design
from plaudit.types import Example, Prompt, Response, prompt_group

if TYPE_CHECKING:
    from plaudit.models.features import Extractor, FeatureCache

__all__ = ["is_preference", "read_pairs"]


def is_preference(example: Example) -> bool:
    """Two different texts, of which one is preferred."""
    if len(example.responses) != 2 or example.labels[0] == example.labels[1] or example.input_ids is not None:
        return False
    first, second = map(_normal, example.responses)
    return bool(first and second and first != second)


def read_pairs(
    pairs: Sequence[Example],
    *,
    extractor: Extractor | None,
    cache: FeatureCache | None,
    progress: Callable[[int], None] | None,
) -> tuple[PairDesign, npt.NDArray[np.int64]]:
    """The design of N pairs, preferred side first, and (N,) numbers that are equal where prompt and both texts are.

    Args:
        pairs: each fulfils `is_preference`.
        extractor: gives features; None: there are none.
        cache: where they are kept; None: the user's.
        progress: called with the number of pairs whose features are ready since the last call.
    """
    from plaudit.evaluation.baselines import preferred_first, response_text

    places: dict[str, int] = {}
    prompts: list[Prompt] = []
    texts: list[Response] = []
    sides = np.empty((len(pairs), 2), dtype=np.int64)
    groups: dict[tuple[str, ...], int] = {}
    group = np.empty(len(pairs), dtype=np.int64)
    for row, example in enumerate(pairs):
        both = preferred_first(example)
        for side, response in enumerate(both):
            key = json.dumps([example.prompt, response], sort_keys=True, default=str)
            if key not in places:
                places[key] = len(texts)
                prompts.append(example.prompt)
                texts.append(response)
            sides[row, side] = places[key]
        same = (prompt_group(example.prompt), *sorted(map(_normal, both)))
        group[row] = groups.setdefault(same, len(groups))
    advance = _in_pairs(len(texts), len(pairs), progress)
    features = None
    if extractor is not None:
        from plaudit.models.features import FeatureCache

        features = (cache or FeatureCache()).features(extractor, prompts, texts, progress=advance)
    design = pair_design(
        [_question(prompt) for prompt in prompts],
        [response_text(text) for text in texts],
        features,
        sides[:, 0],
        sides[:, 1],
    )
    if features is None and progress is not None:
        progress(len(pairs))
    return design, group


def _normal(response: Response) -> str:
    from plaudit.evaluation.baselines import response_text

    return " ".join(response_text(response).casefold().split())


def _question(prompt: Prompt) -> str:
    """The text of a prompt; of a conversation, its last turn."""
    from plaudit.evaluation.baselines import response_text

    return "" if prompt is None else prompt if isinstance(prompt, str) else response_text(prompt[-1:])


def _in_pairs(items: int, pairs: int, progress: Callable[[int], None] | None) -> Callable[[int], None] | None:
    """Turns counts of texts into counts of pairs."""
    if progress is None:
        return None
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        before, done = done * pairs // items, done + count
        progress(done * pairs // items - before)

    return advance
