"""What the reward-function files of an export call: any scorer, in this process or behind a server.

Everything fails loudly: a training loop that got a made-up score would learn from it.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from plaudit.errors import ConfigError, DataError, ScoreError
from plaudit.rewards import CompositeReward, RewardFunction
from plaudit.rewards.remote import RemoteScorer
from plaudit.rl.export.client import ServedModel
from plaudit.scorers import resolve_scorer
from plaudit.types import Prompt, Response, Scorer

__all__ = ["DEVICE", "URL", "RewardSource", "check_server", "needs_reference", "prompt_in", "response_in"]

URL, DEVICE = "PLAUDIT_REWARD_URL", "PLAUDIT_DEVICE"


class RewardSource:
    """A scorer that is opened at its first use.

    Args:
        scorer: what `plaudit.scorers.resolve_scorer` takes: a model folder, a rule, a composite.
        dialect: what the server speaks that may score in its place: the address is the environment variable
            ``PLAUDIT_REWARD_URL``, or ``url``. None: this scorer has no server.
        url: where that server listens where the environment does not say it; None: score in this process then.
        overlong: of a response too long by itself: ``error``, or ``cut`` its end. Of learned models.
        empty_score: the score of an empty response; None: it is an error.

    The environment variable ``PLAUDIT_DEVICE`` says where a model runs (default: the best device there is).
    """

    def __init__(
        self,
        scorer: str | Path,
        *,
        dialect: str | None = None,
        url: str | None = None,
        overlong: str = "error",
        empty_score: float | None = None,
    ) -> None:
        self.scorer, self.dialect, self.url = scorer, dialect, url
        self.overlong, self.empty_score = overlong, empty_score
        self._opened: dict[str | None, Scorer] = {}
        self._lock = threading.Lock()

    def open(self, url: str | None = None) -> Scorer:
        """The scorer, opened once for each address.

        Raises:
            ConfigError: an address for a scorer that has no server.
        """
        url = url or os.environ.get(URL) or self.url
        with self._lock:
            if url not in self._opened:
                self._opened[url] = self._open(url)
            return self._opened[url]

    def score(
        self,
        prompts: Sequence[Prompt],
        responses: Sequence[Response],
        references: Sequence[str | None] | None = None,
        *,
        url: str | None = None,
    ) -> list[float]:
        """N raw scores, each finite.

        Args:
            prompts, responses: N each.
            references: N reference answers, used where the scorer compares with one.
            url: of a server, instead of the environment's.

        Raises:
            PlauditError: whatever cannot be scored.
        """
        full = [place for place, response in enumerate(responses) if not _blank(response)]
        if len(full) < len(responses) and self.empty_score is None:
            raise ScoreError(
                "the response is empty, which no scorer judges; export with --empty-score X, or keep the policy from "
                "answering nothing",
                next(place for place, response in enumerate(responses) if _blank(response)),
            )
        scores = [float(self.empty_score or 0.0)] * len(responses)
        if full:
            scorer = self.open(url)
            more: dict[str, Any] = {} if _is_rule(scorer) else {"overlong": self.overlong}
            if references is not None and needs_reference(scorer):
                more["references"] = [references[place] for place in full]
            with self._lock if not isinstance(scorer, ServedModel) else _NoLock():
                found = scorer.score([prompts[p] for p in full], [responses[p] for p in full], **more)
            for place, score in zip(full, found, strict=True):
                if not math.isfinite(score):
                    raise ScoreError(f"the score is {score}", place)
                scores[place] = float(score)
        return scores

    def above_reference(self, scores: Sequence[float]) -> list[float] | None:
        """The calibrated probabilities, in (0, 1), that responses with these N scores are preferred to one at the mean
        of the model's reference set; None where the scorer is not calibrated against one."""
        calibration = getattr(self.open(), "calibration", None)
        if calibration is None or calibration.reference is None:
            return None
        return [float(p) for p in calibration.probability([s - calibration.reference.mean for s in scores])]

    def _open(self, url: str | None) -> Scorer:
        if url is not None:
            if self.dialect is None:
                raise ConfigError(f"{URL} is {url}, but {self.scorer} is scored in this process; unset it")
            return ServedModel(self.scorer, url, self.dialect)
        device = os.environ.get(DEVICE)
        return resolve_scorer(str(self.scorer), **({"device": device} if device else {}))


def check_server(source: RewardSource, *, tolerance: float | None = None) -> int:
    """Asks the server for the golden scores of the contract, prints how they compare; 0 where all agree, else 1.

    Args:
        tolerance: relative to max(1, |score|); None: that of the contract.

    Raises:
        ConfigError: there is no server.
        RemoteError: it does not answer.
    """
    served = source.open()
    if not isinstance(served, ServedModel):
        raise ConfigError("there is no server to check: set PLAUDIT_REWARD_URL")
    checks, left_out = served.check(tolerance)
    for check in checks:
        verdict = "ok" if check.passed else f"DIFFERS: {check.problem}"
        print(f"{check.golden.score:12.6f} {check.score:12.6f}  {verdict}")
    failed = sum(not check.passed for check in checks)
    more = f"; {left_out} cannot be sent to this server" if left_out else ""
    print(f"{len(checks) - failed} of {len(checks)} golden scores agree (saved, served){more}")
    return 1 if failed else 0


def needs_reference(scorer: Scorer) -> bool:
    """Whether a scorer compares with a reference answer."""
    if isinstance(scorer, CompositeReward):
        return any(needs_reference(component.scorer) for component in scorer.components)
    if isinstance(scorer, RewardFunction):
        return "reference" in scorer.needs
    return isinstance(scorer, RemoteScorer) and scorer.compares


def response_in(query: str, prompt: str, ends: Sequence[str]) -> str:
    """The response in the whole text of a rollout, without the special tokens that end it.

    Raises:
        DataError: the text does not begin with its prompt: the trainer cut it, or decodes it otherwise.
    """
    if not query.startswith(prompt):
        raise DataError(
            f"the rollout {query[:60]!r} does not begin with its prompt {prompt[:60]!r}: the prompt was cut (raise "
            "--data.max_len), or the policy's tokenizer does not give back the text that it was given"
        )
    response = query[len(prompt) :]
    while end := next((end for end in ends if end and response.endswith(end)), None):
        response = response[: -len(end)]
    return response


def prompt_in(row: Any, where: str) -> tuple[Prompt, str | None]:
    """The prompt as it is in the data, and the reference answer, where there is one.

    Args:
        row: a text, a list of messages, or a mapping with ``prompt`` and perhaps ``reference``.
        where: what the trainer calls it.

    Raises:
        DataError: it is none of these.
    """
    reference = None
    if isinstance(row, Mapping):
        row, reference = row.get("prompt"), row.get("reference")
    if hasattr(row, "tolist"):  # columns of Parquet files arrive as arrays
        row = row.tolist()
    messages = isinstance(row, Sequence) and all(isinstance(turn, Mapping) for turn in row)
    if not row or not (isinstance(row, str) or messages):
        raise DataError(
            f"{where} should hold the prompt as it is in the data (a text or a list of messages), got {row!r:.80}; a "
            "reward model cannot judge a response without it"
        )
    return row, None if reference is None else str(reference)


def _blank(response: Response) -> bool:
    return isinstance(response, str) and not response.strip()


def _is_rule(scorer: Scorer) -> bool:
    return not hasattr(scorer, "score_items") and not isinstance(scorer, ServedModel)


class _NoLock:
    """Requests to a server may overlap."""

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...
