"""From text and configuration to scorers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from plaudit.errors import ConfigError
from plaudit.rewards import CompositeReward
from plaudit.rewards.length import Length
from plaudit.scorers import composite_from, parse_reward, resolve_scorer

TEXTS = ["one two three", "one two three four five six"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("length", {"reward": "length"}),
        ("length=0.3", {"reward": "length", "weight": 0.3}),
        (" length = 2 ", {"reward": "length", "weight": 2.0}),
        ("length{target: 5}", {"reward": "length", "options": {"target": 5}}),
        (
            "length{low: 3, unit: words}=.5",
            {"reward": "length", "options": {"low": 3, "unit": "words"}, "weight": 0.5},
        ),
        ("owner/some-model=2", {"model": "owner/some-model", "weight": 2.0}),
        ("./my-rm", {"model": "./my-rm"}),
    ],
)
def test_a_reward_is_written_as_name_options_weight(text: str, expected: dict[str, Any]) -> None:
    assert parse_reward(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lenght=1", "did you mean 'length'"),
        ("length=heavy", "the weight 'heavy' is no number"),
        ("length{target}", "has no value"),
        ("length{target: [}", "no YAML mapping"),
        ("", "is no reward"),
        ("length=1=2", "is no reward"),
        ("=1", "is no reward"),
        ("length{target: 5", "is no reward"),
    ],
)
def test_text_that_is_no_reward_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_reward(text)


def test_options_that_the_reward_lacks_are_suggested() -> None:
    with pytest.raises(ConfigError, match="no option 'targt'.*did you mean 'target'"):
        composite_from(["length{targt: 5}"])


def test_a_name_alone_is_the_rule_itself() -> None:
    assert resolve_scorer("length") == Length()
    assert resolve_scorer("length{target: 7}") == Length(target=7)
    scorer = Length(3)
    assert resolve_scorer(scorer) is scorer


def test_a_list_is_a_composite() -> None:
    composite = resolve_scorer(["length{target: 3}=3", "length{target: 6}=1"])
    assert isinstance(composite, CompositeReward)
    assert composite.score([None] * 2, TEXTS) == pytest.approx([0.75 + 0.125, 0.375 + 0.25])


def test_a_yaml_file_gives_the_same_composite_as_the_one_that_was_written(tmp_path: Path) -> None:
    composite = composite_from({"rewards": ["length{target: 3}=3", "length{target: 9}"], "normalize": "rank"})
    composite.fit([None] * 5, [*TEXTS, "a", "a b c d", "a b"])
    path = tmp_path / "rewards.yaml"
    path.write_text(yaml.safe_dump(composite.to_dict()), encoding="utf-8")
    again = resolve_scorer(path)
    assert isinstance(again, CompositeReward)
    assert again.fitted
    assert again.score([None] * 2, TEXTS).tolist() == composite.score([None] * 2, TEXTS).tolist()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rewards": []}, "expected a list of rewards"),
        ({"rewards": "length"}, "expected a list of rewards"),
        ({"reward": ["length"]}, "unknown key 'reward'.*did you mean 'rewards'"),
        ({"rewards": [{"weight": 1}]}, "has a reward .a name. or a model"),
        ({"rewards": [{"reward": "length", "model": "x"}]}, "has a reward"),
        ({"rewards": [{"reward": "length", "wieght": 1}]}, "unknown key 'wieght'"),
        ({"rewards": [{"reward": "length", "options": 3}]}, "options are a mapping"),
        ({"rewards": ["length"], "mode": "best"}, "mode is one of"),
    ],
)
def test_a_configuration_that_describes_no_composite_is_refused(values: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        composite_from(values)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*none\.yaml"):
        resolve_scorer(tmp_path / "none.yaml")
