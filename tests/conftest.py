"""What tests of several packages share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from examples import write_pointwise_network
from hypothesis import settings

from sgseg.inference.bundle import BundleSpec, write_spec
from sgseg.training.merge import merge_onnx

# A busy machine is no defect, and a failure must be one that the next run shows again.
settings.register_profile("sgseg", deadline=None, derandomize=True)
settings.load_profile("sgseg")


@pytest.fixture(autouse=True, scope="module")
def _where_modules_are_found() -> Iterator[None]:
    """MLflow puts the code of a model that it loads before all other: no matter for later tests."""
    before = list(sys.path)
    yield
    sys.path[:] = before


@pytest.fixture
def make_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Makes a bundle of networks that call bright what is bright.

    On `background`-normalised images, where cytoplasm is 1, what exceeds `middle` is granule. With
    several `weights` the networks are shown as many channels, and that is true of their sum.
    """

    def make(
        *middles: float,
        weights: tuple[float, ...] = (1.0,),
        name: str = "bundle",
        **changes: object,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        alone, members = [], []
        for number, middle in enumerate(middles or (2.0,)):
            alone.append(tmp_path / f"fold_{number}.onnx")
            members.append(alone[-1].stem)
            write_pointwise_network(alone[-1], middle=middle, weights=weights)
        merge_onnx(alone, members, folder / "model.onnx")
        content = {
            "members": members,
            "preprocessing": {
                "normalise": "background",
                "target_pixel_size_um": None,
                "resize": None,
            },
            "threshold": 0.5,
            "min_area_px": 4,
            "margin_px": 16,
        }
        write_spec(folder, BundleSpec(**(content | changes)))
        return folder

    return make
