"""What the noise model reads of a pair: differences between features of the two responses.

Three blocks: the features of an extractor (embeddings, by default), words and word pairs, and the surface of a text
with a few cues of how it answers its prompt. Knows nothing of labels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

__all__ = ["PairDesign", "cues", "pair_design", "surface"]

Floats = npt.NDArray[np.float32]

EMBEDDED, SURFACE, WORDS = 15.0, 0.1, 5.0
"""Prior variance of a weight in each block, before the common scale that is chosen by evidence. The columns of the
first block have variance one, divided by their number; those of the surface have variance one; rows of words have
length one."""
BUCKETS = 2**18
MOST = 4.0
"""Standard deviations that a surface feature may be off its mean; beyond it is cut."""


@dataclass(frozen=True)
class PairDesign:
    """Differences first - second of N pairs: ``dense`` (N, D) and ``sparse`` (N, F), scaled by their prior."""

    dense: Floats
    sparse: csr_matrix[Any]

    def __len__(self) -> int:
        return len(self.dense)

    def rows(self, places: npt.NDArray[Any], scale: float = 1.0) -> PairDesign:
        """Some of the pairs, with all prior variances multiplied by ``scale``."""
        root = np.float32(np.sqrt(scale))
        return PairDesign(self.dense[places] * root, (self.sparse[places] * root).tocsr())


def pair_design(
    prompts: Sequence[str],
    texts: Sequence[str],
    features: npt.NDArray[np.float32] | None,
    first: npt.NDArray[np.int64],
    second: npt.NDArray[np.int64],
) -> PairDesign:
    """The design of N pairs out of M responses.

    Args:
        prompts: M prompts, empty where there is none.
        texts: M responses.
        features: (M, D) of an extractor; None leaves that block out.
        first, second: (N,) places of each pair's sides in ``texts``.
    """
    from sklearn.feature_extraction.text import HashingVectorizer

    seen = [[*surface(text), *cues(prompt, text)] for prompt, text in zip(prompts, texts, strict=True)]
    blocks = [np.sqrt(SURFACE) * np.clip(_standardised(np.array(seen, dtype=np.float32)), -MOST, MOST)]
    if features is not None:
        embedded = _standardised(np.asarray(features))
        blocks.append(np.sqrt(EMBEDDED / max(embedded.shape[1], 1)) * embedded)
    dense = np.hstack(blocks, dtype=np.float32)
    hashed = HashingVectorizer(ngram_range=(1, 2), n_features=BUCKETS, alternate_sign=False, dtype=np.float32)
    words = hashed.transform(list(texts))
    words = words[:, np.unique(words.indices)] * np.float32(np.sqrt(WORDS))
    return PairDesign(dense[first] - dense[second], (words[first] - words[second]).tocsr())


def _standardised(columns: Floats) -> Floats:
    """Columns with mean zero and variance one; constant ones are left out."""
    spread = columns.std(axis=0)
    varies = spread > 1e-8
    result: Floats = ((columns[:, varies] - columns[:, varies].mean(axis=0)) / spread[varies]).astype(np.float32)
    return result


_SENTENCE_END = re.compile(r"[.!?。！？]+(?:\s|$)")
_ITEM = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)


def surface(text: str) -> list[float]:
    """15 figures of form: lengths, sentence and word lengths, variety, shares of kinds of characters, markdown."""
    words = text.split()
    characters, count = max(len(text), 1), max(len(words), 1)
    return [
        float(np.log1p(len(text))),
        float(np.log1p(len(words))),
        len(text) / count,
        count / max(len(_SENTENCE_END.findall(text)), 1),
        len({word.casefold() for word in words}) / count,
        sum(map(str.isupper, text)) / characters,
        sum(map(str.isdigit, text)) / characters,
        (text.count("!") + text.count("?")) / characters,
        (text.count(",") + text.count(";") + text.count(":")) / count,
        text.count("\n") / characters,
        float(np.log1p(len(_ITEM.findall(text)))),
        float(text[:1].isupper()),
        float(text.rstrip()[-1:] in (".", "!", "?", '"', ")", "。")),
        text.count("**") / characters,
        float("```" in text),
    ]


_WORD, _NUMBER = re.compile(r"\w+"), re.compile(r"\d+")
_COMMON = frozenset(
    "the a an of to in and is are was were be been i you he she it we they this that these those for on with as at by "
    "from or not do does did what how why who which can could should would will my your his her its our their if so "
    "but".split()
)
_REFUSAL = re.compile(r"\b(?:i'?m sorry|i cannot|i can'?t|unable to|as an ai|i don'?t (?:know|have))\b")
_REASON = re.compile(r"\b(?:because|therefore|for example|such as|however|additionally|furthermore)\b")
_SELF = re.compile(r"\b(?:i|my|me)\b")


def cues(prompt: str, text: str) -> list[float]:
    """11 figures of how a text answers: words of the prompt taken up, new ones, repetition, refusing, giving reasons,
    echoing, asking back, numbers, paragraphs, speaking of itself. Words are English ones."""
    asked, said = ([word for word in _WORD.findall(part.casefold()) if word not in _COMMON] for part in (prompt, text))
    wanted, used, low = set(asked), set(said), text.casefold()
    runs = [tuple(said[place : place + 3]) for place in range(len(said) - 2)]
    return [
        len(wanted & used) / max(len(wanted), 1),
        len(wanted & used) / max(len(used), 1),
        float(np.log1p(len(used - wanted))),
        1 - len(set(runs)) / len(runs) if runs else 0.0,
        float(_REFUSAL.search(low) is not None),
        float(np.log1p(len(_REASON.findall(low)))),
        float(low[:30] == prompt.casefold()[:30]),
        float("?" in text[-60:]),
        float(np.log1p(len(_NUMBER.findall(text)))),
        float(np.log1p(text.count("\n\n"))),
        float(_SELF.search(low[:200]) is not None),
    ]
