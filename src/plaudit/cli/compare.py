"""``plaudit compare``"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from plaudit.cli import options as o
from plaudit.cli.loading import load_reward_model, parse_prompt
from plaudit.cli.output import cell, print_json, shorten, simple_table, stdout_console

EPILOG = "[bold]Example[/]\nplaudit compare --model my-rm -p 'Why is the sky blue?' 'Air.' 'No idea.'"


def compare(
    model: o.RequiredModel,
    a: Annotated[str, typer.Argument(metavar="A", help="One response.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other response.")],
    prompt: o.Prompt = None,
    device: o.Device = None,
    device_fallback: o.DeviceFallback = None,
    dtype: o.DtypeOption = None,
    batching: o.Batching = None,
    revision: o.Revision = None,
    trust_remote_code: o.TrustRemoteCode = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Which of two responses is better, by how much, and how surely."""
    loaded = load_reward_model(
        model,
        device=device,
        device_fallback=device_fallback,
        dtype=dtype,
        batching=batching,
        revision=revision,
        trust_remote_code=trust_remote_code,
    )
    result = loaded.compare(parse_prompt(prompt), a, b)
    if as_json:
        print_json({"model": model, "prompt": prompt, "a": a, "b": b, **asdict(result)})
        return
    table = simple_table("", ">score", ">P(better)", "response")
    for name, score, probability, text in (
        ("A", result.score_a, result.probability, a),
        ("B", result.score_b, 1 - result.probability, b),
    ):
        style = "bold green" if result.preferred == name.lower() else ""
        table.add_row(
            cell(name, style),
            cell(f"{score:.4f}", style),
            cell(f"{probability:.3f}", style),
            cell(shorten(text), fit=True),
        )
    stdout_console().print(table)
    verdict = "a tie" if result.preferred == "tie" else f"{result.preferred.upper()} is preferred"
    stdout_console().print(f"{verdict}, margin {result.margin:+.4f}", markup=False)
