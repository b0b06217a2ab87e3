"""How servers are asked for a score, and where in their answer it lies. Knows nothing of HTTP or of models."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from plaudit.errors import RenderError
from plaudit.formatting import Rendered, RenderItem
from plaudit.formatting.turns import plain, transcript
from plaudit.posting import NonsenseError
from plaudit.registry import Registry

__all__ = ["DIALECTS", "Answer", "Dialect", "Sent", "pair_of"]

Answer: TypeAlias = Any
"""Decoded JSON."""


@dataclass(frozen=True)
class Sent:
    """One text on its way to a server.

    Attributes:
        item: what was rendered.
        rendered: its token ids.
        index: its place among the texts of the caller.
    """

    item: RenderItem
    rendered: Rendered
    index: int


def pair_of(item: RenderItem) -> list[str]:
    """The texts of a sentence pair, as the layout ``pair`` tokenises them; one text where there is no prompt."""
    response = item.response if isinstance(item.response, str) else transcript(item.response, reply=True)
    return [plain(item.prompt), response] if item.prompt else [response]


class Dialect(ABC):
    """One server's requests.

    Attributes:
        batch: the most texts of one request.
    """

    batch: ClassVar[int] = 64

    def batches(self, texts: Sequence[Sent]) -> list[list[int]]:
        """The places of the texts, parted into requests."""
        for text in texts:
            if not self.expresses(text):
                raise RenderError(self.problem(text), text.index)
        return [list(range(start, min(start + self.batch, len(texts)))) for start in range(0, len(texts), self.batch)]

    def expresses(self, text: Sent) -> bool:
        """Whether the server would see exactly this rendering."""
        return True

    def problem(self, text: Sent) -> str:
        """Why it would not."""
        return (
            f"the text loses {text.rendered.cut} tokens to the length limit, and no shorter text has just the tokens "
            "that are left; this server takes texts, not tokens, so shorten the prompt by a word or a turn"
        )

    @abstractmethod
    def request(self, texts: Sequence[Sent]) -> tuple[str, dict[str, Any]]:
        """Path and body of one request."""

    @abstractmethod
    def scores(self, path: str, answer: Answer) -> list[Any]:
        """The scores of an answer, in the order of the texts; any error of indexing says that it has another form."""


DIALECTS: Registry[Dialect] = Registry("reward_dialects")


def _only(values: Any) -> Any:
    if not isinstance(values, list) or len(values) != 1:
        raise NonsenseError(f"it answered {values!r:.60} where one score was expected (num_labels=1)")
    return values[0]


def _ordered(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if sorted(row["index"] for row in data) != list(range(len(data))):
        raise NonsenseError("the indices of its answer are not those of the request")
    return sorted(data, key=lambda row: row["index"])


class VLLM(Dialect):
    """``POST /classify`` with token ids; pairs with token types, which ids cannot carry, as texts to ``/score``."""

    def batches(self, texts: Sequence[Sent]) -> list[list[int]]:
        super().batches(texts)
        kinds = [[p for p, t in enumerate(texts) if _typed(t) is typed] for typed in (False, True)]
        return [kind[at : at + self.batch] for kind in kinds for at in range(0, len(kind), self.batch)]

    def expresses(self, text: Sent) -> bool:
        return not (_typed(text) and text.rendered.cut)

    def request(self, texts: Sequence[Sent]) -> tuple[str, dict[str, Any]]:
        if _typed(texts[0]):
            first, second = zip(*(pair_of(text.item) for text in texts), strict=True)
            return "/score", {"text_1": list(first), "text_2": list(second), "use_activation": False}
        return "/classify", {"input": [text.rendered.input_ids for text in texts], "use_activation": False}

    def scores(self, path: str, answer: Answer) -> list[Any]:
        rows = _ordered(answer["data"])
        return [row["score"] if path == "/score" else _only(row["probs"]) for row in rows]


def _typed(text: Sent) -> bool:
    boundary = text.rendered.type_boundary
    return boundary is not None and boundary < len(text.rendered.input_ids)


class SGLang(Dialect):
    """``POST /classify`` with token ids."""

    def request(self, texts: Sequence[Sent]) -> tuple[str, dict[str, Any]]:
        return "/classify", {"input_ids": [text.rendered.input_ids for text in texts]}

    def scores(self, path: str, answer: Answer) -> list[Any]:
        rows = [answer] if isinstance(answer, dict) else answer
        return [_only(row["embedding"]) for row in rows]


class TEI(Dialect):
    """``POST /predict`` with sentence pairs as texts, raw scores asked for, nothing cut by the server."""

    batch = 32  # text-embeddings-router's --max-client-batch-size

    def expresses(self, text: Sent) -> bool:
        return not text.rendered.cut

    def request(self, texts: Sequence[Sent]) -> tuple[str, dict[str, Any]]:
        return "/predict", {"inputs": [pair_of(t.item) for t in texts], "raw_scores": True, "truncate": False}

    def scores(self, path: str, answer: Answer) -> list[Any]:
        return [_only(row)["score"] for row in answer]


DIALECTS.register("vllm")(VLLM())
DIALECTS.register("sglang")(SGLang())
DIALECTS.register("tei")(TEI())
