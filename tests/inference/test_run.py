"""A run that is given again does only what is not done."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tifffile
from examples import draw_field

from sgseg.errors import InputError, Problem
from sgseg.inference import predict as predicting
from sgseg.inference.predict import Job, Reading, Task, find_tasks, predict_files
from sgseg.inference.records import Records
from sgseg.inference.run import IMAGES, Outcome, attempt, continue_files
from sgseg.inference.segmenter import Segmenter


@pytest.fixture
def segmenter(make_bundle: Callable[..., Path]) -> Segmenter:
    return Segmenter.load(make_bundle(1.8, 2.2))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        granules = [(10, 10 + 8 * k) for k in range(number)]
        tifffile.imwrite(folder / f"{number}.tif", draw_field(granules, seed=number)[0])
    return folder


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the images as they are read."""
    names: list[str] = []
    read_image = predicting.read_image

    def noted(path: Path, **options: object) -> object:
        names.append(path.name)
        return read_image(path, **options)

    monkeypatch.setattr(predicting, "read_image", noted)
    return names


def visible(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir() if path.is_file()}


def test_the_files_are_those_of_a_run_that_keeps_nothing(
    images: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    options = {"with_overlay": True, "with_uncertainty": True, "min_area_px": 3}
    tasks = find_tasks([images], tmp_path / "kept")
    job = Job(tmp_path / "kept", **options, identity={"networks": "a"})
    assert continue_files(segmenter, tasks, job) == []
    predict_files(segmenter, tasks, tmp_path / "plain", reading=Reading(), **options)
    assert visible(tmp_path / "kept") == visible(tmp_path / "plain")


def test_only_what_is_not_done_is_done(
    images: Path, segmenter: Segmenter, tmp_path: Path, read: list[str]
) -> None:
    out = tmp_path / "out"
    job = Job(out, identity={"networks": "a"})

    def run(job: Job) -> list[str]:
        read.clear()
        assert continue_files(segmenter, find_tasks([images], out), job) == []
        return list(read)

    assert run(job) == ["0.tif", "1.tif", "2.tif"]
    before = visible(out)
    assert run(job) == []
    assert visible(out) == before
    tifffile.imwrite(images / "1.tif", draw_field([(20, 20)], seed=9)[0])
    (out / "2_mask.tif").write_bytes(b"damaged")
    assert run(job) == ["1.tif", "2.tif"]
    # A record that a failing disk has cut off is none.
    record = out / IMAGES / "0" / "record.json"
    record.write_text(record.read_text()[:40])
    assert run(job) == ["0.tif"]
    everything = ["0.tif", "1.tif", "2.tif"]
    assert run(replace(job, identity={"networks": "b"})) == everything
    assert run(replace(job, identity={"networks": "b"}, min_area_px=2)) == everything
    assert run(replace(job, identity={"networks": "b"}, min_area_px=2)) == []


def test_tables_are_in_the_order_of_the_tasks_and_of_what_is_done(
    images: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    tasks = find_tasks([images], out)

    def backwards_and_stopped(tasks: Sequence[Task], job: Job) -> Iterator[Outcome]:
        for place in (2, 1):
            yield place, attempt(segmenter, tasks[place], job)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        continue_files(segmenter, tasks, Job(out), attempts=backwards_and_stopped)
    with (out / "fields.csv").open() as file:
        assert [Path(row["image"]).name for row in csv.DictReader(file)] == ["1.tif", "2.tif"]


def test_one_run_at_a_time(images: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with (
        Records(out, IMAGES).locked(),
        pytest.raises(InputError, match="another run is writing its results here"),
    ):
        continue_files(segmenter, find_tasks([images], out), Job(out))


def test_what_a_killed_run_left_half_written_goes(tmp_path: Path) -> None:
    (tmp_path / ".a_mask.tif.abcd1234.part").touch()
    (tmp_path / ".mine.part").touch()
    (tmp_path / ".seen-0123").touch()
    with Records(tmp_path, IMAGES).locked():
        (tmp_path / ".b_mask.tif.abcd1234.part").touch()  # by a worker that is killed now
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == [IMAGES, ".mine.part"]


def test_a_bad_file_is_one_problem_each_time(
    images: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    (images / "bad.tif").write_bytes(b"II*\0")
    out = tmp_path / "out"
    for _ in range(2):
        (problem,) = continue_files(segmenter, find_tasks([images], out), Job(out, identity={}))
        assert isinstance(problem, Problem)
        assert problem.where == str(images / "bad.tif")


def test_a_record_says_what_the_tables_need(
    images: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    job = Job(tmp_path / "out", identity={})
    assert attempt(segmenter, Task(images / "2.tif", "plate/2"), job) is None
    record = json.loads((tmp_path / "out/.images/plate/2/record.json").read_text())
    # Two granules of 9 px in 60 x 80: 18 / 4800 = 0.00375
    assert (record["field"]["n_granules"], record["field"]["area_fraction"]) == (2, 0.00375)
    assert [row[1:3] for row in record["granules"]] == [[1, 9], [2, 9]]
    assert list(record["files"]) == ["plate/2_mask.tif"]
