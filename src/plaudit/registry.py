"""Name -> component, for names that users write in YAML or on the command line.

A component registers itself where it is defined. A user's package adds its own through an entry point in the group
``plaudit.<kind>`` (say ``plaudit.objectives``), which is imported the first time that kind is asked for.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from plaudit.errors import ConfigError

__all__ = ["Registry", "suggest"]

T = TypeVar("T")


def suggest(name: str, known: list[str]) -> str:
    """``' (did you mean X?)'``, or nothing where no known name is close."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (did you mean {close[0]!r}?)" if close else ""


class Registry(Generic[T]):
    """The components of one kind, by name.

    Args:
        kind: what the components are, in the plural; also the entry point group ``plaudit.<kind>``.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._components: dict[str, T] = {}
        self._plugins_loaded = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that adds a component under ``name``; a name can be taken once."""

        def add(component: T) -> T:
            if name in self._components:
                raise ConfigError(f"{self.kind}: the name {name!r} is taken already; choose another")
            self._components[name] = component
            return component

        return add

    def names(self) -> list[str]:
        """All names, sorted."""
        self._load_plugins()
        return sorted(self._components)

    def get(self, name: str) -> T:
        """The component called ``name``; a `ConfigError` lists the known names otherwise."""
        self._load_plugins()
        if name not in self._components:
            known = self.names()
            raise ConfigError(
                f"unknown name {name!r} in {self.kind}{suggest(name, known)}; known: {', '.join(known) or 'none'}"
            )
        return self._components[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def _load_plugins(self) -> None:
        if not self._plugins_loaded:
            for entry in entry_points(group=f"plaudit.{self.kind}"):
                try:
                    entry.load()
                except ImportError as error:
                    raise ConfigError(
                        f"the plug-in {entry.name!r} ({entry.value}) cannot be imported: {error}"
                    ) from error
            self._plugins_loaded = True
