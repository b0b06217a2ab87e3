"""Length of a response against a target."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from plaudit.errors import ConfigError
from plaudit.rewards.base import Item, RewardFunction, register

__all__ = ["Length", "words"]


@register("length")
@dataclass(frozen=True)
class Length(RewardFunction):
    """How near the response's length is to a target or within a band.

    With n units and the band from ``low`` to ``high`` (a ``target`` is a band of one value): 1 inside of the band,
    ``n / low`` below it, ``high / n`` above it: half the wanted length and twice the wanted length both score 0.5.

    Range: above 0, to 1.

    Args:
        target: the wanted length; default 100 where no band is given.
        low, high: the band instead of a target; either may be left out.
        unit: "words" (runs of letters, digits and apostrophes; a character of Chinese, Japanese or Thai counts as one),
            "characters", or "tokens" of a tokenizer, without special ones.
        tokenizer: for tokens: a folder, a Hub id, or "embedded" (the default there).

    Raises:
        ModelError: no such tokenizer.
    """

    target: int | None = None
    low: int | None = None
    high: int | None = None
    unit: Literal["words", "characters", "tokens"] = "words"
    tokenizer: str | None = None

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.unit not in ("words", "characters", "tokens"):
            raise ConfigError(f"reward 'length': unit is words, characters or tokens, got {self.unit!r}")
        if self.tokenizer is not None and self.unit != "tokens":
            raise ConfigError(f"reward 'length': tokenizer has no effect with unit {self.unit!r}; leave it out")
        if self.target is not None and (self.low is not None or self.high is not None):
            raise ConfigError("reward 'length': give a target or a band (low, high), not both")
        for name in ("target", "low", "high"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise ConfigError(f"reward 'length': {name} is a whole number of at least 1, got {value!r}")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ConfigError(f"reward 'length': low {self.low} is above high {self.high}")

    def one(self, item: Item) -> float:
        length = max(self._length(item.response), 1)
        if self.low is None and self.high is None:
            low = high = self.target or 100
        else:
            low, high = self.low or 1, self.high or length
        return min(1.0, length / low, high / length)

    def _length(self, text: str) -> int:
        if self.unit == "tokens":
            return len(
                _tokenizer(self.tokenizer or "embedded")(text, add_special_tokens=False, verbose=False).input_ids
            )
        return len(words(text)) if self.unit == "words" else len(text)


@functools.cache
def _tokenizer(name: str) -> Any:
    from plaudit.models.build import load_tokenizer

    return load_tokenizer(name)


_WORD = re.compile(
    r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u0e00-\u0e7f]|[^\W_]+(?:['\u2019\u2010-][^\W_]+)*"
)


def words(text: str) -> list[str]:
    """The words of a text; of scripts without spaces, the characters."""
    return _WORD.findall(text)
