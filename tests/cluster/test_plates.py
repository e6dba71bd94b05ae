"""Plates of OME-Zarr on workers: every field, into the plate and beside it, as one process does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from distributed import Client
from images.plates import write_plate
from quantify.runs import content, draw

from sgseg.cluster.fields import field_attempts
from sgseg.cluster.images import image_attempts
from sgseg.inference.predict import Job, Reading, find_tasks
from sgseg.inference.run import continue_files
from sgseg.inference.segmenter import Segmenter
from sgseg.quantify.nuclei import NucleusOptions
from sgseg.quantify.run import Plan, quantify_files
from sgseg.quantify.samples import read_samples
from sgseg.quantify.settings import Channels, Settings
from sgseg.quantify.sources import of_bundle


@pytest.fixture
def plate(tmp_path: Path) -> Path:
    """Two wells of two fields, and one whose pixels are damaged."""
    wells = {
        well: [draw(2 * seed + k)[0] for k in range(2)] for seed, well in enumerate(("A/1", "B/2"))
    }
    path = write_plate(tmp_path / "plate.ome.zarr", wells | {"B/3": [draw(9)[0]]})
    for chunk in (file for file in (path / "B/3/0/0").rglob("*") if file.name[0].isdigit()):
        if chunk.is_file():
            chunk.write_bytes(b"damaged")
    return path


def test_into_the_plate(
    client: Client,
    plate: Path,
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = make_bundle(1.8, 2.2, orientations=8)
    found = {}
    for name in ("alone", "spread"):
        (tmp_path / name).mkdir()
        shutil.copytree(plate, tmp_path / name / "plate.ome.zarr")
        # The tables name images as they are given.
        monkeypatch.chdir(tmp_path / name)
        out, given = Path("out"), Path("plate.ome.zarr")
        tasks = find_tasks([given], out)
        job = Job(out, Reading(channel="G3BP1"), into_plate=True, identity={})
        if name == "alone":
            problems = continue_files(Segmenter.load(bundle), tasks, job)
        else:
            with image_attempts(client, bundle) as attempts:
                problems = continue_files(Segmenter.load(bundle), tasks, job, attempts=attempts)
        found[name] = (problems, content(tmp_path / name))
    assert found["spread"] == found["alone"]
    (problem,) = found["alone"][0]
    assert problem.where.startswith("plate.ome.zarr/B/3/0")
    for field in ("A/1/0", "A/1/1", "B/2/0", "B/2/1"):
        assert np.asarray(zarr.open_array(f"plate.ome.zarr/{field}/labels/granules/0")).max() == 3
        assert (tmp_path / "spread/out" / f"{field}_mask.tif").exists()


def test_numbers_by_well(
    client: Client, plate: Path, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    bundle, samples = make_bundle(1.8, 2.2), tmp_path / "samples.csv"
    samples.write_text("well,condition,replicate\nA1,control,1\nB2,heat,1\nB3,heat,1\n")
    tasks = find_tasks([plate], tmp_path)
    made = Plan(
        of_bundle(Segmenter.load(bundle), bundle, with_deviation=True),
        Channels(granules=0, nuclei=1),
        Settings(nuclei=NucleusOptions(diameter_um=6.0)),
        samples=read_samples(samples, tasks),
    )
    alone = quantify_files(tasks, tmp_path / "alone", made)
    with field_attempts(client, bundle) as attempts:
        spread = quantify_files(tasks, tmp_path / "spread", made, attempts=attempts)
    assert [problem.where.partition(": ")[0] for problem in alone] == [str(plate / "B/3/0")]
    assert spread == alone
    assert content(tmp_path / "spread") == content(tmp_path / "alone")
    fields = (tmp_path / "spread/fields.csv").read_text().splitlines()
    assert [("control" in row, "heat" in row) for row in fields[1:]] == [
        *[(True, False)] * 2,
        *[(False, True)] * 3,
    ]
