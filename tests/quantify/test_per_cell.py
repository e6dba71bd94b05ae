"""One row per cell, each number counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from sgseg.config import load_params
from sgseg.dataset.simulate import simulate_field
from sgseg.quantify.per_cell import PerCellOptions, background_level, measure_cells, owners

# Two cells inside, one at the border, 10 x 12 px.
CELLS = np.zeros((10, 12), np.int32)
CELLS[1:5, 1:6] = 1  # 4 x 5 = 20 px
CELLS[1:5, 7:11] = 2  # 16 px, no granule
CELLS[7:10, 2:8] = 4  # 18 px, cut by the border; no cell 3
NUCLEI = np.zeros_like(CELLS)
NUCLEI[2:4, 2] = 1  # 2 px
NUCLEI[2, 4:6] = 5  # 2 px, second nucleus of cell 1
NUCLEI[3, 8:10] = 2
GRANULES = np.zeros_like(CELLS)
GRANULES[1, 1:4] = 1  # 3 px in cell 1
GRANULES[4, 5:7] = 2  # 1 px in cell 1, 1 px outside: a tie
GRANULES[8, 1:5] = 3  # 3 px in cell 4, 1 px outside
GRANULES[6, 9:11] = 4  # outside of any cell
IMAGE = np.where(CELLS > 0, 30, 10).astype(np.uint8)
IMAGE[GRANULES > 0] = 110


def table_of(**options: object) -> pd.DataFrame:
    return measure_cells(CELLS, GRANULES, IMAGE, **options).set_index("cell")


def test_a_granule_belongs_to_the_cell_that_holds_most_of_it() -> None:
    # Index 0 is unused; granule 2 is half outside: a cell goes before none.
    np.testing.assert_array_equal(owners(GRANULES, CELLS), [0, 1, 1, 4, 0])


def test_most_of_its_pixels_outside_is_outside() -> None:
    cells = np.array([[1, 1, 0, 0, 0, 2]])
    granules = np.array([[0, 3, 3, 3, 0, 0]])
    np.testing.assert_array_equal(owners(granules, cells), [0, 0, 0, 0])


def test_of_equal_cells_the_lower_label() -> None:
    assert owners(np.array([[1, 1]]), np.array([[7, 5]]))[1] == 5


LABELS = arrays(np.int32, (6, 7), elements=st.integers(0, 4))


@given(LABELS, LABELS)
def test_owners_against_counting_one_by_one(
    granules: NDArray[np.int32], cells: NDArray[np.int32]
) -> None:
    found = owners(granules, cells)
    assert len(found) == granules.max() + 1
    for granule in range(1, granules.max() + 1):
        under = cells[granules == granule]
        best = max((int((under == cell).sum()), cell > 0, -cell) for cell in range(5))
        assert found[granule] == (-best[2] if len(under) else 0)


def test_numbers_of_each_cell() -> None:
    table = table_of(nuclei=NUCLEI)
    assert list(table.index) == [1, 2, 4]  # cell 2, without granules, is there
    assert table["n_granules"].tolist() == [2, 0, 1]
    assert table["is_positive"].tolist() == [True, False, True]
    # Whole granules: 3 + 2 px, none, 4 px.
    assert table["granule_area_px2"].tolist() == [5, 0, 4]
    assert table["cell_area_px2"].tolist() == [20, 16, 18]
    assert table["granule_area_fraction"].tolist() == [5 / 20, 0, 4 / 18]
    assert table["n_nuclei"].tolist() == [2, 1, 0]
    assert table["nucleus_area_px2"].tolist() == [4, 2, 0]
    assert table["touches_border"].tolist() == [False, False, True]
    assert table["is_counted"].tolist() == [True, True, False]
    # Background 10. Cell 1: 4 granule pixels of 100, 16 of 20 above it.
    assert background_level(IMAGE, CELLS) == 10
    assert table["condensed_fraction"].to_numpy() == pytest.approx(
        [400 / (400 + 16 * 20), 0, 300 / (300 + 15 * 20)]
    )
    assert table["mean_intensity"].to_numpy() == pytest.approx(
        [(4 * 110 + 16 * 30) / 20, 30, (3 * 110 + 15 * 30) / 18]
    )


def test_areas_in_um2() -> None:
    table = table_of(nuclei=NUCLEI, pixel_size_um=0.5)
    assert table["cell_area_um2"].tolist() == [5.0, 4.0, 4.5]
    assert table["granule_area_um2"].tolist() == [1.25, 0, 1.0]
    assert table["nucleus_area_um2"].tolist() == [1.0, 0.5, 0]
    assert not [name for name in table if name.endswith("_px2")]
    assert table["granule_area_fraction"].tolist() == [5 / 20, 0, 4 / 18]


def test_at_least_two_granules_by_option() -> None:
    table = table_of(options=PerCellOptions(min_granules=2))
    assert table["is_positive"].tolist() == [True, False, False]


def test_cells_at_the_border_count_if_asked() -> None:
    assert table_of(options=PerCellOptions(count_border_cells=True))["is_counted"].all()


def test_without_nuclei_their_columns_are_empty() -> None:
    table = table_of()
    assert table["n_nuclei"].isna().all()
    assert table["nucleus_area_px2"].isna().all()


def test_owners_can_be_given() -> None:
    table = table_of(granule_cells=np.array([0, 2, 2, 2, 2]))
    assert table["n_granules"].tolist() == [0, 4, 0]
    assert table["granule_area_px2"].tolist() == [0, 11, 0]


def test_a_whole_image_is_one_cell_that_the_border_does_not_cut() -> None:
    table = measure_cells(np.ones_like(CELLS), GRANULES, IMAGE, unit="image")
    (row,) = table.to_dict("records")
    assert row["n_granules"] == 4
    assert row["cell_area_px2"] == 120
    assert row["is_counted"]
    assert not row["touches_border"]


def test_foreground_is_no_cell() -> None:
    table = measure_cells((CELLS > 0).astype(np.int32), GRANULES, IMAGE, unit="foreground")
    assert len(table) == 0
    assert list(table) == list(measure_cells(CELLS, GRANULES, IMAGE))


def test_no_cells_no_granules() -> None:
    nothing = np.zeros_like(CELLS)
    assert len(measure_cells(nothing, GRANULES, IMAGE, nuclei=nothing)) == 0
    empty = measure_cells(CELLS, nothing, IMAGE)
    assert empty["n_granules"].tolist() == [0, 0, 0]
    assert not empty["is_positive"].any()


def test_no_signal_no_condensed_fraction() -> None:
    # As bright as the background, or darker.
    flat = measure_cells(CELLS, GRANULES, np.full(CELLS.shape, 10, np.uint16))
    assert flat["condensed_fraction"].isna().all()


def test_background_where_cells_cover_everything() -> None:
    image = np.arange(101, dtype=np.uint8)[None, :]
    # The first percentile of 0 ... 100.
    assert background_level(image, np.ones_like(image)) == 1


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match="of one shape"):
        measure_cells(CELLS, GRANULES[1:], IMAGE)


def test_true_masks_give_the_true_counts() -> None:
    params = load_params().simulate.model_copy(update={"size": 384, "seed": 77})
    field = simulate_field(params, condition="arsenite_high", replicate=2, field=1)
    table = measure_cells(field.cells, field.granules, field.image[0], nuclei=field.nuclei)
    right = np.bincount(field.table["cell"], minlength=int(field.cells.max()) + 1)
    assert right.sum() > 20
    np.testing.assert_array_equal(table["n_granules"], right[table["cell"]])
    assert (table["n_nuclei"] <= 1).all()
