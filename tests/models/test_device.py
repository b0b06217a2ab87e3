"""Devices and number formats: chosen aloud, never swapped in silence."""

from __future__ import annotations

import logging

import pytest
import torch

from plaudit.errors import ConfigError, DeviceError
from plaudit.models import device as device_module
from plaudit.models.device import available_devices, parse_dtype, resolve_device


@pytest.fixture
def cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def one_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


@pytest.mark.usefixtures("cpu_only")
def test_a_missing_device_is_an_error_that_names_what_there_is() -> None:
    for name in ("cuda", "cuda:0", "mps"):
        with pytest.raises(DeviceError, match=rf"'{name}' is not available here \(there is: cpu\).*device_fallback"):
            resolve_device(name)


@pytest.mark.usefixtures("cpu_only")
def test_the_fallback_is_announced(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert resolve_device("cuda", "cpu") == torch.device("cpu")
    assert "device cuda is not available here: running on the CPU" in caplog.text


@pytest.mark.usefixtures("cpu_only")
def test_a_device_that_is_there_needs_no_fallback(caplog: pytest.LogCaptureFixture) -> None:
    assert resolve_device("cpu", "cpu") == resolve_device() == resolve_device("auto") == torch.device("cpu")
    assert not caplog.records


@pytest.mark.usefixtures("one_gpu")
def test_the_best_device_is_the_default_and_the_index_is_checked() -> None:
    assert available_devices()[0] == "cuda"
    assert resolve_device() == torch.device("cuda")
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(DeviceError, match="'cuda:1' is not available"):
        resolve_device("cuda:1")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "tpu"])
def test_a_name_that_is_no_device_is_an_error(name: str) -> None:
    with pytest.raises(DeviceError, match="expected cuda, cuda:N, mps or cpu"):
        resolve_device(name)


def test_only_the_cpu_is_a_fallback() -> None:
    with pytest.raises(ConfigError, match="device_fallback: expected 'cpu' or nothing, got 'mps'"):
        resolve_device("cpu", "mps")


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("float32", torch.float32), ("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_number_formats_have_their_usual_names(name: str, dtype: torch.dtype) -> None:
    assert parse_dtype(name) == parse_dtype(dtype) == dtype


def test_an_unknown_number_format_is_refused() -> None:
    with pytest.raises(ConfigError, match="dtype: expected one of float32, fp32, .*, got 'int8'"):
        parse_dtype("int8")
    assert "resolve_device" in device_module.__all__
