"""Where the final answer of a solution stands, and which number it is. Knows nothing of scores."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Number", "final_answer", "lone_answer", "number"]

LONGEST = 400
"""Characters of an answer: what is longer is a text, not an answer."""


@dataclass(frozen=True)
class Number:
    """A number that stands in a text in figures.

    Attributes:
        value: the figures, exactly.
        factor: what a word or sign after them multiplies them by: 10^6 for "million", 1/100 for "%".
    """

    value: Fraction
    factor: Fraction = Fraction(1)

    def equals(self, other: Number, decimals: int) -> bool:
        """The same number: whole numbers exactly, others within 10^-``decimals``.

        Where one of them has a factor and the other none, the factor may also be the unit that was asked for: 20% is
        0.2 and 20, "7 dozen" is 84 and 7.
        """

        def near(x: Fraction, y: Fraction) -> bool:
            return x == y if x.denominator == y.denominator == 1 else abs(x - y) <= Fraction(1, 10**decimals)

        if near(self.value * self.factor, other.value * other.factor):
            return True
        return 1 in (self.factor, other.factor) and near(self.value, other.value)


_SPACE = "\u00a0\u202f\u2009"  # as thousands separators; an ordinary space may stand between two numbers
_CURRENCY = r"\\?[$€£¥₹₩₽฿]|(?:US|C|A|NZ)\$|(?:USD|EUR|GBP|INR|Rs\.?)(?=[\s\d])"
_DIGITS = (
    rf"\d{{1,3}}(?:[,'{_SPACE}]\d{{3}})+(?![\d,]\d)(?:\.\d+)?"  # 1,234,567.89
    r"|\d{1,3}(?:\.\d{3})+,\d+"  # 1.234.567,89
    r"|\d+,\d+(?!,?\d)"  # 3,14
    r"|(?:\d++(?:\.\d++)?|\.\d++)(?:[eE][-+]?\d{1,3}(?!\w))?"  # 42, 3.14, .5, 1e-3
)
_FIGURES = (
    rf"(?P<sign>[-+]?)\s?(?:{_CURRENCY})?\s?(?P<sign2>-?)"
    rf"(?:(?P<whole>\d+)(?:\s+|\s*-\s*(?=\d+/))(?P<part>\d+)\s*/\s*(?P<of>\d+)"  # 1 1/2
    rf"|(?P<above>{_DIGITS})\s*/\s*(?P<below>{_DIGITS})"  # 3/4
    rf"|(?P<digits>{_DIGITS})\.?(?:\s*(?:\*|×|x|·)\s*10\s*\^\s*\{{?(?P<power>[-+]?\d{{1,3}})\}}?)?)"
)
_PERCENT = r"\s*(?P<percent>\\?%|percent\b|per cent\b|pct\b|Prozent\b)"
_SCALE = r"\s*(?P<scale>hundred|thousand|million|billion|trillion|dozen)s?\b"
_SCALES = {"hundred": 100, "dozen": 12, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_UNIT = (  # words, and the single letters that are units
    r"(?:\s*(?!(?:and|or|plus|minus|times|to|not)\b)(?:[€£¥₹₩₽฿°%]|°?[CFK]\b|(?:[mglshLWVNJAΩ]|[^\W\d_]{2,})(?:\^?[23²³])?(?:\s*[/·*-]\s*(?:[mglsh]\b|[^\W\d_]{2,})"
    r"(?:\^?[23²³])?)*\.?))"
)
_ALONE = re.compile(rf"{_FIGURES}(?:{_SCALE})?(?:{_PERCENT})?(?:{_UNIT}(?:\s+{_UNIT}){{0,5}})?\s*", re.I)
_WITHIN = re.compile(rf"(?<![\w^.])(?<!\d,){_FIGURES}(?:{_SCALE})?(?:{_PERCENT})?", re.I)

_TIDY = (
    (re.compile(r"[\u2212\u2012\u2013]"), "-"),
    (re.compile(r"\u2044"), "/"),
    (re.compile(r"[\uff01-\uff5e]"), lambda m: chr(ord(m[0]) - 0xFEE0)),  # full-width forms
    (re.compile(r"([\u00bc-\u00be])"), lambda m: {"¼": " 1/4", "½": " 1/2", "¾": " 3/4"}[m[0]]),
)
_LATEX = (
    (re.compile(r"\\(?:left|right|displaystyle|,|;|!|:|quad|qquad)(?![a-zA-Z])|~"), ""),
    (re.compile(r"\{,\}"), ","),
    (re.compile(r"\\[dtc]frac"), r"\\frac"),
    (re.compile(r"(?<=\d)\s*\\frac\s*\{(\d+)\}\s*\{(\d+)\}"), r" \1/\2"),
    (re.compile(r"\\frac\s*\{(-?[\d.]+)\}\s*\{([\d.]+)\}"), r"\1/\2"),
    (re.compile(r"\\times|\\cdot"), "×"),
    (re.compile(r"\^\{?\\circ\}?|\\degree"), "°"),
    (re.compile(r"\\(?:text|mathrm|textbf|mathbf|mbox)\s*\{([^{}]*)\}"), r" \1 "),
)


def _tidy(text: str) -> str:
    for pattern, by in _TIDY:
        text = pattern.sub(by, text)
    return text


def number(text: str) -> Number | None:
    """The number that a text is, with its currency, unit and the marks of latex around it; None where it is more or
    something else.

    "$1,234.50", "12 apples", "-3/4", "1 1/2", "20 %", "2.5 million", "3 × 10^5", "\\frac{1}{2}", "90^\\circ". Units are
    read over: they are neither compared nor converted.
    """
    if len(text) > LONGEST:
        return None
    text = _tidy(text).strip().strip("*_`").strip()
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
            text = text[len(opening) : -len(closing)]
            break
    for pattern, by in _LATEX:
        text = pattern.sub(by, text)
    match = _ALONE.fullmatch(text.strip().rstrip(".,;:!"))
    return _value(match) if match else None


def _value(match: re.Match[str]) -> Number | None:
    if len(match[0]) > LONGEST:
        return None
    if match["whole"]:
        parts = (Fraction(match["whole"]), Fraction(match["part"]), Fraction(match["of"]))
        value = parts[0] + parts[1] / parts[2] if parts[2] else None
    elif match["above"]:
        below = _plain(match["below"])
        value = _plain(match["above"]) / below if below else None
    else:
        value = _plain(match["digits"]) * Fraction(10) ** int(match["power"] or 0)
    if value is None:  # a division by zero is no number
        return None
    if "-" in (match["sign"], match["sign2"]):
        value = -value
    factor = Fraction(_SCALES[match["scale"].lower()] if match["scale"] else 1)
    return Number(value, factor / 100 if match["percent"] else factor)


def _plain(digits: str) -> Fraction:
    """Figures with separators: a comma before exactly three figures separates thousands, any other decimals."""
    if re.fullmatch(rf"\d{{1,3}}(?:[,'{_SPACE}]\d{{3}})+(?:\.\d+)?", digits):
        return Fraction(re.sub(rf"[,'{_SPACE}]", "", digits))
    if "," in digits:
        return Fraction(digits.replace(".", "").replace(",", "."))
    return Fraction(digits)


_HASHES = re.compile(r"^[ \t]*####[ \t]*(?P<rest>[^\n]+)$", re.M)
_LINE_A = re.compile(r"^[ \t*_]*A(?:ns)?\s*[:：][ \t*_]*(?P<rest>[^\n]+)$", re.M)
_PHRASE = re.compile(
    r"(?:\b(?:answers?|Antwort|réponse|respuesta|risposta|resposta|ответ)\b|答案|答え|정답)"
    r"(?:\s+(?:to|of|for|in)\s[^.:\n]{1,80}?)?[\s*_]*"
    r"(?:\b(?:is|are|was|equals|ist|est|es|è|é)\b(?:\s+(?:therefore|thus|then|simply)\b)?|[是为は:：=])"
    r"[\s*_:：=]*",
    re.I,
)
_BOXED = re.compile(r"\\f?box(?:ed)?\s*\{")
_DISPLAY = re.compile(
    r"\\\[(.{1,400}?)\\\]|\$\$(.{1,400}?)\$\$|\\\((.{1,400}?)\\\)|(?<![\\\d])\$(?!\s)([^$\n]{1,400}?)(?<!\s)\$(?!\d)",
    re.S,
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[。！？]|\n")
_MORE = re.compile(r"\s*(?:,|;|\bor\b|\band\b|\bto\b|/)\s*(?:(?:and|or)\s+)?(?:\$\s?)?[-\d]", re.I)
_SUM = re.compile(r"(?<!\d)\d[\d\s.,$%()*/×÷+-]{0,200}=(?=\s?[-$\d])(?:[\d\s.,$%()*/×÷+-]{0,200}=){0,9}")
_LABEL = re.compile(r"^\s*(?:[#*]*\s*(?:step|schritt|part)\s+)?\(?\d+[.):](?=\s)", re.I | re.M)
_FUNCTIONS = frozenset("sqrt sin cos tan log ln exp max min pi mod gcd lcm arcsin arccos arctan inf infinity".split())


def final_answer(text: str, *, marked: bool = False) -> str | None:
    """The final answer of a solution as it is written; None where there is none.

    Marks, of which the last that is followed by something mathematical counts: a line "#### 42" (GSM8K), a line
    "A: 42", \\boxed{42}, "the answer is 42" and "answer: 42" (in English and some other languages). Without a mark, the
    whole text where it is nothing but an answer, or its last number or latex formula (numbers of list items and steps
    do not count; of a line with a sum, what the sum comes to), unless ``marked``.
    """
    for candidate in _marks(_tidy(text)):
        answer = _core(candidate)
        if answer is not None:
            return answer
    if marked:
        return None
    return (lone_answer(text) if "=" not in text else None) or _last(_tidy(text))


def lone_answer(text: str) -> str | None:
    """A text that is nothing but an answer: a number, a formula; None where it has words of a language."""
    text = _tidy(text).strip()
    return text if number(text) is not None or _mathematical(text) else None


def _marks(text: str) -> Iterator[str]:
    """What follows each mark, last mark first."""
    found: list[tuple[int, str]] = []
    last_line = len(text.rstrip()) - len(text.rstrip().rpartition("\n")[2])
    for match in _HASHES.finditer(text):
        if match.start() >= last_line or number(match["rest"]) is not None:  # elsewhere it may be a heading
            found.append((match.start(), match["rest"]))
    found += [(match.start(), match["rest"]) for match in _LINE_A.finditer(text)]
    for match in _BOXED.finditer(text):
        inside = _braces(text, match.end())
        if inside is not None:
            found.append((match.start(), f"\\boxed{{{inside}}}"))
    found += [(match.start(), text[match.end() : match.end() + 2 * LONGEST]) for match in _PHRASE.finditer(text)]
    for _, rest in sorted(found, key=lambda pair: pair[0], reverse=True)[:20]:
        yield rest.lstrip()


def _braces(text: str, start: int) -> str | None:
    depth = 1
    for end in range(start, min(len(text), start + LONGEST)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[start:end]
    return None


def _core(rest: str) -> str | None:
    """The answer at the start of what follows a mark."""
    boxed = _BOXED.match(rest)
    if boxed:
        return _braces(rest, boxed.end()) or None
    formula = _DISPLAY.match(rest)
    if not formula:
        rest = rest[: _end(rest)]
        formula = _DISPLAY.search(rest)
    inner = _BOXED.search(formula[0] if formula else rest)
    if inner:
        return _braces(formula[0] if formula else rest, inner.end()) or None
    if formula and number(rest) is None:
        content = next(group for group in formula.groups() if group)
        return content.strip() if len(content) <= LONGEST else None
    if re.match(r"not\b", rest, re.I):
        return None
    rest = rest.strip().rstrip(".,;:!").strip("*_`").strip()
    before, _, after = rest.rpartition("=")
    if before and _mathematical(before):
        rest = after.strip()
    if number(rest) is not None or _mathematical(rest):
        return rest
    first, sum_ = _WITHIN.search(rest), _SUM.search(rest)
    if first and sum_ and sum_.start() < first.end():  # "the sum 3 + 4 = 7 apples"
        first = _WITHIN.search(rest, sum_.end())
    if first is None or _value(first) is None:
        return None
    more = _MORE.match(rest, first.end())
    while more:  # several answers are read as several, not as the first of them
        following = _WITHIN.match(rest, more.end() - 1)
        if following is None:
            break
        end = following.end()
        more = _MORE.match(rest, end)
        if not more:
            return rest[first.start() : end].strip() if end - first.start() <= LONGEST else None
    return first[0].strip()


def _end(rest: str) -> int:
    end = _SENTENCE_END.search(rest)
    return end.start() if end else len(rest)


def _mathematical(text: str) -> bool:
    """Has nothing that looks like a language: no word of three letters outside of latex commands and functions."""
    if not text or len(text) > LONGEST or not re.search(r"[\w∞]", text):
        return False
    plain = re.sub(r"\\(?:text|mathrm|mbox)\s*\{[^{}]*\}|\\[a-zA-Z]+", " ", text)
    words = {word.lower() for word in re.findall(r"[^\W\d_]{3,}", plain)} - _FUNCTIONS
    return not words and not re.search(r"[^\W\d_]{2}\s+[^\W\d_]{2}", plain)


def _last(text: str) -> str | None:
    """The last formula or number of a text, or what the last sum of that line comes to."""
    place, last = -1, ""
    for match in _DISPLAY.finditer(text):
        content = next(group for group in match.groups() if group).strip()
        if _mathematical(content):
            place, last = match.start(), content
    labels = {match.end() for match in _LABEL.finditer(text)}
    prose = _DISPLAY.sub(lambda match: " " * len(match[0]), text)
    for match in _WITHIN.finditer(prose):
        if match.start() > place and labels.isdisjoint(range(match.start() + 1, match.end() + 2)) and _value(match):
            place, last = match.start(), match[0].strip()
    for sum_ in _SUM.finditer(prose, prose.rfind("\n", 0, max(place, 0)) + 1):
        result = _WITHIN.search(prose, sum_.end())
        if result and sum_.end() < place and _value(result):  # 9 + 6 = 15 of the 24 litres
            last = result[0].strip()
    return last.rpartition("=")[2].strip() or None
