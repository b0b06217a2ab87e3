"""``plaudit uncertainty``"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from plaudit.cli import groups as g
from plaudit.cli import options as o
from plaudit.cli.ensembles import ensemble_table, risk_table
from plaudit.cli.options import DATA, OUTPUT, option
from plaudit.cli.output import advance_bar, print_json, say, stdout_console, waiting
from plaudit.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from plaudit.metrics.selective import RiskCoverage

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit uncertainty my-ensemble held-out.jsonl\n"
    "plaudit uncertainty my-rm held-out.jsonl --plot risk.png\n\n"
    "How accuracy rises as the least certain pairs are set aside. Certainty is read from the margin; of an ensemble "
    "also from the members' agreement and the mean of their probabilities; of a model with a posterior (plaudit "
    "laplace) from that. The area under the curve of the risk (1 - accuracy) is the lower the better."
)

Model = Annotated[
    str, typer.Argument(metavar="MODEL", show_default=False, help="A reward model, an ensemble, a rule or a YAML file.")
]
Data = Annotated[str, typer.Argument(metavar="DATA", show_default=False, help="Held-out preference pairs.")]

Plot = Annotated[
    Path | None, option("--plot", panel=OUTPUT, metavar="FILE", help="Draw the curves (.png, .svg, .pdf).")
]


@g.with_groups
def uncertainty(
    model: Model,
    data: Data,
    group_by: o.GroupBy = None,
    overlong: Annotated[
        o.Overlong | None,
        option("--overlong", panel=DATA, help="A response too long by itself: error (default), or cut its end."),
    ] = None,
    device: o.Device = None,
    device_fallback: o.DeviceFallback = None,
    combine: o.CombineOption = None,
    k: o.CombineK = None,
    plot: Plot = None,
    overwrite: o.Overwrite = False,
    *,
    sides: g.Sides,
    reading: g.Reading,
    talk: g.Talk,
) -> None:
    """What a scorer's certainty is worth: accuracy as the least certain pairs are set aside."""
    if plot is None and overwrite:
        raise ConfigError("--overwrite belongs to --plot FILE; leave it out")
    if plot is not None:
        _check_plot(plot, overwrite)
    with waiting(f"loading {model}"):
        from plaudit.data import Columns, load_preferences
        from plaudit.models.ensemble import Ensemble

        columns = Columns(**sides.names(), group_by=group_by)
        pairs = load_preferences(data, columns=columns, **reading.given())
        scorer = _load(model, {"device": device, "device_fallback": device_fallback, "combine": combine, "k": k})
    for line in pairs.report.lines():
        say(line)
    passes = len(scorer.members) if isinstance(scorer, Ensemble) else 1
    with advance_bar("pairs", passes * len(pairs)) as advance:
        from plaudit.evaluation.uncertainty import evaluate_ensemble, risk_of

        ensemble = None
        if isinstance(scorer, Ensemble) and scorer.learned:
            ensemble = evaluate_ensemble(scorer, pairs, overlong=overlong or "error", progress=advance)
            curves: Mapping[str, RiskCoverage] = ensemble.risk
            document: dict[str, Any] = ensemble.to_dict()
        else:
            report = risk_of(scorer, pairs, overlong=overlong or "error", progress=advance)
            curves, document = report.curves, report.to_dict()
    if plot is not None:
        _draw(curves, plot)
    if talk.as_json:
        print_json({"model": model, "data": data, **document, "loaded": pairs.report.to_dict()})
    else:
        if ensemble is not None:
            stdout_console().print(ensemble_table(ensemble))
            say(ensemble.verdict())
        stdout_console().print(risk_table(curves))
    if plot is not None:
        say(f"wrote {plot}")


def _load(name: str, options: dict[str, Any]) -> Any:
    """The scorer; a model with a posterior beside its weights comes with it."""
    from plaudit.models.ensemble import Ensemble
    from plaudit.models.laplace import LaplaceLastLayer
    from plaudit.models.reward_model import RewardModel
    from plaudit.rewards.composite import CompositeReward
    from plaudit.scorers import resolve_scorer

    given = {key: value for key, value in options.items() if value is not None}
    scorer = resolve_scorer(name, **given)
    if given and not isinstance(scorer, (RewardModel, Ensemble, CompositeReward)):
        names = ", ".join(f"--{key.replace('_', '-')}" for key in given)
        raise ConfigError(f"{names}: no effect on the rule {name}; leave it out")
    if isinstance(scorer, RewardModel):
        return LaplaceLastLayer.load(scorer) or scorer
    return scorer


def _check_plot(plot: Path, overwrite: bool) -> None:
    if plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise ConfigError(f"--plot: expected a file that ends in .png, .svg or .pdf, got {plot.name!r}")
    if plot.exists() and not overwrite:
        raise OutputError(f"{plot} exists already; choose another file, or replace it with --overwrite")


def _draw(curves: Mapping[str, RiskCoverage], path: Path) -> None:
    from plaudit.evaluation.risk_plot import plot_risk

    plot_risk(curves, path)
