from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import roifile
import tifffile
from PIL import Image as PillowImage

from quantify.runs import SETTINGS, draw
from sgseg.images.read import Image, read_image
from sgseg.images.rois import read_rois
from sgseg.inference.predict import Task
from sgseg.quantify.field import FieldImages, Found, Measured, measure_field
from sgseg.quantify.files import Outputs, Paths, write_field

TASK = Task(Path("images/day 1/a.tif"), "day 1/a")
IMAGE, LABELS = draw()
IMAGES = FieldImages(Image(IMAGE[0], 16, 0.5, "channel 0"), IMAGE[1])
DEVIATION = np.full(LABELS.shape, 0.25, np.float32)
FOUND = Found(LABELS, deviation=DEVIATION)


@pytest.fixture(scope="module")
def measured() -> Measured:
    return measure_field("day 1/a", IMAGES, FOUND, settings=SETTINGS)


def write(out: Path, measured: Measured, outputs: Outputs | None = None) -> list[str]:
    written = write_field(
        out, TASK, IMAGES, found=FOUND, measured=measured, outputs=outputs or Outputs()
    )
    there = sorted(path for path in out.rglob("*") if path.is_file())
    assert sorted(written) == there
    return [path.relative_to(out).as_posix() for path in there]


def test_files_of_a_field(tmp_path: Path, measured: Measured) -> None:
    assert write(tmp_path, measured) == [
        "cells/day 1/a.tif",
        "masks/day 1/a.tif",
        "nuclei/day 1/a.tif",
        "overlays/day 1/a.png",
        "rois/day 1/a.zip",
    ]
    with tifffile.TiffFile(tmp_path / "masks/day 1/a.tif") as file:
        assert np.array_equal(file.asarray(), measured.granules)
        assert file.imagej_metadata is not None
        assert file.imagej_metadata["unit"] == "um"
        assert file.pages.first.tags["XResolution"].value == (2, 1)  # pixels per um
    for name, labels in (("cells", measured.cells), ("nuclei", measured.nuclei)):
        assert np.array_equal(tifffile.imread(tmp_path / name / "day 1/a.tif"), labels)
    assert PillowImage.open(tmp_path / "overlays/day 1/a.png").size == LABELS.shape[::-1]


def test_outlines_are_those_of_the_granules(tmp_path: Path, measured: Measured) -> None:
    write(tmp_path, measured)
    path = tmp_path / "rois/day 1/a.zip"
    assert np.array_equal(read_rois(path, LABELS.shape), measured.granules)
    rois = roifile.roiread(path)
    assert [roi.name for roi in rois] == ["00001", "00002", "00003"]
    # A square of 3 x 3 px around row 14, column 14, from edge to edge.
    points = rois[0].coordinates()
    assert points.min(axis=0).tolist() == [13, 13]
    assert points.max(axis=0).tolist() == [16, 16]


def test_what_is_asked_for_beside(tmp_path: Path, measured: Measured) -> None:
    outputs = Outputs(overlay=False, uncertainty=True, ome_tiff=True)
    names = write(tmp_path, measured, outputs)
    assert {"ome/day 1/a.ome.tif", "uncertainty/day 1/a.tif"} <= set(names)
    assert "overlays/day 1/a.png" not in names
    assert np.array_equal(tifffile.imread(tmp_path / "uncertainty/day 1/a.tif"), DEVIATION)


def test_ome_tiff_holds_image_and_labels_with_their_names(
    tmp_path: Path, measured: Measured
) -> None:
    write(tmp_path, measured, Outputs(ome_tiff=True))
    path = tmp_path / "ome/day 1/a.ome.tif"
    for name, expected in (
        ("SG marker", IMAGE[0]),
        ("nuclear channel", IMAGE[1]),
        ("granules (labels)", measured.granules),
        ("cells (labels)", measured.cells),
        ("nuclei (labels)", measured.nuclei),
    ):
        found = read_image(path, channel=name)
        assert np.array_equal(found.pixels, expected), name
        assert found.pixel_size_um == 0.5
    first = path.read_bytes()
    write(tmp_path, measured, Outputs(ome_tiff=True))
    assert path.read_bytes() == first


def test_masks_beside_the_tables_are_named_as_predict_names_them(
    tmp_path: Path, measured: Measured
) -> None:
    names = write(tmp_path, measured, Outputs(uncertainty=True, beside=True))
    assert names == [
        "cells/day 1/a.tif",
        "day 1/a_mask.tif",
        "day 1/a_overlay.png",
        "day 1/a_uncertainty.tif",
        "nuclei/day 1/a.tif",
        "rois/day 1/a.zip",
    ]


def test_files_of_an_earlier_run_that_are_none_now_go(tmp_path: Path, measured: Measured) -> None:
    write(tmp_path, measured, Outputs(ome_tiff=True, uncertainty=True))
    nothing = measure_field(
        "day 1/a",
        FieldImages(IMAGES.granules),
        Found(np.zeros_like(LABELS)),
        settings=SETTINGS.__class__("image"),
    )
    paths = Paths.of(tmp_path, TASK, Outputs())
    assert write(tmp_path, nothing, Outputs(overlay=False)) == [
        "cells/day 1/a.tif",
        "masks/day 1/a.tif",
    ]
    assert not paths.rois.exists()
