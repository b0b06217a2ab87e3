"""Which device and which number format: chosen once, said aloud, never swapped behind the user's back."""

from __future__ import annotations

import logging

import torch

from plaudit.errors import ConfigError, DeviceError

__all__ = ["available_devices", "parse_dtype", "resolve_device"]

logger = logging.getLogger(__name__)

_DTYPES = {
    "float32": torch.float32,
    "fp32": torch.float32,
    "bfloat16": torch.bfloat16,
    "bf16": torch.bfloat16,
    "float16": torch.float16,
    "fp16": torch.float16,
}


def available_devices() -> list[str]:
    """The kinds of device this machine has, best first."""
    kinds = []
    if torch.cuda.is_available():
        kinds.append("cuda")
    if torch.backends.mps.is_available():
        kinds.append("mps")
    return [*kinds, "cpu"]


def resolve_device(device: str | None = None, fallback: str | None = None) -> torch.device:
    """The device to run on.

    Args:
        device: ``cuda``, ``cuda:1``, ``mps``, ``cpu``; None takes the best there is.
        fallback: only ``cpu`` or None: what to use, with a warning, where the device asked for is missing.

    Raises:
        DeviceError: the device asked for is not there and no fallback was given.
    """
    if fallback not in (None, "cpu"):
        raise ConfigError(f"device_fallback: expected 'cpu' or nothing, got {fallback!r}")
    available = available_devices()
    if device is None or device == "auto":
        return torch.device(available[0])
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise DeviceError(f"device: expected cuda, cuda:N, mps or cpu, got {device!r}") from error
    missing = wanted.type not in available
    if wanted.type == "cuda" and not missing and (wanted.index or 0) >= torch.cuda.device_count():
        missing = True
    if not missing:
        return wanted
    if fallback == "cpu":
        logger.warning("device %s is not available here: running on the CPU, as device_fallback says", device)
        return torch.device("cpu")
    raise DeviceError(
        f"device {device!r} is not available here (there is: {', '.join(available)}); choose one of those, or set "
        "device_fallback to cpu"
    )


def parse_dtype(name: str | torch.dtype) -> torch.dtype:
    """``float32``, ``bfloat16`` or ``float16`` (or fp32, bf16, fp16) as a torch dtype."""
    if isinstance(name, torch.dtype):
        return name
    if name not in _DTYPES:
        raise ConfigError(f"dtype: expected one of {', '.join(_DTYPES)}, got {name!r}")
    return _DTYPES[name]
