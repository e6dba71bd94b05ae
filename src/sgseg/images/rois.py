"""ImageJ outlines (`.roi`, RoiManager `.zip`) to labels and back.

Coordinates are those of ImageJ: (0, 0) is the upper left corner of the first pixel, whose centre
is (0.5, 0.5). A pixel belongs to an outline if its centre lies inside (even-odd rule, so that holes
stay holes). Zip files are read in memory: the names inside are never used as paths.
"""

from __future__ import annotations

import io
import logging
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from roifile import ROI_TYPE, ImagejRoi

from sgseg.errors import InputError, Problem
from sgseg.images.outlines import Ring, inside, trace
from sgseg.images.planes import DAMAGED, decoding, first_bytes
from sgseg.images.write import replacing

# Outlines are small: 100,000 points are below 1 MB. 64 MB are those of some 100,000 cells.
MAX_BYTES = 64_000_000
# Windows of all outlines together, in sizes of the image; cells side by side come to 2 to 4.
MAX_COVERED = 200
MIN_COVERED_PX = 1_000_000
_AREAS = {ROI_TYPE.POLYGON, ROI_TYPE.FREEHAND, ROI_TYPE.TRACED, ROI_TYPE.RECT, ROI_TYPE.OVAL}
_MOVE, _LINE, _CLOSE = 0.0, 1.0, 4.0


def read_rois(path: str | Path, shape: tuple[int, int]) -> NDArray[np.int32]:
    """Labels (H, W): outline i is i + 1, in the order of the file.

    Of overlapping outlines the first keeps the pixels. What lies beyond the border is cut off, and
    an outline that is left without a pixel of its own (a copy of another, or one smaller than a
    pixel) gets no label.

    Raises
    ------
    InputError
        The file is missing, damaged or without outlines, holds something that encloses no area
        (lines, points, text), or an outline lies wholly outside of the image.
    """
    path = Path(path)
    labels = np.zeros(shape, dtype=np.int32)
    problems: list[Problem] = []
    count = 0
    left = MAX_COVERED * max(shape[0] * shape[1], MIN_COVERED_PX)
    for name, roi in _load(path):
        if why := _no_area(roi):
            remedy = "Delete it in Fiji's ROI Manager, or draw an area."
            problems.append(Problem(f"{path}: {name}", why, "an area", remedy))
            continue
        with decoding(path, f"ImageJ outline {name!r}"):
            rings = _rings(roi)
            rows, columns, filled = _fill(roi, rings, shape)
        left -= filled.size + sum(map(len, rings))
        if left < 0:
            what = f"outlines that cover the image more than {MAX_COVERED} times"
            raise InputError(Problem(str(path), what, "outlines of granules, cells or nuclei"))
        if not filled.size:
            expected = f"an outline inside {shape[1]} x {shape[0]} pixels"
            where, what = f"{path}: {name}", "lies outside of the image"
            problems.append(Problem(where, what, expected, "Does it belong to another image?"))
            continue
        window = labels[rows, columns]
        free = filled & (window == 0)
        if free.any():
            count += 1
            window[free] = count
    if problems:
        raise InputError(*problems)
    return labels


def write_rois(path: str | Path, labels: NDArray[np.integer]) -> None:
    """Write one outline per label, along the pixels' edges, as a zip for Fiji's ROI Manager.

    Read back, labels 1 ... n are the same pixel for pixel, holes and separate pieces included. The
    same labels give the same bytes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for label, rings in trace(labels):
            name = f"{label:05d}"
            # The fixed date of ZipInfo keeps the file the same from run to run.
            archive.writestr(zipfile.ZipInfo(f"{name}.roi"), _roi(rings, name).tobytes())
    with replacing(path) as temporary:
        temporary.write_bytes(buffer.getvalue())


def _load(path: Path) -> list[tuple[str, ImagejRoi]]:
    logging.getLogger("roifile").setLevel(logging.CRITICAL + 1)
    start = first_bytes(path)
    if start.startswith(b"Iout"):
        if path.stat().st_size > MAX_BYTES:
            raise InputError(Problem(str(path), "too large for an outline"))
        with decoding(path, "ImageJ outline"):
            return [(path.name, ImagejRoi.frombytes(path.read_bytes()))]
    if not start.startswith(b"PK"):
        expected = "a .roi file, or the .zip of Fiji's ROI Manager"
        raise InputError(Problem(str(path), "no ImageJ outlines", expected, DAMAGED))
    found: list[tuple[str, ImagejRoi]] = []
    left = MAX_BYTES
    with decoding(path, "zip of ImageJ outlines"), zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = entry.filename.rpartition("/")[2]
            if not name.lower().endswith(".roi") or name.startswith("._"):
                continue
            with archive.open(entry) as file:
                # The size that the zip states may be a lie.
                content = file.read(left + 1)
            left -= len(content)
            if left < 0:
                raise InputError(Problem(str(path), f"more than {MAX_BYTES:,} bytes of outlines"))
            found.append((name, ImagejRoi.frombytes(content)))
    if not found:
        expected = "the .zip that Fiji's ROI Manager saves"
        raise InputError(Problem(str(path), "a zip without ImageJ outlines", expected))
    return found


def _no_area(roi: ImagejRoi) -> str:
    if roi.roitype not in _AREAS or roi.subtype.name in {"TEXT", "IMAGE", "ARROW"}:
        return f"a {roi.roitype.name.lower()}, which encloses no area"
    if roi.rounded_rect_arc_size > 0 and roi.roitype == ROI_TYPE.RECT:
        return "a rectangle with rounded corners, which is not supported"
    return ""


def _rings(roi: ImagejRoi) -> list[NDArray[np.float64]]:
    """Corners (n, 2) of the closed lines that an outline consists of; x and y."""
    if roi.roitype == ROI_TYPE.OVAL or (roi.roitype == ROI_TYPE.RECT and not roi.composite):
        left, top, width, height = _box(roi)
        corners = [(0, 0), (width, 0), (width, height), (0, height)]
        return [np.array([(left + x, top + y) for x, y in corners], dtype=np.float64)]
    return [np.asarray(ring, dtype=np.float64) for ring in roi.coordinates(multi=True)]


def _fill(
    roi: ImagejRoi, rings: list[NDArray[np.float64]], shape: tuple[int, int]
) -> tuple[slice, slice, NDArray[np.bool_]]:
    """Rows, columns and filled pixels of a window of the image; empty where they do not meet."""
    rows, columns, window = inside(rings, shape)
    if roi.roitype != ROI_TYPE.OVAL or not window.size:
        return rows, columns, window
    left, top, width, height = _box(roi)
    y = (np.arange(rows.start, rows.stop) + 0.5 - top - height / 2) / (height / 2)
    x = (np.arange(columns.start, columns.stop) + 0.5 - left - width / 2) / (width / 2)
    return rows, columns, y[:, None] ** 2 + x[None, :] ** 2 <= 1


def _box(roi: ImagejRoi) -> tuple[float, float, float, float]:
    """Left, top, width, height."""
    if roi.subpixelrect:
        return roi.xd, roi.yd, roi.widthd, roi.heightd
    return roi.left, roi.top, roi.right - roi.left, roi.bottom - roi.top


def _roi(rings: list[Ring], name: str) -> ImagejRoi:
    if len(rings) == 1:
        roi = ImagejRoi.frompoints(rings[0], name=name)
        roi.roitype = ROI_TYPE.TRACED
        return roi
    path: list[float] = []
    for ring in rings:
        for index, (x, y) in enumerate(ring):
            path += [_LINE if index else _MOVE, float(x), float(y)]
        path.append(_CLOSE)
    points = np.concatenate(rings)
    roi = ImagejRoi(roitype=ROI_TYPE.RECT, name=name)
    roi.left, roi.top = (int(value) for value in points.min(axis=0))
    roi.right, roi.bottom = (int(value) for value in points.max(axis=0))
    roi.multi_coordinates = np.array(path, dtype=np.float32)
    roi.shape_roi_size = len(path)
    return roi
