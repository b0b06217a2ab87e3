"""``plaudit render``"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plaudit.cli import options as o
from plaudit.cli.output import print_json, say, stdout_console, waiting
from plaudit.errors import ConfigError, DataError, PlauditError, RowError

if TYPE_CHECKING:
    from rich.text import Text

    from plaudit.evaluation.scoring_rows import ScoringRow
    from plaudit.formatting import Explained, Renderer

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit render pairs.jsonl --model my-rm --row 3\n"
    "plaudit render pairs.jsonl --model embedded --max-length 64"
)

STYLES = {"special": "dim cyan", "prompt": "", "response": "green"}
LABEL = 10
VISIBLE = str.maketrans({"\n": "⏎", "\r": "␍", "\t": "⇥", " ": "·"})


def render(
    data: Annotated[str, typer.Argument(metavar="DATA", help="File, folder or Hub data set.")],
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="NAME", help="Reward model or base model.", rich_help_panel=o.MODEL),
    ],
    row: Annotated[
        int, typer.Option("--row", metavar="N", min=1, help="Which row, from 1.", rich_help_panel=o.DATA)
    ] = 1,
    split: o.Split = None,
    prompt_column: o.PromptColumn = None,
    chosen_column: o.ChosenColumn = None,
    rejected_column: o.RejectedColumn = None,
    response_column: o.ResponseColumn = None,
    max_length: o.MaxLength = None,
    truncation: o.TruncationOption = None,
    layout: o.LayoutOption = None,
    chat_template: o.ChatTemplate = None,
    revision: o.Revision = None,
    trust_remote_code: o.TrustRemoteCode = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Show exactly what a model sees: the tokens of a row, what was cut, and where the reward is read.

    Loads the tokenizer and the scoring contract, no weights.
    """
    with waiting("loading"):
        wanted = _pick_row(data, split, row, prompt_column, (chosen_column, rejected_column), response_column)
        renderer, read_position = _renderer(
            model, max_length, truncation, layout, chat_template, revision, trust_remote_code
        )
    views = [_explain(renderer, name, item) for name, item in zip(_names(wanted), wanted.items, strict=True)]
    spec = renderer.spec
    facts = {
        "row": row,
        "location": wanted.location,
        "layout": spec.layout,
        "max_length": spec.max_length,
        "truncation": spec.truncation,
        "hash": renderer.hash,
        "read_position": read_position,
    }
    if as_json:
        print_json({**facts, "responses": [view.to_dict(read_position) for view in views]})
    else:
        _print_views(facts, views)


# -- what to show ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """One response of the row: its tokens, or why it has none."""

    name: str
    explained: Explained | None
    problem: str = ""

    def read_index(self, read_position: str) -> int | None:
        """The token at which the reward is read; None where the model pools."""
        return len(self.explained.tokens) - 1 if self.explained and read_position == "last" else None

    def to_dict(self, read_position: str) -> dict[str, Any]:
        """For JSON."""
        if self.explained is None:
            return {"name": self.name, "error": self.problem}
        rendered = self.explained.rendered
        return {
            "name": self.name,
            "tokens": self.explained.tokens,
            "ids": rendered.input_ids,
            "kinds": self.explained.kinds,
            "cut": rendered.cut,
            "cut_at": self.explained.cut_at,
            "read_index": self.read_index(read_position),
            "type_boundary": rendered.type_boundary,
        }


def _pick_row(
    data: str,
    split: str | None,
    number: int,
    prompt_column: str | None,
    pair: tuple[str | None, str | None],
    response_column: str | None,
) -> ScoringRow:
    """Row ``number`` of the source as it stands there, bad and duplicate rows counted too."""
    from plaudit.data import Columns, to_example
    from plaudit.data.source import open_source
    from plaudit.evaluation.scoring_rows import ScoringRow, to_scoring_row
    from plaudit.formatting import RenderItem

    rows = open_source(data, split=split, streaming=True).read()
    location, found = next(itertools.islice(rows, number - 1, None), ("", None))
    if found is None:
        raise DataError(f"{data} has no row {number}")
    if isinstance(found, RowError):
        raise found
    if pair == (None, None):
        if "chosen" in found or "rejected" in found or "response" in found or "responses" in found or response_column:
            return to_scoring_row(found, location, prompt_column, response_column)
    elif response_column is not None:
        raise ConfigError("--response-column excludes --chosen-column and --rejected-column")
    example = to_example(found, Columns(prompt=prompt_column, chosen=pair[0], rejected=pair[1]), location)
    if example.input_ids is not None:
        raise RowError("the row holds token ids; nothing is rendered", location)
    return ScoringRow(found, RenderItem.of(example), ("score_chosen", "score_rejected"), location)


def _names(row: ScoringRow) -> list[str]:
    if len(row.names) == len(row.items) > 1:
        return [name.removeprefix("score_") for name in row.names]
    return ["response"] if len(row.items) == 1 else [f"response {index + 1}" for index in range(len(row.items))]


def _renderer(
    name: str,
    max_length: int | None,
    truncation: o.Truncation | None,
    layout: o.Layout | None,
    chat_template: Path | None,
    revision: str | None,
    trust_remote_code: bool,
) -> tuple[Renderer, str]:
    """The renderer of a model, and where the model reads the reward: ``last`` or ``pooled``."""
    from plaudit.formatting import Renderer, default_spec
    from plaudit.models.build import load_tokenizer
    from plaudit.models.saved import find_contract

    tokenizer = load_tokenizer(name, revision=revision, trust_remote_code=trust_remote_code)
    _, contract = find_contract(name, revision)
    if chat_template is not None:
        try:
            tokenizer.chat_template = chat_template.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the chat template {chat_template}: {error}") from error
    if contract is not None:
        changes: dict[str, Any] = {"max_length": max_length, "truncation": truncation, "layout": layout}
        changes = {key: value for key, value in changes.items() if value is not None}
        if changes.get("layout") == "auto":
            changes["layout"] = default_spec(tokenizer, 8).layout
        renderer = Renderer(tokenizer, replace(contract.render, **changes))
        if renderer.hash != contract.render_hash:
            say("note: this is not the rendering of the model's scoring contract")
        return renderer, contract.read_position
    layout = layout or "auto"
    spec = default_spec(tokenizer, max_length or 8, truncation=truncation or "keep-response", layout=layout)
    if max_length is None:
        spec = replace(spec, max_length=256 if spec.layout == "pair" else min(2048, tokenizer.model_max_length))
    return Renderer(tokenizer, spec), "pooled" if spec.layout == "pair" else "last"


def _explain(renderer: Renderer, name: str, item: Any) -> View:
    try:
        return View(name, renderer.explain(item))
    except PlauditError as error:
        return View(name, None, str(error))


# -- showing it ------------------------------------------------------------------------------------------------------


def _print_views(facts: dict[str, Any], views: list[View]) -> None:
    from rich.text import Text

    console = stdout_console()
    console.print(
        f"{facts['location']}  layout {facts['layout']}, at most {facts['max_length']} tokens, truncation "
        f"{facts['truncation']}, hash {facts['hash']}",
        markup=False,
        soft_wrap=True,
    )
    for view in views:
        console.print()
        if view.explained is None:
            console.print(Text.assemble((view.name, "bold"), "  ", (f"not rendered: {view.problem}", "red")))
            continue
        kinds = view.explained.kinds
        counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in STYLES)
        console.print(Text.assemble((view.name, "bold"), f"  {len(kinds)} tokens: {counts}"))
        for line in _token_lines(view.explained, view.read_index(facts["read_position"]), console.width):
            console.print(line, soft_wrap=True)
    console.print()
    where = "read at [read]" if facts["read_position"] == "last" else "pooled by the model, not read at one token"
    console.print(
        Text.assemble(
            ("special", STYLES["special"]),
            ": special tokens and template, prompt, ",
            ("response", STYLES["response"]),
            f"; ✂ tokens lost to the limit; the reward is {where}",
            style="",
        ),
        soft_wrap=True,
    )


def _token_lines(explained: Explained, read_index: int | None, width: int) -> Iterator[Text]:
    """Runs of tokens of one kind, each with its kind in front, broken between tokens; a line where some are missing."""
    from rich.text import Text

    tokens, kinds = explained.tokens, explained.kinds
    line, room, label = Text(), 0, ""
    for index, (token, kind) in enumerate(zip(tokens, kinds, strict=True)):
        shown = Text(token.translate(VISIBLE), style="bold reverse" if index == read_index else STYLES[kind])
        if index == read_index:
            shown.append(" [read]", style="not reverse bold")
        starts = index == 0 or kind != kinds[index - 1] or index == explained.cut_at
        if starts or shown.cell_len + 1 > room:
            if index:
                yield line
            if index == explained.cut_at:
                yield Text(f"{'✂':<{LABEL}}{explained.rendered.cut} tokens lost", style="bold red")
            label = kind if starts else ""
            line, room = Text.assemble((f"{label:<{LABEL}}", "dim")), width - LABEL
        else:
            line.append("|", style="dim")
            room -= 1
        line.append_text(shown)
        room -= shown.cell_len
    yield line
