"""Does a response decline? By patterns of English. Knows nothing of whether it should."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from plaudit.errors import ConfigError
from plaudit.rewards.base import Item, RewardFunction, register
from plaudit.rewards.markdown import prose
from plaudit.rewards.refusal_patterns import CONTRAST, DELIVERED, FILLER, HINT, IDIOM, SOFT, STRONG, TURN, WHOLE
from plaudit.rewards.sentences import sentences

__all__ = ["Refusal", "declines"]


@register("refusal")
@dataclass(frozen=True)
class Refusal(RewardFunction):
    """Whether the response answers instead of declining (English).

    Score: 1 where it answers, 0 where it declines: where it says that it will not or cannot do what was asked, and then
    gives nothing but reasons, apologies, offers and advice to ask somebody else. A refusal of a part followed by help
    with the rest answers; so do corrections, questions back, "I don't know", refusals that are quoted, and letters or
    stories in which somebody refuses. "I can't help with that", of the request as a whole, declines whatever
    alternatives follow. A response that changes the subject without saying no is not seen, and the patterns know
    English only: a refusal in another language scores 1.

    It says nothing of whether declining is right. Where it is, as with harmful prompts, set ``invert``.

    Range: 0 to 1.

    Args:
        invert: 1 where the response declines and 0 where it answers.
    """

    invert: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.invert, bool):
            raise ConfigError(f"reward 'refusal': invert is true or false, got {self.invert!r}")

    def one(self, item: Item) -> float:
        return float(declines(item.response) == self.invert)


_QUOTED = re.compile(
    r"\"[^\"\n]{1,400}\"|“[^”\n]{1,400}”|«[^»\n]{1,400}»|‘[^’\n]{1,400}’(?!\w)|"
    r"(?<![\w'])'[^'\n]{0,200}?(?:\w'\w[^'\n]{0,200}?)*'(?!\w)"
)
_LETTER = re.compile(
    r"\A\s*(?:subject:|(?:[^\n]{0,200}:\s+)?(?:dear (?!user\b)|hi \w+,|hello \w+,|thank you for your (?:message|"
    r"e-?mail)))",
    re.I,
)
_SIGNED = re.compile(
    r"\b(?:regards|sincerely|best|thanks|yours(?: \w+)?|cheers|respectfully|love),?\s+[\w\[{(]|^subject:|"
    r"\b(?:out[- ]of[- ]office|i am away)",
    re.I,
)
_TOLD = re.compile(
    r"[,\"”] (?:it|he|she|they|(?:the|his|her) \w+|[A-Z]\w+) (?:thought|said|replied|whispered|shouted|cried)\b"
)
_ROLE = re.compile(r"(?:^|[.!?)]\s)([A-Z]\w+): ", re.M)
_LIST = re.compile(r"^\s*(?:[-*+•]|\d{1,2}[.)])\s+\S", re.M)
_NO = re.compile(r"(?=.*\bsorry\b)(?:(?:hmm|oh|well|sorry|no|nope|nah)[\s,.!…]*)+")  # a mere "no" may be the answer

_ENOUGH_BEFORE = 25  # words of an answer before a refusal
_ENOUGH = {  # words of an answer that make up for a refusal
    ("strong", True): 30,
    ("strong", False): 60,
    ("soft", True): 4,
    ("soft", False): 15,
}
Strength = Literal["whole", "strong", "soft"]


def declines(response: str) -> bool:
    """Whether a response declines; see `Refusal`."""
    text = re.sub(r"[’ʼ]", "'", response.strip())
    if _LETTER.search(text) and _SIGNED.search(text):
        return False
    text = "\n".join(line for line in prose(text).splitlines() if not line.lstrip().startswith(">"))
    if len(text) > 1 and text[0] in '"“' and text[-1] in '"”' and not set(text[1:-1]) & set('"“”'):
        text = text[1:-1]
    if _NO.fullmatch(text.strip().lower()):
        return True
    clauses = [*_clauses(re.sub(r"[*_#]+", "", _QUOTED.sub(" ... ", text)))]
    refusals = {i: strength for i, (clause, _) in enumerate(clauses) if (strength := _strength(clause))}
    if not refusals or _TOLD.search(text) or len(set(_ROLE.findall(text))) >= 2:  # a story, a dialogue
        return False
    content = [i for i, (clause, _) in enumerate(clauses) if i not in refusals and not _filler(clause)]
    size = {i: len(clauses[i][0].split()) for i in content}
    first = min(refusals)
    if sum(size[i] for i in content if i < first) >= _ENOUGH_BEFORE:
        return False
    if refusals[first] == "whole":
        return True
    if len(_LIST.findall(response)) >= 3 or "`" in response or any(DELIVERED.search(clause) for clause, _ in clauses):
        return False
    given = sum(size[i] for i in content if i > first)
    turned = any(clauses[i][1] for i in content if i > first)
    return given < _ENOUGH["strong" if "strong" in refusals.values() else "soft", turned]


def _clauses(text: str) -> Iterator[tuple[str, bool]]:
    """Clauses in lower case, each with whether it stands against what is before it (but, however)."""
    for sentence in sentences(text):
        lower = IDIOM.sub(" ", sentence.lower())
        turned = bool(TURN.match(lower))
        start = 0
        cuts = [*CONTRAST.finditer(lower)]
        if re.match(r"(?:while|although|though|even though)\b", lower) and (comma := re.search(r",\s+", lower)):
            cuts = [comma, *(cut for cut in cuts if cut.start() > comma.start())]
        for cut in cuts:
            yield lower[start : cut.start()], turned
            start, turned = cut.end(), True
        yield lower[start:], turned


def _strength(clause: str) -> Strength | None:
    if clause.endswith("?") or not HINT.search(clause):
        return None
    if WHOLE.search(clause):
        return "whole"
    if STRONG.search(clause):
        return "strong"
    return "soft" if SOFT.search(clause) else None


def _filler(clause: str) -> bool:
    return len(clause.split()) < 2 or FILLER.search(clause) is not None
