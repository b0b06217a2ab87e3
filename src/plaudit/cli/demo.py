"""``plaudit demo``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from plaudit.cli import options as o
from plaudit.cli.output import cell, print_json, quoted, say, shorten, simple_table, stdout_console

if TYPE_CHECKING:
    from rich.table import Table

    from plaudit.training.demo import DemoResult

EPILOG = "[bold]Examples[/]\nplaudit demo\nplaudit demo --output runs/quick --max-samples 300"
CELLS = 16
"""The width of a bar."""


def demo(
    output: Annotated[
        Path,
        o.option(
            "--output", "-o", panel=o.OUTPUT, metavar="DIR", show_default=True, help="Folder for the reward model."
        ),
    ] = Path("runs/demo"),
    max_samples: o.MaxSamples = None,
    overwrite: o.Overwrite = False,
    resume: o.Resume = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Train a reward model on data that comes with plaudit, and see what it can do: a few minutes.

    Everyday questions, each with good replies and flawed ones. The base is the embedded MiniLM encoder: no download.
    """
    say("a reward model from everyday questions, good replies and flawed ones; 40% of the questions are held out")
    from plaudit.training.demo import run_demo

    result = run_demo(output, max_samples=max_samples, overwrite=overwrite, resume=resume, say=say)
    if as_json:
        print_json(_document(result))
    else:
        _show(result)
    _say_what_next(result)


def _document(result: DemoResult) -> dict[str, Any]:
    from dataclasses import asdict

    from plaudit.training.demo import QUESTION

    return {
        "folder": str(result.run.folder),
        "seconds": round(result.run.seconds, 3),
        "evaluation": result.report.to_dict(),
        "ngram": result.surface.to_dict(),
        "lead_over_ngram": asdict(result.lead),
        "question": QUESTION,
        "ranking": [asdict(ranked) for ranked in result.ranking],
        "golden_verified": result.golden,
        "picture": str(result.picture),
    }


def _show(result: DemoResult) -> None:
    from plaudit.training.demo import QUESTION

    console = stdout_console()
    console.print(_accuracy_table(result))
    lead = result.lead
    console.print(
        f"It leads the n-gram model, which never sees the question, by {100 * lead.value:.1f} points\n"
        f"(95% interval {100 * lead.low:.1f} to {100 * lead.high:.1f}).\n"
    )
    if result.report.caution:
        console.print(f"Caution: {result.report.caution}.\n", style="yellow", markup=False)
    if result.report.by_source:
        console.print(_flaw_table(result))
    ranking = simple_table(">rank", ">score", "reply", title=QUESTION)
    for ranked in result.ranking:
        ranking.add_row(str(ranked.rank), f"{ranked.score:+.2f}", cell(shorten(ranked.response, 90), fit=True))
    console.print(ranking)


def _accuracy_table(result: DemoResult) -> Table:
    report = result.report
    title = f"Held out: {report.pairs:,} pairs of {report.prompts:,} questions it never saw"
    table = simple_table("", ">accuracy", "95% interval", ">behind by", title=title)
    rows = {"n-gram model": result.surface.accuracy} | report.baselines
    for name, interval in {"this model": report.accuracy, **rows}.items():
        behind = f"{100 * (report.accuracy.value - interval.value):.1f} points" if name in rows else ""
        style = "" if name in rows else "bold"
        table.add_row(
            cell(name, style), cell(f"{interval.value:.3f}", style), f"{interval.low:.3f} – {interval.high:.3f}", behind
        )
    return table


def _flaw_table(result: DemoResult) -> Table:
    """Accuracy by flaw, the best first, with bars: filled for this model, a stroke where the n-gram model is."""
    title = "By flaw of the other reply (bar: this model, stroke: the n-gram model)"
    table = simple_table("flaw", ">pairs", ">accuracy", "95% interval", ">n-gram", "", title=title)
    for flaw, interval in sorted(result.report.by_source.items(), key=lambda item: -item[1].value):
        rival = result.surface.by_source[flaw].value
        table.add_row(
            cell(flaw),
            str(result.flaws[flaw]),
            f"{interval.value:.3f}",
            f"{interval.low:.3f} – {interval.high:.3f}",
            f"{rival:.3f}",
            _bar(interval.value, rival),
        )
    return table


def _bar(value: float, mark: float) -> Any:
    from rich.text import Text

    filled, stroke = round(value * CELLS), min(int(mark * CELLS), CELLS - 1)
    bar = Text("█" * filled + "·" * (CELLS - filled), style="green", no_wrap=True)
    return Text.assemble(bar[:stroke], ("│", "bold red"), bar[stroke + 1 :])


def _say_what_next(result: DemoResult) -> None:
    folder = quoted(result.run.folder)
    say(f"trained in {result.run.seconds:,.0f} s and saved in {result.run.folder}")
    say(f"verified: the {result.golden} golden inputs score there as they did, here and in plain transformers")
    say(f"picture: {result.picture}")
    say("next:")
    say(f"  plaudit verify {folder}")
    say(
        f"  plaudit rank --model {folder} --prompt 'How do I get a coffee stain out of a white shirt?' "
        "'Rinse it with cold water, rub in some dish soap, and wash it after ten minutes.' "
        "'A shirt is a shirt, and stains come and go.'"
    )
    say(f"  plaudit compare --model {folder} --prompt 'a question' 'one answer' 'another answer'")
    say("  plaudit train --data YOUR-PAIRS.jsonl --output my-reward-model")
