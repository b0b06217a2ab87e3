"""Loading a backbone in 4 or 8 bits through bitsandbytes. Knows nothing about heads (they stay float32) or training."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch

from plaudit.errors import ConfigError, DeviceError
from plaudit.models.device import parse_dtype

if TYPE_CHECKING:
    from transformers import BitsAndBytesConfig

__all__ = ["quantization_config"]


def quantization_config(kind: str, dtype: str | torch.dtype) -> BitsAndBytesConfig:
    """The configuration for ``int4`` (NF4 with double quantisation, Dettmers et al. 2023) or ``int8``.

    Args:
        kind: ``int4`` or ``int8``.
        dtype: what 4-bit products are computed in.

    Raises:
        DeviceError: there is no CUDA device.
        ConfigError: bitsandbytes is not installed, or an unknown kind.
    """
    if kind not in ("int4", "int8"):
        raise ConfigError(f"quantization: expected int4 or int8, got {kind!r}")
    if not torch.cuda.is_available():
        raise DeviceError(f"quantization {kind} needs a CUDA device, and there is none here; leave quantization out")
    if find_spec("bitsandbytes") is None:
        raise ConfigError(f"quantization {kind} needs bitsandbytes, which is not installed: pip install bitsandbytes")
    from transformers import BitsAndBytesConfig

    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=parse_dtype(dtype),
    )
