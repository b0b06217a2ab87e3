"""Cutting a text into sentences, in any script: prose, lists, headings, wrapped lines."""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["sentences"]

_CLOSING = "\"'”’»)\\]}*_`」』）》】"
_END = re.compile(
    rf"(?P<mark>[.!?…]+)(?P<closing>[{_CLOSING}]*)(?=\s|$)"  # followed by a space: judged by its surroundings
    rf"|[。！？｡।॥؟۔։።။។]+[{_CLOSING}]*"  # marks that end a sentence wherever they stand
)
_LIST_ITEM = re.compile(r"\s*(?:[-*+•–—]\s|#{1,6}\s|>\s|\|\s*|\(?(?:\d{1,3}|[A-Za-z]|[ivxIVX]{2,5})[.)]\s)")
_LABEL = re.compile(r"[\s*#>•\"'(+-]*(?:\d{1,3}|[A-Za-z]|[ivxIVX]{2,5})")
_INITIALS = re.compile(r"[^\W\d_](?:\.[^\W\d_])*")

_NEVER_LAST = frozenset(
    "mr mrs ms mx dr prof st gen col maj capt cpt lt sgt cmdr rev hon gov sen rep pres supt mt messrs mme mlle vs v "
    "viz e.g eg i.e ie cf eds approx ca resp incl excl est dept univ z.b d.h u.a bzw ggf evtl bspw str sr sra "
    "srta".split()
)
"""Abbreviations that something always follows: a name, an example."""

_SELDOM_LAST = frozenset("etc et.al al inc ltd co corp bros jr a.m p.m ph.d b.a m.a b.c a.d usw".split())
"""Abbreviations that end a sentence where a capital letter follows."""

_BEFORE_NUMBER = frozenset(
    "jan feb mar apr jun jul aug sep sept oct nov dec no nos nr art fig figs eq eqs ref refs sec ch chap vol vols p pp "
    "ed".split()
)
"""Abbreviations where a number follows, and words where none does."""

_OPENERS = frozenset(
    "the a an it its he she they we i you this that these those there here in on at for from with by as if when while "
    "after before since because but and or so yet however moreover also then thus therefore what who why how where "
    "now note let next first finally his her their our my your one some many most each every all no not another both "
    "such".split()
)
"""Words that begin sentences and not names: after an initial, only these make a new sentence."""


def sentences(text: str) -> list[str]:
    """The sentences of a text, in order, without the spaces around them; none is blank.

    A sentence ends at . ! ? … before a space, and at 。！？ । ؟ and their like anywhere, together with closing quotes
    and brackets; not after abbreviations (Dr., e.g., U.S.), initials and the numbers of list items. Lines are sentences
    of their own, apart from lines that go on in lower case after one that did not end.
    """
    return [sentence for line in _lines(text) for sentence in _cut(line)]


def _lines(text: str) -> Iterator[str]:
    """Lines, with wrapped ones joined."""
    held = ""
    for raw in text.splitlines():
        line = raw.strip()
        goes_on = held and line and line[0].islower() and not _LIST_ITEM.match(f"{line} ") and held[-1] not in ".!?:…"
        if goes_on:
            held = f"{held} {line}"
            continue
        if held:
            yield held
        held = line
    if held:
        yield held


def _cut(line: str) -> Iterator[str]:
    start = 0
    for end in _END.finditer(line):
        if end["mark"] and not _ends_here(line[start : end.start()], end, line[end.end() :].lstrip()):
            continue
        sentence = line[start : end.end()].strip()
        if sentence:
            yield sentence
        start = end.end()
    rest = line[start:].strip()
    if rest:
        yield rest


def _ends_here(before: str, end: re.Match[str], after: str) -> bool:
    if not after:
        return True
    mark, lower = end["mark"], after.lstrip("\"'“‘«([*_`")[:1].islower()
    if mark != ".":
        return not (lower and (end["closing"] or mark[0] in ".…"))  # "Stop!" he said; well... yes
    if _LABEL.fullmatch(before):
        return False
    if end["closing"] and lower:
        return False
    word = before.split()[-1].lstrip("\"'“‘«([*_`") if before and not before[-1].isspace() else ""
    small = word.lower()
    if small in _NEVER_LAST:
        return False
    if small in _SELDOM_LAST:
        return after[0].isupper() or after[0] in "\"'“‘«*_"
    if small in _BEFORE_NUMBER:
        return not (after[0].isdigit() or re.match(r"[A-Z]\b", after))
    if _INITIALS.fullmatch(word) and (len(word) > 1 or word.isupper()):
        opener = re.match(r"\W*(\w+)", after)
        return opener is not None and opener[1].lower() in _OPENERS and opener[1][0].isupper()
    return True
