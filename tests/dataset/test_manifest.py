"""What is written is what is read."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from sgseg.dataset.manifest import COLUMNS, TEXT, read_accepted, read_manifest, write_manifest

GOOD = {
    "image_id": "007",
    "source": "few",
    "image_file": "images/007.tif",
    "mask_file": "masks/007.tif",
    "height": 20,
    "width": 30,
    "mask_height": 20,
    "mask_width": 30,
    "bit_depth": 12,
    "declared_bit_depth": 12,
    "declared_group": "",
    "group": "007",
    "condition": "NA",
    "replicate": "1",
    "mean": 0.1,
    "n_objects": 3,
    "problem": "",
}
BAD = {"image_id": "nan", "source": "few", "condition": "None", "group": "", "problem": "a, b"}


def test_every_column_is_there_and_described(tmp_path: Path) -> None:
    write_manifest(tmp_path, [GOOD, BAD])
    assert list(read_manifest(tmp_path).columns) == list(COLUMNS)
    assert all(COLUMNS.values())
    assert set(TEXT) <= set(COLUMNS)


def test_text_stays_text_and_empty_is_unknown(tmp_path: Path) -> None:
    write_manifest(tmp_path, [GOOD, BAD])
    frame = read_manifest(tmp_path)
    assert list(frame["image_id"]) == ["007", "nan"]
    assert list(frame["condition"]) == ["NA", "None"]
    assert list(frame["replicate"]) == ["1", ""]
    assert list(frame["problem"]) == ["", "a, b"]
    assert frame["mean"].isna().tolist() == [False, True]


def test_whole_numbers_are_written_whole(tmp_path: Path) -> None:
    write_manifest(tmp_path, [GOOD, BAD])
    good, bad = (tmp_path / "manifest.csv").read_text().splitlines()[1:]
    values = dict(zip(COLUMNS, good.split(","), strict=True))
    assert (values["height"], values["n_objects"], values["mean"]) == ("20", "3", "0.1")
    assert '"a, b"' in bad


def test_accepted_rows_in_the_order_of_the_manifest(tmp_path: Path) -> None:
    rows = [GOOD | {"image_id": name} for name in ("1 (2)", "1 (10)", "b")]
    write_manifest(tmp_path, [*rows, BAD])
    pd.DataFrame({"image_id": ["b", "1 (2)"]}).to_csv(tmp_path / "accepted.csv", index=False)
    frame = read_accepted(tmp_path, tmp_path)
    assert list(frame["image_id"]) == ["1 (2)", "b"]
    assert frame["n_objects"].dtype == "int64"
