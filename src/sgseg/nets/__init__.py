"""Networks by name. Keras 3 throughout, no backend by name; nothing here knows of files or runs.

Importing this package is all that `keras.models.load_model` needs to read a saved network.
"""

from __future__ import annotations

import keras

from sgseg.nets.unet import build_unet

ARCHITECTURES = {"unet": build_unet}


def build_network(
    *, architecture: str, width: int, depth: int, dropout: float, normalisation: str
) -> keras.Model:
    """Build the named network: (N, H, W, 1) -> (N, H, W, 1) probability of granule in [0, 1]."""
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"architecture must be one of {sorted(ARCHITECTURES)}. Received: {architecture!r}"
        )
    return ARCHITECTURES[architecture](
        width=width, depth=depth, dropout=dropout, normalisation=normalisation
    )
