"""Accelerators that are not there: what is asked of each backend, and what is said of them."""

from __future__ import annotations

import logging
import os
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import keras
import pytest
import tensorflow as tf

from sgseg.errors import InputError
from sgseg.training.devices import Devices, prepare_devices


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Two GPUs for TensorFlow; what of them grows."""
    found = [SimpleNamespace(name=f"/physical_device:GPU:{n}") for n in range(2)]
    grown: list[str] = []

    def grow(gpu: Any, enable: bool) -> None:
        assert enable
        grown.append(gpu.name)

    details = {found[0].name: {"device_name": "NVIDIA X"}, found[1].name: {}}
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: found * (kind == "GPU"))
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grow)
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda gpu: details[gpu.name])
    return grown


def test_every_gpu_of_tensorflow_grows(gpus: list[str]) -> None:
    devices = prepare_devices()
    assert gpus == ["/physical_device:GPU:0", "/physical_device:GPU:1"]
    assert devices == Devices("tensorflow", ("NVIDIA X", "/physical_device:GPU:1"))
    assert str(devices) == "NVIDIA X, /physical_device:GPU:1 with tensorflow"
    assert devices.tags == {
        "sgseg.backend": "tensorflow",
        "sgseg.device": "NVIDIA X, /physical_device:GPU:1",
    }


@pytest.mark.parametrize("value", ["true", "false"])
def test_what_the_user_says_of_tensorflow_s_memory_stays(
    value: str, gpus: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", value)
    assert len(prepare_devices().accelerators) == 2
    assert gpus == []


def test_a_gpu_already_in_use_is_named(
    gpus: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(gpu: Any, enable: bool) -> None:
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    with caplog.at_level(logging.WARNING):
        assert len(prepare_devices().accelerators) == 2
    assert [record.getMessage().split(":")[:3] for record in caplog.records] == [
        ["/physical_device", "GPU", f"{n} keeps all its memory"] for n in range(2)
    ]


def test_without_a_gpu_it_is_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    devices = prepare_devices()
    assert devices == Devices("tensorflow", ())
    assert str(devices) == "CPU with tensorflow"
    assert devices.tags["sgseg.device"] == "CPU"


VARIABLE = "XLA_PYTHON_CLIENT_PREALLOCATE"


@pytest.mark.parametrize(("given", "expected"), [(None, "false"), ("true", "true")])
def test_jax_takes_memory_as_it_goes_unless_told_otherwise(
    given: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def devices() -> list[Any]:
        seen.append(os.environ[VARIABLE])
        return [
            SimpleNamespace(platform="gpu", device_kind="NVIDIA X"),
            SimpleNamespace(platform="cpu", device_kind="cpu"),
        ]

    monkeypatch.setenv(VARIABLE, given or "")
    if given is None:
        monkeypatch.delenv(VARIABLE)
    pretend(monkeypatch, "jax", devices=devices)
    assert prepare_devices() == Devices("jax", ("NVIDIA X",))
    assert seen == [expected]


@pytest.mark.parametrize(
    ("cards", "mps", "expected"),
    [
        (["NVIDIA X", "NVIDIA Y"], False, ("NVIDIA X", "NVIDIA Y")),
        ([], True, ("MPS",)),
        ([], False, ()),
    ],
    ids=["two cards", "Apple", "CPU"],
)
def test_pytorch_s_devices_are_named(
    cards: list[str], mps: bool, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = SimpleNamespace(
        is_available=lambda: bool(cards),
        device_count=lambda: len(cards),
        get_device_name=cards.__getitem__,
    )
    backends = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: mps))
    pretend(monkeypatch, "torch", cuda=cuda, backends=backends)
    assert prepare_devices() == Devices("torch", expected)


def test_a_backend_that_cannot_train_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.backend, "backend", lambda: "openvino")
    with pytest.raises(
        InputError, match="KERAS_BACKEND: is openvino; expected tensorflow or jax or torch"
    ):
        prepare_devices()


def pretend(monkeypatch: pytest.MonkeyPatch, backend: str, **content: Any) -> None:
    module = ModuleType(backend)
    vars(module).update(content)
    monkeypatch.setitem(sys.modules, backend, module)
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
