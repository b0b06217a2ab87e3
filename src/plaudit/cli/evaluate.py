"""``plaudit evaluate``"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from plaudit.cli import options as o
from plaudit.cli.loading import load_reward_model
from plaudit.cli.output import advance_bar, evaluation_tables, print_json, say, shorten, stdout_console, waiting

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit evaluate --model my-rm --data pairs.jsonl\n"
    "plaudit evaluate --model my-rm --data pairs.jsonl --split '[:500]' --json"
)


def evaluate(
    model: o.RequiredModel,
    data: o.RequiredData,
    split: o.Split = None,
    prompt_column: o.PromptColumn = None,
    chosen_column: o.ChosenColumn = None,
    rejected_column: o.RejectedColumn = None,
    source_column: o.SourceColumn = None,
    group_by: o.GroupBy = None,
    max_samples: o.MaxSamples = None,
    on_bad_row: o.OnBadRow = None,
    device: o.Device = None,
    device_fallback: o.DeviceFallback = None,
    dtype: o.DtypeOption = None,
    batching: o.Batching = None,
    revision: o.Revision = None,
    trust_remote_code: o.TrustRemoteCode = False,
    overlong: o.OverlongOption = "error",
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Write the figures as JSON.", rich_help_panel=o.OUTPUT),
    ] = None,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """How often a model prefers the chosen response, beside the baselines it has to beat."""
    with waiting("loading"):
        from plaudit.data import Columns, load_preferences
        from plaudit.evaluation import evaluate as evaluate_scorer
        from plaudit.files import atomic_text

        columns = Columns(
            prompt=prompt_column,
            chosen=chosen_column,
            rejected=rejected_column,
            source=source_column,
            group_by=group_by,
        )
        pairs = load_preferences(
            data, split=split, columns=columns, max_samples=max_samples, on_bad_row=on_bad_row or "error"
        )
    scorer = load_reward_model(
        model,
        device=device,
        device_fallback=device_fallback,
        dtype=dtype,
        batching=batching,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    for line in pairs.report.lines():
        say(line)
    with advance_bar("pairs", len(pairs)) as advance:
        figures = evaluate_scorer(scorer, pairs, overlong=overlong, progress=advance)
    document = {"model": model, "data": data, "split": split, **figures.to_dict(), "loaded": pairs.report.to_dict()}
    if report is not None:
        atomic_text(report, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
        say(f"wrote {report}")
    if as_json:
        print_json(document)
    else:
        for table in evaluation_tables(figures, shorten(Path(model).name, 30)):
            stdout_console().print(table)
