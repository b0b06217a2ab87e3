"""Does the code in a response parse? Python by its own compiler, SQL by sqlglot, the others by tree-sitter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from plaudit.errors import ConfigError, RewardError
from plaudit.registry import suggest
from plaudit.rewards.base import Item, RewardFunction, register
from plaudit.rewards.code_find import code_in, share_that_parses
from plaudit.rewards.code_parse import LANGUAGES, parses

__all__ = ["CodeSyntax"]


@register("code_syntax")
@dataclass(frozen=True)
class CodeSyntax(RewardFunction):
    """Share of the response's code, in lines, that parses.
    """

    language: str | None = None
    missing: Literal["zero", "error"] = "zero"

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        if self.missing not in ("zero", "error"):
            raise ConfigError(f"reward 'code_syntax': missing is zero or error, got {self.missing!r}")
        if self.language is not None and self.language not in LANGUAGES:
            guess = suggest(str(self.language), list(LANGUAGES))
            raise ConfigError(
                f"reward 'code_syntax': unknown language {self.language!r}{guess}; known: {', '.join(LANGUAGES)}"
            )

    def one(self, item: Item) -> float:
        blocks = code_in(item.response, self.language, self.name)
        known = [block for block in blocks if block.language]
        if blocks and not known and any(block.tag for block in blocks):
            tags = ", ".join(sorted({block.tag for block in blocks if block.tag}))
            raise RewardError(self.name, f"cannot check code in {tags}", item.index)

        return share_that_parses(
            known, lambda block: parses(block.code, str(block.language), self.name), self.name, self.missing, item.index
        )
