"""Trackers that a run reports to (wandb, tensorboard, trackio, …): are they known, and installed?

Knows nothing about the run: transformers' callbacks do the reporting.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from plaudit.errors import ConfigError
from plaudit.registry import suggest

__all__ = ["check_reporters"]

# where the module or the distribution is not called like the tracker
_MODULES = {"azure_ml": ("azureml",), "flyte": ("flytekit",), "tensorboard": ("tensorboard", "tensorboardX")}
_DISTRIBUTIONS = {"azure_ml": "azureml-mlflow", "flyte": "flytekit", "comet_ml": "comet-ml"}


def check_reporters(report_to: Any) -> None:
    """Refuses trackers that transformers does not know or that are not installed, before anything is loaded.

    Args:
        report_to: ``training.report_to``: a name, a list of names, ``none``, ``all`` (those installed), or None.

    Raises:
        ConfigError: names the tracker, and the command that installs it.
    """
    names = [report_to] if isinstance(report_to, str) else list(report_to or [])
    if not set(names) - {"none", "all"}:
        return
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    known = sorted(INTEGRATION_TO_CALLBACK)
    for name in names:
        if name not in known:
            raise ConfigError(
                f"training.report_to: unknown tracker {name!r}{suggest(str(name), known)}; there is: "
                f"{', '.join(known)}, none, all"
            )
        if not any(find_spec(module) for module in _MODULES.get(name, (name,))):
            raise ConfigError(
                f"training.report_to: {name} is not installed; pip install {_DISTRIBUTIONS.get(name, name)}, or leave "
                "it out"
            )
