"""Options that belong together, declared once and taken by a command as one value.

A command decorated with `with_groups` has a parameter for each group; on the command line the fields of the group stand
in its place.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any

from plaudit.cli import options as o

__all__ = ["DataColumns", "Loading", "OptionGroup", "PairColumns", "Reading", "Sides", "Talk", "with_groups"]


class OptionGroup:
    """A frozen dataclass whose fields are options, each with its default."""


@dataclass(frozen=True)
class Loading(OptionGroup):
    """How models are loaded."""

    device: o.Device = None
    device_fallback: o.DeviceFallback = None
    dtype: o.DtypeOption = None
    batching: o.Batching = None
    revision: o.Revision = None
    trust_remote_code: o.TrustRemoteCode = False

    def given(self) -> dict[str, Any]:
        """Those that were given, by the names of `plaudit.models.reward_model.RewardModel.from_pretrained`."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in values.items() if value not in (None, False)}


@dataclass(frozen=True)
class Sides(OptionGroup):
    """The columns of a preference pair."""

    prompt_column: o.PromptColumn = None
    chosen_column: o.ChosenColumn = None
    rejected_column: o.RejectedColumn = None

    def names(self) -> dict[str, Any]:
        """As `plaudit.data.Columns` takes them."""
        return {f.name.removesuffix("_column"): getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class PairColumns(Sides):
    """The columns of a preference pair, and where it comes from."""

    source_column: o.SourceColumn = None


@dataclass(frozen=True)
class DataColumns(PairColumns):
    """The columns of pairs or of ratings."""

    response_column: Annotated[
        str | None, o.option("--response-column", panel=o.DATA, metavar="NAME", help="Of ratings: the response.")
    ] = None
    score_column: Annotated[
        str | None, o.option("--score-column", panel=o.DATA, metavar="NAME", help="Of ratings: the number.")
    ] = None


@dataclass(frozen=True)
class Reading(OptionGroup):
    """Which rows of the data are read."""

    split: o.Split = None
    max_samples: o.MaxSamples = None
    on_bad_row: o.OnBadRow = None

    def given(self) -> dict[str, Any]:
        """As `plaudit.data.load_preferences` takes them."""
        return {"split": self.split, "max_samples": self.max_samples, "on_bad_row": self.on_bad_row or "error"}


@dataclass(frozen=True)
class Talk(OptionGroup):
    """What is printed."""

    as_json: o.Json = False
    verbose: o.Verbose = False
    debug: o.Debug = False


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the fields of its groups in the place of the groups."""
    wanted = inspect.signature(command, eval_str=True)
    groups: dict[str, type[OptionGroup]] = {}
    shown: list[inspect.Parameter] = []
    for parameter in wanted.parameters.values():
        kind = parameter.annotation
        if isinstance(kind, type) and issubclass(kind, OptionGroup):
            groups[parameter.name] = kind
            shown += inspect.signature(kind, eval_str=True).parameters.values()
        else:
            shown.append(parameter)

    @functools.wraps(command)
    def run(**given: Any) -> None:
        values = {
            name: group(**{each: given.pop(each) for each in inspect.signature(group).parameters})
            for name, group in groups.items()
        }
        command(**given, **values)

    options = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in shown]
    run.__signature__ = inspect.Signature(options, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in options}
    return run
