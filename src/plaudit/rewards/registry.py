"""`RewardRegistry`: the reward functions by name, as one object."""

from __future__ import annotations

from typing import Any

from plaudit.rewards.base import REWARDS, F, RewardFunction, make, register

__all__ = ["RewardRegistry"]


class RewardRegistry:
    """The reward functions that names can stand for: plaudit's own, a package's entry points in the group
    ``plaudit.rewards``, and what `register` adds. All instances share them."""

    def get_reward_function(self, name: str, **options: Any) -> RewardFunction:
        """The function called ``name`` with these options.

        Raises:
            ConfigError: an unknown name (with a suggestion), option or value.
        """
        return make(name, options)

    def list_reward_functions(self) -> list[str]:
        """All names, sorted."""
        return REWARDS.names()

    def register(self, name: str, function: F) -> F:
        """Adds a frozen dataclass derived from `RewardFunction` under ``name``; see `plaudit.rewards.register`."""
        return register(name)(function)
