"""Images with their roles, and maps on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sgseg.evaluation.data import DataSet, Maps
from sgseg.inference.preprocess import Preprocessing

from .cases import field, roles, write_dataset


def test_maps_of_images_with_likely_names_do_not_mix(tmp_path: Path) -> None:
    # Image "a" of member 0 and an image called "a.0" have been one file.
    maps = Maps(tmp_path)
    names = [("a", None), ("a", 0), ("a.0", None), ("a", 1), ("member_0", None), ("a.npy", None)]
    for value, (image_id, member) in enumerate(names):
        maps.save(image_id, np.full((2, 3), value, np.float32), member)
    for value, (image_id, member) in enumerate(names):
        assert maps.load(image_id, member).tolist() == [[value] * 3] * 2


def test_pixel_sizes(tmp_path: Path) -> None:
    fields = {name: field(1) for name in ("a", "b", "c", "t")}
    sizes = {"a": 0.1, "b": 0.2, "t": 9.0}
    folder = write_dataset(tmp_path / "dataset", fields, pixel_sizes_um=sizes)
    data = DataSet(folder, roles({"a": 0, "b": 1, "c": 1}, ["t"]), [0, 1])
    assert [data.pixel_size_um(name) for name in ("a", "b", "c")] == [0.1, 0.2, None]
    # The median of 0.1 and 0.2; of c nothing is known, and t is no training image.
    assert data.median_pixel_size_um == pytest.approx(0.15)
    unknown = DataSet(folder, roles({"c": 0}), [0, 1])
    assert unknown.median_pixel_size_um is None


def test_what_a_model_was_trained_on(tmp_path: Path) -> None:
    # The test image t is left out: its granules, its pixel size and its hash are not the model's.
    fields = {name: field(seed) for seed, name in enumerate("abct")}
    fields["t"] = field(1, granules=[(10, 10)] * 9)
    folder = write_dataset(tmp_path / "dataset", fields, pixel_sizes_um={"a": 0.1, "t": 9.0})
    manifest = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    manifest["pixel_hash"] = ["f0", "a1", "f0", "77"]
    manifest.to_csv(folder / "manifest.csv", index=False)
    table = roles({"a": 0, "b": 1, "c": 1}, ["t"])
    # An image that is held out nowhere is trained on all the same.
    table.loc[table["image_id"] == "c", "role_1"] = "validation"
    data = DataSet(folder, table, [0, 1])
    assert data.development_ids == ["a", "b", "c"]
    assert data.trained_on == ["a1", "f0"]
    found = data.training_statistics(Preprocessing("background"))
    assert found["images"] == 3
    assert found["pixel_size_um"] == [0.1, 0.1]
    # Fields of three granules are too few to say how large granules are.
    assert "diameter_px" not in found
