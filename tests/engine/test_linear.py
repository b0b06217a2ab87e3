"""Linear layers through oneDNN give what linear layers give, and leave the process's switch as it was."""

from __future__ import annotations

import copy
import pickle
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from architectures import build
from torch import nn

from plaudit.engine import linear
from plaudit.engine.linear import FastLinear, fast_linears
from plaudit.errors import ConfigError
from plaudit.models.heads import Float32Linear


def switch() -> str:
    return str(torch.backends.mkldnn.matmul.fp32_precision)


def both(bias: bool = True, dtype: torch.dtype = torch.float32) -> tuple[nn.Linear, nn.Linear]:
    """The plain layer and the fast one, with the same weights."""
    torch.manual_seed(0)
    plain = nn.Linear(48, 32, bias=bias, dtype=dtype)
    fast = copy.deepcopy(plain)
    fast.__class__ = FastLinear
    return plain, fast


@pytest.fixture
def exact() -> None:
    """On processors where the switch means real bfloat16 the layer is not used: `fast_products` finds that out."""
    a, b = torch.randn(64, 256), torch.randn(64, 256)
    with linear._OneDnn():
        error = (nn.functional.linear(a, b).double() - a.double() @ b.double().T).abs().max()
    if error > 1e-3:
        pytest.skip("here the switch means products in bfloat16")


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 48), (2, 7, 48), (48,)])
def test_output_and_three_gradients_equal_the_plain_layers(shape: tuple[int, ...], bias: bool) -> None:
    results = []
    for layer in both(bias):
        torch.manual_seed(1)
        x = torch.randn(shape, requires_grad=True)
        output = layer(x)
        output.backward(torch.randn_like(output))
        results.append([output, x.grad, *(parameter.grad for parameter in layer.parameters())])
    assert len(results[0]) == 3 + bias
    for plain, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-5, rtol=1e-5)


def test_gradients_that_nobody_needs_are_not_computed() -> None:
    _, fast = both()
    fast.requires_grad_(False)
    x = torch.randn(3, 48, requires_grad=True)
    fast(x).sum().backward()
    assert x.grad is not None
    assert all(parameter.grad is None for parameter in fast.parameters())


def test_the_switch_is_on_in_the_products_only(monkeypatch: pytest.MonkeyPatch) -> None:
    _, fast = both()
    plain_product, seen = linear.F.linear, []

    def product(*args: Any) -> torch.Tensor:
        seen.append(switch())
        return plain_product(*args)

    monkeypatch.setattr(linear.F, "linear", product)
    output = fast(torch.randn(3, 48))
    assert (seen, switch()) == (["bf16"], "none")
    output.register_hook(lambda _: seen.append(switch()))
    output.sum().backward()
    assert (seen, switch()) == (["bf16", "none"], "none")


def test_the_switch_is_off_after_an_exception() -> None:
    _, fast = both()
    with pytest.raises(RuntimeError, match="shapes"):
        fast(torch.randn(3, 47))
    assert switch() == "none"


def test_other_formats_and_autocast_are_computed_as_ever() -> None:
    for dtype in (torch.float64, torch.bfloat16):
        plain, fast = both(dtype=dtype)
        x = torch.randn(3, 48, dtype=dtype)
        assert torch.equal(fast(x), plain(x))
    plain, fast = both()
    x = torch.randn(3, 48)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = fast(x), plain(x)
    assert outputs[0].dtype == torch.bfloat16
    assert torch.equal(*outputs)
    for output in outputs:
        output.sum().backward()
    assert torch.equal(fast.weight.grad, plain.weight.grad)


def test_only_the_class_of_plain_linear_layers_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "fast_products", lambda: True)
    model = build("BERT")
    before = {name: (tensor.data_ptr(), tensor.shape) for name, tensor in model.state_dict().items()}
    plain = {name for name, module in model.named_modules() if type(module) is nn.Linear}
    assert fast_linears(model)
    assert {name for name, module in model.named_modules() if type(module) is FastLinear} == plain
    assert type(model.classifier) is Float32Linear
    assert {name: (tensor.data_ptr(), tensor.shape) for name, tensor in model.state_dict().items()} == before


def test_nothing_changes_where_there_is_nothing_to_gain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "fast_products", lambda: False)
    model = build("BERT")
    assert not fast_linears(model)
    assert not any(isinstance(module, FastLinear) for module in model.modules())


def test_a_choice_made_for_the_process_is_respected() -> None:
    probe = linear.fast_products.__wrapped__
    torch.backends.mkldnn.matmul.fp32_precision = "ieee"
    try:
        assert not probe()
        assert switch() == "ieee"
    finally:
        torch.backends.mkldnn.matmul.fp32_precision = "none"


@pytest.mark.parametrize(
    ("error", "seconds", "chosen"), [(0.039, 0.84, True), (0.041, 0.1, False), (0.01, 0.86, False)]
)
def test_the_faster_product_is_chosen_only_if_it_is_as_exact(
    error: float, seconds: float, chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """The default's takes a second and is off by 0.01."""
        nonlocal now
        now += seconds if switch() == "bf16" else 1.0
        return (a.double() @ b.double().T + (error if switch() == "bf16" else 0.01)).float()

    monkeypatch.setattr(linear.F, "linear", product)
    monkeypatch.setattr(linear, "time", SimpleNamespace(thread_time=lambda: now))
    assert linear.fast_products.__wrapped__() is chosen
    assert switch() == "none"


@pytest.mark.parametrize(("forced", "probed"), [("0", (1.0, 0.1)), ("1", (1.0, 3.0))])
def test_the_environment_chooses_instead_of_the_clock(
    forced: str, probed: tuple[float, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "_probe", lambda: probed)
    probe = linear.fast_products.__wrapped__
    assert probe() is (forced == "0")
    monkeypatch.setenv("PLAUDIT_FAST_LINEAR", forced)
    assert probe() is (forced == "1")


def test_the_environment_cannot_choose_an_inexact_product(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "_probe", lambda: (1000.0, 0.1))
    monkeypatch.setenv("PLAUDIT_FAST_LINEAR", "1")
    probe = linear.fast_products.__wrapped__
    with pytest.raises(ConfigError, match="would be in bfloat16"):
        probe()
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="no oneDNN"):
        probe()
    monkeypatch.setenv("PLAUDIT_FAST_LINEAR", "yes")
    with pytest.raises(ConfigError, match="expected 0, 1 or nothing, got 'yes'"):
        probe()


@pytest.mark.usefixtures("exact")
def test_second_derivatives_equal_the_plain_layers() -> None:
    results = []
    for layer in both():
        torch.manual_seed(1)
        x = torch.randn(2, 7, 48, requires_grad=True)
        (gradient,) = torch.autograd.grad(layer(x).pow(3).sum(), x, create_graph=True)
        gradient.pow(2).sum().backward()
        results.append([x.grad, *(parameter.grad for parameter in layer.parameters())])
    for plain, fast in zip(*results, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize(("fast", "kind"), [(True, FastLinear), (False, nn.Linear)])
def test_a_pickled_layer_is_plain_again_where_the_product_is_not_to_be_used(
    fast: bool, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linear, "fast_products", lambda: fast)
    plain, layer = both()
    x = torch.randn(3, 48)
    for other in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert type(other) is kind
        torch.testing.assert_close(other(x), plain(x), atol=1e-2, rtol=1e-2)
