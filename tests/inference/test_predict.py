"""Files in, label images and a table out; what is bad is named, what is good is finished."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from examples import draw_field
from PIL import Image

from sgseg.errors import InputError
from sgseg.inference import predict
from sgseg.inference.predict import Reading, Task, find_tasks, predict_files
from sgseg.inference.segmenter import Prediction, Segmenter

GRANULES = [(10, 10), (20, 30), (40, 12)]
READING = Reading()


@pytest.fixture
def segmenter(make_bundle: Callable[..., Path]) -> Segmenter:
    return Segmenter.load(make_bundle())


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder with fields of 3 and of no granules, one of them with a pixel size of 0.5 um."""
    folder = tmp_path / "images"
    (folder / "day 2").mkdir(parents=True)
    tifffile.imwrite(
        folder / "a (1).tif",
        draw_field(GRANULES)[0],
        imagej=True,
        resolution=(2, 2),
        metadata={"unit": "um"},
    )
    pixels = draw_field([], shape=(50, 70))[0]
    Image.fromarray((pixels // 4).astype(np.uint8)).save(folder / "day 2" / "ä.png")
    return folder


def table(out: Path, name: str = "fields.csv") -> list[dict[str, str]]:
    with (out / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_mask_of_the_image_s_size_and_a_row_for_each_file(
    images: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out"
    assert predict_files(segmenter, find_tasks([images], out), out, reading=READING) == []
    with tifffile.TiffFile(out / "a (1)_mask.tif") as tif:
        mask, metadata = tif.asarray(), tif.imagej_metadata
        x_resolution = tif.pages[0].tags["XResolution"].value
    assert np.array_equal(mask > 0, draw_field(GRANULES)[1] > 0)
    assert mask.max() == 3
    assert (metadata["unit"], x_resolution) == ("um", (2, 1))
    empty = tifffile.imread(out / "day 2" / "ä_mask.tif")
    assert empty.shape == (50, 70)
    assert not empty.any()
    # 3 granules of 9 px of 0.5 um x 0.5 um: 27 px, 27 x 0.25 = 6.75 um2, 27 / (60 x 80) = 0.005625
    assert table(out) == [
        {
            "image": str(images / "a (1).tif"),
            "n_granules": "3",
            "area_px": "27",
            "area_um2": "6.75",
            "pixel_size_um": "0.5",
            "area_fraction": "0.005625",
            "uncertainty": "",
            "warnings": "",
        },
        {
            "image": str(images / "day 2" / "ä.png"),
            "n_granules": "0",
            "area_px": "0",
            "area_um2": "",
            "pixel_size_um": "",
            "area_fraction": "0.0",
            "uncertainty": "",
            "warnings": "",
        },
    ]
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.*"))
    assert files == ["a (1)_mask.tif", "day 2/ä_mask.tif", "fields.csv", "granules.csv"]


def test_a_stated_pixel_size_replaces_that_of_the_file(
    images: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    tasks = find_tasks([images / "a (1).tif"], tmp_path)
    predict_files(segmenter, tasks, tmp_path, reading=Reading(pixel_size_um=0.2))
    # 27 px of 0.2 um x 0.2 um = 0.04 um2
    assert (table(tmp_path)[0]["area_um2"], table(tmp_path)[0]["pixel_size_um"]) == ("1.08", "0.2")


def test_channel_and_projection(segmenter: Segmenter, tmp_path: Path) -> None:
    field, empty = draw_field(GRANULES)[0], draw_field([])[0]
    stack = np.stack([np.stack([empty, empty]), np.stack([empty, field])])  # Z, C, Y, X
    path = tmp_path / "stack.ome.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "ZCYX", "Channel": {"Name": ["DAPI", "G3BP1"]}})
    out = tmp_path / "out"
    for channel, expected in (("G3BP1", "3"), (0, "0")):
        reading = Reading(channel=channel, projection="max")
        assert predict_files(segmenter, find_tasks([path], out), out, reading=reading) == []
        assert table(out)[0]["n_granules"] == expected
    assert (out / "stack_mask.tif").exists()  # `.ome.tif` is one ending


def test_an_overlay_on_request(images: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    tasks = find_tasks([images], tmp_path / "out")
    predict_files(segmenter, tasks, tmp_path / "out", reading=READING, with_overlay=True)
    picture = np.asarray(Image.open(tmp_path / "out" / "a (1)_overlay.png"))
    assert picture.shape == (60, 80, 3)
    coloured = (picture != picture[..., :1]).any(axis=-1)
    assert coloured.sum() == 3 * 8  # the 8 border pixels of each 3 x 3 granule


def test_uncertainty_in_the_tables_and_as_a_map(
    images: Path, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    # Granules are 3 times as bright as the cell: found by the members that want 2 and 2.5 times,
    # not by the one that wants 4.
    segmenter = Segmenter.load(make_bundle(2.0, 2.5, 4.0))
    out = tmp_path / "out"
    tasks = find_tasks([images], out)
    assert predict_files(segmenter, tasks, out, reading=READING, with_uncertainty=True) == []
    # IoU 1, 1 and 0, for the image as for each granule.
    fields, granules = table(out), table(out, "granules.csv")
    assert [row["uncertainty"] for row in fields] == ["0.333333", "0.0"]
    assert [row["uncertainty"] for row in granules] == ["0.333333"] * 3
    assert {row["image"] for row in granules} == {str(images / "a (1).tif")}
    with tifffile.TiffFile(out / "a (1)_uncertainty.tif") as tif:
        found, metadata = tif.asarray(), tif.imagej_metadata
        x_resolution = tif.pages[0].tags["XResolution"].value
    assert (found.dtype, found.shape) == (np.float32, (60, 80))
    assert (metadata["unit"], x_resolution) == ("um", (2, 1))
    # Probabilities 1, 0.99 and 0: deviation of (1, 1, 0) is sqrt(2) / 3; elsewhere all say 0.
    middle = draw_field(GRANULES)[1] > 0
    assert found[middle] == pytest.approx(np.full(27, np.sqrt(2) / 3), abs=0.02)
    assert found[~middle].max() < 1e-3
    assert tifffile.imread(out / "day 2" / "ä_uncertainty.tif").shape == (50, 70)


def test_each_kind_of_warning_is_logged_once(
    images: Path,
    make_bundle: Callable[..., Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    Image.fromarray(np.full((50, 70), 9, np.uint8)).save(images / "blank.png")
    Image.fromarray(np.full((50, 70), 7, np.uint8)).save(images / "blank too.png")
    trained_on = {"images": 9, "pixel_size_um": [0.1, 0.12]}
    segmenter = Segmenter.load(make_bundle(statistics=trained_on))
    out = tmp_path / "out"
    assert predict_files(segmenter, find_tasks([images], out), out, reading=READING) == []
    warnings = {Path(row["image"]).name: row["warnings"] for row in table(out)}
    # 0.5 um are 0.5 / 0.12 = 4.17 times as much as the largest of the training images.
    larger = (
        "pixel size: 0.5 um; the training images had 0.1 to 0.12 um: granules look 4.2 times "
        "smaller to the model"
    )
    blank = "brightness: (nearly) all pixels have the same value; there is nothing to see"
    assert warnings == {
        "a (1).tif": larger,
        "blank.png": blank,
        "blank too.png": blank,
        "ä.png": "",
    }
    assert [record.message for record in caplog.records] == [
        f"1 of 4 images, such as {images / 'a (1).tif'}: {larger}",
        f"2 of 4 images, such as {images / 'blank too.png'}: {blank}",
    ]


def test_threshold_and_minimum_area_of_the_call(
    images: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    tasks = find_tasks([images / "a (1).tif"], tmp_path)
    for options, expected in (({"threshold": 1.0}, "0"), ({"min_area_px": 10}, "0"), ({}, "3")):
        predict_files(segmenter, tasks, tmp_path, reading=READING, **options)
        assert table(tmp_path)[0]["n_granules"] == expected


def test_anything_that_predicts_will_do(images: Path, tmp_path: Path) -> None:
    class Whole:
        def predict(self, pixels: np.ndarray, **options: object) -> Prediction:
            asked.append(options)
            return Prediction(np.ones(pixels.shape, np.int32), pixels * np.float32(0), None, None)

    asked: list[dict[str, object]] = []
    tasks = find_tasks([images / "a (1).tif"], tmp_path)
    assert predict_files(Whole(), tasks, tmp_path, reading=READING, threshold=0.3) == []
    assert table(tmp_path)[0]["area_fraction"] == "1.0"
    assert asked == [
        {"pixel_size_um": 0.5, "with_deviation": False, "threshold": 0.3, "min_area_px": None}
    ]


def test_one_member_has_no_map(images: Path, segmenter: Segmenter, tmp_path: Path) -> None:
    tasks = find_tasks([images], tmp_path / "out")
    predict_files(segmenter, tasks, tmp_path / "out", reading=READING, with_uncertainty=True)
    assert list(tmp_path.rglob("*_uncertainty.tif")) == []


def test_bad_files_are_named_and_the_others_finished(
    images: Path, segmenter: Segmenter, tmp_path: Path
) -> None:
    (images / "empty.tif").write_bytes(b"")
    (images / "text.png").write_text("no picture")
    truncated = (images / "a (1).tif").read_bytes()[:3000]
    (images / "truncated.tif").write_bytes(truncated)
    tifffile.imwrite(images / "nan.tif", np.full((9, 9), np.nan, np.float32))
    tifffile.imwrite(images / "two channels.tif", np.zeros((2, 9, 9), np.uint8))
    out = tmp_path / "out"
    problems = predict_files(segmenter, find_tasks([images], out), out, reading=READING)
    bad = ["empty.tif", "nan.tif", "text.png", "truncated.tif", "two channels.tif"]
    assert len(problems) == len(bad)
    for name, problem in zip(bad, problems, strict=True):
        assert problem.where.startswith(str(images / name))
        assert problem.what
    assert [Path(row["image"]).name for row in table(out)] == ["a (1).tif", "ä.png"]
    assert len(list(out.rglob("*_mask.tif"))) == 2


def test_a_problem_that_does_not_know_its_file_gets_it(
    images: Path, make_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    # At 1e-5 um, the 0.5 um pixels of the first image would become 3,000,000 x 4,000,000.
    settings = {"normalise": "background", "target_pixel_size_um": 1e-5}
    segmenter = Segmenter.load(make_bundle(preprocessing=settings))
    out = tmp_path / "out"
    (problem,) = predict_files(segmenter, find_tasks([images], out), out, reading=READING)
    assert problem.where == f"{images / 'a (1).tif'}: pixel size 0.5 um"
    assert [Path(row["image"]).name for row in table(out)] == ["ä.png"]


def test_nothing_good_leaves_nothing(segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"")
    out = tmp_path / "out"
    problems = predict_files(segmenter, find_tasks([tmp_path], out), out, reading=READING)
    assert len(problems) == 1
    assert not out.exists()


def test_an_interrupted_run_leaves_the_table_of_what_is_done(
    images: Path, segmenter: Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = predict.read_image

    def interrupted(path: Path, **options: object) -> object:
        if path.name == "ä.png":
            raise KeyboardInterrupt
        return read(path, **options)

    monkeypatch.setattr(predict, "read_image", interrupted)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict_files(segmenter, find_tasks([images], out), out, reading=READING)
    assert [Path(row["image"]).name for row in table(out)] == ["a (1).tif"]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_tasks_keep_the_structure_of_folders(tmp_path: Path) -> None:
    touch(tmp_path, "d/10.tif", "d/9.tif", "d/sub/1.x.PNG", "d/notes.txt", "e.jpg")
    assert find_tasks([tmp_path / "d", tmp_path / "e.jpg"], tmp_path / "out") == [
        Task(tmp_path / "d/9.tif", "9"),
        Task(tmp_path / "d/10.tif", "10"),
        Task(tmp_path / "d/sub/1.x.PNG", "sub/1.x"),
        Task(tmp_path / "e.jpg", "e"),
    ]


def test_a_file_named_twice_is_one_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "d/1.tif")
    monkeypatch.chdir(tmp_path)
    absolute = tmp_path / "d" / "1.tif"
    paths = [Path("d"), Path("d/1.tif"), absolute, Path("d/../d/1.tif"), Path("d/../d")]
    assert find_tasks(paths, tmp_path / "out") == [Task(Path("d/1.tif"), "1")]


def test_all_collisions_and_missing_paths_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.tif", "a/1.png", "b/1.tif", "a/2.tif")
    (tmp_path / "nothing").mkdir()
    paths = [tmp_path / name for name in ("a", "b", "gone", "nothing")]
    with pytest.raises(InputError) as caught:
        find_tasks(paths, tmp_path / "out")
    assert [(p.where, p.what) for p in caught.value.problems] == [
        (str(tmp_path / "gone"), "no such file or folder"),
        (str(tmp_path / "nothing"), "no image in this folder"),
        (
            str(tmp_path / "a/1.tif"),
            f"its results would overwrite those of {tmp_path / 'a/1.png'}",
        ),
        (
            str(tmp_path / "b/1.tif"),
            f"its results would overwrite those of {tmp_path / 'a/1.png'}",
        ),
    ]


def test_results_do_not_become_images_of_the_next_run(tmp_path: Path) -> None:
    touch(tmp_path, "1.tif", "out/1_mask.tif", "out/sub/2_mask.tif", "output/3.tif")
    tasks = find_tasks([tmp_path], tmp_path / "out")
    assert [task.name for task in tasks] == ["1", "output/3"]
    with pytest.raises(InputError, match="results would lie among the images"):
        find_tasks([tmp_path], tmp_path)
    # Above the images is a good place for results.
    assert find_tasks([tmp_path / "output"], tmp_path) == [Task(tmp_path / "output/3.tif", "3")]


def test_no_result_overwrites_an_image(tmp_path: Path) -> None:
    touch(tmp_path, "a.tif", "a_mask.tif", "b.tif", "b_overlay.png", "c.tif", "c_uncertainty.tif")
    paths = sorted(tmp_path.iterdir())
    with pytest.raises(InputError) as caught:
        find_tasks(paths, tmp_path)
    assert [str(p.where) for p in caught.value.problems] == [
        str(tmp_path / "a.tif"),
        str(tmp_path / "b.tif"),
        str(tmp_path / "c.tif"),
    ]
    assert "would overwrite the image" in str(caught.value)
    assert len(find_tasks(paths, tmp_path / "out")) == 6


@pytest.mark.skipif("SGSEG_REAL_DATA" not in os.environ, reason="needs real images")
def test_real_images(segmenter: Segmenter, tmp_path: Path) -> None:
    folder = Path(os.environ["SGSEG_REAL_DATA"]) / "sg_cells" / "unlabel"
    tasks = find_tasks([folder], tmp_path)[:5]
    assert predict_files(segmenter, tasks, tmp_path, reading=READING) == []
    for task, row in zip(tasks, table(tmp_path), strict=True):
        mask = tifffile.imread(task.mask_path(tmp_path))
        assert mask.shape == Image.open(task.path).size[::-1]
        assert row["n_granules"] == str(mask.max())
        assert row["area_px"] == str(np.count_nonzero(mask))
