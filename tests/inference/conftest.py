"""U-Nets with random weights, as training exports them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session")
def unets(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[int, str], Path]:
    """ONNX files by depth and normalisation; TensorFlow is imported once, here."""
    # These take seconds to import; most tests of this package do without.
    import keras  # noqa: PLC0415

    from sgseg.nets import build_network  # noqa: PLC0415
    from sgseg.training.export import export_onnx  # noqa: PLC0415

    folder = tmp_path_factory.mktemp("unets")
    keras.utils.set_random_seed(0)  # whatever ran before: some weights let little through
    rng = np.random.default_rng(0)
    files = {}
    for depth, normalisation in ((1, "none"), (3, "batch")):
        model = build_network(
            architecture="unet", width=4, depth=depth, dropout=0.1, normalisation=normalisation
        )
        # As if trained: fresh statistics and biases would be 0 and 1 and hide what they do.
        for variable in model.variables:
            if "norm" in variable.path or "bias" in variable.path:
                variable.assign(rng.uniform(0.5, 1.5, variable.shape).astype(np.float32))
        model.predict_on_batch(np.zeros((1, 8, 8, 1), np.float32))  # Keras exports what has run
        files[depth, normalisation] = folder / f"{normalisation}_{depth}.onnx"
        export_onnx(model, files[depth, normalisation])
    return files
