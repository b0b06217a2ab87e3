"""How a response is written: repetition, readability, language. Knows nothing of what it says."""

from __future__ import annotations

import functools
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from plaudit.errors import ConfigError, RewardError
from plaudit.registry import suggest
from plaudit.rewards.base import Item, RewardFunction, need, register
from plaudit.rewards.length import words
from plaudit.rewards.markdown import prose
from plaudit.rewards.sentences import sentences

__all__ = ["LANGUAGES", "Language", "Readability", "Repetition", "syllables"]


@register("repetition")
@dataclass(frozen=True)
class Repetition(RewardFunction):
    """How little the response repeats itself: the share of its word sequences that are new.

    With the n-grams of the response's words, ``unique n-grams / all n-grams``: one minus seq-rep-n of Welleck et al.
    2020 (arXiv:1908.04319, section 6, "Repetition"). Words are compared without case and punctuation; a character of
    Chinese, Japanese or Thai is a word, and so is an emoji. A text of fewer than n words has no n-grams and scores 1.

    Range: above 0 (one sequence, over and over) to 1 (no sequence comes twice).

    Args:
        n: words of a sequence.
    """

    n: int = 4

    def __post_init__(self) -> None:
        if isinstance(self.n, bool) or not isinstance(self.n, int) or self.n < 1:
            raise ConfigError(f"reward 'repetition': n is a whole number of at least 1, got {self.n!r}")

    def one(self, item: Item) -> float:
        tokens = _tokens(item.response.casefold())
        grams = [tuple(tokens[i : i + self.n]) for i in range(len(tokens) - self.n + 1)]
        return len(set(grams)) / len(grams) if grams else 1.0


def _tokens(text: str) -> list[str]:
    """Words and emoji, without punctuation."""
    return words(_EMOJI.sub(lambda found: f" x{ord(found[0])} ", text))


_EMOJI = re.compile("[\u2190-\u21ff\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff]")


@register("readability")
@dataclass(frozen=True)
class Readability(RewardFunction):
    """How easy the response is to read, in English (Flesch).

    With W words, S sentences and Y syllables, the reading ease is ``206.835 - 1.015 W/S - 84.6 Y/W`` (Flesch 1948): 100
    is very easy, 0 very hard. The score is a hundredth of it, cut to 0 and 1.

    With a target, the grade ``0.39 W/S + 11.8 Y/W - 15.59`` (Kincaid et al. 1975), in school years of the US, is
    compared with it: ``1 / (1 + |grade - target| / 3)``, so that a text three years too hard or too easy scores 0.5.

    English only: the constants and the syllables of other languages differ. Code and the targets of links are left out,
    and so are numbers. Lines of a list are sentences. It measures the length of words and sentences and nothing else.

    Range: 0 to 1.

    Args:
        target_grade: the wanted school year; None prefers easy texts.
        missing: what a response gets that is not mostly words in Latin letters: "zero", or an "error".
    """

    target_grade: float | None = None
    missing: Literal["zero", "error"] = "zero"

    def __post_init__(self) -> None:
        if self.missing not in ("zero", "error"):
            raise ConfigError(f"reward 'readability': missing is zero or error, got {self.missing!r}")
        grade = self.target_grade
        if grade is not None and (
            isinstance(grade, bool) or not isinstance(grade, (int, float)) or not 0 <= grade <= 30
        ):
            raise ConfigError(f"reward 'readability': target_grade is a school year, 0 to 30, got {grade!r}")

    def one(self, item: Item) -> float:
        found = _counts(prose(item.response))
        if found is None:
            if self.missing == "error":
                raise RewardError(self.name, "the response has no English text; leave it out", item.index)
            return 0.0
        per_sentence, per_word = found
        if self.target_grade is None:
            return min(max((206.835 - 1.015 * per_sentence - 84.6 * per_word) / 100, 0.0), 1.0)
        grade = 0.39 * per_sentence + 11.8 * per_word - 15.59
        return 1 / (1 + abs(grade - self.target_grade) / 3)


_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f]+(?:['\u2019\u2010-][A-Za-z\u00c0-\u024f]+)*")


def _counts(text: str) -> tuple[float, float] | None:
    """Words per sentence and syllables per word; None where less than half of the letters are Latin."""
    found = [count for count in ([*map(syllables, _LATIN_WORD.findall(part))] for part in sentences(text)) if count]
    letters = sum(map(str.isalpha, text))
    latin = sum(len(word) for word in re.findall(r"[A-Za-z\u00c0-\u024f]+", text))
    if not found or 2 * latin < letters:
        return None
    total = sum(map(len, found))
    return total / len(found), sum(map(sum, found)) / total


_VOWELS = re.compile("[aeiouyàáâãäåèéêëìíîïòóôõöøùúûüýÿ]+")
_AFTER = "s|ly|ment|ments|ful|fully|less|ness|some|times|thing|body|where|work|ball|fore"
_SILENT = re.compile(  # an e that is written and not spoken
    rf"(?<=[^aeiouyl])e(?=(?:{_AFTER})?$)(?<![sxzcg]e(?=s$))(?<![cs]he(?=s$))"  # not in boxes, places, dishes
    rf"|(?<=[aeiouylr]l)e(?=(?:{_AFTER})?$)"  # not in table
    r"|(?<![td])(?<![^aeiouylr]l)e(?=d$)"  # not in wanted, handled
    r"|(?<=[nao]g)ue$"  # tongue, league; not in argue
)
_APART = re.compile(  # the first of two vowels in a row that are two syllables; a spoken m
    r"(?<![cstgx])(?<!n(?=ion))(?<![aeil]l(?=ia[nr]|ion))i(?=[ao](?!u))"  # media, lion; not in nation, onion, Italian
    r"|(?<=[cst])i(?=et|ol|as|ate|ati)|(?<=[rnvd])i(?=ou)|i(?=u[ms])|(?<=qu|sc)i(?=e)"  # society, various, quiet
    r"|(?<=[bdfhklmprvwx])i(?=e(?:r|st|ty|nts?|nce?s?)$)"  # happier, variety, experience; not in ancient, patient
    r"|(?<![qg])u(?=[ao])|u(?=i(?:ng|ty|ne))|(?<=[fr])u(?=id|e[ln])|(?<=fl)u(?=e)"  # usual, annuity, fluid, cruel
    r"|e(?=o(?![pu]))|e(?=u[ms])|(?<=id|ar)e(?=a)"  # video, museum, idea
    r"|(?<=cr)e(?=at(?:[eio]|s?$))|(?<=th)e(?=at)|(?<=r)e(?=act|al[iu])"  # create, theatre, reaction
    r"|[aeoy](?=ing)|(?<=p)o(?=e)|a(?=o)|(?<=oy|ee)(?=e)|s(?=m$)|h(?=m$)"  # going, poet, chaos, employee, rhythm
)


@functools.lru_cache(maxsize=2**16)
def syllables(word: str) -> int:
    """Syllables of an English word by rules of its spelling, at least 1."""
    letters = "".join(c for c in unicodedata.normalize("NFC", word.lower()) if c.isalpha() or c == "-")
    parts = [_SILENT.sub("", part) if len(_VOWELS.findall(part)) > 1 else part for part in letters.split("-")]
    return max(sum(len(_VOWELS.findall(part)) + len(_APART.findall(part)) for part in parts), 1)


LANGUAGES = tuple(
    "af am ar az be bg bn bs ca cs cy da de el en es et eu fa fi fr ga gl gu he hi hr hu hy id is it ja ka kk km kn "
    "ko ku ky lo lt lv mk ml mn mr ms my ne nl no pa pl ps pt ro ru si sk sl so sq sr sv sw ta te th tl tr uk ur uz vi "
    "zh".split()
)
"""ISO 639-1 codes of the languages that `Language` tells apart."""


@register("language")
@dataclass(frozen=True)
class Language(RewardFunction):
    """Whether the response is in the wanted language, or in the prompt's.

    The probability of the language given the text, by the naive Bayes classifier of py3langid (Lui and Baldwin 2012,
    ACL system demonstrations) over `LANGUAGES`, with its log-likelihoods divided by ``max(1, sqrt(bytes) / 4)`` since
    they are too sure of longer texts. A text is cut into pieces of whole sentences, 100 bytes or more where there are
    so many, and the score is their mean weighted by size: of a text that changes its language halfway, about 0.5. Code
    and the targets of links are left out. Texts of one or two words are uncertain; so are near languages (Danish and
    Norwegian, Serbian and Croatian).

    Without ``language``, the score is the probability that response and prompt are in the same one,
    ``sum_l P(l | prompt) P(l | response)``.

    Range: 0 to 1.

    Args:
        language: an ISO 639-1 code ("en", "zh"); None takes the prompt's language, and then every item needs a prompt.
        among: the languages that can occur; fewer make short texts certain. Default: all of `LANGUAGES`.
        missing: what a response without letters gets: "zero", or an "error".
    """

    language: str | None = None
    among: tuple[str, ...] = LANGUAGES
    missing: Literal["zero", "error"] = "zero"

    needs: ClassVar[frozenset[str]] = frozenset({"prompt"})

    def __post_init__(self) -> None:
        if self.missing not in ("zero", "error"):
            raise ConfigError(f"reward 'language': missing is zero or error, got {self.missing!r}")
        if not isinstance(self.among, (list, tuple)) or len(set(self.among)) < 2:
            raise ConfigError(f"reward 'language': among is a list of two or more codes, got {self.among!r}")
        object.__setattr__(self, "among", tuple(self.among))
        for code in [*self.among, *([] if self.language is None else [self.language])]:
            if code not in LANGUAGES:
                raise ConfigError(
                    f"reward 'language': unknown language {code!r}{suggest(str(code), list(LANGUAGES))}; known: "
                    + " ".join(LANGUAGES)
                )
        if self.language is not None:
            if self.language not in self.among:
                raise ConfigError(f"reward 'language': {self.language!r} is not in among: {' '.join(self.among)}")
            object.__setattr__(self, "needs", frozenset())

    def one(self, item: Item) -> float:
        given = _languages(item.response, self.among)
        if given is None:
            if self.missing == "error":
                raise RewardError(self.name, "the response has no words outside of code; leave it out", item.index)
            return 0.0
        if self.language is not None:
            return given[self.language]
        wanted = _languages(item.prompt or "", self.among)
        if wanted is None:
            raise RewardError(self.name, "the prompt has no words; leave it out, or name the language", item.index)
        return sum(share * wanted[code] for code, share in given.items())


_PIECE = 100  # bytes


def _languages(text: str, among: Sequence[str]) -> dict[str, float] | None:
    """The share of each language in a text; None without letters."""
    pieces, held = [], ""
    for sentence in sentences(prose(text)):
        held = f"{held} {sentence}" if held else sentence
        if len(held.encode(errors="replace")) >= _PIECE:
            pieces.append(held)
            held = ""
    if held and pieces:
        pieces[-1] = f"{pieces[-1]} {held}"
    elif held:
        pieces.append(held)
    shares, total = dict.fromkeys(among, 0.0), 0
    for piece in pieces:
        if not any(map(str.isalpha, piece)):
            continue
        scores = dict(_identifier().rank(piece))  # log P(text, language)
        top = max(scores[code] for code in among)
        temperature = max(1.0, math.sqrt(len(piece.encode(errors="replace"))) / 4)
        likelihoods = {code: math.exp((scores[code] - top) / temperature) for code in among}
        size, whole = len(piece), sum(likelihoods.values())
        total += size
        for code, value in likelihoods.items():
            shares[code] += size * value / whole
    return {code: share / total for code, share in shares.items()} if total else None


@functools.lru_cache(maxsize=1)
def _identifier() -> Any:
    langid = need("py3langid.langid", "language")
    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE)
