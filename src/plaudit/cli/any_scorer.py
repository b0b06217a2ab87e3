"""``--model`` where anything that scores will do: a rule, a composite's YAML, a model, an ensemble."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plaudit.cli.output import say, waiting
from plaudit.errors import ConfigError

if TYPE_CHECKING:
    from plaudit.types import Scorer

__all__ = ["load_any_scorer", "model_options", "needs_model"]


def model_options(**options: Any) -> dict[str, Any]:
    """The options of loading a model that were given."""
    return {name: value for name, value in options.items() if value not in (None, False)}


def load_any_scorer(name: str, options: dict[str, Any]) -> Scorer:
    """`resolve_scorer` with a spinner; says where a model runs.

    Args:
        name: what the user wrote.
        options: those of `model_options`; a rule leaves them alone, since another scorer may need them.
    """
    with waiting(f"loading {name}"):
        from plaudit.scorers import resolve_scorer

        scorer = resolve_scorer(name, **options)
    device = getattr(scorer, "device", None)
    if device is not None:
        say(f"{name} on {device}, {getattr(scorer, 'dtype', '')}")
    return scorer


def needs_model(scorers: list[Scorer], options: dict[str, Any]) -> None:
    """Refuses options of learned models where there is none.

    Raises:
        ConfigError: names the options.
    """
    if options and not any(map(_has_model, scorers)):
        names = ", ".join(f"--{name.replace('_', '-')}" for name in sorted(options))
        raise ConfigError(f"{names}: no effect on reward functions and servers; leave it out")


def _has_model(scorer: Scorer) -> bool:
    from plaudit.rewards import CompositeReward

    if isinstance(scorer, CompositeReward):
        return any(_has_model(component.scorer) for component in scorer.components)
    return hasattr(scorer, "score_items")
