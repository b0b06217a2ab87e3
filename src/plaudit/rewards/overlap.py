"""Overlap of words and word sequences with a reference: BLEU and ROUGE, equal to sacrebleu and rouge-score."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from plaudit.errors import ConfigError
from plaudit.rewards.base import Item, RewardFunction, need, register

__all__ = ["Bleu", "Rouge"]

Tokenizer = Literal[
    "13a", "intl", "zh", "char", "none", "ja-mecab", "ko-mecab", "spm", "flores101", "flores200", "spBLEU-1K"
]
Smoothing = Literal["exp", "floor", "add-k", "none"]
Variant = Literal["rouge1", "rouge2", "rougeL", "rougeLsum"]
Measure = Literal["f", "precision", "recall"]


@register("bleu")
@dataclass(frozen=True)
class Bleu(RewardFunction):
    """Precision of the response's word sequences against the reference, with a penalty for being shorter.

    Sentence BLEU (Papineni et al. 2002, section 2.3) as sacrebleu computes it with effective order, divided by 100:
    the geometric mean of the precisions of 1- to 4-grams, times ``exp(1 - r / c)`` where the response's c tokens are
    fewer than the reference's r. A text shorter than ``order`` tokens is judged by the n-grams that it has.

    Range: 0 (no token in common) to 1 (the same tokens).

    Args:
        tokenizer: how sacrebleu cuts words: "13a" (WMT's), "intl", "zh" for Chinese, "char", "none"; "ja-mecab" and
            "ko-mecab" need sacrebleu's extras; "spm", "flores101", "flores200" and "spBLEU-1K" load a model when
            first used.
        order: the longest n-gram that counts.
        smoothing: what a precision of zero becomes (Chen and Cherry 2014): "exp" (method 3), "floor" (1), "add-k" (2)
            or "none".
        smoothing_value: the value for "floor" (default 0.1) and "add-k" (default 1).
        lowercase: compares in lower case.
    """

    tokenizer: Tokenizer = "13a"
    order: int = 4
    smoothing: Smoothing = "exp"
    smoothing_value: float | None = None
    lowercase: bool = False

    needs: ClassVar[frozenset[str]] = frozenset({"reference"})

    def __post_init__(self) -> None:
        if self.tokenizer not in get_args(Tokenizer):
            known = ", ".join(get_args(Tokenizer))
            raise ConfigError(f"reward 'bleu': tokenizer is one of {known}, got {self.tokenizer!r}")
        if isinstance(self.order, bool) or not isinstance(self.order, int) or self.order < 1:
            raise ConfigError(f"reward 'bleu': order is a whole number of at least 1, got {self.order!r}")
        if self.smoothing not in get_args(Smoothing):
            known = ", ".join(get_args(Smoothing))
            raise ConfigError(f"reward 'bleu': smoothing is one of {known}, got {self.smoothing!r}")
        if self.smoothing_value is not None:
            if self.smoothing not in ("floor", "add-k"):
                raise ConfigError(f"reward 'bleu': smoothing_value has no effect with smoothing {self.smoothing!r}")
            # a floor above 1 would give a missing n-gram more than a full precision
            limit = 1.0 if self.smoothing == "floor" else float("inf")
            if isinstance(self.smoothing_value, bool) or not 0 < self.smoothing_value <= limit:
                raise ConfigError(
                    f"reward 'bleu': smoothing_value is above 0{', to 1' if limit == 1 else ''}, "
                    f"got {self.smoothing_value!r}"
                )

    def many(self, items: Sequence[Item]) -> list[float]:
        metric = _bleu(self)
        scores = (metric.sentence_score(item.response, [item.reference]).score for item in items)
        return [min(score / 100, 1.0) for score in scores]  # exp(log) may give 1 + 2e-16

    def one(self, item: Item) -> float:
        return self.many([item])[0]


@functools.lru_cache(maxsize=8)
def _bleu(options: Bleu) -> Any:
    metrics = need("sacrebleu.metrics", "bleu")
    try:
        return metrics.BLEU(
            lowercase=options.lowercase,
            tokenize=options.tokenizer,
            smooth_method=options.smoothing,
            smooth_value=options.smoothing_value,
            max_ngram_order=options.order,
            effective_order=True,
        )
    except (ImportError, RuntimeError, OSError) as error:  # a tokenizer whose own package or model is missing
        raise ConfigError(f"reward 'bleu': tokenizer {options.tokenizer!r} cannot be used: {error}") from error


@register("rouge")
@dataclass(frozen=True)
class Rouge(RewardFunction):
    """How much of the reference's words or word order the response has (ROUGE).

    ROUGE-1 and ROUGE-2 count 1- and 2-grams in common, ROUGE-L the longest common subsequence, ROUGE-Lsum the union of
    those of lines (Lin 2004, sections 2 and 3), as the library rouge-score computes them.

    The library keeps a-z and 0-9 alone, so a text in Cyrillic or Chinese would have no words. Here, letters and digits
    of other scripts are kept too, each character of a script without spaces as one word. On texts in Latin letters
    the scores are the library's, which cuts words at accented letters ("naïve" is "na", "ve").

    Range: 0 (no word in common) to 1 (the same words).

    Args:
        variant: "rouge1", "rouge2", "rougeL" or "rougeLsum" (lines of both texts are its sentences; 50 long replies a
            second).
        measure: "precision" (share of the response), "recall" (share of the reference) or "f", their harmonic mean.
        stemmer: compares English words by their stems (Porter's).
    """

    variant: Variant = "rougeL"
    measure: Measure = "f"
    stemmer: bool = False

    needs: ClassVar[frozenset[str]] = frozenset({"reference"})

    def __post_init__(self) -> None:
        for name, kind in (("variant", Variant), ("measure", Measure)):
            if getattr(self, name) not in get_args(kind):
                known = ", ".join(get_args(kind))
                raise ConfigError(f"reward 'rouge': {name} is one of {known}, got {getattr(self, name)!r}")

    def many(self, items: Sequence[Item]) -> list[float]:
        scorer = _rouge(self.variant, self.stemmer)
        attribute = "fmeasure" if self.measure == "f" else self.measure
        return [float(getattr(scorer(item.reference, item.response), attribute)) for item in items]

    def one(self, item: Item) -> float:
        return self.many([item])[0]


@functools.lru_cache(maxsize=8)
def _rouge(variant: str, stemmer: bool) -> Callable[[str | None, str], Any]:
    """(reference, response) -> the library's score with precision, recall and fmeasure."""
    tokenizer = _Words(stemmer)
    if variant != "rougeL":
        scorer = need("rouge_score.rouge_scorer", "rouge").RougeScorer([variant], tokenizer=tokenizer)
        return lambda reference, response: scorer.score(reference, response)[variant]
    scoring = need("rouge_score.scoring", "rouge")

    def rouge_l(reference: str | None, response: str) -> Any:  # the library's table of m * n cells, 50 times as fast
        wanted, given = tokenizer.tokenize(reference or ""), tokenizer.tokenize(response)
        common = longest_common_subsequence(wanted, given)
        precision, recall = common / max(len(given), 1), common / max(len(wanted), 1)
        return scoring.Score(precision, recall, scoring.fmeasure(precision, recall))

    return rouge_l


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Its length. Bit i of ``row`` is 0 where the row of the usual table grows at i (Hyyrö 2004, figure 2)."""
    places: dict[str, int] = {}
    for place, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << place
    full = row = (1 << len(a)) - 1
    for word in b:
        matches = row & places.get(word, 0)
        row = ((row + matches) | (row - matches)) & full
    return len(a) - row.bit_count()


class _Words:
    """rouge-score's tokenizer, with the words of other scripts. Lower case; runs of a-z and 0-9 are words; so are runs
    of letters, marks and digits that are neither Latin nor common to all scripts, and single characters where words
    are written without spaces."""

    PATTERN = (
        r"[a-z0-9]+"
        r"|[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*"
        r"|[[\p{L}\p{Nd}]--[\p{Latin}\p{Common}0-9]][[\p{L}\p{Nd}\p{M}]--[\p{Latin}\p{Common}0-9]]*"
    )

    def __init__(self, stemmer: bool) -> None:
        self._find = need("regex", "rouge").compile(self.PATTERN, need("regex", "rouge").V1).findall
        self._stem = need("nltk.stem.porter", "rouge").PorterStemmer().stem if stemmer else None
        self._stem = functools.lru_cache(maxsize=2**16)(self._stem) if self._stem else None

    def tokenize(self, text: str) -> list[str]:
        words: list[str] = self._find(text.lower())
        if self._stem is None:
            return words
        return [self._stem(word) if len(word) > 3 and word.isascii() else word for word in words]
