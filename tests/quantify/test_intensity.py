"""Brightness against the ring around a granule, on fields whose every pixel is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import distance_transform_edt

from sgseg.quantify import intensity
from sgseg.quantify.intensity import Intensities, Ring, measure_intensities, outside_level
from sgseg.quantify.pixels import Pixels

from .drawing import LABELS, Labels, disk, label_image

RING = Ring(gap=2.0, width=4.0, min_px=10)
SHAPE = (40, 50)


def measured(
    labels: Labels,
    image: NDArray[np.generic],
    *,
    ring: Ring = RING,
    cell: list[int] | None = None,
    cells: Labels | None = None,
    nuclei: Labels | None = None,
    outside: float = float("nan"),
) -> Intensities:
    return measure_intensities(
        Pixels.of(labels),
        image,
        ring=ring,
        cell=None if cell is None else np.array(cell),
        cells=cells,
        nuclei=nuclei,
        outside=outside,
    )


@given(LABELS, st.integers(0, 9), st.sampled_from([1, 5]))
def test_as_pixel_by_pixel(labels: Labels, seed: int, min_px: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60000, labels.shape).astype(np.uint16)
    nuclei = rng.integers(0, 2, labels.shape) * (labels == 0)
    cells = np.ones(labels.shape, np.int32)
    cells[:, 7:] = 2
    names = [name for name in np.unique(labels) if name > 0]
    home = [1 + index % 2 for index in range(len(names))]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(intensity, "BATCH", 2)
        found = measured(
            labels,
            image,
            ring=Ring(1.0, 2.5, min_px),
            cell=home,
            cells=cells,
            nuclei=nuclei,
            outside=100.0,
        )
    near_any = distance_transform_edt(labels == 0) <= 1 if names else np.zeros(labels.shape, bool)
    for index, name in enumerate(names):
        mine = labels == name
        ring = (distance_transform_edt(~mine) <= 3.5) & ~near_any
        ring &= (cells == home[index]) & (nuclei == 0)
        around = image[ring].astype(float) if ring.sum() >= min_px else np.full(1, np.nan)
        level = np.median(around)
        noise = 1.4826 * np.median(np.abs(around - level))
        mean = image[mine].astype(float).mean()
        assert found.mean[index] == pytest.approx(mean)
        assert found.largest[index] == image[mine].max()
        assert found.background[index] == pytest.approx(level, nan_ok=True)
        integrated = (image[mine].astype(float) - level).sum()
        assert found.integrated[index] == pytest.approx(integrated, nan_ok=True)
        contrast = (mean - level) / noise if noise > 0 else np.nan
        assert found.contrast_to_noise[index] == pytest.approx(contrast, nan_ok=True)
        share = (mean - 100) / (level - 100) if level > 100 else np.nan
        assert found.partition_coefficient[index] == pytest.approx(share, nan_ok=True)


def test_a_granule_in_noisy_cytoplasm() -> None:
    rng = np.random.default_rng(1)
    labels = label_image(disk((200, 200), (100, 100), 30))
    image = 500 + rng.normal(0, 20, labels.shape)
    image[labels > 0] += 1000
    found = measured(labels, image, ring=Ring(2.0, 20.0, 10), outside=100.0)
    # 4,400 pixels in the ring: their median is good to 20 * 1.25 / sqrt(4400) = 0.4.
    assert found.background[0] == pytest.approx(500, abs=1.5)
    assert found.contrast_to_noise[0] == pytest.approx(1000 / 20, rel=0.05)
    assert found.integrated[0] == pytest.approx(1000 * (labels > 0).sum(), rel=0.002)
    # (1500 - 100) / (500 - 100)
    assert found.partition_coefficient[0] == pytest.approx(3.5, rel=0.005)


def test_the_partition_coefficient_knows_no_camera_offset_and_no_gain() -> None:
    labels = label_image(disk(SHAPE, (20, 25), 5))
    image = np.where(labels > 0, 900.0, 300.0)
    for gain, offset in ((1.0, 0.0), (1.0, 500.0), (7.0, 500.0)):
        counts = gain * image + offset
        found = measured(labels, counts, outside=gain * 100 + offset)
        assert found.partition_coefficient[0] == pytest.approx(800 / 200)


def test_a_bright_filament_and_a_missed_granule_do_not_move_the_background() -> None:
    labels = label_image(disk(SHAPE, (20, 20), 4))
    image = np.full(SHAPE, 100.0)
    image[labels > 0] = 400
    alone = measured(labels, image)
    image[12, :] = 5000
    image[20:24, 27:30] = 400
    crowded = measured(labels, image)
    assert crowded.background[0] == alone.background[0] == 100
    assert crowded.integrated[0] == alone.integrated[0] == 300 * 49


def test_light_of_other_granules_is_left_out() -> None:
    labels = label_image(disk(SHAPE, (20, 20), 4), disk(SHAPE, (20, 31), 4))
    image = np.full(SHAPE, 100.0)
    # Blur: within 2 px of either granule it is brighter.
    image[distance_transform_edt(labels == 0) <= 2] = 250
    image[labels > 0] = 400
    assert measured(labels, image).background.tolist() == [100, 100]


def test_the_ring_stays_in_the_cell_and_out_of_the_nucleus() -> None:
    labels = label_image(disk(SHAPE, (20, 20), 4))
    image = np.full(SHAPE, 100.0)
    cells, nuclei = np.zeros(SHAPE, np.int32), np.zeros(SHAPE, np.int32)
    cells[:, :24] = 3
    nuclei[:15] = 3
    image[cells == 0], image[nuclei == 3] = 7, 900
    assert measured(labels, image, cell=[3], cells=cells, nuclei=nuclei).background[0] == 100
    # In no cell: its ring is where no cell is.
    outside = measured(labels, image, cell=[0], cells=cells, nuclei=nuclei, outside=3.0)
    assert outside.background[0] == 7
    assert np.isnan(outside.partition_coefficient[0])


@pytest.mark.parametrize("value", [0, 65535], ids=["black", "saturated"])
def test_a_flat_image_has_no_contrast(value: int) -> None:
    labels = label_image(disk(SHAPE, (20, 20), 4))
    found = measured(labels, np.full(SHAPE, value, np.uint16), outside=float(value))
    assert (found.mean[0], found.largest[0], found.background[0]) == (value, value, value)
    assert found.integrated[0] == 0
    assert np.isnan([found.contrast_to_noise[0], found.partition_coefficient[0]]).all()


def test_a_granule_that_fills_its_cell_has_no_background() -> None:
    labels = label_image(disk(SHAPE, (20, 20), 6))
    image = np.full(SHAPE, 100, np.uint8)
    for found in (
        measured(labels, image, cell=[1], cells=labels),
        measured(np.ones(SHAPE, np.int32), image),
    ):
        assert found.mean[0] == 100
        nothing = (found.background, found.integrated, found.contrast_to_noise)
        assert np.isnan([value[0] for value in nothing]).all()


def test_outside_is_the_median_where_no_cell_is() -> None:
    image = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    cells = np.ones((100, 100), np.int32)
    # 0 to 99, half a hundredth of the pixels more than a two-hundredth.
    cells[0] = 0
    assert outside_level(image, cells) == 49.5
    cells[0, 49:] = 5
    assert np.isnan(outside_level(image, cells))
    assert np.isnan(outside_level(image, None))
