"""Does an ensemble of three beat its best member, and is what it is unsure of where it is wrong?

    python benchmarks/ensemble.py [--sets semeval13_student_pairs,...] [--runs DIR] [--no-save]

Fixed before any figure on the four sets was seen:

    sets        semeval13_student_pairs, ibm_argq_pairs, hh_helpful, ukp_convarg
    held out    30% of the prompts (ukp_convarg: of the stances, its column category), drawn from the sorted ones with
                ``random.Random(0).sample``; of their pairs at most 600, drawn with ``random.Random(1).sample``
    trained on  500 pairs of the other prompts, drawn with ``random.Random(2).sample``
    members     ``plaudit train --seeds 42,43,44``: the embedded MiniLM, the defaults, no evaluation on the way
    ensemble    the mean; its NLL is that of the mean of the members' probabilities, as `Ensemble.compare` states it.
                The NLL of the sigmoid of the mean margin, which is `evaluate`'s, stands beside it
    rival       the member with the least NLL on these same held-out pairs, which favours it
    wins        NLL lower than the rival's; paired 95% interval by prompt beside it. At least three of four sets
    soup        ``plaudit merge``, uniform, of the three members; accuracy and NLL on the same pairs
    monotone    a risk-coverage curve (grid of 10% to 100%, 1,000 bootstrap draws by prompt) is monotone within its band
                if no band at a small coverage lies wholly below the band at a larger one; asked of all three readings
                of certainty: margin, agreement, probability. The largest fall of the curve itself stands beside it
    laplace     the posterior of the last layer of the member of seed 42, fitted on the 500 pairs, prior precision by
                marginal likelihood: NLL and area under the risk-coverage curve, without and with it

Finished ensembles are kept in ``--runs`` and not trained again; a killed one resumes. On one core a member takes one to
three minutes.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from common import SHARED_DATA, finish

SETS = ("semeval13_student_pairs", "ibm_argq_pairs", "hh_helpful", "ukp_convarg")
GROUPS = {"ukp_convarg": "category"}
SEEDS = "42,43,44"
TRAINED_ON, HELD_OUT, SHARE = 500, 600, 0.3


def split(name: str, folder: Path) -> tuple[Path, Path]:
    """Files with the training pairs and the held-out ones."""
    lines = (SHARED_DATA / f"preferences/{name}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    keys = [json.dumps(row[GROUPS.get(name, "prompt")], sort_keys=True) for row in rows]
    prompts = sorted(set(keys))
    out = set(random.Random(0).sample(prompts, round(SHARE * len(prompts))))
    held = [row for row, key in zip(rows, keys, strict=True) if key in out]
    rest = [row for row, key in zip(rows, keys, strict=True) if key not in out]
    parts = {
        "held-out": random.Random(1).sample(held, min(HELD_OUT, len(held))),
        "train": random.Random(2).sample(rest, min(TRAINED_ON, len(rest))),
    }
    for part, chosen in parts.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in chosen)
        (folder / f"{name}-{part}.jsonl").write_text(text, encoding="utf-8")
    return folder / f"{name}-train.jsonl", folder / f"{name}-held-out.jsonl"


def trained(name: str, runs: Path) -> tuple[Path, Path, Path]:
    """The ensemble of a set, trained where it is not there yet, and the files of its split."""
    train, held = split(name, runs)
    output = runs / name
    if not output.exists():
        command = [sys.executable, "-m", "plaudit", "train", "--data", train, "--eval-data", held, "--output", output]
        command += ["--seeds", SEEDS, "--eval-strategy", "no", "--report-to", "none"]
        command += ["--group-by", GROUPS[name]] if name in GROUPS else []
        command += ["--resume"] if output.with_name(f"{name}.partial").exists() else []
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)
    return output, train, held


def figures_of(name: str, runs: Path) -> dict[str, Any]:
    """All figures of a set."""
    from plaudit import Columns, RewardModel, load_preferences
    from plaudit.evaluation.soup import merge_models
    from plaudit.evaluation.uncertainty import evaluate_ensemble, pair_nll, risk_of, score_with_posterior
    from plaudit.metrics.intervals import bootstrap_accuracy
    from plaudit.models.ensemble import Ensemble
    from plaudit.models.laplace import fit_laplace

    output, train, held = trained(name, runs)
    columns = Columns(group_by=GROUPS.get(name))
    pairs = load_preferences(str(held), columns=columns)
    soup = merge_models([output / f"seed-{seed}" for seed in SEEDS.split(",")], data=pairs, overlong="cut").report
    model = RewardModel.from_pretrained(output / "seed-42")
    posterior = fit_laplace(model, load_preferences(str(train), columns=columns))
    scored, std = score_with_posterior(posterior, pairs, overlong="cut")
    sure = pair_nll(posterior.probability(scored.margins, 0 * std))
    counted = pair_nll(posterior.probability(scored.margins, std))
    risk = risk_of(posterior, pairs, overlong="cut")
    held_out = evaluate_ensemble(Ensemble.from_pretrained(output), pairs, overlong="cut").to_dict()
    averaged = soup.to_dict()
    averaged["members"] = {Path(member).name: figures for member, figures in averaged["members"].items()}
    averaged["kept"] = [Path(member).name for member in averaged["kept"]]
    return {
        "held_out": held_out,
        "wins": held_out["gain"]["value"] > 0,
        "surely": held_out["gain"]["low"] > 0,
        "monotone": {by: curve["monotone"] for by, curve in held_out["risk"].items()},
        "soup": averaged,
        "laplace": {
            "precision": posterior.precision,
            "determined": posterior.determined,
            "nll": str(bootstrap_accuracy(sure, scored.groups)),
            "nll_with_posterior": str(bootstrap_accuracy(counted, scored.groups)),
            "gain": str(bootstrap_accuracy(sure - counted, scored.groups)),
            "area": {by: str(curve.aurc) for by, curve in risk.curves.items()},
        },
    }


def summary(sets: dict[str, Any]) -> None:
    """One line a set, for the person who watches."""
    for name, found in sets.items():
        held = found["held_out"]
        best, own = held["members"][held["best"]], held["ensemble"]
        print(
            f"{name}: NLL {own['nll']['value']:.4f}, best member {best['nll']['value']:.4f}, gain "
            f"{held['gain']['value']:.4f} [{held['gain']['low']:.4f}, {held['gain']['high']:.4f}]; accuracy "
            f"{own['accuracy']['value']:.3f} / {best['accuracy']['value']:.3f}; monotone {found['monotone']}",
            file=sys.stderr,
        )
        print(held["verdict"], file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--runs", type=Path, default=Path("runs/ensemble"))
    parser.add_argument("--train-only", action="store_true", help="train what is missing, and stop")
    parser.add_argument("--no-save", action="store_true", help="print only")
    options = parser.parse_args()
    options.runs.mkdir(parents=True, exist_ok=True)
    names = options.sets.split(",")
    if options.train_only:
        for name in names:
            trained(name, options.runs)
        return
    sets = {name: figures_of(name, options.runs) for name in names}
    summary(sets)
    result = {
        "seeds": SEEDS,
        "wins": sum(found["wins"] for found in sets.values()),
        "of": len(sets),
        "monotone": all(all(found["monotone"].values()) for found in sets.values()),
        "sets": sets,
    }
    finish("ensemble", result, save=not options.no_save)


if __name__ == "__main__":
    main()
