"""A reward model behind a server, as a scorer: rendered here by its own contract, computed there.

Token ids are sent where the server takes them, so that nothing is tokenised twice. What comes back is checked: as many
scores as texts, each one finite number. A server that fails is asked again a few times; then an error ends the run.
There is no score in place of one that is missing.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from plaudit.errors import ConfigError, ContractError, ModelError
from plaudit.formatting import Rendered, Renderer, RenderItem
from plaudit.formatting.turns import without_oldest_turn
from plaudit.models.build import load_tokenizer
from plaudit.models.calibrated import load_calibration
from plaudit.models.contract import GoldenCheck, ScoringContract, tolerance
from plaudit.posting import finite_numbers, post
from plaudit.rl.export.dialects import DIALECTS, Answer, Dialect, Sent, pair_of
from plaudit.types import Prompt, Response

__all__ = ["ServedModel"]


class ServedModel:
    """A reward model that a server computes; a `Scorer`.

    Args:
        folder: with the contract and the tokenizer of the model (weights are not read).
        url: where the server listens, ``http://host:port``.
        dialect: what it speaks: ``vllm``, ``sglang`` or ``tei``.
        timeout: seconds that one request may take.
        retries: how often a failed request is sent again, with waits of 0.5, 1, 2, … seconds.

    Attributes:
        contract, calibration: of the folder; the calibration may be None.

    Raises:
        ModelError: the folder holds no contract.
        ContractError: its chat template is not the one that the contract knows.
    """

    def __init__(self, folder: str | Path, url: str, dialect: str, *, timeout: float = 120.0, retries: int = 4) -> None:
        if not url.startswith(("http://", "https://")):
            raise ConfigError(f"expected the address of a server as http://host:port, got {url!r}")
        if timeout <= 0 or retries < 0:
            raise ConfigError(f"timeout is above 0 and retries 0 or more, got {timeout} and {retries}")
        contract = ScoringContract.load(Path(folder))
        if contract is None:
            raise ModelError(f"{folder} has no scoring contract; give a folder written by plaudit export")
        self.contract = contract
        self.dialect: Dialect = DIALECTS.get(dialect)
        self.url, self.timeout, self.retries = url.rstrip("/"), timeout, retries
        self.calibration = load_calibration(str(folder), None, Path(folder))
        self.renderer = Renderer(load_tokenizer(folder), contract.render)
        self._rendering = threading.Lock()  # a fast tokenizer is not to be used by two threads at once
        if self.renderer.hash != contract.render_hash:
            raise ContractError(
                f"{folder}: the rendering is another one than when the model was saved (hash {self.renderer.hash}, "
                f"saved {contract.render_hash}): the chat template or the contract was edited"
            )

    def score(
        self,
        prompts: Sequence[Prompt] | None,
        responses: Sequence[Response],
        *,
        references: Sequence[str | None] | None = None,
        overlong: str = "error",
    ) -> npt.NDArray[np.float32]:
        """Raw scores, shape (N,), float32, all finite; arguments as of `RewardModel.score`.

        Raises:
            RenderError: an empty response, or one that is too long; names its index.
            RemoteError: the server is down, refuses the request, or answers nonsense.
        """
        if references is not None and any(reference is not None for reference in references):
            raise ConfigError("a learned reward model compares with no references; leave them out")
        if isinstance(responses, str) or isinstance(prompts, str):
            raise ConfigError("score takes lists of prompts and responses")
        prompts = [None] * len(responses) if prompts is None else prompts
        if len(prompts) != len(responses):
            raise ConfigError(f"as many prompts as responses are needed, got {len(prompts)} and {len(responses)}")
        return self._ask(self.sent(prompts, responses, overlong=overlong))

    def sent(self, prompts: Sequence[Prompt], responses: Sequence[Response], *, overlong: str = "error") -> list[Sent]:
        """What is sent for N texts: each as its contract renders it."""
        texts = []
        for index, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            item = RenderItem(prompt, response)
            text = Sent(item, self._render(item, index, overlong), index)
            texts.append(text if self.dialect.expresses(text) else self._cut(text))
        return texts

    def check(self, allowed: float | None = None) -> tuple[list[GoldenCheck], int]:
        """The golden inputs of the contract, scored by the server.

        Args:
            allowed: tolerance, relative to max(1, |score|); None: that of the contract.

        Returns:
            One result for each that this dialect can express, and how many it cannot (texts that must be cut).
        """
        items = [golden.item for golden in self.contract.golden]
        texts = self.sent([i.prompt for i in items], [i.response for i in items])
        able = [place for place, text in enumerate(texts) if self.dialect.expresses(text)]
        scores = self._ask([texts[place] for place in able])
        if allowed is None:
            allowed = tolerance(self.contract.dtype, self.contract.device, "server")
        checks = []
        for place, score in zip(able, scores, strict=True):
            golden = self.contract.golden[place]
            same = texts[place].rendered.input_ids == golden.input_ids
            checks.append(golden.check(float(score), [float(score)], same, allowed))
        return checks, len(items) - len(able)

    def _render(self, item: RenderItem, index: int, overlong: str) -> Rendered:
        with self._rendering:
            result = self.renderer.render_batch([item], overlong=overlong)[0]
        if isinstance(result, Rendered):
            return result
        raise type(result)(result.problem, index)

    def _cut(self, text: Sent) -> Sent:
        """An over-long pair with its prompt cut to a text of just the tokens that are rendered, where there is one."""
        prompt = text.item.prompt
        if not self.renderer.tokenizer.is_fast or self.renderer.spec.layout != "pair":
            return text
        while prompt:
            before, *reply = pair_of(RenderItem(prompt, text.item.response))
            for start in self._starts(before, reply, len(text.rendered.input_ids)):
                shorter = RenderItem(before[start:], text.item.response)
                with self._rendering:
                    found = self.renderer.render_batch([shorter])[0]
                if isinstance(found, Rendered) and found.input_ids == text.rendered.input_ids and not found.cut:
                    return Sent(shorter, found, text.index)
            prompt = without_oldest_turn(prompt) if not isinstance(prompt, str) else None
        return text

    def _starts(self, before: str, reply: list[str], length: int) -> list[int]:
        """Where a text may begin so that its pair has this many tokens: at a token, or at the space before it."""
        tokenizer = self.renderer.tokenizer
        with self._rendering:
            surplus = len(tokenizer(before, *reply, verbose=False)["input_ids"]) - length
            own = tokenizer(before, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        if not 0 <= surplus < len(own["input_ids"]):
            return []
        start = int(own["offset_mapping"][surplus][0])
        return [start, start - 1] if start and before[start - 1].isspace() else [start]

    def _ask(self, texts: Sequence[Sent]) -> npt.NDArray[np.float32]:
        scores = np.empty(len(texts), dtype=np.float32)
        for places in self.dialect.batches(texts):
            path, body = self.dialect.request([texts[place] for place in places])
            read = partial(self._numbers, path, len(places))
            scores[places] = post(self.url + path, body, read, timeout=self.timeout, retries=self.retries)
        return scores

    def _numbers(self, path: str, count: int, answer: Answer) -> list[float]:
        return finite_numbers(self.dialect.scores(path, answer), count)
