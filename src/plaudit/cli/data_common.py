"""What the commands of ``plaudit data`` that write rows share: arguments, options, the end of a run."""

from __future__ import annotations

import sys
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plaudit.cli.groups import OptionGroup
from plaudit.cli.options import DATA, MODEL, OUTPUT, MaxLength, OnBadRow, Overwrite, Split, option
from plaudit.cli.output import print_json, say
from plaudit.errors import ConfigError

if TYPE_CHECKING:
    from plaudit.data.passes import RowReport
    from plaudit.types import Scorer

__all__ = [
    "Against",
    "Benchmarks",
    "Compared",
    "Output",
    "Run",
    "Seed",
    "Source",
    "TokensOf",
    "load_judge",
    "rows_total",
    "tell",
]

Source = Annotated[
    str, typer.Argument(metavar="DATA", show_default=False, help="File, folder or Hub data set that is read.")
]
Output = Annotated[
    Path,
    typer.Argument(
        metavar="OUTPUT", show_default=False, help="File to write: .jsonl, .json, .csv, .tsv (or .gz), .parquet."
    ),
]
Seed = Annotated[
    int, option("--seed", panel=OUTPUT, metavar="N", show_default=True, help="Another one draws otherwise.")
]


Against = Annotated[
    list[str] | None,
    option("--against", panel=DATA, metavar="FILE", help="Another split: no prompt may be in both. Repeatable."),
]
Benchmarks = Annotated[
    list[str] | None,
    option("--benchmark", panel=DATA, metavar="FILE", help="A benchmark that no prompt may be in. Repeatable."),
]
TokensOf = Annotated[
    str | None,
    option("--model", "-m", panel=MODEL, metavar="NAME", help="Whose tokens count (default: the embedded base)."),
]


@dataclass(frozen=True)
class Compared(OptionGroup):
    """What rows are compared with, and whose tokens count."""

    against: Against = None
    benchmark: Benchmarks = None
    model: TokensOf = None
    max_length: MaxLength = None

    def given(self) -> dict[str, Any]:
        """As the functions of the library take them."""
        files = {"against": self.against or (), "benchmarks": self.benchmark or ()}
        return files | {"model": self.model, "max_length": self.max_length}


@dataclass(frozen=True)
class Run(OptionGroup):
    """How rows are read and written."""

    split: Split = None
    on_bad_row: OnBadRow = None
    seed: Seed = 0
    overwrite: Overwrite = False

    def given(self) -> dict[str, Any]:
        """As the functions of the library take them."""
        return {f.name: getattr(self, f.name) for f in fields(self)} | {"on_bad_row": self.on_bad_row or "error"}


def rows_total(source: str, passes: int = 1) -> int | None:
    """How many rows all passes read, where somebody watches and counting is cheap."""
    if not sys.stderr.isatty():
        return None
    from plaudit.data.read import count_rows, suffix_of

    path = Path(source).expanduser()
    cheap = suffix_of(path) in (".jsonl", ".ndjson", ".parquet") and path.is_file()
    return passes * count_rows(path) if cheap else None


def tell(report: RowReport, output: Path | str, *, as_json: bool, more: dict[str, Any] | None = None) -> None:
    """The report of a run: JSON on stdout, or lines for the person."""
    if as_json:
        print_json(report.to_dict() | {"output": str(output)} | (more or {}))
        return
    for line in report.lines():
        say(line)
    say(f"wrote {output}")


def load_judge(model: str | None, rewards: list[str] | None, options: dict[str, Any]) -> Scorer | None:
    """The scorer that ``--model`` or ``--reward`` names; None without both.

    Args:
        model, rewards: what was named; one of the two at most.
        options: of loading a model, those that were given.

    Raises:
        ConfigError: both are named, or an option has no effect.
    """
    if model is not None and rewards:
        raise ConfigError("give --model NAME or --reward NAME[=WEIGHT] (once or several times), one of the two")
    if model is not None:
        from plaudit.cli.loading import load_reward_model

        return load_reward_model(model, **options)
    if rewards:
        from plaudit.cli.scoring import load_rewards

        if "batching" in options:
            raise ConfigError("--batching belongs to --model; leave it out")
        return load_rewards(rewards, **options)
    if options:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in options)
        raise ConfigError(f"{names}: no effect without --model; leave it out")
    return None
