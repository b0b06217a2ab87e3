"""Low-rank adapters through peft: attached, saved and loaded with the head, merged only where the scores stay equal.

peft changes a network in place, so the rest of plaudit goes on with the network it knows (one forward, one head) and
keeps the `PeftModel` beside it for saving and for the trainer. Knows nothing about rendering or training.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.utils.peft_utils import find_adapter_config_file

from plaudit.errors import ConfigError, ModelError, NotARewardModelError
from plaudit.models.heads import head_modules, install_reward_head

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel

__all__ = ["attach_adapter", "find_adapter", "load_adapter", "lora_config", "quiet_peft", "save_adapter"]

ADAPTER_WEIGHTS = "adapter_model.safetensors"


def lora_config(
    network: PreTrainedModel,
    *,
    r: int = 16,
    alpha: float = 32,
    dropout: float = 0.05,
    target_modules: Sequence[str] | str = "all-linear",
    dora: bool = False,
    rslora: bool = False,
) -> PeftConfig:
    """A peft configuration for a classifier: rank ``r``, update scaled by ``alpha / r`` (rslora: ``alpha / sqrt(r)``).

    Args:
        network: what it is for; its layers are compared with ``target_modules``.
        target_modules: ``all-linear`` (all but the head), or ends of layer names, ``q_proj`` and the like.
        dropout: in front of the adapters.
        dora: weight-decomposed (Liu et al. 2024, section 4).
        rslora: rank-stabilised scale (Kalajdzievski 2023).

    Raises:
        ConfigError: a name in ``target_modules`` matches no layer; says which there are.
    """
    from peft import LoraConfig

    layers = _linear_layers(network)
    wanted = [target_modules] if isinstance(target_modules, str) else list(target_modules)
    if wanted != ["all-linear"]:
        for name in wanted:
            if not any(layer == name or layer.endswith(f".{name}") for layer in layers):
                there = sorted({layer.rpartition(".")[2] for layer in layers})
                raise ConfigError(
                    f"lora.target_modules: no layer of {type(network).__name__} is called {name!r}; there are "
                    f"{', '.join(there)} (or all-linear)"
                )
    return LoraConfig(
        r=r,
        lora_alpha=alpha,  # type: ignore[arg-type]
        lora_dropout=dropout,
        target_modules=layers if wanted == ["all-linear"] else wanted,
        use_dora=dora,
        use_rslora=rslora,
        fan_in_fan_out=any(isinstance(module, Conv1D) for module in network.modules()),
        task_type="SEQ_CLS",
    )


def _linear_layers(network: PreTrainedModel) -> list[str]:
    """The names of the backbone's linear layers."""
    heads = tuple(head_modules(network))
    kinds = (nn.Linear, Conv1D)
    return [
        name
        for name, module in network.named_modules()
        if isinstance(module, kinds) and name.partition(".")[0] not in heads
    ]


def attach_adapter(network: PreTrainedModel, config: PeftConfig, *, fresh: Sequence[str] = ()) -> PeftModel:
    """Wraps a network in adapters, in place; the head, and whatever else is fresh, is trained whole and saved too.

    Args:
        network: a classifier with our head (see `plaudit.models.heads`).
        config: any peft configuration, for sequence classification.
        fresh: names of parameters that were initialised just now (an encoder's pooler, say).

    Raises:
        ConfigError: another task type, or target layers that match nothing.
    """
    from peft import TaskType, get_peft_model

    if config.task_type not in (None, TaskType.SEQ_CLS):
        raise ConfigError(f"peft_config: expected task_type SEQ_CLS, got {config.task_type}; a reward model classifies")
    config.task_type = TaskType.SEQ_CLS
    heads = [name for name, module in head_modules(network).items() if any(True for _ in module.parameters())]
    others = {name.rpartition(".pooler.")[1].strip(".") for name in fresh}
    if hasattr(config, "modules_to_save"):
        config.modules_to_save = sorted({*(config.modules_to_save or []), *heads, *others} - {""})
    try:
        with quiet_peft():
            model = get_peft_model(network, config)
    except ValueError as error:
        raise ConfigError(f"peft_config: {' '.join(str(error).split())[:400]}") from error
    install_reward_head(network)
    return model  # type: ignore[return-value]


@contextmanager
def quiet_peft() -> Iterator[None]:
    """Without the warnings that peft gives about its own use of transformers, and about what it sets right itself."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing.*")
        warnings.filterwarnings("ignore", message=".*fan_in_fan_out.*")
        yield


def find_adapter(path: str | Path, revision: str | None = None) -> Path | None:
    """The ``adapter_config.json`` of a folder or Hub id, or None where it is no adapter."""
    found = find_adapter_config_file(str(path), revision=revision)
    return Path(found) if found else None


def load_adapter(network: PreTrainedModel, path: str | Path, *, trainable: bool, fresh_head: bool) -> PeftModel:
    """Puts a saved adapter with its head on the network it was trained from.

    Args:
        network: the base, with a head (fresh where the base has none).
        path: folder or Hub id of the adapter.
        trainable: it is to be trained further.
        fresh_head: the base has no trained head of its own, so the adapter must bring one.

    Raises:
        NotARewardModelError: no head anywhere: it was trained for another task, or the head was not saved.
        ModelError: it does not fit this base.
    """
    from peft import PeftModel
    from peft.utils import load_peft_weights

    try:
        weights = load_peft_weights(str(path), device="cpu")
    except (OSError, ValueError, SafetensorError) as error:
        raise ModelError(f"{path}: the adapter's weights are damaged or missing ({_short(error)})") from error
    heads = tuple(head_modules(network))
    brings_head = any(f".{head}." in f".{key}" for key in weights for head in heads)
    if fresh_head and not brings_head:
        raise NotARewardModelError(
            f"{path}: the adapter has no reward head ({', '.join(heads)}) and its base has none either; it was trained "
            "for another task, or its head was not saved"
        )
    try:
        with quiet_peft():
            model = PeftModel.from_pretrained(network, str(path), is_trainable=trainable)
    except (RuntimeError, ValueError, KeyError) as error:
        raise ModelError(f"{path} does not fit its base model: {_short(error)}") from error
    install_reward_head(network)
    return model


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def save_adapter(adapter: PeftModel, folder: Path, *, base: str, state_dict: dict[str, Any] | None = None) -> None:
    """Writes adapter and head; ``base`` is written down as what they belong to.

    Raises:
        ModelError: the head is not among what was written.
    """
    for config in adapter.peft_config.values():
        config.base_model_name_or_path = base
        config.modules_to_save = sorted(set(config.modules_to_save or []))  # peft adds its own names at every load
    more = {} if state_dict is None else {"state_dict": state_dict}
    # embeddings that were enlarged for a pad token are never read: AutoPeftModel enlarges them again
    adapter.save_pretrained(str(folder), save_embedding_layers=False, **more)
    (folder / "README.md").unlink(missing_ok=True)  # peft's model card; ours is written from the run
    with safe_open(folder / ADAPTER_WEIGHTS, framework="pt") as file:
        keys = list(file.keys())
    network = adapter.get_base_model()
    missing = [
        head
        for head, module in head_modules(network).items()  # type: ignore[arg-type]
        if any(True for _ in module.parameters()) and not any(f".{head}." in f".{key}" for key in keys)
    ]
    if missing:
        raise ModelError(f"the head ({', '.join(missing)}) is not in the saved adapter; add it to modules_to_save")
