"""Does the final answer of a solution equal the reference's?"""

from __future__ import annotations

import functools
import logging
from dataclasses import dataclass
from typing import ClassVar

from plaudit.errors import ConfigError, RewardError
from plaudit.rewards.answers import final_answer, lone_answer, number
from plaudit.rewards.base import Item, RewardFunction, need, register
from plaudit.rewards.math_worker import FormulaComparer

__all__ = ["MathCorrectness"]

logger = logging.getLogger(__name__)

_comparer = FormulaComparer()


@register("math_correctness")
@dataclass(frozen=True)
class MathCorrectness(RewardFunction):
    """1 where the final answer is shown to equal the reference's, else 0.

    The final answer is what follows the last mark: "#### 42", "A: 42", \\boxed{42}, "the answer is 42", "answer: 42";
    without one, unless ``strict``, the last number or formula of the text, or what the last sum of its line comes to.
    Numbers are compared exactly, as fractions, with separators of thousands, currencies and units read over; numbers
    with decimals within 10^-``decimals``. Where one has "%" or a scale word and the other none, either reading counts
    (20%, 20 and 0.2; "7 dozen", 84 and 7). Formulas (sets, intervals, expressions, equations) are compared by
    math-verify in a process of its own, which is stopped after ``seconds``: then the answer is not shown to be equal,
    and a warning names the item.

    Not read: numbers in words ("twelve"). Not compared: units (5 km equals 5 m). A response without an answer scores 0.

    Range: 0 or 1.

    Args:
        strict: the answer must be marked; a last number without a mark is no answer.
        decimals: places to which numbers with decimals must agree.
        seconds: the longest that reading or comparing one formula may take.

    Raises:
        RewardError: a reference in which no answer can be read.
    """

    strict: bool = False
    decimals: int = 6
    seconds: float = 10.0

    sample: ClassVar[str] = "maths"
    needs: ClassVar[frozenset[str]] = frozenset({"reference"})

    def __post_init__(self) -> None:
        if not isinstance(self.strict, bool):
            raise ConfigError(f"reward 'math_correctness': strict is true or false, got {self.strict!r}")
        if isinstance(self.decimals, bool) or not isinstance(self.decimals, int) or not 0 <= self.decimals <= 15:
            raise ConfigError(f"reward 'math_correctness': decimals is from 0 to 15, got {self.decimals!r}")
        if isinstance(self.seconds, bool) or not self.seconds > 0:
            raise ConfigError(f"reward 'math_correctness': seconds is above 0, got {self.seconds!r}")

    def one(self, item: Item) -> float:
        wanted = self._reference(item)
        given = final_answer(item.response, marked=self.strict)
        if given is None:
            return 0.0
        figures = number(wanted), number(given)
        if figures[0] is not None and figures[1] is not None:
            return float(figures[0].equals(figures[1], self.decimals))
        need("math_verify", self.name)
        outcome = _comparer.ask([wanted, given, self.decimals], self.seconds)
        if outcome is None:
            logger.warning(
                "reward 'math_correctness': item %d: comparing %r with %r took more than %g s; it counts as not equal",
                item.index, given[:80], wanted[:80], self.seconds,
            )  # fmt: skip
        return float(outcome == "equal")

    def _reference(self, item: Item) -> str:
        """The reference's final answer: marked, or the whole reference, or its last number."""
        text = item.reference or ""
        wanted = final_answer(text, marked=True) or lone_answer(text) or final_answer(text)
        if wanted is not None and (number(wanted) is not None or _readable(wanted, self.seconds)):
            return wanted
        raise RewardError(
            self.name,
            f"no number or formula can be read in the reference {text[:80]!r}; give one, as in '#### 42'",
            item.index,
        )


@functools.lru_cache(maxsize=4096)
def _readable(formula: str, seconds: float) -> bool:
    need("math_verify", "math_correctness")
    return _comparer.ask([formula], seconds) == "readable"
