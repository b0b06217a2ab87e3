"""What every registered reward function promises, later ones included."""

from __future__ import annotations

import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from plaudit.errors import ConfigError, RewardError
from plaudit.rewards import REWARDS, Item, RewardFunction, RewardRegistry, register
from plaudit.rewards.base import make
from plaudit.rewards.samples import KINDS, sample_rows
from plaudit.types import Prompt, Scorer

EVERY = RewardRegistry().list_reward_functions()
PROMISED = (
    "length sentiment toxicity safety coherence bleu rouge math_correctness code_syntax format json_schema sql_syntax "
    "repetition readability language keywords refusal semantic_similarity code_execution"
).split()


def example(name: str) -> RewardFunction:
    function = REWARDS.get(name)
    if function.example is None:
        pytest.skip("needs a model of one's own; has tests of its own")
    return make(name, function.example)


def rows(name: str, count: int = 6) -> tuple[list[Prompt], list[str], list[str]]:
    prompts, responses, references = sample_rows(REWARDS.get(name).sample, count)
    return list(prompts), responses, references


def test_all_that_was_promised_is_there() -> None:
    assert set(PROMISED) <= set(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_a_function_says_what_it_is(name: str) -> None:
    function = REWARDS.get(name)
    assert function.name == name
    assert 20 < len(function.summary()) < 120
    assert function.range[0] < function.range[1]
    assert function.needs <= {"prompt", "reference"}
    assert function.sample in KINDS
    assert "Range" in (function.__doc__ or "")


@pytest.mark.parametrize("name", EVERY)
def test_scores_are_float32_in_range_and_the_same_in_any_company(name: str) -> None:
    function = example(name)
    assert isinstance(function, Scorer)
    prompts, responses, references = rows(name)
    together = function.score(prompts, responses, references=references)
    assert together.shape == (6,)
    assert together.dtype == np.float32
    low, high = function.range
    assert ((together >= low - 1e-6) & (together <= high + 1e-6)).all()
    order = [3, 0, 5, 1, 4, 2]
    shuffled = function.score(
        [prompts[i] for i in order], [responses[i] for i in order], references=[references[i] for i in order]
    )
    assert shuffled.tolist() == pytest.approx(together[order].tolist(), abs=1e-5)
    alone = function.score(prompts[:1], responses[:1], references=references[:1])
    assert alone.tolist() == pytest.approx(together[:1].tolist(), abs=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_a_function_can_be_made_again_from_its_options_and_pickled(name: str) -> None:
    function = example(name)
    assert make(name, function.options()) == function
    assert pickle.loads(pickle.dumps(function)) == function


@pytest.mark.parametrize("name", EVERY)
def test_an_empty_response_is_an_error_that_names_function_and_item(name: str) -> None:
    prompts, responses, references = rows(name, 2)
    with pytest.raises(RewardError, match=f"reward '{name}': item 1: the response is empty"):
        example(name).score(prompts, [responses[0], " \n"], references=references)


@pytest.mark.parametrize("name", EVERY)
def test_no_texts_have_no_scores(name: str) -> None:
    assert example(name).score([], []).shape == (0,)


@pytest.mark.parametrize("name", [name for name in EVERY if REWARDS.get(name).needs])
def test_what_a_function_needs_is_asked_for(name: str) -> None:
    prompts, responses, references = rows(name, 2)
    for need in REWARDS.get(name).needs:
        given = {"references": None if need == "reference" else references}
        asked = [None, None] if need == "prompt" else prompts
        with pytest.raises(RewardError, match=f"reward '{name}': item 0: needs a {need}"):
            example(name).score(asked, responses, **given)


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("text", ["?", "é", "🙂🙂", "x" * 5000, "a\x00b", "\u202eabc", "1 " * 3000])
def test_odd_texts_get_a_score_or_a_named_error(name: str, text: str) -> None:
    function = example(name)
    _, _, references = rows(name, 1)
    try:
        (score,) = function.score(["ask"], [text], references=references)
    except RewardError as error:
        assert error.reward == name  # noqa: PT017
    else:
        assert np.isfinite(score)


def test_lists_of_unequal_length_are_refused() -> None:
    length = make("length")
    with pytest.raises(ConfigError, match="1 prompts for 2 responses"):
        length.score([None], ["a", "b"])
    with pytest.raises(ConfigError, match="1 references for 2 responses"):
        length.score([None, None], ["a", "b"], references=["c"])
    with pytest.raises(ConfigError, match="responses is one text"):
        length.score([None], "a text")
    with pytest.raises(RewardError, match="item 0: expected a text or a list of messages as response, got int"):
        length.score([None], [3])  # type: ignore[list-item]


def test_a_conversation_is_scored_by_what_it_says() -> None:
    turns = [{"role": "assistant", "content": "one two"}, {"role": "assistant", "content": "three"}]
    assert make("length", {"target": 3}).score([None], [turns])[0] == 1.0


def test_a_function_of_ones_own_is_registered_by_its_class() -> None:
    @register("shouting")
    @dataclass(frozen=True)
    class Shouting(RewardFunction):
        """Share of letters that are capitals. Range: 0 to 1."""

        def one(self, item: Item) -> float:
            letters = [c for c in item.response if c.isalpha()]
            return sum(c.isupper() for c in letters) / len(letters)

    try:
        registry = RewardRegistry()
        assert "shouting" in registry.list_reward_functions()
        assert registry.get_reward_function("shouting").score([None], ["ABcd"])[0] == 0.5
        with pytest.raises(RewardError, match="reward 'shouting': item 1: ZeroDivisionError"):
            registry.get_reward_function("shouting").score([None, None], ["a", "1"])
        with pytest.raises(ConfigError, match="taken already"):
            registry.register("shouting", Shouting)
    finally:
        REWARDS._components.pop("shouting")


def test_what_is_no_function_is_not_registered() -> None:
    with pytest.raises(ConfigError, match="expected a class derived from RewardFunction"):
        register("x")(object)  # type: ignore[type-var]

    class Plain(RewardFunction):
        """No dataclass. Range: 0 to 1."""

        def one(self, item: Item) -> float:
            return 0.0

    with pytest.raises(ConfigError, match="no dataclass"):
        register("x")(Plain)


@pytest.mark.parametrize("scores", [[float("nan")], [2.0], [-0.5], []])
def test_scores_outside_of_the_range_are_a_fault_of_the_function(scores: list[float]) -> None:
    @dataclass(frozen=True)
    class Wrong(RewardFunction):
        """Wrong. Range: 0 to 1."""

        def many(self, items: Sequence[Item]) -> Sequence[float]:
            return scores

        def one(self, item: Item) -> float:
            raise NotImplementedError

    with pytest.raises(RewardError, match="a fault of the function"):
        Wrong().score([None], ["text"])


def test_all_are_imported_quickly_and_without_torch() -> None:
    import subprocess
    import sys

    code = "import plaudit.rewards, sys; print('torch' in sys.modules, 'transformers' in sys.modules)"
    start = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
    assert time.monotonic() - start < 30
