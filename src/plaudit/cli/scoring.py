"""What scores rows on the command line: a learned model, or reward functions, loaded once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from plaudit.cli.any_scorer import needs_model
from plaudit.cli.loading import load_reward_model
from plaudit.cli.output import say, waiting
from plaudit.errors import ConfigError
from plaudit.evaluation.row_scorers import ModelScorer, RewardScorer, RowScorer, Scored

if TYPE_CHECKING:
    from plaudit.models.ensemble import Ensemble
    from plaudit.models.reward_model import RewardModel
    from plaudit.rewards.composite import CompositeReward

__all__ = ["ModelScorer", "RewardScorer", "RowScorer", "Scored", "load_rewards", "load_scorer"]


def load_scorer(
    model: str | None, rewards: Sequence[str], reference_column: str | None, *, overlong: str, **options: Any
) -> RowScorer:
    """A scorer from ``--model`` or from ``--reward``, one of which is given; ``attributes``: a model's are told too."""
    attributes = options.pop("attributes", None)
    if model is not None and model.lower().startswith(("http://", "https://")):
        given = {"attributes": attributes, "overlong": overlong if overlong != "error" else None} | options
        return RewardScorer(load_rewards([model], **given), None, references=False)
    if model is not None:
        options["trust_remote_code"] = bool(options.get("trust_remote_code"))
        if attributes:
            return _attribute_scorer(load_reward_model(model, **options), model, overlong)
        return ModelScorer(load_reward_model(model, **options), model, overlong)
    return RewardScorer(load_rewards(rewards, **options), reference_column)


def _attribute_scorer(model: RewardModel | Ensemble, name: str, overlong: str) -> RowScorer:
    from plaudit.evaluation.attribute_rows import AttributeScorer
    from plaudit.models.ensemble import Ensemble

    if isinstance(model, Ensemble):
        raise ConfigError(f"{name} is an ensemble, which has one score; give --attributes with one of its members")
    return AttributeScorer(model, name, overlong)


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
    needs_model([composite], given)
    if len(composite.components) > 1 or composite.normalize != "none":
        say(repr(composite))
    return composite
