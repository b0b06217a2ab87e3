"""``plaudit data select``"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plaudit.cli import groups as g
from plaudit.cli import options as o
from plaudit.cli.options import DATA, MODEL, option
from plaudit.cli.output import (
    advance_bar,
    cell,
    print_json,
    quoted,
    say,
    shorten,
    simple_table,
    stdout_console,
    waiting,
)
from plaudit.errors import ConfigError

if TYPE_CHECKING:
    from plaudit.curation.embedding_features import PairEmbeddings
    from plaudit.curation.select import Progress
    from plaudit.data.write import RowWriter

__all__ = ["EPILOG", "select"]

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit data select pool.jsonl queue.jsonl --features embedded --budget 100\n"
    "plaudit data select pool.jsonl queue.jsonl --features embedded --labelled labelled.jsonl --budget 100\n"
    "plaudit data select pool.jsonl queue.jsonl --model my-rm --labelled train.jsonl --budget 100\n"
    "plaudit data select pool.jsonl queue.jsonl --model rm-1 --model rm-2 --method disagreement --budget 100\n"
    "plaudit data label queue.jsonl\n"
    "plaudit data select pool.jsonl --model my-rm --budget 20 | head -1\n\n"
    "A row of the pool has a prompt with response_a and response_b, with chosen and rejected (which is which is not "
    "read), or with responses, of which any two make a pair. Pairs that --labelled holds are left out. The pool is "
    "held in memory; features are kept in ~/.cache/plaudit (or $PLAUDIT_CACHE), so the next round computes none."
)


@g.with_groups
def select(
    pool: Annotated[str, typer.Argument(metavar="POOL", show_default=False, help="Pairs without a label: a file.")],
    budget: Annotated[int, option("--budget", "-n", panel=DATA, metavar="N", help="How many pairs to choose.")],
    output: Annotated[
        Path | None,
        typer.Argument(
            metavar="OUTPUT", show_default=False, help="File for the chosen rows, best first (none: printed)."
        ),
    ] = None,
    method: Annotated[
        str,
        option(
            "--method",
            panel=MODEL,
            metavar="NAME",
            show_default=True,
            help="fisher: tells most about the last layer; margin: smallest margin; disagreement; or random.",
        ),
    ] = "fisher",
    model: Annotated[
        list[str] | None,
        option("--model", "-m", panel=MODEL, metavar="NAME", help="A reward model; several for disagreement."),
    ] = None,
    features: Annotated[
        str | None,
        option(
            "--features",
            panel=MODEL,
            metavar="NAME",
            help="Instead of a model: embedded, or a sentence encoder's folder or Hub id.",
        ),
    ] = None,
    labelled: Annotated[
        Path | None,
        option("--labelled", panel=DATA, metavar="FILE", help="Pairs that have labels: learned from, and left out."),
    ] = None,
    ensemble: Annotated[
        int | None,
        option(
            "--ensemble",
            panel=MODEL,
            metavar="N",
            min=2,
            help="Last layers fitted for disagreement where there is no second model (default: 10).",
        ),
    ] = None,
    seed: Annotated[int, option("--seed", panel=DATA, metavar="N", show_default=True, help="Of every draw.")] = 0,
    prompt_column: o.PromptColumn = None,
    chosen_column: Annotated[
        str | None, option("--chosen-column", panel=DATA, metavar="NAME", help="Column with the first response.")
    ] = None,
    rejected_column: Annotated[
        str | None, option("--rejected-column", panel=DATA, metavar="NAME", help="Column with the second response.")
    ] = None,
    on_bad_row: o.OnBadRow = None,
    overwrite: o.Overwrite = False,
    *,
    loading: g.Loading,
    talk: g.Talk,
) -> None:
    """Choose what to label next: the pairs whose labels would teach a reward model most."""
    from plaudit.data import Columns
    from plaudit.data.write import RowWriter

    given = loading.given()
    _check(model, features, given, output, as_json=talk.as_json, overwrite=overwrite)
    sources: tuple[str | Path, ...] = (pool,) if labelled is None else (pool, labelled)
    writer = None if output is None else RowWriter(output, overwrite=overwrite, sources=sources)
    with waiting("loading"):
        from plaudit.curation.select import select_pairs
    models = _load(model or [], given)
    with _bars() as progress:
        selection = select_pairs(
            pool,
            budget,
            method=method,
            models=models,
            features=_extractor(features, loading.device),
            labelled=labelled,
            members=ensemble,
            columns=Columns(prompt=prompt_column, chosen=chosen_column, rejected=rejected_column),
            on_bad_row=on_bad_row or "error",
            seed=seed,
            progress=progress,
        )
    _write(selection.rows, writer)
    if talk.as_json:
        print_json(selection.report.to_dict() | {"output": str(output)})
        return
    for line in selection.report.lines():
        say(line)
    if output is not None:
        _show(selection.rows, method)
        say(f"wrote {output}; to label them: plaudit data label {quoted(output)}")


def _check(
    model: list[str] | None,
    features: str | None,
    given: dict[str, Any],
    output: Path | None,
    *,
    as_json: bool,
    overwrite: bool,
) -> None:
    useless = [] if model else [name for name in given if features is None or name != "device"]
    if useless:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in useless)
        raise ConfigError(f"{names}: no effect without --model; leave it out")
    if model and features is not None:
        raise ConfigError("give --model or --features, one of the two")
    if output is None and as_json:
        raise ConfigError("--json prints the report, and without OUTPUT the rows are printed; name an OUTPUT")
    if output is None and overwrite:
        raise ConfigError("--overwrite belongs to OUTPUT; name one, or leave it out")


def _load(names: list[str], given: dict[str, Any]) -> list[Any]:
    from plaudit.cli.loading import load_reward_model

    return [load_reward_model(name, **given) for name in names]


def _extractor(features: str | None, device: str | None) -> PairEmbeddings | None:
    if features is None:
        return None
    with waiting(f"loading {features}"):
        from plaudit.curation.embedding_features import PairEmbeddings

        return PairEmbeddings(features, device)


def _write(rows: list[dict[str, Any]], writer: RowWriter | None) -> None:
    """Into the file, or as JSON lines to stdout."""
    if writer is None:
        for row in rows:
            print(json.dumps(row, ensure_ascii=False))
        return
    with writer:
        for row in rows:
            writer.write(row)


@contextmanager
def _bars() -> Iterator[Progress]:
    """One bar after the other: texts read by a model, pairs chosen."""
    with ExitStack() as stack:
        now: list[Any] = ["", None]

        def advance(what: str, count: int, total: int) -> None:
            if (what, total) != now[0]:
                stack.close()
                now[:] = [(what, total), stack.enter_context(advance_bar(what, total))]
            now[1](count)

        yield advance


def _show(rows: list[dict[str, Any]], method: str) -> None:
    """The first few of the queue."""
    table = simple_table(">rank", f">{method}", "prompt")
    for row in rows[:5]:
        prompt = next((row[name] for name in ("prompt", "question", "instruction") if name in row), "")
        table.add_row(str(row["acquisition_rank"]), f"{row['acquisition']:.4g}", cell(shorten(prompt, 50), fit=True))
    stdout_console().print(table)
