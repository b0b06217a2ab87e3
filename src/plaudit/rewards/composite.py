"""Several scorers as one: rules, learned reward models, other composites. Knows nothing of how a component scores."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from plaudit.errors import ConfigError, ItemError, PlauditError, RewardError, RowError
from plaudit.rewards.base import RewardFunction
from plaudit.rewards.normalize import NORMALIZATIONS, Normalization, Normalizer
from plaudit.rewards.remote import RemoteScorer
from plaudit.types import Prompt, Response, Scorer

__all__ = ["MODES", "Component", "CompositeReward"]

Mode = Literal["mean", "min", "product", "uncertainty"]
MODES: tuple[Mode, ...] = ("mean", "min", "product", "uncertainty")


@dataclass
class Component:
    """One part of a composite.

    Attributes:
        scorer: what scores.
        weight: above 0; only its share of all weights counts.
        name: what figures of it are called.
        normalizer: applied to its scores before they are combined.
        spec: what a user wrote for it (a mapping for a configuration file), where there is such a thing.
    """

    scorer: Scorer
    weight: float = 1.0
    name: str = ""
    normalizer: Normalizer = field(default_factory=Normalizer)
    spec: dict[str, Any] = field(default_factory=dict)


class CompositeReward:
    """A `Scorer` made of others.

    With components s_i, normalized, and weights w_i that are divided by their sum, once:

        mean          sum_i w_i s_i
        min           min_i s_i: the worst case; weights have no meaning there and must be equal
        product       prod_i s_i ^ w_i: one low score spoils the whole; needs scores that are not negative
        uncertainty   sum_i w_i s_i - k sum_i w_i (s_i - mean)^2: the mean, less k times the spread of the components
                      (uncertainty-weighted optimization, Coste et al. 2023, arXiv:2310.02743, eq. 5; of the components
                      weighted as the mean is)

    Args:
        components: scorers, or `Component`s.
        weights: one above 0 for each; default: the components' own, 1 for bare scorers.
        mode: how they are combined.
        normalize: what every component is normalized by, unless it brings a `Normalizer` of its own; all but "none"
            need `fit`.
        uncertainty_penalty: k, for the mode "uncertainty" only.

    Raises:
        ConfigError: no components, weights of the wrong number or sign, an unknown mode or normalization.
    """

    def __init__(
        self,
        components: Sequence[Scorer | Component],
        weights: Sequence[float] | None = None,
        *,
        mode: Mode = "mean",
        normalize: Normalization = "none",
        uncertainty_penalty: float | None = None,
    ) -> None:
        if isinstance(components, (str, bytes)) or not components:
            raise ConfigError("a composite needs at least one component; give a list of scorers")
        if mode not in MODES:
            raise ConfigError(f"mode is one of {', '.join(MODES)}; got {mode!r}")
        if normalize not in NORMALIZATIONS:
            raise ConfigError(f"normalize is one of {', '.join(NORMALIZATIONS)}; got {normalize!r}")
        if uncertainty_penalty is not None and mode != "uncertainty":
            raise ConfigError(f"uncertainty_penalty has no effect with mode {mode!r}; leave it out")
        if uncertainty_penalty is not None and not (math.isfinite(uncertainty_penalty) and uncertainty_penalty >= 0):
            raise ConfigError(f"uncertainty_penalty is a number of at least 0, got {uncertainty_penalty!r}")
        self.components = [c if isinstance(c, Component) else Component(c) for c in components]
        for component in self.components:
            if not isinstance(component.scorer, Scorer):
                raise ConfigError(f"{component.scorer!r} is no scorer: it has no method score(prompts, responses)")
            if component.normalizer.kind == "none" and normalize != "none":
                component.normalizer = Normalizer(normalize)
        self.mode, self.normalize = mode, normalize
        self.uncertainty_penalty = 1.0 if uncertainty_penalty is None else float(uncertainty_penalty)
        if weights is not None:
            check_weights(weights, len(self.components))
            for component, weight in zip(self.components, weights, strict=True):
                component.weight = float(weight)
        check_weights([c.weight for c in self.components], len(self.components))
        if mode == "min" and len({c.weight for c in self.components}) > 1:
            raise ConfigError("mode 'min' takes the lowest score, so weights have no effect; leave them out")
        self._name_components()

    @property
    def weights(self) -> npt.NDArray[np.float64]:
        """The components' shares (C,), which sum to 1."""
        values = np.asarray([c.weight for c in self.components], dtype=np.float64)
        shares: npt.NDArray[np.float64] = values / values.sum()
        return shares

    @property
    def names(self) -> list[str]:
        """The components' names, all different."""
        return [c.name for c in self.components]

    def fit(
        self,
        prompts: Sequence[Prompt],
        responses: Sequence[Response],
        *,
        references: Sequence[str | None] | None = None,
    ) -> CompositeReward:
        """Learns the normalization of every component from typical texts; returns itself."""
        return self.fit_scores(self.raw(prompts, responses, references=references))

    def fit_scores(self, raw: Mapping[str, npt.ArrayLike]) -> CompositeReward:
        """`fit`, from the components' raw scores by name, each (N,)."""
        for component in self.components:
            component.normalizer.fit(raw[component.name], f"component {component.name!r}")
        return self

    @property
    def fitted(self) -> bool:
        """Whether every component's normalization is known."""
        return all(c.normalizer.kind == "none" or c.normalizer.points_ is not None for c in self.components)

    def score(
        self,
        prompts: Sequence[Prompt],
        responses: Sequence[Response],
        *,
        references: Sequence[str | None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Combined scores, shape (N,), float32, all finite.

        Raises:
            RewardError: a component fails; names it. Nothing stands in for its score.
        """
        return self.combine(self.raw(prompts, responses, references=references))

    def raw(
        self,
        prompts: Sequence[Prompt],
        responses: Sequence[Response],
        *,
        references: Sequence[str | None] | None = None,
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Every component's own scores by name, each (N,), not normalized and not weighted."""
        scores = {}
        for component in self.components:
            try:
                values = component.scorer.score(prompts, responses, references=references)
            except PlauditError:
                raise
            except Exception as error:
                raise RewardError(component.name, f"{type(error).__name__}: {error}") from error
            scores[component.name] = checked(values, component.name, len(responses))
        return scores

    def raw_in_batches(
        self,
        prompts: Sequence[Prompt],
        responses: Sequence[Response],
        *,
        references: Sequence[str | None] | None = None,
        batch_size: int = 512,
        locations: Sequence[str] | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, npt.NDArray[np.float32]]:
        """`raw`, some texts at a time.

        Args:
            prompts, responses, references: N each.
            batch_size: texts given to the components at a time.
            locations: N places (``file:line``), one of which an error names.
            progress: called with the number of texts scored since the last call.

        Raises:
            RowError: a text that a component cannot score; names its location and the component.
            ItemError: the same without ``locations``; its index counts from the first of the N texts.
        """
        parts: list[dict[str, npt.NDArray[np.float32]]] = []
        for start in range(0, max(len(responses), 1), batch_size):  # without texts, one batch of none
            some = slice(start, start + batch_size)
            known = None if references is None else references[some]
            try:
                parts.append(self.raw(prompts[some], responses[some], references=known))
            except ItemError as error:
                if error.index is None:
                    raise
                raise _placed(error, start + error.index, locations) from error
            if progress is not None:
                progress(len(responses[some]))
        return {name: np.concatenate([part[name] for part in parts]) for name in self.names}

    def breakdown(self, raw: Mapping[str, npt.ArrayLike]) -> dict[str, npt.NDArray[np.float64]]:
        """Normalized scores by component from raw ones, each (N,): what `combine` combines."""
        return {c.name: c.normalizer(raw[c.name]) for c in self.components}

    def combine(self, raw: Mapping[str, npt.ArrayLike]) -> npt.NDArray[np.float32]:
        """Combined scores (N,) from the components' raw ones."""
        parts = np.stack(list(self.breakdown(raw).values()))  # [C, N]
        weights = self.weights[:, None]
        if self.mode == "min":
            combined = parts.min(axis=0)
        elif self.mode == "product":
            self._check_not_negative(parts)
            combined = np.prod(np.power(parts, weights), axis=0)
        else:
            combined = (weights * parts).sum(axis=0)
            if self.mode == "uncertainty":
                combined = combined - self.uncertainty_penalty * (weights * (parts - combined) ** 2).sum(axis=0)
        scores: npt.NDArray[np.float32] = combined.astype(np.float32)
        return scores

    def _check_not_negative(self, parts: npt.NDArray[np.float64]) -> None:
        for component, scores in zip(self.components, parts, strict=True):
            if (scores < 0).any():
                index = int(np.argmax(scores < 0))
                raise RewardError(
                    component.name,
                    f"mode 'product' needs scores of at least 0, got {scores[index]:g}; normalize by minmax or rank",
                    index,
                )

    def _name_components(self) -> None:
        """Names for those without one; a name that comes twice gets a number."""
        taken: dict[str, int] = {}
        for component in self.components:
            name = component.name or name_of(component.scorer)
            taken[name] = taken.get(name, 0) + 1
            component.name = name if taken[name] == 1 else f"{name}-{taken[name]}"

    def to_dict(self) -> dict[str, Any]:
        """What `plaudit.scorers.composite_from` makes an equal composite of; fitted normalizations included.

        Raises:
            ConfigError: a component was given as an object that no configuration can name.
        """
        parts = []
        for component in self.components:
            spec = dict(component.spec)
            if not spec and isinstance(component.scorer, RewardFunction):
                options = component.scorer.options()
                spec = {"reward": component.scorer.name} | ({"options": options} if options else {})
            if not spec:
                raise ConfigError(
                    f"component {component.name!r} was given as an object; give it by name to write it down"
                )
            part = spec | {"name": component.name, "weight": component.weight}
            if component.normalizer.kind != "none":
                part["normalizer"] = component.normalizer.to_dict()
            parts.append(part)
        values: dict[str, Any] = {"mode": self.mode, "normalize": self.normalize, "rewards": parts}
        if self.mode == "uncertainty":
            values["uncertainty_penalty"] = self.uncertainty_penalty
        return values

    def __repr__(self) -> str:
        parts = ", ".join(f"{n}={w:.3g}" for n, w in zip(self.names, self.weights, strict=True))
        return f"CompositeReward({parts}; mode={self.mode}, normalize={self.normalize})"


def name_of(scorer: Any) -> str:
    """What a scorer is called where nobody named it."""
    if isinstance(scorer, (RewardFunction, RemoteScorer)):
        return scorer.name
    folder = getattr(scorer, "folder", None) or getattr(scorer, "base_model", None)
    return str(folder).rstrip("/").split("/")[-1] if folder else type(scorer).__name__


def _placed(error: ItemError, index: int, locations: Sequence[str] | None) -> PlauditError:
    """An error of a batch as one of all texts: with its location, or its index among them."""
    reward = error.reward if isinstance(error, RewardError) else None
    if locations is not None:
        return RowError(f"reward {reward!r}: {error.problem}" if reward else error.problem, locations[index])
    return RewardError(reward, error.problem, index) if reward else type(error)(error.problem, index)


def check_weights(weights: Sequence[float], count: int) -> None:
    """Weights must be finite numbers above 0, one for each component.

    Raises:
        ConfigError: they are not.
    """
    if len(weights) != count:
        raise ConfigError(f"{len(weights)} weights for {count} reward functions; give one for each")
    for weight in weights:
        number = isinstance(weight, (int, float, np.number)) and not isinstance(weight, bool)
        if not number or not math.isfinite(weight) or weight <= 0:
            raise ConfigError(f"weights must be positive numbers, got {weight!r}; leave a component out instead")


def checked(values: Any, name: str, count: int) -> npt.NDArray[np.float32]:
    """A component's answer as it must be: (N,) finite numbers.

    Raises:
        RewardError: it is not.
    """
    scores = np.asarray(values, dtype=np.float32)
    if scores.shape != (count,):
        raise RewardError(name, f"gave scores of shape {scores.shape} for {count} responses; expected ({count},)")
    if not np.isfinite(scores).all():
        index = int(np.argmax(~np.isfinite(scores)))
        raise RewardError(name, f"the score is {scores[index]}, not a finite number", index)
    return scores
