"""What an acquisition method is, what it may look at, and the registry of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from plaudit.registry import Registry

__all__ = ["ACQUISITIONS", "Acquisition", "Array", "Candidates", "Choice", "Need", "best", "needs_of", "register"]

Array: TypeAlias = npt.NDArray[np.float64]
Choice: TypeAlias = tuple[npt.NDArray[np.int64], Array]
"""Places of the chosen candidates, best first, (B,), and the score that each was chosen by, (B,)."""

Need = Literal["gaps", "margin", "margins"]
"""``gaps``: features; ``margin``: one model's margins at least; ``margins``: those of several models."""


@dataclass(frozen=True)
class Candidates:
    """N pairs without a label, as numbers; what a method does not need may be None.

    Attributes:
        count: N, at least the budget.
        gaps: (N, D) features of the first response minus those of the second: what the last layer reads.
        margins: (M, N) rewards of the first response minus those of the second, by M models.
        known: (D, D) what is known about the last layer already, symmetric and positive definite: the precision of
            its prior plus the information of the pairs that have labels.
    """

    count: int
    gaps: npt.NDArray[np.floating] | None = None
    margins: Array | None = None
    known: Array | None = None


class Acquisition(Protocol):
    """A method: which candidates to label."""

    def __call__(
        self,
        candidates: Candidates,
        budget: int,
        rng: np.random.Generator,
        progress: Callable[[int], None] | None = None,
    ) -> Choice:
        """``budget`` different candidates, best first, each with the score it was chosen by; higher is better."""
        ...


ACQUISITIONS: Registry[Acquisition] = Registry("acquisitions")

A = TypeVar("A", bound=Acquisition)


def register(name: str, *, needs: frozenset[Need] | set[Need]) -> Callable[[A], A]:
    """Decorator: adds a method under ``name`` and says which fields of `Candidates` it reads."""

    def add(method: A) -> A:
        method.needs = frozenset(needs)  # type: ignore[attr-defined]
        return ACQUISITIONS.register(name)(method)  # type: ignore[return-value]

    return add


def needs_of(method: Acquisition) -> frozenset[Need]:
    """What a method reads; everything, where it does not say."""
    needs: frozenset[Need] = getattr(method, "needs", frozenset({"gaps", "margins"}))
    return needs


def best(scores: Array, budget: int) -> Choice:
    """The ``budget`` highest scores, best first; of equal ones the earlier candidate."""
    order = np.argsort(-scores, kind="stable")[:budget].astype(np.int64)
    return order, scores[order]
