"""``plaudit distill``"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from plaudit.cli import options as o
from plaudit.cli import train_options as t
from plaudit.cli.options import DATA, INTERRUPTED, TRAINING, option
from plaudit.cli.output import advance_bar, cell, print_json, quoted, say, simple_table, stdout_console
from plaudit.cli.train_flags import parse_settings
from plaudit.errors import ConfigError

if TYPE_CHECKING:
    from plaudit.training.distill import DistillResult

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit distill texts.jsonl --reward length=1 --reward sentiment=2 -o my-rm\n"
    "plaudit distill texts.txt --reward rewards.yaml --objective pairs -o my-rm\n"
    "plaudit distill --config distill.yaml --set training.weight_decay=0.1\n\n"
    "Texts: a file of rows with response (or text), responses, or chosen and rejected, with or without a prompt; "
    "or plain "
    "text, one a line. What the rules say is kept in OUTPUT.scores until the model is finished: --resume goes on."
)

KEYS = {
    "texts": "texts",
    "reward": "rewards",
    "base_model": "model.name",
    "max_length": "model.max_length",
    "device": "model.device",
    "peft": "lora",
    "learning_rate": "training.learning_rate",
    "epochs": "training.num_train_epochs",
    "batch_size": "training.per_device_train_batch_size",
}
KEYS |= {
    name: name
    for name in "split prompt_column response_column reference_column max_samples mode normalize objective min_gap "
    "test_fraction split_seed shard_size seed output overwrite resume".split()
}

RewardSpecs = Annotated[
    list[str] | None,
    option("--reward", panel=DATA, metavar="NAME[=WEIGHT]", help="A rule, a model or a composite's YAML. Repeatable."),
]
Mode = Annotated[
    Literal["mean", "min", "product", "uncertainty"] | None,
    option("--mode", panel=DATA, help="How several rewards become one (mean)."),
]
Normalize = Annotated[
    Literal["none", "zscore", "rank", "minmax"] | None,
    option("--normalize", panel=DATA, help="Bring rewards onto one scale, fitted on the training texts (none)."),
]
Objective = Annotated[
    Literal["regression", "pairs"] | None,
    option("--objective", panel=TRAINING, help="Learn the scores, or which of two texts has the higher one."),
]
MinGap = Annotated[
    float | None, option("--min-gap", panel=TRAINING, metavar="X", help="Pairs: least difference of scores (0).")
]
ShardSize = Annotated[
    int | None,
    option("--shard-size", panel=DATA, metavar="N", min=1, help="Texts scored between two points to resume."),
]


def distill(
    ctx: typer.Context,
    texts: Annotated[
        str | None, typer.Argument(metavar="TEXTS", show_default=False, help="File, folder or Hub data set of texts.")
    ] = None,
    reward: RewardSpecs = None,
    mode: Mode = None,
    normalize: Normalize = None,
    split: o.Split = None,
    prompt_column: o.PromptColumn = None,
    response_column: o.ResponseColumn = None,
    reference_column: o.ReferenceColumn = None,
    max_samples: Annotated[
        int | None, option("--max-samples", panel=DATA, metavar="N", min=1, help="Use the first so many texts.")
    ] = None,
    test_fraction: t.TestFraction = None,
    split_seed: t.SplitSeed = None,
    shard_size: ShardSize = None,
    base_model: t.BaseModel = None,
    max_length: o.MaxLength = None,
    device: o.Device = None,
    peft: t.Peft = None,
    objective: Objective = None,
    min_gap: MinGap = None,
    learning_rate: t.LearningRate = None,
    epochs: t.Epochs = None,
    batch_size: t.BatchSize = None,
    seed: t.Seed = None,
    config: t.ConfigFile = None,
    settings: t.Settings = None,
    output: t.Output = None,
    overwrite: o.Overwrite = False,
    resume: o.Resume = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Train a reward model that reproduces rules (and other models) on your texts."""
    answered = {n: v for n, v in ctx.params.items() if n in KEYS and v is not None and v is not False}  # 0 is an answer
    given = {name: value for name, value in answered.items() if value not in ([], ())}
    overrides = {**parse_settings(settings or []), **{KEYS[name]: value for name, value in given.items()}}
    overrides = {key: str(value) if key == "output" else value for key, value in overrides.items()}
    from plaudit.training.config import make_config
    from plaudit.training.distill import DistillConfig, run_distillation
    from plaudit.training.layers import lay_over, read_layer

    values: dict[str, Any] = {}
    for layer in (read_layer(config) if config is not None else {}, overrides):
        lay_over(values, layer)
    for name, flag in (("texts", "TEXTS"), ("rewards", "--reward NAME"), ("output", "--output DIR")):
        if name not in values:
            raise ConfigError(f"{flag} is required (or a --config FILE that sets {name})")
    ctx.meta[INTERRUPTED] = "--resume goes on where it was"
    run = make_config(values, DistillConfig)
    with advance_bar("texts scored", run.max_samples) as advance:
        result = run_distillation(run, say=say, progress=advance)
    _show(result, as_json=as_json)


def _show(result: DistillResult, *, as_json: bool) -> None:
    if as_json:
        training = result.training
        document = {"folder": str(training.folder), "distillation": result.report.to_dict(), "notes": training.notes}
        print_json(document | {"settings": training.settings, "seconds": round(training.seconds, 3)})
        return
    table = simple_table("held-out scores against", ">Spearman", "95% interval", ">Pearson", ">pairs in order")
    rows = {"all rewards": result.report.overall, **result.report.components}
    for index, (name, f) in enumerate(rows.items()):
        style = "" if index else "bold"
        table.add_row(
            cell(name, style),
            cell(f"{f.spearman.value:.3f}", style),
            f"{f.spearman.low:.3f} – {f.spearman.high:.3f}",
            f"{f.pearson.value:.3f}",
            f"{f.agreement.value:.3f}",
        )
    console = stdout_console()
    console.print(table)
    table = simple_table(">texts", ">held out", ">training time", "saved in")
    report, training = result.report, result.training
    table.add_row(f"{report.train_texts:,}", f"{report.texts:,}", f"{training.seconds:,.1f} s", cell(training.folder))
    console.print(table)
    say("next:")
    say(f"  plaudit score --model {quoted(training.folder)} --text 'a text on its own'")
    say(f"  plaudit verify {quoted(training.folder)}")
