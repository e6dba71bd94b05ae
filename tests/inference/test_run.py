"""A run that is given again does only what is not done."""

from __future__ import annotations

import csv
import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tifffile
from examples import draw_field

from sgseg.errors import InputError, Problem
from sgseg.inference import predict as predicting
from sgseg.inference import run as running
from sgseg.inference.predict import Job, Reading, Task, find_tasks, predict_files
from sgseg.inference.records import Records
from sgseg.inference.run import (
    ALONE_PX,
    IMAGES,
    Outcome,
    Steps,
    attempt,
    continue_files,
    overlapped,
)
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


# --- files beside the networks

LONG_S = 20
STEPS = ("read", "network", "write")


class Work:
    """Tasks that note what they do, as (step, place); `pixels` are those of each image."""

    def __init__(self, *pixels: int) -> None:
        self.pixels = pixels
        self.done: list[tuple[str, int]] = []
        self.fails: dict[tuple[str, int], BaseException] = {}
        self.most = 0
        self._lock, self._open = threading.Lock(), 0

    def steps(self, place: int) -> Steps:
        self._step("read", place)
        yield self.pixels[place]
        self._step("network", place)
        yield self.pixels[place]
        self._step("write", place)
        return Problem(str(place), "none") if place % 2 else None

    def run(self) -> Iterator[Outcome]:
        return overlapped(self.steps(place) for place in range(len(self.pixels)))

    def told(self, error: BaseException) -> list[int]:
        """Places of the tasks that are told before an error."""
        places: list[int] = []

        def run() -> None:
            for place, _ in self.run():
                places.append(place)

        with pytest.raises(type(error)):
            run()
        return places

    def _step(self, name: str, place: int) -> None:
        if (name, place) in self.fails:
            raise self.fails[name, place]
        with self._lock:
            self._open += {"read": 1, "network": 0, "write": -1}[name]
            self.most = max(self.most, self._open)
            self.done.append((name, place))


def test_tasks_are_told_in_their_order_with_their_problems() -> None:
    work = Work(*[10] * 7)
    told = list(work.run())
    assert [place for place, _ in told] == list(range(7))
    assert [place for place, problem in told if problem is not None] == [1, 3, 5]
    assert sorted(work.done) == sorted((step, n) for step in STEPS for n in range(7))
    assert [n for step, n in work.done if step == "network"] == list(range(7))
    # A task's steps follow each other; of those begun at most three are not finished.
    for n in range(7):
        assert [step for step, place in work.done if place == n] == list(STEPS)
    assert work.most <= 3
    assert list(overlapped([])) == []


def test_files_are_read_and_written_while_the_networks_run() -> None:
    # The network sees 1 only once 2 is read and 0 is written: otherwise it would wait for ever.
    read, written = threading.Event(), threading.Event()

    def steps(place: int) -> Steps:
        if place == 2:
            read.set()
        yield 10
        assert threading.current_thread() is threading.main_thread()
        if place == 1:
            assert read.wait(LONG_S)
            assert written.wait(LONG_S)
        yield 10
        if place == 0:
            written.set()
        return None

    assert [place for place, _ in overlapped(map(steps, range(3)))] == [0, 1, 2]


def test_nothing_is_done_beside_a_large_image() -> None:
    work = Work(10, ALONE_PX + 1, ALONE_PX + 1, 10)
    assert len(list(work.run())) == 4
    steps = [(step, n) for step, n in work.done if n]
    # 1 is read while the network sees 0; then only what is left of 0 goes on beside it.
    assert steps == [(step, n) for n in (1, 2, 3) for step in STEPS]


@pytest.mark.parametrize("step", ["read", "network"])
@pytest.mark.parametrize("error", [OSError(28, "full"), KeyboardInterrupt()])
def test_what_is_being_written_is_finished_and_told_before_it_stops(
    step: str, error: BaseException
) -> None:
    work = Work(*[10] * 5)
    work.fails[step, 2] = error
    assert work.told(error) == [0, 1]
    assert ("write", 1) in work.done
    assert ("network", 3) not in work.done


def test_what_is_being_written_is_told_when_it_stops_while_one_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Waited for are 0 and 1 read, 0 written, 2 read, 1 written.
    result, waits = Future.result, []

    def interrupted(future: Future[None], timeout: float | None = None) -> None:
        if threading.current_thread() is threading.main_thread():
            waits.append(1)
            if len(waits) == 5:
                raise KeyboardInterrupt
        return result(future, timeout)

    monkeypatch.setattr(Future, "result", interrupted)
    assert Work(*[10] * 5).told(KeyboardInterrupt()) == [0, 1]


def test_nothing_is_written_any_more_once_a_run_was_interrupted(
    images: Path, segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(found: Iterator[Outcome], **_: object) -> Iterator[Outcome]:
        """A bar during which the user presses Ctrl-C: its frame lives on in the stack trace."""
        for outcome in found:
            yield outcome
            raise KeyboardInterrupt

    monkeypatch.setattr(running, "tqdm", interrupted)
    write, begun, closed = running.write_files, threading.Event(), []

    def slow(task: Task, *arguments: Any) -> None:
        if task.name == "1":
            begun.set()
            time.sleep(0.5)
        write(task, *arguments)

    monkeypatch.setattr(running, "write_files", slow)
    tidy = Records._tidy

    def noted(records: Records) -> None:
        closed.append(not [one for one in threading.enumerate() if one.name.startswith("files")])
        tidy(records)

    monkeypatch.setattr(Records, "_tidy", noted)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        continue_files(segmenter, find_tasks([images], out), Job(out, identity={}))
    assert closed == [True, True]


def test_a_disk_that_is_full_stops_it_at_once() -> None:
    work = Work(*[10] * 5)
    error = work.fails["write", 1] = OSError(28, "full")
    assert work.told(error) == [0]
    assert ("network", 3) not in work.done


def test_a_run_that_is_interrupted_has_what_it_did_in_its_tables(
    images: Path, segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, predict, seen = tmp_path / "out", segmenter.predict, []

    def interrupted(*arguments: object, **options: object) -> object:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt
        return predict(*arguments, **options)

    monkeypatch.setattr(segmenter, "predict", interrupted)
    tasks = find_tasks([images], out)
    with pytest.raises(KeyboardInterrupt):
        continue_files(segmenter, tasks, Job(out, identity={}))
    with (out / "fields.csv").open() as file:
        assert [Path(row["image"]).name for row in csv.DictReader(file)] == ["0.tif", "1.tif"]
    assert not [one for one in threading.enumerate() if one.name.startswith("files")]
