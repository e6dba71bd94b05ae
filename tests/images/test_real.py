"""Real images from outside of the project, named by SGSEG_REAL_DATA; skipped without them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from sgseg.images.files import find_images
from sgseg.images.masks import read_mask
from sgseg.images.read import read_image

pytestmark = pytest.mark.skipif("SGSEG_REAL_DATA" not in os.environ, reason="no SGSEG_REAL_DATA")


@pytest.fixture
def real() -> Path:
    return Path(os.environ["SGSEG_REAL_DATA"])


def test_every_cell_shows_its_dye(real: Path) -> None:
    paths = find_images(real / "sg_cells" / "unlabel")
    assert len(paths) == 87
    for path in paths:
        image = read_image(path)
        assert image.channel == "green of RGB"
        assert np.array_equal(image.pixels, np.asarray(Pillow.open(path))[..., 1])
        assert (image.pixels.shape, image.bit_depth, image.pixel_size_um) == ((80, 80), 8, None)


def test_every_mask_is_a_colour_on_black(real: Path) -> None:
    paths = find_images(real / "sg_cells" / "label")
    assert len(paths) == 87
    for path in paths:
        mask = read_mask(path)
        assert mask.rule == "colour (128, 6, 216) on black"
        assert np.array_equal(mask.labels > 0, np.asarray(Pillow.open(path))[..., 2] == 216)
        assert 1 <= mask.labels.max() <= 16


def test_stacks(real: Path) -> None:
    paths = find_images(real / "condensates_3d")
    assert len(paths) == 2
    for path in paths:
        image = read_image(path, channel=1, projection="max")
        assert np.array_equal(image.pixels, tifffile.imread(path)[:, 1].max(axis=0))
        assert (image.bit_depth, image.channel) == (16, "channel 1, max of 5 slices")
        assert image.pixel_size_um == pytest.approx(0.11)
