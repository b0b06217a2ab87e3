"""``plaudit evaluate``"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from plaudit.cli import groups as g
from plaudit.cli import options as o
from plaudit.cli.any_scorer import load_any_scorer
from plaudit.cli.output import (
    advance_bar,
    document_tables,
    print_json,
    rating_tables,
    say,
    shorten,
    stdout_console,
    waiting,
)
from plaudit.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from plaudit.data import PreferenceData
    from plaudit.types import Scorer

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit evaluate --model my-rm --data pairs.jsonl\n"
    "plaudit evaluate -m new-rm -m old-rm --data pairs.jsonl --report report.html\n"
    "plaudit evaluate -m my-rm --data pairs.jsonl --by domain --by level --json\n"
    "plaudit evaluate -m my-rm -m length --data rankings.jsonl\n"
    "plaudit evaluate -m my-rm --benchmark rm-bench --benchmark-data rm_bench.jsonl\n\n"
    "MODEL is the folder or Hub id of a reward model or an ensemble, a server (http://host:port/v1/reward), a reward "
    "function (see plaudit rewards list), or a YAML file with several."
)

Models = Annotated[
    list[str] | None,
    o.option("--model", "-m", panel=o.MODEL, metavar="MODEL", help="What to evaluate; several are compared."),
]
Rows = Literal["pairs", "rankings", "ratings"]


@g.with_groups
def evaluate(
    model: Models = None,
    data: o.DataSource = None,
    rows: Annotated[
        Rows | None,
        o.option("--rows", panel=o.DATA, help="What a row is (default: what the first row looks like)."),
    ] = None,
    responses_column: o.ResponsesColumn = None,
    ranks_column: o.RanksColumn = None,
    response_column: o.ResponseColumn = None,
    score_column: o.ScoreColumn = None,
    by: Annotated[
        list[str] | None,
        o.option(
            "--by", panel=o.DATA, metavar="NAME", help="Column by whose values figures are told apart; repeatable."
        ),
    ] = None,
    group_by: o.GroupBy = None,
    train_data: Annotated[
        str | None,
        o.option(
            "--train-data", panel=o.DATA, metavar="SRC", help="What the model was trained on, for the n-gram baseline."
        ),
    ] = None,
    benchmark: Annotated[
        list[str] | None,
        o.option("--benchmark", panel=o.DATA, metavar="NAME", help="A published benchmark: see plaudit benchmarks."),
    ] = None,
    benchmark_data: Annotated[
        Path | None,
        o.option(
            "--benchmark-data",
            panel=o.DATA,
            metavar="SRC",
            help="Its data, in the published format (default: the Hub).",
        ),
    ] = None,
    published: Annotated[
        bool,
        o.option("--published", panel=o.DATA, help="Beside the models, the raw scores that a benchmark's data carry."),
    ] = False,
    overlong: o.OverlongOption = "error",
    quick: Annotated[
        bool,
        o.option(
            "--quick",
            panel=o.OUTPUT,
            help="Leave out the baselines that score again or learn (other prompts, n-grams).",
        ),
    ] = False,
    report: Annotated[
        list[Path] | None,
        o.option("--report", panel=o.OUTPUT, metavar="FILE", help="Write .html, .md or .json; repeatable."),
    ] = None,
    overwrite: o.Overwrite = False,
    *,
    pair: g.PairColumns,
    reading: g.Reading,
    loading: g.Loading,
    talk: g.Talk,
) -> None:
    """How good models are: accuracy, probabilities, ranks, with intervals, baselines and paired tests."""
    models, given, as_json = model or [], loading.given(), talk.as_json
    _check_new(report or [], overwrite)
    if len(set(models)) < len(models):
        raise ConfigError("the same --model is given twice")
    if benchmark:
        _check_no_data(data=data, rows=rows, by=by, train_data=train_data, max_samples=reading.max_samples, quick=quick)
        _benchmarks(models, benchmark, benchmark_data, given, overlong, reading.split, published, report, as_json)
        return
    if benchmark_data is not None or published:
        raise ConfigError("--benchmark-data and --published belong to --benchmark NAME")
    if not models:
        raise ConfigError("give --model MODEL, once or several times")
    if data is None:
        raise ConfigError("give --data SRC, or --benchmark NAME")
    if quick and train_data is not None:
        raise ConfigError("--train-data is for the n-gram baseline, which --quick leaves out; give one of the two")
    with waiting("loading"):
        from plaudit.data import Columns, load_preferences
        from plaudit.data.kinds import kind_of
        from plaudit.evaluation.report.document import check_suffixes

        check_suffixes(report or [])
        columns = Columns(
            **pair.names(),
            responses=responses_column,
            ranks=ranks_column,
            response=response_column,
            score=score_column,
            group_by=group_by,
            subsets=tuple(by or ()),
        )
        kind = rows or kind_of(data, columns, split=reading.split)
        columns = replace(columns, kind=kind)
        loaded = load_preferences(data, columns=columns, **reading.given())
        trained_on = (
            load_preferences(train_data, columns=replace(columns, subsets=())) if train_data is not None else None
        )
    for line in loaded.report.lines():
        say(line)
    facts = {"split": reading.split, "loaded": loaded.report.to_dict()}
    if kind == "ratings" and (by or quick):
        raise ConfigError("--by and --quick have no effect on ratings; leave them out")
    if kind == "ratings":
        _ratings(models, loaded, given, overlong, {"data": data, **facts}, report or [], as_json=as_json)
        return
    from plaudit.evaluation import evaluate as evaluate_scorer
    from plaudit.evaluation.report import EvaluationDocument, write_reports
    from plaudit.evaluation.versus import paired_tests

    reports = {}
    for name, scorer in _scorers(models, given):
        other = not quick and hasattr(scorer, "score_items")  # a rule reads no prompt, or says so in its name
        with advance_bar("pairs", len(loaded) * (1 + other)) as advance:
            reports[name] = evaluate_scorer(
                scorer,
                loaded,
                train=trained_on,
                ngrams=not quick,
                other_prompts=other,
                overlong=overlong if hasattr(scorer, "score_items") else "error",
                progress=advance,
            )
        for note in [*reports[name].notes, *filter(None, [reports[name].caution])]:
            say(f"{name}: {note}")
    tests = paired_tests(reports) if len(reports) > 1 else []
    document = EvaluationDocument(data, reports, tests, facts)
    write_reports(document, report or [])
    for path in report or []:
        say(f"wrote {path}")
    if as_json:
        print_json(document.to_dict())
        return
    for table in document_tables(document):
        stdout_console().print(table)


def _benchmarks(
    models: list[str],
    names: list[str],
    data: Path | None,
    options: dict[str, Any],
    overlong: str,
    split: str | None,
    published: bool,
    reports: list[Path] | None,
    as_json: bool,
) -> None:
    """Published protocols; figures of a learned model and of the shortcuts side by side."""
    from plaudit.cli.benchmarks import benchmarks_document, print_benchmarks, run_benchmarks
    from plaudit.files import atomic_text

    if any(path.suffix.lower() != ".json" for path in reports or []):
        raise ConfigError("a report on benchmarks is written as .json only")
    found = run_benchmarks(
        list(_scorers(models, options)), names, data, split=split, overlong=overlong, published=published
    )
    for path in reports or []:
        atomic_text(path, json.dumps(benchmarks_document(found), ensure_ascii=False, indent=1) + "\n")
        say(f"wrote {path}")
    print_benchmarks(found, as_json=as_json)


def _check_new(reports: list[Path], overwrite: bool) -> None:
    """Refuses to replace a report, before anything is read."""
    if overwrite and not reports:
        raise ConfigError("--overwrite belongs to --report; leave it out")
    for path in reports:
        if path.is_dir():
            raise OutputError(f"{path} is a folder; choose another name")
        if path.exists() and not overwrite:
            raise OutputError(f"{path} exists already; --overwrite replaces it")


def _check_no_data(**given: Any) -> None:
    for name, value in given.items():
        if value:
            raise ConfigError(f"--{name.replace('_', '-')} has no effect with --benchmark; leave it out")


def _scorers(models: list[str], options: dict[str, Any]) -> Iterable[tuple[str, Scorer]]:
    """One at a time, so that one model is in memory at a time; with a short name that tells it from the others."""
    names = [shorten(model.partition("://")[2] or Path(model).name or model, 30) for model in models]
    for model, name in zip(models, names, strict=True):
        scorer = load_any_scorer(model, options)
        yield (name if names.count(name) == 1 else shorten(model, 30)), scorer


def _ratings(
    models: list[str],
    data: PreferenceData,
    options: dict[str, Any],
    overlong: str,
    facts: dict[str, Any],
    reports: list[Path],
    *,
    as_json: bool,
) -> None:
    """How well scores follow ratings."""
    from plaudit.evaluation import evaluate_ratings
    from plaudit.files import atomic_text

    if any(path.suffix.lower() != ".json" for path in reports):
        raise ConfigError("a report on ratings is written as .json only")
    figures = {}
    for name, scorer in _scorers(models, options):
        with advance_bar("texts", len(data)) as advance:
            figures[name] = evaluate_ratings(scorer, data, overlong=overlong, progress=advance)
    document = {**facts, "models": {name: each.to_dict() for name, each in figures.items()}}
    for path in reports:
        atomic_text(path, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
        say(f"wrote {path}")
    if as_json:
        print_json(document)
        return
    for name, each in figures.items():
        for table in rating_tables(each, name):
            stdout_console().print(table)
