"""Other names of the options of ``plaudit train``, as users of other trainers know them.

An alias is a hidden copy of its option: it takes the same values, the help leaves it out, and giving one setting two
different values under two names is an error. Knows nothing about what the options do.
"""

from __future__ import annotations

import copy
from typing import Any

from typer.core import TyperCommand, TyperOption

from plaudit.errors import ConfigError

__all__ = ["ALIASES", "AliasedCommand", "alias_table"]

ALIASES = {
    "--data-path": "--data",
    "--dataset-name": "--data",
    "--dataset-split": "--split",
    "--prompt-text-column": "--prompt-column",
    "--text-column": "--chosen-column",
    "--rejected-text-column": "--rejected-column",
    "--repo-id": "--model",
    "--base-model": "--model",
    "--base-model-name": "--model",
    "--max-seq-length": "--max-length",
    "--max-sequence-length": "--max-length",
    "--use-lora": "--peft",
    "--lora-target-modules": "--target-modules",
    "--lr": "--learning-rate",
    "--num-epochs": "--epochs",
    "--num-train-epochs": "--epochs",
    "--per-device-train-batch-size": "--batch-size",
    "--gradient-accumulation-steps": "--gradient-accumulation",
    "--center-rewards-coefficient": "--center-rewards",
    "--label-smoothing-factor": "--label-smoothing",
    "--project-name": "--output",
    "--save-directory": "--output",
    "--output-dir": "--output",
}
"""Alias -> the option that it means. Hyphens stand for underscores too, as in every option."""


class AliasedCommand(TyperCommand):
    """A command whose options answer to their `ALIASES` too."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        by_name = {name: p for p in self.params if isinstance(p, TyperOption) for name in p.opts}
        self.aliases = {_alias(by_name[main], name): by_name[main] for name, main in ALIASES.items()}
        self.params.extend(self.aliases)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Without a column of ``--no-…`` names, which would leave no room for the others."""
        params = self.params
        self.params = [copy.copy(option) for option in params]
        for option in self.params:
            option.secondary_opts = []
        try:
            super().format_help(ctx, formatter)
        finally:
            self.params = params

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest: list[str] = super().parse_args(ctx, args)
        written: dict[str, str] = {}  # parameter -> the name it was given under
        for option in self.params:
            if option.name in ctx.params and _was_given(ctx, option.name):
                written[option.name] = option.opts[0]
        for alias, option in self.aliases.items():
            value = ctx.params.pop(alias.name, None)
            if alias.name not in written:
                continue
            if option.name in written and ctx.params[option.name] != value:
                raise ConfigError(
                    f"{written[option.name]} {ctx.params[option.name]} and {alias.opts[0]} {value} set the same thing; "
                    "give one of them"
                )
            ctx.params[option.name] = value
            written[option.name] = alias.opts[0]
        return rest


def _alias(option: TyperOption, name: str) -> TyperOption:
    alias = copy.copy(option)
    alias.name = "alias_" + name.removeprefix("--").replace("-", "_")
    alias.opts, alias.secondary_opts = [name], []
    alias.hidden, alias.default = True, None
    return alias


def _was_given(ctx: Any, name: str) -> bool:
    return getattr(ctx.get_parameter_source(name), "name", "") == "COMMANDLINE"


def alias_table(command: Any) -> dict[str, str]:
    """Every alias and hidden option of a command -> what it means, by name."""
    rows = {alias.opts[0]: option.opts[0] for alias, option in command.aliases.items()}
    for option in command.params:
        if option.hidden and option not in command.aliases:
            rows[option.opts[0]] = option.help
    return dict(sorted(rows.items()))
