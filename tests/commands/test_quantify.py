"""`sgseg quantify` and `sgseg predict --quantify` as they are typed."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from quantify.runs import draw, write_fields, write_image

from sgseg.cli import parser
from sgseg.commands import quantify as command
from sgseg.commands.predict import local_predictor
from sgseg.errors import InputError
from sgseg.images.write import write_labels
from sgseg.quantify import run as running

Run = Callable[..., int]
TABLES = ("granules", "cells", "fields", "replicates", "conditions")


@pytest.fixture
def run() -> Run:
    def run_command(*arguments: object) -> int:
        parsed = parser().parse_args(list(map(str, arguments)))
        return int(parsed.run(parsed))

    return run_command


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without figures and page, which take most of the time."""
    monkeypatch.setattr(running, "_report", lambda *_, **__: None)


CHANNELS = ("--sg-channel", 0, "--nuclei-channel", 1, "--nucleus-diameter-um", 6)


def test_quantify_with_a_model(
    run: Run, make_bundle: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    write_fields(tmp_path, ["c1", "h1"])
    samples = tmp_path / "samples.csv"
    samples.write_text("image,condition,replicate\nc1.tif,control,1\nh1.tif,heat,1\n")
    out, images = tmp_path / "out", tmp_path / "images"
    bundle = make_bundle(2.0, 2.1)
    options = ["--model", bundle, "--samples", samples, "--reference", "control", "--out", out]
    assert run("quantify", images, *options, *CHANNELS, "--uncertainty", "--ome-tiff") == 0
    assert "2 of 2 fields measured into" in caplog.text
    cells = pd.read_csv(out / "cells.csv")
    assert cells["n_granules"].tolist() == [3, 0, 3, 0]
    granules = pd.read_csv(out / "granules.csv")
    assert granules["mean_probability"].between(0.9, 1).all()
    assert granules["uncertainty"].notna().all()
    assert pd.read_csv(out / "conditions.csv")["reference"].dropna().unique().tolist() == [
        "control"
    ]
    assert (out / "uncertainty/c1.tif").exists()
    assert (out / "ome/c1.ome.tif").exists()
    model = json.loads((out / "parameters.json").read_text())["model"]
    assert (model["version"], model["members"]) == (str(bundle), 2)
    assert (model["threshold"], model["min_area_px"]) == (0.5, 4)
    assert "ensemble of 2 networks" in (out / "methods.txt").read_text()


def test_a_password_in_the_address_of_a_server_is_kept_nowhere(
    run: Run,
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    asked = []
    bundle = make_bundle(2.0)
    monkeypatch.setattr(command, "_served_version", lambda url: asked.append(url) or "7")
    monkeypatch.setattr(command, "remote_predictor", lambda a: local_predictor(a, bundle))
    write_fields(tmp_path, ["c1"])
    out, secrets = tmp_path / "out", ("s3cr@t", "t0ken")
    address = "https://ada:{}@lab.example/sgseg?token={}".format(*secrets)
    given = ["--url", address, "--out", out]
    assert run("quantify", tmp_path / "images", *given, *CHANNELS) == 0
    # The server itself is asked with all of it.
    assert asked == [address]
    model = json.loads((out / "parameters.json").read_text())["model"]
    assert model["url"] == "https://lab.example/sgseg"
    files = [path for path in out.rglob("*") if path.is_file()]
    assert out / "report.html" in files
    for secret in secrets:
        assert [path for path in files if secret.encode() in path.read_bytes()] == []
        assert secret not in caplog.text


@pytest.mark.usefixtures("no_report")
def test_masks_in_place_of_a_model(run: Run, tmp_path: Path) -> None:
    write_fields(tmp_path, ["c1"])
    out = tmp_path / "out"
    given = ["--masks", tmp_path / "masks", "--out", out]
    assert run("quantify", tmp_path / "images", *given, *CHANNELS, "--no-overlay") == 0
    assert pd.read_csv(out / "cells.csv")["n_granules"].tolist() == [3, 0]
    assert pd.read_csv(out / "granules.csv")["mean_probability"].isna().all()
    assert not (out / "overlays").exists()
    # What a run has written can be corrected by hand and given to the next.
    write_labels(out / "masks/c1.tif", (draw()[1] == 2).astype(np.int32))
    again = ["--masks", out / "masks", "--cells", out / "cells", "--nuclei", out / "nuclei"]
    images = [tmp_path / "images", "--sg-channel", 0, "--out", tmp_path / "again"]
    assert run("quantify", *images, *again) == 0
    assert pd.read_csv(tmp_path / "again/cells.csv")["n_granules"].tolist() == [1, 0]


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(
    ("options", "n_cells", "positive"),
    [
        ([], 2, 0.5),
        (["--min-positive", 4], 2, 0.0),
        (["--unit", "nuclei"], 2, 0.0),
        (["--unit", "image"], 1, 1.0),
    ],
)
def test_what_granules_are_counted_in(
    options: list[object], n_cells: int, positive: float, run: Run, tmp_path: Path
) -> None:
    write_fields(tmp_path, ["c1"])
    given = ["--masks", tmp_path / "masks", "--out", tmp_path / "out"]
    assert run("quantify", tmp_path / "images", *given, *CHANNELS, *options) == 0
    cells = pd.read_csv(tmp_path / "out/cells.csv")
    assert len(cells) == n_cells
    assert cells["is_positive"].mean() == positive


@pytest.mark.usefixtures("no_report")
def test_options_reach_the_measurement(run: Run, tmp_path: Path) -> None:
    write_fields(tmp_path, ["c1"])
    out = tmp_path / "out"
    run(
        *("quantify", tmp_path / "images", "--masks", tmp_path / "masks", "--out", out, *CHANNELS),
        *("--marker-channel", 1, "--cell-channel", 0, "--split", "none", "--count-border-cells"),
        *("--pixel-size-um", 0.25, "--design", "independent"),
    )
    found = json.loads((out / "parameters.json").read_text())
    assert found["reading"] == {
        "unit": "cells",
        "granules": 0,
        "nuclei": 1,
        "cells": 0,
        "marker": 1,
        "projection": None,
        "pixel_size_um": 0.25,
        "second_channel": None,
    }
    assert found["split"]["method"] == "none"
    assert found["per_cell"]["count_border_cells"] is True
    assert found["nuclei"]["diameter_um"] == 6
    assert found["statistics"]["design"] == "independent"
    fields = pd.read_csv(out / "fields.csv")
    assert fields["pearson_all"].notna().all()


@pytest.mark.usefixtures("no_report")
def test_fields_that_fail_are_named_after_the_others_are_finished(run: Run, tmp_path: Path) -> None:
    write_fields(tmp_path, ["c1", "h1"])
    write_image(tmp_path / "images/h1.tif", draw()[0][:1])
    given = ["--masks", tmp_path / "masks", "--out", tmp_path / "out"]
    with pytest.raises(InputError) as caught:
        run("quantify", tmp_path / "images", *given, *CHANNELS)
    lines = str(caught.value).splitlines()
    assert lines[0] == "1 of 2 fields could not be measured:"
    assert lines[1] == f"  - {tmp_path}/images/h1.tif: no channel 1; expected one of: 0"
    assert pd.read_csv(tmp_path / "out/cells.csv")["field"].unique().tolist() == ["c1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--members", 1], "--members: there is no model: masks are given"),
        (["--second-channel", 1], "--second-channel: there is no model: masks are given"),
        (["--threshold", 0.5], "--threshold: there is no model"),
        (["--uncertainty"], "--uncertainty: there is no model"),
        (["--unit", "cells"], "nothing to find cells by"),
        (["--unit", "image", "--split", "probability"], "have no probability"),
        (["--unit", "image", "--reference", "x"], "no condition is called 'x'"),
        (["--cells", "gone"], "no such folder"),
    ],
)
def test_options_that_contradict(
    options: list[object], message: str, run: Run, tmp_path: Path
) -> None:
    write_fields(tmp_path, ["c1"])
    given = ["--masks", tmp_path / "masks", "--out", tmp_path / "out"]
    with pytest.raises(InputError, match=message):
        run("quantify", tmp_path / "images", *given, "--sg-channel", 0, *options)
    assert not (tmp_path / "out").exists()


def test_masks_and_a_model_exclude_each_other(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run("quantify", "a.tif", "--out", tmp_path, "--masks", tmp_path, "--model", tmp_path)
    assert "not allowed with argument" in capsys.readouterr().err


def test_predict_gives_the_same_tables_beside_its_masks(
    run: Run, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    write_fields(tmp_path, ["c1", "h1"])
    bundle, images = make_bundle(2.0, 2.1), tmp_path / "images"
    own, other = tmp_path / "predicted", tmp_path / "quantified"
    options = ["--model", bundle, "--overlay", *CHANNELS[2:], "--channel", 0]
    assert run("predict", images, "--out", own, "--quantify", *options) == 0
    assert run("quantify", images, "--out", other, "--model", bundle, *CHANNELS) == 0
    for name in (f"{table}.{kind}" for table in TABLES for kind in ("csv", "parquet")):
        mine, theirs = (
            hashlib.md5((folder / name).read_bytes()).hexdigest() for folder in (own, other)
        )
        assert mine == theirs, name
    for name in ("c1", "h1"):
        mask = tifffile.imread(own / f"{name}_mask.tif")
        assert np.array_equal(mask, tifffile.imread(other / f"masks/{name}.tif"))
        assert (own / f"{name}_overlay.png").exists()
    assert (own / "report.html").exists()


def test_measuring_options_without_quantify(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        run("predict", "a.tif", "--out", tmp_path, "--nuclei-channel", 1, "--unit", "image")
    assert [str(problem) for problem in caught.value.problems] == [
        "--nuclei-channel: nothing is measured. Add --quantify.",
        "--unit: nothing is measured. Add --quantify.",
    ]


def test_every_measuring_option_says_nothing_without_quantify() -> None:
    from sgseg.commands.predict import ONLY_MEASURED  # noqa: PLC0415
    from sgseg.commands.quantify import add_measuring_options  # noqa: PLC0415

    only = parser().__class__()
    add_measuring_options(only)
    assert set(vars(only.parse_args([]))) == set(ONLY_MEASURED)
