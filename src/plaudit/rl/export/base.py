"""What a target of an export is, and the job that it fills: files, and what was proved of them.

A target is one file: a class derived from `Target` and registered here under its name.
"""

from __future__ import annotations

import re
import runpy
import shlex
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import jinja2
from transformers import PreTrainedTokenizerBase

from plaudit.errors import ModelError
from plaudit.formatting import Renderer, RenderItem
from plaudit.models.contract import ScoringContract
from plaudit.registry import Registry

__all__ = ["TARGETS", "Checkpoint", "Job", "Target", "fill", "only", "shell_name"]


@dataclass(frozen=True)
class Checkpoint:
    """The model of an export, as it was written.

    Attributes:
        contract: of the folder.
        tokenizer: its tokenizer.
        architecture: the class in its ``config.json``.
        decoder: the reward is read at the last token.
        config: its ``config.json``.
    """

    contract: ScoringContract
    tokenizer: PreTrainedTokenizerBase
    architecture: str
    decoder: bool
    config: dict[str, Any]

    @property
    def renderer(self) -> Renderer:
        return Renderer(self.tokenizer, self.contract.render)


@dataclass
class Job:
    """One export on its way.

    Attributes:
        target: the name of the target.
        name: of the model or scorer, as the user wrote it.
        folder: where files are written; it gets its final name at the end.
        output: that name.
        checkpoint: what lies in the folder; None where only a reward function is exported.
        spec: what the reward function scores with, where there is no checkpoint.
        policy: folder or Hub id of the policy, where it is known.
        overlong, empty_score: see `plaudit.rl.export.functions.RewardSource`.
        route: in one line, how the target gets its rewards.
        run: Markdown: how it is started and asked.
        rendering: Markdown: what text or token ids the model must see.
        checked: what was proved, one sentence each.
        unchecked: what was not, and what to know.
        files: those that the target adds to the checkpoint, with what they are for.
        device: where checks run.
    """

    target: str
    name: str
    folder: Path
    output: Path
    checkpoint: Checkpoint | None = None
    spec: str | None = None
    policy: str | None = None
    overlong: str = "error"
    empty_score: float | None = None
    route: str = ""
    run: str = ""
    rendering: str = ""
    checked: list[str] = field(default_factory=list)
    unchecked: list[str] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    device: str | None = None

    def need(self) -> Checkpoint:
        """The checkpoint, of a target that always has one."""
        assert self.checkpoint is not None
        return self.checkpoint

    def script(self, name: str, text: str, what: str) -> None:
        """Writes a shell script and asks bash whether it can be read.

        Raises:
            ModelError: bash refuses it.
        """
        (self.folder / name).write_text(text, encoding="utf-8")
        self.files[name] = what
        bash = shutil.which("bash")
        if bash is None:
            self.unchecked.append(f"{name}: there is no bash here to read it with")
            return
        done = subprocess.run([bash, "-n", name], cwd=self.folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ModelError(
                f"{name} cannot be read by bash: {' '.join(done.stderr.split())[:300]}; nothing was exported"
            )
        self.checked.append(f"{name} is read by bash without complaint (bash -n)")

    def module(self, name: str, text: str, what: str) -> dict[str, Any]:
        """Writes a Python file, runs it as an import would, and returns its names."""
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        self.files[name] = what
        return runpy.run_path(str(path))

    def text(self, name: str, text: str, what: str) -> None:
        """Writes any other file."""
        (self.folder / name).write_text(text, encoding="utf-8")
        self.files[name] = what

    def golden(self) -> list[RenderItem]:
        """The golden inputs that have a prompt and lose nothing to the length limit."""
        checkpoint = self.need()
        items = [golden.item for golden in checkpoint.contract.golden if golden.prompt is not None]
        return [item for item in items if not checkpoint.renderer.render(item).cut]


class Target(ABC):
    """A system that reward models are handed to.

    Attributes:
        title: what it is called.
        seen: the release or commit of its source that this file was written against.
        function_only: a reward function alone, for any scorer, can be exported.
    """

    title: ClassVar[str]
    seen: ClassVar[str]
    function_only: ClassVar[bool] = False

    @abstractmethod
    def refuse(self, architecture: str, contract: ScoringContract, *, decoder: bool) -> str | None:
        """Why the target cannot load a model, or None; asked before anything is written."""

    @abstractmethod
    def write(self, job: Job) -> None:
        """Adds scripts and functions to the folder, and says how they are run and what was checked."""


TARGETS: Registry[Target] = Registry("export_targets")


def fill(template: str, **values: Any) -> str:
    """A template of jinja with every name known; a list or text goes into Python code through the filter ``py``,
    a word into a shell script through ``sh``."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True)
    environment.filters |= {"py": repr, "sh": shlex.quote}
    return environment.from_string(template.lstrip("\n")).render(**values)


def only(architectures: Sequence[str], title: str, architecture: str) -> str | None:
    """The refusal of an architecture that is not in a list."""
    if architecture in architectures:
        return None
    families = ", ".join(sorted(each.removesuffix("ForSequenceClassification") for each in architectures))
    return f"{title} is known to load classifiers of the families {families}, and this is a {architecture}"


def shell_name(name: str) -> str:
    """A name that needs no quotes in a shell or a URL."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-") or "reward-model"
