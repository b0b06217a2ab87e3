"""``plaudit score``"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plaudit.cli import options as o
from plaudit.cli.loading import parse_prompt
from plaudit.cli.output import advance_bar, complain, say, shorten, stderr_console
from plaudit.cli.resumable import OTHERWISE, ResumableLines, check_same_facts
from plaudit.errors import ConfigError, PlauditError

if TYPE_CHECKING:
    from plaudit.cli.scoring import RowScorer
    from plaudit.evaluation.scoring_rows import ScoringRow

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit score --model my-rm rows.jsonl --json > scored.jsonl\n"
    "plaudit score --model my-rm rows.jsonl --output scored.jsonl\n"
    "plaudit score --model my-rm --prompt 'Why is the sky blue?' --text 'Air.'\n"
    "plaudit score rows.jsonl --reward length=0.3 --reward sentiment=0.7 --json\n"
    "echo 'A text on its own.' | plaudit score --model my-rm -\n\n"
    "A row has a response (or responses, a list) and a prompt if there is one; a row with chosen and rejected gets "
    "both scores. Standard input is JSON lines if its first line is a JSON object, else one response a line. "
    "With --output the lines are written as they come, and --resume goes on after the last one."
)

CHUNK_RESPONSES = 2048
CHUNK_CHARACTERS = 4_000_000
"""What is read, scored and written at a time. Responses to one prompt share it wherever they are in a chunk, so a chunk
holds many prompts with all their responses. Prompts count for each of their responses: where texts are long, a chunk is
about a million tokens (60 to 100 MB). A run that is killed loses the scores of one chunk at most."""

File = Annotated[
    str | None,
    typer.Argument(metavar="FILE", show_default=False, help="JSON Lines, JSON, CSV or Parquet; -: standard input."),
]
Text = Annotated[str | None, o.option("--text", panel=o.DATA, metavar="TEXT", help="Score this response.")]
Interactive = Annotated[bool, o.option("--interactive", "-i", panel=o.DATA, help="Ask for prompts and responses.")]
Reference = Annotated[
    str | None, o.option("--reference", panel=o.DATA, metavar="TEXT", help="Reference answer for --text.")
]
Output = Annotated[
    Path | None,
    o.option("--output", "-o", panel=o.OUTPUT, metavar="FILE", help="Write JSON lines here, as they come."),
]
Attributes = Annotated[
    bool, o.option("--attributes", panel=o.OUTPUT, help="Tell each attribute too, of a model that has some.")
]
JsonLines = Annotated[bool, o.option("--json", panel=o.OUTPUT, help="Print JSON lines.")]


def score(
    ctx: typer.Context,
    model: o.OptionalModel = None,
    file: File = None,
    text: Text = None,
    prompt: o.Prompt = None,
    interactive: Interactive = False,
    prompt_column: o.PromptColumn = None,
    response_column: o.ResponseColumn = None,
    reward: o.Rewards = None,
    reference: Reference = None,
    reference_column: o.ReferenceColumn = None,
    device: o.Device = None,
    device_fallback: o.DeviceFallback = None,
    dtype: o.DtypeOption = None,
    batching: o.Batching = None,
    revision: o.Revision = None,
    trust_remote_code: o.TrustRemoteCode = False,
    combine: o.CombineOption = None,
    k: o.CombineK = None,
    overlong: o.OverlongOption = "error",
    attributes: Attributes = False,
    output: Output = None,
    overwrite: o.Overwrite = False,
    resume: o.Resume = False,
    as_json: JsonLines = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Score responses: a file, standard input, one text, or what you type."""
    source = _source(file, text, interactive)
    if prompt is not None and text is None:
        raise ConfigError("--prompt belongs to --text; rows of a file have a prompt column")
    if source is None and (output or prompt_column or response_column):
        raise ConfigError("--output, --prompt-column and --response-column belong to a file or standard input")
    _check_kind(model, reward, reference, reference_column, batching, overlong, single=text is not None)
    if attributes and (model is None or interactive):
        raise ConfigError("--attributes belongs to --model, with a file, standard input or --text")
    lines = _lines_of(source, output, overwrite=overwrite, resume=resume)
    from plaudit.cli.scoring import load_scorer

    scorer = load_scorer(
        model,
        reward or [],
        reference_column,
        overlong=overlong,
        device=device,
        device_fallback=device_fallback,
        dtype=dtype,
        batching=batching,
        revision=revision,
        trust_remote_code=trust_remote_code or None,
        combine=combine,
        k=k,
        attributes=attributes or None,
    )
    if interactive:
        _converse(scorer, as_json)
    elif text is not None:
        own = scorer.one(parse_prompt(prompt), text, reference)
        each = scorer.each(parse_prompt(prompt), text) if attributes else None  # type: ignore[attr-defined]
        _print_scored({"prompt": parse_prompt(prompt), "response": text}, own, as_json, each)
    else:
        assert source is not None
        columns = {"prompt_column": prompt_column, "response_column": response_column}
        _score_rows(ctx, scorer, source, columns, lines, as_json=as_json)


def _check_kind(
    model: str | None,
    rewards: list[str] | None,
    reference: str | None,
    reference_column: str | None,
    batching: str | None,
    overlong: str,
    *,
    single: bool,
) -> None:
    """A model or rewards, and nothing that only the other one reads."""
    if (model is None) == (not rewards):
        raise ConfigError("give --model NAME or --reward NAME[=WEIGHT] (once or several times), one of the two")
    if reference is not None and not single:
        raise ConfigError("--reference belongs to --text; rows of a file have a reference column")
    if model is not None and (reference is not None or reference_column is not None):
        raise ConfigError("--reference and --reference-column belong to --reward; a model does not read references")
    for name, given in (("batching", batching is not None), ("overlong", overlong != "error")):
        if rewards and given:
            raise ConfigError(f"--{name} belongs to --model; leave it out")


def _lines_of(source: str | None, output: Path | None, *, overwrite: bool, resume: bool) -> ResumableLines | None:
    """The file for the results, refused before the model is loaded; None where they are printed."""
    if resume and source == "-":
        raise ConfigError(
            "--resume: standard input cannot be read a second time; write the rows to a FILE and give that"
        )
    if output is None:
        if overwrite or resume:
            raise ConfigError("--overwrite and --resume belong to --output FILE; give one, or leave them out")
        return None
    read = None if source in (None, "-") else Path(source).expanduser()
    return ResumableLines(output, resume=resume, overwrite=overwrite, source=read)


def _source(file: str | None, text: str | None, interactive: bool) -> str | None:
    """The file to read, ``-`` for standard input, None for --text and --interactive."""
    if sum((file is not None, text is not None, interactive)) > 1:
        raise ConfigError("give one of FILE, --text and --interactive")
    if text is not None or interactive:
        return None
    if file is None and sys.stdin.isatty():
        raise ConfigError("nothing to score: give a FILE, - for standard input, --text TEXT or --interactive")
    return file or "-"


# -- rows ------------------------------------------------------------------------------------------------------------


def _score_rows(
    ctx: typer.Context,
    scorer: RowScorer,
    source: str,
    columns: dict[str, str | None],
    lines: ResumableLines | None,
    *,
    as_json: bool,
) -> None:
    """Onto the screen, or into the file where there is one."""
    from plaudit.cli.rows import read_scoring_rows

    rows = read_scoring_rows(source, columns["prompt_column"], columns["response_column"])
    if lines is None:
        _print_rows(scorer, rows, source, as_json=as_json)
        return
    check_same_facts(lines, facts := scorer.facts() | columns)
    with lines.open(facts):
        _write_rows(scorer, rows, source, lines, ctx=ctx)
    say(f"wrote {lines.count:,} rows to {lines.target}")


def _print_rows(scorer: RowScorer, rows: Iterator[ScoringRow], source: str, *, as_json: bool) -> None:
    count = 0
    with advance_bar("rows", _total(source), results_on_stdout=True) as advance:
        for chunk in _chunks(rows):
            for row, (own, more) in zip(chunk, scorer.rows(chunk, advance), strict=True):
                for line in [row.line(own, more)] if as_json else _lines(row, own, more):
                    print(line)
            count += len(chunk)
    _warn_of_none(count, source)


def _write_rows(
    scorer: RowScorer, rows: Iterator[ScoringRow], source: str, lines: ResumableLines, *, ctx: typer.Context
) -> None:
    """One line a row; of a file that is gone on with, those that are there are compared with their rows."""
    from plaudit.cli.rows import wrote

    if lines.count:
        ctx.meta[o.INTERRUPTED] = _how_to_go_on(lines, source)
        say(f"{lines.count:,} rows are there already")
    try:
        with advance_bar("rows", _total(source)) as advance:
            for chunk in _chunks(rows):
                there = lines.before(len(chunk))
                for line, row in zip(there, chunk, strict=False):
                    if not wrote(row, line):
                        raise ConfigError(
                            f"--resume: {row.location} is not the row that {lines.partial} holds in its place; "
                            f"{OTHERWISE}"
                        )
                if len(there) == len(chunk):
                    advance(len(chunk))
                    continue
                # half a chunk is scored as a whole again: what shares a batch changes the last digits
                scored = scorer.rows(chunk, advance)
                for row, (own, more) in islice(zip(chunk, scored, strict=True), len(there), None):
                    lines.write(row.line(own, more))
                lines.flush()
                ctx.meta[o.INTERRUPTED] = _how_to_go_on(lines, source)
        if lines.before(1):
            raise ConfigError(f"--resume: {lines.partial} has more lines than {source} has rows; {OTHERWISE}")
    except ConfigError:
        raise
    except Exception:
        if lines.count:
            say(_how_to_go_on(lines, source))
        raise
    _warn_of_none(lines.count, source)


def _how_to_go_on(lines: ResumableLines, source: str) -> str:
    resume = "" if source == "-" else "; the same command with --resume goes on from there"
    return f"{lines.count:,} rows are in {lines.partial}{resume}"


def _warn_of_none(count: int, source: str) -> None:
    if not count:
        say(f"warning: no rows in {'standard input' if source == '-' else source}")


def _lines(row: ScoringRow, scores: list[float], more: dict[str, Any] | None = None) -> Iterator[str]:
    each = (more or {}).get("attributes", [None] * len(scores))
    for item, score, own in zip(row.items, scores, each if isinstance(each, list) else [each], strict=True):
        yield f"{score:.4f}\t{_named(own)}{shorten(item.response)}"


def _named(attributes: dict[str, float] | None) -> str:
    """A column with each attribute, where there are some."""
    return "" if attributes is None else " ".join(f"{name}={value:.3f}" for name, value in attributes.items()) + "\t"


def _chunks(rows: Iterable[ScoringRow]) -> Iterator[list[ScoringRow]]:
    from plaudit.evaluation.row_scorers import scoring_chunks

    return scoring_chunks(rows, CHUNK_RESPONSES, CHUNK_CHARACTERS)


def _total(source: str) -> int | None:
    """How many rows there are, where counting is cheap."""
    from plaudit.data.read import count_rows, suffix_of

    path = Path(source).expanduser()
    cheap = suffix_of(path) in (".jsonl", ".ndjson", ".parquet")
    return count_rows(path) if cheap and path.is_file() and sys.stderr.isatty() else None


# -- single texts ----------------------------------------------------------------------------------------------------


def _print_scored(row: dict[str, Any], score: float, as_json: bool, each: dict[str, float] | None = None) -> None:
    if as_json:
        more = {} if each is None else {"attributes": each}
        print(json.dumps({**row, "score": score, **more}, ensure_ascii=False), flush=True)
    else:
        print(f"{score:.4f}\t{_named(each)}{shorten(row['response'])}", flush=True)


def _converse(scorer: RowScorer, as_json: bool) -> None:
    say("Type a prompt (empty: a bare text) and a response; quit or end of input ends it.")
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  lines can be edited and recalled
    while True:
        prompt = _ask("prompt> ")
        if prompt is None or prompt.strip() == "quit":
            return
        response = _ask("response> ")
        if response is None or response.strip() == "quit":
            return
        try:
            row = {"prompt": prompt or None, "response": response}
            _print_scored(row, scorer.one(parse_prompt(prompt or None), response, None), as_json)
        except PlauditError as error:
            complain(str(error))


def _ask(question: str) -> str | None:
    """A line of input, None at its end. The question goes to stderr unless a person sees both."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        try:
            return input(question)
        except EOFError:
            return None
    stderr_console().print(question, end="")
    line = sys.stdin.readline()
    return line.rstrip("\r\n") if line else None
