"""Networks by name. Keras 3 throughout, no backend by name; nothing here knows of files or runs.

Importing this package is all that `keras.models.load_model` needs to read a saved network.
"""

from __future__ import annotations

from collections.abc import Callable

import keras

from sgseg.nets.attention_unet import build_attention_unet
from sgseg.nets.cost import multiply_adds_per_pixel
from sgseg.nets.linknet import build_linknet
from sgseg.nets.precision import computing_in
from sgseg.nets.res_unet import build_res_unet
from sgseg.nets.unet import build_unet
from sgseg.nets.unet_plus_plus import build_unet_plus_plus, supervised_outputs, training_model

__all__ = [
    "ARCHITECTURES",
    "build_network",
    "multiply_adds_per_pixel",
    "supervised_outputs",
    "training_model",
]

ARCHITECTURES: dict[str, Callable[..., keras.Model]] = {
    "unet": build_unet,
    "res_unet": build_res_unet,
    "attention_unet": build_attention_unet,
    "unet_plus_plus": build_unet_plus_plus,
    "linknet": build_linknet,
}


def build_network(
    *,
    architecture: str,
    width: int,
    depth: int,
    dropout: float,
    normalisation: str,
    deep_supervision: bool = False,
    precision: str = "float32",
    channels: int = 1,
) -> keras.Model:
    """Build the named network: (N, H, W, C) -> (N, H, W, 1) probability of granule in [0, 1].

    In every `precision` of `computing_in` the weights and the probability are float32.

    Raises
    ------
    ValueError
        The architecture, the normalisation or the precision is unknown, or the architecture has no
        deep supervision.
    """
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"architecture must be one of {sorted(ARCHITECTURES)}. Received: {architecture!r}"
        )
    with computing_in(precision):
        return ARCHITECTURES[architecture](
            width=width,
            depth=depth,
            dropout=dropout,
            normalisation=normalisation,
            deep_supervision=deep_supervision,
            channels=channels,
        )
