"""The U-Net++'s own: its parameters, its nested skips and its deep supervision."""

from __future__ import annotations

from itertools import pairwise

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from sgseg.nets import build_network
from sgseg.nets.unet_plus_plus import build_unet_plus_plus, supervised_outputs, training_model


def unet_plus_plus(
    *,
    width: int = 2,
    depth: int = 3,
    normalisation: str = "none",
    deep_supervision: bool = True,
) -> keras.Model:
    keras.utils.set_random_seed(0)
    return build_unet_plus_plus(
        width=width,
        depth=depth,
        dropout=0.0,
        normalisation=normalisation,
        deep_supervision=deep_supervision,
    )


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(shape, dtype=np.float32)


def test_number_of_parameters() -> None:
    # 3 x 3 convolutions with bias, in * out * 9 + out, two for each node:
    #   X(0,0)  1 -> 2:  18 + 2 =  20     2 -> 2:  36 + 2 =  38
    #   X(1,0)  2 -> 4:  72 + 4 =  76     4 -> 4: 144 + 4 = 148
    #   X(2,0)  4 -> 8: 288 + 8 = 296     8 -> 8: 576 + 8 = 584
    #   X(0,1)  2 + 4 -> 2: 108 + 2 = 110              38   from X(0,0), X(1,0)
    #   X(1,1)  4 + 8 -> 4: 432 + 4 = 436             148   from X(1,0), X(2,0)
    #   X(0,2)  2 + 2 + 4 -> 2: 144 + 2 = 146          38   from X(0,0), X(0,1), X(1,1)
    # 1 x 1 to a probability: 2 + 1 = 3, one or with deep supervision two.
    nodes = 20 + 38 + 76 + 148 + 296 + 584 + 110 + 38 + 436 + 148 + 146 + 38
    assert unet_plus_plus(depth=2, deep_supervision=False).count_params() == nodes + 3
    assert unet_plus_plus(depth=2, deep_supervision=True).count_params() == nodes + 2 * 3


@pytest.mark.parametrize(("width", "depth"), [(3, 0), (4, 1), (2, 4), (5, 3)])
def test_number_of_parameters_at_any_depth(width: int, depth: int) -> None:
    # A block from c to f channels: 9 c f + f, then 9 f f + f. Node X(i, j) gets f_i from each of j
    # nodes beside it and 2 f_i from below.
    def block(c: int, f: int) -> int:
        return 9 * c * f + f + 9 * f * f + f

    filters = [width * 2**level for level in range(depth + 1)]
    nodes = block(1, width) + sum(block(c, f) for c, f in pairwise(filters))
    for i, f in enumerate(filters):
        nodes += sum(block(j * f + 2 * f, f) for j in range(1, depth - i + 1))
    plain = unet_plus_plus(width=width, depth=depth, deep_supervision=False)
    assert plain.count_params() == nodes + width + 1
    supervised = unet_plus_plus(width=width, depth=depth)
    assert supervised.count_params() == nodes + max(1, depth) * (width + 1)


def test_number_of_parameters_with_normalisation() -> None:
    # Width 2, depth 1, no biases: 18 + 36, 72 + 144, 108 + 36 = 414; probability 3; normalised
    # channels 2 + 2 + 4 + 4 + 2 + 2 = 16, with a scale and a shift each.
    network = unet_plus_plus(depth=1, normalisation="group")
    assert network.count_params() == 414 + 3 + 2 * 16


def test_with_one_pooling_it_is_a_u_net() -> None:
    plain = build_network(architecture="unet", width=4, depth=1, dropout=0.0, normalisation="none")
    nested = unet_plus_plus(width=4, depth=1)
    assert nested.count_params() == plain.count_params()


def test_each_node_joins_all_beside_it_and_the_one_below() -> None:
    network = unet_plus_plus()
    for level, column in ((0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (0, 3)):
        beside = [network.get_layer(f"node{level}_{j}_relu_b").output for j in range(column)]
        below = network.get_layer(f"node{level + 1}_{column - 1}_relu_b").output
        enlarged = network.get_layer(f"up{level}_{column}")
        assert enlarged.input is below
        joined = network.get_layer(f"join{level}_{column}")
        assert [id(x) for x in joined.input[:-1]] == [id(x) for x in beside]
        assert joined.input[-1] is network.get_layer(f"crop{level}_{column}").output
        assert network.get_layer(f"node{level}_{column}_conv_a").input is joined.output


def test_the_probability_is_the_mean_of_the_heads() -> None:
    network, image = unet_plus_plus(), noise(2, 11, 9, 1)
    heads = keras.Model(network.input, supervised_outputs(network))(image)
    assert len(heads) == 3
    heads = [np.asarray(head) for head in heads]
    assert all(head.shape == (2, 11, 9, 1) for head in heads)
    np.testing.assert_allclose(np.asarray(network(image)), sum(heads) / 3, atol=1e-6)
    assert np.abs(heads[0] - heads[1]).max() > 1e-3  # each its own


def test_each_head_looks_at_its_own_node() -> None:
    network = unet_plus_plus()
    for column, head in enumerate(supervised_outputs(network), start=1):
        layer = network.get_layer(f"head{column}")
        assert head is layer.output
        assert layer.input is network.get_layer(f"node0_{column}_relu_b").output


def test_training_sees_the_heads_side_by_side() -> None:
    network, image = unet_plus_plus(), noise(1, 8, 8, 1)
    together = np.asarray(training_model(network)(image))
    apart = keras.Model(network.input, supervised_outputs(network))(image)
    np.testing.assert_array_equal(together, np.concatenate([np.asarray(p) for p in apart], axis=-1))


@pytest.mark.parametrize("normalisation", ["none", "batch"])
def test_training_has_the_same_variables_in_the_same_order(normalisation: str) -> None:
    network = unet_plus_plus(normalisation=normalisation)
    training = training_model(network)
    for kind in ("variables", "trainable_variables", "non_trainable_variables"):
        own, other = getattr(network, kind), getattr(training, kind)
        assert [id(variable) for variable in own] == [id(variable) for variable in other]


def test_a_step_of_training_moves_every_head() -> None:
    network, image = unet_plus_plus(), noise(1, 16, 16, 1)
    training = training_model(network)
    training.compile(keras.optimizers.SGD(0.1), "binary_crossentropy", run_eagerly=True)
    before = [np.array(network.get_layer(f"head{j}").kernel) for j in (1, 2, 3)]
    training.train_on_batch(image, np.ones((1, 16, 16, 3), np.float32))
    for j, kernel in zip((1, 2, 3), before, strict=True):
        assert np.abs(np.asarray(network.get_layer(f"head{j}").kernel) - kernel).max() > 1e-5


@pytest.mark.parametrize(
    ("architecture", "depth", "deep_supervision"),
    [
        ("unet", 2, False),
        ("res_unet", 2, False),
        ("attention_unet", 2, False),
        ("unet_plus_plus", 2, False),
        ("unet_plus_plus", 1, True),  # of one head there is no mean
    ],
)
def test_with_one_probability_the_network_itself_is_trained(
    architecture: str, depth: int, deep_supervision: bool
) -> None:
    network = build_network(
        architecture=architecture,
        width=2,
        depth=depth,
        dropout=0.0,
        normalisation="none",
        deep_supervision=deep_supervision,
    )
    assert training_model(network) is network
    (output,) = supervised_outputs(network)
    assert output is network.output
