"""Agreement against the worked examples of the literature, and against scikit-learn."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from plaudit.curation.label.agreement import cohen_kappa, krippendorff_alpha, raw_agreement, shared_labels


def units_of(**observers: str) -> list[dict[str, str]]:
    """One text an observer, one character a unit; a dot is missing."""
    size = len(next(iter(observers.values())))
    return [{name: labels[u] for name, labels in observers.items() if labels[u] != "."} for u in range(size)]


def test_alpha_of_two_observers_and_binary_data_is_krippendorffs() -> None:
    # Krippendorff 2011, section A
    units = units_of(meg="0100000010", owen="1110010000")
    assert krippendorff_alpha(units) == pytest.approx(1 - 19 * 8 / (14 * 6 * 2))
    assert krippendorff_alpha(units) == pytest.approx(0.095, abs=5e-4)


def test_alpha_of_two_observers_and_nominal_data_is_krippendorffs() -> None:
    # Krippendorff 2011, section B
    units = units_of(ben="aabbdcccedda", gerry="babbbccceddd")
    assert krippendorff_alpha(units) == pytest.approx(0.692, abs=5e-4)


def test_alpha_of_four_observers_with_missing_values_is_krippendorffs() -> None:
    # Krippendorff 2011, section C: 41 values in 12 units, of which the last one has a single value
    units = units_of(a="123321412...", b="1233224125.3", c=".3332342251.", d="12332441251.")
    assert [len(unit) for unit in units] == [3, 4, 4, 4, 4, 4, 4, 4, 4, 3, 2, 1]
    assert krippendorff_alpha(units) == pytest.approx(0.743, abs=5e-4)


def test_alpha_is_undefined_without_disagreement_by_chance() -> None:
    assert krippendorff_alpha([]) is None
    assert krippendorff_alpha([{"x": "a"}, {"y": "b"}]) is None
    assert krippendorff_alpha([{"x": "a", "y": "a"}]) is None
    assert krippendorff_alpha([{"x": "a", "y": "a"}, {"x": "b", "y": "b"}]) == 1.0


def test_kappa_is_cohens() -> None:
    # 50 units: both yes 20, both no 15, yes/no 5, no/yes 10: p_o = 0.7, p_e = 0.5 * 0.6 + 0.5 * 0.4 = 0.5
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    assert cohen_kappa(first, second) == pytest.approx(0.4)


def test_kappa_is_undefined_where_chance_alone_agrees() -> None:
    assert cohen_kappa([], []) is None
    assert cohen_kappa(["a", "a"], ["a", "a"]) is None
    assert cohen_kappa(["a", "a"], ["b", "b"]) == 0.0


LABELS = st.lists(st.tuples(st.sampled_from("abt"), st.sampled_from("abt")), min_size=1, max_size=30)


@settings(deadline=None)
@given(LABELS)
def test_kappa_equals_scikit_learns(pairs: list[tuple[str, str]]) -> None:
    first, second = [a for a, _ in pairs], [b for _, b in pairs]
    ours = cohen_kappa(first, second)
    if ours is None:
        assert len({*first, *second}) == 1
    else:
        assert ours == pytest.approx(float(cohen_kappa_score(first, second)))


@settings(deadline=None)
@given(LABELS)
def test_alpha_equals_its_definition_by_coincidences(pairs: list[tuple[str, str]]) -> None:
    coincidences: dict[tuple[str, str], float] = {}
    for a, b in pairs:
        for pair in ((a, b), (b, a)):
            coincidences[pair] = coincidences.get(pair, 0) + 1
    sums = {c: sum(o for (first, _), o in coincidences.items() if first == c) for c in "abt"}
    observed = sum(o for (c, k), o in coincidences.items() if c != k)
    expected = sum(sums[c] * sums[k] for c in "abt" for k in "abt" if c != k) / (2 * len(pairs) - 1)
    alpha = krippendorff_alpha([{"x": a, "y": b} for a, b in pairs])
    assert alpha is None if expected == 0 else alpha == pytest.approx(1 - observed / expected)


def test_raw_agreement_counts_pairs_of_judgements() -> None:
    assert raw_agreement([{"x": "a", "y": "a", "z": "b"}, {"x": "a", "y": "a"}, {"x": "a"}]) == pytest.approx(2 / 4)
    assert raw_agreement([{"x": "a"}]) is None


def test_labels_are_shared_by_every_two_annotators() -> None:
    units = [{"x": "a", "y": "b"}, {"y": "a", "z": "a"}, {"z": "t", "x": "t"}, {"x": "b", "y": "b"}]
    expected = {("x", "y"): (["a", "b"], ["b", "b"]), ("x", "z"): (["t"], ["t"]), ("y", "z"): (["a"], ["a"])}
    assert shared_labels(units) == expected
