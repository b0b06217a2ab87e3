"""A forward of one module's own that can be copied and pickled with it."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import nn

__all__ = ["Bound", "bind_forward"]


class Bound(partial[Any]):
    """A function of a module, bound to it, for its ``__dict__``.

    A method made with `types.MethodType` would do, but for pickle, which looks it up in the class under its name. As
    there, the copy of a module has one that is bound to the copy, and whoever wraps methods (accelerate, for autocast)
    finds ``__func__`` and ``__self__``.
    """

    @property
    def __func__(self) -> Any:
        return self.func

    @property
    def __self__(self) -> Any:
        return self.args[0]


def bind_forward(module: nn.Module, function: Any) -> None:
    """Lets ``module`` compute ``function(module, ...)``, a function of some module's top level; its class stays."""
    module.forward = Bound(function, module)
