"""Label images of other programs: found by name, read as they are, refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from sgseg.errors import InputError
from sgseg.images.rois import write_rois
from sgseg.images.write import write_labels
from sgseg.quantify.given import find_given, match_nuclei, read_given
from sgseg.quantify.per_cell import owners

from .shapes import disks

SHAPE = (40, 50)
LABELS = disks(SHAPE, [(10, 10, 8), (10, 24, 8), (30, 30, 9)])


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        read_given(path, shape=options.get("shape", SHAPE))
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["cellpose.png", "stardist.tif", "float32.tif", "outlines.zip"])
def test_labels_are_read_as_they_are(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith("zip"):
        write_rois(path, LABELS)
    elif name.endswith("png"):
        Pillow.fromarray(LABELS.astype(np.uint16)).save(path)
    else:
        kind = np.float32 if "float" in name else np.uint16
        tifffile.imwrite(path, LABELS.astype(kind))
    np.testing.assert_array_equal(read_given(path, shape=SHAPE).labels, LABELS)


def test_touching_cells_that_cover_the_whole_image(tmp_path: Path) -> None:
    # Neither a background nor a gap: no granule mask would be like that.
    grid = (np.indices(SHAPE)[0] // 10 * 5 + np.indices(SHAPE)[1] // 10 + 1).astype(np.int32)
    grid[0, 0] = 0
    write_labels(tmp_path / "a.tif", grid)
    np.testing.assert_array_equal(read_given(tmp_path / "a.tif", shape=SHAPE).labels, grid)


def test_one_value_in_several_pieces_is_a_mask(tmp_path: Path) -> None:
    separate = np.where(LABELS == 2, 0, LABELS)
    Pillow.fromarray(((separate > 0) * 255).astype(np.uint8)).save(tmp_path / "m.png")
    found = read_given(tmp_path / "m.png", shape=SHAPE)
    assert found.rule == "mask of 2 connected pieces"
    np.testing.assert_array_equal(found.labels > 0, separate > 0)
    assert found.labels.max() == 2


def test_one_cell_keeps_its_number(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.tif", np.where(LABELS == 3, 3, 0))
    assert read_given(tmp_path / "a.tif", shape=SHAPE).labels.max() == 3


def test_identifiers_are_numbered_anew(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.tif", np.where(LABELS > 0, LABELS.astype(np.int64) + 10**9, 0))
    found = read_given(tmp_path / "a.tif", shape=SHAPE)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert "numbered anew" in found.rule


def test_nothing_found_elsewhere_is_no_error(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.tif", np.zeros(SHAPE, np.int32))
    assert not read_given(tmp_path / "a.tif", shape=SHAPE).labels.any()


def test_another_size(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.tif", LABELS)
    message = refusal(tmp_path / "a.tif", shape=(80, 100))
    assert "50 x 40 pixels; expected 100 x 80" in message


def test_fractions(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "p.tif", (LABELS / 7).astype(np.float32))
    assert "no whole numbers" in refusal(tmp_path / "p.tif")


def test_missing_and_jpeg(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "gone.tif")
    Pillow.fromarray(LABELS.astype(np.uint8)).save(tmp_path / "a.jpg")
    assert "JPEG" in refusal(tmp_path / "a.jpg")


def test_a_photograph_is_no_label_image(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 200, SHAPE).astype(np.uint8)
    Pillow.fromarray(noise).save(tmp_path / "a.png")
    assert "one compact object per number" in refusal(tmp_path / "a.png")


def test_files_are_found_by_the_names_that_programs_give(tmp_path: Path) -> None:
    names = {
        "a": "a.tif",
        "b": "b_cp_masks.png",
        "day 1/c": "day 1/c_labels.tif",
        "d": "d.zip",
        "e": "e-labelled.ome.tif",
    }
    for name in [*names.values(), "unused.tif", "notes.txt"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    expected = {field: tmp_path / name for field, name in names.items()}
    assert find_given(tmp_path, names) == expected


def test_every_missing_or_doubtful_file_is_named(tmp_path: Path) -> None:
    for name in ("a.tif", "a.png", "b.tif", "c_seg.npy"):
        (tmp_path / name).touch()
    with pytest.raises(InputError) as caught:
        find_given(tmp_path, ["a", "b", "c", "d"], what="nuclei")
    text = str(caught.value)
    assert len(caught.value.problems) == 3
    assert "several files of nuclei: a.png, a.tif" in text
    assert "c in" in text
    assert "_seg.npy" in text
    with pytest.raises(InputError, match="no such folder"):
        find_given(tmp_path / "gone", ["a"])


def test_nuclei_take_the_label_of_their_cell() -> None:
    nuclei = disks(SHAPE, [(30, 30, 4), (10, 10, 3), (35, 5, 3)])
    found = match_nuclei(LABELS, nuclei, owner=owners(nuclei, LABELS))
    # Nucleus 1 is in cell 3, 2 in cell 1, 3 in none.
    np.testing.assert_array_equal(found == 3, nuclei == 1)
    np.testing.assert_array_equal(found == 1, nuclei == 2)
    assert set(np.unique(found)) == {0, 1, 3}
