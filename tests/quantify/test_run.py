from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from quantify.runs import content, draw, plan, write_fields, write_image
from sgseg.errors import InputError
from sgseg.images.write import write_labels
from sgseg.inference.predict import Task
from sgseg.quantify import run as running
from sgseg.quantify.dictionary import undocumented
from sgseg.quantify.files import Outputs
from sgseg.quantify.per_cell import PerCellOptions
from sgseg.quantify.resume import Store
from sgseg.quantify.run import Plan, quantify_files
from sgseg.quantify.samples import Sample
from sgseg.quantify.settings import Channels, Settings
from sgseg.quantify.sources import ByMasks
from sgseg.quantify.statistics import StatisticsOptions

HERE = Path(__file__).parent


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without figures and page, which take most of the time of a small run."""
    monkeypatch.setattr(running, "_report", lambda *_, **__: None)


TABLES = ("granules", "cells", "fields", "replicates", "conditions")


def test_all_that_a_run_writes(tmp_path: Path) -> None:
    tasks = write_fields(tmp_path, ["c1", "h1"])
    out = tmp_path / "out"
    assert quantify_files(tasks, out, plan(tmp_path, tasks)) == []
    for name in TABLES:
        table = pd.read_csv(out / f"{name}.csv")
        assert len(table) == len(pd.read_parquet(out / f"{name}.parquet"))
        assert undocumented({f"{name}.csv": table}) == []
    for name in ("granules", "cells", "fields"):
        assert pd.read_csv(out / f"{name}.csv").columns[0] == "field"
    cells = pd.read_csv(out / "cells.csv")
    assert cells["field"].tolist() == ["c1", "c1", "h1", "h1"]
    assert cells["condition"].tolist() == ["control", "control", "heat", "heat"]
    assert cells["n_granules"].tolist() == [3, 0, 3, 0]
    assert pd.read_csv(out / "replicates.csv")["granules_per_cell"].tolist() == [1.5, 1.5]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "no model was used" in page
    assert "data:image/jpeg" in page
    assert (out / "methods.txt").read_text(encoding="utf-8").startswith("Given masks of stress")
    parameters = json.loads((out / "parameters.json").read_text(encoding="utf-8"))
    assert parameters["reading"]["nuclei"] == 1
    assert parameters["model"] == {}
    assert parameters["versions"]["numpy"] == np.__version__
    assert len(pd.read_csv(out / "data_dictionary.csv")) > 50
    assert not list(out.rglob("*.part"))


def test_a_field_that_fails_is_reported_and_the_others_are_finished(tmp_path: Path) -> None:
    tasks = write_fields(tmp_path, ["c1", "h1", "h2", "h3"])
    tasks[1].path.write_bytes(b"II*\0")
    (tmp_path / "masks/h2.tif").unlink()
    write_labels(tmp_path / "masks/h2.tif", np.eye(5, dtype=np.int32))
    tasks[3].path.unlink()
    out = tmp_path / "out"
    problems = quantify_files(tasks, out, plan(tmp_path, tasks))
    assert [problem.where for problem in problems] == [str(task.path) for task in tasks[1:]]
    table = pd.read_csv(out / "fields.csv").set_index("field")
    assert table["status"]["c1"] == "done"
    assert "cannot be read as TIFF" in table["status"]["h1"]
    assert "5 x 5 pixels; expected 84 x 48" in table["status"]["h2"]
    assert table["status"]["h3"] == "No such file or directory"
    assert table["condition"].tolist() == ["control", "heat", "heat", "heat"]
    assert pd.read_csv(out / "cells.csv")["field"].unique().tolist() == ["c1"]
    assert "(3 failed)" in (out / "report.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_report")
def test_a_defect_costs_its_field_alone(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    tasks = write_fields(tmp_path, ["c1", "h1"])
    measure = running.measure_field

    def broken(name: str, *arguments: object, **options: object) -> object:
        if name == "c1":
            raise ZeroDivisionError("by nothing")
        return measure(name, *arguments, **options)

    monkeypatch.setattr(running, "measure_field", broken)
    (problem,) = quantify_files(tasks, tmp_path / "out", plan(tmp_path, tasks))
    assert "ZeroDivisionError: by nothing. This is a defect" in str(problem)
    assert "Traceback" in caplog.text
    assert pd.read_csv(tmp_path / "out/cells.csv")["field"].unique().tolist() == ["h1"]


def test_a_full_disk_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = write_fields(tmp_path, ["c1", "h1"])

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(running, "write_field", full)
    with pytest.raises(OSError, match="No space left"):
        quantify_files(tasks, tmp_path / "out", plan(tmp_path, tasks))


def test_nothing_but_failures(tmp_path: Path) -> None:
    tasks = [Task(tmp_path / "c1.tif", "c1")]
    (problem,) = quantify_files(tasks, tmp_path / "out", plan(tmp_path, tasks))
    assert "No such file" in str(problem)
    assert pd.read_csv(tmp_path / "out/fields.csv")["field"].tolist() == ["c1"]
    assert not (tmp_path / "out/report.html").exists()


def measured_fields(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of fields as they are measured from now on."""
    names: list[str] = []
    measure = running.measure_field

    def noted(name: str, *arguments: object, **options: object) -> object:
        names.append(name)
        return measure(name, *arguments, **options)

    monkeypatch.setattr(running, "measure_field", noted)
    return names


def test_what_is_done_is_not_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = write_fields(tmp_path, ["c1", "h1"])
    out, first = tmp_path / "out", plan(tmp_path, tasks)
    quantify_files(tasks, out, first)
    before, names = content(out), measured_fields(monkeypatch)
    quantify_files(tasks, out, first)
    assert names == []
    assert content(out) == before

    # Conditions and statistics are not of the fields.
    other = replace(first, samples={task.name: Sample("x", "2") for task in tasks})
    quantify_files(tasks, out, replace(other, statistics=StatisticsOptions(design="independent")))
    assert names == []
    assert set(pd.read_csv(out / "cells.csv")["condition"]) == {"x"}
    quantify_files(tasks, out, first)
    assert content(out) == before


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("what", ["image", "mask", "settings", "channels", "pixel size", "outputs"])
def test_what_has_changed_is_done_again(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = write_fields(tmp_path, ["c1", "h1"])
    out, old = tmp_path / "out", plan(tmp_path, tasks)
    quantify_files(tasks, out, old)
    names, new = measured_fields(monkeypatch), old
    if what == "image":
        write_image(tasks[0].path, draw(9)[0])
    elif what == "mask":
        write_labels(tmp_path / "masks/c1.tif", (draw(0)[1] == 1).astype(np.int32))
    elif what == "settings":
        new = replace(old, settings=replace(old.settings, per_cell=PerCellOptions(2)))
    elif what == "channels":
        new = replace(old, channels=replace(old.channels, marker=1))
    elif what == "pixel size":
        new = replace(old, samples={**old.samples, "c1": Sample("control", "1", None, 0.4)})
    else:
        new = replace(old, outputs=Outputs(ome_tiff=True))
    quantify_files(tasks, out, new)
    assert names == (["c1"] if what in {"image", "mask", "pixel size"} else ["c1", "h1"])


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("path", ["masks/c1.tif", ".fields/c1/cells.parquet", "rois/c1.zip"])
def test_a_file_that_is_gone_or_changed_is_made_again(path: str, tmp_path: Path) -> None:
    tasks = write_fields(tmp_path, ["c1", "h1"])
    out = tmp_path / "out"
    quantify_files(tasks, out, plan(tmp_path, tasks))
    before = content(out)
    (out / path).unlink()
    quantify_files(tasks, out, plan(tmp_path, tasks))
    assert content(out) == before
    (out / path).write_bytes(b"cut off")
    quantify_files(tasks, out, plan(tmp_path, tasks))
    assert content(out) == before


def test_a_run_that_is_killed_at_any_moment_goes_on(tmp_path: Path) -> None:
    tasks = write_fields(tmp_path, [f"{kind}{n}" for kind in "ch" for n in range(4)])
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    quantify_files(tasks, whole, plan(tmp_path, tasks))
    command = [sys.executable, str(HERE / "runs.py"), str(tmp_path), str(killed)]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
    # In the middle of a field, twice one field further; at last when all are done.
    moments: list[tuple[str, int]] = [(".fields/*/record.json", n) for n in (1, 3)]
    for pattern, least in [*moments, ("fields.csv", 1)]:
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while len(list(killed.glob(pattern))) < least:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.002)
        time.sleep(0.005 * least)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (killed / "report.html").exists()
    (killed / "masks/.c1.tif.0123abc_.part").write_bytes(b"half")
    quantify_files(tasks, killed, plan(tmp_path, tasks))
    assert content(killed) == content(whole)


def test_two_runs_into_one_folder(tmp_path: Path) -> None:
    tasks = write_fields(tmp_path, ["c1"])
    out = tmp_path / "out"
    with (
        Store(out).locked(),
        pytest.raises(InputError, match="another run is writing its results here"),
    ):
        quantify_files(tasks, out, plan(tmp_path, tasks))


def test_what_would_be_refused_at_the_end_is_refused_at_the_beginning(tmp_path: Path) -> None:
    tasks = write_fields(tmp_path, ["c1"])
    wrong = plan(
        tmp_path,
        tasks,
        channels=Channels(0),
        statistics=StatisticsOptions(reference="mock"),
    )
    with pytest.raises(InputError) as caught:
        quantify_files(tasks, tmp_path / "out", wrong)
    texts = [str(problem) for problem in caught.value.problems]
    assert texts[0].startswith("unit cells: nothing to find cells by")
    assert texts[1] == "reference: no condition is called 'mock'; expected 'control'"
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("no_report")
def test_fields_with_and_without_pixel_size(tmp_path: Path) -> None:
    tasks = write_fields(tmp_path, ["c1", "h1"])
    write_image(tasks[1].path, draw(1)[0], pixel_size_um=None)
    out = tmp_path / "out"
    quantify_files(tasks, out, plan(tmp_path, tasks))
    table = pd.read_csv(out / "granules.csv")
    known = table["field"] == "c1"
    # 9 px of 0.5 x 0.5 um.
    assert table["area_um2"][known].tolist() == pytest.approx([9 * 0.25] * 3)
    assert table["area_px2"][~known].tolist() == [9] * 3
    assert table["area_px2"][known].isna().all()
    assert table["area_um2"][~known].isna().all()


@pytest.mark.usefixtures("no_report")
def test_crops_without_a_nuclear_channel(tmp_path: Path) -> None:
    tasks = write_fields(tmp_path, ["c1"])
    tifffile.imwrite(tasks[0].path, draw()[0][0])
    crop = Plan(ByMasks({"c1": tmp_path / "masks/c1.tif"}), settings=Settings("image"))
    assert quantify_files(tasks, tmp_path / "out", crop) == []
    row = pd.read_csv(tmp_path / "out/cells.csv").iloc[0]
    assert (row["n_granules"], row["is_counted"]) == (3, True)
    assert row["cell_area_px2"] == 48 * 84
    assert not (tmp_path / "out/nuclei").exists()


def test_field_without_granules_beside_others(tmp_path: Path) -> None:
    tasks = write_fields(tmp_path, ["c1", "h1"])
    write_labels(tmp_path / "masks/c1.tif", np.zeros((48, 84), np.int32))
    out = tmp_path / "out"
    assert quantify_files(tasks, out, plan(tmp_path, tasks)) == []
    assert pd.read_csv(out / "fields.csv")["n_granules"].tolist() == [0, 3]
    assert not (out / "rois/c1.zip").exists()
    # And with none at all.
    write_labels(tmp_path / "masks/h1.tif", np.zeros((48, 84), np.int32))
    assert quantify_files(tasks, out, plan(tmp_path, tasks)) == []
    assert len(pd.read_csv(out / "granules.csv")) == 0
