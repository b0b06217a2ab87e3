"""Splitting is by prompt, and a prompt never moves."""

from __future__ import annotations

import hashlib

import pytest

from plaudit.data import Columns, PreferenceData, assert_disjoint, in_test, load_preferences
from plaudit.errors import ConfigError, DataError


def load(prompts: int, replies: int = 1, **columns: str) -> PreferenceData:
    rows = [
        {"prompt": f"Prompt {p}", "chosen": f"a{r}", "rejected": "b", "topic": p % 2}
        for p in range(prompts)
        for r in range(replies)
    ]
    return load_preferences(rows, columns=Columns(**columns))


def test_the_rows_of_one_prompt_stay_together() -> None:
    data = load(200, replies=3)
    train, test = data.split(0.2)
    assert len(train) + len(test) == 600
    assert 0.1 < len(test) / 600 < 0.3
    assert not set(train.groups()) & set(test.groups())
    assert_disjoint(train, test)


def test_a_prompt_stays_on_its_side_when_data_is_added() -> None:
    small, large = load(50).split(0.3)[1], load(100).split(0.3)[1]
    assert set(small.groups()) == set(large.groups()) & set(load(50).groups())


def test_a_larger_fraction_only_adds_and_another_seed_draws_anew() -> None:
    groups = [str(number) for number in range(2000)]
    sides = {fraction: {group for group in groups if in_test(group, fraction)} for fraction in (0.1, 0.3)}
    assert sides[0.1] < sides[0.3]
    assert abs(len(sides[0.3]) / 2000 - 0.3) < 0.04
    assert {group for group in groups if in_test(group, 0.3, seed=1)} != sides[0.3]


def test_the_split_of_a_group_is_pinned() -> None:
    share = int(hashlib.sha256(b"0:a").hexdigest()[:16], 16) / 16**16  # a change here moves everybody's test sets
    assert in_test("a", share + 0.001)
    assert not in_test("a", share - 0.001)


def test_an_empty_side_says_how_many_groups_there_are() -> None:
    data = load(20, group_by="topic")
    with pytest.raises(DataError, match=r"the test side of the split is empty: 20 rows in 2 groups.*--group-by"):
        data.split(1e-9)
    with pytest.raises(DataError, match="the train side of the split is empty"):
        data.split(1 - 1e-9)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 5.0, float("nan")])
def test_a_fraction_outside_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(ConfigError, match="expected a number between 0 and 1"):
        load(5).split(fraction)


def test_a_prompt_in_both_sets_is_found_and_shown() -> None:
    train = load(10)
    rows = [{"prompt": p, "chosen": "x", "rejected": "y"} for p in ("new", "  prompt   3 ", "PROMPT 4")]
    with pytest.raises(DataError, match=r"2 of 3 prompts .*for example '  prompt   3 ' \(row 2\)"):
        assert_disjoint(train, load_preferences(rows))
    assert_disjoint(train, load_preferences(rows[:1]))


def test_a_shared_conversation_or_bare_pair_is_shown_too() -> None:
    rows = [{"prompt": [{"role": "user", "content": "hello"}], "chosen": "x", "rejected": "y"}]
    data = load_preferences(rows)
    with pytest.raises(DataError, match="'hello'"):
        assert_disjoint(data, data)
    bare = load_preferences([{"chosen": "xx", "rejected": "y"}])
    with pytest.raises(DataError, match="'xx'"):
        assert_disjoint(bare, bare)
