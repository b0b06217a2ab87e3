"""``plaudit data inspect``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from plaudit.cli import data_common as c
from plaudit.cli import groups as g
from plaudit.cli.options import DATA, OUTPUT, option
from plaudit.cli.output import cell, print_json, say, shorten, simple_table, stdout_console, step_bars
from plaudit.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from rich.console import Console

    from plaudit.curation.inspect import Finding, InspectReport

__all__ = ["EPILOG", "inspect"]

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit data inspect pairs.jsonl\n"
    "plaudit data inspect pairs.jsonl --html report.html\n"
    "plaudit data inspect train.jsonl --against test.jsonl --benchmark rm_bench.jsonl\n"
    "plaudit data inspect pairs.jsonl --model my-rm --max-length 512 --json > report.json\n"
    "plaudit data inspect pairs.jsonl --no-embeddings\n\n"
    "Every row is read; what needs embeddings (prompt clusters, label noise) works on a sample. Memory grows with the "
    "number of rows (about 0.7 kB each) and with the sample, not with the length of texts."
)
SHOWN_SOURCES, SHOWN_HITS = 8, 3


@g.with_groups
def inspect(
    data: c.Source,
    sample: Annotated[
        int | None,
        option(
            "--sample",
            panel=DATA,
            metavar="N",
            min=20,
            help="Rows for what needs embeddings (default: a minute's work).",
        ),
    ] = None,
    full: Annotated[
        bool, option("--full", panel=DATA, help="All rows for everything, kept in memory; takes long.")
    ] = False,
    embeddings: Annotated[
        bool,
        option("--embeddings/--no-embeddings", panel=DATA, help="Prompt clusters and label noise, or neither."),
    ] = True,
    html: Annotated[
        Path | None, option("--html", panel=OUTPUT, metavar="FILE", help="Write one page with plots and examples, too.")
    ] = None,
    *,
    names: g.DataColumns,
    compared: c.Compared,
    run: c.Run,
    talk: g.Talk,
) -> None:
    """Look at data: what is in it, what is wrong with it, and the command that mends it."""
    _check(html, run.overwrite, full, sample, embeddings)
    from plaudit.curation.inspect import inspect_preferences
    from plaudit.curation.inspect.run import EMBEDDED_ROWS
    from plaudit.data import Columns

    read = run.given()
    del read["overwrite"]  # of the page
    rows = c.rows_total(data)
    with step_bars(lambda step: rows if step == "rows" else None) as progress:
        report = inspect_preferences(
            data,
            columns=Columns(**names.names()),
            sample=None if full else sample or EMBEDDED_ROWS,
            embeddings=embeddings,
            progress=progress,
            **compared.given() | {"model": compared.model or "embedded"},
            **read,
        )
    if html is not None:
        from plaudit.curation.inspect.page import write_page

        write_page(report, html)
    if talk.as_json:
        print_json(report.to_dict())
    else:
        _print(report, stdout_console())
    if html is not None:
        say(f"wrote {html}")


def _check(html: Path | None, overwrite: bool, full: bool, sample: int | None, embeddings: bool) -> None:
    """Refuses what cannot work before anything is read."""
    if overwrite and html is None:
        raise ConfigError("--overwrite belongs to --html; leave it out")
    if html is not None and html.is_dir():
        raise OutputError(f"{html} is a folder; choose another name")
    if html is not None and html.exists() and not overwrite:
        raise OutputError(f"{html} exists already; --overwrite replaces it")
    if full and sample is not None:
        raise ConfigError("--full and --sample: one of the two")
    if sample is not None and not embeddings:
        raise ConfigError("--sample has no effect with --no-embeddings; leave one of the two out")


# -- printing --------------------------------------------------------------------------------------------------------


def _print(report: InspectReport, console: Console) -> None:
    _print_head(report, console)
    _print_columns(report, console)
    _print_lengths(report, console)
    if report.shortcuts:
        _print_shortcuts(report, console)
    _print_content(report, console)
    _print_findings(report, console)
    if report.not_checked:
        console.print("Not checked", style="bold")
        for name, reason in report.not_checked.items():
            console.print(cell(f"  {name}: {reason}"))


def _print_head(report: InspectReport, console: Console) -> None:
    rows = f"{report.good:,} {report.kind}, {report.prompts:,} prompts"
    rows += f" (up to {report.most_rows:,} rows of one)" if report.most_rows > 1 else ""
    more = [f"{report.ties:,} ties"] * bool(report.ties) + [f"{report.soft:,} soft labels"] * bool(report.soft)
    console.print(cell(report.name, "bold"))
    console.print(cell("; ".join([rows, *more])))
    if report.bad:
        console.print(cell(f"{report.bad:,} of {report.rows:,} rows cannot be used:", "bold red"))
        for problem in report.problems:
            console.print(cell(f"  {problem}"))


def _print_columns(report: InspectReport, console: Console) -> None:
    if not report.columns:
        return
    table = simple_table("column", "type", ">filled", "example")
    for column in report.columns:
        kinds = ", ".join(column["types"]) or "–"
        example = "–" if column["example"] is None else shorten(column["example"], 200)
        table.add_row(
            cell(shorten(column["name"], 24), "bold"), cell(kinds), _percent(column["filled"]), cell(example, fit=True)
        )
    console.print(table)


def _print_lengths(report: InspectReport, console: Console) -> None:
    table = simple_table("length", ">10%", ">median", ">90%", ">99%", ">most", ">mean")
    for length in report.lengths:
        table.add_row(
            f"{length.part}, {length.unit}", *(f"{value:,}" for value in length.quantiles[1:]), f"{length.mean:,.1f}"
        )
    console.print(table)
    if report.tokens is not None:
        tokens = report.tokens
        low, high = tokens["special_tokens_a_text"]
        special = f"{low}" if low == high else f"{low} to {high}"
        console.print(
            cell(
                f"Tokens of {tokens['model']}, counted word by word; a whole text has {special} more. "
                f"Limit: {tokens['max_length']:,} (--max-length); {tokens['texts_rendered']:,} texts were rendered."
            )
        )
        console.print()


def _print_shortcuts(report: InspectReport, console: Console) -> None:
    console.print(cell("The bar: what rules reach that understand nothing", "bold"))
    table = simple_table("rule", ">right", "95% interval", ">decides", "")
    for rule in report.shortcuts:
        a = rule.accuracy
        table.add_row(
            cell(rule.name),
            f"{a.value:.3f}",
            f"{a.low:.3f} – {a.high:.3f}",
            _percent(rule.decided / rule.pairs),
            rule.note,
        )
    console.print(table)
    if report.length_bins:
        merged = [report.length_bins[place : place + 2] for place in range(0, len(report.length_bins), 2)]
        shares = [sum(b.longer_wins * b.pairs for b in two) / sum(b.pairs for b in two) for two in merged]
        names = [f">{_short(two[0].low)}–{_short(two[-1].high)}" for two in merged]
        table = simple_table("characters longer", *names)
        table.add_row("longer wins", *(f"{share:.2f}" for share in shares))
        console.print(table)


def _print_content(report: InspectReport, console: Console) -> None:
    if len(report.sources) > 1:
        table = simple_table("source", ">rows", ">share", ">ties", ">longer wins")
        for entry in report.sources[:SHOWN_SOURCES]:
            wins = entry.get("longer_wins")
            table.add_row(
                cell(shorten(entry["source"], 40)),
                f"{entry['rows']:,}",
                _percent(entry["share"]),
                _percent(entry.get("ties", 0.0)),
                "–" if wins is None else f"{wins:.3f}",
            )
        console.print(table)
        if len(report.sources) > SHOWN_SOURCES:
            console.print(cell(f"… and {len(report.sources) - SHOWN_SOURCES:,} more sources\n"))
    if report.languages:
        shares = [f"{name} {_percent(share)}" for name, share in list(report.languages.items())[:6] if share >= 0.001]
        console.print(cell(f"Languages of {report.sampled['language']:,} rows: {', '.join(shares)}\n"))
    if report.shared:
        table = simple_table("prompts in common with", ">its prompts", ">equal", ">nearly", ">rows here")
        for each in report.shared:
            near = f"{each.near:,}" if each.kind == "benchmark" else "–"
            table.add_row(cell(_file(each.file)), f"{each.prompts:,}", f"{each.exact:,}", near, f"{each.rows:,}")
        console.print(table)
    if report.clusters is not None:
        table = simple_table("prompts about", ">share", "for example")
        for cluster in report.clusters.clusters:
            share = _percent(cluster.size / report.clusters.prompts)
            table.add_row(cell(", ".join(cluster.words[:3]), fit=True), share, cell(cluster.example, fit=True))
        console.print(table)
        console.print(cell(f"k-means on embeddings of {report.clusters.prompts:,} different prompts\n"))
    if report.noise is not None:
        noise = report.noise
        console.print(
            cell(
                f"Label noise, on {noise.checked:,} pairs: {_percent(noise.rate)} of the labels look flipped "
                f"({_percent(noise.low)} to {_percent(noise.high)}); a model of the texts that has not seen them "
                f"agrees with {_percent(noise.accuracy)}.\n"
            )
        )


def _print_findings(report: InspectReport, console: Console) -> None:
    if not report.findings:
        console.print(cell("Nothing is wrong that these checks can see.\n", "bold green"))
        return
    table = simple_table("finding", ">rows", ">share", "what it is")
    for finding in report.findings:
        table.add_row(
            cell(finding.name, "bold"), f"{finding.count:,}", _percent(finding.count / finding.checked), finding.what
        )
    console.print(table)
    for finding in report.findings:
        _print_finding(finding, report.name, console)


def _print_finding(finding: Finding, name: str, console: Console) -> None:
    details = "; ".join(f"{count:,} {what}" for what, count in finding.details.items())
    console.print(cell(f"{finding.name}: {finding.count:,} rows" + (f" ({details})" if details else ""), "bold"))
    for hit in finding.examples[:SHOWN_HITS]:
        other = f", as {_where(hit.other, name)}" if hit.other else ""
        said = f": {hit.detail}" if hit.detail else ""
        console.print(cell(f"  {_where(hit.location, name)}{other}{said}"))
        for text in _shown(finding.name, hit.texts):
            console.print(cell(f"    {shorten(text, 200)}", "dim"), no_wrap=True, overflow="ellipsis")
    console.print(cell(f"  {finding.advice}"))
    console.print(cell(_wrapped(finding.command), "cyan"), soft_wrap=True)
    console.print()


def _shown(name: str, texts: tuple[str, ...]) -> list[str]:
    """The texts by which one sees what a finding means."""
    shown = texts[1:3] if name in ("near-identical", "noise", "language", "contradictory") else texts[:1]
    return [text for text in shown if text.strip()]


def _where(location: str, name: str) -> str:
    """A place in the file itself is a line."""
    return f"line {location.removeprefix(f'{name}:')}" if location.startswith(f"{name}:") else location


def _file(path: str) -> str:
    """A path, or its end where it is long."""
    return path if len(path) <= 32 else f"…{path[-31:]}"


def _wrapped(command: str) -> str:
    """A command in lines of at most 78 characters, that can be copied into a shell."""
    lines, line = [], "  $"
    for word in command.split(" "):
        if len(line) + len(word) > 76 and line.strip() not in ("$", ""):
            lines.append(f"{line} \\")
            line = "     "
        line += f" {word}"
    return "\n".join([*lines, line]).replace("  $ ", "  ", 1)


def _percent(share: float) -> str:
    return "100%" if share == 1 else f"{share:.1%}" if share >= 0.001 or not share else "<0.1%"


def _short(number: int) -> str:
    return f"{number / 1000:.3g}k" if number >= 1000 else str(number)
