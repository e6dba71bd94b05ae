"""The table of granules: columns, units, what does not exist, and the simulator's truth."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sgseg.config import load_params
from sgseg.dataset.simulate import simulate_field
from sgseg.quantify.granules import (
    COLUMNS,
    GranuleOptions,
    granule_columns,
    measure_granules,
)

from .drawing import LABELS, Labels, disk, label_image

ROOT = Path(__file__).parents[2]
SHAPE = (60, 80)
IN_PX = [
    *("granule", "cell", "row_px", "col_px", "area_px2", "equivalent_diameter_px"),
    *("perimeter_px", "major_axis_px", "minor_axis_px", "circularity", "aspect_ratio"),
    *("solidity", "eccentricity", "mean_intensity", "max_intensity", "integrated_intensity"),
    *("background_intensity", "contrast_to_noise", "partition_coefficient"),
    *("distance_to_nucleus_px", "distance_to_cell_edge_px", "n_neighbours"),
    *("nearest_neighbour_px", "mean_probability", "uncertainty", "touches_border"),
]


def draw() -> tuple[Labels, NDArray[np.float64], Labels, Labels]:
    """Three granules (labels 2, 4, 6), the last in no cell; image, cells and nuclei."""
    labels = 2 * label_image(
        disk(SHAPE, (30, 25), 4), disk(SHAPE, (30, 38), 3), disk(SHAPE, (10, 72), 3)
    )
    cells = label_image(disk(SHAPE, (30, 30), 25)) * 5
    nuclei = label_image(disk(SHAPE, (44, 30), 8))
    image = np.where(cells > 0, 300.0, 100.0) + np.arange(SHAPE[1]) % 3 - 1
    image[labels == 2], image[labels == 4], image[labels == 6] = 1100, 700, 500
    return labels, image, cells, nuclei


def test_a_small_field() -> None:
    labels, image, cells, nuclei = draw()
    probability = np.where(labels == 2, 0.75, 0.5)
    table = measure_granules(
        labels,
        image,
        probability=probability,
        cells=cells,
        nuclei=nuclei,
        uncertainty=np.array([9, 0.1, 9, 0.2, 9, 0.3]),
    )
    assert table.columns.tolist() == IN_PX
    assert table.granule.tolist() == [2, 4, 6]
    assert table.cell.tolist() == [5, 5, 0]
    assert table.row_px.tolist() == [30, 30, 10]
    assert table.col_px.tolist() == [25, 38, 72]
    # Pixels within 4 and 3 px of a pixel's middle.
    assert table.area_px2.tolist() == [49, 29, 29]
    assert table.background_intensity.tolist() == [300, 300, 100]
    assert table.integrated_intensity.tolist() == [49 * 800, 29 * 400, 29 * 400]
    # Columns of the image are one count lower, equal or higher: median absolute deviation 1.
    expected = pytest.approx([800 / 1.4826, 400 / 1.4826, 400 / 1.4826])
    assert table.contrast_to_noise.tolist() == expected
    # (1100 - 100) / (300 - 100), (700 - 100) / 200; in no cell there is no cytoplasm.
    assert table.partition_coefficient.tolist() == pytest.approx([5, 3, np.nan], nan_ok=True)
    # sqrt(14^2 + 5^2) - 8, sqrt(14^2 + 8^2) - 8.
    expected = pytest.approx([6.87, 8.12, np.nan], abs=0.75, nan_ok=True)
    assert table.distance_to_nucleus_px.tolist() == expected
    # 25 - 5, 25 - 8.
    expected = pytest.approx([20, 17, np.nan], abs=0.75, nan_ok=True)
    assert table.distance_to_cell_edge_px.tolist() == expected
    assert table.n_neighbours.tolist() == [0, 0, 0]  # 13 px are more than 10
    assert table.nearest_neighbour_px.tolist() == pytest.approx([13, 13, np.nan], nan_ok=True)
    assert table.mean_probability.tolist() == [0.75, 0.5, 0.5]
    assert table.uncertainty.tolist() == [0.1, 0.2, 0.3]
    assert table.touches_border.tolist() == [False, False, False]


def test_without_cells_and_nuclei() -> None:
    labels, image, _, _ = draw()
    table = measure_granules(labels, image)
    empty = ["cell", "partition_coefficient", "mean_probability", "uncertainty"]
    empty += ["distance_to_nucleus_px", "distance_to_cell_edge_px"]
    assert table.columns[table.isna().all()].tolist() == sorted(empty, key=IN_PX.index)
    # What lies outside, where it is known, makes the partition coefficient.
    given_level = measure_granules(labels, image, options=GranuleOptions(outside_intensity=50.0))
    assert given_level.partition_coefficient[0] == pytest.approx(1050 / 250)
    # All granules are neighbours then: the third is 39 px from the second.
    assert table.nearest_neighbour_px[2] == pytest.approx(np.hypot(20, 34))


@given(LABELS, st.sampled_from([0.05, 0.5, 3.0]))
def test_lengths_and_areas_scale_with_the_pixel_size(labels: Labels, size: float) -> None:
    image = np.random.default_rng(0).uniform(100, 200, labels.shape)
    cells = np.ones_like(labels)
    cells[:, 5:] = 2
    nuclei = (labels == 300).astype(np.int32)
    options = GranuleOptions(
        ring_gap_um=2 * size,
        ring_width_um=4 * size,
        neighbour_um=10.0001 * size,
        neighbour_px=10.0001,
    )
    in_px = measure_granules(labels, image, cells=cells, nuclei=nuclei, options=options)
    in_um = measure_granules(
        labels, image, cells=cells, nuclei=nuclei, pixel_size_um=size, options=options
    )
    assert in_um.columns.tolist() == granule_columns(size)
    factor = {"length": size, "area": size**2, "": 1}
    columns = zip(COLUMNS.values(), in_px, in_um, strict=True)
    for kind, px, um in columns:
        expected = in_px[px].astype(float) * factor[kind]
        np.testing.assert_allclose(in_um[um].astype(float), expected, rtol=1e-9)


def test_units_are_in_the_column_names() -> None:
    assert granule_columns(None) == IN_PX
    in_um = [name.replace("_px2", "_um2").replace("_px", "_um") for name in IN_PX]
    in_um[2:4] = ["row_px", "col_px"]
    assert granule_columns(0.1) == in_um


@pytest.mark.filterwarnings("error")
@given(LABELS, st.sampled_from(["none", "all", "outside"]), st.sampled_from([0, 255]))
def test_nothing_is_an_error(labels: Labels, surroundings: str, value: int) -> None:
    image = np.full(labels.shape, value, np.uint8)
    cells = {"none": None, "all": labels, "outside": np.zeros_like(labels)}[surroundings]
    table = measure_granules(labels, image, cells=cells, nuclei=cells)
    assert table.columns.tolist() == IN_PX
    assert len(table) == len(np.unique(labels[labels > 0]))
    finite = table[["area_px2", "perimeter_px", "circularity", "solidity", "mean_intensity"]]
    assert np.isfinite(finite).all(axis=None)
    assert (table.circularity <= 1).all()
    assert (table.solidity <= 1).all()
    assert not np.isinf(table.drop(columns="cell")).any(axis=None)


def test_a_field_without_granules_has_the_same_columns() -> None:
    labels, image, cells, nuclei = draw()
    nothing = np.zeros_like(labels)
    for extra in ({}, {"cells": cells, "nuclei": nuclei, "probability": image / 2000}):
        some = measure_granules(labels, image, **extra)
        none = measure_granules(nothing, image, **extra)
        pd.testing.assert_series_equal(none.dtypes, some.dtypes)
        assert len(none) == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cells": np.zeros((3, 3), np.int32)}, r"arrays of one shape .* \(3, 3\)"),
        ({"pixel_size_um": 0.0}, "a pixel size above 0 is needed. Received: 0.0"),
        ({"pixel_size_um": float("nan")}, "Received: nan"),
        ({"uncertainty": np.zeros(3)}, r"each of 6 labels is needed. Received: shape=\(3,\)"),
    ],
    ids=["shapes", "no size", "nan", "uncertainty"],
)
def test_what_cannot_be_measured(changes: dict[str, object], message: str) -> None:
    labels, image, _, _ = draw()
    with pytest.raises(ValueError, match=message):
        measure_granules(labels, image, **changes)


def test_areas_of_simulated_granules_are_those_they_were_drawn_with() -> None:
    params = load_params(ROOT / "params.yaml").simulate.model_copy(update={"seed": 5})
    tables = []
    for replicate in range(1, 5):
        field = simulate_field(params, condition="arsenite_high", replicate=replicate, field=1)
        table = measure_granules(
            field.granules, field.image[0], cells=field.cells, pixel_size_um=params.pixel_size_um
        )
        tables.append(table.assign(diameter_um=field.table.diameter_um))
        assert table.cell.tolist() == field.table.cell.tolist()
    found = pd.concat(tables)
    # Of a pair drawn one over the other, a part of one is missing.
    apart = found.nearest_neighbour_um > 1.1 * found.diameter_um
    large = found[apart & ~found.touches_border & (found.area_um2 > 30 * params.pixel_size_um**2)]
    assert len(large) > 20
    drawn = np.pi / 4 * large.diameter_um**2
    assert (large.area_um2.sum() / drawn.sum()) == pytest.approx(1, abs=0.05)
    assert (large.area_um2 / drawn).mean() == pytest.approx(1, abs=0.05)


def test_a_field_of_a_thousand_granules_takes_no_time() -> None:
    rng = np.random.default_rng(2)
    labels = np.zeros((2048, 2048), np.int32)
    steps = np.arange(32, 2048, 64)
    small = disk((15, 15), (7, 7), 6)
    for number, (row, column) in enumerate((r, c) for r in steps for c in steps):
        labels[row : row + 15, column : column + 15][small] = number + 1
    cells = np.zeros_like(labels)
    cells[:2000, :2000] = np.kron(np.arange(1, 101).reshape(10, 10), np.ones((200, 200), np.int32))
    image = rng.integers(100, 4000, labels.shape, np.uint16)
    start = process_time()
    table = measure_granules(labels, image, cells=cells, nuclei=labels, pixel_size_um=0.1)
    # 0.4 s; segmenting such a field takes more than 2 s.
    assert process_time() - start < 2
    assert len(table) == 1024
