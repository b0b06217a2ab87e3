"""Reward functions: rules that score a response, and what combines them. ``plaudit rewards list`` shows them all."""

from plaudit.rewards import (  # each registers what it defines
    classifier,
    code,
    coherence,
    execution,
    form,
    harm,
    length,
    maths,
    overlap,
    refusal,
    sentiment,
    similarity,
    sql,
    style,
)
from plaudit.rewards.base import REWARDS, Item, RewardFunction, register
from plaudit.rewards.composite import Component, CompositeReward
from plaudit.rewards.normalize import Normalizer
from plaudit.rewards.registry import RewardRegistry

__all__ = [
    "REWARDS",
    "Component",
    "CompositeReward",
    "Item",
    "Normalizer",
    "RewardFunction",
    "RewardRegistry",
    "classifier",
    "code",
    "coherence",
    "execution",
    "form",
    "harm",
    "length",
    "maths",
    "overlap",
    "refusal",
    "register",
    "sentiment",
    "similarity",
    "sql",
    "style",
]
