"""A reward from a server, as a `Scorer`. Knows nothing of what the server computes; only the standard library.

A server that is down, slow, or answers nonsense is asked again, a bounded number of times; then there is a
`RemoteError`. No score is ever made up.
"""

from __future__ import annotations

import json
import math
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from plaudit.errors import ConfigError, ItemError
from plaudit.posting import NonsenseError, finite_numbers, post, shown
from plaudit.types import Prompt, Response

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["RemoteScorer", "is_url"]

OWN, OPENRLHF = "/v1/reward", "/get_reward"
DIALECTS = (OWN, OPENRLHF)


def is_url(name: Any) -> bool:
    """Whether a user wrote the address of a server."""
    return isinstance(name, str) and name.lower().startswith(("http://", "https://"))


@dataclass(frozen=True)
class RemoteScorer:
    """The scores of a reward server over HTTP; what is said to it is decided by the end of the address.

    ``/v1/reward``: a list of ``{"prompt": text, messages or null, "responses": [text, …]}``, one for each different
    prompt, so that the server computes a prompt once. The answer is a list of ``{"scores": [number, …]}``, one object
    for each prompt with one score for each response, in order; further keys are ignored. For a single prompt both may
    be the bare object.

    ``/get_reward`` (OpenRLHF's remote reward model): ``{"query": [prompt + response, …], "prompts": [prompt, …],
    "labels": [reference or "", …]}``. The answer is ``{"rewards": [number, …]}``. Texts only: how a conversation
    becomes one text is the model's own business, which a client does not know.

    Connection errors, timeouts, status 429 and 5xx, and answers that are no JSON or not so many finite numbers are
    tried again: after ``wait`` seconds, then twice as many and so on up to 30, each times a random factor in [0.5,
    1.5]. Other statuses (4xx, redirects) are final.

    Args:
        url: ``http://host:port/v1/reward``, say.
        timeout: seconds without a byte from the server after which an attempt has failed.
        retries: further attempts after the first.
        batch_size: responses in one request.
        wait: seconds before the second attempt.
        headers: sent with every request (``{"Authorization": "Bearer …"}``).

    Raises:
        ConfigError: an address of another kind, or an option out of its range.
    """

    url: str
    timeout: float = 60.0
    retries: int = 5
    batch_size: int = 64
    wait: float = 0.5
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        try:
            parts = urllib.parse.urlsplit(self.url)
            right = is_url(self.url) and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except (ValueError, AttributeError):
            right = False
        if not right:
            raise ConfigError(f"{self.url!r} is no address of a server; expected http://HOST:PORT{OWN}")
        if parts.query or parts.fragment or parts.username is not None:
            raise ConfigError(f"{parts.hostname}: an address ends with its path; what else there is goes into headers")
        if not self._path.endswith(DIALECTS):
            raise ConfigError(
                f"{self.url}: the path {parts.path or '/'!r} names no known kind of request; known: "
                f"{', '.join(DIALECTS)}"
            )
        for name, least in (("timeout", 0.0), ("wait", 0.0), ("retries", 0), ("batch_size", 1)):
            value = getattr(self, name)
            kinds = int if isinstance(least, int) else (int, float)
            right = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
            if not right or value < least or (name == "timeout" and value == 0):
                raise ConfigError(f"{self.url}: {name} is {value!r}; expected a number of at least {max(least, 0)}")
        if not isinstance(self.headers, Mapping):
            raise ConfigError(f"{self.url}: headers are {self.headers!r}; expected a mapping of names to texts")

    @property
    def name(self) -> str:
        """The server's host and port, which figures of its scores are called by."""
        return urllib.parse.urlsplit(self.url).netloc

    @property
    def compares(self) -> bool:
        """Whether the server is told references."""
        return self._path.endswith(OPENRLHF)

    @property
    def _path(self) -> str:
        return urllib.parse.urlsplit(self.url).path.rstrip("/")

    def score(
        self,
        prompts: Sequence[Prompt],
        responses: Sequence[Response],
        *,
        references: Sequence[str | None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """The server's scores, shape (N,), float32, all finite.

        Args:
            prompts: N prompts; None for a bare text.
            responses: N texts, none blank.
            references: N reference answers; of ``/get_reward`` only, which calls them labels.

        Raises:
            RemoteError: no proper answer after all attempts.
            ItemError: a text that cannot be sent; names its index.
            ConfigError: lists of unequal length, or references that the server would not see.
        """
        import numpy as np

        if isinstance(prompts, str) or isinstance(responses, str) or len(prompts) != len(responses):
            raise ConfigError(f"{self.url}: expected as many prompts as responses, in two lists")
        references = [None] * len(responses) if references is None else references
        if len(references) != len(responses):
            raise ConfigError(f"{self.url}: {len(references)} references for {len(responses)} responses")
        texts = [_text(response, index) for index, response in enumerate(responses)]
        scores = np.empty(len(texts), dtype=np.float32)
        if self.compares:
            asked = _together(prompts, texts, references, self.batch_size)
        else:
            if any(reference is not None for reference in references):
                raise ConfigError(f"{self.url}: a reward server compares with no references; leave them out")
            asked = _by_prompt(prompts, texts, self.batch_size)
        for body, places in asked:
            scores[[place for group in places for place in group]] = self._ask(body, [len(group) for group in places])
        return scores

    def _ask(self, body: Any, counts: list[int]) -> list[float]:
        """The numbers of one request, tried again as the class says."""
        key = "rewards" if self.compares else "scores"
        return post(
            self.url,
            body,
            lambda answer: _numbers(answer, counts, key),
            timeout=self.timeout,
            retries=self.retries,
            wait=self.wait,
            headers=self.headers,
        )


Asked = Iterator[tuple[Any, list[list[int]]]]
"""Bodies of requests, each with the places of the scores that it asks for, one list for each list in the answer."""


def _by_prompt(prompts: Sequence[Prompt], texts: Sequence[str], size: int) -> Asked:
    """At most ``size`` responses a request, those to one prompt together as far as that allows."""
    groups: dict[str, list[int]] = {}
    for place, prompt in enumerate(prompts):
        groups.setdefault(json.dumps(prompt, sort_keys=True, default=repr), []).append(place)
    batch: list[list[int]] = []
    for places in groups.values():
        for start in range(0, len(places), size):
            part = places[start : start + size]
            if batch and sum(map(len, batch)) + len(part) > size:
                yield _own_body(prompts, texts, batch), batch
                batch = []
            batch.append(part)
    if batch:
        yield _own_body(prompts, texts, batch), batch


def _own_body(prompts: Sequence[Prompt], texts: Sequence[str], batch: list[list[int]]) -> list[dict[str, Any]]:
    return [{"prompt": prompts[places[0]], "responses": [texts[p] for p in places]} for places in batch]


def _together(
    prompts: Sequence[Prompt], texts: Sequence[str], references: Sequence[str | None], size: int
) -> Iterator[tuple[Any, list[list[int]]]]:
    asked: list[str] = []
    for index, prompt in enumerate(prompts):
        if prompt is not None and not isinstance(prompt, str):
            raise ItemError(
                f"the prompt is a conversation, and {OPENRLHF} takes one text: only the model's chat template can make "
                f"one; give text prompts, or a server with {OWN}",
                index,
            )
        asked.append(prompt or "")
    for start in range(0, len(texts), size):
        places = list(range(start, min(start + size, len(texts))))
        body = {
            "query": [asked[p] + texts[p] for p in places],
            "prompts": [asked[p] for p in places],
            "labels": [references[p] or "" for p in places],
        }
        yield body, [places]


def _text(response: Response, index: int) -> str:
    """A response as text.

    Raises:
        ItemError: it is empty, or more than one turn of text.
    """
    text: Any = response
    if not isinstance(response, str) and len(response) == 1 and set(response[0]) == {"role", "content"}:
        text = response[0]["content"]
    if not isinstance(text, str):
        raise ItemError("the response is more than one turn of text, which a reward server does not take", index)
    if not text.strip():
        raise ItemError("the response is empty; leave it out", index)
    return text


def _numbers(answer: Any, counts: list[int], key: str) -> list[float]:
    """The numbers under ``key`` in the objects of an answer, ``counts`` of them.

    Raises:
        NonsenseError: it is anything else.
    """
    objects = answer if isinstance(answer, list) else [answer]
    lists = [each.get(key) if isinstance(each, dict) else None for each in objects]
    if len(lists) != len(counts):
        raise NonsenseError(f"the answer has {len(lists)} objects for {len(counts)} asked: {shown(answer)}")
    numbers: list[float] = []
    for values, count in zip(lists, counts, strict=True):
        if not isinstance(values, list):
            raise NonsenseError(f"the answer has no list {key!r}: {shown(answer)}")
        numbers += finite_numbers(values, count)
    return numbers
