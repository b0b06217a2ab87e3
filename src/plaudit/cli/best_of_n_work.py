"""The work of ``plaudit best-of-n``: every prompt's responses ranked, a line for each written as they come."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from plaudit.cli import options as o
from plaudit.cli.output import advance_bar, say, waiting
from plaudit.cli.resumable import OTHERWISE, ResumableLines, check_same_facts
from plaudit.errors import ConfigError

if TYPE_CHECKING:
    from plaudit.cli.best_of_n import Sampling
    from plaudit.evaluation.best_of_n import BestOfNReport
    from plaudit.rl.best_of_n import Ranked
    from plaudit.rl.prompts import TaskPrompt
    from plaudit.types import Example, Scorer

__all__ = ["FOR_POLICY", "Tally", "Work"]

Pair = tuple["Ranked", dict[str, Any]]
"""A ranked prompt, and the columns that go into its line."""


@dataclass
class Tally:
    """What is told in the end; two numbers a response where there are gold scores.

    Attributes:
        prompts, responses, empty: how many.
        best, mean: sums over prompts of the best score and of the mean score.
        chosen: prompts with a response to choose.
        scored: for the curve: scores and gold scores of each prompt.
        groups: the prompts' keys.
        left_out: prompts with too few responses for the curve.
    """

    least: int
    prompts: int = 0
    responses: int = 0
    empty: int = 0
    chosen: int = 0
    best: float = 0.0
    mean: float = 0.0
    left_out: int = 0
    scored: list[tuple[Any, Any]] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)

    def add(self, prompt: Any, scores: list[float | None], gold: list[float | None] | None) -> None:
        """Takes in a prompt by its scores, None for an empty response."""
        known = [score for score in scores if score is not None]
        self.prompts += 1
        self.responses += len(scores)
        self.empty += len(scores) - len(known)
        if known:
            self.chosen += 1
            self.best += max(known)
            self.mean += sum(known) / len(known)
        if gold is None:
            return
        if len(known) < self.least:
            self.left_out += 1
            return
        import numpy as np

        from plaudit.types import prompt_group

        judged = [value for value, score in zip(gold, scores, strict=True) if score is not None]
        self.scored.append((np.array(known), np.array(judged, dtype=float)))
        self.groups.append(prompt_group(prompt))

    def report(self) -> BestOfNReport:
        """The curve.

        Raises:
            DataError: no prompt has enough responses.
        """
        from plaudit.errors import DataError
        from plaudit.evaluation.best_of_n import best_of_n_report

        if not self.scored:
            raise DataError(
                f"there is no prompt to draw a curve from: {self.left_out:,} have fewer than {self.least} responses"
            )
        return best_of_n_report(self.scored, self.groups, left_out=self.left_out)

    def to_dict(self) -> dict[str, Any]:
        """Counts and means for JSON."""
        return {
            "prompts": self.prompts,
            "responses": self.responses,
            "empty": self.empty,
            "best": self.best / self.chosen if self.chosen else None,
            "mean": self.mean / self.chosen if self.chosen else None,
        }


def from_rows(rows: Iterator[tuple[Example, dict[str, Any]]], lines: Lines, **how: Any) -> Iterator[Pair]:
    """Given responses, ranked; see `plaudit.rl.best_of_n.rank_candidates` for ``how``."""
    from plaudit.rl.best_of_n import rank_candidates

    waiting: deque[dict[str, Any]] = deque()

    def examples() -> Iterator[Example]:
        for place, (example, other) in enumerate(rows):
            if place < lines.skip:
                lines.check_next(example.prompt, other, example.responses, example.location)
            else:
                waiting.append(other)
            yield example

    for ranked in rank_candidates(examples(), skip=lines.skip, **how):
        yield ranked, waiting.popleft()


def from_policy(tasks: list[TaskPrompt], policy: Any, lines: Lines, **how: Any) -> Iterator[Pair]:
    """Sampled responses, ranked; see `plaudit.rl.best_of_n.sample_best_of_n` for ``how``."""
    from plaudit.rl.best_of_n import sample_best_of_n

    others = [
        {"prompt": task.prompt} | ({} if task.reference is None else {"reference": task.reference}) for task in tasks
    ]
    for task, other in zip(tasks[: lines.skip], others, strict=False):
        lines.check_next(task.prompt, other, None, task.location)
    ranked = sample_best_of_n(policy, tasks, skip=lines.skip, **how)
    yield from zip(ranked, others[lines.skip :], strict=True)


class Lines:
    """The output, or none; lines that are there already are compared with their prompts and counted.

    Args:
        target: None: nothing is written.
        keep_all: all responses, ranked, instead of the best one's place.
        tally: told of every prompt.
    """

    def __init__(self, target: ResumableLines | None, keep_all: bool, tally: Tally) -> None:
        self.target, self.keep_all, self.tally = target, keep_all, tally
        self.skip = 0

    def check_next(self, prompt: Any, other: dict[str, Any], responses: Any, location: str | None) -> None:
        """Reads the next line that is there already.

        Raises:
            ConfigError: it is not this prompt's.
        """
        assert self.target is not None
        (line,) = self.target.before(1)
        try:
            document = json.loads(line)
            scores, gold, best = document["scores"], document.get("gold_scores"), document["response"]
            same = all(document[key] == value for key, value in json.loads(_text(other)).items() if key not in OWN)
            same = same and (responses is None or best in responses)
        except (ValueError, KeyError, TypeError):
            same = False
        if not same:
            raise ConfigError(f"--resume: {location} is not what {self.target.partial} holds in its place; {OTHERWISE}")
        self.tally.add(prompt, scores, gold)

    def check_end(self) -> bool:
        """All lines that are there have been compared.

        Raises:
            ConfigError: there are more of them than prompts.
        """
        assert self.target is not None
        if self.target.before(1):
            raise ConfigError(f"--resume: {self.target.partial} has more lines than there are prompts; {OTHERWISE}")
        return True

    def write(self, ranked: Ranked, other: dict[str, Any]) -> None:
        """Adds the line of a prompt."""
        document = _document(ranked, self.keep_all)
        self.tally.add(ranked.prompt, document["scores"], document.get("gold_scores"))
        if self.target is not None:
            self.target.write(_text({**other, **document}))
            self.target.flush()


OWN = ("response", "score", "index", "scores", "gold", "gold_scores", "responses")
"""Keys of a line that are not its row's."""


def rank_into(
    pairs: Callable[[Lines], Iterator[Pair]], lines: Lines, facts: dict[str, Any], started: Callable[[], None]
) -> None:
    """Runs through all prompts.

    Args:
        pairs: makes them, given the lines that are there already.
        lines: receive them.
        facts: what decides them, for a run that goes on.
        started: called when lines are there.

    Raises:
        ConfigError: an unfinished file was made with something else.
    """
    if lines.target is None:
        for ranked, other in pairs(lines):
            lines.write(ranked, other)
        return
    check_same_facts(lines.target, facts)
    with lines.target.open(facts):
        lines.skip = lines.target.count
        if lines.skip:
            started()
        ended = False
        for ranked, other in pairs(lines):
            ended = ended or lines.check_end()  # before the first new line, which would be read back
            lines.write(ranked, other)
            started()
        if not ended:
            lines.check_end()


def facts_of(name: str, scorer: Scorer, overlong: str) -> dict[str, Any]:
    """What decides a scorer's scores, as `plaudit.cli.resumable.check_same_facts` compares it."""
    from plaudit.evaluation.row_scorers import ModelScorer
    from plaudit.models.ensemble import Ensemble
    from plaudit.models.reward_model import RewardModel
    from plaudit.rewards.composite import CompositeReward

    if isinstance(scorer, RewardModel) or (isinstance(scorer, Ensemble) and scorer.learned):
        found = ModelScorer(scorer, name, overlong).facts()
    elif isinstance(scorer, CompositeReward):
        found = {"rewards": scorer.to_dict(), "golden": []}
    else:
        found = {"scorer": name, "golden": []}
    plain: dict[str, Any] = json.loads(json.dumps(found))
    return plain


def _document(ranked: Ranked, keep_all: bool) -> dict[str, Any]:
    best = ranked.best
    order = ranked.order if keep_all else list(range(len(ranked.responses)))
    scores = _plain(ranked.scores)
    document: dict[str, Any] = {
        "response": ranked.responses[best] if best is not None else "",
        "score": scores[best] if best is not None else None,
    }
    if not keep_all:
        document["index"] = best
    document["scores"] = [scores[i] for i in order]
    if ranked.gold is not None:
        gold = _plain(ranked.gold)
        document |= {"gold": gold[best] if best is not None else None, "gold_scores": [gold[i] for i in order]}
    if keep_all:
        document["responses"] = [ranked.responses[i] for i in order]
    return document


def _plain(values: Any) -> list[float | None]:
    return [None if value != value else float(value) for value in values]


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, default=str)


FOR_POLICY = ("device", "dtype", "trust_remote_code")
"""Options of loading that the policy takes too."""


@dataclass
class Work:
    """What is to be done, as the options said it.

    Attributes:
        ctx, data, split, columns, overlong, sampling, loading: as given.
        model, gold: names of the scorers.
        scorer: what chooses.
        judge: what judges; None: a column does, or nothing.
    """

    ctx: typer.Context
    data: str
    model: str
    scorer: Scorer
    gold: str | None
    judge: Scorer | None
    split: str | None
    columns: dict[str, str | None]
    overlong: str
    sampling: Sampling
    loading: dict[str, Any]

    def curve(self, least: int) -> BestOfNReport:
        """The curve alone, of given responses."""
        from plaudit.evaluation.best_of_n import best_of_n as compute
        from plaudit.evaluation.candidates import read_candidates

        examples = read_candidates(self.data, split=self.split, **self.columns)
        with advance_bar("prompts", _total(self.data)) as advance:
            return compute(
                self.scorer,
                self.judge,
                examples,
                min_responses=least,
                overlong=self.overlong,
                progress=advance,
            )

    def write(self, target: ResumableLines | None, *, keep_all: bool, least: int, judged: bool) -> Tally:
        """Ranks every prompt's responses, and writes them where there is a file."""
        tally = Tally(least)
        lines = Lines(target, keep_all, tally)

        def started() -> None:
            assert target is not None
            self.ctx.meta[o.INTERRUPTED] = (
                f"{target.count:,} prompts are in {target.partial}; the same command with --resume goes on from there"
            )

        how: dict[str, Any] = {"scorer": self.scorer, "gold": self.judge}
        if self.sampling.policy is None:
            from plaudit.evaluation.candidates import read_candidate_rows

            rows = read_candidate_rows(self.data, split=self.split, **self.columns)
            how |= {"gold_labels": judged and self.judge is None, "overlong": self.overlong}
            with advance_bar("prompts", _total(self.data)) as advance:
                pairs = lambda lines: from_rows(rows, lines, progress=advance, **how)  # noqa: E731
                rank_into(pairs, lines, self._facts(keep_all), started)
            return tally
        tasks, policy = self._policy()
        with advance_bar("prompts", len(tasks)) as advance:
            how |= self.sampling.values()
            pairs = lambda lines: from_policy(tasks, policy, lines, progress=advance, **how)  # noqa: E731
            rank_into(pairs, lines, self._facts(keep_all), started)
        return tally

    def _policy(self) -> tuple[list[Any], Any]:
        with waiting(f"loading {self.sampling.policy}"):
            from plaudit.rl.policy import load_policy
            from plaudit.rl.prompts import load_prompts

            tasks = load_prompts(
                self.data,
                split=self.split,
                prompt_column=self.columns["prompt_column"],
                reference_column=self.sampling.reference_column,
            )
            assert self.sampling.policy is not None
            options = {name: value for name, value in self.loading.items() if name in FOR_POLICY}
            policy = load_policy(self.sampling.policy, **options)
        say(f"{self.sampling.policy} on {policy.device}: {len(tasks):,} prompts")
        return tasks, policy

    def _facts(self, keep_all: bool) -> dict[str, Any]:
        """What decides the lines."""
        gold = None
        if self.judge is not None:
            gold = facts_of(str(self.gold), self.judge, self.overlong) | {"golden": []}
        sampled = {} if self.sampling.policy is None else self.sampling.values() | {"policy": self.sampling.policy}
        asked = {"keep_all": keep_all, "gold": gold, "reference_column": self.sampling.reference_column}
        return {"model": self.model} | facts_of(self.model, self.scorer, self.overlong) | self.columns | asked | sampled


def _total(data: str) -> int | None:
    if not sys.stderr.isatty():
        return None
    from plaudit.data.read import count_rows, suffix_of

    path = Path(data).expanduser()
    return count_rows(path) if path.is_file() and suffix_of(path) in (".jsonl", ".ndjson", ".parquet") else None
