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
    """Share of the response's code, in lines, that parses in its language.

    The code stands in fenced blocks (any length of fence, with or without a tag, the last one may be left open), or is
    the response itself, with or without sentences around it. Each block counts by its lines that are not blank, as 1
    or 0: one error stops a program, and how much of it a parser can save says more about the parser. Blocks tagged as
    text or output do not count; untagged ones count where they look like code.

    Languages: python, javascript, typescript, java, c, cpp, csharp, go, rust, ruby, php, bash, json, html, css, sql,
    and the other names that fences give them (js, c++, sh, golang, ...). Python is what the running interpreter
    compiles, doctest sessions and the magics of notebooks included; JSON is RFC 8259; the scripts and styles in HTML
    have to parse too. Names and types are not looked up. A fragment is legal: a method without its class, statements
    without a function, an expression, "..." in the place of what was left out.

    Without a tag the language is told by signs of each (its keywords, its library's names); those whose signs weigh
    at least 0.6 of the heaviest's are tried, heaviest first. Prose without code is never valid code, though a parser
    for Ruby, Bash or HTML takes it. Untagged code in a language that is not among these may be taken for prose, or for
    a broken program in one that is.

    Range: 0 to 1.

    Args:
        language: the language asked for, one of the above. Blocks tagged with another do not count then, and untagged
            ones are read as this one where no block is tagged with it.
        missing: a response without code scores 0 ("zero": code was asked for) or is a RewardError ("error").
        unknown: a response whose only code is tagged as a language that cannot be checked, such as Haskell, is a
            RewardError ("error") or scores 0 ("zero"). Beside other code such blocks do not count.
    """

    language: str | None = None
    missing: Literal["zero", "error"] = "zero"
    unknown: Literal["zero", "error"] = "error"

    sample: ClassVar[str] = "code"

    def __post_init__(self) -> None:
        for option in ("missing", "unknown"):
            if getattr(self, option) not in ("zero", "error"):
                raise ConfigError(f"reward 'code_syntax': {option} is zero or error, got {getattr(self, option)!r}")
        if self.language is not None and self.language not in LANGUAGES:
            guess = suggest(str(self.language), list(LANGUAGES))
            raise ConfigError(
                f"reward 'code_syntax': unknown language {self.language!r}{guess}; known: {', '.join(LANGUAGES)}"
            )

    def one(self, item: Item) -> float:
        blocks = code_in(item.response, self.language, self.name)
        checked = [block for block in blocks if block.language is not None]
        if blocks and not checked and self.unknown == "error":
            tags = ", ".join(sorted({block.tag for block in blocks}))
            raise RewardError(
                self.name, f"cannot check code in {tags}; leave it out, or set unknown='zero' or a language", item.index
            )
        return share_that_parses(
            checked,
            lambda block: parses(block.code, str(block.language), self.name),
            self.name,
            self.missing,
            item.index,
        )
