"""OME-Zarr 0.4 and 0.5: plates (HCS layout) and single images, and label images beside them.

Pixels are read plane by plane of the channel asked for, at full resolution. What metadata point to
must lie inside the folder: a path or link that leads out of it is refused.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sgseg.errors import InputError, Problem
from sgseg.images.calibration import believable, unit_in_um
from sgseg.images.planes import Layout, Opened, Pixels, check_size, decoding
from sgseg.images.write import OUTLINE

KIND = "OME-Zarr"
V2, V3 = (".zgroup", ".zattrs"), "zarr.json"
LABELS, GRANULES = "labels", "granules"
CHUNK_PX = 1024
MOST_METADATA = 16 * 2**20
"""Bytes; a plate of 1536 wells has less than one."""


def is_zarr(path: Path) -> bool:
    """Whether a folder is a group of Zarr, by what lies in it."""
    return path.is_dir() and ((path / V3).is_file() or any((path / n).is_file() for n in V2))


def find_zarr(path: Path) -> list[tuple[str, Path]]:
    """The images of a plate, by well and field (`A/1/0`), or the one image, by its own name.

    Raises
    ------
    InputError
        It is neither, or what it names is missing or lies outside of it.
    """
    content = _attributes(path)
    if "plate" not in content:
        if "multiscales" not in content:
            raise _refuse(path, "neither a plate nor an image", "the folder of one of them")
        name = path.name.removesuffix(".zarr").removesuffix(".ome")
        return [(name, path)]
    found = []
    for well in _list(path, content["plate"], "wells"):
        folder = _inside(path, path, well.get("path"))
        images = _list(folder, _attributes(folder).get("well"), "images")
        for image in images:
            place = _inside(path, folder, image.get("path"))
            found.append((place.relative_to(path).as_posix(), place))
    if not found:
        raise _refuse(path, "a plate without images")
    return found


def root_of(path: Path) -> Path:
    """The outermost group of Zarr around an image: its plate."""
    while is_zarr(path.parent):
        path = path.parent
    return path


def zarr_files(path: Path) -> list[Path]:
    """All files of an image, sorted, without its label images.

    Raises
    ------
    InputError
        One is a link that leads out of the plate.
    """
    root, found = root_of(path).resolve(), []
    for parent, folders, names in os.walk(path):
        if Path(parent) == path and LABELS in folders:
            folders.remove(LABELS)
        for name in (*folders, *names):
            inner = Path(parent, name)
            if inner.is_symlink() and not inner.resolve().is_relative_to(root):
                raise _refuse(inner, "a link that leads out of the folder", "files inside it")
        found += [Path(parent, name) for name in names]
    return sorted(found)


@contextmanager
def open_zarr(path: Path, max_pixels: int) -> Iterator[Opened]:
    """Open an image of OME-Zarr; see `open_file`."""
    import zarr  # noqa: PLC0415

    zarr_files(path)
    scales = _multiscale(path)
    level = _list(path, scales, "datasets")[0]
    place = _inside(root_of(path), path, level.get("path"))
    with decoding(path, KIND):
        array = zarr.open_array(str(place), mode="r")
        axes = [str(a["name"] if isinstance(a, dict) else a).lower() for a in scales["axes"]]
        sizes = dict(zip(axes, array.shape, strict=True))
    if axes[-2:] != ["y", "x"] or set(axes) - set("tczyx"):
        raise _refuse(path, f"axes {', '.join(axes)}", "t, c, z, y, x")
    if sizes.get("t", 1) > 1:
        remedy = "Save each time point as an image."
        raise _refuse(path, f"{sizes['t']} time points", "one", remedy)
    channels, slices = sizes.get("c", 1), sizes.get("z", 1)
    layout = Layout(
        KIND,
        sizes["y"],
        sizes["x"],
        array.dtype,
        channels,
        slices,
        names=_names(path, channels),
        pixel_size=_pixel_size(path, scales, level),
    )

    def load(channel: int | None) -> Pixels:
        chosen = range(channels) if channel is None else [channel]
        pixels = np.empty((len(chosen), slices, layout.height, layout.width), array.dtype)
        with decoding(path, KIND):
            for place, number in enumerate(chosen):
                for z in range(slices):
                    at = {"t": 0, "c": number, "z": z}
                    index = tuple(at[axis] for axis in axes[:-2])
                    _copy_plane(array, index, pixels[place, z])
        return pixels

    opened = Opened(path, layout, load, lambda one: slices * (channels if one is None else 1))
    check_size(path, layout, planes=1, max_pixels=max_pixels)
    yield opened


def _copy_plane(array: Any, index: tuple[int, ...], plane: Pixels) -> None:
    """Chunk by chunk: a compressed plane is never in memory as a whole beside its pixels."""
    height = max(1, array.chunks[-2]) * max(1, 2048 // max(1, array.chunks[-2]))
    for top in range(0, plane.shape[0], height):
        plane[top : top + height] = array[(*index, slice(top, top + height))]


def _multiscale(path: Path) -> Mapping[str, Any]:
    content = _attributes(path).get("multiscales")
    if isinstance(content, list) and content and isinstance(content[0], dict):
        scales: Mapping[str, Any] = content[0]
        if isinstance(scales.get("axes"), list) and isinstance(scales.get("datasets"), list):
            return scales
    raise _refuse(path, "no image of OME-Zarr (no multiscales)", "version 0.4 or 0.5")


def _names(path: Path, channels: int) -> tuple[str, ...]:
    omero = _attributes(path).get("omero")
    found = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(found, list) or len(found) != channels:
        return ("",) * channels
    return tuple(str(c.get("label") or "") if isinstance(c, dict) else "" for c in found)


def _pixel_size(
    path: Path, scales: Mapping[str, Any], level: Mapping[str, Any]
) -> tuple[float, float] | None:
    """(x, y) in um; scales of the level and of the whole multiply."""
    total = np.ones(len(scales["axes"]))
    for transform in [
        *(level.get("coordinateTransformations") or []),
        *(scales.get("coordinateTransformations") or []),
    ]:
        if isinstance(transform, dict) and transform.get("type") == "scale":
            with decoding(path, KIND):
                total = total * np.array(transform["scale"], float)
    sizes = []
    for place in (-1, -2):
        axis = scales["axes"][place]
        unit = unit_in_um(str(axis.get("unit") or "")) if isinstance(axis, dict) else None
        sizes.append(None if unit is None else believable(float(total[place]) * unit))
    x, y = sizes
    return None if x is None or y is None else (x, y)


def _attributes(path: Path) -> dict[str, Any]:
    """What the group says of itself, of either version."""
    for name in (V3, ".zattrs"):
        file = path / name
        if not file.is_file():
            continue
        if file.stat().st_size > MOST_METADATA:
            raise _refuse(file, "metadata of more than 16 MB")
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise _refuse(file, f"cannot be read ({' '.join(str(error).split())[:120]})") from None
        if isinstance(content, dict) and name == V3:
            content = content.get("attributes", {})
            content = content.get("ome", content) if isinstance(content, dict) else content
        if isinstance(content, dict):
            return content
        raise _refuse(file, "no metadata of OME-Zarr")
    raise _refuse(path, "no group of Zarr")


def _list(path: Path, content: Any, name: str) -> list[Mapping[str, Any]]:
    found = content.get(name) if isinstance(content, dict) else None
    if not isinstance(found, list) or not found or not all(isinstance(x, dict) for x in found):
        raise _refuse(path, f"its metadata name no {name}")
    return found


def _inside(root: Path, folder: Path, relative: Any) -> Path:
    """A path that metadata name, if it is one inside the plate."""
    if not isinstance(relative, str) or not relative:
        raise _refuse(folder, f"its metadata name the path {relative!r}", "a relative path")
    parts = PurePosixPath(relative).parts
    place = folder.joinpath(*parts)
    leaves = PurePosixPath(relative).is_absolute() or ".." in parts or "\\" in relative
    if leaves or not place.resolve().is_relative_to(root.resolve()):
        raise _refuse(folder, f"its metadata point out of the folder ({relative!r})")
    if not place.is_dir():
        raise _refuse(folder, f"{relative} is missing")
    return place


def _refuse(path: Path, what: str, expected: str = "", remedy: str = "") -> InputError:
    return InputError(Problem(str(path), what, expected, remedy))


def write_zarr_labels(path: Path, labels: NDArray[np.integer], *, name: str = GRANULES) -> None:
    """Write a label image (H, W) into `labels/<name>` of an image, in the image's own version.

    Chunk by chunk under a temporary name, then renamed: it is there whole or not at all. An earlier
    one of this name is replaced.

    Raises
    ------
    InputError
        The image cannot be read, or its size is another.
    """
    import zarr  # noqa: PLC0415

    scales = _multiscale(path)
    version = 3 if (path / V3).is_file() else 2
    axes = [axis for axis in scales["axes"] if _axis(axis) in {"y", "x"}]
    kind = np.uint16 if int(labels.max(initial=0)) < 2**16 else np.uint32
    level = _list(path, scales, "datasets")[0]
    scale = np.ones(2)
    for transform in level.get("coordinateTransformations") or []:
        if transform.get("type") == "scale":
            scale = np.array(transform["scale"], float)[-2:]
    group = path / LABELS
    if group.is_symlink() or (group / name).is_symlink():
        raise _refuse(group, "a link", "a folder")
    group.mkdir(exist_ok=True)
    number = "0.4" if version == 2 else "0.5"
    multiscale: dict[str, Any] = {
        "name": name,
        "axes": axes,
        "datasets": [
            {
                "path": "0",
                "coordinateTransformations": [{"type": "scale", "scale": scale.tolist()}],
            }
        ],
    }
    # A colour for the first label, as viewers want one; they find others for the rest.
    colour = {"label-value": 1, "rgba": [*OUTLINE, 255]}
    label: dict[str, Any] = {"colors": [colour], "source": {"image": "../../"}}
    if version == 2:
        multiscale["version"] = label["version"] = number
    content = {"multiscales": [multiscale], "image-label": label}
    scratch = Path(tempfile.mkdtemp(prefix=f".{name}.", suffix=".part", dir=group))
    try:
        made = zarr.open_group(str(scratch), mode="w", zarr_format=version)
        made.attrs.update(content if version == 2 else {"ome": {"version": number, **content}})
        side = min(CHUNK_PX, max(labels.shape))
        options: dict[str, Any] = {"dimension_names": ["y", "x"]} if version == 3 else {}
        array = made.create_array(
            "0", shape=labels.shape, chunks=(side, side), dtype=kind, fill_value=0, **options
        )
        for top in range(0, labels.shape[0], side):
            array[top : top + side] = labels[top : top + side].astype(kind)
        umask = os.umask(0)
        os.umask(umask)
        scratch.chmod(0o777 & ~umask)
        shutil.rmtree(group / name, ignore_errors=True)
        scratch.rename(group / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    parent = zarr.open_group(str(group), mode="a", zarr_format=version)
    known = dict(parent.attrs).get("ome", {}) if version == 3 else dict(parent.attrs)
    names = list(dict.fromkeys([*known.get("labels", []), name]))
    listed = {**known, "labels": names}
    parent.attrs.update(listed if version == 2 else {"ome": {"version": number, **listed}})


def has_zarr_labels(path: Path, name: str = GRANULES) -> bool:
    """Whether an image has label images of this name."""
    return is_zarr(path / LABELS / name)


def _axis(axis: Any) -> str:
    return str(axis.get("name") if isinstance(axis, dict) else axis).lower()
