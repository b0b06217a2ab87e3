"""`train`: the main line. Configuration -> pairs -> split by prompt -> model -> trainer -> evaluation -> saved folder.

The run lives in ``OUTPUT.partial`` until it is finished, evaluated and verified; only then does it get its name. So
``OUTPUT`` is always whole, an older one stays until the new one is ready, and a killed run resumes.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from plaudit.data import PreferenceData, assert_disjoint, load_preferences, stream_preferences
from plaudit.errors import ConfigError, ModelError, PlauditError, RenderError
from plaudit.evaluation import EvaluationReport, evaluate
from plaudit.formatting import Renderer, RenderItem, RenderSpec, TooLongError, default_spec
from plaudit.models.build import LoadedModel, load_model, position_limit
from plaudit.models.device import resolve_device
from plaudit.models.heads import install_reward_head, reads_last_token
from plaudit.models.reward_model import RewardModel
from plaudit.training.config import TrainConfig, make_config
from plaudit.training.defaults import default_attention, default_max_length, default_training
from plaudit.training.output import clean_up, last_checkpoint, prepare_output, run_folder, save_artifact
from plaudit.training.reward_config import RewardConfig, reward_config_fields
from plaudit.training.trainer import RewardTrainer
from plaudit.types import Example

__all__ = ["TrainResult", "run_training", "train"]

logger = logging.getLogger(__name__)

MOST_TOKENS = 8192
"""The default length limit grows with the data, but not beyond this."""
LENGTH_SAMPLE = 300

_SHOWN = (
    "learning_rate",
    "num_train_epochs",
    "max_steps",
    "per_device_train_batch_size",
    "gradient_accumulation_steps",
    "warmup_steps",
    "weight_decay",
    "lr_scheduler_type",
    "bf16",
    "fp16",
    "gradient_checkpointing",
    "disable_dropout",
    "center_rewards_coefficient",
    "label_smoothing_factor",
)


@dataclass
class TrainResult:
    """A finished run.

    Attributes:
        model: the trained model, with its contract.
        folder: where it was saved.
        evaluation: figures on the held-out pairs, or None.
        settings: what was trained with.
        notes: what happened to the data and the model, one sentence each.
        seconds: training time.
    """

    model: RewardModel
    folder: Path
    evaluation: EvaluationReport | None
    settings: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0


def train(config: TrainConfig | Mapping[str, Any] | None = None, **options: Any) -> RewardModel:
    """Trains, evaluates, saves and verifies a reward model.

    Args:
        config: a `TrainConfig`, or its values as a mapping.
        options: values of the configuration by name, instead of ``config``: ``data=``, ``model=``, ``output=``, ….

    Returns:
        The trained model; ``model.folder`` says where it was saved.
    """
    if config is not None and options:
        raise ConfigError("pass a config or options, not both")
    if not isinstance(config, TrainConfig):
        config = make_config(dict(config if config is not None else options))
    return run_training(config).model


def run_training(
    config: TrainConfig, *, say: Callable[[str], None] = logger.info, callbacks: list[TrainerCallback] | None = None
) -> TrainResult:
    """`train` with everything it found out.

    Args:
        config: the run.
        say: receives what a person should know, one line at a time.
        callbacks: transformers callbacks.
    """
    device = resolve_device(config.model.device, config.model.device_fallback)
    checkpoint = prepare_output(config, say)
    try:
        return _with_fallback(config, device, checkpoint, say, callbacks)
    finally:
        clean_up(config)


def _with_fallback(
    config: TrainConfig,
    device: torch.device,
    checkpoint: Path | None,
    say: Callable[[str], None],
    callbacks: list[TrainerCallback] | None,
) -> TrainResult:
    data = _load_data(config, say)
    try:
        return _run_on(config, device, data, checkpoint, say, callbacks)
    except RuntimeError as error:
        if device.type != "mps" or config.model.device_fallback != "cpu" or isinstance(error, PlauditError):
            raise
        say(f"MPS failed ({' '.join(str(error).split())[:200]}): going on on the CPU, as device_fallback says")
        logger.warning("training on mps failed; continuing on the CPU as device_fallback says")
        return _run_on(config, torch.device("cpu"), data, last_checkpoint(run_folder(config)), say, callbacks)


# -- data ------------------------------------------------------------------------------------------------------------


@dataclass
class _Data:
    train: Any
    held_out: PreferenceData | None
    facts: dict[str, Any]
    notes: list[str]


def _load_data(config: TrainConfig, say: Callable[[str], None]) -> _Data:
    c = config.data
    options: dict[str, Any] = {"columns": c.columns, "on_bad_row": c.on_bad_row}
    facts: dict[str, Any] = {"source": c.source, "split": c.split, "group_by": c.group_by}
    held_out = None
    if c.eval_source is not None:
        held_out = load_preferences(c.eval_source, split=c.eval_split, revision=c.revision, **options)
    if c.streaming:
        if c.eval_fraction and held_out is None:
            raise ConfigError(
                "streaming cannot hold prompts out; give data.eval_source, or set data.eval_fraction to 0"
            )
        rows = stream_preferences(c.source, split=c.split, max_samples=c.max_samples, revision=c.revision, **options)
        stream = rows.dataset.shuffle(seed=config.seed, buffer_size=c.shuffle_buffer)
        facts |= {"train_pairs": 0, "fingerprint": "streamed", "report": {}}
        notes = [f"streaming {c.source}, shuffled among {c.shuffle_buffer:,} rows"]
        say(notes[0])
        return _Data(stream, held_out, facts, notes)
    data = load_preferences(
        c.source, split=c.split, max_samples=c.max_samples, seed=config.seed, revision=c.revision, **options
    )
    notes = data.report.lines()
    facts |= {"fingerprint": data.report.fingerprint, "report": data.report.to_dict()}
    if held_out is not None:
        assert_disjoint(data, held_out)
        facts["eval"] = {"source": c.eval_source, **held_out.report.to_dict()}
    elif c.eval_fraction:
        data, held_out = data.split(c.eval_fraction, c.split_seed)
        unit = c.group_by or "prompt"
        notes.append(f"held out by {unit}: {len(held_out):,} of {len(held_out) + len(data):,} pairs")
    facts["train_pairs"] = len(data)
    margins = [margin for margin in data.dataset["margin"] if margin is not None]
    if margins:
        low, high = min(margins), max(margins)
        notes.append(f"{len(margins):,} pairs have a margin ({low:g} to {high:g}): the loss asks for it")
    for note in notes:
        say(note)
    return _Data(data.dataset, held_out, facts, notes)


# -- the run ---------------------------------------------------------------------------------------------------------


def _run_on(
    config: TrainConfig,
    device: torch.device,
    data: _Data,
    checkpoint: Path | None,
    say: Callable[[str], None],
    callbacks: list[TrainerCallback] | None,
) -> TrainResult:
    loaded = _load_base(config)
    notes = [*data.notes, *loaded.notes]
    spec = _spec(config, loaded, data)
    attention = _faster_attention(config, loaded, device, spec)
    args, settings, chosen = _training_args(config, loaded, device, data)
    settings |= {"device": str(device), "attention": loaded.model.config._attn_implementation}
    settings |= {"layout": spec.layout, "max_length": spec.max_length, "seed": config.seed}
    for note in loaded.notes:
        say(note)
    say("settings: " + ", ".join(f"{key} {value}" for key, value in settings.items()))
    trainer = RewardTrainer(
        model=loaded.model,
        args=args,
        train_dataset=data.train,
        eval_dataset=data.held_out.dataset if data.held_out is not None and args.eval_strategy != "no" else None,
        processing_class=loaded.tokenizer,
        callbacks=callbacks,
        render_spec=spec,
    )
    trainer.base_model = trainer.reward_model.base_model = config.model.name
    for name, rendering in trainer.render_reports.items():
        lines = rendering.lines({"train": "training", "eval": "held out"}.get(name, name), spec.max_length)
        notes += lines
        for line in lines:
            say(line)
    started = time.monotonic()
    _train_from(trainer, checkpoint)
    seconds = time.monotonic() - started
    model = trainer.reward_model
    install_reward_head(model.model)  # without the autocast of training, and with the attention it will load with:
    if attention is not None:  # scores as they will be
        model.model.set_attn_implementation(attention)
    if not math.isfinite(sum(float(p.detach().float().sum()) for p in model.model.parameters())):
        raise ModelError("the weights are not finite after training; lower the learning rate, or use bf16 or float32")
    if not trainer.is_world_process_zero():
        return TrainResult(model, config.output, None, settings, notes, seconds)
    report = evaluate(model, data.held_out, overlong="cut") if data.held_out is not None else None
    plain: dict[str, Any] = args.to_dict()  # type: ignore[no-untyped-call]
    private = ("output_dir", "seed", "use_cpu")
    effective = {name: plain[name] for name in reward_config_fields() if name in chosen and name not in private}
    facts = {**data.facts, "notes": notes}
    save_artifact(config, trainer, model, report, facts, settings, effective)
    return TrainResult(model, config.output, report, settings, notes, seconds)


def _load_base(config: TrainConfig) -> LoadedModel:
    m = config.model
    loaded = load_model(
        m.name,
        training=True,
        seed=config.seed,
        dtype=m.dtype,
        fresh_head=m.fresh_head,
        attn_implementation=m.attn_implementation,
        revision=m.revision,
        trust_remote_code=m.trust_remote_code,
    )
    if m.chat_template is not None:
        try:
            loaded.tokenizer.chat_template = Path(m.chat_template).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot read the chat template {m.chat_template}: {error}") from error
    return loaded


def _spec(config: TrainConfig, loaded: LoadedModel, data: _Data) -> RenderSpec:
    m = config.model
    limit = position_limit(loaded.model, loaded.tokenizer)
    if m.max_length is not None and limit is not None and m.max_length > limit:
        raise ConfigError(
            f"model.max_length {m.max_length} exceeds the {limit} positions of {m.name}; choose at most {limit}"
        )
    encoder = not reads_last_token(loaded.model)
    length = m.max_length or default_max_length(loaded.model, encoder=encoder, limit=limit)
    spec = default_spec(loaded.tokenizer, length, truncation=m.truncation, layout=m.layout)
    if m.max_length is None:
        longest = min(limit or MOST_TOKENS, MOST_TOKENS)
        while spec.max_length < longest and _lost_share(loaded, spec, data) > 0.01:
            spec = replace(spec, max_length=min(2 * spec.max_length, longest))
    return spec


def _lost_share(loaded: LoadedModel, spec: RenderSpec, data: _Data) -> float:
    """The share of pairs that this length limit would leave out, on the first few hundred."""
    rows = list(islice(iter(data.train), LENGTH_SAMPLE))
    examples = [example for example in map(Example.from_row, rows) if example.input_ids is None]
    renderer = Renderer(loaded.tokenizer, spec)
    lost = 0
    for example in examples:
        try:
            lost += any(isinstance(text, TooLongError) for text in renderer.render_batch(RenderItem.of(example)))
        except RenderError:
            continue  # rendering the whole set names the row
    return lost / max(len(examples), 1)


def _faster_attention(config: TrainConfig, loaded: LoadedModel, device: torch.device, spec: RenderSpec) -> str | None:
    """Switches to the attention that trains fastest, unless the user chose one; returns the one to switch back to."""
    wanted = default_attention(encoder=not reads_last_token(loaded.model), device=device, max_length=spec.max_length)
    before = str(loaded.model.config._attn_implementation)
    if wanted is None or config.model.attn_implementation is not None or wanted == before:
        return None
    loaded.model.set_attn_implementation(wanted)
    return before


def _training_args(
    config: TrainConfig, loaded: LoadedModel, device: torch.device, data: _Data
) -> tuple[RewardConfig, dict[str, Any], set[str]]:
    """The trainer's configuration, what of it is worth showing, and the names that were chosen or set by default."""
    pairs = len(data.train) if hasattr(data.train, "__len__") else None
    if pairs is None and "max_steps" not in config.training:
        raise ConfigError("streaming data has no length: set training.max_steps (--max-steps N)")
    values = default_training(
        loaded.model,
        encoder=not reads_last_token(loaded.model),
        device=device,
        pairs=pairs,
        held_out=data.held_out is not None,
    )
    if config.training.get("fp16"):
        values["bf16"] = False
    values |= config.training
    chosen = set(values)
    values |= {"output_dir": str(run_folder(config)), "seed": config.seed, "use_cpu": device.type == "cpu"}
    try:
        args = RewardConfig(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"training: {' '.join(str(error).split())}") from error
    if device.type == "cuda":
        if device.index is not None:
            torch.cuda.set_device(device)
        if "LOCAL_RANK" not in os.environ:
            args._n_gpu = 1
    shown = {name: getattr(args, name) for name in _SHOWN if not (name == "max_steps" and args.max_steps < 0)}
    settings = {name: str(getattr(v, "value", v)) for name, v in shown.items() if v not in (None, False, 0.0)}
    if 0 < args.warmup_steps < 1:
        settings["warmup_steps"] = f"{args.warmup_steps:.0%} of the steps"
    return args, settings, chosen


def _train_from(trainer: RewardTrainer, checkpoint: Path | None) -> None:
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Exception as error:
        if checkpoint is not None and trainer.state.global_step == 0:
            raise ModelError(
                f"cannot resume from {checkpoint}: {type(error).__name__}: {' '.join(str(error).split())[:300]}; "
                "delete that folder to resume from the checkpoint before it, or start anew with overwrite"
            ) from error
        raise
