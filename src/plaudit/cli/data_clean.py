"""``plaudit data clean``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from plaudit.cli import data_common as c
from plaudit.cli import groups as g
from plaudit.cli import options as o
from plaudit.cli.options import DATA, OUTPUT, option
from plaudit.cli.output import cell, print_json, say, simple_table, stdout_console, step_bars
from plaudit.errors import ConfigError

if TYPE_CHECKING:
    from plaudit.curation.clean import CleanReport

__all__ = ["EPILOG", "clean"]

FINDINGS = (
    "duplicates, near-duplicates, contradictory, empty, identical, near-identical, identical-after-truncation, "
    "too-long, leaked, contaminated, artefacts, language, noise"
)
EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit data clean pairs.jsonl better.jsonl --drop duplicates --drop identical --drop empty\n"
    "plaudit data clean pairs.jsonl better.jsonl --drop contaminated --benchmark rm_bench.jsonl\n"
    "plaudit data clean train.jsonl better.jsonl --drop leaked --against test.jsonl --dry-run\n"
    "plaudit data clean pairs.jsonl better.jsonl --flip noise --noise-threshold 0.8\n"
    "plaudit data clean pairs.jsonl better.jsonl --down-weight noise --full\n"
    "plaudit data clean pairs.jsonl better.jsonl --drop noise --trusted checked.jsonl\n"
    "plaudit data clean pairs.jsonl better.jsonl --drop near-duplicates --balance source\n\n"
    f"Findings: {FINDINGS}. plaudit data inspect shows them.\n\n"
    "Labels are flipped first; rows are dropped by the labels as they then are; kept rows are weighted; sources are "
    "balanced last. OUTPUT has the kept rows in their order with all their columns; OUTPUT.ledger.jsonl says what "
    "became of every other row, and why. Memory grows with the number of rows (about 0.7 kB each) and with the sample."
)


@g.with_groups
def clean(
    data: c.Source,
    output: c.Output,
    drop: Annotated[
        list[str] | None,
        option(
            "--drop", panel=DATA, metavar="FINDING", help="Remove the rows with this finding (see below). Repeatable."
        ),
    ] = None,
    flip: Annotated[
        list[str] | None,
        option(
            "--flip",
            panel=DATA,
            metavar="FINDING",
            help="Exchange the sides where the label is probably wrong (noise), or where more rows say the opposite "
            "(contradictory). Repeatable.",
        ),
    ] = None,
    down_weight: Annotated[
        Literal["noise"] | None,
        option("--down-weight", panel=DATA, help="Multiply weights by the probability that the label is right."),
    ] = None,
    balance: Annotated[
        Literal["source"] | None,
        option("--balance", panel=DATA, help="Of each source keep as many rows as the smallest has."),
    ] = None,
    noise_threshold: Annotated[
        float | None,
        option(
            "--noise-threshold",
            panel=DATA,
            metavar="P",
            help="Drop or flip labels that are wrong with at least this probability (default: 0.5).",
        ),
    ] = None,
    trusted: Annotated[
        list[str] | None,
        option("--trusted", panel=DATA, metavar="FILE", help="Pairs with right labels, for noise. Repeatable."),
    ] = None,
    embeddings: Annotated[
        bool,
        option("--embeddings/--no-embeddings", panel=DATA, help="Find noise with embeddings, or by words alone."),
    ] = True,
    sample: Annotated[
        int | None,
        option("--sample", panel=DATA, metavar="N", min=20, help="Rows that noise and language look at (20,000)."),
    ] = None,
    full: Annotated[bool, option("--full", panel=DATA, help="Noise and language look at all rows, in memory.")] = False,
    weight_column: o.WeightColumn = None,
    dry_run: Annotated[bool, option("--dry-run", panel=OUTPUT, help="Say what would happen; write nothing.")] = False,
    *,
    names: g.DataColumns,
    compared: c.Compared,
    run: c.Run,
    talk: g.Talk,
) -> None:
    """Mend data: drop, flip, weight or balance rows, with a ledger of every change."""
    if full and sample is not None:
        raise ConfigError("--full looks at all rows, --sample at some: give one of the two")
    from plaudit.curation.clean import SAMPLE, clean_preferences
    from plaudit.data import Columns

    columns = Columns(**names.names(), weight=weight_column)
    rows = c.rows_total(data)
    with step_bars(lambda step: None if step == "label noise" else rows) as progress:
        report = clean_preferences(
            data,
            output,
            drop=drop or (),
            flip=flip or (),
            down_weight=(down_weight,) if down_weight else (),
            balance=balance,
            noise_threshold=noise_threshold,
            trusted=trusted or (),
            embeddings=embeddings,
            sample=None if full else SAMPLE if sample is None else sample,
            columns=columns,
            dry_run=dry_run,
            progress=progress,
            **compared.given(),
            **run.given(),
        )
    if talk.as_json:
        print_json(report.to_dict() | {"output": None if dry_run else str(output), "dry_run": dry_run})
        return
    _print(report)
    if dry_run:
        say("dry run: nothing was written")
    else:
        say(f"wrote {output} and {report.ledger}")


def _print(report: CleanReport) -> None:
    table = simple_table("action", "finding", ">rows", ">share")
    for action, counts in (("drop", report.dropped), ("flip", report.flipped), ("weight", report.weighted)):
        for reason, count in counts.items():
            table.add_row(action, cell(reason), f"{count:,}", f"{count / report.rows:.1%}")
    table.add_row(cell("keep", "bold"), "", cell(f"{report.kept:,}", "bold"), f"{report.kept / report.rows:.1%}")
    stdout_console().print(table)
    changes = len(report.dropped) + len(report.flipped) + len(report.weighted)
    for line in [report.lines()[0], *report.lines()[1 + changes :]]:
        say(line)
