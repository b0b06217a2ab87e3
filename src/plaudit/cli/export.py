"""``plaudit export``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from plaudit.cli import groups as g
from plaudit.cli import options as o
from plaudit.cli.options import MODEL, OUTPUT, option
from plaudit.cli.output import cell, print_json, quoted, say, simple_table, stdout_console, waiting

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit export vllm my-rm served && bash served/serve.sh\n"
    "plaudit export verl my-rm for-verl --policy Qwen/Qwen3-0.6B\n"
    "plaudit export openrlhf 'length{target: 200}' for-openrlhf --policy my-policy\n\n"
    "openrlhf and verl train a policy with the reward; vllm, sglang and tei serve it. OUTPUT/README.md says how to run "
    "it, what was checked, and what was not."
)

Target = Annotated[
    Literal["openrlhf", "verl", "vllm", "sglang", "tei"],
    typer.Argument(metavar="TARGET", show_default=False, help="openrlhf, verl, vllm, sglang or tei."),
]
Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        show_default=False,
        help="Folder or Hub id of a reward model or adapter; for openrlhf and verl any scorer.",
    ),
]
Output = Annotated[Path, typer.Argument(metavar="OUTPUT", show_default=False, help="Folder to write.")]


@g.with_groups
def export(
    target: Target,
    model: Model,
    output: Output,
    function_only: Annotated[
        bool,
        option("--function-only", panel=MODEL, help="openrlhf, verl: no checkpoint, plaudit scores in the trainer."),
    ] = False,
    policy: Annotated[
        str | None, option("--policy", panel=MODEL, metavar="NAME", help="openrlhf, verl: the model that is trained.")
    ] = None,
    overlong: o.OverlongOption = "error",
    empty_score: Annotated[
        float | None,
        option("--empty-score", panel=MODEL, metavar="X", help="Of an empty response (default: it is an error)."),
    ] = None,
    device: o.Device = None,
    device_fallback: o.DeviceFallback = None,
    revision: o.Revision = None,
    trust_remote_code: o.TrustRemoteCode = False,
    overwrite: Annotated[
        bool, option("--overwrite", panel=OUTPUT, help="Replace an earlier export, once the new one is proved.")
    ] = False,
    *,
    talk: g.Talk,
) -> None:
    """Hand a reward model to another system: checkpoint, scripts and a reward function, all checked first."""
    with waiting(f"exporting {model} for {target}"):
        from plaudit.rl.export import export_model

        result = export_model(
            model,
            target,
            output,
            function_only=function_only,
            policy=policy,
            overlong=overlong,
            empty_score=empty_score,
            overwrite=overwrite,
            device=device,
            device_fallback=device_fallback,
            revision=revision,
            trust_remote_code=trust_remote_code,
        )
    if talk.as_json:
        print_json(result.to_dict())
    else:
        table = simple_table("file", "what it is")
        for name, what in result.files.items():
            if what != "checkpoint":
                table.add_row(cell(name), cell(what))
        stdout_console().print(table)
        for line in result.checked:
            say(f"checked: {line}")
        for line in result.unchecked:
            say(f"beware: {line}")
    say(f"rewards: {result.route}")
    say(f"wrote {output}; next: read {quoted(output / 'README.md')}")
