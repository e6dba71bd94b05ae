from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sgseg.errors import InputError
from sgseg.inference.predict import Task
from sgseg.quantify.samples import Sample, read_samples

TASKS = [Task(Path("images/day 1/a.tif"), "day 1/a"), Task(Path("images/b.ome.tif"), "b")]


def read(folder: Path, text: str, tasks: list[Task] = TASKS, encoding: str = "utf-8") -> object:
    path = folder / "samples.csv"
    path.write_text(text, encoding=encoding)
    return read_samples(path, tasks)


@pytest.mark.parametrize("a", ["day 1/a", "day 1\\a.tif", "A.TIF", "a", "images/day 1/a.tif"])
@pytest.mark.parametrize("b", ["b", "b.ome.tif", "B.tif"])
def test_ways_to_name_an_image(a: str, b: str, tmp_path: Path) -> None:
    text = f"image,condition,replicate\n{a},control,1\n{b},heat,2\n"
    assert read(tmp_path, text) == {
        "day 1/a": Sample("control", "1"),
        "b": Sample("heat", "2"),
    }


@pytest.mark.parametrize(
    ("separator", "encoding"), [(",", "utf-8-sig"), (";", "utf-8"), ("\t", "utf-16")]
)
def test_tables_as_programs_write_them(separator: str, encoding: str, tmp_path: Path) -> None:
    rows = [["Field", "group", "pixel_size_um", "note"], ["a", "g", "0.2", "x"], ["b", "", "", ""]]
    text = "\n".join(separator.join(row) for row in rows)
    found = read(tmp_path, text, encoding=encoding)
    assert found == {"day 1/a": Sample(group="g", pixel_size_um=0.2), "b": Sample()}


def test_a_decimal_comma(tmp_path: Path) -> None:
    found = read(tmp_path, "image;pixel_size_um\na;0,25\n", TASKS[:1])
    assert found == {"day 1/a": Sample(pixel_size_um=0.25)}


def test_rows_of_other_images_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    text = "image,condition\na,control\nc,heat\nd,heat\n"
    assert read(tmp_path, text, TASKS[:1]) == {"day 1/a": Sample("control")}
    assert "2 rows of images that are not in this run" in caplog.text


def test_all_that_is_wrong_is_named(tmp_path: Path) -> None:
    text = "image,condition,pixel_size_um\na,control,small\na,heat,0.2\nb,heat,-1\n"
    with pytest.raises(InputError) as caught:
        read(tmp_path, text)
    path = tmp_path / "samples.csv"
    problems = [str(problem) for problem in caught.value.problems]
    assert len(problems) == 3
    assert problems[0].startswith(f"{path}, line 2: pixel_size_um 'small'; expected micrometres")
    assert problems[1] == f"{path}, line 3: a second row for day 1/a; expected one row"
    assert problems[2].startswith(f"{path}, line 4: pixel_size_um '-1'")


def test_an_image_without_a_row(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no row for images/b\.ome\.tif; expected a row for each"):
        read(tmp_path, "image,condition\na,control\n")


def test_a_name_that_fits_two_fields(tmp_path: Path) -> None:
    tasks = [Task(Path("x/1/a.tif"), "1/a"), Task(Path("x/2/a.tif"), "2/a")]
    with pytest.raises(InputError, match=r"line 2: 'a' fits several fields \(1/a, 2/a\)"):
        read(tmp_path, "image,condition\na,control\n", tasks)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name,condition\na,control\n",
        "image,note\na,x\n",
        "image,condition,condition\na,x,y\n",
    ],
)
def test_no_sample_table(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected `image` and at least one of condition"):
        read(tmp_path, text)


def test_no_table_at_all(tmp_path: Path) -> None:
    (tmp_path / "samples.csv").write_bytes(b"PK\x03\x04\xff\xfe\x80")
    with pytest.raises(InputError, match="no text table"):
        read_samples(tmp_path / "samples.csv", TASKS)
    with pytest.raises(InputError, match="No such file"):
        read_samples(tmp_path / "gone.csv", TASKS)


@pytest.mark.parametrize("well", ["A/1", "a1"])
def test_a_row_for_a_well_of_a_plate(well: str, tmp_path: Path) -> None:
    names = ["A/1/0", "A/1/1", "B/2/0"]
    for name in names:
        (tmp_path / "p.zarr" / name).mkdir(parents=True)
    tasks = [Task(tmp_path / "p.zarr" / name, name) for name in names]
    text = f"well,condition,replicate\n{well},control,1\nB2,heat,2\n"
    control, heat = Sample("control", "1"), Sample("heat", "2")
    assert read(tmp_path, text, tasks) == dict(zip(names, [control, control, heat], strict=True))
    with pytest.raises(InputError, match="line 4: a second row for A/1/1"):
        read(tmp_path, text + "A/1/1,heat,3\n", tasks)
