"""The form of a response: a pattern, a JSON schema, words that must or must not be there. Knows nothing of meaning."""

from __future__ import annotations

import functools
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from plaudit.errors import ConfigError, RewardError
from plaudit.rewards.base import Item, RewardFunction, need, register
from plaudit.rewards.markdown import fenced_blocks

__all__ = ["THINK_THEN_ANSWER", "Format", "JsonSchema", "Keywords"]

_INSIDE = r"(?:(?!</?(?:think|answer)>)[\s\S])*"
THINK_THEN_ANSWER = rf"<think>{_INSIDE}</think>\s*<answer>(?!\s*</answer>){_INSIDE}</answer>"
"""Reasoning in <think> tags, then an answer, not blank, in <answer> tags, each once (DeepSeek-AI 2025,
arXiv:2501.12948, table 1 and section 2.2.2)."""

_SECONDS = 5.0


@register("format")
@dataclass(frozen=True)
class Format(RewardFunction):
    """Whether the response has the form of a regular expression.

    Score: 1 where the pattern matches, 0 where it does not. White space around the response does not count.

    Range: 0 to 1.

    Args:
        pattern: a regular expression of the library regex, which has the syntax of Python's ``re`` and more. Default:
            reasoning in <think> tags, then an answer in <answer> tags, and nothing else.
        mode: "fullmatch" (the whole response has the form) or "search" (a part of it has).
        ignorecase: letters match in upper and lower case.
        dotall: a dot matches line breaks too.
        multiline: ^ and $ match at every line.

    A match that takes more than five seconds of processor time is an error, not a score: the pattern then backtracks
    without end on such a text and has to be written differently.
    """

    pattern: str = THINK_THEN_ANSWER
    mode: Literal["fullmatch", "search"] = "fullmatch"
    ignorecase: bool = False
    dotall: bool = False
    multiline: bool = False

    example: ClassVar[Mapping[str, Any] | None] = {"pattern": r"[A-Z].*[.!?]", "dotall": True}

    def __post_init__(self) -> None:
        if self.mode not in ("fullmatch", "search"):
            raise ConfigError(f"reward 'format': mode is fullmatch or search, got {self.mode!r}")
        if not isinstance(self.pattern, str) or not self.pattern:
            raise ConfigError(f"reward 'format': pattern is a regular expression, got {self.pattern!r}")
        for name in ("ignorecase", "dotall", "multiline"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"reward 'format': {name} is true or false, got {getattr(self, name)!r}")
        _pattern(self)

    def one(self, item: Item) -> float:
        match = getattr(_pattern(self), self.mode)
        try:
            return float(match(item.response.strip(), timeout=_SECONDS) is not None)
        except TimeoutError as error:
            raise RewardError(
                self.name,
                f"the pattern {self.pattern!r} needs more than {_SECONDS:g} seconds for this text of "
                f"{len(item.response)} characters; write it without nested repetition",
                item.index,
            ) from error


@functools.lru_cache(maxsize=64)
def _pattern(options: Format) -> Any:
    regex = need("regex", "format")
    flags = regex.V0
    for name in ("ignorecase", "dotall", "multiline"):
        if getattr(options, name):
            flags |= getattr(regex, name.upper())
    try:
        return regex.compile(options.pattern, flags)
    except regex.error as error:
        raise ConfigError(f"reward 'format': {options.pattern!r} is no regular expression: {error}") from error


@register("json_schema")
@dataclass(frozen=True)
class JsonSchema(RewardFunction):
    """Whether the response is valid JSON that keeps to a JSON Schema.

    Score: 1 or 0. What is judged is the last block fenced as ```json, else the last fenced block without a tag, else
    the response as a whole: an object in the middle of a sentence is no JSON. JSON is RFC 8259's: no comments, trailing
    commas, NaN or Infinity; a document nested deeper than Python can read scores 0.

    Range: 0 to 1.

    Args:
        schema: a JSON Schema as a mapping, of the draft that its ``$schema`` names, 2020-12 without one; ``format`` is
            an annotation, not a check, as that draft has it. References must lead into the schema itself: nothing is
            downloaded. None: any JSON is right.
        fences: false judges the response as a whole, so that a fenced block scores 0.
    """

    schema: dict[str, Any] | None = None
    fences: bool = True

    sample: ClassVar[str] = "json"

    def __post_init__(self) -> None:
        if not isinstance(self.fences, bool):
            raise ConfigError(f"reward 'json_schema': fences is true or false, got {self.fences!r}")
        if self.schema is None:
            return
        if not isinstance(self.schema, dict):
            raise ConfigError(f"reward 'json_schema': schema is a mapping, got {type(self.schema).__name__}")
        try:
            text = json.dumps(self.schema)
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(f"reward 'json_schema': the schema cannot be written as JSON: {error}") from error
        _validator(text)

    def many(self, items: Sequence[Item]) -> list[float]:
        validator = None if self.schema is None else _validator(json.dumps(self.schema))
        return [float(self._valid(item.response, validator)) for item in items]

    def one(self, item: Item) -> float:
        return self.many([item])[0]

    def _valid(self, response: str, validator: Any) -> bool:
        try:
            document = json.loads(self._part(response), parse_constant=_refuse)
            return validator is None or bool(validator.is_valid(document))
        except (ValueError, RecursionError):  # no JSON; a number of thousands of digits; nested too deep
            return False

    def _part(self, response: str) -> str:
        blocks = fenced_blocks(response) if self.fences else []
        for tag in ("json", ""):
            tagged = [content for name, content in blocks if name == tag]
            if tagged:
                return tagged[-1]
        return response


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


@functools.lru_cache(maxsize=64)
def _validator(schema: str) -> Any:
    """A validator for a schema, given as JSON."""
    jsonschema = need("jsonschema", "json_schema")
    referencing = need("referencing", "json_schema")
    registry = need("jsonschema_specifications", "json_schema").REGISTRY
    document = json.loads(schema)
    kind = jsonschema.validators.validator_for(document, default=None)
    if kind is None and "$schema" in document:
        raise ConfigError(f"reward 'json_schema': unknown $schema {document['$schema']!r}")
    kind = kind or jsonschema.Draft202012Validator
    try:
        kind.check_schema(document)
    except jsonschema.SchemaError as error:
        place = "/".join(map(str, error.absolute_path)) or "the top"
        raise ConfigError(f"reward 'json_schema': no valid schema at {place}: {error.message}") from error
    dialect = referencing.jsonschema.specification_with(kind.META_SCHEMA.get("$schema") or kind.META_SCHEMA["id"])
    resource = dialect.create_resource(document)
    try:
        _check_references(resource, registry.resolver_with_root(resource))
    except referencing.exceptions.Unresolvable as error:
        raise ConfigError(
            f"reward 'json_schema': the reference {error.ref!r} leads nowhere in the schema; put its target into $defs"
        ) from error
    return kind(document, registry=registry)


def _check_references(resource: Any, resolver: Any) -> None:
    contents = resource.contents
    if isinstance(contents, dict):
        for key in ("$ref", "$dynamicRef"):
            if isinstance(contents.get(key), str):
                resolver.lookup(contents[key])
    for part in resource.subresources():
        _check_references(part, resolver.in_subresource(part))


@register("keywords")
@dataclass(frozen=True)
class Keywords(RewardFunction):
    """Share of the required words that the response has; 0 if it has a forbidden one.

    With nothing required, 1 without forbidden words. Says whether words stand in the text, and nothing of what the text
    claims. Texts and words are compared in Unicode's form NFKC; white space in a phrase matches any white space.

    Range: 0 to 1.

    Args:
        required: words or phrases, each of the same weight.
        forbidden: words or phrases of which one is enough for the score 0.
        case_sensitive: tells upper from lower case.
        whole_words: a word does not count as a part of a longer one ("cat" in "category"). Scripts without spaces
            (Chinese, Japanese, Thai, Lao, Khmer, Burmese) have no such bounds, and a Korean word may have particles
            behind it. False takes any place in the text, which finds inflected forms by their stem.
    """

    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    case_sensitive: bool = False
    whole_words: bool = True

    example: ClassVar[Mapping[str, Any] | None] = {"required": ("you", "it"), "forbidden": ("asap",)}

    def __post_init__(self) -> None:
        for name in ("case_sensitive", "whole_words"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"reward 'keywords': {name} is true or false, got {getattr(self, name)!r}")
        for name in ("required", "forbidden"):
            words = getattr(self, name)
            if not isinstance(words, (list, tuple)) or not all(isinstance(w, str) and w.strip() for w in words):
                raise ConfigError(f"reward 'keywords': {name} is a list of words or phrases, got {words!r}")
            object.__setattr__(self, name, tuple(words))
        if not self.required and not self.forbidden:
            raise ConfigError("reward 'keywords': give required or forbidden words")
        required, forbidden = ([_fold(w, self.case_sensitive) for w in ws] for ws in (self.required, self.forbidden))
        for words in (required, forbidden):
            for word in words:
                if words.count(word) > 1:
                    raise ConfigError(f"reward 'keywords': {word!r} is listed twice")
                if words is required and word in forbidden:
                    raise ConfigError(f"reward 'keywords': {word!r} is both required and forbidden")

    def one(self, item: Item) -> float:
        text = _fold(item.response, self.case_sensitive)
        required, forbidden = _word_patterns(self)
        if any(pattern.search(text) for pattern in forbidden):
            return 0.0
        return sum(pattern.search(text) is not None for pattern in required) / len(required) if required else 1.0


_LETTER = (  # of words that spaces divide
    r"[[\w\p{M}]--[\p{Han}\p{Hiragana}\p{Katakana}\u30fc\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]]"
)


def _fold(text: str, case_sensitive: bool) -> str:
    text = unicodedata.normalize("NFKC", text).replace("\u2019", "'")
    if not case_sensitive:
        text = unicodedata.normalize("NFKC", text.casefold())
    return " ".join(text.split())


@functools.lru_cache(maxsize=64)
def _word_patterns(options: Keywords) -> tuple[list[Any], list[Any]]:
    regex = need("regex", "keywords")
    letter, hangul = regex.compile(_LETTER, regex.V1), regex.compile(r"\p{Hangul}")

    def compiled(word: str) -> Any:
        word = _fold(word, options.case_sensitive)
        pattern = regex.escape(word, literal_spaces=True)
        if options.whole_words:
            before = f"(?<!{_LETTER})" if letter.match(word[0]) else ""
            after = f"(?!{_LETTER})" if letter.match(word[-1]) and not hangul.match(word[-1]) else ""
            pattern = before + pattern + after
        return regex.compile(pattern, regex.V1)

    return [compiled(word) for word in options.required], [compiled(word) for word in options.forbidden]
