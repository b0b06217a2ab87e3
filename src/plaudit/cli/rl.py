"""``plaudit rl``: one command an algorithm."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from plaudit.cli import options as o
from plaudit.cli.options import DATA, INTERRUPTED, MODEL, OUTPUT, TRAINING, option
from plaudit.cli.output import cell, print_json, quoted, say, simple_table, stderr_console, stdout_console
from plaudit.cli.train_flags import parse_settings
from plaudit.errors import ConfigError

if TYPE_CHECKING:
    from plaudit.rl.run import RLResult

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit rl {name} --policy my-sft --prompts prompts.jsonl --reward my-rm --output my-policy\n"
    "plaudit rl {name} --policy my-sft --prompts prompts.jsonl --reward length=0.2 --reward my-rm=0.8 "
    "--gold large-rm -o my-policy\n"
    "plaudit rl {name} --config run.yaml --set {option}\n\n"
    "REWARD is a reward model, an ensemble, a rule, a composite's YAML file or the URL of a reward server; several "
    "with weights make a composite. --set takes fields of the configuration, and of the algorithm's own as "
    "options.NAME. The output folder holds the policy, results.json, log.jsonl and report.html."
)

KEYS = {
    "policy": "model_name",
    "prompts": "dataset_name",
    "gold": "gold",
    "output": "output_dir",
    "epochs": "num_epochs",
}
KEYS |= {
    name: name
    for name in "backend split prompt_column reference_column max_samples eval_prompts max_prompt_length overlong "
    "prompt_layout stop_on_hacking max_steps batch_size learning_rate max_new_tokens temperature dtype device "
    "gradient_checkpointing revision trust_remote_code save_steps overwrite resume seed".split()
}

Policy = Annotated[
    str | None, option("--policy", "-p", "--model", panel=MODEL, metavar="MODEL", help="The language model to train.")
]
Prompts = Annotated[
    str | None, option("--prompts", "--data", panel=DATA, metavar="SOURCE", help="File, folder or Hub data set.")
]
Reward = Annotated[
    list[str] | None,
    option("--reward", panel=MODEL, metavar="SCORER[=WEIGHT]", help="What is rewarded. Repeatable: a composite."),
]
Gold = Annotated[
    list[str] | None, option("--gold", panel=MODEL, metavar="SCORER", help="Watched, never optimised. Repeatable.")
]
Backend = Annotated[Literal["trl", "unsloth"] | None, option("--backend", panel=MODEL, help="What loads and trains.")]
EvalPrompts = Annotated[
    int | None, option("--eval-prompts", panel=DATA, metavar="N", min=0, help="Held out to compare start and end.")
]
MaxPromptLength = Annotated[
    int | None, option("--max-prompt-length", panel=DATA, metavar="TOKENS", min=1, help="Most tokens of a prompt.")
]
Overlong = Annotated[
    Literal["error", "drop"] | None, option("--overlong", panel=DATA, help="A longer prompt: stop, or leave it out.")
]
PromptLayout = Annotated[
    Literal["auto", "chat", "text"] | None,
    option("--prompt-layout", panel=DATA, help="A text prompt goes into the chat template, or stays as it is."),
]
Epochs = Annotated[
    float | None, option("--epochs", panel=TRAINING, metavar="X", help="How often every prompt is answered (1).")
]
MaxSteps = Annotated[
    int | None, option("--max-steps", panel=TRAINING, metavar="N", min=1, help="So many steps instead.")
]
BatchSize = Annotated[
    int | None, option("--batch-size", panel=TRAINING, metavar="N", min=1, help="Prompts a step (16).")
]
Rate = Annotated[float | None, option("--learning-rate", panel=TRAINING, metavar="X", help="Of the policy.")]
MaxNewTokens = Annotated[
    int | None, option("--max-new-tokens", panel=TRAINING, metavar="N", min=1, help="Most tokens of an answer (64).")
]
Temperature = Annotated[float | None, option("--temperature", panel=TRAINING, metavar="T", help="Of sampling (1).")]
Lora = Annotated[bool, option("--lora", panel=TRAINING, help="Train an adapter (see --set lora.r=16).")]
Stop = Annotated[
    bool, option("--stop-on-hacking", panel=TRAINING, help="Stop when a gold scorer falls while the reward rises.")
]
SaveSteps = Annotated[
    int | None, option("--save-steps", panel=OUTPUT, metavar="N", min=1, help="A checkpoint every so many steps.")
]
Checkpointing = Annotated[bool, option("--gradient-checkpointing", panel=TRAINING, help="Less memory, more computing.")]
Seed = Annotated[int | None, option("--seed", panel=TRAINING, metavar="N", help="Of sampling and order (42).")]
Config = Annotated[Path | None, option("--config", panel=OUTPUT, metavar="FILE", help="The configuration as YAML.")]
Settings = Annotated[
    list[str] | None, option("--set", panel=OUTPUT, metavar="KEY=VALUE", help="Any field: options.ppo_epochs=2.")
]
Output = Annotated[Path | None, option("--output", "-o", panel=OUTPUT, metavar="DIR", help="Folder for the policy.")]

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich")

COMMANDS = {
    "ppo": ("Proximal policy optimization, plaudit's own.", "options.kl_target=4"),
    "rloo": ("REINFORCE leave-one-out, by TRL.", "options.num_generations=8"),
    "grpo": ("Group relative policy optimization, by TRL.", "options.num_generations=8"),
    "online_dpo": ("Online DPO, by TRL: pairs of answers, judged by the reward.", "options.beta=0.1"),
}


def _add(name: str, told: str, example: str) -> None:
    """One command; they differ in the algorithm only."""

    def command(
        ctx: typer.Context,
        policy: Policy = None,
        prompts: Prompts = None,
        reward: Reward = None,
        gold: Gold = None,
        backend: Backend = None,
        split: o.Split = None,
        prompt_column: o.PromptColumn = None,
        reference_column: o.ReferenceColumn = None,
        max_samples: o.MaxSamples = None,
        eval_prompts: EvalPrompts = None,
        max_prompt_length: MaxPromptLength = None,
        overlong: Overlong = None,
        prompt_layout: PromptLayout = None,
        epochs: Epochs = None,
        max_steps: MaxSteps = None,
        batch_size: BatchSize = None,
        learning_rate: Rate = None,
        max_new_tokens: MaxNewTokens = None,
        temperature: Temperature = None,
        lora: Lora = False,
        gradient_checkpointing: Checkpointing = False,
        stop_on_hacking: Stop = False,
        dtype: o.DtypeOption = None,
        device: o.Device = None,
        revision: o.Revision = None,
        trust_remote_code: o.TrustRemoteCode = False,
        seed: Seed = None,
        save_steps: SaveSteps = None,
        config: Config = None,
        settings: Settings = None,
        output: Output = None,
        overwrite: o.Overwrite = False,
        resume: o.Resume = False,
        as_json: o.Json = False,
        verbose: o.Verbose = False,
        debug: o.Debug = False,
    ) -> None:
        ctx.meta[INTERRUPTED] = "if it had come to a checkpoint, --resume goes on from there"
        _run(name, _values(ctx.params), as_json=as_json)

    shown = name.replace("_", "-")
    app.command(shown, epilog=EPILOG.format(name=shown, option=example), help=told)(command)


for _name, (_told, _example) in COMMANDS.items():
    _add(_name, _told, _example)


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration: flags over --set over the file."""
    from plaudit.rl.config import SOURCES
    from plaudit.training.layers import lay_over, read_layer

    flags: dict[str, Any] = {
        KEYS[key]: value
        for key, value in given.items()
        if key in KEYS and value is not None and value is not False and value not in ([], ())  # 0 is an answer
    }
    if given["reward"]:
        flags["reward"] = _reward(list(given["reward"]))
    if given["lora"]:
        flags["lora"] = {}
    if "output_dir" in flags:
        flags["output_dir"] = str(flags["output_dir"])
    values: dict[str, Any] = {}
    file = read_layer(given["config"]) if given["config"] is not None else {}
    for layer in (file, {**parse_settings(given["settings"] or []), **flags}):
        lay_over(values, layer)
    for one, other in (("max_steps", "num_epochs"), ("num_epochs", "max_steps")):
        if one in flags and other not in flags:  # a flag wins over the file
            values.pop(other, None)
    for key, flag in (
        ("model_name", "--policy MODEL"),
        ("dataset_name", "--prompts SOURCE"),
        ("output_dir", "--output DIR"),
    ):
        if key not in values:
            raise ConfigError(f"{flag} is required (or a --config FILE that sets {key})")
    if not any(values.get(name) for name in SOURCES):
        raise ConfigError(
            "--reward SCORER is required: a reward model's folder, a rule, a YAML file, a server's address (or a "
            f"--config FILE that sets {', '.join(SOURCES)})"
        )
    return values


def _reward(specs: list[str]) -> str | list[str]:
    """One scorer as it is; several, or one with a weight, are a composite."""
    alone = len(specs) == 1 and (Path(specs[0]).exists() or re.search(r"=[^={}/]*$", specs[0]) is None)
    return specs[0] if alone else specs


def _run(name: str, values: dict[str, Any], *, as_json: bool) -> None:
    from plaudit.rl.factory import create_rl_trainer

    if values.pop("algorithm", name) != name:
        raise ConfigError(f"the configuration is for another algorithm than {name}; use its own command")
    progress = _Progress() if os.environ.get("RANK", "0") == "0" else None
    trainer = create_rl_trainer(algorithm=name, say=say if progress else _silent, show=progress, **values)
    try:
        trainer.setup_trainer()
        if progress is not None:
            assert trainer.job is not None
            progress.start(trainer.job.steps)
        result = trainer.train()
    finally:
        if progress is not None:
            progress.stop()
    if progress is not None:
        _show(result, as_json=as_json)


class _Progress:
    """A bar with reward, KL and length; a line a few times where there is no terminal."""

    def __init__(self) -> None:
        self.bar: Any = None
        self.task: Any = None
        self.total = 0

    def start(self, steps: int) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        console = stderr_console()
        self.total = steps
        self.bar = Progress(
            TextColumn("[bold]training"),
            BarColumn(bar_width=16),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self.task = self.bar.add_task("training", total=steps, figures="")
        self.bar.start()

    def __call__(self, record: Mapping[str, Any]) -> None:
        figures = _figures(record)
        if self.bar is not None:
            self.bar.update(self.task, completed=record["step"], figures=figures)
        every = max(1, self.total // 10)
        if not stderr_console().is_terminal and (record["step"] % every == 0 or record["step"] in (1, self.total)):
            say(f"step {record['step']}/{self.total}  {figures}")

    def stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _figures(record: Mapping[str, Any]) -> str:
    parts = [f"reward {record['reward']:.3f}"]
    parts += [f"gold {name} {value:.3f}" for name, value in record.get("gold", {}).items()]
    for key, label, form in (("kl", "KL", ".2f"), ("length", "length", ".0f")):
        if record.get(key) is not None:
            parts.append(f"{label} {record[key]:{form}}")
    return "  ".join(parts)


def _show(result: RLResult, *, as_json: bool) -> None:
    if as_json:
        print_json(result.to_dict())
        return
    table = simple_table(">steps", ">answers", ">reward", ">KL", ">length", "saved in")
    table.add_row(
        f"{result.steps:,}",
        f"{result.episodes:,}",
        _change(result.reward_start, result.reward_final),
        "–" if result.kl is None else f"{result.kl:.2f}",
        "–" if result.length is None else f"{result.length:.0f}",
        cell(result.output),
    )
    stdout_console().print(table)
    if result.win_rates is not None:
        for line in result.win_rates.lines():
            stdout_console().print(line, highlight=False, markup=False)
    else:
        say("no prompts were held out, so the end was not compared with the start (--eval-prompts N)")
    say(f"report: {quoted(result.output / 'report.html')}")


def _change(start: float | None, final: float | None) -> str:
    if start is None or final is None:
        return "–"
    return f"{start:.3f} → {final:.3f}"


def _silent(line: str) -> None:
    """What another rank has to say."""
