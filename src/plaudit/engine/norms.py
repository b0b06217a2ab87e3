"""Root-mean-square norms on the CPU in half the passes over memory; nothing but what they do is known about them.

The library's module reads and writes its input a dozen times forward and backward; the gradient written out needs six.
A module is given the short way only where a probe on a copy of it, with random weights, shows that it computes
weight * x / rms(x) or (1 + weight) * x / rms(x) (Zhang & Sennrich 2019, Root Mean Square Layer Normalization, sec. 4).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from plaudit.engine.bound import bind_forward
from plaudit.engine.derivatives import refuse_second_derivatives

__all__ = ["fast_norms"]

_EPSILONS = ("variance_epsilon", "eps", "epsilon")


def fast_norms(model: nn.Module) -> int:
    """Gives the norms of a model on the CPU the short way; returns how many. Weights, names and what is saved stay."""
    changed = 0
    for module in model.modules():
        if not type(module).__name__.endswith("RMSNorm") or "forward" in module.__dict__:
            continue
        known = _what_it_computes(module)
        if known is not None:
            module._plaudit_norm = known  # type: ignore[assignment]
            bind_forward(module, _forward)
            changed += 1
    return changed


def _what_it_computes(module: nn.Module) -> tuple[float, float] | None:
    """(eps, what is added to the weight), or None where it is something else."""
    weight = getattr(module, "weight", None)
    eps = next((getattr(module, name) for name in _EPSILONS if isinstance(getattr(module, name, None), float)), None)
    if eps is None or not isinstance(weight, nn.Parameter) or weight.dim() != 1 or weight.device.type != "cpu":
        return None
    probe = copy.deepcopy(module).float()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, len(weight), generator=generator)
    with torch.no_grad():
        probe.weight.copy_(torch.randn(len(weight), generator=generator))  # type: ignore[operator, union-attr]
        expected = probe(x)
        for added in (0.0, 1.0):
            computed = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * (probe.weight + added)  # type: ignore[operator]
            if expected.shape == computed.shape and torch.allclose(expected, computed, rtol=1e-6, atol=1e-6):
                return eps, added
    return None


def _forward(self: Any, x: torch.Tensor) -> torch.Tensor:
    weight: torch.Tensor = self.weight
    if (
        x.dtype != torch.float32
        or weight.dtype != torch.float32
        or x.device.type != "cpu"
        or torch.compiler.is_compiling()
    ):
        plain: torch.Tensor = type(self).forward(self, x)
        return plain
    eps, added = self._plaudit_norm
    output: torch.Tensor = _Norm.apply(x, weight + added if added else weight, eps)  # type: ignore[no-untyped-call]
    return output


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()  # 1 / rms
        ctx.save_for_backward(x, weight, inverse)
        output: torch.Tensor = (x * inverse).mul_(weight)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        refuse_second_derivatives()
        x, weight, inverse = ctx.saved_tensors
        width = x.shape[-1]
        product = gradients[0] * x
        flat = product.reshape(-1, width)
        of_weight = (inverse.reshape(1, -1) @ flat).view(width) if ctx.needs_input_grad[1] else None
        # x̂ has unit mean square, so the part of the gradient along x falls out
        along = (flat @ weight).view(inverse.shape).mul_(inverse.pow(3)).div_(width)
        of_x = (gradients[0] * weight).mul_(inverse).sub_(torch.mul(x, along, out=product))
        return of_x, of_weight, None
