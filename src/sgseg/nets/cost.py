"""What a network costs to run, counted rather than measured."""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers

COUNTED = (layers.Conv2D, layers.Dense)
# Two operations for each value, where a 3 x 3 convolution from C channels has 9 C multiply-adds.
LEFT_OUT = (layers.BatchNormalization, layers.GroupNormalization)
# Any multiple of every stride will do: shapes alone are computed with.
SIDE_PX = 2**16


def multiply_adds_per_pixel(model: keras.Model) -> float:
    """Multiply-adds of all convolutions and dense layers, per pixel of the input.

    A convolution takes k * k * C_in * C_out of them for each pixel of its output, of which level l
    has 4^-l for each of the image. Rounding at the borders of sizes that are no multiple of the
    stride is left out.

    Parameters
    ----------
    model
        Functional network (N, H, W, C) -> ... in which no layer is used twice.

    Raises
    ------
    ValueError
        A layer with weights is of another kind: the count would miss it.
    """
    shapes = {id(model.input): (1, SIDE_PX, SIDE_PX, model.input.shape[-1])}
    total = 0
    for layer in model.layers:
        if not isinstance(layer, layers.InputLayer):
            shapes[id(layer.output)] = layer.compute_output_shape(_shape_in(layer, shapes))
        if isinstance(layer, COUNTED):
            n_places = math.prod(shapes[id(layer.output)][:-1])
            total += math.prod(layer.kernel.shape) * n_places
        elif layer.weights and not isinstance(layer, LEFT_OUT):
            raise ValueError(f"cannot count the multiply-adds of layer {layer.name!r}")
    return total / SIDE_PX**2


def _shape_in(layer: keras.Layer, shapes: dict[int, Any]) -> Any:
    given = layer.input
    return [shapes[id(one)] for one in given] if isinstance(given, list) else shapes[id(given)]
