"""Short norms equal the library's, forward and backward, and nothing else is touched."""

from __future__ import annotations

import copy
import importlib
import pickle

import pytest
import torch
from torch import nn

from plaudit.engine.norms import fast_norms
from plaudit.errors import EngineError

NORMS = ["llama.Llama", "qwen3.Qwen3", "gemma2.Gemma2", "gemma3.Gemma3", "olmo2.Olmo2", "phi3.Phi3", "gpt_oss.GptOss"]


def norm_of(name: str) -> nn.Module:
    module, prefix = name.split(".")
    built = getattr(importlib.import_module(f"transformers.models.{module}.modeling_{module}"), f"{prefix}RMSNorm")(24)
    nn.init.normal_(built.weight)
    return built


@pytest.mark.parametrize("name", NORMS)
def test_a_short_norm_and_its_gradients_equal_the_library_s(name: str) -> None:
    short = norm_of(name)
    plain = copy.deepcopy(short)
    assert fast_norms(nn.Sequential(short)) == 1
    for shape in ((1, 24), (2, 5, 24), (1, 3, 4, 24)):
        x = torch.randn(shape)
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        gradient = torch.randn(shape)
        out, expected = short(a), plain(b)
        torch.testing.assert_close(out, expected, rtol=1e-6, atol=1e-6)
        out.backward(gradient)
        expected.backward(gradient)
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(short.weight.grad, plain.weight.grad, rtol=1e-5, atol=1e-5)


def test_a_short_norm_passes_gradcheck_s_formula_in_float64() -> None:
    from plaudit.engine.norms import _Norm

    x = torch.randn(3, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, w: _Norm.apply(x, w, 1e-6), (x, weight))


def test_another_number_format_is_computed_by_the_library() -> None:
    short = norm_of("llama.Llama")
    plain = copy.deepcopy(short)
    fast_norms(nn.Sequential(short))
    x = torch.randn(3, 24, dtype=torch.bfloat16)
    assert torch.equal(short(x), plain(x))


def test_what_only_looks_like_a_norm_is_left_alone() -> None:
    class OddRMSNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.eps = nn.Parameter(torch.ones(24)), 1e-6

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight + 1

    odd = OddRMSNorm()
    assert fast_norms(nn.Sequential(odd, nn.LayerNorm(24))) == 0
    assert "forward" not in vars(odd)


def test_a_short_norm_keeps_its_weights_names_and_copies() -> None:
    short = norm_of("gemma3.Gemma3")
    names = list(short.state_dict())
    fast_norms(nn.Sequential(short))
    assert list(short.state_dict()) == names
    other = copy.deepcopy(short)
    assert other.forward.__self__ is other
    assert fast_norms(nn.Sequential(short)) == 0  # again: nothing to do
    pickled = pickle.loads(pickle.dumps(short))
    assert pickled.forward.__self__ is pickled
    x = torch.randn(3, 24)
    assert torch.equal(other(x), short(x))
    assert torch.equal(pickled(x), short(x))
    other.weight.data += 1
    assert not torch.equal(other(x), short(x))


@pytest.mark.parametrize("constant", [True, False], ids=["constant gradient", "gradient that is a function"])
def test_second_derivatives_are_refused(constant: bool) -> None:
    short = norm_of("llama.Llama")
    fast_norms(nn.Sequential(short))
    x = torch.randn(3, 24, requires_grad=True)
    value = short(x).sum() if constant else short(x).square().sum()
    with pytest.raises(EngineError, match="second derivatives.*batching='padded'"):
        torch.autograd.grad(value, x, create_graph=True)
