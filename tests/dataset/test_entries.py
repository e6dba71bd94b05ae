"""Images, masks and rows of the sample table that belong together, and those that do not."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from sgseg.dataset.entries import Entry, find_entries
from sgseg.dataset.raw import RawSettings
from sgseg.errors import InputError


def lay_out(raw: Path, *files: str, samples: str | None = None) -> Path:
    for file in files:
        (raw / file).parent.mkdir(parents=True, exist_ok=True)
        (raw / file).touch()
    if samples is not None:
        (raw / "samples.csv").write_text(samples, encoding="utf-8")
    return raw


def entries_of(raw: Path, **settings: str) -> dict[str, Entry]:
    found = find_entries(raw, RawSettings(name="a", **settings))
    assert len({entry.image_id for entry in found}) == len(found)
    return {entry.image_id: entry for entry in found}


def said(entry: Entry) -> str:
    return "\n".join(str(problem) for problem in entry.problems)


def test_pairs_by_path_and_stem(tmp_path: Path) -> None:
    raw = lay_out(
        tmp_path,
        "images/1 (10).jpg",
        "images/1 (2).jpg",
        "images/day 1/b.ome.tif",
        "masks/1 (10).png",
        "masks/1 (2).zip",
        "masks/day 1/b.tif",
    )
    found = find_entries(raw, RawSettings(name="a"))
    assert [(entry.image_id, str(entry.mask), entry.problems) for entry in found] == [
        ("1 (2)", "masks/1 (2).zip", []),
        ("1 (10)", "masks/1 (10).png", []),
        ("day 1__b", "masks/day 1/b.tif", []),
    ]


def test_one_name_in_two_unicode_spellings(tmp_path: Path) -> None:
    name = "zellkörper"
    raw = lay_out(
        tmp_path,
        f"images/{unicodedata.normalize('NFD', name)}.tif",
        f"masks/{unicodedata.normalize('NFC', name)}.tif",
    )
    (entry,) = entries_of(raw).values()
    assert (entry.image_id, entry.problems) == (unicodedata.normalize("NFC", name), [])


def test_what_has_no_partner(tmp_path: Path) -> None:
    raw = lay_out(tmp_path, "images/a.tif", "masks/b.tif")
    found = entries_of(raw)
    assert "images/a.tif: image without mask" in said(found["a"])
    assert "masks/b.tif: mask without image" in said(found["b"])
    assert found["b"].image is None


def test_names_that_are_taken(tmp_path: Path) -> None:
    raw = lay_out(
        tmp_path, "images/a.tif", "images/A.png", "images/b.tif", *("masks/a.tif", "masks/b.tif")
    )
    (raw / "masks" / "b.png").touch()
    found = entries_of(raw)
    assert "2 images of one name: images/a.tif, images/A.png" in said(found["a"]) or (
        "2 images of one name: images/A.png, images/a.tif" in said(found["a"])
    )
    assert "2 images of one name" in said(found["A"])
    assert "2 masks" in said(found["b"])
    assert found["b"].mask is None


def test_no_image_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no image in this folder"):
        entries_of(lay_out(tmp_path, "images/notes.txt"))
    with pytest.raises(InputError, match="no such folder"):
        entries_of(tmp_path / "elsewhere")


def test_values_of_the_table(tmp_path: Path) -> None:
    raw = lay_out(
        tmp_path,
        *("images/x/a.tif", "images/b.tif", "masks/x/a.tif", "masks/b.tif"),
        samples="image;group;condition;pixel_size_um\nX\\a.tif;w 1;NA;0,2\nb;;None;\n",
    )
    found = entries_of(raw)
    assert found["x__a"].sample == {"group": "w 1", "condition": "NA", "pixel_size_um": "0.2"}
    assert found["b"].sample == {"condition": "None"}
    assert not any(entry.problems for entry in found.values())


def test_rows_that_fit_no_image_or_several(tmp_path: Path) -> None:
    files = [
        f"{kind}/{name}.tif" for kind in ("images", "masks") for name in ("1/a", "2/a", "b", "c")
    ]
    text = "image,condition\na,x\nb,x\nb,y\nunknown.tif,x\n1/a,x\n,x\n2/a,x\n"
    found = entries_of(lay_out(tmp_path, *files, samples=text))
    assert "line 2: 'a' fits several images (1/a.tif, 2/a.tif)" in said(found["1__a"])
    assert "line 2: 'a' fits several images" in said(found["2__a"])
    assert "samples.csv, lines 3, 4: 2 rows for b.tif" in said(found["b"])
    assert "line 5: no image 'unknown.tif'" in said(found["unknown.tif"])
    assert "line 7: no image ''" in said(found["samples.csv, line 7"])
    assert "images/c.tif: no row in samples.csv" in said(found["c"])


@pytest.mark.parametrize("size", ["small", "0", "-1", "inf", "nan"])
def test_pixel_sizes_that_are_none(tmp_path: Path, size: str) -> None:
    raw = lay_out(
        tmp_path, "images/a.tif", "masks/a.tif", samples=f"image,pixel_size_um\na,{size}\n"
    )
    (entry,) = entries_of(raw).values()
    assert f"samples.csv, line 2: pixel_size_um '{size}'" in said(entry)


def test_a_table_without_the_column_image(tmp_path: Path) -> None:
    raw = lay_out(tmp_path, "images/a.tif", "masks/a.tif", samples="file,condition\na,x\n")
    with pytest.raises(InputError, match="expected `image`"):
        entries_of(raw)


def test_pattern_and_table_together(tmp_path: Path) -> None:
    raw = lay_out(
        tmp_path,
        *(f"{kind}/{name}" for kind in ("images", "masks") for name in ("ctl_1.tif", "odd.tif")),
        samples="image,condition\nctl_1,control\nodd,control\n",
    )
    found = entries_of(raw, pattern=r"(?P<condition>[a-z]+)_(?P<replicate>\d)")
    assert found["ctl_1"].sample == {"condition": "control", "replicate": "1"}
    assert "does not fit its name" in said(found["odd"])
