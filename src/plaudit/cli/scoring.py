"""What scores rows on the command line: a learned model, or reward functions. Loaded once, asked chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from plaudit.cli.loading import load_reward_model, score_located
from plaudit.cli.output import say, waiting
from plaudit.errors import ConfigError, ItemError, RowError
from plaudit.types import Prompt

if TYPE_CHECKING:
    from plaudit.evaluation.scoring_rows import ScoringRow
    from plaudit.models.reward_model import RewardModel
    from plaudit.rewards.composite import CompositeReward

__all__ = ["ModelScorer", "RewardScorer", "RowScorer", "Scored", "load_rewards", "load_scorer"]

Advance = Callable[[float], None]
Scored = tuple[list[float], dict[str, Any] | None]
"""The scores of a row's items, and what else goes into its line."""


class RowScorer(Protocol):
    """Scores rows."""

    def rows(self, chunk: Sequence[ScoringRow], advance: Advance) -> list[Scored]:
        """For each row its scores; errors name the row."""
        ...

    def one(self, prompt: Prompt, response: str, reference: str | None) -> float:
        """The score of one text."""
        ...

    def facts(self) -> dict[str, Any]:
        """What decides the scores, the rows apart."""
        ...


class ModelScorer:
    """A learned reward model."""

    def __init__(self, model: RewardModel, name: str, overlong: str) -> None:
        self.model, self.name, self.overlong = model, name, overlong

    def rows(self, chunk: Sequence[ScoringRow], advance: Advance) -> list[Scored]:
        items = [item for row in chunk for item in row.items]
        locations = [row.location for row in chunk for _ in row.items]
        share = len(chunk) / len(items)
        scores = iter(
            score_located(
                self.model, items, locations, overlong=self.overlong, progress=lambda n: advance(n * share)
            ).tolist()
        )
        return [(list(islice(scores, len(row.items))), None) for row in chunk]

    def one(self, prompt: Prompt, response: str, reference: str | None) -> float:
        return float(self.model.score([prompt], [response], overlong=self.overlong)[0])

    def facts(self) -> dict[str, Any]:
        contract = self.model.contract or self.model.make_contract()
        return {
            "model": self.name,
            "rendering": contract.render_hash,
            "golden": [golden.score for golden in contract.golden],
            "dtype": self.model.dtype,
            "overlong": self.overlong,
        }


class RewardScorer:
    """Reward functions (and models) combined; each one's own scores are told too."""

    def __init__(self, composite: CompositeReward, reference_column: str | None) -> None:
        self.composite, self.reference_column = composite, reference_column

    def rows(self, chunk: Sequence[ScoringRow], advance: Advance) -> list[Scored]:
        from plaudit.evaluation.scoring_rows import reference_of

        items = [item for row in chunk for item in row.items]
        references = [reference_of(row.row, row.location, self.reference_column) for row in chunk for _ in row.items]
        try:
            raw = self.composite.raw(
                [item.prompt for item in items], [item.response for item in items], references=references
            )
            combined = self.composite.combine(raw)
        except ItemError as error:
            if error.index is None:
                raise
            locations = [row.location for row in chunk for _ in row.items]
            raise RowError(_without_index(error), locations[error.index]) from error
        advance(len(chunk))
        scored: list[Scored] = []
        start = 0
        for row in chunk:
            mine = slice(start, start + len(row.items))
            start = mine.stop
            own = {name: [round(float(v), 6) for v in values[mine]] for name, values in raw.items()}
            single = len(row.items) == 1
            parts = {name: values[0] if single else values for name, values in own.items()}
            scored.append(([round(float(v), 6) for v in combined[mine]], {"rewards": parts}))
        return scored

    def one(self, prompt: Prompt, response: str, reference: str | None) -> float:
        return float(self.composite.score([prompt], [response], references=[reference])[0])

    def facts(self) -> dict[str, Any]:
        return {"rewards": self.composite.to_dict(), "reference_column": self.reference_column, "golden": []}


def _without_index(error: ItemError) -> str:
    reward = getattr(error, "reward", None)
    return f"reward {reward!r}: {error.problem}" if reward else error.problem


def load_scorer(
    model: str | None, rewards: Sequence[str], reference_column: str | None, *, overlong: str, **options: Any
) -> RowScorer:
    """A scorer from ``--model`` or from ``--reward``, one of which is given."""
    if model is not None:
        options["trust_remote_code"] = bool(options.get("trust_remote_code"))
        return ModelScorer(load_reward_model(model, **options), model, overlong)
    return RewardScorer(load_rewards(rewards, **options), reference_column)


def load_rewards(rewards: Sequence[str], **options: Any) -> CompositeReward:
    """A composite from values of ``--reward``, one of which may be a YAML file."""
    with waiting("loading the rewards"):
        from plaudit.scorers import composite_from

        given = {name: value for name, value in options.items() if value is not None}
        only = rewards[0]
        if len(rewards) == 1 and only.endswith((".yaml", ".yml")):
            composite = composite_from(only, **given)
        else:
            composite = composite_from(list(rewards), **given)
    if given and not any("model" in component.spec for component in composite.components):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise ConfigError(f"{names}: no effect on reward functions, which are no models; leave it out")
    if len(composite.components) > 1 or composite.normalize != "none":
        say(repr(composite))
    return composite
