"""``plaudit score``"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plaudit.cli import options as o
from plaudit.cli.loading import load_reward_model, parse_prompt, score_located
from plaudit.cli.output import advance_bar, complain, line_writer, say, shorten, stderr_console
from plaudit.errors import ConfigError, PlauditError

if TYPE_CHECKING:
    from plaudit.cli.rows import ScoringRow
    from plaudit.models.reward_model import RewardModel
    from plaudit.types import Prompt

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit score --model my-rm rows.jsonl --json > scored.jsonl\n"
    "plaudit score --model my-rm --prompt 'Why is the sky blue?' --text 'Air.'\n"
    "echo 'A text on its own.' | plaudit score --model my-rm -\n\n"
    "A row has a response (or responses, a list) and a prompt if there is one; a row with chosen and rejected gets "
    "both scores. Standard input is JSON lines if its first line is a JSON object, else one response a line."
)

CHUNK_ROWS = 1024


def score(
    model: o.RequiredModel,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", show_default=False, help="JSON Lines, JSON, CSV or Parquet; -: standard input."),
    ] = None,
    text: Annotated[
        str | None,
        typer.Option("--text", metavar="TEXT", help="Score this response.", rich_help_panel=o.DATA, show_default=False),
    ] = None,
    prompt: o.Prompt = None,
    interactive: Annotated[
        bool, typer.Option("--interactive", "-i", help="Ask for prompts and responses.", rich_help_panel=o.DATA)
    ] = False,
    prompt_column: o.PromptColumn = None,
    response_column: o.ResponseColumn = None,
    device: o.Device = None,
    device_fallback: o.DeviceFallback = None,
    dtype: o.DtypeOption = None,
    revision: o.Revision = None,
    trust_remote_code: o.TrustRemoteCode = False,
    overlong: o.OverlongOption = "error",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write JSON lines here.", rich_help_panel=o.OUTPUT),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON lines.", rich_help_panel=o.OUTPUT)] = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Score responses: a file, standard input, one text, or what you type."""
    source = _source(file, text, interactive)
    if prompt is not None and text is None:
        raise ConfigError("--prompt belongs to --text; rows of a file have a prompt column")
    if source is None and (output or prompt_column or response_column):
        raise ConfigError("--output, --prompt-column and --response-column belong to a file or standard input")
    loaded = load_reward_model(
        model,
        device=device,
        device_fallback=device_fallback,
        dtype=dtype,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    if interactive:
        _converse(loaded, overlong, as_json)
    elif text is not None:
        scorer = _single(loaded, overlong)
        _print_scored({"prompt": parse_prompt(prompt), "response": text}, scorer(parse_prompt(prompt), text), as_json)
    else:
        from plaudit.cli.rows import read_scoring_rows

        assert source is not None
        rows = read_scoring_rows(source, prompt_column, response_column)
        _score_rows(loaded, rows, source, overlong=overlong, output=output, as_json=as_json)


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
    model: RewardModel, rows: Iterator[ScoringRow], source: str, *, overlong: str, output: Path | None, as_json: bool
) -> None:
    count = 0
    with (
        line_writer(output) as write,
        advance_bar("rows", _total(source), results_on_stdout=output is None) as advance,
    ):
        for chunk in _chunks(rows, CHUNK_ROWS):
            items = [item for row in chunk for item in row.items]
            locations = [row.location for row in chunk for _ in row.items]
            scores = iter(score_located(model, items, locations, overlong=overlong).tolist())
            for row in chunk:
                own = list(itertools.islice(scores, len(row.items)))
                for line in _lines(row, own, as_json=as_json or output is not None):
                    write(line)
            count += len(chunk)
            advance(len(chunk))
    if not count:
        complain(f"warning: no rows in {'standard input' if source == '-' else source}")
    if output is not None:
        say(f"wrote {count:,} rows to {output}")


def _lines(row: ScoringRow, scores: list[float], *, as_json: bool) -> Iterator[str]:
    if as_json:
        yield json.dumps(row.with_scores(scores), ensure_ascii=False, default=str)
    else:
        for item, score in zip(row.items, scores, strict=True):
            yield f"{score:.4f}\t{shorten(item.response)}"


def _chunks(rows: Iterable[ScoringRow], size: int) -> Iterator[list[ScoringRow]]:
    iterator = iter(rows)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk


def _total(source: str) -> int | None:
    """How many rows there are, where counting is cheap."""
    from plaudit.data.read import count_rows, suffix_of

    path = Path(source).expanduser()
    cheap = suffix_of(path) in (".jsonl", ".ndjson", ".parquet")
    return count_rows(path) if cheap and path.is_file() and sys.stderr.isatty() else None


# -- single texts ----------------------------------------------------------------------------------------------------


def _single(model: RewardModel, overlong: str) -> Callable[[Prompt, str], float]:
    return lambda prompt, response: float(model.score([prompt], [response], overlong=overlong)[0])


def _print_scored(row: dict[str, Any], score: float, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**row, "score": score}, ensure_ascii=False), flush=True)
    else:
        print(f"{score:.4f}\t{shorten(row['response'])}", flush=True)


def _converse(model: RewardModel, overlong: str, as_json: bool) -> None:
    say("Type a prompt (empty: a bare text) and a response; quit or end of input ends it.")
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  lines can be edited and recalled
    scorer = _single(model, overlong)
    while True:
        prompt = _ask("prompt> ")
        if prompt is None or prompt.strip() == "quit":
            return
        response = _ask("response> ")
        if response is None or response.strip() == "quit":
            return
        try:
            row = {"prompt": prompt or None, "response": response}
            _print_scored(row, scorer(parse_prompt(prompt or None), response), as_json)
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
