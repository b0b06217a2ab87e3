"""``plaudit data label``"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from plaudit.cli import options as o
from plaudit.cli.options import DATA, OUTPUT, option
from plaudit.cli.output import advance_bar, cell, print_json, quoted, say, shorten, simple_table, stdout_console
from plaudit.errors import ConfigError

if TYPE_CHECKING:
    from plaudit.cli.output import Advance
    from plaudit.curation.label import LabelReport, Queue
    from plaudit.metrics import Interval

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit data label queue.jsonl\n"
    "plaudit data label queue.jsonl --annotator anna --port 8765 --no-browser\n"
    "plaudit data label queue.jsonl --report\n"
    "plaudit data label queue.jsonl --export pairs.jsonl --ties drop\n\n"
    "A row has a prompt, if there is one, and response_a and response_b, or responses, a list of two, or chosen and "
    "rejected (which is which is not shown). Judgements are in QUEUE.labels.db, each on the disk before the next row "
    "appears; the page goes on where it was. The page needs pip install 'plaudit\\[label]'."
)

PAGE = "Page"


def label(
    queue: Annotated[
        Path, typer.Argument(metavar="QUEUE", show_default=False, help="JSON Lines, JSON, CSV, Parquet, or a folder.")
    ],
    report: Annotated[bool, option("--report", panel=OUTPUT, help="Print agreement and position bias.")] = False,
    export: Annotated[
        Path | None, option("--export", panel=OUTPUT, metavar="FILE", help="Write the judged rows as preference pairs.")
    ] = None,
    database: Annotated[
        Path | None, option("--database", panel=DATA, metavar="FILE", help="Of the judgements (default: beside QUEUE).")
    ] = None,
    prompt_column: o.PromptColumn = None,
    chosen_column: Annotated[
        str | None, option("--chosen-column", panel=DATA, metavar="NAME", help="Column with the first response.")
    ] = None,
    rejected_column: Annotated[
        str | None, option("--rejected-column", panel=DATA, metavar="NAME", help="Column with the other response.")
    ] = None,
    on_bad_row: o.OnBadRow = None,
    annotator: Annotated[
        str | None, option("--annotator", panel=PAGE, metavar="NAME", help="Who labels (default: the page asks).")
    ] = None,
    overlap: Annotated[
        int | None,
        option("--overlap", panel=PAGE, metavar="K", min=1, help="K annotators suffice a row (default: all see all)."),
    ] = None,
    port: Annotated[
        int | None, option("--port", panel=PAGE, metavar="N", min=1, max=65535, help="Port (default: a free one).")
    ] = None,
    no_browser: Annotated[bool, option("--no-browser", panel=PAGE, help="Only print the address.")] = False,
    ties: Annotated[
        Literal["keep", "drop"] | None,
        option("--ties", panel=OUTPUT, help="Rows with neither side preferred (default: keep, soft_label 0.5)."),
    ] = None,
    aggregate: Annotated[
        Literal["soft", "majority"] | None,
        option("--aggregate", panel=OUTPUT, help="The annotators' share (default: soft), or their commonest verdict."),
    ] = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Label pairs on a local page, by keyboard; report agreement; export pairs."""
    page = {"annotator": annotator, "overlap": overlap, "port": port, "no-browser": no_browser or None}
    exporting = {"ties": ties, "aggregate": aggregate, "overwrite": overwrite or None}
    if report and export is not None:
        raise ConfigError("--report and --export: one at a time")
    if report or export is not None:
        _refuse(page, "labelling, without --report and --export")
    if export is None:
        _refuse(exporting, "--export FILE")
    if as_json and not report and export is None:
        raise ConfigError("--json belongs to --report and --export")
    with ExitStack() as reading:
        from plaudit.curation import label as labelling
        from plaudit.data import Columns

        progress = _counter(reading.enter_context(advance_bar("rows", None)))
        columns = Columns(prompt=prompt_column, chosen=chosen_column, rejected=rejected_column)
        rows = labelling.Queue(queue, columns=columns, on_bad_row=on_bad_row or "error", progress=progress)
        where = labelling.default_database(queue) if database is None else database
        if report:
            found = labelling.label_report(rows, where)
            reading.close()
            _print_report(found, as_json)
            _say_skipped(rows)
        elif export is not None:
            chosen: Any = {"ties": ties or "keep", "aggregate": aggregate or "soft", "overwrite": overwrite}
            counts = labelling.export_labels(rows, export, where, **chosen)
            reading.close()
            _print_export(counts.to_dict(), export, as_json)
            _say_skipped(rows)
        else:
            options: Any = {"annotator": annotator, "overlap": overlap, "port": port or 0, "browser": not no_browser}
            _serve(rows, where, reading, options)


def _refuse(options: dict[str, Any], belongs_to: str) -> None:
    given = [f"--{name}" for name, value in options.items() if value is not None]
    if given:
        raise ConfigError(f"{', '.join(given)}: no effect here; belongs to {belongs_to}")


def _counter(advance: Advance) -> Callable[[int], None]:
    """Rows read so far -> steps of the bar; a second pass starts again."""
    seen = 0

    def count(rows: int) -> None:
        nonlocal seen
        advance(rows - seen)
        seen = rows

    return count


def _serve(rows: Queue, database: Path, reading: ExitStack, options: Any) -> None:
    from plaudit.curation.label import label_queue

    def ready(address: str, judgements: int) -> None:
        reading.close()
        _say_skipped(rows)
        say(f"{rows.rows:,} rows, {judgements:,} judgements so far in {database}")
        say(f"label at {address}")
        say("every judgement is stored at once; Ctrl-C ends it")

    judgements = label_queue(rows, database, ready=ready, **options)
    say(f"{judgements:,} judgements are stored in {database}")
    say(f"agreement: plaudit data label {quoted(rows.path)} --report   pairs: --export FILE")


def _say_skipped(rows: Queue) -> None:
    for problem in rows.problems:
        say(f"skipped: {problem}")
    if rows.bad > len(rows.problems):
        say(f"… and {rows.bad - len(rows.problems):,} more")


# -- what was judged ---------------------------------------------------------------------------------------------------


def _print_export(counts: dict[str, int], output: Path, as_json: bool) -> None:
    if as_json:
        print_json({"output": str(output), **counts})
    ties = f", {counts['ties']:,} of them ties" if counts["ties"] else ""
    say(f"wrote {counts['written']:,} pairs{ties}, to {output}")
    left_out = [f"{counts['unjudged']:,} not judged yet"] if counts["unjudged"] else []
    left_out += [f"{counts['ties_dropped']:,} ties"] if counts["ties_dropped"] else []
    if left_out:
        say(f"left out of {counts['rows']:,} rows: {', '.join(left_out)}")


def _print_report(report: LabelReport, as_json: bool) -> None:
    if as_json:
        print_json(report.to_dict())
        return
    if not report.annotators:
        say(f"no judgements yet: 0 of {report.rows:,} rows")
        return
    console = stdout_console()
    people = simple_table("annotator", ">judged", ">ties", ">skipped", ">undone", ">left", "95% interval")
    everyone = {"all": report.everyone} if len(report.annotators) > 1 else {}
    for name, figures in (report.annotators | everyone).items():
        counts = (figures.judged, figures.ties, figures.skipped, figures.undone)
        value, interval = _share(figures.left)
        people.add_row(cell(shorten(name, 18)), *(f"{count:,}" for count in counts), value, interval)
    console.print(people)
    say("left: share of left choices, ties apart; 0.500 is no preference for a side")
    say(f"{report.judged:,} of {report.rows:,} rows judged, {report.shared:,} of them by several annotators")
    if not report.shared:
        say("agreement needs rows that several annotators have judged")
        return
    agreement = simple_table("agreement", ">rows", ">raw", ">chance-corrected", "measure")
    agreement.add_row(
        "all", f"{report.shared:,}", _number(report.agreement), _number(report.alpha), "Krippendorff's alpha"
    )
    for pair in report.pairs:
        names = f"{shorten(pair.first, 14)}, {shorten(pair.second, 14)}"
        kappa = _number(pair.kappa)
        agreement.add_row(cell(names), f"{pair.rows:,}", _number(pair.agreement), kappa, "Cohen's kappa")
    console.print(agreement)


def _share(interval: Interval | None) -> tuple[str, str]:
    return ("–", "") if interval is None else (f"{interval.value:.3f}", f"{interval.low:.3f} – {interval.high:.3f}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
