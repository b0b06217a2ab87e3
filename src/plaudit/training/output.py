"""The output folder of a run: refused when in use, whole when it has its name, resumable until then."""

from __future__ import annotations

import glob
import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from transformers import TrainerState

from plaudit.data import PreferenceData
from plaudit.errors import OutputError
from plaudit.evaluation import EvaluationReport, RatingReport
from plaudit.evaluation.attributes import AttributeReport
from plaudit.evaluation.overlap import prompt_key
from plaudit.models.build import EMBEDDED, EMBEDDED_ID
from plaudit.models.reward_model import RewardModel
from plaudit.models.training_prompts import load_prompt_hashes, prompt_hashes
from plaudit.training.card import model_card
from plaudit.training.config import TrainConfig
from plaudit.training.prepare import RenderReport
from plaudit.training.same_run import ONCE, check_same_settings, forget_start, record_start
from plaudit.training.trainer import RewardTrainer

__all__ = [
    "NoSteps",
    "claim_folder",
    "clean_up",
    "found_checkpoint",
    "last_checkpoint",
    "make_folder",
    "prepare_output",
    "publish",
    "run_folder",
    "save_artifact",
]

logger = logging.getLogger(__name__)


def run_folder(config: TrainConfig) -> Path:
    return config.output.with_name(config.output.name + ".partial")


def clean_up(config: TrainConfig) -> None:
    """Removes the folder of a run that ended without anything that a person could go on with."""
    run = run_folder(config)
    if run.exists() and not any(run.glob("checkpoint-*")):
        shutil.rmtree(run, ignore_errors=True)


def prepare_output(config: TrainConfig, say: Callable[[str], None]) -> Path | None:
    """Refuses an output that is in use; returns the checkpoint to resume from."""
    run = run_folder(config)
    claim_folder(config.output, run, overwrite=config.overwrite, resume=config.resume)
    if config.resume:
        check_same_settings(config, run)
    make_folder(config.output, run)
    if not config.resume:
        record_start(config, run)
        return None
    return found_checkpoint(run, say)


def claim_folder(output: Path, run: Path, *, overwrite: bool, resume: bool) -> None:
    """Refuses an output that is in use; removes an unfinished run that is to be overwritten.

    Raises:
        OutputError: a finished or unfinished run is in the way, or there is none to resume.
    """
    if output.exists() and not output.is_dir():
        raise OutputError(f"{output} is a file; choose a folder")
    in_use = output.exists() and any(output.iterdir())
    if in_use and not overwrite and not (resume and run.exists()):
        done = "; it is finished, there is nothing to resume" if resume else ""
        raise OutputError(
            f"{output} exists already{done}; choose another output, or replace it with overwrite (--overwrite)"
        )
    if run.exists() and not (overwrite or resume):
        raise OutputError(
            f"{run} holds an unfinished run: go on with resume (--resume), or start anew with overwrite (--overwrite)"
        )
    if run.exists() and overwrite:
        shutil.rmtree(run)
    _remove_litter(run)
    if resume and not run.exists():
        raise OutputError(f"nothing to resume: there is no {run}; start without resume")


def make_folder(output: Path, run: Path) -> None:
    """Makes the folder of a run.

    Raises:
        OutputError: nothing can be written there.
    """
    try:
        run.mkdir(parents=True, exist_ok=True)
        probe = run / ".write"
        probe.write_text("")
        probe.unlink()
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}; choose another output") from error


def found_checkpoint(run: Path, say: Callable[[str], None]) -> Path | None:
    """The checkpoint to go on from, said aloud."""
    checkpoint = last_checkpoint(run)
    say(f"resuming from {checkpoint.name}" if checkpoint else "no checkpoint yet: starting from the beginning")
    return checkpoint


def _remove_litter(run: Path) -> None:
    """What a killed run was writing under a temporary name (see `plaudit.files`)."""
    beside = run.parent.glob(f".{glob.escape(run.name)}.*.partial")
    for path in [*beside, *run.glob(".*.partial"), *run.glob(".write")]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def last_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint that was written to its end (its state file is written last); half ones are removed."""
    folders = sorted(run.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]), reverse=True)
    for folder in folders:
        try:
            json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
            return folder
        except (OSError, json.JSONDecodeError, UnicodeDecodeError):
            logger.warning("%s was not written to its end: removed", folder)
            shutil.rmtree(folder)
    return None


@dataclass
class NoSteps:
    """Stands for the trainer of a run that takes no steps and renders nothing by itself: a probe."""

    render_reports: dict[str, RenderReport] = field(default_factory=dict)
    state: TrainerState = field(default_factory=TrainerState)


def save_artifact(
    config: TrainConfig,
    trainer: RewardTrainer | NoSteps,
    model: RewardModel,
    report: EvaluationReport | RatingReport | AttributeReport | None,
    facts: dict[str, Any],
    settings: dict[str, Any],
    effective: dict[str, Any],
    more: dict[str, Any],
    pairs: PreferenceData | None,
) -> None:
    """Writes the artifact, proves that it reloads to equal scores, and gives the run its name.

    ``pairs`` are the rows that were trained on, None where they were streamed: the hashes of their prompts, and of
    those that the model was trained on before, stay beside the weights.
    """
    run, output = run_folder(config), config.output
    contract = model.make_contract()
    base = model.base_model or config.model.name
    hub_base = EMBEDDED_ID if base == EMBEDDED else base if not Path(base).exists() else None
    card = model_card(
        name=output.name,
        base_model=EMBEDDED_ID if base == EMBEDDED else Path(base).name if Path(base).exists() else base,
        hub_base=hub_base,
        separator=json.dumps(contract.render.separator),
        location=json.dumps(str(output)),
        architecture=type(model.model).__name__,
        adapter=model.adapter is not None,
        render=contract.render,
        render_hash=contract.render_hash,
        versions=contract.versions,
        data={**facts, "source": _public_name(facts["source"])},
        evaluation=report,
        settings=settings,
        attributes=model.attributes,
    )
    metrics = {
        "held_out": report.to_dict() if report else None,
        "training": {"history": trainer.state.log_history, "steps": trainer.state.global_step},
        **more,
    }
    values = json.loads(config.model_dump_json(exclude=ONCE))
    trained: dict[str, Any] = {} if pairs is None else {"training_prompts__u64": _prompts_of(pairs, config.model.name)}
    values["training"] = effective  # what was chosen and what was set by default: it trains the same again
    model.save_pretrained(
        run,
        README__md=card,
        **trained,
        metrics__json=json.dumps(metrics, indent=1) + "\n",
        data__json=json.dumps(
            {**facts, "rendering": {k: r.to_dict() for k, r in trainer.render_reports.items()}},
            indent=1,
            ensure_ascii=False,
        )
        + "\n",
        training_config__yaml=yaml.safe_dump(values, sort_keys=False, allow_unicode=True),
    )
    forget_start(run)
    publish(run, output)
    if config.training.get("save_strategy", "no") == "no" and "save_steps" not in config.training:
        for checkpoint in output.glob("checkpoint-*"):  # not before: a run killed here resumes from them
            shutil.rmtree(checkpoint)
    model.folder = output


def _prompts_of(pairs: PreferenceData, before: str) -> bytes:
    """The content of `PROMPTS_FILE`: what was trained on now, and before in the folder that training went on from."""
    hashes = prompt_hashes(prompt_key(example) for example in pairs)
    earlier = load_prompt_hashes(Path(before))
    return (hashes if earlier is None else np.union1d(hashes, earlier)).astype("<u8").tobytes()


def publish(run: Path, output: Path) -> None:
    """Gives a finished run its name; an older folder of that name goes when the new one is there."""
    old = output.with_name(f".{output.name}.replaced")
    if output.exists():
        shutil.rmtree(old, ignore_errors=True)
        output.rename(old)
    run.rename(output)
    shutil.rmtree(old, ignore_errors=True)


def _public_name(source: str) -> str:
    """A data source as others may see it: a file without the folders of this machine."""
    return Path(source).name if Path(source).exists() else source
