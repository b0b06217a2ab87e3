"""Every error that plaudit raises on purpose. Each message says what was expected, what arrived and what to do.

PlauditError                 anything plaudit refuses; the command line prints it in one line and exits 2
├── ConfigError              an option, key or combination of options that cannot work
├── MissingExtraError        an optional dependency is not installed; names the install command
├── DataError                a data source that cannot be used
│   └── RowError             one bad row; carries the file and the line
├── ItemError                one item of a list that was to be scored; carries its index
│   ├── RenderError          it cannot be turned into tokens (empty, too long, no template)
│   ├── ScoreError           its score is not a finite number
│   └── RewardError          a reward function cannot score it; carries the function's name
├── ModelError               a checkpoint that cannot be used
│   ├── NotARewardModelError no trained scalar head: nothing is guessed
│   └── ContractError        the checkpoint does not reproduce the scores it was saved with
├── EngineError              fast batches and plain ones disagree, or fast ones cannot work
├── DeviceError              the device asked for is not there
├── RemoteError              a reward server is down or answers nonsense
└── OutputError              an output that exists already or cannot be written

Interrupted                  no refusal but a KeyboardInterrupt: SIGINT or SIGTERM stopped the run; exit code 130 or 143
"""

from __future__ import annotations

import signal

__all__ = [
    "ConfigError",
    "ContractError",
    "DataError",
    "DeviceError",
    "EngineError",
    "Interrupted",
    "ItemError",
    "MissingExtraError",
    "ModelError",
    "NotARewardModelError",
    "OutputError",
    "PlauditError",
    "RemoteError",
    "RenderError",
    "RewardError",
    "RowError",
    "ScoreError",
]


class PlauditError(Exception):
    """Anything plaudit refuses, with a message for the person who asked for it."""


class ConfigError(PlauditError):
    """An option, key or combination of options that cannot work."""


class MissingExtraError(PlauditError):
    """An optional dependency is missing."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra [{extra}]: pip install 'plaudit[{extra}]'")


class DataError(PlauditError):
    """A data source that cannot be used."""


class RowError(DataError):
    """One bad row. ``location`` is ``file:line`` once a reader has seen the error."""

    def __init__(self, problem: str, location: str | None = None) -> None:
        self.problem = problem
        self.location = location
        super().__init__(f"{location}: {problem}" if location else problem)

    def __reduce__(self) -> tuple[type[RowError], tuple[str, str | None]]:
        return RowError, (self.problem, self.location)  # survives the way back from a worker process


class ItemError(PlauditError):
    """One item of a list that was to be scored; ``index`` is its place, where there is a list."""

    def __init__(self, problem: str, index: int | None = None) -> None:
        self.problem = problem
        self.index = index
        super().__init__(problem if index is None else f"item {index}: {problem}")

    def __reduce__(self) -> tuple[type[ItemError], tuple[str, int | None]]:
        return type(self), (self.problem, self.index)  # survives the way back from a worker process


class RenderError(ItemError):
    """A prompt and response that cannot be turned into tokens."""


class ModelError(PlauditError):
    """A checkpoint that cannot be used."""


class NotARewardModelError(ModelError):
    """A checkpoint without a trained scalar head."""


class ContractError(ModelError):
    """A checkpoint that does not reproduce the scores it was saved with."""


class EngineError(PlauditError):
    """The fast path does not give the rewards of the plain one, or cannot be used as asked."""


class DeviceError(PlauditError):
    """The device asked for is not there."""


class RemoteError(PlauditError):
    """A reward server that gives no scores: it is down, too slow, refuses the request, or answers nonsense."""


class ScoreError(ItemError):
    """A score that is not a finite number."""


class RewardError(ItemError):
    """A reward function cannot score an item; ``reward`` is its name."""

    def __init__(self, reward: str, problem: str, index: int | None = None) -> None:
        self.reward = reward
        super().__init__(problem, index)
        self.args = (f"reward {reward!r}: {self.args[0]}",)

    def __reduce__(self) -> tuple[type[RewardError], tuple[str, str, int | None]]:  # type: ignore[override]
        return RewardError, (self.reward, self.problem, self.index)


class OutputError(PlauditError):
    """An output that exists already or cannot be written."""


class Interrupted(KeyboardInterrupt):
    """A signal stopped the run. The message, where there is one, says what is saved and how to go on.

    Attributes:
        signal: SIGINT or SIGTERM.
        exit_code: of a process that ends by it, 128 + the signal's number.
    """

    def __init__(self, number: int, message: str = "") -> None:
        super().__init__(message)
        self.signal = signal.Signals(number)
        self.exit_code = 128 + number
