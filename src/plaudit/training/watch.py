"""Live warnings: what goes wrong in a run, seen in its logged figures, with what to do. Once for each kind.

Reads log entries only (see `PairCounts.figures` for the names); knows nothing about models, data or the trainer. A
resumed run is judged together with the entries from before.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from plaudit.metrics import binomial_interval

__all__ = ["Watch"]

WARM_SHARE = 0.2
"""Figures from before this share of the steps (or before the end of the warm-up) tell of the random start."""
CONSTANT_STD = 1e-3
"""Rewards that differ by less are one number: bfloat16 resolves 0.004 at 1, and a useful spread is near 1."""
EXPLODING_REWARD = 50.0
"""Bradley-Terry is saturated at a margin of 20; beyond 50, bfloat16 tells only quarters apart."""
EXPLODING_GROWTH, EXPLODING_STD = 10.0, 10.0
"""A spread that has grown so many times since the warm-up, and is that large, will not come to rest by itself."""
SURE_PAIRS = 2000
"""Enough to tell an accuracy of 0.53 from 0.5, at any time."""
FEW_PAIRS, HALF = 300, 0.5
"""Enough to tell 0.56 from 0.5; a small run is judged on them from the half on."""
LENGTH_CORRELATION, LENGTH_PAIRS = 0.6, 100
"""Above, a third of the variance of the reward gap is length; by chance, 100 pairs reach 0.2."""
FALLS = 2
"""One evaluation below the best may be noise; so many in a row, each by more than a standard error, are not."""


class Watch(TrainerCallback):
    """Warns of constant scores, exploding rewards, guessing, length as the reward, and falling evaluation accuracy.

    Args:
        say: receives each warning, in one line.

    Attributes:
        warnings: those given so far.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.warnings: list[str] = []
        self._start_over()

    def _start_over(self) -> None:
        self._said: set[str] = set()
        self._first_std: float | None = None
        self._pairs = self._correct = self._since = 0
        self._length_pairs = self._length_sum = 0.0
        self._best: dict[str, tuple[float, float, int]] = {}  # evaluation -> accuracy, its standard error, step
        self._falls: dict[str, int] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.warnings.clear()
        self._start_over()
        for entry in state.log_history:
            self._see(entry, int(entry["step"]), args, state.max_steps)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        self._see(logs or {}, state.global_step, args, state.max_steps)

    def _see(self, logs: dict[str, Any], step: int, args: TrainingArguments, steps: int) -> None:
        warm = step > max(args.get_warmup_steps(steps), ceil(WARM_SHARE * steps))
        if "accuracy" in logs and warm:
            self._see_rewards(logs, step)
            self._see_accuracy(logs, step, steps)
            self._see_length(logs, step)
        for name in logs:
            if name.startswith("eval_") and name.endswith("_accuracy") and f"{name[:-8]}pairs" in logs:
                self._see_evaluation(name, logs, step)

    def _warn(self, kind: str, line: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self.warnings.append(line)
            self.say(f"warning: {line}")

    def _see_rewards(self, logs: dict[str, Any], step: int) -> None:
        low, high, spread = logs["min_reward"], logs["max_reward"], _spread(logs)
        if self._first_std is None:
            self._first_std = spread
        if spread < CONSTANT_STD:
            self._warn(
                "constant",
                f"step {step}: all rewards are nearly the same (standard deviation {spread:.2g} around "
                f"{logs['mean_reward']:.3g}): raise the learning rate, and check that chosen and rejected differ "
                "after truncation",
            )
        grown = spread > max(EXPLODING_STD, EXPLODING_GROWTH * self._first_std)
        if grown or not all(abs(reward) <= EXPLODING_REWARD for reward in (low, high)):  # or not a number
            self._warn(
                "exploding",
                f"step {step}: rewards explode (from {low:.3g} to {high:.3g}, standard deviation {spread:.3g}; "
                f"{self._first_std:.3g} after the warm-up): lower the learning rate, train for fewer epochs, or set "
                "center_rewards_coefficient to 0.01",
            )

    def _see_accuracy(self, logs: dict[str, Any], step: int, steps: int) -> None:
        self._since = self._since or step
        pairs = logs["pairs"] - logs.get("undecided", 0)
        self._pairs += round(pairs)
        self._correct += round(logs["accuracy"] * pairs)
        if self._pairs < SURE_PAIRS and not (self._pairs >= FEW_PAIRS and step >= HALF * steps):
            return
        interval = binomial_interval(self._correct, self._pairs) if "guessing" not in self._said else None
        if interval is not None and interval.low <= 0.5 <= interval.high:
            self._warn(
                "guessing",
                f"step {step}: accuracy is still at 0.5: {self._correct:,} of {self._pairs:,} training pairs right "
                f"from step {self._since} on (95% interval {interval.low:.3f} to {interval.high:.3f}): check that "
                "chosen and rejected are not mixed up, raise the learning rate, or take a larger base model",
            )

    def _see_length(self, logs: dict[str, Any], step: int) -> None:
        if "length_correlation" not in logs:
            return
        self._length_pairs += logs["pairs"]
        self._length_sum += logs["pairs"] * logs["length_correlation"]
        if self._length_pairs < LENGTH_PAIRS:
            return
        correlation, pairs = self._length_sum / self._length_pairs, self._length_pairs
        self._length_pairs = self._length_sum = 0.0
        if abs(correlation) > LENGTH_CORRELATION:
            shares = (
                f"; of the pairs with unequal lengths, the model prefers the longer response in "
                f"{logs['longer_preferred']:.0%} and the data in {logs['longer_chosen']:.0%}"
                if "longer_preferred" in logs
                else ""
            )
            self._warn(
                "length",
                f"step {step}: rewards follow {'length' if correlation > 0 else 'shortness'}: over {pairs:,.0f} pairs "
                f"the difference of rewards has correlation {correlation:.2f} with that of lengths{shares}: balance "
                "the lengths in the data, and compare with the baseline 'longer wins' of the evaluation",
            )

    def _see_evaluation(self, name: str, logs: dict[str, Any], step: int) -> None:
        accuracy, pairs = logs[name], logs[f"{name[:-8]}pairs"]
        error = sqrt(max(accuracy * (1 - accuracy), 0.0) / pairs)
        best, best_error, best_step = self._best.setdefault(name, (accuracy, error, step))
        if accuracy >= best:
            self._best[name] = (accuracy, error, step)
        self._falls[name] = self._falls.get(name, 0) + 1 if accuracy < best - best_error else 0
        if self._falls[name] >= FALLS:
            self._warn(
                "falling",
                f"step {step}: evaluation accuracy falls: {accuracy:.3f} after {best:.3f} at step {best_step}, "
                f"{FALLS} times in a row lower by more than a standard error ({best_error:.3f}): train for fewer "
                "epochs, or set load_best_model_at_end or early_stopping_patience",
            )


def _spread(logs: dict[str, Any]) -> float:
    """Standard deviation of all rewards, from those of the two sides, which are equally many."""
    within = (logs["chosen_std"] ** 2 + logs["rejected_std"] ** 2) / 2
    return float(sqrt(within + ((logs["chosen_mean"] - logs["rejected_mean"]) / 2) ** 2))
