"""Which pairs of a pool to label next: a pool and what is known -> the pairs whose labels would teach most.

`plaudit.curation.acquisition` holds the methods; here are their inputs: features, margins, what labels have told
already.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from plaudit.curation.acquisition import ACQUISITIONS, Candidates, information, needs_of
from plaudit.curation.acquisition.base import Array, Need
from plaudit.curation.acquisition.known import MEMBERS, from_labels, prior, scale_of
from plaudit.curation.pool import LabelledPair, Pool, PoolPair, PoolReport, Rows, read_labelled, read_pool
from plaudit.data.columns import Columns
from plaudit.data.examine import OnBadRow
from plaudit.errors import ConfigError, DataError, ItemError, RowError
from plaudit.types import Example, Prompt, Response, Scorer

if TYPE_CHECKING:
    from plaudit.models.features import Extractor, FeatureCache

__all__ = ["Selection", "SelectionReport", "gaps_of", "select_pairs"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called with what is counted, how many more are done, and how many there are."""

FEWEST_LABELS = 5
"""Labelled pairs that a last layer is fitted on, at least."""


@dataclass
class SelectionReport:
    """What was chosen, from what.

    Attributes:
        method: the acquisition method.
        chosen: pairs chosen, which is the budget.
        prompts: different prompts among them.
        pool: what became of the pool's rows.
        labelled: labelled pairs that were read.
        labelled_bad: labelled rows skipped.
        ridge: L2 penalty of the last layer, where one was fitted, for features of root mean square gap 1.
    """

    method: str
    chosen: int
    prompts: int
    pool: PoolReport
    labelled: int = 0
    labelled_bad: int = 0
    ridge: float | None = None

    def lines(self) -> list[str]:
        """In words."""
        lines = self.pool.lines()
        if self.labelled:
            lines.append(f"{self.labelled:,} labelled pairs read")
        if self.labelled_bad:
            lines.append(f"{self.labelled_bad:,} labelled rows skipped: they cannot be used")
        if self.ridge is not None:
            lines.append(f"last layer fitted on them, L2 penalty {self.ridge:g} by cross-validation")
        return [*lines, f"{self.chosen:,} pairs chosen by {self.method}, of {self.prompts:,} prompts"]

    def to_dict(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return asdict(self)


@dataclass
class Selection:
    """The chosen rows, best first, each with ``acquisition`` and ``acquisition_rank``; and the report."""

    rows: list[dict[str, Any]]
    report: SelectionReport


def select_pairs(
    pool: Rows,
    budget: int,
    *,
    method: str = "fisher",
    models: Sequence[Scorer] = (),
    features: str | Extractor | None = None,
    labelled: Rows | None = None,
    members: int | None = None,
    columns: Columns | None = None,
    on_bad_row: OnBadRow = "error",
    seed: int = 0,
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> Selection:
    """The pairs of a pool whose labels would teach a reward model most.

    Margins come from ``models``, or from a last layer that is fitted on the features of the ``labelled`` pairs:

    - ``fisher``: D-optimal design of the last layer. One reward model, whose own features are read; or ``features``,
      with ``labelled`` pairs or without any, before the first label (every p is 1/2 then).
    - ``margin``: smallest margin. Models, or ``features`` with ``labelled``.
    - ``disagreement``: standard deviation of the predicted preference. Two models or more; or a reward model or
      ``features``, with ``labelled``: last layers fitted on draws with replacement from the labelled pairs.
    - ``random``: the control; reads no model.

    The pool is held in memory: its rows, and up to three times N x D numbers of 4 bytes for D features of N pairs.
    Features are kept on disk: choosing again from the same pool, after some of its pairs got labels, computes none.

    Args:
        pool: a file, a folder or rows: a prompt with ``response_a`` and ``response_b``, with ``chosen`` and
            ``rejected`` (which is which is not read), or with ``responses``, of which any two make a pair.
        budget: how many pairs to choose, at most those that the pool has.
        method: a name in `plaudit.curation.acquisition.ACQUISITIONS`.
        models: scorers; ``fisher`` takes one `RewardModel`.
        features: ``embedded`` or another sentence encoder's name (`PairEmbeddings`), or an `Extractor`; instead of
            ``models``.
        labelled: preference pairs with labels, soft ones and weights too. Those that are in the pool are left out of
            it and counted.
        members: last layers of a fitted ensemble; None: 10.
        columns: names of columns, of the pool and the labelled pairs.
        on_bad_row: ``"error"`` stops at the first row that cannot be used; ``"skip"`` counts them.
        seed: of every draw.
        cache: where features are kept; None: the user's cache folder.
        progress: called as features and scores come.

    Raises:
        ConfigError: a budget below 1 or above the pool's pairs, or a combination that cannot work.
        DataError: a source that cannot be read, or no pair in it.
        RowError: a bad row, or one that a model cannot score.
    """
    needs = _needs(method, models, features, labelled is not None, members)
    if budget < 1:
        raise ConfigError(f"budget is {budget}; expected a number from 1")
    names = columns or Columns()
    known, labelled_bad = ([], 0) if labelled is None else read_labelled(labelled, names, on_bad_row)
    candidates = read_pool(pool, names, on_bad_row, known)
    if budget > len(candidates.pairs):
        raise ConfigError(
            f"the budget is {budget:,}, but there are only {len(candidates.pairs):,} pairs to choose from "
            f"({'; '.join(candidates.report.lines())}); choose a smaller budget"
        )
    rng = np.random.default_rng(seed)
    source = _Inputs(candidates, known, models, features, cache, progress, members or MEMBERS, rng)
    numbers, ridge = source.build(needs)
    picking = None if progress is None else lambda count: progress("pairs", count, budget)
    chosen, scores = ACQUISITIONS.get(method)(numbers, budget, rng, picking)
    pairs = [candidates.pairs[place] for place in chosen]
    rows = [pair.queued(float(f"{score:.6g}"), rank) for rank, (pair, score) in enumerate(zip(pairs, scores), start=1)]
    report = SelectionReport(
        method=method,
        chosen=len(rows),
        prompts=len({repr(pair.prompt) for pair in pairs}),
        pool=candidates.report,
        labelled=len(known),
        labelled_bad=labelled_bad,
        ridge=ridge,
    )
    return Selection(rows, report)


def _needs(
    method: str, models: Sequence[Scorer], features: str | Extractor | None, labelled: bool, members: int | None
) -> frozenset[Need]:
    """What the method reads; refuses what it cannot work from, and what it would not read."""
    needs = needs_of(ACQUISITIONS.get(method))
    given = [name for name, there in (("models", models), ("features", features is not None)) if there]
    if not needs and given:
        raise ConfigError(f"{given[0]}: no effect on the method {method!r}, which reads none; leave it out")
    if needs and len(given) != 1:
        raise ConfigError(
            f"the method {method!r} needs models (--model) or features (--features embedded), one of the two; "
            f"got {' and '.join(given) or 'neither'}"
        )
    if features is not None and not labelled and needs != {"gaps", "margin"}:
        raise ConfigError(f"the method {method!r} with features needs labelled pairs to fit a last layer on")
    if "gaps" in needs and models:
        _one_reward_model(method, models)
    fits = "margins" in needs and len(models) < 2
    if fits and not labelled:
        raise ConfigError(
            f"the method {method!r} needs two models or more, or labelled pairs to fit an ensemble of last layers on"
        )
    if fits and models:
        _one_reward_model(method, models)
    if members is not None and not fits:
        raise ConfigError("members (--ensemble): no effect where no ensemble of last layers is fitted; leave it out")
    if members is not None and members < 2:
        raise ConfigError(f"members (--ensemble) is {members}; expected two or more")
    return needs


def _one_reward_model(method: str, models: Sequence[Scorer]) -> None:
    from plaudit.models.reward_model import RewardModel

    if len(models) != 1 or not isinstance(models[0], RewardModel):
        raise ConfigError(
            f"the method {method!r} reads the features of one reward model; got {len(models)} "
            f"({', '.join(type(model).__name__ for model in models)})"
        )


# -- from texts to numbers ---------------------------------------------------------------------------------------------


@dataclass
class _Inputs:
    """Builds `Candidates` from texts."""

    pool: Pool
    labelled: list[LabelledPair]
    models: Sequence[Scorer]
    features: str | Extractor | None
    cache: FeatureCache | None
    progress: Progress | None
    members: int
    rng: np.random.Generator

    def build(self, needs: frozenset[Need]) -> tuple[Candidates, float | None]:
        """The candidates as numbers, and the L2 penalty of the last layer where one was fitted."""
        count = len(self.pool.pairs)
        if not needs:
            return Candidates(count), None
        if self.features is not None:
            return self._from_features(needs)
        if "margins" in needs and len(self.models) == 1:
            return self._from_features(needs)
        if "gaps" not in needs:
            return Candidates(count, margins=np.stack([self._scored(model) for model in self.models])), None
        return self._own_last_layer(), None

    def _from_features(self, needs: frozenset[Need]) -> tuple[Candidates, float | None]:
        """A last layer fitted on labels; without labels, one of which nothing is known."""
        gaps, own = self._gaps(self._extractor())
        scale = scale_of(gaps)
        gaps, own = gaps / scale, own / scale
        if not self.labelled:
            margins = np.zeros((1, len(gaps)))
            return Candidates(len(gaps), gaps, margins, prior(gaps, margins[0])), None
        if len(self.labelled) < FEWEST_LABELS:
            raise DataError(
                f"{len(self.labelled)} labelled pairs are too few to fit a last layer on; give {FEWEST_LABELS} or "
                "more, or begin with the method 'fisher' without labelled pairs"
            )
        preferred = np.array([pair.preferred for pair in self.labelled])
        groups = [pair.example.group for pair in self.labelled]
        weights = self._weights()
        return from_labels(gaps, own, preferred, groups, needs, weights=weights, members=self.members, rng=self.rng)

    def _own_last_layer(self) -> Candidates:
        """The last layer of the reward model that was given."""
        from plaudit.models.features import RewardModelFeatures

        extractor = self._extractor()
        assert isinstance(extractor, RewardModelFeatures)
        gaps, own = self._gaps(extractor)
        layer = extractor.last_layer.weight.detach().float().cpu().numpy()[0]
        margins, of_labelled = (gaps @ layer).astype(np.float64), (own @ layer).astype(np.float64)
        scale = scale_of(gaps)
        gaps, own = gaps / scale, own / scale
        known = prior(gaps, margins) + information(own, of_labelled, self._weights())
        return Candidates(len(gaps), gaps, margins[None], known)

    def _weights(self) -> Array:
        return np.array([pair.example.weight for pair in self.labelled])

    def _extractor(self) -> Extractor:
        if isinstance(self.features, str):
            from plaudit.curation.embedding_features import PairEmbeddings

            return PairEmbeddings(self.features)
        if self.features is not None:
            return self.features
        from plaudit.models.features import RewardModelFeatures
        from plaudit.models.reward_model import RewardModel

        model = self.models[0]
        assert isinstance(model, RewardModel)
        return RewardModelFeatures(model)

    def _gaps(self, extractor: Extractor) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Feature gaps of the candidates (N, D) and of the labelled pairs (L, D)."""
        labelled = [
            PoolPair({}, pair.example.prompt, _two(pair.example), None, pair.example.location or "a labelled pair")
            for pair in self.labelled
        ]
        of_pool = gaps_of(self.pool.pairs, extractor, self.cache, self.progress, beside=self.pool.known)
        if not labelled:
            return of_pool, np.empty((0, of_pool.shape[1]), dtype=np.float32)
        return of_pool, gaps_of(labelled, extractor, self.cache, self.progress)

    def _scored(self, model: Scorer) -> Array:
        """Margins (N,) of the candidates by one scorer; equal texts are scored once."""
        items, places = _distinct(self.pool.pairs)
        scores = np.empty(len(items))
        for start in range(0, len(items), 512):
            some = items[start : start + 512]
            try:
                scores[start : start + len(some)] = model.score([i[0] for i in some], [i[1] for i in some])
            except ItemError as error:
                if error.index is None:
                    raise
                raise RowError(error.problem, some[error.index][2]) from error
            if self.progress is not None:
                self.progress("texts", len(some), len(items))
        margins: Array = scores[places[:, 0]] - scores[places[:, 1]]
        return margins


def gaps_of(
    pairs: Sequence[PoolPair],
    extractor: Extractor,
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
    *,
    beside: Sequence[PoolPair] = (),
) -> npt.NDArray[np.float32]:
    """Features of the first response minus those of the second, (N, D) float32; equal texts are computed once.

    Args:
        pairs: N pairs.
        extractor: computes features.
        cache: keeps them, by the list of all texts.
        progress: called as they come.
        beside: further pairs whose texts belong to the list: with those that got their labels since, a pool has the
            same list in every round, and nothing is computed again.

    Raises:
        RowError: a pair whose text has no features.
    """
    from plaudit.models.features import FeatureCache

    items, places = _distinct([*pairs, *beside])
    advance = None if progress is None else lambda count: progress("texts", count, len(items))
    try:
        rows = (cache or FeatureCache()).features(
            extractor, [item[0] for item in items], [item[1] for item in items], progress=advance
        )
    except ItemError as error:
        if error.index is None:
            raise
        raise RowError(error.problem, items[error.index][2]) from error
    first, second = places[: len(pairs)].T
    gaps: npt.NDArray[np.float32] = rows[first] - rows[second]
    return gaps


def _two(example: Example) -> tuple[Response, Response]:
    return example.responses[0], example.responses[1]


def _distinct(pairs: Sequence[PoolPair]) -> tuple[list[tuple[Prompt, Response, str]], npt.NDArray[np.int64]]:
    """Different (prompt, response, location), sorted by text, and the places (N, 2) of each pair's two."""
    locations: dict[str, tuple[Prompt, Response, str]] = {}
    keys = [[repr((pair.prompt, response)) for response in pair.responses] for pair in pairs]
    for pair, pair_keys in zip(pairs, keys, strict=True):
        for key, response in zip(pair_keys, pair.responses, strict=True):
            locations.setdefault(key, (pair.prompt, response, pair.location))
    index = {key: place for place, key in enumerate(sorted(locations))}
    places = np.array([[index[key] for key in pair_keys] for pair_keys in keys], dtype=np.int64).reshape(-1, 2)
    return [locations[key] for key in index], places
