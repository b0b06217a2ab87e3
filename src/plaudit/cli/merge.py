"""``plaudit merge``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from plaudit.cli import groups as g
from plaudit.cli import options as o
from plaudit.cli.options import DATA, OUTPUT, option
from plaudit.cli.output import advance_bar, cell, print_json, quoted, say, simple_table, stdout_console, waiting
from plaudit.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

    from plaudit.evaluation.soup import MergeReport, SoupFigures

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit merge my-rm-1 my-rm-2 my-rm-3 --output merged --data held-out.jsonl\n"
    "plaudit merge my-ensemble -o merged --data held-out.jsonl --method greedy\n\n"
    "The average costs what one model costs, an ensemble what all do. Of models fine-tuned from one base it is often "
    "about as good; nothing guarantees it, so give --data."
)

Models = Annotated[
    list[str],
    typer.Argument(metavar="MODEL…", show_default=False, help="Folders of reward models, or of an ensemble."),
]


@g.with_groups
def merge(
    models: Models,
    output: Annotated[
        Path, option("--output", "-o", panel=OUTPUT, metavar="DIR", help="Folder for the averaged reward model.")
    ],
    method: Annotated[
        Literal["uniform", "greedy"],
        option("--method", panel=o.MODEL, show_default=True, help="All, or best first as long as --data gains."),
    ] = "uniform",
    data: Annotated[
        str | None, option("--data", panel=DATA, metavar="SRC", help="Held-out pairs: figures beside the members'.")
    ] = None,
    group_by: o.GroupBy = None,
    overlong: o.OverlongOption = "error",
    device: o.Device = None,
    device_fallback: o.DeviceFallback = None,
    trust_remote_code: o.TrustRemoteCode = False,
    overwrite: o.Overwrite = False,
    *,
    sides: g.Sides,
    reading: g.Reading,
    talk: g.Talk,
) -> None:
    """Average the weights of reward models that were trained from one base; adapters are merged in first."""
    given: dict[str, object] = {**vars(sides), "group_by": group_by, **vars(reading)}
    given |= {"overlong": None if overlong == "error" else overlong}
    if data is None and (unread := [f"--{n.replace('_', '-')}" for n, value in given.items() if value is not None]):
        raise ConfigError(f"{', '.join(unread)}: no effect without --data; leave it out")
    with waiting("loading"):
        from plaudit.data import Columns, load_preferences
        from plaudit.evaluation.soup import merge_models
        from plaudit.models.merge import expand_members

        members = expand_members(models)
        _check_output(output, [*members, *map(Path, models)], overwrite=overwrite)
        columns = Columns(**sides.names(), group_by=group_by)
        pairs = None
        if data is not None:
            pairs = load_preferences(data, columns=columns, **reading.given())
            for line in pairs.report.lines():
                say(line)
    passes = 2 * len(members) if method == "greedy" else len(members) + 1
    with advance_bar("pairs", None if pairs is None else passes * len(pairs)) as advance:
        merged = merge_models(
            models,
            method=method,
            data=pairs,
            overlong=overlong,
            source=data or "",
            progress=advance,
            device=device,
            device_fallback=device_fallback,
            trust_remote_code=trust_remote_code,
        )
    with waiting(f"saving {output}"):
        merged.save(output)
    report = merged.report
    if talk.as_json:
        print_json({"output": str(output), **report.to_dict()})
    elif report.merged is not None:
        stdout_console().print(_table(report))
    for line in [f"beware: {report.caution}"] if report.caution else []:
        say(line)
    say(f"averaged {len(report.kept)} of {len(members)} models: wrote {output}")
    say(f"next: plaudit verify {quoted(output)}")


def _check_output(output: Path, members: list[Path], *, overwrite: bool) -> None:
    for member in members:
        inside = output.resolve() in [member.resolve(), *member.resolve().parents]
        if inside:
            raise OutputError(f"{output} is or holds {member}, which is read; choose another output")
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; choose a folder")
    if output.exists() and any(output.iterdir()) and not overwrite:
        raise OutputError(f"{output} exists already; choose another output, or replace it with --overwrite")


def _table(report: MergeReport) -> Table:
    table = simple_table("", "in it", ">accuracy", "95% interval", ">NLL", "95% interval")
    short = len({Path(name).name for name in report.members}) == len(report.members)
    for name, figures in report.members.items():
        assert figures is not None
        shown = Path(name).name if short else name
        table.add_row(cell(shown, fit=True), "yes" if name in report.kept else "no", *_cells(figures, ""))
    assert report.merged is not None
    table.add_row(cell("average", "bold"), "", *_cells(report.merged, "bold"))
    return table


def _cells(figures: SoupFigures, style: str) -> list[Text | str]:
    accuracy, nll = figures.accuracy, figures.nll
    return [
        cell(f"{accuracy.value:.3f}", style),
        f"{accuracy.low:.3f} – {accuracy.high:.3f}",
        cell(f"{nll.value:.4f}", style),
        f"{nll.low:.3f} – {nll.high:.3f}",
    ]
