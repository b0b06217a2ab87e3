"""Rows that came before: the same pair, the same pair the other way round, and nearly the same pair.

Works on numbers that stand for texts (keys and signatures), so that no text is kept.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from plaudit.curation.inspect.shingles import BANDS, ENTRIES, mix

__all__ = ["ALIKE", "earlier_equal", "earlier_opposite", "near_duplicates", "pair_keys"]

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

ALIKE = 0.8
"""Least resemblance of prompts and of both sides for rows to be near-duplicates."""
_CHUNK = 65_536


def pair_keys(prompt: U64, first: U64, second: U64, tie: npt.NDArray[np.bool_]) -> tuple[U64, U64]:
    """(N,) keys of each preference and of its opposite; a tie is its own opposite, whichever side comes first."""
    low, high = np.minimum(first, second), np.maximum(first, second)
    a, b = np.where(tie, low, first), np.where(tie, high, second)
    salt = mix(prompt + np.uint64(1)) ^ tie.astype(np.uint64)
    same = mix(mix(salt ^ a) ^ b)
    return same, np.where(tie, same, mix(mix(salt ^ b) ^ a))


def earlier_equal(keys: U64) -> I64:
    """(N,) the first row with the same key, -1 for that row itself."""
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    earliest = first[inverse]
    return np.where(earliest == np.arange(len(keys)), -1, earliest)


def earlier_opposite(same: U64, opposite: U64) -> I64:
    """(N,) the first row that says the opposite, -1 where there is none. Both rows of a contradiction have one."""
    if not len(same):
        return np.empty(0, dtype=np.int64)
    known, first = np.unique(same, return_index=True)
    place = np.minimum(np.searchsorted(known, opposite), len(known) - 1)
    found = (known[place] == opposite) & (same != opposite)
    return np.where(found, first[place], -1)


def near_duplicates(
    buckets: U64, signatures: npt.NDArray[np.uint16], same: U64, opposite: U64, *, alike: float = ALIKE
) -> tuple[I64, npt.NDArray[np.bool_]]:
    """Rows whose prompt and both sides resemble those of an earlier row, without equal or opposite rows.

    Args:
        buckets: (N, 12) keys of `band_keys`.
        signatures: (N, 3, 64) low 16 bits of the signatures of prompt, first and second side (Li & König 2010: few bits
            of each entry are enough to estimate resemblance).
        same, opposite: (N,) keys of `pair_keys`.
        alike: least resemblance, in [0, 1].

    Returns:
        (N,) the earlier row or -1, and (N,) whether it has the sides the other way round. In each bucket a row is
        compared with the first one and with the one before it, so time is linear in N.
    """
    count = len(same)
    partner = np.full(count, count, dtype=np.int64)
    swapped = np.zeros(count, dtype=np.bool_)
    for band in range(BANDS):
        order = np.argsort(buckets[:, band], kind="stable")
        keys = buckets[order, band]
        again = np.flatnonzero(keys[1:] == keys[:-1]) + 1
        new_run = np.concatenate([[True], keys[1:] != keys[:-1]]) if count else np.empty(0, dtype=np.bool_)
        run_start = np.maximum.accumulate(np.where(new_run, np.arange(count), 0))
        for other in (run_start[again], again - 1):
            _compare(order[again], order[other], signatures, same, opposite, alike, partner, swapped)
    return np.where(partner < count, partner, -1), swapped


def _compare(
    later: I64,
    earlier: I64,
    signatures: npt.NDArray[np.uint16],
    same: U64,
    opposite: U64,
    alike: float,
    partner: I64,
    swapped: npt.NDArray[np.bool_],
) -> None:
    """Notes in ``partner`` and ``swapped`` the candidates that are near enough."""
    worth = (same[later] != same[earlier]) & (same[later] != opposite[earlier]) & (earlier < partner[later])
    later, earlier = later[worth], earlier[worth]
    for start in range(0, len(later), _CHUNK):
        i, j = later[start : start + _CHUNK], earlier[start : start + _CHUNK]
        mine, other = signatures[i], signatures[j]
        prompts = _resemblance(mine[:, 0], other[:, 0])
        straight = np.minimum(_resemblance(mine[:, 1], other[:, 1]), _resemblance(mine[:, 2], other[:, 2]))
        crossed = np.minimum(_resemblance(mine[:, 1], other[:, 2]), _resemblance(mine[:, 2], other[:, 1]))
        near = (prompts >= alike) & (np.maximum(straight, crossed) >= alike)
        i, j, turned = i[near], j[near], (crossed > straight)[near]
        np.minimum.at(partner, i, j)
        nearest = partner[i] == j
        swapped[i[nearest]] = turned[nearest]


def _resemblance(a: npt.NDArray[np.uint16], b: npt.NDArray[np.uint16]) -> npt.NDArray[np.float64]:
    shares: npt.NDArray[np.float64] = (a == b).sum(axis=1) / ENTRIES
    return shares
