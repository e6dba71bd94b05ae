from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from sgseg.nets import ARCHITECTURES, build_network, training_model
from sgseg.training.fused import ConvolvedJoin, FusedNormalisation, with_fused_operations

OPTIONS: dict[str, Any] = {"width": 4, "depth": 2, "dropout": 0.0, "normalisation": "batch"}


def network(architecture: str, **options: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    return build_network(architecture=architecture, **OPTIONS | options)


def batch(height: int = 20, width: int = 27) -> tf.Tensor:
    rng = np.random.default_rng(0)
    return tf.constant(5 + 3 * rng.standard_normal((3, height, width, 1), dtype=np.float32))


def step(model: keras.Model, images: tf.Tensor) -> tuple[Any, dict[str, Any]]:
    """Output of a training step, and the gradient of its sum of squares by variable."""
    with tf.GradientTape() as tape:
        output = model(images, training=True)
        loss = ops.sum(output**2)
    variables = [variable.value for variable in model.trainable_variables]
    gradients = tape.gradient(loss, variables)
    names = [variable.path for variable in model.trainable_variables]
    return output, dict(zip(names, gradients, strict=True))


@pytest.mark.parametrize("normalisation", ["batch", "none"])
@pytest.mark.parametrize("size", [(20, 27), (16, 24)], ids=["odd", "even"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_step_is_that_of_keras(
    architecture: str, size: tuple[int, int], normalisation: str
) -> None:
    images = batch(*size)
    plain, fused = (network(architecture, normalisation=normalisation) for _ in range(2))
    model = with_fused_operations(training_model(fused))
    expected, expected_gradients = step(training_model(plain), images)
    found, gradients = step(model, images)

    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    for name, gradient in expected_gradients.items():
        scale = float(np.abs(gradient).max())
        np.testing.assert_allclose(gradients[name], gradient, atol=1e-3 * scale, err_msg=name)
    # The moving averages too; the network that was given has them.
    for own, other in zip(fused.variables, plain.variables, strict=True):
        np.testing.assert_allclose(own, other, rtol=1e-4, atol=1e-5, err_msg=own.path)


def test_every_normalisation_is_replaced() -> None:
    model = with_fused_operations(network("unet"))
    kinds = [type(layer) for layer in model.layers]
    # Two in each of two levels down, the bottom, two levels up.
    assert kinds.count(FusedNormalisation) == 2 * (2 + 1 + 2)
    assert keras.layers.BatchNormalization not in kinds


def test_outside_of_training_it_is_the_network_itself() -> None:
    plain = network("unet")
    model = with_fused_operations(plain)
    step(model, batch())
    np.testing.assert_array_equal(model(batch()), plain(batch()))


def joins(architecture: str, depth: int = 2) -> int:
    model = with_fused_operations(network(architecture, depth=depth))
    return sum(isinstance(layer, ConvolvedJoin) for layer in model.layers)


@pytest.mark.parametrize("architecture", ["unet", "attention_unet"])
def test_a_join_is_convolved_at_once_on_each_level(architecture: str) -> None:
    assert joins(architecture) == 2


def test_so_is_each_of_the_nested_skips() -> None:
    assert joins("unet_plus_plus", depth=3) == 3 + 2 + 1


@pytest.mark.parametrize("size", [(16, 24), (20, 27)], ids=["even", "odd"])
def test_of_an_even_size_nothing_is_enlarged(size: tuple[int, int]) -> None:
    model = with_fused_operations(network("unet"))

    called = tf.function(lambda images: model(images, training=True))
    operations = called.get_concrete_function(batch(*size)).graph.get_operations()
    kinds = [operation.type for operation in operations]
    # Both levels of the even one; of the odd one only the level that is not cropped.
    levels = 2 if size == (16, 24) else 1
    assert kinds.count("Conv2DBackpropInput") == levels
    assert kinds.count("Tile") == 2 * (2 - levels)


@pytest.mark.parametrize("precision", ["mixed_float16", "mixed_bfloat16"])
def test_in_half_precision_scale_offset_and_moments_stay_single(precision: str) -> None:
    keras.utils.set_random_seed(3)
    plain = build_network(architecture="unet", precision=precision, **OPTIONS)
    model = with_fused_operations(plain)
    for layer in model.layers:
        if isinstance(layer, FusedNormalisation):
            assert layer.compute_dtype == layer.output.dtype == precision.removeprefix("mixed_")
    # Moments of 1000 + 1000 x would overflow float16, and in bfloat16 be known to 4 only.
    images = 1000 + 1000 * batch()
    first = plain.get_layer("down0_norm_a")
    seen = keras.Model(plain.input, first.input)(images)
    values = np.asarray(ops.cast(seen, "float32"), np.float64)
    step(model, images)
    # Of the 3 * 20 * 27 pixels; the moving average of a variance is 0.9 + 0.1 of the new one.
    np.testing.assert_allclose(
        first.moving_variance, 0.9 + 0.1 * values.var(axis=(0, 1, 2)), rtol=1e-3
    )
    np.testing.assert_allclose(
        first.moving_mean, 0.1 * values.mean(axis=(0, 1, 2)), rtol=1e-3, atol=1e-3
    )


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_in_half_precision_a_join_is_about_as_exact_as_a_convolution(precision: str) -> None:
    rng = np.random.default_rng(0)
    below, skip = rng.standard_normal((2, 6, 4, 16)), rng.standard_normal((2, 12, 8, 8))
    convolution = keras.layers.Conv2D(8, 3, padding="same", dtype=f"mixed_{precision}")
    parts = [ops.cast(part, precision) for part in (below, skip)]
    join = ConvolvedJoin(convolution, [True, False])
    convolution.build((None, None, None, 24))
    exact = keras.layers.Conv2D(8, 3, padding="same")
    together = np.concatenate([below.repeat(2, axis=1).repeat(2, axis=2), skip], axis=-1)
    exact.build(together.shape)
    exact.set_weights(convolution.get_weights())
    expected = exact(together)

    ordinary, found = join(parts, training=False), join(parts, training=True)
    assert keras.backend.standardize_dtype(found.dtype) == precision

    def error(result: Any) -> float:
        return float(ops.mean(abs(ops.cast(result, "float32") - expected)))

    # Rounded three times (kernel, each of two sums) in place of once.
    assert error(found) < 2 * error(ordinary)
