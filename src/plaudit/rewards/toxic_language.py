"""Insults, curses, hate and threats in a text, by wording. Knows nothing of rewards."""

from __future__ import annotations

import functools
import itertools
import re

from plaudit.rewards.sentences import sentences
from plaudit.rewards.toxic_words import GROUPS, OBFUSCATED, SPEECH
from plaudit.rewards.wording import QUOTE, alternatives, plain

__all__ = ["toxicity_of"]

_REFUSES = re.compile(
    r"\b(?:i|we)(?:'m| am|'d| would| will|'ll| do| can| must)? ?"
    r"(?:can't|cannot|can not|won't|not able|unable|don't|not|never|refuse|decline|rather not|couldn't|wouldn't)"
    r"(?: \w+){0,2} "
    + alternatives(
        """
            help; assist; write; say; call; generate; produce; create; tell; use; support; provide; encourage; insult;
            engage; think; believe; want; hurt; threaten; make; do; give(?! an? (?:shit|fuck|damn|toss)); fulfill?;
            share; explain; be part; comply; answer;
            offer; discuss; promote; suggest; continue; teach; participate; condone; recommend
        """
    )
    + r"\b"
)
_REPORTS = re.compile(
    r"\b"
    + alternatives(
        r"""
            hate speech; offensive; hurtful; demeaning; derogatory; degrading; dehumani[sz]ing; insulting; unacceptable;
            bigot\w*; (?:never|not) (?:acceptable|okay|ok|appropriate|right|cool|funny|true); inappropriate;
            prejudiced?;
            discriminat\w+; racis[tm]; sexis[tm]; anti-?semitic; \w+phobi[ac]\w*; misogyn\w+; stereotypes?; conspiracy;
            (?:is|are|was|as|of) an? (?:\w+ ){0,4}(?:insult|slur|stereotype|myth|lie|fallacy|crime);
            (?:nobody|no one) (?:should|deserves|has the right); apologi[sz]e; bull(?:ying|ied);
            (?:call|called|calling|calls|labell?ed) (?:me|him|her|us|them|my \w+|someone|somebody|people|anyone|\
            others|\
            women|\w+ people); (?:saying|to say|says|said) (?:that|things like);
            for (?:shouting|yelling|saying|calling);
            the (?:word|term|phrase|claim|idea|slogan|notion|belief|stereotype|insult|slur|message)s?; words such as;
            (?:was|were|got|been) (?:suspended|banned|fired|arrested|condemned|punished|fined|sued|reported);
            reported;
            sorry that this happened; tell a teacher; originally meant; medical terms?; example of; nazis?; hitler;
            holocaust; genocide; slavery; slave trade; persecut\w+; war crimes; (?:in|since|until) (?:1[5-9]|20)\d\d;
            (?:if|when) (?:someone|somebody|anyone|an? \w+|he|she|they) (?:says|calls|calling|said)
        """
    )
)
_FEELS = re.compile(
    r"\b(?:feel|feels|feeling|felt|think|thinks|thinking|thought|believe) (?:that |like |as if )?"
    r"(?:you|i|i'm|(?:such )?an?)\b"
)
_OF_ONESELF = re.compile(r"\b(?:i|i'm|i am|i was|me|myself) (?:\w+ ){0,3}$")
_NEGATED = re.compile(r"\b(?:not|[a-z]+n't(?! believe| stand)|never|no|nor|without|nobody)(?: \w+){0,3} ?$")
_COUNTERED = re.compile(
    r"\b"
    + alternatives(
        r"""
            (?:do|does|did|should|must|would|could) ?(?:not|n't|never); no \w+(?: \w+)?; never; nobody; opposite of;
            can't (?:seriously )?believe; threatening to; telling; writing that; these people saying; hurts to see;
            luckily; not to
        """
    )
    + " [^.]{0,40}$"
)
_ASKED = re.compile(
    r"\b(?:isn't|aren't|is it not|don't you|don't people|do people (?:really )?not|why do people not)\b"
)
_OTHER_SENSE = re.compile(
    r"\b(?:dogs?|canines?|pupp(?:y|ies)|vet|bark\w*|breed\w*|labrador|litter|smok\w+|cigarettes?|packet|pan-fried|meatballs?|gravy|peas|dinner|file)\b"
)
_RECLAIMED = re.compile(r"\b(?:we|our|my friends|i'm an?|i am an?|as an?|proud|pride)\b")
_PRAISED = re.compile(
    r"\bfuck(?:ing|in) (?:amazing|awesome|brilliant|great|good|love\w*|fantastic|beautiful|hilarious|cool|perfect)"
)
_GROUP = re.compile(rf"(?<![\w-]){GROUPS}(?!\w)")
_THEY = re.compile(r"\b(?:they|them)\b(?!')|\bthey(?='re)")
_REPORTED, _SAID, _REFUSED = 0.15, 0.5, 0.1

_LEET = str.maketrans(
    {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i", "8": "b", "+": "t", "€": "e"}
)
_LEET_WORD = re.compile(r"[a-z]+[013457@$][a-z]+")
_DISGUISED = re.compile(r"(?<![\w$@])(?=\S{0,24}[a-z])(?=\S{0,24}[0-9@$!*|#+€_.-])[\w@$!*|#+€.-]{3,24}")
_SPACED = re.compile(r"(?<![\w'])(?:[a-z][ ._*-]+){2,}[a-z](?![\w'])")
_DRAWN = re.compile(r"\b\w*([a-z])\1{2,}\w*\b|\b\w*ooo\w*\b|\b(?:phuck|fuk|fck|btch|biatch)\w*\b")


def toxicity_of(text: str) -> float:
    """0 to 1: how sure the wording is that the text insults, threatens, hates or curses; its worst sentence counts."""
    worst, spoken_of = 0.0, False
    for sentence in sentences(_undisguised(plain(text).lower())):
        group = _GROUP.search(sentence)
        if spoken_of or group:  # in this sentence or the one before
            start = 0 if spoken_of or not group else group.end()
            sentence = sentence[:start] + _THEY.sub("<them>", sentence[start:])
        worst = max(worst, _sentence(sentence))
        spoken_of = group is not None
    return worst


def _sentence(sentence: str) -> float:
    outside = QUOTE.sub(" it ", sentence)
    quoted = QUOTE.findall(sentence) if len(outside.split()) > 3 else []
    if not quoted:
        outside = sentence
    share = 1.0
    if _REFUSES.search(outside):
        share = _REFUSED
    elif _REPORTS.search(outside):
        share = _REPORTED
    said = 0.0 if share < 1 else _SAID * max(map(_product, quoted), default=0.0)
    return 1 - (1 - share * _product(outside)) * (1 - said)


def _product(text: str) -> float:
    """The chance that at least one of the wordings in the text is toxic, as if they came independently."""
    calm = 1.0
    if text.rstrip().endswith("?"):
        text = _ASKED.sub("", text)
    of_group = _GROUP.search(text) is not None
    for kind, weight, pattern in _speech():
        found = pattern.search(text) if of_group or kind != "hate" else None
        if not found:
            continue
        before = text[: found.start()]
        if kind in ("insult", "threat", "hate") and (_NEGATED.search(before) or _COUNTERED.search(before)):
            continue
        if kind == "hate" and _COUNTERED.search(text[: found.end()].rpartition(" ")[0]) and " not worth" not in text:
            weight *= 0.5
        if kind in ("insult", "curse", "slur") and _OTHER_SENSE.search(text):
            weight *= 0.5
        if kind == "insult" and (_FEELS.search(text[: found.start() + 12]) or _OF_ONESELF.search(before)):
            weight *= 0.3
        if kind in ("curse", "slur", "insult") and _RECLAIMED.search(text):
            weight *= 0.5
        if kind == "curse" and _PRAISED.search(text):
            weight *= 0.6
        calm *= 1 - weight
    return 1 - calm


def _undisguised(text: str) -> str:
    """The text with f*ck, 1d10t, s t u p i d and stuuupid written out."""
    text = _SPACED.sub(lambda match: _written(re.sub(r"[^a-z]", "", match[0])), text)
    text = _DISGUISED.sub(lambda match: _revealed(match[0]), text)
    return _DRAWN.sub(lambda match: _word(match[0]) or match[0], text)


def _revealed(token: str) -> str:
    word = token.rstrip(".!?,-")
    end = token[len(word) :]
    if "*" in word or "#" in word:
        parts = re.split(r"[*#]+", word)
        shape = re.compile("[a-z]{1,3}".join(map(re.escape, parts)))
        return next((found + end for spelling, found in OBFUSCATED.items() if shape.fullmatch(spelling)), token)
    for one in ("i", "l"):
        if found := _word(re.sub(r"[_.|-]", "", word.replace("1", one).translate(_LEET))):
            return found + end
    return word.replace("1", "i").translate(_LEET) + end if _LEET_WORD.fullmatch(word) else token


def _written(letters: str) -> str:
    """Letters that stood apart, as a word; an article before it is none of them."""
    if not _word(letters) and letters[0] in "ai":
        return f"{letters[0]} {_word(letters[1:]) or letters[1:]}"
    return _word(letters) or letters


def _word(letters: str) -> str | None:
    """The listed word of that spelling, letters that repeat counted once."""
    return OBFUSCATED.get(letters) or _squeezed().get(_squeeze(letters))


@functools.cache
def _squeezed() -> dict[str, str]:
    return {_squeeze(spelling): word for spelling, word in OBFUSCATED.items()}


def _squeeze(letters: str) -> str:
    return "".join(letter for letter, _ in itertools.groupby(letters))


@functools.cache
def _speech() -> tuple[tuple[str, float, re.Pattern[str]], ...]:
    return tuple((kind, weight, re.compile(rf"(?<![\w-]){alternatives(text)}(?!\w)")) for kind, weight, text in SPEECH)
