"""ImageJ outlines to labels and back."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from roifile import ROI_OPTIONS, ROI_TYPE, ImagejRoi

from sgseg.errors import InputError
from sgseg.images import rois
from sgseg.images.rois import read_rois, write_rois

from .examples import roi, roi_zip

SHAPE = (20, 30)


def saved(tmp_path: Path, *shapes: ImagejRoi) -> Path:
    path = tmp_path / "a.zip"
    entries = [(f"{index}.roi", shape.tobytes()) for index, shape in enumerate(shapes)]
    path.write_bytes(roi_zip(*entries))
    return path


def box(kind: ROI_TYPE, left: int, top: int, right: int, bottom: int) -> ImagejRoi:
    return ImagejRoi(roitype=kind, left=left, top=top, right=right, bottom=bottom)


def test_polygon_covers_the_pixels_between_its_corners(tmp_path: Path) -> None:
    # Corners (2, 2) to (5, 5) enclose the pixels 2, 3, 4 in both directions.
    (tmp_path / "a.roi").write_bytes(roi(2, 2))
    expected = np.zeros(SHAPE, dtype=np.int32)
    expected[2:5, 2:5] = 1
    assert np.array_equal(read_rois(tmp_path / "a.roi", SHAPE), expected)


def test_rectangle_and_oval(tmp_path: Path) -> None:
    path = saved(tmp_path, box(ROI_TYPE.RECT, 1, 2, 4, 6), box(ROI_TYPE.OVAL, 10, 5, 15, 10))
    labels = read_rois(path, SHAPE)
    expected = np.zeros(SHAPE, dtype=bool)
    expected[2:6, 1:4] = True
    assert np.array_equal(labels == 1, expected)
    # A circle of diameter 5: centres at most 2.5 px from (12.5, 7.5); of the 5 x 5 pixels only the
    # corners, at 2.83 px, are outside: 25 - 4 = 21.
    assert (labels == 2).sum() == 21
    assert not labels[5, 10]


def test_subpixel_polygon(tmp_path: Path) -> None:
    # From 2.6 to 4.4: only the centre 3.5 lies between.
    corners = np.array([(2.6, 2.6), (4.4, 2.6), (4.4, 4.4), (2.6, 4.4)])
    labels = read_rois(saved(tmp_path, ImagejRoi.frompoints(corners, name="a")), SHAPE)
    assert np.argwhere(labels).tolist() == [[3, 3]]


def test_subpixel_rectangle(tmp_path: Path) -> None:
    shape = ImagejRoi(
        roitype=ROI_TYPE.RECT,
        options=ROI_OPTIONS.SUB_PIXEL_RESOLUTION,
        left=2,
        top=2,
        right=5,
        bottom=5,
        xd=2.6,
        yd=2.6,
        widthd=1.8,
        heightd=1.8,
    )
    labels = read_rois(saved(tmp_path, shape), SHAPE)
    assert np.argwhere(labels).tolist() == [[3, 3]]


def test_of_overlapping_outlines_the_first_keeps_the_pixels(tmp_path: Path) -> None:
    first, second = box(ROI_TYPE.RECT, 2, 2, 6, 6), box(ROI_TYPE.RECT, 4, 2, 8, 6)
    labels = read_rois(saved(tmp_path, first, second), SHAPE)
    assert labels[2, 2:8].tolist() == [1, 1, 1, 1, 2, 2]


def test_a_copy_of_an_outline_gets_no_label(tmp_path: Path) -> None:
    one, other = box(ROI_TYPE.RECT, 2, 2, 6, 6), box(ROI_TYPE.RECT, 10, 2, 12, 6)
    assert read_rois(saved(tmp_path, one, one, other), SHAPE).max() == 2


def test_what_lies_beyond_the_border_is_cut_off(tmp_path: Path) -> None:
    labels = read_rois(saved(tmp_path, box(ROI_TYPE.RECT, -3, 18, 2, 25)), SHAPE)
    assert np.argwhere(labels).tolist() == [[18, 0], [18, 1], [19, 0], [19, 1]]


def test_every_outline_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    line = ImagejRoi(roitype=ROI_TYPE.LINE, x1=1, y1=1, x2=5, y2=5)
    round_corners = box(ROI_TYPE.RECT, 1, 1, 9, 9)
    round_corners.rounded_rect_arc_size = 5
    path = saved(tmp_path, line, box(ROI_TYPE.RECT, 40, 2, 50, 6), round_corners)
    with pytest.raises(InputError) as caught:
        read_rois(path, SHAPE)
    said = [str(problem) for problem in caught.value.problems]
    assert "0.roi: a line, which encloses no area" in said[0]
    assert "1.roi: lies outside of the image; expected an outline inside 30 x 20" in said[1]
    assert "2.roi: a rectangle with rounded corners" in said[2]


def test_names_in_a_zip_are_never_used_as_paths(tmp_path: Path) -> None:
    folder = tmp_path / "inner" / "deep"
    folder.mkdir(parents=True)
    path = folder / "a.zip"
    path.write_bytes(roi_zip(("../../evil.roi", roi()), ("/tmp/evil.roi", roi(10, 10))))
    assert read_rois(path, SHAPE).max() == 2
    assert [item.name for item in tmp_path.rglob("*") if item.is_file()] == ["a.zip"]


def test_other_files_in_a_zip_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(
        roi_zip(("a.roi", roi()), ("__MACOSX/._a.roi", b"junk"), ("readme.txt", b"junk"))
    )
    assert read_rois(path, SHAPE).max() == 1
    path.write_bytes(roi_zip(("readme.txt", b"junk")))
    with pytest.raises(InputError, match="a zip without ImageJ outlines"):
        read_rois(path, SHAPE)


def test_a_zip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.roi", roi() + bytes(2_000_000))
    path = tmp_path / "a.zip"
    path.write_bytes(buffer.getvalue())
    assert path.stat().st_size < 10_000
    monkeypatch.setattr(rois, "MAX_BYTES", 1_000_000)
    with pytest.raises(InputError, match="more than 1,000,000 bytes of outlines"):
        read_rois(path, SHAPE)


@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(labels=arrays(np.int32, (9, 12), elements=st.integers(0, 3)))
def test_labels_to_outlines_and_back(tmp_path: Path, labels: np.ndarray) -> None:
    # Random labels have holes, separate pieces and pixels that touch by a corner.
    _, dense = np.unique(np.append(labels, 0), return_inverse=True)
    labels = dense[:-1].reshape(labels.shape)
    path = tmp_path / "a.zip"
    write_rois(path, labels)
    if labels.any():
        assert np.array_equal(read_rois(path, labels.shape), labels)


def test_the_same_labels_give_the_same_bytes(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[3:9, 4:12], labels[5:7, 6:8] = 1, 0
    write_rois(tmp_path / "a.zip", labels)
    write_rois(tmp_path / "b.zip", labels)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_plain_object_is_one_polygon_that_fiji_shows_as_such(tmp_path: Path) -> None:
    labels = np.zeros(SHAPE, dtype=np.int32)
    labels[3:9, 4:12] = 1
    write_rois(tmp_path / "a.zip", labels)
    (written,) = ImagejRoi.fromfile(tmp_path / "a.zip")
    assert (written.roitype, written.name) == (ROI_TYPE.TRACED, "00001")
    assert sorted(written.coordinates().tolist()) == [[4, 3], [4, 9], [12, 3], [12, 9]]
