from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from quantify.runs import CELLS, GRANULES, SETTINGS, disk, draw, write_image
from sgseg.errors import InputError
from sgseg.images.read import Image
from sgseg.quantify.field import (
    UNKNOWN_SIZE,
    FieldImages,
    Found,
    Measured,
    measure_field,
    nuclear_channel,
    read_field,
)
from sgseg.quantify.settings import Channels, Counted, Settings
from sgseg.quantify.split import SplitOptions

IMAGE, LABELS = draw()


def images(*, size: float | None = 0.5, nuclei: bool = True) -> FieldImages:
    channel = Image(IMAGE[0], 16, size, "channel 0")
    return FieldImages(channel, IMAGE[1] if nuclei else None)


def measured(unit: Counted = "cells", **changes: object) -> Measured:
    settings = replace(SETTINGS, unit=unit)
    nuclei = unit in {"cells", "nuclei"}
    return measure_field("a", images(nuclei=nuclei), Found(LABELS), settings=settings, **changes)


def test_granules_are_counted_in_cells() -> None:
    found = measured()
    # All three lie in the left cell, whose label is that of its nucleus; 9 px of 0.25 um2 each.
    assert found.cells_table["n_granules"].tolist() == [3, 0]
    assert found.cells_table["granule_area_um2"].tolist() == [3 * 9 * 0.25, 0]
    assert found.granules_table["cell"].tolist() == [1, 1, 1]
    assert found.granules_table["row_px"].tolist() == [row for row, _ in GRANULES]
    # (1000 - 100) / (300 - 100), up to the noise of 3 counts.
    assert found.granules_table["partition_coefficient"].to_numpy() == pytest.approx(4.5, abs=0.1)
    assert found.row["granules_per_cell"] == 1.5
    assert found.row["positive_fraction"] == 0.5
    assert found.row["warnings"] == ""
    assert found.nuclei is not None


def test_nuclei_that_stand_for_cells() -> None:
    found = measured("nuclei")
    assert np.array_equal(found.cells, found.nuclei)
    # The granules lie in the cytoplasm.
    assert found.row["n_granules_outside"] == 3
    assert found.granules_table["distance_to_nucleus_um"].isna().all()


def test_an_image_that_is_one_cell() -> None:
    found = measured("image")
    assert (found.cells == 1).all()
    assert found.nuclei is None
    assert found.cells_table["n_granules"].tolist() == [3]
    assert found.cells_table["is_counted"].tolist() == [True]
    assert found.granules_table["cell"].tolist() == [1, 1, 1]
    # What lies outside of the cell in the image tells the camera's level.
    assert found.granules_table["partition_coefficient"].to_numpy() == pytest.approx(4.5, abs=0.1)
    assert found.granules_table["distance_to_cell_edge_um"].isna().all()


def test_foreground_is_no_cell_of_which_one_knows_the_edge() -> None:
    found = measured("foreground")
    both = disk(LABELS.shape, CELLS[0], 17) | disk(LABELS.shape, CELLS[1], 17)
    assert (found.cells[both] > 0).mean() > 0.9
    assert len(found.cells_table) == 0
    assert found.row["n_cells"] is None
    assert found.granules_table["cell"].isna().all()
    assert found.granules_table["distance_to_cell_edge_um"].isna().all()
    assert found.granules_table["partition_coefficient"].to_numpy() == pytest.approx(4.5, abs=0.1)


def test_cells_and_nuclei_made_elsewhere() -> None:
    cells = np.zeros(LABELS.shape, np.int32)
    cells[:, :42], cells[:, 42:] = 7, 9
    nuclei = disk(LABELS.shape, CELLS[0], 6).astype(np.int32) * 3
    found = measured(cells=cells, nuclei=nuclei)
    assert found.cells is cells
    assert found.nuclei is nuclei
    assert found.cells_table["cell"].tolist() == [7, 9]
    assert found.cells_table["n_nuclei"].tolist() == [1, 0]
    assert found.granules_table["cell"].tolist() == [7, 7, 7]
    grown = measured(nuclei=nuclei)
    assert np.unique(grown.cells).tolist() == [0, 3]


def test_a_granule_that_was_cut_keeps_the_uncertainty_of_the_whole() -> None:
    labels = np.zeros(LABELS.shape, np.int32)
    labels[disk(labels.shape, (20, 15), 5) | disk(labels.shape, (20, 24), 5)] = 1
    labels[40:43, 20:23] = 2
    found = Found(labels, uncertainty=np.array([0.25, 0.5]), field_uncertainty=0.3)
    cut = measure_field("a", images(), found, settings=SETTINGS)
    assert cut.granules_table["uncertainty"].tolist() == [0.25, 0.5, 0.25]
    assert cut.row["uncertainty"] == 0.3
    whole = replace(SETTINGS, split=SplitOptions("none"))
    assert measure_field("a", images(), found, settings=whole).row["n_granules"] == 2


def test_no_nucleus_no_cell_and_a_warning() -> None:
    dark = replace(images(), nuclei=np.full(LABELS.shape, 50, np.uint16))
    found = measure_field("a", dark, Found(LABELS, warnings=("blurred",)), settings=SETTINGS)
    assert len(found.cells_table) == 0
    assert found.row["warnings"].split(" | ") == ["blurred", "no cells found"]


def test_an_unknown_pixel_size_is_said() -> None:
    found = measure_field("a", images(size=None), Found(LABELS), settings=SETTINGS)
    assert found.row["warnings"] == UNKNOWN_SIZE
    assert "area_px2" in found.granules_table
    assert "area_um2" not in found.granules_table


def test_nothing_found() -> None:
    nothing = Found(np.zeros_like(LABELS), uncertainty=np.zeros(0), field_uncertainty=0.0)
    found = measure_field("a", images(), nothing, settings=SETTINGS)
    assert len(found.granules_table) == 0
    assert found.cells_table["n_granules"].tolist() == [0, 0]


def test_a_second_marker() -> None:
    both = replace(images(), marker=IMAGE[0])
    found = measure_field("a", both, Found(LABELS), settings=SETTINGS)
    assert found.row["pearson_all"] == pytest.approx(1)
    assert measured().row["pearson_all"] is None


def test_channels_of_a_file(tmp_path: Path) -> None:
    write_image(tmp_path / "a.tif", IMAGE)
    found = read_field(tmp_path / "a.tif", Channels(0, 1, marker=1))
    assert np.array_equal(found.pixels, IMAGE[0])
    assert np.array_equal(found.nuclei, IMAGE[1])
    assert np.array_equal(found.marker, IMAGE[1])
    assert found.cells is None
    assert found.pixel_size_um == pytest.approx(0.5)
    assert read_field(tmp_path / "a.tif", Channels(0), pixel_size_um=0.2).pixel_size_um == 0.2
    named = Channels(0, pixel_size_um=0.3)
    assert read_field(tmp_path / "a.tif", named).pixel_size_um == 0.3
    with pytest.raises(InputError, match="no channel 2"):
        read_field(tmp_path / "a.tif", Channels(0, 2))


def test_a_stack_is_projected_in_all_channels(tmp_path: Path) -> None:
    stack = np.stack([IMAGE, IMAGE // 2])
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, stack, ome=True, metadata={"axes": "ZCYX"})
    found = read_field(path, Channels(0, 1, projection="max"))
    assert np.array_equal(found.pixels, IMAGE[0])
    assert np.array_equal(found.nuclei, IMAGE[1])


def test_defaults_are_those_of_settings() -> None:
    pd.testing.assert_frame_equal(
        measure_field("a", images(), Found(LABELS)).granules_table,
        measure_field("a", images(), Found(LABELS), settings=Settings()).granules_table,
    )


@pytest.mark.parametrize(
    ("names", "channel"),
    [
        (["G3BP1", "DNA"], 1),
        (["c:1/2 - DAPI", "c:2/2 - TIA1"], 0),
        (["Hoechst 33342", "DAPI"], None),  # which?
        (["green", "red"], None),
    ],
)
def test_nuclei_are_found_by_the_name_of_a_channel(
    names: list[str], channel: int | None, tmp_path: Path
) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "CYX", "Labels": names}
    tifffile.imwrite(path, np.zeros((2, 8, 9), np.uint8), imagej=True, metadata=metadata)
    assert nuclear_channel(path) == channel


def test_a_file_without_names_shows_no_nuclei(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((8, 9), np.uint8))
    assert nuclear_channel(tmp_path / "a.tif") is None
