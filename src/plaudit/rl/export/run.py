"""A reward model handed to another system: refused where that could not load it, proved before it gets its name."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from plaudit.errors import ConfigError, OutputError
from plaudit.files import atomic_folder
from plaudit.models.ensemble import Ensemble
from plaudit.models.reward_model import RewardModel
from plaudit.rl.export.base import TARGETS, Job, Target, fill
from plaudit.rl.export.checkpoint import describe, prove, write_checkpoint
from plaudit.rl.export.functions import DEVICE, URL
from plaudit.scorers import resolve_scorer
from plaudit.types import Scorer

__all__ = ["EXPORT_FILE", "ExportResult", "export_model"]

EXPORT_FILE = "export.json"
"""Marks a folder as an export: only such a folder is overwritten."""


@dataclass(frozen=True)
class ExportResult:
    """What was exported.

    Attributes:
        target: the name of the target.
        model: as the user wrote it.
        output: the folder.
        route: in one line, how the target gets its rewards.
        files: every file in the folder, by name; those besides the checkpoint with what they are for.
        checked: what was proved before the folder got its name.
        unchecked: what was not proved, or changed for the export.
    """

    target: str
    model: str
    output: Path
    route: str
    files: dict[str, str]
    checked: tuple[str, ...]
    unchecked: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "target": self.target,
            "model": self.model,
            "output": str(self.output),
            "route": self.route,
            "files": self.files,
            "checked": list(self.checked),
            "not_checked": list(self.unchecked),
        }


def export_model(
    model: str | Path,
    target: str,
    output: str | Path,
    *,
    function_only: bool = False,
    policy: str | None = None,
    overlong: str = "error",
    empty_score: float | None = None,
    overwrite: bool = False,
    device: str | None = None,
    device_fallback: str | None = None,
    revision: str | None = None,
    trust_remote_code: bool = False,
) -> ExportResult:
    """Writes a reward model as another system loads it, with scripts and a reward function, all checked.

    Nothing of the target is needed or run here; the README in the output says what was checked and what was not.

    Args:
        model: folder or Hub id of a reward model or adapter; for ``openrlhf`` and ``verl`` also whatever
            `plaudit.scorers.resolve_scorer` takes: a rule, a composite's YAML, an ensemble.
        target: a name in `plaudit.rl.export.base.TARGETS`: ``openrlhf``, ``sglang``, ``tei``, ``verl``, ``vllm``.
        output: folder; written under another name, and renamed when everything is proved.
        function_only: write no checkpoint, only a reward function that scores with plaudit in the trainer's process
            (implied by rules, composites and ensembles).
        policy: folder or Hub id of the policy, for ``openrlhf`` and ``verl``.
        overlong: of a response too long by itself: ``error``, or ``cut`` its end. Of learned models.
        empty_score: the score of an empty response; None: it is an error.
        overwrite: replace an earlier export.
        device, device_fallback, revision, trust_remote_code: as of `RewardModel.from_pretrained`.

    Raises:
        ConfigError: the target cannot use this model; says why.
        ModelError, ContractError: the model cannot be loaded, or does not score as it did once it is written.
        OutputError: the output exists or cannot be written.
    """
    place = Path(output)
    system = TARGETS.get(target)
    _check_options(system, target, function_only=function_only, policy=policy, overlong=overlong)
    _check_output(place, str(model), overwrite=overwrite)
    options = {
        "device": device,
        "device_fallback": device_fallback,
        "revision": revision,
        "trust_remote_code": trust_remote_code,
    }
    given = {name: value for name, value in options.items() if value}
    scorer = resolve_scorer(model, **given)
    job = Job(
        target, str(model), place, place, policy=policy, overlong=overlong, empty_score=empty_score, device=device
    )
    job.unchecked.append(
        f"{system.title} itself did not run here. The files follow {system.seen}; other releases may name options "
        "otherwise"
    )
    if function_only or not isinstance(scorer, RewardModel):
        job.spec = _spec(model, scorer, system, target, given)
        if overlong != "error" and not isinstance(scorer, (RewardModel, Ensemble)):
            raise ConfigError("overlong has no effect on rules, which have no length limit; leave it out")
        models = []
    else:
        _check_model(job.name, scorer, system)
        models = [scorer]
    del scorer
    return _write(job, system, models)


def _check_model(name: str, model: RewardModel, system: Target) -> None:
    contract = model.contract or model.make_contract()
    try:
        architecture, decoder = describe(model)
        if (refusal := system.refuse(architecture, contract, decoder=decoder)) is not None:
            raise ConfigError(refusal)
    except ConfigError as error:
        raise ConfigError(f"{name} cannot be exported for {system.title}: {error}") from error


def _write(job: Job, system: Target, models: list[RewardModel]) -> ExportResult:
    """``models`` holds the model, if there is one; it is taken out and let go once it is saved, as checks load it."""
    with atomic_folder(job.output, last=EXPORT_FILE, replaces=("*",)) as staging, _environment(job.device):
        job.folder = staging
        if models:
            job.checkpoint = write_checkpoint(job, models.pop())
        system.write(job)
        if job.checkpoint is not None:
            prove(job)
        (staging / "README.md").write_text(_readme(job, system), encoding="utf-8")
        result = _result(job)
        document = {"plaudit": version("plaudit"), **result.to_dict()}
        (staging / EXPORT_FILE).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return result


def _result(job: Job) -> ExportResult:
    names = sorted({path.name for path in job.folder.iterdir()} | {EXPORT_FILE})
    known = job.files | {"README.md": "how to run it, what to send, what was checked", EXPORT_FILE: "the same as JSON"}
    files = {name: known.get(name, "checkpoint") for name in names}
    return ExportResult(job.target, job.name, job.output, job.route, files, tuple(job.checked), tuple(job.unchecked))


def _check_options(system: Target, target: str, *, function_only: bool, policy: str | None, overlong: str) -> None:
    if overlong not in ("error", "cut"):
        raise ConfigError(f"overlong: expected error or cut, got {overlong!r}")
    for name, value in (("function_only", function_only), ("policy", policy)):
        if value and not system.function_only:
            raise ConfigError(f"{name} has no effect on {target}, which trains no policy; leave it out")


def _check_output(place: Path, model: str, *, overwrite: bool) -> None:
    source = Path(model).expanduser()
    if source.exists() and place.resolve() in (source.resolve(), *source.resolve().parents):
        raise OutputError(f"{place} is or holds {model}, which is read; choose another output")
    if place.exists() and not place.is_dir():
        raise OutputError(f"{place} is a file; choose a folder")
    if not place.exists() or not any(place.iterdir()):
        return
    if not overwrite:
        raise OutputError(f"{place} exists already; choose another output, or replace it with --overwrite")
    if not (place / EXPORT_FILE).is_file():
        raise OutputError(
            f"{place} is no export (it has no {EXPORT_FILE}), so it is not replaced; choose another output"
        )


def _spec(model: str | Path, scorer: Scorer, system: Target, target: str, given: dict[str, Any]) -> str:
    """What a reward function opens, found from any folder.

    Raises:
        ConfigError: the target serves checkpoints only, or options that the reward function would not know of.
    """
    if not system.function_only:
        kind = "an ensemble" if isinstance(scorer, Ensemble) else "a reward function, not a model"
        hint = " (or average it into one model: plaudit merge)" if isinstance(scorer, Ensemble) else ""
        raise ConfigError(
            f"{model} cannot be exported for {system.title}: it is {kind}, and {target} serves one checkpoint; verl "
            f"and openrlhf take a reward function{hint}"
        )
    unknown = [name for name in ("revision", "trust_remote_code") if name in given]
    if unknown:
        raise ConfigError(
            f"{', '.join(unknown)}: a reward function loads its scorer without; save the model in a folder"
        )
    path = Path(model).expanduser()
    return str(path.resolve()) if path.exists() else str(model)


@contextmanager
def _environment(device: str | None) -> Iterator[None]:
    """Generated files are tried on this device, and never against a server that happens to be set."""
    before = {name: os.environ.pop(name, None) for name in (DEVICE, URL)}
    if device:
        os.environ[DEVICE] = device
    try:
        yield
    finally:
        os.environ.pop(DEVICE, None)
        os.environ.update({name: value for name, value in before.items() if value is not None})


_README = """
# {{ name }} for {{ title }}

One raw number, higher is better, without a sigmoid. Written by plaudit {{ plaudit }} from `{{ model }}`.

How the reward gets there: {{ route }}.

## Run

{{ run }}
## What the model must see

{{ rendering }}

{% if contract %}
The contract (`scoring_contract.json`) says: layout `{{ contract.render.layout }}`, at most \
{{ contract.render.max_length }} tokens, rendering `{{ contract.render_hash }}`, computed in {{ contract.dtype }}. \
`plaudit verify` on this folder proves it again.

{% endif %}
## Files

{% for file, what in files.items() if what != "checkpoint" %}
- `{{ file }}`: {{ what }}
{% endfor %}
{% if contract %}
- everything else: the checkpoint, a plain `{{ architecture }}` with one output
{% endif %}

## Checked when this was written

{% for line in checked %}
- {{ line }}.
{% endfor %}

## Not checked

{% for line in unchecked %}
- {{ line }}.
{% endfor %}
"""


def _readme(job: Job, system: Target) -> str:
    checkpoint = job.checkpoint
    return fill(
        _README,
        name=job.output.name,
        title=system.title,
        plaudit=version("plaudit"),
        model=job.name,
        route=job.route,
        run=job.run,
        rendering=job.rendering,
        contract=checkpoint.contract if checkpoint else None,
        architecture=checkpoint.architecture if checkpoint else "",
        files=_result(job).files,
        checked=job.checked,
        unchecked=job.unchecked,
    )
