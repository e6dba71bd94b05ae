from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml

from sgseg.dataset.simulate import handover, simulate_dataset
from sgseg.errors import InputError
from sgseg.images.masks import read_mask
from sgseg.images.read import read_image

from .simulation import simulation

PARAMS = simulation(size=96, fields_per_replicate=2, replicates=1)
STEMS = [f"{c}_r1_f{f:02d}" for c in ("control", "low", "high") for f in (1, 2)]


def content(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def handed_over(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("raw") / "simulated"
    simulate_dataset(out, PARAMS)
    return out


def test_every_file_is_there_and_no_other(handed_over: Path) -> None:
    expected = {"dataset.yaml", "samples.csv", "truth.csv"}
    for kind in ("images", "masks", "cells", "nuclei"):
        expected |= {f"{kind}/{stem}.tif" for stem in STEMS}
    assert set(content(handed_over)) == expected
    assert [path.name for path in handed_over.parent.iterdir()] == ["simulated"]


def test_again_gives_the_same_bytes(handed_over: Path, tmp_path: Path) -> None:
    again = tmp_path / "simulated"
    simulate_dataset(again, PARAMS)
    assert content(again) == content(handed_over)
    simulate_dataset(again, PARAMS)  # over what is there
    assert content(again) == content(handed_over)
    assert [path.name for path in tmp_path.iterdir()] == ["simulated"]


def test_a_lab_and_fiji_can_read_it(handed_over: Path) -> None:
    with tifffile.TiffFile(handed_over / "images" / f"{STEMS[0]}.tif") as file:
        assert file.is_imagej
        assert file.series[0].axes == "CYX"
        assert file.series[0].shape == (2, 96, 96)
        assert file.imagej_metadata is not None
        assert file.imagej_metadata["unit"] == "micron"
        tags = file.pages[0].tags
        assert tags["XResolution"].value == (5, 1)  # 1 / 0.2 um pixels in a micron
        assert "DateTime" not in tags


def test_the_project_reads_what_it_wrote(handed_over: Path) -> None:
    reading = yaml.safe_load((handed_over / "dataset.yaml").read_text())
    assert set(reading) == {
        "name", "channel", "projection", "pixel_size_um", "bit_depth", "masks", "pattern"
    }  # fmt: skip
    truth = pd.read_csv(handed_over / "truth.csv")
    for stem in STEMS:
        path = handed_over / "images" / f"{stem}.tif"
        image = read_image(path, channel=reading["channel"], bit_depth=reading["bit_depth"])
        np.testing.assert_array_equal(image.pixels, tifffile.imread(path)[0])
        assert image.pixel_size_um == pytest.approx(0.2)
        mask = read_mask(handed_over / "masks" / f"{stem}.tif", rule=reading["masks"])
        rows = truth[truth["image"] == f"{stem}.tif"]
        areas = np.bincount(mask.labels.ravel())[1:]
        assert list(areas) == list(rows["area_px"])
    assert len(truth) > 0


def test_sample_table(handed_over: Path) -> None:
    samples = pd.read_csv(handed_over / "samples.csv", dtype=str)
    assert list(samples) == ["image", "condition", "replicate", "group", "pixel_size_um"]
    assert list(samples["image"]) == [f"{stem}.tif" for stem in STEMS]
    assert list(samples["group"]) == STEMS
    assert list(samples["condition"]) == ["control"] * 2 + ["low"] * 2 + ["high"] * 2
    assert set(samples["replicate"]) == {"1"}
    assert set(samples["pixel_size_um"]) == {"0.2"}


def test_something_else_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "thesis"
    out.mkdir()
    (out / "chapter1.txt").write_text("years of work")
    with pytest.raises(InputError, match="no simulated data set"):
        simulate_dataset(out, PARAMS)
    assert content(tmp_path) == {"thesis/chapter1.txt": b"years of work"}


def test_a_full_disk_leaves_the_old_data_and_nothing_else(
    handed_over: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "simulated"
    simulate_dataset(out, PARAMS)
    written = []

    def full(path: Path, *args: Any, **options: Any) -> None:
        written.append(path)
        if len(written) == 5:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(handover, "write_labels", full)
    with pytest.raises(OSError, match="No space left"):
        simulate_dataset(out, PARAMS)
    assert [path.name for path in tmp_path.iterdir()] == ["simulated"]
    assert content(out) == content(handed_over)
