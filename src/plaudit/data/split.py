"""Train and test sides by prompt: no prompt on both, and none moves when data is added.

Knows groups (the split key of an example) only; what a group is, is decided where a row is converted.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from plaudit.errors import ConfigError, DataError

if TYPE_CHECKING:
    from plaudit.data.load import PreferenceData
    from plaudit.types import Example

__all__ = ["assert_disjoint", "hash_share", "in_test", "split_data"]


def in_test(group: str, fraction: float, seed: int = 0) -> bool:
    """Whether a group belongs to the test side: its hash, as a number in [0, 1), is below ``fraction``.

    It depends on nothing but the arguments, so a group stays on its side when data is added, and a larger fraction
    only adds groups to the test side.
    """
    return hash_share(group, seed) < fraction


def hash_share(group: str, seed: int = 0) -> float:
    """A number in [0, 1) that a group has by its hash."""
    digest = hashlib.sha256(f"{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_data(data: PreferenceData, fraction: float, seed: int = 0) -> tuple[PreferenceData, PreferenceData]:
    """``data`` as (train, test), with about ``fraction`` of the groups on the test side.

    Raises:
        ConfigError: ``fraction`` is not between 0 and 1.
        DataError: one side would be empty.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"a test fraction of {fraction} leaves one side empty; expected a number between 0 and 1")
    groups = data.groups()
    side = {group: in_test(group, fraction, seed) for group in set(groups)}
    train = [index for index, group in enumerate(groups) if not side[group]]
    test = [index for index, group in enumerate(groups) if side[group]]
    if not train or not test:
        raise DataError(
            f"the {'train' if not train else 'test'} side of the split is empty: {len(groups)} rows in {len(side)} "
            f"groups, test fraction {fraction:g}, seed {seed}; choose {'a smaller' if not train else 'a larger'} "
            f"fraction (--test-fraction X; 0 holds nothing out) or another seed (--split-seed N), group by another "
            f"column (--group-by NAME), or bring more data"
        )
    return data.select(train), data.select(test)


def assert_disjoint(train: PreferenceData, test: PreferenceData) -> None:
    """Refuses two sets that share a prompt: figures on the second one would be too good.

    Raises:
        DataError: says how many groups are in both, and shows one.
    """
    test_groups = test.groups()
    both = set(train.groups()) & set(test_groups)
    if both:
        first = next(index for index, group in enumerate(test_groups) if group in both)
        example = test[first]
        raise DataError(
            f"{len(both)} of {len(set(test_groups))} prompts of the evaluation data are in the training data too, "
            f"for example {_shown(example)!r:.80} ({example.location}); remove them from one of the two, "
            f"or split one data set by prompt instead (--test-fraction)"
        )


def _shown(example: Example) -> str:
    text = example.responses[0] if example.prompt is None else example.prompt
    return text if isinstance(text, str) else str(text[-1].get("content"))
