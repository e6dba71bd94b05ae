"""Great Expectations stops the line, for people."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import yaml
from PIL import Image as Pillow

from sgseg.config import Split, Validate
from sgseg.dataset.ingest import ingest
from sgseg.dataset.manifest import write_manifest
from sgseg.dataset.validate import validate
from sgseg.errors import InputError

from .lab import cell, granules, write_raw

ROOT = Path(__file__).parents[2]
SPLIT = Split(seed=1, test_fraction=0.2, folds=[0, 1, 2], validation_fraction=0.2)
SETTINGS = Validate(
    on_failure="stop", max_foreground=0.5, max_saturated=0.05, require_foreground=False
)
QUARANTINE = SETTINGS.model_copy(update={"on_failure": "quarantine"})
ELSEWHERE = re.compile(r"https?://|url\(|<script|<link|\bsrc=")


def row(name: str, **values: object) -> dict[str, object]:
    plain = {
        "image_id": name,
        "source": "few",
        "image_file": f"images/{name}.tif",
        "mask_file": f"masks/{name}.tif",
        "pixel_hash": f"pixels of {name}",
        **{"height": 80, "width": 80, "mask_height": 80, "mask_width": 80},
        **{"dtype": "uint8", "bit_depth": 8, "mask_rule": "binary, 0 and 255"},
        "group": name,
        **{"minimum": 0.0, "maximum": 200.0, "saturated_fraction": 0.0},
        **{"foreground_fraction": 0.02, "n_objects": 3},
    }
    return plain | values


def write(folder: Path, *changed: dict[str, object]) -> Path:
    folder.mkdir()
    good = [row(name) for name in ("g1", "g2", "g3", "g4")]
    write_manifest(folder, [*good, *changed])
    return folder


def findings(out: Path) -> dict[str, object]:
    return json.loads((out / "findings.json").read_text(encoding="utf-8"))


def accepted(out: Path) -> list[str]:
    return list(pd.read_csv(out / "accepted.csv", dtype=str, keep_default_na=False)["image_id"])


def test_all_is_well(tmp_path: Path) -> None:
    dataset = write(tmp_path / "dataset", row("NA"))
    validate(dataset, tmp_path / "out", settings=SETTINGS, split=SPLIT)
    assert accepted(tmp_path / "out") == ["g1", "g2", "g3", "g4", "NA"]
    assert findings(tmp_path / "out") == {"on_failure": "stop", "findings": [], "quarantined": []}
    assert "All is well" in (tmp_path / "out" / "data_docs" / "index.html").read_text()


WRONG = {
    "readable": row("x", problem="images/x.tif: empty file (0 bytes)", height=None, width=None),
    "image_of_mask": row("x", image_file=""),
    "mask_of_image": row("x", mask_file=""),
    "bit_depth": row("x", bit_depth=32, dtype="float32", declared_bit_depth=12),
    "not_blank": row("x", minimum=7.0, maximum=7.0),
    "not_saturated": row("x", saturated_fraction=0.06),
    "same_size": row("x", mask_height=79),
    "mask_rule": row("x", mask_rule="a guess"),
    "foreground": row("x", foreground_fraction=0.51),
}


def test_every_check_finds_its_fault_and_names_the_file(tmp_path: Path) -> None:
    wrong = [
        {key: value.replace("x", name) if key.endswith(("_id", "_file")) else value
         for key, value in bad.items()}
        for name, bad in WRONG.items()
    ]  # fmt: skip
    wrong += [row("twin"), row("twin", image_file="images/other.tif")]
    wrong += [row("p1", pixel_hash="one"), row("p2", pixel_hash="one")]
    dataset, out = write(tmp_path / "dataset", *wrong), tmp_path / "out"
    with pytest.raises(InputError) as caught:
        validate(dataset, out, settings=SETTINGS, split=SPLIT)
    found = findings(out)["findings"]
    expected = [*WRONG, "unique_id", "unique_id", "copies_together", "copies_together"]
    assert [finding["check"] for finding in found] == expected
    for finding, problem in zip(found, caught.value.problems, strict=True):
        assert finding["file"].startswith("data/raw/few/")
        assert str(problem).startswith(finding["file"])
    assert not (out / "accepted.csv").exists()


def test_a_fault_is_a_fault_beyond_the_limit_only(tmp_path: Path) -> None:
    edge = row("edge", foreground_fraction=0.5, saturated_fraction=0.05, n_objects=0)
    empty = row("empty", foreground_fraction=0.0, n_objects=0, declared_bit_depth=8)
    dataset = write(tmp_path / "dataset", edge, empty)
    validate(dataset, tmp_path / "out", settings=SETTINGS, split=SPLIT)
    strict = SETTINGS.model_copy(update={"require_foreground": True})
    with pytest.raises(InputError) as caught:
        validate(dataset, tmp_path / "out", settings=strict, split=SPLIT)
    assert len(caught.value.problems) == 2


def test_quarantine_goes_on_without_them_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = write(tmp_path / "dataset", row("x", mask_height=79), row("y", maximum=0.0))
    caplog.set_level("INFO")
    validate(dataset, tmp_path / "out", settings=QUARANTINE, split=SPLIT)
    assert accepted(tmp_path / "out") == ["g1", "g2", "g3", "g4"]
    written = findings(tmp_path / "out")
    assert (written["on_failure"], written["quarantined"]) == ("quarantine", ["x", "y"])
    assert "left out: data/raw/few/masks/x.tif: the mask is 80 x 79 px" in caplog.text
    page = (tmp_path / "out" / "data_docs" / "index.html").read_text()
    assert "Going on without 2 images" in page


def test_what_all_images_lack_cannot_be_quarantined(tmp_path: Path) -> None:
    # 3 folds and a test set need 4 groups; one of the 4 is quarantined.
    folder = tmp_path / "dataset"
    folder.mkdir()
    rows = [row(name, n_objects=0) for name in ("a", "b", "c")]
    write_manifest(folder, [*rows, row("x", mask_height=79)])
    with pytest.raises(InputError) as caught:
        validate(folder, tmp_path / "out", settings=QUARANTINE, split=SPLIT)
    text = str(caught.value)
    assert "3 groups in 3 usable images; expected at least 4 for 3 folds and a test set" in text
    assert "no granule in the masks of 3 usable images" in text
    assert "masks/x.tif" in text
    assert not (tmp_path / "out" / "accepted.csv").exists()


@pytest.mark.parametrize("on_failure", ["stop", "quarantine"])
def test_every_image_fails(tmp_path: Path, on_failure: str) -> None:
    folder = tmp_path / "dataset"
    folder.mkdir()
    write_manifest(folder, [row("a", problem="images/a.tif: empty file"), row("b", mask_file="")])
    settings = SETTINGS.model_copy(update={"on_failure": on_failure})
    with pytest.raises(InputError) as caught:
        validate(folder, tmp_path / "out", settings=settings, split=SPLIT)
    assert "0 groups in 0 usable images" in str(caught.value)


def test_data_docs_are_great_expectations_own_and_need_nothing_from_elsewhere(
    tmp_path: Path,
) -> None:
    dataset = write(tmp_path / "dataset", row("x", mask_height=79))
    with pytest.raises(InputError, match=r"report: .*index\.html"):
        validate(dataset, tmp_path / "out", settings=SETTINGS, split=SPLIT)
    pages = {path.name: path.read_text() for path in (tmp_path / "out" / "data_docs").iterdir()}
    assert set(pages) == {"index.html", "images.html", "dataset.html"}
    for page in pages.values():
        assert not ELSEWHERE.search(page)
    assert "every mask has the size of its image" in pages["images.html"]
    assert "Evaluated Expectations" in pages["images.html"]
    assert "images/x.tif" in pages["images.html"]
    assert "at least 4 groups" in pages["dataset.html"]
    assert "The line stops here" in pages["index.html"]


def corrupt_five(raw: Path) -> None:
    """Five files in five ways."""
    (raw / "images" / "c0.tif").write_bytes(b"")
    jpeg = raw / "images" / "c1.jpg"
    (raw / "images" / "c1.tif").unlink()
    Pillow.fromarray(cell(1)).save(jpeg, quality=90)
    jpeg.write_bytes(jpeg.read_bytes()[: jpeg.stat().st_size // 2])
    tifffile.imwrite(raw / "masks" / "c2.tif", granules(size=60))
    pixels = cell(3).astype(np.float32)
    pixels[5, 6] = np.nan
    tifffile.imwrite(raw / "images" / "c3.tif", pixels)
    tifffile.imwrite(raw / "masks" / "c4.tif", granules((9, 9)).astype(np.float32) / 510)


def test_five_files_corrupted_in_five_ways_are_named_in_one_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = write_raw(tmp_path, {f"c{number}": cell(number) for number in range(10)})
    corrupt_five(raw)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["data"]["source"] = "few"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "pipelines/ingest.py"))["main"]()
    home = tmp_path / "home"
    home.mkdir()
    done = subprocess.run(
        [sys.executable, ROOT / "pipelines/validate.py"],
        env={**os.environ, "HOME": str(home), "TMPDIR": str(home)},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("  - ")]
    assert [line.partition(": ")[0].removeprefix("  - data/raw/few/") for line in lines] == [
        *("images/c0.tif", "images/c1.jpg", "masks/c2.tif", "images/c3.tif", "masks/c4.tif")
    ]
    for line, said in zip(
        lines,
        ["0 bytes", "cannot be read as JPEG", "60 x 60 px", "NaN", "no whole numbers"],
        strict=True,
    ):
        assert said in line
    assert "data/validated/data_docs/index.html" in done.stderr
    assert (tmp_path / "data" / "validated" / "data_docs" / "index.html").exists()
    # Great Expectations left nothing at home or in the folder for temporary files.
    assert [
        path.name for path in home.rglob("*") if "great" in path.name or "gx" in path.name
    ] == []
    assert {path.name for path in tmp_path.iterdir()} == {"data", "home", "params.yaml"}
    assert {path.name for path in (tmp_path / "data").iterdir()} == {"raw", "dataset", "validated"}


def test_ingested_and_valid(tmp_path: Path) -> None:
    raw = write_raw(tmp_path, {f"c{number}": cell(number) for number in range(5)})
    dataset = tmp_path / "dataset"
    ingest(raw, dataset, copy_correlation=0.95, near_correlation=0.85, object_iou=0.3)
    validate(dataset, tmp_path / "out", settings=SETTINGS, split=SPLIT)
    assert accepted(tmp_path / "out") == [f"c{number}" for number in range(5)]
