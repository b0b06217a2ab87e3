"""``plaudit best-of-n``"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plaudit.cli import groups as g
from plaudit.cli import options as o
from plaudit.cli.any_scorer import load_any_scorer, needs_model
from plaudit.cli.output import cell, print_json, say, simple_table, stdout_console
from plaudit.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from plaudit.cli.best_of_n_work import Tally
    from plaudit.cli.resumable import ResumableLines
    from plaudit.evaluation.best_of_n import BestOfNPoint, BestOfNReport
    from plaudit.types import Scorer

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit best-of-n data.jsonl --model my-rm --gold large-rm --plot curve.png\n"
    "plaudit best-of-n data.jsonl --model my-rm --gold-column scores --json\n"
    "plaudit best-of-n data.jsonl --model my-rm --output best.jsonl\n"
    "plaudit best-of-n prompts.jsonl --policy my-llm --n 16 -m my-rm -o best.jsonl\n"
    "plaudit best-of-n data.jsonl -m my-ensemble --lower-bound 1 -o best.jsonl\n\n"
    "A row has a prompt and a list of responses; with --policy a prompt, to which the policy samples N responses "
    "(prompts are held in memory). --output gets a line for every prompt: the best response with its score and the "
    "scores of all; --keep-all adds all responses, best first. --gold draws a curve, whose horizontal axis is "
    "log n - (n - 1) / n, a bound from above on the KL divergence between the best of n and the policy that wrote the "
    "responses."
)

MOST_LINES = 12
SAMPLING = "Sampling"
DEFAULTS = {"n": 16, "max_new_tokens": 256, "temperature": 1.0, "seed": 0}


def _sampled(name: str, kind: str, help: str, **more: Any) -> Any:
    return o.option(name, panel=SAMPLING, metavar=kind, help=help, **more)


@dataclass(frozen=True)
class Sampling(g.OptionGroup):
    """Where responses come from that are not in the data."""

    policy: Annotated[
        str | None, _sampled("--policy", "NAME", "Sample responses from this language model: folder or Hub id.")
    ] = None
    n: Annotated[int | None, _sampled("--n", "N", "Responses to each prompt (16).", min=1)] = None
    max_new_tokens: Annotated[
        int | None, _sampled("--max-new-tokens", "N", "Most tokens of a response (256).", min=1)
    ] = None
    temperature: Annotated[float | None, _sampled("--temperature", "X", "Of sampling, above 0 (1.0).")] = None
    seed: Annotated[int | None, _sampled("--seed", "N", "Makes the responses repeatable (0).", min=0)] = None
    reference_column: o.ReferenceColumn = None

    def values(self) -> dict[str, Any]:
        """As `plaudit.rl.best_of_n.sample_best_of_n` takes them."""
        return {name: value if (value := getattr(self, name)) is not None else DEFAULTS[name] for name in DEFAULTS}


@dataclass(frozen=True)
class Writing(g.OptionGroup):
    """What is kept."""

    output: Annotated[
        Path | None, o.option("--output", "-o", panel=o.OUTPUT, metavar="FILE", help="Write the best responses here.")
    ] = None
    keep_all: Annotated[bool, o.option("--keep-all", panel=o.OUTPUT, help="Write all responses, best first.")] = False
    plot: Annotated[
        Path | None, o.option("--plot", panel=o.OUTPUT, metavar="FILE", help="Draw the curves into a PNG file.")
    ] = None
    overwrite: o.Overwrite = False
    resume: o.Resume = False


@g.with_groups
def best_of_n(
    ctx: typer.Context,
    data: Annotated[
        str, typer.Argument(metavar="DATA", show_default=False, help="Prompts with several responses each.")
    ],
    model: Annotated[str, o.option("--model", "-m", panel=o.MODEL, metavar="SCORER", help="What chooses: any scorer.")],
    gold: Annotated[
        str | None, o.option("--gold", panel=o.MODEL, metavar="GOLD", help="What stands for the truth: any scorer.")
    ] = None,
    gold_column: Annotated[
        str | None,
        o.option("--gold-column", panel=o.DATA, metavar="NAME", help="Or a column with a gold score a response."),
    ] = None,
    lower_bound: Annotated[
        float | None,
        o.option(
            "--lower-bound",
            panel=o.MODEL,
            metavar="K",
            min=0,
            help="Of an ensemble: choose by the mean less K standard deviations of its members.",
        ),
    ] = None,
    split: o.Split = None,
    prompt_column: o.PromptColumn = None,
    response_column: o.ResponseColumn = None,
    min_responses: Annotated[
        int | None,
        o.option(
            "--min-responses",
            panel=o.DATA,
            metavar="K",
            min=2,
            help="Leave prompts with fewer out of the curve: n goes to the fewest that is left (2).",
        ),
    ] = None,
    overlong: o.OverlongOption = "error",
    *,
    sampling: Sampling,
    writing: Writing,
    loading: g.Loading,
    talk: g.Talk,
) -> None:
    """The best of n responses by a scorer, and what choosing so gains by a gold scorer."""
    judged = gold is not None or gold_column is not None
    _check(sampling, writing, judged=judged, least=min_responses)
    if gold is not None and gold_column is not None:
        raise ConfigError("give --gold SCORER or --gold-column NAME, one of the two")
    if gold == model:
        raise ConfigError(
            f"{model} is both model and gold: what it chooses would be judged by itself; give another gold"
        )
    if sampling.policy is not None and (gold_column or response_column or overlong != "error"):
        raise ConfigError("--gold-column, --response-column and --overlong belong to given responses, not to --policy")
    check_output(writing.plot, [data], ".png", overwrite=writing.overwrite)
    lines = _lines_of(writing, data)
    scorers = _load(model, gold, lower_bound, loading, sampling, overlong)
    columns = {"prompt_column": prompt_column, "response_column": response_column, "gold_column": gold_column}
    from plaudit.cli.best_of_n_work import Work

    judge = scorers[1] if len(scorers) > 1 else None
    work = Work(ctx, data, model, scorers[0], gold, judge, split, columns, overlong, sampling, loading.given())
    tally: Tally | None = None
    report: BestOfNReport | None = None
    if lines is None and sampling.policy is None:
        report = work.curve(min_responses or 2)
    else:
        tally = work.write(lines, keep_all=writing.keep_all, least=min_responses or 2, judged=judged)
        report = tally.report() if judged else None
    names = (model, gold or f"column {gold_column}")
    if writing.plot is not None and report is not None:
        from plaudit.evaluation.best_of_n_picture import draw_best_of_n

        draw_best_of_n(writing.plot, report, proxy_name=Path(names[0]).name, gold_name=Path(names[1]).name)
        say(f"wrote {writing.plot}")
    if talk.as_json:
        written = {} if tally is None else {"output": writing.output and str(writing.output), "choice": tally.to_dict()}
        curve = {} if report is None else {"gold": names[1], **report.to_dict()}
        print_json({"data": data, "proxy": names[0], **written, **curve})
        return
    if tally is not None:
        _tell(tally, writing.output)
    if report is not None:
        _print(report)


def _check(sampling: Sampling, writing: Writing, *, judged: bool, least: int | None) -> None:
    """Refuses options that would have no effect.

    Raises:
        ConfigError: names them.
    """
    if not judged and writing.output is None:
        raise ConfigError(
            "give --output FILE for the best responses, --gold SCORER or --gold-column NAME for a curve, or both"
        )
    if writing.output is None and (writing.keep_all or writing.resume):
        raise ConfigError("--keep-all and --resume belong to --output FILE; give one, or leave them out")
    if writing.overwrite and writing.output is None and writing.plot is None:
        raise ConfigError("--overwrite belongs to --output or --plot; leave it out")
    if not judged and (writing.plot is not None or least is not None):
        raise ConfigError("--plot and --min-responses belong to a curve, which needs --gold or --gold-column")
    if sampling.policy is None:
        given = [name for name in (*DEFAULTS, "reference_column") if getattr(sampling, name) is not None]
        if given:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
            raise ConfigError(f"{names}: belongs to --policy, which samples the responses; leave it out")


def _lines_of(writing: Writing, data: str) -> ResumableLines | None:
    if writing.output is None:
        return None
    from plaudit.cli.resumable import ResumableLines

    source = Path(data).expanduser()
    return ResumableLines(writing.output, resume=writing.resume, overwrite=writing.overwrite, source=source)


def _load(
    model: str, gold: str | None, lower_bound: float | None, loading: g.Loading, sampling: Sampling, overlong: str
) -> list[Scorer]:
    """The scorer that chooses, and the one that judges where there is one."""
    from plaudit.cli.best_of_n_work import FOR_POLICY as for_policy  # noqa: N811

    options = loading.given()
    scorers = [load_any_scorer(name, options) for name in (model, gold) if name is not None]
    own = options if sampling.policy is None else {k: v for k, v in options.items() if k not in for_policy}
    needs_model(scorers, own | ({"overlong": overlong} if overlong != "error" else {}))
    if lower_bound is not None:
        from plaudit.models.ensemble import Ensemble

        if not isinstance(scorers[0], Ensemble):
            raise ConfigError(f"--lower-bound needs an ensemble, whose members differ; {model} is a single scorer")
        scorers[0].combine, scorers[0].k = "mean_minus_std", lower_bound
    return scorers


def _tell(tally: Tally, output: Path | None) -> None:
    figures = tally.to_dict()
    if output is not None:
        say(f"wrote the best of {tally.responses:,} responses to {tally.prompts:,} prompts to {output}")
    if figures["best"] is not None:
        say(f"mean score of the best {figures['best']:.4g}, of one at random {figures['mean']:.4g}")
    if tally.empty:
        say(f"{tally.empty:,} responses are empty, which are never chosen")
    if tally.chosen < tally.prompts:
        say(f"warning: {tally.prompts - tally.chosen:,} prompts have empty responses only; their score is null")


def check_output(path: Path | None, inputs: list[str], suffix: str, *, overwrite: bool) -> None:
    """Refuses an output before the work is done.

    Raises:
        OutputError: another suffix, a file that is there, or one of the inputs.
    """
    if path is None:
        return
    if path.suffix.lower() != suffix:
        raise OutputError(f"{path}: expected a name that ends in {suffix}")
    if any(Path(i).exists() and path.exists() and path.samefile(i) for i in inputs):
        raise OutputError(f"{path} is the file that is read; choose another output")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; --overwrite replaces it")
    if not path.absolute().parent.is_dir():
        raise OutputError(f"{path}: there is no folder {path.absolute().parent}")


def _print(report: BestOfNReport) -> None:
    table = simple_table(">n", ">KL ≤", ">by the proxy", ">gain", ">95%", ">by gold", ">proxy says")
    table.title = "mean gold score of the best of n, chosen"
    for point in _shown(report):
        style = "bold" if point.n == report.peak_n else ""
        table.add_row(
            str(point.n),
            f"{point.kl:.3f}",
            cell(f"{point.proxy.value:.4g}", style),
            f"{point.gain.value:.3g}",
            f"{point.gain.low:.3g} … {point.gain.high:.3g}",
            f"{point.gold.value:.4g}",
            f"{point.believed:.4g}",
        )
    stdout_console().print(table)
    left = f"; {report.left_out:,} with fewer responses left out" if report.left_out else ""
    say(f"{report.prompts:,} prompts, {report.responses:,} responses{left}")
    last = report.points[-1].n
    if report.peak_n < last and not report.over_optimised:
        drop = f"{report.drop.value:.4g} [{report.drop.low:.4g}, {report.drop.high:.4g}]"
        say(f"highest at n = {report.peak_n}; lost from there to n = {last}: {drop}")
    say(report.verdict())
    if report.caution:
        say(f"caution: {report.caution}")
    for line in _forecast(report):
        say(line)


def _shown(report: BestOfNReport) -> list[BestOfNPoint]:
    """Some of the points: powers of two, the peak and the last."""
    if len(report.points) <= MOST_LINES:
        return report.points
    last = report.points[-1].n
    wanted = {2**power for power in range(20)} | {last, report.peak_n}
    return [point for point in report.points if point.n in wanted]


def _forecast(report: BestOfNReport) -> list[str]:
    lines = []
    if report.recovered is not None:
        lines.append(f"at the largest n the proxy brings {report.recovered:.0%} of the gain that gold's own choice has")
    fit = report.fit
    if fit is None:
        return [*lines, "too few points for a forecast (Gao et al. 2023): it needs 4 responses a prompt"]
    told = f"R = d (α - β d), d = √KL: α {fit.alpha.value:.3g} [{fit.alpha.low:.3g}, {fit.alpha.high:.3g}], "
    told += f"β {fit.beta.value:.3g} [{fit.beta.low:.3g}, {fit.beta.high:.3g}], R² {fit.r2:.2f}"
    lines.append(told)
    if fit.peak_kl is None:
        lines.append("the fitted curve has no peak")
    elif fit.extrapolated:
        n = f"n ≈ {fit.peak_n:,.0f}" if fit.peak_n is not None and fit.peak_n < 1e6 else "n above a million"
        lines.append(f"extrapolated beyond the data: it would peak at {n}, KL {fit.peak_kl:.2f}")
    else:
        lines.append(f"the fitted curve peaks at n ≈ {fit.peak_n:,.1f}, KL {fit.peak_kl:.2f}")
    return lines
