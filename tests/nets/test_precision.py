"""Half precision: inside the network alone, and of this network alone."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops
from numpy.typing import NDArray

from sgseg.nets import ARCHITECTURES, build_network, training_model
from sgseg.nets.optimizers import averaged_weights, build_optimizer
from sgseg.nets.precision import PRECISIONS, computing_in, with_scaled_loss

HALVES = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
# Digits of a number in half precision: 1 part in 2^11, or in 2^8.
TOLERANCE = {"mixed_float16": 0.005, "mixed_bfloat16": 0.04}


def build(architecture: str, precision: str, normalisation: str = "batch") -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_network(
        architecture=architecture,
        width=4,
        depth=2,
        dropout=0.1,
        normalisation=normalisation,
        deep_supervision=architecture == "unet_plus_plus",
        precision=precision,
    )


def images() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((2, 20, 17, 1), dtype=np.float32)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("precision", "half"), HALVES.items(), ids=list(HALVES))
def test_layers_compute_in_half_and_all_else_is_single(
    precision: str, half: str, architecture: str
) -> None:
    network = build(architecture, precision)
    convolutions = [layer for layer in network.layers if isinstance(layer, layers.Conv2D)]
    heads = [layer for layer in convolutions if layer.name.startswith(("probability", "head"))]
    inner = [layer for layer in convolutions if layer not in heads]
    assert len(inner) >= 10
    assert {layer.output.dtype for layer in inner} == {half}
    assert {layer.output.dtype for layer in heads} == {"float32"}
    assert network.output.dtype == training_model(network).output.dtype == "float32"
    assert {weight.dtype for weight in network.weights} == {"float32"}


@pytest.mark.parametrize("normalisation", ["none", "batch", "group"])
@pytest.mark.parametrize("precision", HALVES)
def test_it_computes_nearly_the_same(precision: str, normalisation: str) -> None:
    single = build("unet", "float32", normalisation)
    mixed = build("unet", precision, normalisation)
    for one, other in zip(single.weights, mixed.weights, strict=True):
        np.testing.assert_array_equal(one, other)
    expected, found = (np.asarray(net(images(), training=False)) for net in (single, mixed))
    assert found.dtype == np.float32
    difference = np.abs(found - expected).max()
    assert 0 < difference < TOLERANCE[precision]


def test_the_next_network_is_not_affected() -> None:
    before = keras.config.dtype_policy()
    for precision in (*PRECISIONS, "mixed_float16"):
        with pytest.raises(ValueError, match="normalisation must be one of"):
            build("unet", precision, "bacth")
        assert keras.config.dtype_policy() == before
        build("unet", precision)
        assert keras.config.dtype_policy() == before
    assert {layer.compute_dtype for layer in build("unet", "float32").layers} == {"float32"}


def test_what_is_set_elsewhere_does_not_reach_a_network() -> None:
    with computing_in("mixed_float16"):
        network = build("unet", "float32")
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one of \('float32', .*'float16'"):
        build("unet", "float16")


# --- the loss, scaled for float16


def scaled(**options: Any) -> tuple[Any, keras.Variable]:
    """An optimizer of one weight, 1, that scales the loss."""
    weight = keras.Variable(np.array([1.0], np.float32), name="weight")
    inner = build_optimizer("sgd", learning_rate=0.5, **options)
    optimizer = with_scaled_loss(inner, "mixed_float16")
    optimizer.build([weight])
    return optimizer, weight


def test_only_float16_has_its_loss_scaled() -> None:
    for precision in ("float32", "mixed_bfloat16"):
        plain = build_optimizer("adam", learning_rate=0.1)
        assert with_scaled_loss(plain, precision) is plain
    optimizer, _ = scaled()
    assert float(optimizer.scale_loss(1.0)) == 2**15


def test_a_step_is_that_of_the_gradient_before_scaling() -> None:
    optimizer, weight = scaled()
    # A gradient of 2^-10, which comes scaled by 2^15; the norm is clipped after it is divided.
    optimizer.apply([ops.array([2.0**5])])
    # Nesterov's step without momentum is the plain one: 1 - 0.5 * 2^-10
    assert np.asarray(weight)[0] == pytest.approx(1 - 2**-11, abs=1e-7)
    assert int(optimizer.iterations) == 1


def test_a_step_that_overflows_is_left_out() -> None:
    optimizer, weight = scaled()
    optimizer.apply([ops.array([np.inf])])
    assert np.asarray(weight)[0] == 1
    assert int(optimizer.iterations) == 0
    assert float(optimizer.scale_loss(1.0)) == 2**14


def test_the_average_of_the_weights_is_found_behind_the_scaling() -> None:
    optimizer, weight = scaled(weights_average=0.9)

    class Model:
        trainable_variables = (weight,)

    optimizer.apply([ops.array([2.0**15])])
    optimizer.apply([ops.array([2.0**15])])
    # 1, 0.5 and 0; step k has a momentum of (1 + k) / (10 + k), of which Keras takes the first
    # weights whole: 0.5, then 2/11 of 0.5.
    (average,) = averaged_weights(optimizer, Model())
    assert np.asarray(weight)[0] == 0
    assert np.asarray(average)[0] == pytest.approx(0.5 * 2 / 11)
