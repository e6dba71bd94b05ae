"""The files of a field that people open: label images, outlines, overlays, OME-TIFF."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import tifffile
from numpy.typing import NDArray

from sgseg.images.maps import write_map
from sgseg.images.rois import write_rois
from sgseg.images.write import replacing, write_labels
from sgseg.inference.predict import Task
from sgseg.quantify.field import FieldImages, Found, Measured
from sgseg.quantify.overlays import field_overlay, write_overlay

FOLDERS = ("masks", "cells", "nuclei", "rois", "overlays", "uncertainty", "ome")


@dataclass(frozen=True)
class Outputs:
    """Which files are written for each field, beside the tables.

    Attributes
    ----------
    overlay
        The image with outlines, PNG.
    uncertainty
        Where the model's networks disagree, float32 TIFF.
    ome_tiff
        Image and label images in one OME-TIFF.
    beside
        Masks, overlays and maps lie beside the tables, named as `sgseg predict` names them.
    """

    overlay: bool = True
    uncertainty: bool = False
    ome_tiff: bool = False
    beside: bool = False


@dataclass(frozen=True)
class Paths:
    """Where the files of a field go."""

    masks: Path
    cells: Path
    nuclei: Path
    rois: Path
    overlays: Path
    uncertainty: Path
    ome: Path

    @classmethod
    def of(cls, out: Path, task: Task, outputs: Outputs) -> Paths:
        """Of one field; folders inside the images' folder are folders here as well."""
        endings = {"rois": ".zip", "overlays": ".png", "ome": ".ome.tif"}
        paths = {
            folder: out / folder / f"{task.name}{endings.get(folder, '.tif')}" for folder in FOLDERS
        }
        if outputs.beside:
            paths["masks"], paths["overlays"], paths["uncertainty"] = task.result_paths(out)
        return cls(**paths)

    def all(self) -> Iterator[Path]:
        """All of them."""
        yield from vars(self).values()


def write_field(
    out: Path,
    task: Task,
    images: FieldImages,
    *,
    found: Found,
    measured: Measured,
    outputs: Outputs,
) -> list[Path]:
    """Write the files of a field, each complete or not at all; those of an earlier run go.

    Returns
    -------
    list of Path
        What was written. No outlines of a field without granules, which would be no zip that Fiji
        opens; no nuclei where none are known.
    """
    paths, size = Paths.of(out, task, outputs), images.pixel_size_um
    written = [paths.masks, paths.cells]
    write_labels(paths.masks, measured.granules, pixel_size_um=size)
    write_labels(paths.cells, measured.cells, pixel_size_um=size)
    if measured.nuclei is not None:
        write_labels(paths.nuclei, measured.nuclei, pixel_size_um=size)
        written.append(paths.nuclei)
    if measured.granules.any():
        write_rois(paths.rois, measured.granules)
        written.append(paths.rois)
    if outputs.overlay:
        write_overlay(
            paths.overlays,
            field_overlay(
                images.pixels, measured.granules, cells=measured.cells, nuclei=measured.nuclei
            ),
        )
        written.append(paths.overlays)
    if found.deviation is not None and outputs.uncertainty:
        write_map(paths.uncertainty, found.deviation, pixel_size_um=size)
        written.append(paths.uncertainty)
    if outputs.ome_tiff:
        _write_ome(paths.ome, images, measured)
        written.append(paths.ome)
    for path in paths.all():
        if path not in written:
            path.unlink(missing_ok=True)
    return written


def _write_ome(path: Path, images: FieldImages, measured: Measured) -> None:
    """Write image and label images as channels of one OME-TIFF, named, with the pixel size.

    One type for all channels, as OME asks: the smallest that keeps every number.
    """
    channels: dict[str, NDArray[Any] | None] = {
        "SG marker": images.pixels,
        "nuclear channel": images.nuclei,
        "cell channel": images.cells,
        "second marker": images.marker,
        "granules (labels)": measured.granules,
        "cells (labels)": measured.cells,
        "nuclei (labels)": measured.nuclei,
    }
    planes = {name: _smallest(plane) for name, plane in channels.items() if plane is not None}
    kind = np.result_type(*planes.values())
    pixels = np.stack([plane.astype(kind) for plane in planes.values()])
    metadata: dict[str, Any] = {
        "axes": "CYX",
        "Name": path.name.removesuffix(".ome.tif"),
        "Channel": {"Name": list(planes)},
        # At random it would not be the same from run to run.
        "UUID": str(UUID(hashlib.md5(pixels.data, usedforsecurity=False).hexdigest())),
    }
    size = images.pixel_size_um
    if size is not None:
        metadata |= {f"PhysicalSize{axis}": size for axis in "XY"}
        metadata |= {f"PhysicalSize{axis}Unit": "µm" for axis in "XY"}
    with replacing(path) as temporary:
        tifffile.imwrite(
            temporary,
            pixels,
            ome=True,
            photometric="minisblack",
            compression="zlib",
            metadata=metadata,
        )


def _smallest(plane: NDArray[Any]) -> NDArray[Any]:
    """Labels in 16 bits where they fit; images as they are."""
    if plane.dtype == np.int32:
        return plane.astype(np.uint16 if plane.max(initial=0) < 2**16 else np.uint32)
    return plane
