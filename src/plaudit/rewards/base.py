"""What a reward function is, and the registry of them. Knows nothing of tokens or models.

A reward function is a rule that scores a response: the same text always gets the same score, whatever is scored beside
it. To add one: a file here (or in a package of your own, with an entry point in the group ``plaudit.rewards``) with a
frozen dataclass derived from `RewardFunction`, decorated with ``@register("name")``. Its fields are its options.
"""

from __future__ import annotations

import dataclasses
import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from plaudit.errors import ConfigError, ItemError, MissingExtraError, PlauditError, RewardError
from plaudit.registry import Registry, suggest
from plaudit.types import Prompt, Response

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["REWARDS", "Item", "RewardFunction", "need", "register", "text_of"]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to score, as plain texts.

    Attributes:
        prompt: the prompt's text, None for a bare text.
        response: the response's text, never blank.
        reference: a reference answer, or None.
        index: its place in the list that was given.
    """

    prompt: str | None
    response: str
    reference: str | None
    index: int


class RewardFunction(ABC):
    """A rule-based `Scorer`: pure, batch in, batch out.

    A subclass is a frozen dataclass whose fields are its options. It implements `one`, or `many` where a batch is
    faster than its items one by one; checks its options in ``__post_init__`` with `ConfigError`; and says what it
    computes, its range and its source in the docstring, whose first line is shown in lists.

    Attributes:
        name: what users write; set by `register`.
        range: lowest and highest possible score; held to in every call.
        needs: what an item must have: "prompt", "reference", or both.
        slow: why it scores fewer than 200 texts a second on one core; empty where it does not.
        example: options of an instance to try; None where they name something of the user's own, a model, say.
        sample: what it is tried and timed on: "prose", "maths", "code", "sql" or "json" (`plaudit.rewards.samples`).
    """

    name: ClassVar[str] = ""
    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    needs: ClassVar[frozenset[str]] = frozenset()
    slow: ClassVar[str] = ""
    example: ClassVar[Mapping[str, Any] | None] = {}
    sample: ClassVar[str] = "prose"

    def score(
        self,
        prompts: Sequence[Prompt],
        responses: Sequence[Response],
        *,
        references: Sequence[str | None] | None = None,
    ) -> npt.NDArray[np.float32]:
        """Scores, shape (N,), float32, within `range`; higher is better.

        Args:
            prompts: N texts, conversations or None.
            responses: N texts or message lists, none blank.
            references: N reference answers, for functions that compare with one.

        Raises:
            RewardError: an item without what the function needs, or one that it cannot score; names function and item.
            ConfigError: lists of unequal length.
        """
        import numpy as np

        items = self._items(prompts, responses, references)
        try:
            values = list(self.many(items))
        except PlauditError:
            raise
        except Exception as error:
            raise RewardError(self.name, f"{type(error).__name__}: {error}") from error
        if len(values) != len(items):
            raise RewardError(self.name, f"gave {len(values)} scores for {len(items)} items; a fault of the function")
        low, high = self.range
        for item, value in zip(items, values, strict=True):
            if not low - 1e-6 <= value <= high + 1e-6:  # NaN too
                raise RewardError(
                    self.name,
                    f"the score {value!r} is outside of its range {low:g} to {high:g}; a fault of the function",
                    item.index,
                )
        return np.asarray(values, dtype=np.float32)

    def many(self, items: Sequence[Item]) -> Sequence[float]:
        """One score for each item, in order."""
        scores = []
        for item in items:
            try:
                scores.append(self.one(item))
            except PlauditError:
                raise
            except Exception as error:
                raise RewardError(self.name, f"{type(error).__name__}: {error}", item.index) from error
        return scores

    @abstractmethod
    def one(self, item: Item) -> float:
        """The score of one item."""

    def options(self) -> dict[str, Any]:
        """The options, by name: what `get_reward_function` takes to make an equal one."""
        assert dataclasses.is_dataclass(self)
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.init}

    @classmethod
    def summary(cls) -> str:
        """The first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]

    def _items(
        self, prompts: Sequence[Prompt], responses: Sequence[Response], references: Sequence[str | None] | None
    ) -> list[Item]:
        for what, given in (("prompts", prompts), ("responses", responses), ("references", references)):
            if isinstance(given, str):
                raise ConfigError(f"reward {self.name!r}: {what} is one text; expected a list of them")
        if len(prompts) != len(responses):
            raise ConfigError(f"reward {self.name!r}: {len(prompts)} prompts for {len(responses)} responses")
        if references is not None and len(references) != len(responses):
            raise ConfigError(f"reward {self.name!r}: {len(references)} references for {len(responses)} responses")
        items = []
        for index, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
            reference = references[index] if references is not None else None
            try:
                item = Item(
                    None if prompt is None else text_of(prompt, "prompt"),
                    text_of(response, "response"),
                    None if reference is None else text_of(reference, "reference"),
                    index,
                )
            except ItemError as error:
                raise RewardError(self.name, error.problem, index) from error
            if not item.response.strip():
                raise RewardError(self.name, "the response is empty; leave it out", index)
            for need_ in sorted(self.needs):
                if not (getattr(item, need_) or "").strip():
                    raise RewardError(self.name, f"needs a {need_} for every response, and this one has none", index)
            items.append(item)
        return items


F = TypeVar("F", bound=type[RewardFunction])

REWARDS: Registry[type[RewardFunction]] = Registry("rewards")


def register(name: str) -> Callable[[F], F]:
    """Class decorator: adds a `RewardFunction` to the registry under ``name``, which it sets."""

    def add(function: F) -> F:
        if not (isinstance(function, type) and issubclass(function, RewardFunction)):
            raise ConfigError(f"reward {name!r}: expected a class derived from RewardFunction, got {function!r}")
        if not dataclasses.is_dataclass(function):
            raise ConfigError(
                f"reward {name!r}: {function.__name__} is no dataclass; decorate it with @dataclass first"
            )
        REWARDS.register(name)(function)
        function.name = name
        return function

    return add


def make(name: str, options: Mapping[str, Any] | None = None) -> RewardFunction:
    """The reward function called ``name`` with these options.

    Raises:
        ConfigError: an unknown name, option or value, with what is known.
    """
    function = REWARDS.get(name)
    assert dataclasses.is_dataclass(function)
    known = [field.name for field in dataclasses.fields(function) if field.init]
    for option in options or {}:
        if option not in known:
            raise ConfigError(
                f"reward {name!r} has no option {option!r}{suggest(option, known)}; it has {', '.join(known) or 'none'}"
            )
    try:
        return function(**(options or {}))
    except TypeError as error:
        raise ConfigError(f"reward {name!r}: {error}") from error


def text_of(value: Any, what: str = "text") -> str:
    """A text, or the contents of a conversation's turns joined by blank lines.

    Raises:
        ItemError: it is neither.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and all(isinstance(turn, Mapping) for turn in value):
        contents = [turn.get("content") for turn in value]
        if all(content is None or isinstance(content, str) for content in contents):
            return "\n\n".join(content for content in contents if content)
    raise ItemError(f"expected a text or a list of messages as {what}, got {type(value).__name__} {str(value)[:60]!r}")


def need(module: str, name: str) -> Any:
    """Imports a module of the extra [rules].

    Raises:
        MissingExtraError: it is not installed; says how to install it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name.split(".")[0]):
            raise
        raise MissingExtraError(f"reward {name!r}", "rules") from error
