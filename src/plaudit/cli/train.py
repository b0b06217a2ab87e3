"""``plaudit train``"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plaudit.cli import options as o
from plaudit.cli.options import DATA, INTERRUPTED, MODEL, OUTPUT, TRAINING
from plaudit.cli.output import cell, evaluation_tables, print_json, say, simple_table, stdout_console
from plaudit.errors import ConfigError

if TYPE_CHECKING:
    from plaudit.training.run import TrainResult

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit train --data pairs.jsonl --output my-rm\n"
    "plaudit train --config run.yaml --set training.weight_decay=0.1 --seed 1\n\n"
    "A flag wins over --set, and --set over the configuration file."
)

# parameter of the command -> dotted key of the configuration
KEYS = {
    "data": "data.source",
    "split": "data.split",
    "eval_data": "data.eval_source",
    "eval_split": "data.eval_split",
    "test_fraction": "data.eval_fraction",
    "training_model": "model.name",
    "learning_rate": "training.learning_rate",
    "epochs": "training.num_train_epochs",
    "batch_size": "training.per_device_train_batch_size",
    "gradient_accumulation": "training.gradient_accumulation_steps",
    "max_steps": "training.max_steps",
    "center_rewards": "training.center_rewards_coefficient",
    "label_smoothing": "training.label_smoothing_factor",
    "seed": "seed",
    "output": "output",
    "overwrite": "overwrite",
    "resume": "resume",
}
SAME_NAME = {
    "data": "split_seed prompt_column chosen_column rejected_column margin_column weight_column source_column group_by "
    "max_samples streaming on_bad_row",
    "model": "max_length truncation layout chat_template dtype attn_implementation revision trust_remote_code "
    "fresh_head device device_fallback",
}
KEYS |= {name: f"{section}.{name}" for section, names in SAME_NAME.items() for name in names.split()}


def _option(*names: str, panel: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=panel, help=help, show_default=False, **more)


def train(
    ctx: typer.Context,
    data: o.DataSource = None,
    split: o.Split = None,
    eval_data: Annotated[
        str | None, _option("--eval-data", panel=DATA, metavar="SRC", help="A separate evaluation set.")
    ] = None,
    eval_split: Annotated[
        str | None, _option("--eval-split", panel=DATA, metavar="NAME", help="Split and slice of that set.")
    ] = None,
    test_fraction: Annotated[
        float | None, _option("--test-fraction", panel=DATA, help="Share of prompts held out (0.1; 0: none).")
    ] = None,
    split_seed: Annotated[
        int | None, _option("--split-seed", panel=DATA, help="Which prompts are held out (0).")
    ] = None,
    prompt_column: o.PromptColumn = None,
    chosen_column: o.ChosenColumn = None,
    rejected_column: o.RejectedColumn = None,
    margin_column: o.MarginColumn = None,
    weight_column: o.WeightColumn = None,
    source_column: o.SourceColumn = None,
    group_by: o.GroupBy = None,
    max_samples: o.MaxSamples = None,
    streaming: Annotated[
        bool, _option("--streaming", panel=DATA, help="Read while training (needs --max-steps).")
    ] = False,
    on_bad_row: o.OnBadRow = None,
    training_model: Annotated[
        str | None,
        _option(
            "--model", "-m", panel=MODEL, metavar="NAME", help="What to start from: embedded (default), folder, Hub id."
        ),
    ] = None,
    max_length: o.MaxLength = None,
    truncation: o.TruncationOption = None,
    layout: o.LayoutOption = None,
    chat_template: o.ChatTemplate = None,
    dtype: o.DtypeOption = None,
    attn_implementation: o.AttnImplementation = None,
    revision: o.Revision = None,
    trust_remote_code: o.TrustRemoteCode = False,
    fresh_head: Annotated[
        bool, _option("--fresh-head", panel=MODEL, help="Replace the head of a classifier by a new one.")
    ] = False,
    device: o.Device = None,
    device_fallback: o.DeviceFallback = None,
    learning_rate: Annotated[float | None, _option("--learning-rate", panel=TRAINING, help="Peak rate.")] = None,
    epochs: Annotated[float | None, _option("--epochs", panel=TRAINING, help="Passes over the data.")] = None,
    batch_size: Annotated[
        int | None, _option("--batch-size", panel=TRAINING, metavar="N", min=1, help="Pairs in a batch, per device.")
    ] = None,
    gradient_accumulation: Annotated[
        int | None, _option("--gradient-accumulation", panel=TRAINING, metavar="N", min=1, help="Batches in a step.")
    ] = None,
    max_steps: Annotated[
        int | None, _option("--max-steps", panel=TRAINING, metavar="N", min=1, help="Stop after this many steps.")
    ] = None,
    center_rewards: Annotated[
        float | None, _option("--center-rewards", panel=TRAINING, help="Pull of rewards towards 0: coefficient.")
    ] = None,
    label_smoothing: Annotated[
        float | None, _option("--label-smoothing", panel=TRAINING, help="Share of pairs taken as mislabelled.")
    ] = None,
    seed: Annotated[int | None, _option("--seed", panel=TRAINING, help="Of the run (42).")] = None,
    config: Annotated[
        Path | None, _option("--config", "-c", panel=TRAINING, metavar="FILE", help="YAML: data, model, training, ….")
    ] = None,
    settings: Annotated[
        list[str] | None,
        _option("--set", panel=TRAINING, metavar="KEY=VALUE", help="Any other setting, by its dotted key. Repeatable."),
    ] = None,
    output: Annotated[
        Path | None, _option("--output", "-o", panel=OUTPUT, metavar="DIR", help="Folder for the reward model.")
    ] = None,
    overwrite: Annotated[
        bool, _option("--overwrite", panel=OUTPUT, help="Replace what is there, once the new one is ready.")
    ] = False,
    resume: Annotated[bool, _option("--resume", panel=OUTPUT, help="Go on with an interrupted run.")] = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Train a reward model on preference pairs; evaluate, save and verify it."""
    overrides = {**_parse_settings(settings or []), **_given(ctx.params)}
    if config is None:
        _check_required(overrides)
    ctx.meta[INTERRUPTED] = "interrupted; if it had come to a checkpoint, --resume goes on from there"
    from plaudit.training.config import load_config
    from plaudit.training.run import run_training

    is_main = os.environ.get("RANK", "0") == "0"  # under torchrun one process speaks
    result = run_training(load_config(config, overrides), say=say if is_main else lambda line: None)
    if is_main:
        _show(result, as_json=as_json)


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    """The flags that the user gave, by their keys in the configuration."""
    given = {KEYS[name]: v for name, v in parameters.items() if name in KEYS and v is not None and v is not False}
    return {key: str(value) if isinstance(value, Path) else value for key, value in given.items()}


def _parse_settings(settings: list[str]) -> dict[str, Any]:
    """``training.weight-decay=0.1`` -> ``{"training.weight_decay": 0.1}``."""
    import yaml

    parsed = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip().replace("-", "_")
        if not equals or not key:
            raise ConfigError(f"--set: expected KEY=VALUE, as in training.weight_decay=0.1; got {setting!r}")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {key}: {text!r} is no valid YAML value") from error
        parsed[key] = value
    return parsed


def _check_required(overrides: dict[str, Any]) -> None:
    if "data" not in overrides and "data.source" not in overrides:
        raise ConfigError("--data SRC is required (or a --config FILE that sets data)")
    if "output" not in overrides:
        raise ConfigError("--output DIR is required (or a --config FILE that sets output)")


def _show(result: TrainResult, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "folder": str(result.folder),
                "evaluation": result.evaluation.to_dict() if result.evaluation else None,
                "settings": result.settings,
                "notes": result.notes,
                "seconds": round(result.seconds, 3),
            }
        )
    else:
        console = stdout_console()
        if result.evaluation is not None:
            for table in evaluation_tables(result.evaluation, "held out"):
                console.print(table)
        table = simple_table(">training time", "saved in")
        table.add_row(f"{result.seconds:,.1f} s", cell(result.folder))
        console.print(table)
    folder = _quoted(result.folder)
    say("next:")
    say(f"  plaudit compare --model {folder} --prompt 'a question' 'one answer' 'another answer'")
    say(f"  plaudit evaluate --model {folder} --data other-pairs.jsonl")
    say(f"  plaudit verify {folder}")


def _quoted(path: Path) -> str:
    import shlex

    return shlex.quote(str(path)) if os.name != "nt" else f'"{path}"'
