"""A network that trains faster: the same layers and variables, with fewer and cheaper operations.

With TensorFlow only, and only within a training step; docs/performance.md has what it gains.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from sgseg.nets.blocks import CropLike

# Row t says which of a kernel's three values meet at place t of an enlarged pixel's four.
MEET = np.array([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=np.float32)


def with_fused_operations(network: keras.Model) -> keras.Model:
    """The same network (N, H, W, C) of the same layers, which trains faster.

    Batch normalisation over the last axis, and convolutions of what `enlarge` gave and other
    channels beside it, are computed in another way. Both networks share all variables: what one
    learns, the other knows.
    """
    if keras.backend.backend() != "tensorflow":
        return network
    below: dict[int, Any] = {}
    joined: dict[int, Sequence[Any]] = {}
    alive = []  # so that no two tensors have the same id

    def call(layer: layers.Layer, *inputs: Any, **options: Any) -> Any:
        if isinstance(layer, layers.BatchNormalization):
            return FusedNormalisation(layer)(*inputs)
        parts = joined.get(id(inputs[0]))
        if parts is not None and _is_plain_convolution(layer):
            enlarged = [id(part) in below for part in parts]
            return ConvolvedJoin(layer, enlarged)([below.get(id(part), part) for part in parts])
        output = layer(*inputs, **options)
        alive.append(output)
        if isinstance(layer, layers.UpSampling2D) and layer.interpolation == "nearest":
            below[id(output)] = inputs[0]
        elif isinstance(layer, CropLike) and id(inputs[0][0]) in below:
            below[id(output)] = below[id(inputs[0][0])]
        elif isinstance(layer, layers.Concatenate):
            enlarged = [id(part) in below for part in inputs[0]]
            if any(enlarged) and not all(enlarged):
                joined[id(output)] = inputs[0]
        return output

    return keras.models.clone_model(network, call_function=call, clone_function=lambda layer: layer)


def _is_plain_convolution(layer: layers.Layer) -> bool:
    """Whether it is the 3 x 3 convolution of `convolve`."""
    return (
        isinstance(layer, layers.Conv2D)
        and layer.kernel_size == (3, 3)
        and layer.strides == layer.dilation_rate == (1, 1)
        and layer.padding == "same"
    )


class FusedNormalisation(layers.Layer):  # type: ignore[misc]
    """Batch normalisation with the variables of another layer, in one operation of TensorFlow.

    Keras 3 computes it from single operations: moments, scale, shift, each a pass over memory, and
    as many backwards.
    """

    def __init__(self, of: layers.BatchNormalization) -> None:
        # In half precision only the images are halved: scale, offset and moments stay float32.
        super().__init__(name=of.name, dtype=of.dtype_policy, autocast=False)
        self.of = of
        self.built = True

    def call(self, inputs: Any, training: bool = False) -> Any:
        if not training:
            return self.of(inputs, training=False)
        import tensorflow as tf  # noqa: PLC0415 - another backend may run without it

        of = self.of
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, of.gamma.value, of.beta.value, epsilon=of.epsilon, is_training=True
        )
        # TensorFlow's variance is that of a sample, n / (n - 1) of the one that Keras keeps.
        n = tf.cast(tf.size(inputs) // inputs.shape[-1], variance.dtype)
        variance *= (n - 1) / n
        for moving, new in ((of.moving_mean, mean), (of.moving_variance, variance)):
            moving.assign(moving * of.momentum + new * (1 - of.momentum))
        return outputs

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


class ConvolvedJoin(layers.Layer):  # type: ignore[misc]
    """Levels below, enlarged, beside other channels, and the 3 x 3 convolution of all of these.

    The convolution of an image of which each pixel is repeated 2 x 2 times is a transposed
    convolution of the image itself, of stride 2 and 4 x 4 values, with 16 products for each of its
    pixels where 36 are needed after enlarging (Aitken et al. 2017, arXiv:1707.02937). At the
    border both see zeros, unless an odd size was cropped: then all is enlarged, as in prediction.

    Parameters
    ----------
    of
        The convolution, with its variables.
    enlarged
        Of each input (N, H, W, C), in the order of their channels: whether it is a level below.
    """

    def __init__(self, of: layers.Conv2D, enlarged: Sequence[bool]) -> None:
        super().__init__(name=of.name, dtype=of.dtype_policy)
        self.of = of
        self.enlarged = list(enlarged)
        self.built = True

    def call(self, inputs: Sequence[Any], training: bool = False) -> Any:
        height, width = inputs[self.enlarged.index(False)].shape[1:3]
        twice = [
            (2 * part.shape[1], 2 * part.shape[2]) == (height, width)
            for part, is_below in zip(inputs, self.enlarged, strict=True)
            if is_below and height and width
        ]
        if training and twice and all(twice):
            return self._without_enlarging(inputs)
        return self.of(self._joined(inputs))

    def _joined(self, inputs: Sequence[Any]) -> Any:
        shape = ops.shape(inputs[self.enlarged.index(False)])
        parts = [
            ops.repeat(ops.repeat(part, 2, axis=1), 2, axis=2)[:, : shape[1], : shape[2]]
            if is_below
            else part
            for part, is_below in zip(inputs, self.enlarged, strict=True)
        ]
        return ops.concatenate(parts, axis=-1)

    def _without_enlarging(self, inputs: Sequence[Any]) -> Any:
        import tensorflow as tf  # noqa: PLC0415 - another backend may run without it

        kernels = tf.split(self.of.kernel.value, [part.shape[-1] for part in inputs], axis=2)
        given = list(zip(inputs, kernels, self.enlarged, strict=True))
        beside = tf.concat([part for part, _, is_below in given if not is_below], axis=-1)
        kernel = tf.concat([kernel for _, kernel, is_below in given if not is_below], axis=2)
        result = tf.nn.conv2d(beside, kernel, 1, "SAME")
        for part, kernel, is_below in given:
            if is_below:
                result += tf.nn.conv2d_transpose(
                    part, _enlarging(kernel), tf.shape(result), 2, "SAME"
                )
        if self.of.use_bias:
            result += self.of.bias.value
        return self.of.activation(result)

    def compute_output_shape(self, input_shape: Sequence[tuple[int | None, ...]]) -> Any:
        return (*input_shape[self.enlarged.index(False)][:-1], self.of.filters)


def _enlarging(kernel: Any) -> Any:
    """Kernel (3, 3, C, D) of an enlarged image -> (4, 4, D, C), transposed, of the image itself."""
    import tensorflow as tf  # noqa: PLC0415

    channels, filters = kernel.shape[2:]
    # Half precision is added up in single.
    values = tf.cast(tf.transpose(kernel, [0, 1, 3, 2]), "float32")
    values = tf.matmul(np.kron(MEET, MEET), tf.reshape(values, [9, filters * channels]))
    return tf.cast(tf.reshape(values, [4, 4, filters, channels]), kernel.dtype)
