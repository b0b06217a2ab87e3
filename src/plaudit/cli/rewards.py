"""``plaudit rewards``: the reward functions there are, and normalizations fitted on data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from plaudit.cli import options as o
from plaudit.cli.options import DATA, OUTPUT, option
from plaudit.cli.output import advance_bar, cell, print_json, say, simple_table, stdout_console, waiting
from plaudit.errors import ConfigError, OutputError

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help="Reward functions: rules that score a response.")

LIST_EPILOG = "[bold]Examples[/]\nplaudit rewards list\nplaudit rewards list --bench --json"
SHOW_EPILOG = "[bold]Examples[/]\nplaudit rewards show length"
FIT_EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit rewards fit texts.jsonl --reward length=1 --reward my-rm=2 --normalize zscore --output rewards.yaml\n"
    "plaudit rewards fit texts.jsonl --reward rewards.yaml --output fitted.yaml --json\n"
    "plaudit score rows.jsonl --reward rewards.yaml"
)

Texts = Annotated[
    str,
    typer.Argument(metavar="TEXTS", show_default=False, help="Typical texts: a file of rows, which is held in memory."),
]
RewardSpecs = Annotated[
    list[str],
    option("--reward", panel=DATA, metavar="NAME[=WEIGHT]", help="A rule, a model or a composite's YAML. Repeatable."),
]
FittedFile = Annotated[
    Path, option("--output", "-o", panel=OUTPUT, metavar="FILE", help="YAML for the fitted composite.")
]
Normalize = Annotated[
    str | None, option("--normalize", panel=DATA, metavar="KIND", help="zscore (default), rank or minmax.")
]
Mode = Annotated[
    str | None, option("--mode", panel=DATA, metavar="MODE", help="mean (default), min, product or uncertainty.")
]
MaxSamples = Annotated[
    int | None, option("--max-samples", panel=DATA, metavar="N", min=2, help="Use the first so many texts.")
]


def list_rewards(
    bench: Annotated[bool, option("--bench", panel=OUTPUT, help="Measure texts a second on one core.")] = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """All reward functions: range, what they need, what they are."""
    from plaudit.rewards import REWARDS

    rates = _rates() if bench else {}
    rows: list[dict[str, Any]] = []
    for name in REWARDS:
        function = REWARDS.get(name)
        row: dict[str, Any] = {"name": name, "range": list(function.range), "needs": sorted(function.needs)}
        row |= {"summary": function.summary(), "slow": function.slow}
        rows.append(row | ({"texts_per_second": rates.get(name)} if bench else {}))
    if as_json:
        print_json(rows)
        return
    table = simple_table("reward", "range", "needs", *([">texts/s"] if bench else []), "what it says")
    for row in rows:
        low, high = row["range"]
        rate = row.get("texts_per_second")
        speed = [f"{rate:,.0f}" if rate is not None else "–"] if bench else []
        needs = ", ".join(sorted(REWARDS.get(row["name"]).needs))
        table.add_row(cell(row["name"], "bold"), f"{low:g} … {high:g}", needs, *speed, cell(row["summary"]))
    stdout_console().print(table)
    say("options and formula of one: plaudit rewards show NAME")


def show_reward(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="A name from plaudit rewards list.")],
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """What a reward function computes, its options and their defaults."""
    import dataclasses
    import inspect

    from plaudit.rewards import REWARDS

    function = REWARDS.get(name)
    assert dataclasses.is_dataclass(function)
    options = {
        field.name: None if field.default is dataclasses.MISSING else field.default
        for field in dataclasses.fields(function)
        if field.init
    }
    text = inspect.getdoc(function) or ""
    if as_json:
        print_json({"name": name, "options": options, "needs": sorted(function.needs), "documentation": text})
        return
    print(f"{name}\n\n{text}\n")
    table = simple_table("option", "default")
    for option_name, default in options.items():
        table.add_row(cell(option_name, "bold"), cell(repr(default)))
    if options:
        stdout_console().print(table)
    example = "".join(f"{key}: {value}" for key, value in list((function.example or {}).items())[:1])
    say(
        f"plaudit score rows.jsonl --reward '{name}{{{example}}}'"
        if example
        else f"plaudit score rows.jsonl --reward {name}"
    )


def fit_rewards(
    texts: Texts,
    reward: RewardSpecs,
    output: FittedFile,
    normalize: Normalize = None,
    mode: Mode = None,
    prompt_column: o.PromptColumn = None,
    response_column: o.ResponseColumn = None,
    reference_column: o.ReferenceColumn = None,
    max_samples: MaxSamples = None,
    overwrite: o.Overwrite = False,
    as_json: o.Json = False,
    verbose: o.Verbose = False,
    debug: o.Debug = False,
) -> None:
    """Fit the normalization of several rewards on typical texts, and write the composite down."""
    _check_output(output, Path(texts).expanduser(), overwrite=overwrite)
    with waiting("loading"):
        import yaml

        from plaudit.files import atomic_text
        from plaudit.scorers import composite_from
        from plaudit.training.distill.scores import raw_scores
        from plaudit.training.distill.texts import read_texts

        composite = composite_from(_composite_spec(reward, normalize, mode))
        if composite.fitted:
            raise ConfigError("nothing to fit: no reward is to be normalized, or all are fitted already")
        columns = {"prompt_column": prompt_column, "response_column": response_column}
        columns |= {"reference_column": reference_column}
        rows = list(read_texts(texts, **columns, max_samples=max_samples))
    with advance_bar("texts", len(rows)) as advance:
        raw = raw_scores(composite, rows, progress=advance)
    fitted = composite.fit_scores(raw).to_dict()
    atomic_text(output, yaml.safe_dump(fitted, sort_keys=False, allow_unicode=True))
    if as_json:
        print_json({"output": str(output), "texts": len(rows)} | fitted)
    say(f"{composite!r}, fitted on {len(rows):,} texts: wrote {output}")


def _check_output(output: Path, texts: Path, *, overwrite: bool) -> None:
    if output.exists() and texts.exists() and output.samefile(texts):
        raise OutputError(f"{output} is the file that is read, and would be replaced; choose another output")
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists already; choose another output, or replace it with --overwrite")


def _composite_spec(rewards: list[str], normalize: str | None, mode: str | None) -> str | dict[str, Any]:
    """What is to be fitted, as `plaudit.scorers.composite_from` takes it."""
    if len(rewards) > 1 or not rewards[0].endswith((".yaml", ".yml")):
        return {"rewards": rewards, "normalize": normalize or "zscore"} | ({"mode": mode} if mode else {})
    if normalize is not None or mode is not None:
        raise ConfigError("--normalize and --mode: the YAML file says that itself; leave them out")
    return rewards[0]


def _rates() -> dict[str, float]:
    """Texts a second of every function on one core, on samples of what it is for."""
    from plaudit.rewards import REWARDS
    from plaudit.rewards.base import make
    from plaudit.rewards.samples import sample_rows

    rates: dict[str, float] = {}
    for name in REWARDS:
        function = REWARDS.get(name)
        prompts, responses, references = sample_rows(function.sample, 32 if function.slow else 256)
        if function.example is None:
            continue
        with waiting(f"timing {name}"):
            scorer = make(name, function.example)
            scorer.score(prompts[:8], responses[:8], references=references[:8])  # what is loaded once
            start = _cpu_seconds()
            scorer.score(prompts, responses, references=references)
            rates[name] = round(len(responses) / max(_cpu_seconds() - start, 1e-6), 1)
    return rates


def _cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    import os
    import time

    return time.process_time() + sum(os.times()[2:4])


app.command("list", epilog=LIST_EPILOG)(list_rewards)
app.command("show", epilog=SHOW_EPILOG)(show_reward)
app.command("fit", epilog=FIT_EPILOG)(fit_rewards)
