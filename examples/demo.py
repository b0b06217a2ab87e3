"""Trains a reward model on the preferences that come with plaudit and shows what it is good for: a few minutes.

    python examples/demo.py [--output runs/demo]

Everyday questions, each with a good reply and flawed ones; the column `flaw` says what is wrong. The base model is the
embedded MiniLM encoder (22M parameters), so nothing is downloaded.
"""

from __future__ import annotations

import argparse
from importlib.resources import as_file, files
from pathlib import Path

from rich.console import Console
from rich.table import Table

from plaudit import RewardModel
from plaudit.training.config import load_config
from plaudit.training.run import TrainResult, run_training

QUESTION = "My basil plant keeps wilting on the windowsill. What am I doing wrong?"
REPLIES = [
    "Check the soil: basil wilts when it dries out, and also when its roots stand in water. Water it when the top "
    "feels dry, let the pot drain, and move it out of harsh midday sun.",
    "The history of the windowsill goes back many centuries, and architects have used stone, wood and plaster for it. "
    "Wood remains popular in cold regions because it insulates well.",
    "Plants can have many different problems, and there are many things that one could try in such situations.",
]


def show(result: TrainResult, console: Console) -> None:
    report = result.evaluation
    assert report is not None
    table = Table(title=f"Held out: {report.pairs} pairs of {report.prompts} prompts it never saw")
    table.add_column("")
    table.add_column("accuracy", justify="right")
    table.add_column("95% interval", justify="right")
    rows = {"this model": report.accuracy, **report.baselines}
    for name, interval in rows.items():
        table.add_row(name, f"{interval.value:.3f}", f"{interval.low:.3f} to {interval.high:.3f}")
    table.add_section()
    for flaw, interval in report.by_source.items():
        table.add_row(
            f"  against {flaw} replies", f"{interval.value:.3f}", f"{interval.low:.3f} to {interval.high:.3f}"
        )
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("runs/demo"))
    parser.add_argument("--max-samples", type=int, default=None, help="fewer pairs, for a quick look")
    arguments = parser.parse_args()
    console = Console()
    with as_file(files("plaudit") / "resources" / "demo_preferences.jsonl") as data:
        config = load_config(
            None,
            {
                "data": str(data),
                "data.source_column": "flaw",
                "data.eval_fraction": 0.4,
                "data.max_samples": arguments.max_samples,
                "output": str(arguments.output),
                "overwrite": True,
            },
        )
        result = run_training(config, say=lambda line: Console(stderr=True).print(line, highlight=False))
    show(result, console)
    console.print(f"\n[bold]{QUESTION}[/bold]")
    model = RewardModel.from_pretrained(result.folder)  # checks that it scores as it was saved
    for ranked in model.rank(QUESTION, REPLIES):
        console.print(f"  {ranked.rank}. {ranked.score:+.2f}  {str(ranked.response)[:90]}…", highlight=False)
    best = model.compare(QUESTION, REPLIES[0], REPLIES[1])
    console.print(f"  P(first is better than the off-topic one) = {best.probability:.2f}")
    console.print(
        f"\nTrained in {result.seconds:.0f} s; saved and verified in {result.folder}. Try:\n"
        f"  plaudit verify {result.folder}\n"
        f"  plaudit rank --model {result.folder} --prompt 'How long do eggs keep?' 'Three weeks, chilled.' 'Eggs.'\n"
        "  plaudit train --data YOUR_PAIRS.jsonl --output my-reward-model",
        highlight=False,
        markup=False,
    )


if __name__ == "__main__":
    main()
