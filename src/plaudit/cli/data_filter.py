"""``plaudit data filter``"""

from __future__ import annotations

from typing import Annotated

import typer

from plaudit.cli import data_common as c
from plaudit.cli import groups as g
from plaudit.cli import options as o
from plaudit.cli.options import DATA, OUTPUT, option
from plaudit.cli.output import advance_bar
from plaudit.errors import ConfigError

__all__ = ["EPILOG", "filter_rows"]

EPILOG = (
    "[bold]Examples[/]\n"
    "plaudit data filter corpus.jsonl good.jsonl --model my-rm --min-score 1.5\n"
    "plaudit data filter corpus.jsonl best.jsonl --model my-rm --keep-fraction 0.1\n"
    "plaudit data filter samples.jsonl pairs.jsonl --model my-rm --pairs --min-margin 1\n"
    "plaudit data filter pairs.jsonl clear.jsonl --model my-rm --min-margin 0.5\n"
    "plaudit data filter corpus.jsonl short.jsonl --reward 'length{target: 50}' --min-score 0.8\n\n"
    "A row has a response, a list of responses, or chosen and rejected, and a prompt if there is one. --min-score is "
    "in units of the scorer's raw score. --keep-fraction reads the corpus twice, scores it once and holds a number for "
    "each response. --pairs finds the responses to a prompt wherever they are, through a temporary file (TMPDIR). "
    "OUTPUT appears when all is done; to score in steps that survive a kill: plaudit score --output --resume."
)


@g.with_groups
def filter_rows(
    corpus: Annotated[
        str, typer.Argument(metavar="CORPUS", show_default=False, help="File, folder or Hub data set of responses.")
    ],
    output: c.Output,
    model: o.OptionalModel = None,
    reward: o.Rewards = None,
    min_score: Annotated[
        float | None, option("--min-score", panel=DATA, metavar="X", help="Keep responses with at least this score.")
    ] = None,
    keep_fraction: Annotated[
        float | None,
        option("--keep-fraction", panel=DATA, metavar="F", help="Keep this share of the responses, the best ones."),
    ] = None,
    pairs: Annotated[
        bool,
        option("--pairs", panel=DATA, help="Write the best and the worst response to each prompt, for DPO and ORPO."),
    ] = False,
    min_margin: Annotated[
        float | None,
        option("--min-margin", panel=DATA, metavar="X", help="Of pairs: the least difference of the two scores."),
    ] = None,
    group_by: Annotated[
        str | None,
        option("--group-by", panel=DATA, metavar="NAME", help="--pairs: responses with equal NAME have one prompt."),
    ] = None,
    prompt_column: o.PromptColumn = None,
    response_column: o.ResponseColumn = None,
    reference_column: o.ReferenceColumn = None,
    system_column: o.SystemColumn = None,
    split: o.Split = None,
    on_bad_row: o.OnBadRow = None,
    score_name: Annotated[
        str, option("--score-name", panel=OUTPUT, metavar="NAME", show_default=True, help="Column for the scores.")
    ] = "score",
    overlong: o.OverlongOption = "error",
    overwrite: o.Overwrite = False,
    *,
    loading: g.Loading,
    talk: g.Talk,
) -> None:
    """Score a corpus with a model or rules, and keep the best of it, or make pairs of best and worst."""
    from plaudit.curation.filter import filter_corpus
    from plaudit.data.write import RowWriter

    if (model is None) == (not reward):
        raise ConfigError("give --model NAME or --reward NAME[=WEIGHT] (once or several times), one of the two")
    RowWriter(output, overwrite=overwrite)  # refuses now what it would refuse after the model has loaded
    scorer = c.load_judge(model, reward, loading.given())
    assert scorer is not None
    with advance_bar("rows", c.rows_total(corpus)) as advance:
        report = filter_corpus(
            corpus,
            output,
            scorer,
            min_score=min_score,
            keep_fraction=keep_fraction,
            min_margin=min_margin,
            pairs=pairs,
            prompt_column=prompt_column,
            response_column=response_column,
            reference_column=reference_column,
            system_column=system_column,
            group_by=group_by,
            score_name=score_name,
            overlong=overlong,
            split=split,
            on_bad_row=on_bad_row or "error",
            overwrite=overwrite,
            progress=advance,
        )
    c.tell(report, output, as_json=talk.as_json)
