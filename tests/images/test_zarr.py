"""Plates and images of OME-Zarr; what points out of the folder is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from ome_zarr_models import v04, v05
from pydantic_zarr.v2 import ArraySpec, GroupSpec

from images.plates import stack, write_image, write_plate
from sgseg.errors import InputError
from sgseg.images.read import read_image
from sgseg.images.zarr import find_zarr, is_zarr, root_of, write_zarr_labels, zarr_files

VERSIONS = ("0.4", "0.5")
MODELS = {"0.4": v04, "0.5": v05}
for model in (v04.Image, v04.Well, v04.HCS, v04.ImageLabel, v04.Labels):
    # These are written for an older Pydantic, which found the names itself.
    model.model_rebuild(_types_namespace={"ArraySpec": ArraySpec, "GroupSpec": GroupSpec})


@pytest.mark.parametrize("version", VERSIONS)
def test_the_fields_of_a_plate(version: str, tmp_path: Path) -> None:
    fields = [stack(seed=seed) for seed in range(3)]
    plate = write_plate(
        tmp_path / "p.ome.zarr", {"A/1": fields[:2], "B/2": fields[2:]}, version=version
    )
    MODELS[version].HCS.from_zarr(zarr.open_group(str(plate), mode="r"))
    found = find_zarr(plate)
    assert [name for name, _ in found] == ["A/1/0", "A/1/1", "B/2/0"]
    for (name, path), expected in zip(found, fields, strict=True):
        assert path == plate / name
        assert root_of(path) == plate
        for channel, number in ((0, 0), (1, 1), ("g3bp1", 0), ("DAPI", 1)):
            image = read_image(path, channel=channel)
            assert np.array_equal(image.pixels, expected[number])
            assert image.pixel_size_um == 0.5
    with pytest.raises(InputError, match=r"2 channels \(0: G3BP1, 1: DAPI\); expected one"):
        read_image(found[0][1])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_single_image_with_slices(version: str, tmp_path: Path) -> None:
    pixels = np.stack([stack(seed=seed) for seed in range(3)], axis=1)[None]  # T, C, Z, Y, X
    path = write_image(tmp_path / "a.ome.zarr", pixels, version=version, axes="tczyx")
    assert find_zarr(path) == [("a", path)]
    image = read_image(path, channel="DAPI", projection="max")
    assert np.array_equal(image.pixels, pixels[0, 1].max(axis=0))
    with pytest.raises(InputError, match="a Z-stack of 3 slices"):
        read_image(path, channel=0)


def test_without_names_or_size(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", stack()[0], axes="yx", names=(), pixel_size_um=None)
    image = read_image(path)
    assert np.array_equal(image.pixels, stack()[0])
    assert image.pixel_size_um is None


@pytest.mark.parametrize("version", VERSIONS)
def test_labels_beside_the_image(version: str, tmp_path: Path) -> None:
    plate = write_plate(tmp_path / "p.zarr", {"A/1": [stack()]}, version=version)
    image = plate / "A/1/0"
    before = [file.read_bytes() for file in zarr_files(image)]
    labels = np.zeros((60, 80), np.int32)
    labels[5:9, 5:9], labels[50:, 70:] = 1, 2
    for _ in range(2):  # again: in place of the first
        write_zarr_labels(image, labels)
    group = zarr.open_group(str(image / "labels"), mode="r")
    described = MODELS[version].Labels.from_zarr(group)
    known = described.attributes if version == "0.4" else described.ome_attributes
    assert known.labels == ["granules"]
    MODELS[version].ImageLabel.from_zarr(group["granules"])
    written = group["granules/0"]
    assert written.dtype == np.uint16
    assert np.array_equal(written[:], labels)
    assert [path.name for path in (image / "labels").glob(".*.part")] == []
    # The labels are no part of the image: it has not changed, and can be read as before.
    assert [file.read_bytes() for file in zarr_files(image)] == before
    assert np.array_equal(read_image(image, channel=0).pixels, stack()[0])


def change(path: Path, key: str, content: Any) -> None:
    attributes = json.loads((path / ".zattrs").read_text())
    attributes[key] = content
    (path / ".zattrs").write_text(json.dumps(attributes))


@pytest.mark.parametrize("away", ["../other", "/etc", "A/../../other", "..\\other", "", None, 7])
def test_a_well_out_of_the_plate_is_refused(away: Any, tmp_path: Path) -> None:
    write_image(tmp_path / "other", stack())
    plate = write_plate(tmp_path / "p.zarr", {"A/1": [stack()]})
    change(plate, "plate", {"wells": [{"path": away}]})
    with pytest.raises(InputError, match=r"p\.zarr: its metadata (point out of|name the path)"):
        find_zarr(plate)


def test_links_out_of_the_plate_are_refused(tmp_path: Path) -> None:
    secret = write_image(tmp_path / "other", stack())
    plate = write_plate(tmp_path / "p.zarr", {"A/1": [stack()]})
    chunk = plate / "A/1/0/0/0.0.0"
    if not chunk.exists():
        chunk = next(path for path in (plate / "A/1/0/0").rglob("*") if path.name[0].isdigit())
    chunk.unlink()
    chunk.symlink_to(next(secret.rglob(".zattrs")))
    with pytest.raises(InputError, match="a link that leads out of the folder"):
        read_image(plate / "A/1/0", channel=0)
    (plate / "A/2").symlink_to(secret)
    change(plate, "plate", {"wells": [{"path": "A/2"}]})
    with pytest.raises(InputError, match="its metadata point out of the folder"):
        find_zarr(plate)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ("[]", "no metadata of OME-Zarr"),
        ("{}", "neither a plate nor an image"),
        ('{"plate": {"wells": 3}}', "its metadata name no wells"),
        ('{"plate": {"wells": [{"path": "gone"}]}}', "gone is missing"),
    ],
)
def test_broken_metadata(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / ".zgroup").write_text('{"zarr_format": 2}')
    (tmp_path / ".zattrs").write_text(content)
    assert is_zarr(tmp_path)
    with pytest.raises(InputError, match=message):
        find_zarr(tmp_path)


def test_what_is_too_large_is_not_decoded(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", stack())
    with pytest.raises(InputError, match="80 x 60 pixels"):
        read_image(path, channel=0, max_pixels=100)


def test_a_damaged_chunk(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", stack())
    for chunk in (file for file in (path / "0").rglob("*") if file.name[0].isdigit()):
        if chunk.is_file():
            chunk.write_bytes(b"damaged")
    with pytest.raises(InputError, match="cannot be read as OME-Zarr"):
        read_image(path, channel=0)


def test_several_times_are_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", np.stack([stack()] * 2), axes="tcyx")
    with pytest.raises(InputError, match="2 time points"):
        read_image(path, channel=0)
