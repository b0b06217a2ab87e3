"""``plaudit data convert``: preference data from one shape into another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from plaudit.cli import options as o
from plaudit.cli.options import DATA, OUTPUT, option
from plaudit.cli.output import advance_bar, cell, print_json, say, simple_table, stdout_console
from plaudit.errors import ConfigError

if TYPE_CHECKING:
    from plaudit.data.convert import ConvertReport

PAIRS, AB = "Rated and ranked responses", "A/B tests"
SHAPES = (
    "pairs (or dpo, trl), sharegpt (or llama-factory), hh, ultrafeedback-binarized, argilla, helpsteer2-preference, "
    "helpsteer3, safe-rlhf, ab, ratings, kto, helpsteer (or helpsteer2), ultrafeedback, argilla-ratings, rankings "
    "(or nectar), ordered, dialogues"
)
EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit data convert ratings.jsonl pairs.jsonl --strategy all --min-gap 1 --margin 1\n"
    "plaudit data convert ratings.csv pairs.parquet --attribute coherence --attribute fluency=0.5\n"
    "plaudit data convert clicks.jsonl pairs.jsonl --evidence z-test --ties drop\n"
    "plaudit data convert votes.jsonl pairs.jsonl --column a=left --column b=right --winner L=a --winner R=b\n"
    "plaudit data convert rankings.jsonl listwise.jsonl --to rankings\n"
    "plaudit data convert pairs.jsonl trl.parquet --to trl\n\n"
    "Each line of output is a pair with prompt, chosen and rejected, unless --to says otherwise. A tie has "
    "soft_label 0.5. Ratings are sorted by prompt in a temporary file (TMPDIR); memory holds one prompt's rows. A "
    ".json file is read whole."
)

Target = Literal["pairs", "messages", "trl", "dpo", "kto", "rankings", "ratings"]


def convert(
    source: Annotated[
        str, typer.Argument(metavar="INPUT", show_default=False, help="File, folder or Hub data set that is read.")
    ],
    output: Annotated[
        str,
        typer.Argument(
            metavar="OUTPUT", show_default=False, help="File to write: .jsonl, .json, .csv, .tsv (or .gz), .parquet."
        ),
    ],
    shape: Annotated[
        str, option("--from", panel=DATA, metavar="SHAPE", help=f"What the rows are (default: found out): {SHAPES}.")
    ] = "auto",
    to: Annotated[
        Target | None,
        option("--to", panel=OUTPUT, help="What they become (default: pairs; dialogues become messages)."),
    ] = None,
    strategy: Annotated[
        Literal["best-worst", "all", "adjacent"] | None,
        option("--strategy", panel=PAIRS, help="Which two of several responses become a pair (default: best-worst)."),
    ] = None,
    min_gap: Annotated[
        float | None,
        option("--min-gap", panel=PAIRS, metavar="X", help="Least difference of two scores or ranks that make a pair."),
    ] = None,
    margin: Annotated[
        float | None,
        option("--margin", panel=PAIRS, metavar="X", help="Write a column margin: the gap, times X (default: none)."),
    ] = None,
    attribute: Annotated[
        list[str] | None,
        option(
            "--attribute",
            panel=PAIRS,
            metavar="NAME[=WEIGHT]",
            help="Of several scores, the one to use; several: their weighted sum. Repeatable.",
        ),
    ] = None,
    ties: Annotated[
        Literal["keep", "drop"] | None,
        option(
            "--ties",
            panel=PAIRS,
            help="Ties: keep them as soft_label 0.5 (default where the data calls it a tie), or drop them (default "
            "where two scores are equal).",
        ),
    ] = None,
    evidence: Annotated[
        Literal["winner", "votes", "clicks", "z-test", "p"] | None,
        option(
            "--evidence", panel=AB, help="What decides (default: votes, else clicks, else p_a or p_b, else winner)."
        ),
    ] = None,
    winner: Annotated[
        list[str] | None,
        option(
            "--winner", panel=AB, metavar="VALUE=SIDE", help="How a winner is spelled; SIDE: a, b, tie. Repeatable."
        ),
    ] = None,
    tie_band: Annotated[
        float | None,
        option("--tie-band", panel=AB, metavar="X", help="A probability less than X away from 0.5 is a tie."),
    ] = None,
    significance: Annotated[
        float | None,
        option("--significance", panel=AB, metavar="X", help="Level of --evidence z-test (default: 0.05)."),
    ] = None,
    weigh_by_certainty: Annotated[
        bool,
        option("--weigh-by-certainty", panel=AB, help="Write a weight in 0 … 1: how much votes or clicks settle."),
    ] = False,
    prompt_column: o.PromptColumn = None,
    chosen_column: o.ChosenColumn = None,
    rejected_column: o.RejectedColumn = None,
    response_column: o.ResponseColumn = None,
    score_column: Annotated[
        str | None, option("--score-column", panel=DATA, metavar="NAME", help="Column with the score of a response.")
    ] = None,
    margin_column: o.MarginColumn = None,
    weight_column: o.WeightColumn = None,
    source_column: o.SourceColumn = None,
    system_column: Annotated[
        str | None, option("--system-column", panel=DATA, metavar="NAME", help="Column with the system message.")
    ] = None,
    group_by: Annotated[
        str | None,
        option("--group-by", panel=DATA, metavar="NAME", help="Compare the ratings of one NAME, not of one prompt."),
    ] = None,
    column: Annotated[
        list[str] | None,
        option(
            "--column",
            panel=DATA,
            metavar="FIELD=NAME",
            help="Other columns: a, b, winner, votes, votes_a, votes_b, votes_tie, p_a, p_b, clicks_a, clicks_b, "
            "impressions_a, impressions_b, responses, ranks, scores. Repeatable.",
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        option("--keep", panel=OUTPUT, metavar="NAME", help="Carry this column over, too. Repeatable."),
    ] = None,
    split: o.Split = None,
    on_bad_row: o.OnBadRow = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Turn ratings, A/B tests, rankings, transcripts and known data sets into pairs, or pairs into what others read."""
    from plaudit.data import Columns
    from plaudit.data.convert import convert_preferences

    with advance_bar("rows", None) as advance:
        conversion = convert_preferences(
            source,
            shape=shape,
            to=to,
            columns=Columns(
                prompt=prompt_column,
                chosen=chosen_column,
                rejected=rejected_column,
                response=response_column,
                score=score_column,
                margin=margin_column,
                weight=weight_column,
                source=source_column,
                system=system_column,
                group_by=group_by,
            ),
            fields=dict(_split("--column", one, "FIELD=NAME") for one in column or ()),
            strategy=strategy,
            min_gap=min_gap,
            margin=margin,
            attributes=dict(_weighted(one) for one in attribute or ()),
            ties=ties,
            evidence=evidence,
            winners=dict(_split("--winner", one, "VALUE=SIDE", from_end=True) for one in winner or ()),
            tie_band=tie_band,
            significance=significance,
            weigh_by_certainty=weigh_by_certainty,
            keep=keep or (),
            split=split,
            on_bad_row=on_bad_row or "error",
            progress=advance,
        )
        report = conversion.write(output, overwrite=overwrite, sources=(source,))
    if as_json:
        print_json({"input": source, "output": output, **report.to_dict()})
    else:
        _show(report)
        say(f"wrote {output}")


def _split(name: str, text: str, form: str, *, from_end: bool = False) -> tuple[str, str]:
    before, sign, after = text.rpartition("=") if from_end else text.partition("=")
    if not (before and sign and after):
        raise ConfigError(f"{name} {text!r}: expected {form}")
    return before, after


def _weighted(text: str) -> tuple[str, float]:
    name, sign, weight = text.rpartition("=")
    if not sign:
        return text, 1.0
    try:
        return name, float(weight)
    except ValueError:
        raise ConfigError(
            f"--attribute {text!r}: the weight {weight!r} is no number; expected NAME or NAME=WEIGHT"
        ) from None


def _show(report: ConvertReport) -> None:
    table = simple_table(">rows", f"{report.shape} to {report.to}")
    counts: list[tuple[int, str]] = [(report.rows, "read"), (report.written, "written")]
    counts += [(report.bad, "skipped: the row cannot be used")] if report.bad else []
    counts += [(count, f"dropped: {reason}") for reason, count in report.dropped.items()]
    counts += [(count, reason) for reason, count in report.notes.items()]
    for count, what in counts:
        table.add_row(f"{count:,}", cell(what))
    stdout_console().print(table)
    for problem in report.problems:
        say(f"skipped: {problem}")
    if report.bad > len(report.problems):
        say(f"skipped: … and {report.bad - len(report.problems):,} more")
    _explain(report)


def _explain(report: ConvertReport) -> None:
    settings: dict[str, Any] = report.settings
    if "shape" in settings:
        say(f"taken for {report.shape} ({settings['shape']}); --from names another shape")
    if "evidence" in settings:
        say(f"decided by {settings['evidence']}; --evidence chooses another")
    if report.left_out:
        say(f"columns left out: {', '.join(report.left_out)}; --keep NAME carries one over")
