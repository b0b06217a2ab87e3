"""Lengths in tokens, and what the limit of a model would do to each row.

The renderer (`plaudit.formatting`) is the judge. Rendering every row takes too long for a million of them, so tokens
are counted word by word (most words come again), the renderer says on the first rows by how much that count is off,
and rows near the limit are rendered themselves.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from plaudit.curation.inspect.texts import plain, shared_start
from plaudit.errors import RenderError

if TYPE_CHECKING:
    from plaudit.formatting import RenderItem
    from plaudit.types import Prompt, Response

__all__ = ["Measure", "TokenLengths"]


class Measure(NamedTuple):
    """What the limit does to a row: it is too long, a response is too long by itself, the sides become identical."""

    too_long: bool
    alone: bool
    identical: bool


_CACHED_WORDS, _LONGEST_WORD = 500_000, 40
_PROBES = 512
_NO_LIMIT = 2**31


class TokenLengths:
    """How many tokens texts have, and whether they fit.

    Args:
        model: whose tokenizer: ``embedded``, a folder or a Hub id. A reward model brings its rendering, too.
        max_length: the limit in tokens, special ones included; None: the reward model's own, else 256 for encoders and
            2,048 for decoders, or what the tokenizer says where that is less.

    Attributes:
        model, max_length: as used.
        special_tokens: of the tokenizer, as they are written.
        low, high: rendered length minus counted length, least and most, over the rows that `calibrate` saw.
        rendered: rows that were rendered to be sure.
    """

    def __init__(self, model: str = "embedded", max_length: int | None = None) -> None:
        from pathlib import Path

        from plaudit.formatting import Renderer, default_spec
        from plaudit.models.build import load_tokenizer, quiet_transformers, resolve_name
        from plaudit.models.contract import ScoringContract

        with quiet_transformers():
            tokenizer = load_tokenizer(model)
        folder = Path(resolve_name(model))
        contract = ScoringContract.load(folder) if folder.is_dir() else None
        if contract is not None:
            spec = contract.render if max_length is None else replace(contract.render, max_length=max_length)
        else:
            spec = default_spec(tokenizer, max_length or 2048)
            if max_length is None:
                spec = replace(spec, max_length=256 if spec.layout == "pair" else min(2048, tokenizer.model_max_length))
        self.model, self.max_length = model, spec.max_length
        self.special_tokens = tuple(token for token in tokenizer.all_special_tokens if len(token) > 2)
        self._tokenizer = tokenizer
        self._spec = spec
        self._fitting, self._whole = Renderer(tokenizer, spec), Renderer(tokenizer, replace(spec, max_length=_NO_LIMIT))
        self._cache: dict[str, int] = {}
        self.low = self.high = 0
        self.rendered = 0

    def count(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """(N,) tokens of each text, each word (and the spaces before it) on its own; no special tokens."""
        cache = self._cache
        if len(cache) > _CACHED_WORDS:
            cache.clear()
        words = [text.split() for text in texts]
        new = list(dict.fromkeys(word for word in itertools.chain.from_iterable(words) if word not in cache))
        once: dict[str, int] = {}
        for start in range(0, len(new), 4096):
            some = new[start : start + 4096]
            ids = self._tokenizer([f" {word}" for word in some], add_special_tokens=False, verbose=False)["input_ids"]
            for word, tokens in zip(some, ids, strict=True):
                (cache if len(word) <= _LONGEST_WORD else once)[word] = len(tokens)
        if once:
            return np.array([sum(cache[w] if w in cache else once[w] for w in of_text) for of_text in words])
        return np.array([sum(map(cache.__getitem__, of_text)) for of_text in words], dtype=np.int64)

    def exact(self, items: Iterable[RenderItem]) -> list[int]:
        """Tokens of whole rendered texts, special ones included; 0 where the renderer takes a text as empty."""
        lengths = []
        for item in items:
            try:
                lengths.append(len(self._whole.render(item).input_ids))
            except RenderError:
                lengths.append(0)
        self.rendered += len(lengths)
        return lengths

    def calibrate(self, items: Sequence[RenderItem], counted: Sequence[int]) -> None:
        """Compares counted with rendered lengths of up to 512 texts; sets ``low`` and ``high``."""
        pairs = [(whole, n) for whole, n in zip(self.exact(items[:_PROBES]), counted[:_PROBES], strict=True) if whole]
        gaps = [whole - n for whole, n in pairs] or [0]
        self.low, self.high = min(gaps), max(gaps)

    def measure(self, prompt: Prompt, sides: Sequence[Response], counts: Sequence[int], extras: Any) -> Measure:
        """What the limit does to a row.

        Args:
            prompt: of the row.
            sides: its responses.
            counts: counted tokens of the prompt, then of each side.
            extras: the example, for its tools and template arguments.
        """
        lengths = [counts[0] + count for count in counts[1:]]
        slack = 4 + max(lengths) // 50
        if max(lengths) + self.high + slack <= self.max_length:
            return Measure(False, False, False)
        items = _items(prompt, sides, extras)
        if max(lengths) + self.low - slack <= self.max_length and max(self.exact(items)) <= self.max_length:
            return Measure(False, False, False)
        longest = max(counts[1:]) + max(self.low, 0)
        if longest + self.high - self.low + slack <= self.max_length:
            return Measure(True, False, False)
        alone = longest - slack > self.max_length or self._is_cut(items)
        return Measure(True, alone, alone and self._become_identical(sides, items))

    def _is_cut(self, items: Sequence[RenderItem]) -> bool:
        """Whether a response does not fit even without its prompt."""
        try:
            rendered = self._fitting.render_batch(items, overlong="cut")
        except RenderError:
            return False
        return any(getattr(each, "response_cut", 0) or isinstance(each, RenderError) for each in rendered)

    def _become_identical(self, sides: Sequence[Response], items: Sequence[RenderItem]) -> bool:
        texts = [plain(side) for side in sides]
        if len(set(texts)) < 2:
            return False
        least = max((self.max_length - self.high) // 4, 1)  # a token is a quarter of a character at the very least
        if shared_start(texts[0], texts[-1], least) < least:
            return False
        try:
            rendered = self._fitting.render_batch(items, overlong="cut")
        except RenderError:
            return False
        ids = [tuple(getattr(each, "input_ids", ())) for each in rendered]
        return all(ids) and len(set(ids)) < len(ids)


def _items(prompt: Prompt, sides: Sequence[Response], extras: Any) -> list[RenderItem]:
    from plaudit.formatting import RenderItem

    return [RenderItem(prompt, side, extras.tools, extras.template_kwargs) for side in sides]
