"""Linear layers on the CPU through the faster of two libraries, where a probe shows that one is faster and as exact.

torch multiplies float32 matrices with the library it was built for (MKL as a rule); oneDNN's product is more than twice
as fast on some processors (AMD's, for one) and no faster on others. The public switch that reaches it also permits
bfloat16, which processors with AMX may really use, so a product against float64 decides, once a process:
`fast_products`. The switch is set only around the products of linear layers, forward and backward.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from plaudit.errors import ConfigError

__all__ = ["FastLinear", "fast_linears", "fast_products"]

logger = logging.getLogger(__name__)

MOST_ERROR, MOST_TIME = 4.0, 0.85
"""Of the default product's error and time: what oneDNN's may have."""


def fast_linears(model: nn.Module) -> bool:
    """Makes the linear layers of a model on the CPU use the faster product. Only their class changes: weights, names
    and what is saved stay. True where there is anything to gain."""
    if any(p.device.type != "cpu" for p in model.parameters()) or not fast_products():
        return False
    for module in model.modules():
        if type(module) is nn.Linear:
            module.__class__ = FastLinear
    return True


class FastLinear(nn.Linear):
    """A linear layer whose three float32 products go through oneDNN; any other input is computed as ever.

    A layer that was pickled on another machine is a plain one again where that would not be exact or no faster.
    """

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        if not fast_products():
            self.__class__ = nn.Linear  # type: ignore[assignment]

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        plain = (
            input.dtype != torch.float32
            or self.weight.dtype != torch.float32
            or input.device.type != "cpu"
            or torch.is_autocast_enabled("cpu")
            or torch.compiler.is_compiling()
        )
        if plain:
            return F.linear(input, self.weight, self.bias)
        output: torch.Tensor = _Product.apply(input, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return output


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        ctx.save_for_backward(input, weight)
        ctx.biased = bias is not None
        with _OneDnn():
            return F.linear(input, weight, bias)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        gradient = gradients[0]
        flat = gradient.reshape(-1, gradient.shape[-1])
        of_input = of_weight = of_bias = None
        with _OneDnn():
            if ctx.needs_input_grad[0]:
                of_input = (flat @ weight).view(x.shape)
            if ctx.needs_input_grad[1]:
                of_weight = flat.T @ x.reshape(-1, x.shape[-1])
        if ctx.biased and ctx.needs_input_grad[2]:
            of_bias = flat.sum(dim=0)
        return of_input, of_weight, of_bias


def _switch() -> Any:
    return getattr(torch.backends.mkldnn, "matmul", None)


class _OneDnn:
    """The switch, for the length of a product; afterwards what it was before, when the last of some threads leaves."""

    lock = threading.Lock()
    inside = 0
    before = "none"

    def __enter__(self) -> None:
        with _OneDnn.lock:
            if _OneDnn.inside == 0:
                _OneDnn.before = _switch().fp32_precision
                _switch().fp32_precision = "bf16"
            _OneDnn.inside += 1

    def __exit__(self, *_: object) -> None:
        with _OneDnn.lock:
            _OneDnn.inside -= 1
            if _OneDnn.inside == 0:
                _switch().fp32_precision = _OneDnn.before


@cache
def fast_products() -> bool:
    """Whether linear layers use oneDNN's float32 product: where it is exact and faster, by `_probe`, once a process.

    The environment variable PLAUDIT_FAST_LINEAR decides instead of the time: 0 never, 1 always.

    Raises:
        ConfigError: that variable has another value, or is 1 where the product cannot be reached or is not exact.
    """
    forced = os.environ.get("PLAUDIT_FAST_LINEAR", "")
    if forced not in ("", "0", "1"):
        raise ConfigError(f"PLAUDIT_FAST_LINEAR: expected 0, 1 or nothing, got {forced!r}")
    if forced == "0":
        return False
    if not torch.backends.mkldnn.is_available() or getattr(_switch(), "fp32_precision", None) != "none":
        if forced:
            raise ConfigError("PLAUDIT_FAST_LINEAR=1: this torch has no oneDNN, or torch.backends.mkldnn.matmul is set")
        return False  # not there, or somebody has chosen for the process
    error, duration = _probe()
    if forced and error > MOST_ERROR:
        raise ConfigError("PLAUDIT_FAST_LINEAR=1: on this processor the product would be in bfloat16; leave it out")
    chosen = error <= MOST_ERROR and (bool(forced) or duration <= MOST_TIME)
    logger.debug(
        "float32 products: oneDNN takes %.2f of the default's time with %.2f of its error: %s",
        duration,
        error,
        "used" if chosen else "not used",
    )
    return chosen


def _probe() -> tuple[float, float]:
    """oneDNN's error, against float64, and time, as parts of the default product's: in a tenth of a second."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(shape, generator=generator) for shape in ((1024, 384), (1024, 384)))
    exact = a[:64].double() @ b.double().T
    errors, times = [0.0, 0.0], [float("inf")] * 2
    for _ in range(8):  # in turns, and by the time of this thread: others may be busy
        for which in (0, 1):
            with _OneDnn() if which else contextlib.nullcontext():
                start = time.thread_time()
                product = F.linear(a, b)
                times[which] = min(times[which], time.thread_time() - start)
            errors[which] = float((product[:64].double() - exact).abs().max())
    return errors[1] / errors[0], times[1] / times[0]
