"""A lab's folder goes in whole or not at all."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image as Pillow

from sgseg.dataset import importer
from sgseg.dataset.importer import import_folder
from sgseg.errors import InputError
from sgseg.images.rois import write_rois


def image(seed: int = 0, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, (20, 30)).astype(dtype)


def mask() -> np.ndarray:
    pixels = np.zeros((20, 30), dtype=np.uint8)
    pixels[3:6, 3:6] = 255
    return pixels


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix in {".tif", ".tiff"}:
        tifffile.imwrite(path, pixels, **options)
    else:
        Pillow.fromarray(pixels).save(path, **options)
    return path


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Three images of three formats and their masks."""
    for index, name in enumerate(["1 (10).png", "day 2/cell α.tif", "b.bmp"]):
        save(tmp_path / "lab" / "images" / name, image(index))
        save((tmp_path / "lab" / "masks" / name).with_suffix(".png"), mask())
    return tmp_path / "lab"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "project").mkdir()
    return tmp_path / "project"


def bring(lab: Path, root: Path, **options: object) -> Path:
    given = {"images": "images", "masks": "masks", "name": "mine", "root": root, **options}
    return import_folder(lab, **given)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def problems(lab: Path, root: Path, **options: object) -> list[str]:
    before = tree(root)
    with pytest.raises(InputError) as caught:
        bring(lab, root, **options)
    assert tree(root) == before
    assert not list(root.rglob(".mine*"))
    return [str(problem) for problem in caught.value.problems]


def test_files_are_copied_byte_for_byte(lab: Path, root: Path) -> None:
    folder = bring(lab, root)
    assert folder == root / "data" / "raw" / "mine"
    copied = tree(folder)
    settings = yaml.safe_load(copied.pop("dataset.yaml"))
    assert copied == tree(lab)
    assert settings == {
        "name": "mine",
        "channel": None,
        "projection": None,
        "pixel_size_um": None,
        "bit_depth": None,
        "masks": "auto",
        "pattern": None,
    }
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mine"]


def test_settings_are_kept(lab: Path, root: Path) -> None:
    save(lab / "images" / "b.bmp", image())
    folder = bring(lab, root, channel=0, pixel_size_um=1, bit_depth=8, mask_rule="binary")
    settings = yaml.safe_load((folder / "dataset.yaml").read_text())
    assert (settings["channel"], settings["pixel_size_um"], settings["bit_depth"]) == (0, 1.0, 8)
    assert settings["masks"] == "binary"


def test_a_mask_takes_the_name_of_its_image(lab: Path, root: Path) -> None:
    shutil.rmtree(lab)
    # Decomposed and composed é, an OME ending, other letter case: the same names.
    save(lab / "images" / "cafe\u0301.ome.tif", image())
    save(lab / "masks" / "caf\u00e9.png", mask())
    save(lab / "images" / "Cell.PNG", image())
    save(lab / "masks" / "cell.tif", mask())
    names = set(tree(bring(lab, root)))
    assert {"images/caf\u00e9.ome.tif", "masks/caf\u00e9.png"} <= names
    assert {"images/Cell.PNG", "masks/Cell.tif"} <= names
    assert all(unicodedata.is_normalized("NFC", name) for name in names)


def test_five_files_damaged_in_five_ways_are_named_together(lab: Path, root: Path) -> None:
    for name in "cdefg":
        save(lab / "images" / f"{name}.png", image())
        save(lab / "masks" / f"{name}.png", mask())
    truncated = lab / "images" / "c.png"
    truncated.write_bytes(truncated.read_bytes()[:200])
    (lab / "images" / "d.png").write_bytes(b"")
    save(lab / "masks" / "e.png", mask()[:10])
    (lab / "images" / "f.png").unlink()
    nan = image(dtype="float32")
    nan[0, 0] = np.nan
    (lab / "images" / "g.png").unlink()
    save(lab / "images" / "g.tif", nan)
    said = problems(lab, root)
    assert len(said) == 5
    for name, text in {
        "images/c.png": "cannot be read as PNG",
        "images/d.png": "empty file (0 bytes)",
        "masks/e.png": "mask of 30 x 10 pixels; expected 30 x 20 as in",
        "masks/f.png": "mask without image",
        "images/g.tif": "1 pixels are NaN or infinite",
    }.items():
        assert any(name in item and text in item for item in said), (name, said)


def test_the_title_counts_and_says_that_nothing_was_imported(lab: Path, root: Path) -> None:
    (lab / "masks" / "b.png").unlink()
    with pytest.raises(
        InputError, match=r"^1 problem in .*lab; nothing was imported:\n  - .*b.bmp"
    ):
        bring(lab, root)


def test_bad_image_and_bad_mask_of_one_pair_are_both_named(lab: Path, root: Path) -> None:
    (lab / "images" / "b.bmp").write_bytes(b"junk")
    save(lab / "masks" / "b.png", image())
    said = problems(lab, root)
    assert len(said) == 2


def test_image_without_mask_and_mask_without_image(lab: Path, root: Path) -> None:
    save(lab / "images" / "c.png", image())
    save(lab / "masks" / "day 2" / "d.png", mask())
    said = problems(lab, root)
    assert [("image without mask" in text, "mask without image" in text) for text in said] == [
        (True, False),
        (False, True),
    ]
    assert "expected a file such as" in said[0]
    assert "masks/c.png" in said[0]
    assert "images/day 2/d.*" in said[1]


@pytest.mark.parametrize("other", ["b.png", "B.tif", "day 2__cell α.png"])
def test_two_images_of_one_name(lab: Path, root: Path, other: str) -> None:
    save(lab / "images" / other, image())
    (said,) = problems(lab, root)
    assert "2 images of one name" in said
    assert other in said


def test_two_masks_of_one_image(lab: Path, root: Path) -> None:
    save(lab / "masks" / "b.tif", mask())
    (said,) = problems(lab, root)
    assert "2 masks of one name (b.png, b.tif)" in said


@pytest.mark.parametrize("suffix", [".czi", ".lif", ".nd2", ".gif"])
def test_formats_that_are_not_read_are_not_passed_over(lab: Path, root: Path, suffix: str) -> None:
    (lab / "images" / f"c{suffix}").write_bytes(b"x")
    (said,) = problems(lab, root)
    assert f"{suffix} files are not read" in said


def test_hidden_and_other_files_are_left_out(lab: Path, root: Path) -> None:
    for name in ("images/.DS_Store", "images/._b.bmp", "masks/Thumbs.db", "images/notes.txt"):
        (lab / name).write_bytes(b"x")
    assert len(tree(bring(lab, root))) == 7


def test_links_that_leave_the_folder_are_refused(lab: Path, root: Path, tmp_path: Path) -> None:
    secret = save(tmp_path / "secret" / "c.png", image())
    (lab / "images" / "c.png").symlink_to(secret)
    save(lab / "masks" / "c.png", mask())
    (lab / "images" / "more").symlink_to(secret.parent)
    (lab / "images" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    said = problems(lab, root)
    for name in ("images/c.png", "images/more", "images/gone.png"):
        assert any(name in text and "leads out of the folder" in text for text in said)


def test_a_link_inside_the_folder_is_copied_as_a_file(lab: Path, root: Path) -> None:
    (lab / "images" / "c.bmp").symlink_to("b.bmp")
    save(lab / "masks" / "c.png", mask())
    copied = bring(lab, root) / "images" / "c.bmp"
    assert not copied.is_symlink()
    assert copied.read_bytes() == (lab / "images" / "b.bmp").read_bytes()


def test_masks_inside_the_folder_of_images(lab: Path, root: Path) -> None:
    (lab / "masks").rename(lab / "images" / "masks")
    folder = bring(lab, root, images="images", masks="images/masks")
    assert len(list((folder / "images").rglob("*.*"))) == 3


def test_wrong_folders(lab: Path, root: Path) -> None:
    (said,) = problems(lab, root, images="pictures")
    assert "pictures: no such folder" in said
    assert "there: images, masks" in said
    (said,) = problems(lab, root, masks="images")
    assert "the folder of images and of masks" in said
    (said,) = problems(lab / "none", root)
    assert "no such folder" in said
    (lab / "empty").mkdir()
    (said,) = problems(lab, root, images="empty", masks="masks/day 2/..")[:1]
    assert "mask without image" in said
    (lab / "empty2").mkdir()
    (said,) = problems(lab, root, images="empty", masks="empty2")
    assert "no image in this folder" in said


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"name": "../evil"}, "name: got '../evil'; expected letters"),
        ({"name": "a/b"}, "name: got"),
        ({"name": ".hidden"}, "name: got"),
        ({"name": ""}, "name: got"),
        ({"name": "simulated"}, "name of the built-in data"),
        ({"pixel_size_um": 65}, "pixel_size_um: got 65.0; expected micrometres"),
        ({"pixel_size_um": -1}, "pixel_size_um"),
        ({"pixel_size_um": float("nan")}, "pixel_size_um"),
        ({"bit_depth": 0}, "bit_depth"),
        ({"channel": -1}, "channel"),
        ({"projection": "best"}, "projection: got 'best'; expected max, mean"),
        ({"mask_rule": "magic"}, "masks: got 'magic'"),
        ({"samples": "s.csv", "pattern": "(?P<group>a)"}, "both are given"),
    ],
)
def test_wrong_arguments(lab: Path, root: Path, options: dict[str, object], text: str) -> None:
    (said,) = problems(lab, root, **options)
    assert text in said


def test_channels_and_stacks(lab: Path, root: Path) -> None:
    stack = np.stack([image(index, "uint16") for index in range(6)]).reshape(3, 2, 20, 30)
    (lab / "images" / "b.bmp").unlink()
    save(lab / "images" / "b.tif", stack, imagej=True, metadata={"axes": "ZCYX"})
    (said,) = problems(lab, root, projection="max")
    assert "2 channels (0, 1)" in said
    bring(lab, root, channel=0, projection="max")


def test_outlines_from_fiji(lab: Path, root: Path) -> None:
    (lab / "masks" / "b.png").unlink()
    write_rois(lab / "masks" / "b.zip", (mask() > 0).astype(np.int32))
    assert (bring(lab, root) / "masks" / "b.zip").is_file()


def test_too_many_pixels(lab: Path, root: Path) -> None:
    # Each image and each mask has 30 x 20 = 600 pixels.
    said = problems(lab, root, max_pixels=599)
    assert len(said) == 6
    assert all("30 x 20 pixels" in text for text in said)


# --- the sample table and the pattern ----------------------------------------------------------


def test_sample_table_is_rewritten_with_paths(lab: Path, root: Path) -> None:
    (lab / "table.csv").write_text(
        "Image;Group;Condition;pixel_size_um;Operator\n"
        "1 (10);A;control;0,2;Ann\n"
        "day 2\\cell α.tif;B;arsenite;;Bob\n"
        "b.bmp;B;arsenite;0.1;\n",
        encoding="utf-8-sig",
    )
    folder = bring(lab, root, samples=lab / "table.csv")
    assert (folder / "samples.csv").read_text(encoding="utf-8") == (
        "image,group,condition,pixel_size_um,operator\n"
        "1 (10).png,A,control,0.2,Ann\n"
        "b.bmp,B,arsenite,0.1,\n"
        "day 2/cell α.tif,B,arsenite,,Bob\n"
    )


def test_problems_of_the_table_are_named_beside_those_of_files(lab: Path, root: Path) -> None:
    (lab / "table.csv").write_text("image,group\n1 (10).png,A\nb.bmp,B\nnone.png,C\n")
    (lab / "images" / "b.bmp").write_bytes(b"")
    said = problems(lab, root, samples="table.csv")
    assert "line 4: no image 'none.png'" in said[0]
    assert "empty file" in said[1]


def test_pattern_is_kept_and_has_to_fit_every_name(lab: Path, root: Path) -> None:
    pattern = r"(?P<condition>day 2|b)"
    (said,) = problems(lab, root, pattern=pattern)
    assert "1 (10).png: the pattern does not fit its name" in said
    folder = bring(lab, root, pattern=r"(?P<group>[0-9]|b)")
    assert yaml.safe_load((folder / "dataset.yaml").read_text())["pattern"] == r"(?P<group>[0-9]|b)"


# --- a name that is taken, and what goes wrong while copying -----------------------------------


def test_a_taken_name_is_refused_with_a_hint(lab: Path, root: Path) -> None:
    bring(lab, root)
    (said,) = problems(lab, root)
    assert "exists already" in said
    assert "--replace" in said


def test_a_name_that_dvc_knows_is_taken_although_its_folder_is_not_here(
    lab: Path, root: Path
) -> None:
    (root / "data" / "raw").mkdir(parents=True)
    (root / "data" / "raw" / "mine.dvc").write_text("outs: []\n")
    (said,) = problems(lab, root)
    assert "dvc pull" in said


def test_replace(lab: Path, root: Path) -> None:
    folder = bring(lab, root)
    (lab / "images" / "b.bmp").unlink()
    (lab / "masks" / "b.png").unlink()
    bring(lab, root, replace=True)
    assert len(tree(folder)) == 5
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


def test_replace_by_bad_files_leaves_the_old_ones(lab: Path, root: Path) -> None:
    bring(lab, root)
    (lab / "images" / "b.bmp").write_bytes(b"")
    assert "empty file" in problems(lab, root, replace=True)[0]


@pytest.mark.parametrize("replace", [False, True])
def test_a_full_disk_leaves_nothing_behind(
    lab: Path, root: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    if replace:
        bring(lab, root)
    before = tree(root)
    copies = []

    def full(source: Path, destination: Path) -> None:
        if len(copies) == 3:
            raise OSError(28, "No space left on device", str(destination))
        copies.append(destination)
        Path(destination).write_bytes(Path(source).read_bytes())

    monkeypatch.setattr(importer.shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        bring(lab, root, replace=replace)
    assert tree(root) == before
    assert sorted(path.name for path in (root / "data" / "raw").iterdir()) == ["mine"] * replace


def test_an_import_that_was_killed_between_the_two_renames_is_mended(lab: Path, root: Path) -> None:
    folder = bring(lab, root)
    before = tree(folder)
    dead = 2**22 + 1  # above the highest process id
    folder.rename(folder.with_name(f".mine.old-{dead}"))
    (folder.parent / f".mine.new-{dead}").mkdir()
    with pytest.raises(InputError, match="exists already"):
        bring(lab, root)
    assert tree(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["mine"]


@pytest.mark.skipif("SGSEG_REAL_DATA" not in os.environ, reason="no SGSEG_REAL_DATA")
def test_real_cells(root: Path) -> None:
    source = Path(os.environ["SGSEG_REAL_DATA"]) / "sg_cells"
    folder = import_folder(source, images="unlabel", masks="label", name="sg", root=root)
    assert len(list((folder / "images").iterdir())) == 87
    assert {path.stem for path in (folder / "images").iterdir()} == {
        path.stem for path in (folder / "masks").iterdir()
    }
