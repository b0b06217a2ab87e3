"""Runs of words as numbers, and MinHash signatures of their sets, for many texts at a time in numpy.

The resemblance of two sets of shingles (their Jaccard coefficient) is the share of equal entries in their signatures,
up to its noise: Broder 1997, "On the resemblance and containment of documents". Texts whose resemblance is high fall
into a common bucket of some band with high probability, so candidates are found in time linear in the number of texts:
Leskovec, Rajaraman & Ullman, "Mining of Massive Datasets", section 3.4.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["BANDS", "ENTRIES", "LONGEST", "WIDTH", "band_keys", "mix", "shingles", "signatures"]

U64 = npt.NDArray[np.uint64]
U32 = npt.NDArray[np.uint32]

WIDTH = 3
"""Words of a shingle; a text with fewer words is one shingle."""
LONGEST = 100_000
"""Characters of a text that are read."""
ENTRIES, BANDS, ROWS = 64, 12, 5
"""Entries of a signature; bands and the entries of each: two texts with resemblance s share a bucket with probability
1 - (1 - s^5)^12, which is 0.99 at s = 0.8 and 0.31 at s = 0.5."""

_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_BASE_INVERSE = pow(_BASE, -1, 2**64)
_GENERATOR = np.random.default_rng(20_250_101)
_FACTORS = _GENERATOR.integers(0, 2**64, ENTRIES, dtype=np.uint64) | np.uint64(1)
_SHIFTS = _GENERATOR.integers(0, 2**64, ENTRIES, dtype=np.uint64)


def mix(values: U64) -> U64:
    """Spreads 64-bit numbers evenly: the finaliser of splitmix64 (Steele, Lea & Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


_tables: dict[int, U64] = {}


def _powers(base: int, count: int) -> U64:
    """base^0, base^1, … modulo 2^64; kept for the next call."""
    if base not in _tables or len(_tables[base]) < count:
        values = np.full(count + count // 2, base, dtype=np.uint64)
        values[0] = 1
        _tables[base] = np.multiply.accumulate(values)
    return _tables[base][:count]


def shingles(texts: Sequence[str], width: int = WIDTH) -> tuple[U64, npt.NDArray[np.int64]]:
    """Hashes of all runs of ``width`` words of each text.

    A run is hashed by the polynomial over its bytes modulo 2^64 (Karp & Rabin 1987), so that one pass over the text
    gives them all.

    Args:
        texts: N texts with single spaces between words; of each the first 100,000 characters are read.
        width: words of a run; a shorter text is one run.

    Returns:
        (M,) hashes, text after text, and (N + 1,) where those of each text start.
    """
    pieces = [text[:LONGEST].encode("utf-8", "surrogatepass") + b" " for text in texts]
    data = np.frombuffer(b"".join(pieces), dtype=np.uint8)
    ends = np.flatnonzero(data == 32)  # each word ends in a space
    word_starts = np.concatenate([[0], ends[:-1] + 1])
    words = np.fromiter((piece.count(b" ") for piece in pieces), dtype=np.int64, count=len(pieces))
    runs = np.maximum(words - width + 1, 1)
    starts = np.concatenate([[0], np.cumsum(runs)])
    first_word = np.concatenate([[0], np.cumsum(words)[:-1]])
    start = np.repeat(first_word - starts[:-1], runs) + np.arange(starts[-1])
    end = start + np.repeat(np.minimum(words, width), runs) - 1
    prefix = np.zeros(len(data) + 1, dtype=np.uint64)
    np.cumsum((data.astype(np.uint64) + np.uint64(1)) * _powers(_BASE, len(data)), out=prefix[1:])
    low, high = word_starts[start], ends[end]
    return mix((prefix[high] - prefix[low]) * _powers(_BASE_INVERSE, len(data))[low]), starts


def signatures(hashes: U64, starts: npt.NDArray[np.int64]) -> U32:
    """(N, 64) MinHash signatures: the least values of 64 hash functions over the shingles of each text.

    The functions are (a x + b mod 2^64) >> 32 with random odd a (multiply-shift, Dietzfelbinger et al. 1997).
    """
    result = np.empty((len(starts) - 1, ENTRIES), dtype=np.uint32)
    for entry in range(ENTRIES):
        values = ((hashes * _FACTORS[entry] + _SHIFTS[entry]) >> np.uint64(32)).astype(np.uint32)
        result[:, entry] = np.minimum.reduceat(values, starts[:-1])
    return result


def band_keys(sides: U32, prompts: U32) -> U64:
    """(N, 12) keys of the buckets: five entries of the sides' signature and one of the prompt's in each.

    The entry of the prompt keeps rows apart whose replies are the same little text under many prompts.
    """
    keys = np.empty((len(sides), BANDS), dtype=np.uint64)
    for band in range(BANDS):
        key = mix(prompts[:, band].astype(np.uint64) + np.uint64(band + 1))
        for entry in range(band * ROWS, band * ROWS + ROWS):
            key = mix(key ^ sides[:, entry].astype(np.uint64))
        keys[:, band] = key
    return keys
