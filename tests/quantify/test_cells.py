"""Cells grow over their cytoplasm, end in the seam between two, and carry their nucleus' label."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from sgseg.config import load_params
from sgseg.dataset.simulate import simulate_field
from sgseg.quantify.cells import (
    CellOptions,
    cell_warnings,
    cells_without_nuclei,
    foreground,
    segment_cells,
    typical_diameter_px,
)
from sgseg.quantify.nuclei import segment_nuclei
from sgseg.scores import pairwise_iou

from .shapes import disks, picture

SHAPE = (220, 300)
NUCLEI = disks(SHAPE, [(70, 70, 14), (150, 190, 14)])
CELLS = disks(SHAPE, [(70, 70, 34), (150, 190, 34)])


def iou_of(truth: np.ndarray, found: np.ndarray, label: int) -> float:
    """Of the objects that carry the same label."""
    a, b = truth == label, found == label
    return float((a & b).sum() / (a | b).sum())


def test_separate_cells_carry_the_label_of_their_nucleus() -> None:
    image = picture([(CELLS > 0, 200), (NUCLEI > 0, -120)])
    found = segment_cells(image, NUCLEI)
    assert found.dtype == np.int32
    assert set(np.unique(found)) == {0, 1, 2}
    assert min(iou_of(CELLS, found, label) for label in (1, 2)) > 0.9


def test_a_dim_cell_beside_a_bright_one_is_as_large() -> None:
    image = picture([(CELLS == 1, 1500), (CELLS == 2, 150)])
    found = segment_cells(image, NUCLEI)
    assert min(iou_of(CELLS, found, label) for label in (1, 2)) > 0.85


def test_touching_cells_part_in_the_seam_and_not_midway() -> None:
    # Nuclei at columns 80 and 180, so midway is 130; the seam is at 116.
    nuclei = disks(SHAPE, [(100, 80, 14), (100, 180, 14)])
    block = np.zeros(SHAPE, bool)
    block[60:140, 30:230] = True
    seam = np.zeros(SHAPE, bool)
    seam[:, 114:119] = True
    image = picture([(block, 300), (block & seam, -180)])
    in_seam = segment_cells(image, nuclei)
    midway = segment_cells(image, nuclei, options=CellOptions(valley=0))
    # The last column of cell 1 in the middle row.
    assert np.flatnonzero(in_seam[100] == 1).max() == pytest.approx(116, abs=3)
    assert np.flatnonzero(midway[100] == 1).max() == pytest.approx(130, abs=3)


def test_granules_change_nothing_about_a_cell() -> None:
    granules = disks(SHAPE, [(45, 70, 3), (70, 95, 3), (90, 52, 3), (128, 190, 4)])
    plain = picture([(CELLS > 0, 200)])
    spotted = picture([(CELLS > 0, 200), (granules > 0, 3000)])
    a, b = segment_cells(plain, NUCLEI), segment_cells(spotted, NUCLEI)
    assert (a != b).sum() < 0.02 * (a > 0).sum()


def test_nothing_of_a_cell_is_beyond_its_reach() -> None:
    wide = disks(SHAPE, [(110, 150, 100)]) > 0
    nucleus = disks(SHAPE, [(110, 150, 14)])
    found = segment_cells(picture([(wide, 200)]), nucleus, options=CellOptions(reach=1.0))
    away = ndimage.distance_transform_edt(nucleus == 0)
    # One diameter is 28 px.
    assert away[found > 0].max() == pytest.approx(28, abs=2)


def test_cytoplasm_without_nucleus_is_no_cell() -> None:
    lonely = disks(SHAPE, [(40, 250, 30)]) > 0
    found = segment_cells(picture([(CELLS > 0, 200), (lonely, 200)]), NUCLEI)
    assert not found[lonely].any()


def test_expansion_needs_no_cytoplasm() -> None:
    dark = picture([(np.zeros(SHAPE, bool), 0)])
    nuclei_alone = segment_cells(dark, NUCLEI, options=CellOptions(method="expansion", expansion=0))
    np.testing.assert_array_equal(nuclei_alone, NUCLEI)
    found = segment_cells(dark, NUCLEI, options=CellOptions(method="expansion", expansion=0.5))
    away = ndimage.distance_transform_edt(NUCLEI == 0)
    np.testing.assert_array_equal(found > 0, away <= 0.5 * typical_diameter_px(NUCLEI))


def test_two_nuclei_close_together_are_one_cell_if_asked() -> None:
    nuclei = disks(SHAPE, [(70, 70, 14), (70, 104, 14), (160, 220, 14)])  # a gap of 6 px
    body = disks(SHAPE, [(70, 87, 44), (160, 220, 34)]) > 0
    image = picture([(body, 200)])
    assert set(np.unique(segment_cells(image, nuclei))) == {0, 1, 2, 3}
    one = segment_cells(image, nuclei, options=CellOptions(same_cell=0.3))
    assert set(np.unique(one)) == {0, 1, 3}
    assert (one[nuclei == 2] == 1).all()


def test_without_nuclei_there_are_no_cells() -> None:
    image = picture([(CELLS > 0, 200)])
    assert not segment_cells(image, np.zeros(SHAPE, np.int32)).any()
    with pytest.raises(ValueError, match="of one shape"):
        segment_cells(image, np.zeros((3, 3), np.int32))


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12))),
    st.data(),
    st.sampled_from(["watershed", "expansion"]),
    st.sampled_from([0.0, 0.5]),
)
def test_every_nucleus_is_in_its_cell_whatever_the_image(
    image: np.ndarray, data: st.DataObject, method: str, same_cell: float
) -> None:
    nuclei = data.draw(arrays(np.int32, image.shape, elements=st.integers(0, 3)))
    options = CellOptions(method=method, same_cell=same_cell)
    found = segment_cells(image, nuclei, options=options)
    assert set(np.unique(found)) <= set(np.unique(nuclei)) | {0}
    if same_cell == 0:
        np.testing.assert_array_equal(found[nuclei > 0], nuclei[nuclei > 0])
    assert (found[nuclei > 0] > 0).all()


def test_invisible_cytoplasm_is_said() -> None:
    seen, noise = picture([(CELLS > 0, 200)]), picture([(np.zeros(SHAPE, bool), 0)])
    assert cell_warnings(seen, NUCLEI) == []
    (warning,) = cell_warnings(noise, NUCLEI)
    assert "hardly stands out" in warning
    assert cell_warnings(noise, np.zeros(SHAPE, np.int32)) == []


def test_simulated_field() -> None:
    params = load_params().simulate.model_copy(update={"size": 384, "seed": 4321})
    field = simulate_field(params, condition="arsenite_high", replicate=1, field=1)
    found = segment_cells(
        field.image[0], segment_nuclei(field.image[1], pixel_size_um=params.pixel_size_um)
    )
    inner = np.ones(int(field.cells.max()) + 1, bool)
    for edge in (field.cells[0], field.cells[-1], field.cells[:, 0], field.cells[:, -1]):
        inner[edge] = False
    names = np.unique(field.cells[field.cells > 0])
    best = pairwise_iou(field.cells, found).max(axis=1)[inner[names]]
    assert len(best) >= 3
    assert best.min() > 0.6
    assert best.mean() > 0.8


def test_the_whole_image_as_one_cell() -> None:
    np.testing.assert_array_equal(
        cells_without_nuclei(np.zeros((2, 3), np.uint8), unit="image"), np.ones((2, 3))
    )


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_foreground(kind: str) -> None:
    granules = disks(SHAPE, [(45, 70, 3), (128, 190, 4)]) > 0
    image = picture([(CELLS > 0, 30), (granules, 150)], background=20).astype(kind)
    found = cells_without_nuclei(image, unit="foreground")
    assert set(np.unique(found)) == {0, 1}
    assert iou_of(CELLS > 0, found > 0, True) > 0.9


def test_nothing_stands_out_of_a_flat_image() -> None:
    assert not foreground(np.full((9, 9), 7, np.uint8)).any()


def test_unit_that_is_none() -> None:
    with pytest.raises(ValueError, match="'cell'"):
        cells_without_nuclei(np.zeros((2, 2)), unit="cell")
