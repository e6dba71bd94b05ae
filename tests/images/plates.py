"""Plates of OME-Zarr, 0.4 and 0.5, as a microscope's software writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray


def attributes(group: zarr.Group, content: dict[str, Any], version: str) -> None:
    if version == "0.4":
        group.attrs.update(content)
    else:
        group.attrs.update({"ome": {"version": version, **content}})


def write_image(
    path: Path,
    pixels: NDArray[Any],
    *,
    version: str = "0.4",
    axes: str = "cyx",
    names: tuple[str, ...] = ("G3BP1", "DAPI"),
    pixel_size_um: float | None = 0.5,
    dataset: str = "0",
) -> Path:
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    kinds = {"t": "time", "c": "channel"}
    described: list[dict[str, Any]] = []
    for axis in axes:
        described.append({"name": axis, "type": kinds.get(axis, "space")})
        if axis in "zyx" and pixel_size_um is not None:
            described[-1]["unit"] = "micrometer"
    scale = [(pixel_size_um or 1.0) if axis in "zyx" else 1.0 for axis in axes]
    multiscale: dict[str, Any] = {
        "axes": described,
        "datasets": [
            {
                "path": dataset,
                "coordinateTransformations": [{"type": "scale", "scale": scale}],
            }
        ],
    }
    if version == "0.4":
        multiscale["version"] = version
    channels = [
        {"label": name, "color": "FFFFFF", "window": {"min": 0, "max": 9, "start": 0, "end": 9}}
        for name in names
    ]
    attributes(group, {"multiscales": [multiscale], "omero": {"channels": channels}}, version)
    chunks = (*(1 for _ in axes[:-2]), 32, 32)
    options: dict[str, Any] = {"dimension_names": list(axes)} if version == "0.5" else {}
    array = group.create_array(
        "0", shape=pixels.shape, chunks=chunks, dtype=pixels.dtype, **options
    )
    array[:] = pixels
    return path


def write_plate(path: Path, wells: dict[str, list[NDArray[Any]]], *, version: str = "0.4") -> Path:
    """Fields (C, H, W) of each well, such as "A/1"."""
    form = 2 if version == "0.4" else 3
    group = zarr.open_group(str(path), mode="w", zarr_format=form)
    rows = sorted({well.split("/")[0] for well in wells})
    columns = sorted({well.split("/")[1] for well in wells})
    plate: dict[str, Any] = {
        "name": "test",
        "rows": [{"name": row} for row in rows],
        "columns": [{"name": column} for column in columns],
        "wells": [
            {
                "path": well,
                "rowIndex": rows.index(well.split("/")[0]),
                "columnIndex": columns.index(well.split("/")[1]),
            }
            for well in wells
        ],
    }
    if version == "0.4":
        plate["version"] = version
    attributes(group, {"plate": plate}, version)
    for well, fields in wells.items():
        row = well.split("/")[0]
        if not (path / row).exists():
            zarr.open_group(str(path / row), mode="w", zarr_format=form)
        inner = zarr.open_group(str(path / well), mode="w", zarr_format=form)
        images = {"images": [{"path": str(number)} for number in range(len(fields))]}
        if version == "0.4":
            images["version"] = version  # type: ignore[assignment]
        attributes(inner, {"well": images}, version)
        for number, pixels in enumerate(fields):
            write_image(path / well / str(number), pixels, version=version)
    return path


def stack(*, seed: int = 0, shape: tuple[int, int] = (60, 80)) -> NDArray[np.uint16]:
    """(2, H, W), all values different from channel to channel."""
    rng = np.random.default_rng(seed)
    pixels: NDArray[np.uint16] = rng.integers(0, 2**12, (2, *shape)).astype(np.uint16)
    return pixels
