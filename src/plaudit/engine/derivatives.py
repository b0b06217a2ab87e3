"""Gradients that are written out by hand are right once: they cannot be differentiated in their turn."""

from __future__ import annotations

import torch

from plaudit.errors import EngineError

__all__ = ["refuse_second_derivatives"]


def refuse_second_derivatives() -> None:
    """For the start of a ``backward``. torch's `once_differentiable` lets a gradient pass that is constant, and what
    comes through here would then be missing from the second derivatives without a word.

    Raises:
        EngineError: it runs with ``create_graph=True``.
    """
    if torch.is_grad_enabled():
        raise EngineError(
            "second derivatives (create_graph=True) do not go through the fast path; load the model anew with "
            "batching='padded'"
        )
