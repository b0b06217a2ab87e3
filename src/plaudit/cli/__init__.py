"""The command line. One file per command: parse -> one library call -> print.

Data goes to stdout, talk to stderr. Importing this imports neither torch nor transformers: commands import what they
need when they run, so that ``plaudit --help`` answers at once.
"""

from __future__ import annotations

from plaudit.cli import (
    audit,
    benchmarks,
    best_of_n,
    calibrate,
    compare,
    data,
    debias,
    demo,
    distill,
    evaluate,
    export,
    laplace,
    leaderboard,
    merge,
    promote,
    push,
    rank,
    render,
    rewards,
    rl,
    score,
    train,
    uncertainty,
    verify,
)
from plaudit.cli.aliases import AliasedCommand
from plaudit.cli.app import app, main

__all__ = ["app", "main"]

app.command(epilog=demo.EPILOG)(demo.demo)
app.command(cls=AliasedCommand, epilog=train.EPILOG)(train.train)
app.command(epilog=distill.EPILOG)(distill.distill)
app.command(epilog=evaluate.EPILOG)(evaluate.evaluate)
app.command(epilog=audit.EPILOG)(audit.audit)
app.command(epilog=debias.EPILOG)(debias.debias)
app.command(epilog=benchmarks.EPILOG)(benchmarks.benchmarks)
app.command(name="best-of-n", epilog=best_of_n.EPILOG)(best_of_n.best_of_n)
app.command(epilog=leaderboard.EPILOG)(leaderboard.leaderboard)
app.command(epilog=promote.EPILOG)(promote.promote)
app.command(epilog=calibrate.EPILOG)(calibrate.calibrate)
app.command(epilog=uncertainty.EPILOG)(uncertainty.uncertainty)
app.command(epilog=laplace.EPILOG)(laplace.laplace)
app.command(epilog=merge.EPILOG)(merge.merge)
app.command(epilog=score.EPILOG)(score.score)
app.add_typer(rewards.app, name="rewards")
app.add_typer(data.app, name="data")
app.command(epilog=compare.EPILOG)(compare.compare)
app.command(epilog=rank.EPILOG)(rank.rank)
app.command(epilog=verify.EPILOG)(verify.verify)
app.command(epilog=export.EPILOG)(export.export)
app.add_typer(rl.app, name="rl", help="Train a policy with a reward model: PPO, RLOO, GRPO, online DPO.")
app.command(epilog=push.EPILOG)(push.push)
app.command(epilog=render.EPILOG)(render.render)
