"""Names that users write: found, suggested, refused, added by a user's package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from plaudit import registry as module
from plaudit.errors import ConfigError
from plaudit.registry import Registry, suggest


def numbers() -> Registry[int]:
    registry: Registry[int] = Registry("numbers")
    registry.register("one")(1)
    registry.register("two")(2)
    return registry


@dataclass
class Entry:
    load: Callable[[], Any]


def test_a_component_is_found_by_its_name() -> None:
    registry = numbers()
    assert registry.get("two") == 2
    assert list(registry) == registry.names() == ["one", "two"]


def test_register_returns_what_it_decorates() -> None:
    registry: Registry[Callable[[], int]] = Registry("functions")

    @registry.register("f")
    def f() -> int:
        return 3

    assert f() == 3
    assert registry.get("f") is f


def test_an_unknown_name_suggests_the_nearest() -> None:
    message = r"unknown name 'tow' in numbers \(did you mean 'two'\?\); known: one, two"
    with pytest.raises(ConfigError, match=message):
        numbers().get("tow")
    with pytest.raises(ConfigError, match=r"unknown name 'xyz' in numbers; known: one, two$"):
        numbers().get("xyz")
    with pytest.raises(ConfigError, match="unknown name 'x' in empty; known: none"):
        Registry("empty").get("x")


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ConfigError, match="numbers: the name 'one' is taken already; choose another"):
        numbers().register("one")(3)


@pytest.mark.parametrize(
    ("name", "hint"), [("chosn", " (did you mean 'chosen'?)"), ("zzz", ""), ("Chosen", " (did you mean 'chosen'?)")]
)
def test_suggest_finds_near_names_only(name: str, hint: str) -> None:
    assert suggest(name, ["chosen", "rejected"]) == hint


def test_a_users_package_adds_components_through_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = numbers()
    asked: list[str] = []

    def entry_points(*, group: str) -> list[Entry]:
        asked.append(group)
        return [Entry(lambda: registry.register("three")(3))]

    monkeypatch.setattr(module, "entry_points", entry_points)
    assert registry.get("three") == 3
    assert registry.names() == ["one", "three", "two"]
    assert asked == ["plaudit.numbers"]  # once, and only when the kind is asked for


def test_importing_does_not_ask_for_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "entry_points", lambda **_: pytest.fail("asked"))
    numbers()
