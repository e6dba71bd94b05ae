from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from sgseg.images.maps import write_map
from sgseg.images.read import read_image


@pytest.mark.parametrize("size", [None, 0.25])
def test_a_map_comes_back_with_its_scale(size: float | None, tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((30, 41), dtype=np.float32)
    write_map(tmp_path / "map.tif", values, pixel_size_um=size)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "map.tif"), values)
    assert read_image(tmp_path / "map.tif").pixel_size_um == (pytest.approx(size) if size else None)
    assert [path.name for path in tmp_path.iterdir()] == ["map.tif"]
