"""How far annotators agree: raw, Cohen's kappa, Krippendorff's alpha. Knows labels, not where they are from.

A unit is what was judged; its labels are by annotator, and an annotator may be missing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import TypeAlias

__all__ = ["Units", "cohen_kappa", "krippendorff_alpha", "raw_agreement", "shared_labels"]

Units: TypeAlias = Iterable[Mapping[str, Hashable]]
"""For each unit: annotator -> label."""


def raw_agreement(units: Units) -> float | None:
    """Of all pairs of judgements of one unit by two annotators, the share that are equal, in [0, 1]; None: no pair."""
    equal = pairs = 0
    for labels in units:
        pairs += len(labels) * (len(labels) - 1) // 2
        equal += sum(count * (count - 1) // 2 for count in Counter(labels.values()).values())
    return equal / pairs if pairs else None


def shared_labels(units: Units) -> dict[tuple[str, str], tuple[list[Hashable], list[Hashable]]]:
    """For every two annotators, in the order of their names, their labels on the units that both have judged."""
    shared: dict[tuple[str, str], tuple[list[Hashable], list[Hashable]]] = {}
    for labels in units:
        for first, second in combinations(sorted(labels), 2):
            ours, theirs = shared.setdefault((first, second), ([], []))
            ours.append(labels[first])
            theirs.append(labels[second])
    return dict(sorted(shared.items()))


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Agreement of two annotators beyond chance, in [-1, 1]: (p_o - p_e) / (1 - p_e).

    p_o is the share of units with equal labels, p_e what it would be by chance, from the shares of each annotator's
    labels (Cohen 1960, "A coefficient of agreement for nominal scales", eq. 1).

    Args:
        first: N labels.
        second: N labels of the same units.

    Returns:
        None where it is undefined: no unit, or both used one and the same label throughout.
    """
    count = len(first)
    observed = sum(a == b for a, b in zip(first, second, strict=True))
    ours, theirs = Counter(first), Counter(second)
    by_chance = sum(ours[label] * theirs[label] for label in ours)  # times count², as whole numbers
    if by_chance == count * count:  # also where there is no unit
        return None
    return (observed * count - by_chance) / (count * count - by_chance)


def krippendorff_alpha(units: Units) -> float | None:
    """Agreement of any number of annotators beyond chance, nominal labels, missing ones allowed; at most 1.

    alpha = 1 - (n - 1) * sum over c != k of o_ck / sum over c != k of n_c * n_k, where o is the coincidence matrix: a
    unit with m >= 2 labels adds 1 / (m - 1) for each ordered pair of them; n_c are its row sums and n their sum
    (Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C).

    Returns:
        None where it is undefined: no unit with two labels, or only one label in use.
    """
    totals: Counter[Hashable] = Counter()
    disagreement = 0.0
    for labels in units:
        size = len(labels)
        if size < 2:
            continue
        counts = Counter(labels.values())
        totals.update(counts)
        disagreement += sum(count * (size - count) for count in counts.values()) / (size - 1)
    n = sum(totals.values())
    expected = n * n - sum(count * count for count in totals.values())
    return 1.0 - (n - 1) * disagreement / expected if expected else None
