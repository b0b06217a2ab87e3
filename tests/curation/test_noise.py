"""Flipped labels are found, the posterior means what it says, and no label speaks for itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import approx_fprime
from scipy.sparse import csr_matrix, random_array

from plaudit.curation.noise import find_noise
from plaudit.curation.noise.design import PairDesign, cues, pair_design, surface
from plaudit.curation.noise.find import FOLDS
from plaudit.curation.noise.model import _objective, fit, margins, out_of_fold
from plaudit.curation.noise.pairs import read_pairs
from plaudit.curation.noise.posterior import FlipModel, calibrate
from plaudit.errors import ConfigError, DataError
from plaudit.models.features import FeatureCache
from plaudit.types import Example, PreferencePair, Prompt, Response


class Hashed:
    """Numbers drawn by the text alone: they know nothing, but are the same for the same text."""

    fingerprint, dimension = "hashed-1", 8

    def extract(self, prompts: Sequence[Prompt], responses: Sequence[Response]) -> npt.NDArray[np.float32]:
        seeds = [int.from_bytes(hashlib.sha256(str(text).encode()).digest()[:4], "little") for text in responses]
        return np.array([np.random.default_rng(seed).normal(size=8) for seed in seeds], dtype=np.float32)


@pytest.fixture
def cache(tmp_path: Path) -> FeatureCache:
    return FeatureCache(tmp_path / "features")


def make_pairs(count: int, share: float, seed: int = 0) -> tuple[list[Example], npt.NDArray[np.bool_]]:
    """Pairs in which the response with the word 'because' is better, a share of them flipped."""
    rng = np.random.default_rng(seed)
    names = [f"word{number}" for number in range(60)]
    flipped = np.zeros(count, dtype=bool)
    flipped[rng.choice(count, round(share * count), replace=False)] = True
    pairs = []
    for row in range(count):
        good, bad = (" ".join(rng.choice(names, 6)) for _ in range(2))
        sides = [f"{good} because of {row}", f"{bad} and so on {row}"]
        pair = PreferencePair(f"question {row}", *(sides[::-1] if flipped[row] else sides))
        pairs.append(pair.example(location=f"pairs.jsonl:{row + 1}"))
    return pairs, flipped


# --- the whole --------------------------------------------------------------------------------------------------------


def test_flipped_labels_come_first_with_a_high_posterior(cache: FeatureCache) -> None:
    pairs, flipped = make_pairs(300, 0.2)
    done: list[int] = []
    report = find_noise(pairs, cache=cache, extractor=Hashed(), progress=done.append)
    first = [suspect.index for suspect in report.suspects[:60]]
    assert flipped[first].mean() > 0.9
    assert report.noise_rate == pytest.approx(0.2, abs=0.06)
    assert report.noise_low < 0.2 < report.noise_high
    assert report.accuracy == pytest.approx(0.8, abs=0.05)
    assert (report.checked, report.skipped, report.left_out) == (300, 0, 0)
    assert sum(done) == 300
    posteriors = [suspect.posterior for suspect in report.suspects]
    assert posteriors == sorted(posteriors, reverse=True)
    assert 0 <= posteriors[-1] <= posteriors[0] <= 1
    assert len(report.above()) == sum(posterior >= 0.5 for posterior in posteriors)
    assert report.suspects[0].location == f"pairs.jsonl:{report.suspects[0].index + 1}"
    assert sorted(suspect.index for suspect in report.suspects) == list(range(300))


def test_clean_labels_give_no_suspects(cache: FeatureCache) -> None:
    pairs, _ = make_pairs(300, 0.0)
    report = find_noise(pairs, cache=cache, extractor=Hashed())
    assert report.noise_rate < 0.03
    assert not report.above()
    assert any("0 labels are more probably flipped" in line for line in report.lines())


def test_labels_without_any_signal_are_not_accused(cache: FeatureCache) -> None:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice([f"w{i}" for i in range(300)], 8)) for _ in range(400)]
    pairs = [PreferencePair("?", *texts[2 * row : 2 * row + 2]).example() for row in range(200)]
    report = find_noise(pairs, cache=cache, extractor=Hashed())
    assert report.noise_high - report.noise_low > 0.3  # nothing is known of the rate, and it says so
    assert len(report.above()) < 20


def test_the_direction_of_a_label_is_all_that_differs(cache: FeatureCache) -> None:
    """A pair whose label says 'the second one' is the pair with its sides exchanged."""
    pairs, _ = make_pairs(60, 0.2)
    exchanged = [
        Example(prompt=p.prompt, responses=p.responses[::-1], labels=(0.2, 0.8), location=p.location) for p in pairs
    ]
    kept = [find_noise(some, cache=cache, extractor=Hashed()) for some in (pairs, exchanged)]
    assert kept[0].suspects == kept[1].suspects


def test_what_is_no_preference_between_two_texts_is_left_alone(cache: FeatureCache) -> None:
    pairs, _ = make_pairs(40, 0.0)
    others = [
        Example(prompt="tie", responses=("a", "b"), labels=(0.5, 0.5)),
        Example(prompt="blank", responses=("a", "  "), labels=(1.0, 0.0)),
        Example(prompt="same", responses=("A  b", "a b"), labels=(1.0, 0.0)),
        Example(prompt="rating", responses=("a",), labels=(3.0,)),
        Example(prompt="ranking", responses=("a", "b", "c"), labels=(-1.0, -2.0, -3.0)),
        Example(prompt="tokens", responses=("a", "b"), labels=(1.0, 0.0), input_ids=([1], [2])),
    ]
    report = find_noise([*others, *pairs], cache=cache, extractor=Hashed())
    assert (report.checked, report.skipped) == (40, 6)
    assert min(suspect.index for suspect in report.suspects) == 6


def test_a_sample_is_drawn_by_the_seed_and_said(cache: FeatureCache) -> None:
    pairs, _ = make_pairs(60, 0.2)
    some, again, other = (
        find_noise(pairs, sample=30, seed=seed, cache=cache, extractor=Hashed()) for seed in (0, 0, 1)
    )
    assert (some.checked, some.left_out) == (30, 30)
    assert some == again
    assert {s.index for s in some.suspects} != {s.index for s in other.suspects}
    assert "30 beyond the sample" in some.lines()[0]


def test_too_little_is_refused(cache: FeatureCache) -> None:
    pairs, _ = make_pairs(19, 0.0)
    with pytest.raises(DataError, match="needs 20 pairs .* got 19 among 19 examples"):
        find_noise(pairs, cache=cache, extractor=Hashed())
    with pytest.raises(ConfigError, match="a sample of 5 pairs"):
        find_noise(pairs, sample=5, cache=cache, extractor=Hashed())


def test_conversations_are_read(cache: FeatureCache) -> None:
    pairs, _ = make_pairs(30, 0.0)
    turns = [
        Example(
            prompt=[{"role": "user", "content": str(p.prompt)}],
            responses=tuple([{"role": "assistant", "content": str(side)}] for side in p.responses),
            labels=p.labels,
        )
        for p in pairs
    ]
    assert find_noise(turns, cache=cache, extractor=Hashed()).checked == 30


def test_trusted_pairs_help_and_are_not_accused(cache: FeatureCache) -> None:
    pairs, flipped = make_pairs(40, 0.25)
    trusted, _ = make_pairs(300, 0.0, seed=1)
    tie = Example(prompt="tie", responses=("a", "b"), labels=(0.5, 0.5))
    helped = find_noise(pairs, trusted=[*trusted, tie], cache=cache, extractor=Hashed())
    assert helped.checked == 40
    assert flipped[[suspect.index for suspect in helped.suspects[:10]]].all()


def test_embeddings_can_be_left_out() -> None:
    pairs, flipped = make_pairs(200, 0.2)
    report = find_noise(pairs, embeddings=False)
    assert flipped[[suspect.index for suspect in report.suspects[:30]]].mean() > 0.9
    with pytest.raises(ConfigError, match="no effect without embeddings"):
        find_noise(pairs, embeddings=False, extractor=Hashed())


# --- folds ------------------------------------------------------------------------------------------------------------


def test_the_same_two_texts_in_any_order_share_a_fold(cache: FeatureCache) -> None:
    pairs = [
        PreferencePair("q", "one", "two").example(),
        PreferencePair("q", "Two ", "ONE").example(),
        PreferencePair("q", "one", "three").example(),
        PreferencePair("other", "one", "two").example(),
    ]
    design, groups = read_pairs(pairs, extractor=Hashed(), cache=cache, progress=None)
    assert groups.tolist() == [0, 0, 1, 2]
    assert len(design) == 4


def test_a_pair_cannot_vouch_for_itself(cache: FeatureCache) -> None:
    """Random labels: copies of each pair, with the same label, tell nothing about it."""
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice([f"w{i}" for i in range(200)], 8)) for _ in range(200)]
    once = [PreferencePair("?", *texts[2 * row : 2 * row + 2]).example() for row in range(100)]
    report = find_noise(once * 3, cache=cache, extractor=Hashed())
    assert abs(report.accuracy - 0.5) < 0.15


# --- model ------------------------------------------------------------------------------------------------------------


def random_design(pairs: int = 12) -> PairDesign:
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(pairs, 4)).astype(np.float32)
    return PairDesign(dense, csr_matrix(random_array((pairs, 6), density=0.5, rng=rng)).astype(np.float32))


@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_the_gradient_is_that_of_the_objective(rate: float) -> None:
    design = random_design()
    transposed = (design.dense.T, design.sparse.T.tocsr())
    at = np.random.default_rng(1).normal(size=10)
    value, gradient = _objective(at, design, transposed, rate)
    assert value > 0
    numeric = approx_fprime(at, lambda w: _objective(w, design, transposed, rate)[0], 1e-3)
    np.testing.assert_allclose(gradient, numeric, rtol=0.02, atol=0.02)


def test_the_objective_by_hand() -> None:
    """One pair with margin ln 3: sigmoid is 3/4, and at rate 1/4 the label has probability 3/4·3/4 + 1/4·1/4 = 5/8."""
    design = PairDesign(np.ones((1, 1), dtype=np.float32), csr_matrix((1, 1), dtype=np.float32))
    transposed = (design.dense.T, design.sparse.T.tocsr())
    at = np.array([np.log(3), 0.0])
    prior = 0.5 * np.log(3) ** 2
    assert _objective(at, design, transposed, 0.0)[0] == pytest.approx(np.log(4 / 3) + prior, rel=1e-6)
    assert _objective(at, design, transposed, 0.25)[0] == pytest.approx(np.log(8 / 5) + prior, rel=1e-6)


def test_a_fit_that_knows_of_noise_believes_a_contrary_label_less() -> None:
    """Nine pairs say yes and one says no: the plain model gives way, the other takes the one for flipped."""
    dense = np.array([[10.0]] * 9 + [[-10.0]], dtype=np.float32)
    design = PairDesign(dense, csr_matrix((10, 1), dtype=np.float32))
    plain, aware = (margins(design, fit(design, rate=rate))[0] for rate in (0.0, 0.1))
    assert plain == pytest.approx(np.log(9), abs=0.1)
    assert aware > plain + 1


def test_out_of_fold_margins_come_from_the_other_folds() -> None:
    design, folds = random_design(), np.arange(12) % 3
    found = out_of_fold(design, folds, scale=0.5)
    by_hand = fit(design.rows(folds != 1, 0.5))
    np.testing.assert_allclose(found.margins[folds == 1], margins(design.rows(folds == 1, 0.5), by_hand), rtol=1e-5)
    assert set(found.weights) == {0, 1, 2}
    assert FOLDS == 5


# --- posterior --------------------------------------------------------------------------------------------------------


def test_the_posterior_by_hand() -> None:
    """One slope and one rate: rho sigmoid(-m) / ((1 - rho) sigmoid(m) + rho sigmoid(-m)); sigmoid(ln 3) = 3/4."""
    model = FlipModel(np.array([1.0]), np.array([0.2]), np.ones((1, 1)), 0.0)
    found = model.flipped(np.array([np.log(3), 0.0, -np.log(3)]))
    expected = [0.2 * 0.25 / (0.8 * 0.75 + 0.2 * 0.25), 0.2, 0.2 * 0.75 / (0.8 * 0.25 + 0.2 * 0.75)]
    np.testing.assert_allclose(found, expected)
    assert model.rate == pytest.approx(0.2)


def labelled(rate: float, slope: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Margins of 20,000 labels, positive where they agree, and which labels were flipped."""
    rng = np.random.default_rng(7)
    z = rng.normal(size=20_000)
    right = rng.random(len(z)) < 1 / (1 + np.exp(-slope * z))
    flipped = rng.random(len(z)) < rate
    return np.where(right ^ flipped, z, -z), flipped


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
def test_the_rate_is_found_and_the_posterior_is_calibrated(rate: float) -> None:
    z, flipped = labelled(rate, slope=6.0)
    model = calibrate(z)
    assert model.rate == pytest.approx(rate, abs=0.02)
    assert model.weights.sum() == pytest.approx(1)
    posterior = model.flipped(z)
    for lower, upper in ((0.0, 0.1), (0.1, 0.3), (0.3, 0.6), (0.6, 1.0)):
        mine = (posterior >= lower) & (posterior < upper)
        if mine.sum() > 500:
            assert flipped[mine].mean() == pytest.approx(posterior[mine].mean(), abs=0.06)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.3])
def test_margins_that_tell_little_leave_the_rate_open(rate: float) -> None:
    low, high = calibrate(labelled(rate, slope=0.3)[0]).rate_interval
    assert low - 0.01 <= rate <= high
    assert high - low > 0.15


def test_the_posterior_falls_with_the_margin() -> None:
    z = np.random.default_rng(0).normal(0.5, 1, 400)
    found = calibrate(z).flipped(np.linspace(-5, 5, 50))
    assert (np.diff(found) <= 1e-12).all()


# --- features ---------------------------------------------------------------------------------------------------------


def test_the_surface_of_a_text_by_hand() -> None:
    figures = surface("One two. Three?\n- four")
    assert len(figures) == len(surface("")) == 15
    assert figures[0] == pytest.approx(np.log(23))
    assert figures[1] == pytest.approx(np.log(6))
    assert figures[2:5] == pytest.approx([22 / 5, 5 / 2, 1.0])
    assert figures[10:15] == pytest.approx([np.log(2), 1, 0, 0, 0])


def test_exchanged_sides_have_the_opposite_design() -> None:
    texts, features = ["aa bb", "cc dd ee", "ff"], np.eye(3, dtype=np.float32)
    there, back = (np.array([0, 1]), np.array([1, 2]))
    prompts = ["aa?", "", "ff ff"]
    a, b = (pair_design(prompts, texts, features, *sides) for sides in ((there, back), (back, there)))
    np.testing.assert_array_equal(a.dense, -b.dense)
    assert abs(a.sparse + b.sparse).max() == 0


def test_cues_by_hand() -> None:
    """Prompt words river, water; the text takes up one of them among three words, and repeats no run of three."""
    figures = cues("What does the river do with water?", "I cannot say: rivers carry water. Water? 3")
    said = {"cannot", "say", "rivers", "carry", "water", "3"}
    assert figures[:3] == pytest.approx([1 / 2, 1 / 6, np.log(6)])
    assert len(said) == 6
    assert figures[3:8] == pytest.approx([0, 1, 0, 0, 1])
    assert figures[8:] == pytest.approx([np.log(2), 0, 1])
    assert cues("", "") == pytest.approx([0.0] * 3 + [0.0] * 3 + [1.0] + [0.0] * 4)
