"""Any transformers sequence classifier as a reward: the probability of one of its classes."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from plaudit.errors import ConfigError, ModelError, NotARewardModelError, RewardError
from plaudit.rewards.base import Item, RewardFunction, register

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["Classifier", "Long"]

logger = logging.getLogger(__name__)

_one_at_a_time = threading.Lock()  # a fast tokenizer cannot be used by two threads at once

Long = Literal["cut", "mean", "worst"]


@register("classifier")
@dataclass(frozen=True)
class Classifier(RewardFunction):
    """The probability that a transformers classifier gives to a class, for any sequence classification model.

    Softmax over the classes; of a multi-label model, the sigmoid of the class's own output. Weights run in float32: a
    text scores the same whatever is scored beside it, up to the rounding of float32.

    Range: 0 to 1.

    Args:
        model: folder or Hub id, loaded when first used and shared by all functions that name it.
        label: the class whose probability is the score, by its name in the model's configuration or by its index.
        bad_label: instead of ``label``: a class to keep away from; the score is 1 minus its probability.
        multi_label: whether classes exclude each other (softmax) or not (sigmoid); None takes what the model says.
        device: ``cuda``, ``cuda:1``, ``mps``, ``cpu``; None takes the best there is.
        batch_size: windows computed together.
        max_length: the most tokens of a window; None takes what the model can read.
        long: of a response with more tokens, "cut" reads the start and logs how many were cut; "mean" reads all in
            windows and takes the mean by their tokens; "worst" takes the lowest window's score.
        use_prompt: gives the model (prompt, response) as a pair of texts. At most the last half window of the prompt.

    Raises:
        ModelError: no such model, or its weights or tokenizer are incomplete.
        NotARewardModelError: its head is missing or gives no probabilities.
        ConfigError: no such class.
    """

    model: str = ""
    label: str | int | None = None
    bad_label: str | int | None = None
    multi_label: bool | None = None
    device: str | None = None
    batch_size: int = 16
    max_length: int | None = None
    long: Long = "cut"
    use_prompt: bool = False

    range: ClassVar[tuple[float, float]] = (0.0, 1.0)
    example: ClassVar[Mapping[str, Any] | None] = None
    slow: ClassVar[str] = "runs a network"

    def __post_init__(self) -> None:
        if not isinstance(self.model, str) or not self.model:
            raise ConfigError(f"reward 'classifier': model is a folder or a Hub id, got {self.model!r}")
        if (self.label is None) == (self.bad_label is None):
            raise ConfigError(
                "reward 'classifier': give label (good) or bad_label, one of the two: a class of the model"
            )
        for name in ("batch_size", "max_length"):
            value = getattr(self, name)
            if value is None and name == "max_length":
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"reward 'classifier': {name} is a whole number of at least 1, got {value!r}")
        if self.long not in get_args(Long):
            raise ConfigError(f"reward 'classifier': long is one of {', '.join(get_args(Long))}, got {self.long!r}")

    def one(self, item: Item) -> float:
        return self.many([item])[0]

    def many(self, items: Sequence[Item]) -> list[float]:
        if not items:
            return []
        network, tokenizer = _load(self.model, self.device)
        good = self._probability_of(network)
        with _one_at_a_time:
            rows, owners, cut = self._windows(items, tokenizer, self._limit(network, tokenizer))
        if cut:
            logger.warning(
                "reward 'classifier': %d of %d responses are longer than %s reads here; their ends did not count "
                "(long='mean' or 'worst' reads them)",
                cut,
                len(items),
                self.model,
            )
        scores: list[list[tuple[float, int]]] = [[] for _ in items]
        order = sorted(range(len(rows)), key=lambda i: -len(rows[i]["input_ids"]))
        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            for i, value in zip(batch, good(_forward(network, tokenizer, [rows[i] for i in batch])), strict=True):
                scores[owners[i]].append((value, len(rows[i]["input_ids"])))
        return [self._joined(windows) for windows in scores]

    def _probability_of(self, network: PreTrainedModel) -> Callable[[torch.Tensor], list[float]]:
        """Logits, shape (rows, classes) -> the score of each row."""
        wanted = self.label if self.label is not None else self.bad_label
        config: Any = network.config
        kind, classes = config.problem_type, config.num_labels
        multi = self.multi_label if self.multi_label is not None else kind == "multi_label_classification"
        if self.multi_label is None and (kind == "regression" or (classes == 1 and not multi)):
            raise NotARewardModelError(
                f"reward 'classifier': {self.model} gives {classes} raw value{'s' * (classes > 1)}, no probabilities; "
                "score with it as a reward model, or give multi_label=True to take the sigmoid"
            )
        if classes == 1 and not multi:
            raise ConfigError("reward 'classifier': multi_label=False has no effect on a model with one class")
        index = _index(wanted, config.id2label, self.model)

        def good(logits: torch.Tensor) -> list[float]:
            chances = logits.sigmoid() if multi else logits.softmax(-1)
            chance = chances[:, index] if self.label is not None else 1 - chances[:, index]
            return [float(value) for value in chance.tolist()]

        return good

    def _limit(self, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
        """The most tokens of a window, special ones included."""
        from plaudit.models.build import position_limit

        most = position_limit(network, tokenizer)
        if self.max_length is None and most is None:
            raise ConfigError(f"reward 'classifier': {self.model} does not say how much it can read; give max_length")
        if self.max_length is not None and most is not None and self.max_length > most:
            raise ConfigError(
                f"reward 'classifier': {self.model} reads {most} tokens; max_length {self.max_length} is more"
            )
        limit = int(self.max_length or most or 0)
        if limit <= tokenizer.num_special_tokens_to_add(pair=self.use_prompt):
            raise ConfigError(f"reward 'classifier': {limit} tokens leave no room for a text; give a larger max_length")
        return limit

    def _windows(
        self, items: Sequence[Item], tokenizer: PreTrainedTokenizerBase, limit: int
    ) -> tuple[list[dict[str, list[int]]], list[int], int]:
        """Model inputs of every window, the item each belongs to, and how many responses were cut."""
        rows: list[dict[str, list[int]]] = []
        owners: list[int] = []
        cut = 0
        for owner, item in enumerate(items):
            texts = [item.response]
            if self.use_prompt:
                if item.prompt is None:
                    raise RewardError("classifier", "use_prompt needs a prompt for every response", item.index)
                texts.insert(0, _end(item.prompt, tokenizer, limit // 2))
            encoded = tokenizer(
                *texts,
                truncation="only_second" if self.use_prompt else True,
                max_length=limit,
                return_overflowing_tokens=True,
                verbose=False,
            )
            windows = [
                {key: encoded[key][i] for key in tokenizer.model_input_names if key in encoded}
                for i in range(len(encoded["input_ids"]))
            ]
            if self.long == "cut":
                cut += len(windows) > 1
                windows = windows[:1]
            rows += windows
            owners += [owner] * len(windows)
        return rows, owners, cut

    def _joined(self, windows: list[tuple[float, int]]) -> float:
        if self.long == "worst":
            return min(value for value, _ in windows)
        return sum(value * tokens for value, tokens in windows) / sum(tokens for _, tokens in windows)


def _index(wanted: str | int | None, names: dict[int, str], model: str) -> int:
    known = ", ".join(f"{index} {name}" for index, name in names.items())
    if isinstance(wanted, int) and not isinstance(wanted, bool) and 0 <= wanted < len(names):
        return wanted
    found = [int(index) for index, name in names.items() if str(name).lower() == str(wanted).lower()]
    if len(found) != 1:
        raise ConfigError(f"reward 'classifier': {model} has no class {wanted!r}; it has {known}")
    return found[0]


def _end(text: str, tokenizer: PreTrainedTokenizerBase, most: int) -> str:
    """The text's last ``most`` tokens."""
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    offsets = encoded["offset_mapping"]
    return text if len(offsets) <= most else text[offsets[-most][0] :]


def _forward(
    network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: list[dict[str, list[int]]]
) -> torch.Tensor:
    """Logits, shape (rows, classes)."""
    import torch

    width = max(len(row["input_ids"]) for row in rows)
    fill = {"input_ids": tokenizer.pad_token_id, "token_type_ids": tokenizer.pad_token_type_id, "attention_mask": 0}
    batch = {
        key: torch.tensor([row[key] + [fill[key]] * (width - len(row[key])) for row in rows], device=network.device)
        for key in rows[0]
    }
    with torch.inference_mode():
        logits: torch.Tensor = network(**batch).logits.float().cpu()
    return logits


@functools.lru_cache(maxsize=4)
def _load(name: str, device: str | None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    from safetensors import SafetensorError
    from transformers import AutoModelForSequenceClassification

    from plaudit.models.build import load_tokenizer, quiet_transformers, resolve_name, resolve_pad_token
    from plaudit.models.device import resolve_device

    place, path = resolve_device(device), resolve_name(name)
    tokenizer = load_tokenizer(name)
    if not tokenizer.is_fast:
        raise ModelError(f"{name} has no fast tokenizer (tokenizer.json), which cutting texts into windows needs")
    network: Any
    try:
        with quiet_transformers():
            network, info = AutoModelForSequenceClassification.from_pretrained(
                path, dtype="float32", use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(f"cannot load {name} as a classifier: {' '.join(str(error).split())[:400]}") from error
    missing = sorted(info["missing_keys"])
    if missing:
        raise NotARewardModelError(
            f"{name} is no trained classifier: {', '.join(missing[:3])} would be random, not being in the checkpoint; "
            "give a model that was saved with its classification head"
        )
    resolve_pad_token(network, tokenizer)
    tokenizer.truncation_side = tokenizer.padding_side = "right"
    return network.to(place).eval(), tokenizer
