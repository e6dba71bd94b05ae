"""Each kind of mask is written, read by the rule it should be read by, or refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from sgseg.errors import InputError
from sgseg.images.masks import read_mask

from .examples import encoded, roi, roi_zip, tiff, two_granules


def saved(tmp_path: Path, name: str, content: bytes | np.ndarray) -> Path:
    path = tmp_path / name
    if isinstance(content, np.ndarray):
        content = tiff(content) if name.endswith("tif") else encoded(content, "PNG")
    path.write_bytes(content)
    return path


def refusal(path: Path, **options: object) -> str:
    with pytest.raises(InputError) as caught:
        read_mask(path, **options)
    assert str(path) in str(caught.value)
    return str(caught.value)


TWO = two_granules()
FOREGROUND = TWO > 0


@pytest.mark.parametrize("value", [1, 128, 255])
@pytest.mark.parametrize("name", ["m.png", "m.tif", "m.bmp"])
def test_two_values(tmp_path: Path, value: int, name: str) -> None:
    pixels = FOREGROUND * np.uint8(value)
    path = tmp_path / name
    if name.endswith("bmp"):
        Pillow.fromarray(pixels).save(path)
    else:
        saved(tmp_path, name, pixels)
    mask = read_mask(path)
    # Two squares apart are two objects, numbered in reading order.
    assert np.array_equal(mask.labels, TWO)
    assert mask.labels.dtype == np.int32
    assert mask.rule == f"binary, 0 and {value}"


def test_one_bit(tmp_path: Path) -> None:
    assert np.array_equal(read_mask(saved(tmp_path, "m.png", FOREGROUND)).labels, TWO)
    assert np.array_equal(read_mask(saved(tmp_path, "m.tif", FOREGROUND)).labels, TWO)


def test_touching_by_a_corner_is_one_object(tmp_path: Path) -> None:
    pixels = np.zeros((9, 9), dtype=np.uint8)
    pixels[2:4, 2:4] = pixels[4:6, 4:6] = 255
    assert read_mask(saved(tmp_path, "m.png", pixels)).labels.max() == 1


@pytest.mark.parametrize("dtype", ["uint16", "int16", "uint32", "int32", "float32", "float64"])
def test_types(tmp_path: Path, dtype: str) -> None:
    mask = read_mask(saved(tmp_path, "m.tif", FOREGROUND.astype(dtype)))
    assert np.array_equal(mask.labels, TWO)


@pytest.mark.parametrize("colour", [(128, 6, 216), (255, 0, 0), (0, 0, 1)])
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_a_colour_on_black(tmp_path: Path, colour: tuple[int, int, int], mode: str) -> None:
    rgb = FOREGROUND[..., None] * np.array(colour, dtype=np.uint8)
    Pillow.fromarray(rgb).convert(mode).save(tmp_path / "m.png")
    if mode == "P":
        # An exact palette: index 1 is the colour.
        image = Pillow.fromarray(FOREGROUND.astype(np.uint8)).convert("P")
        image.putpalette([0, 0, 0, *colour])
        image.save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png")
    assert np.array_equal(mask.labels, TWO)
    assert mask.rule == f"colour {colour} on black"
    assert np.array_equal(read_mask(tmp_path / "m.png", rule="colour").labels, TWO)


def test_white_stored_as_rgb_is_binary(tmp_path: Path) -> None:
    rgb = np.repeat(FOREGROUND[..., None] * np.uint8(255), 3, axis=2)
    assert read_mask(saved(tmp_path, "m.png", rgb)).rule == "binary, 0 and 255"


def test_a_transparent_background_is_black(tmp_path: Path) -> None:
    rgba = np.full((*TWO.shape, 4), 255, dtype=np.uint8)
    rgba[..., 1] = 0
    rgba[~FOREGROUND, 3] = 0
    path = saved(tmp_path, "m.png", rgba)
    assert np.array_equal(read_mask(path).labels, TWO)
    rgba[2, 2, 3] = 128
    assert "1 half transparent pixels" in refusal(saved(tmp_path, "half.png", rgba))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32"])
def test_labels_keep_their_numbers(tmp_path: Path, dtype: str) -> None:
    labels = (TWO * 7).astype(dtype)
    mask = read_mask(saved(tmp_path, "m.tif", labels))
    assert np.array_equal(mask.labels, TWO.astype(np.int32) * 7)
    assert mask.rule == "labels"


def test_touching_labels_stay_apart(tmp_path: Path) -> None:
    labels = np.zeros((12, 12), dtype=np.uint8)
    labels[3:6, 3:6], labels[3:6, 6:9], labels[6:9, 3:9] = 1, 2, 3
    assert np.array_equal(read_mask(saved(tmp_path, "m.png", labels)).labels, labels)


def test_labels_as_colours(tmp_path: Path) -> None:
    rgb = np.zeros((*TWO.shape, 3), dtype=np.uint8)
    rgb[TWO == 1], rgb[TWO == 2] = (200, 0, 0), (0, 200, 0)
    mask = read_mask(saved(tmp_path, "m.png", rgb))
    # Colours are numbered by red, then green, then blue: (0, 200, 0) is 1, (200, 0, 0) is 2.
    assert np.array_equal(mask.labels, np.where(TWO == 1, 2, np.where(TWO == 2, 1, 0)))


def test_empty_masks_are_valid(tmp_path: Path) -> None:
    for name, pixels in {
        "m.png": np.zeros((5, 6), dtype=np.uint8),
        "m.tif": np.zeros((5, 6), dtype=np.float32),
        "rgb.png": np.zeros((5, 6, 3), dtype=np.uint8),
    }.items():
        mask = read_mask(saved(tmp_path, name, pixels))
        assert (mask.rule, mask.labels.shape, mask.labels.any()) == ("empty", (5, 6), np.False_)


def test_inverted_is_refused_unless_stated(tmp_path: Path) -> None:
    pixels = ~FOREGROUND * np.uint8(255)
    path = saved(tmp_path, "m.png", pixels)
    # 600 pixels, 2 x 9 of them in the granules: 582 / 600 = 97 %.
    said = refusal(path)
    assert "97% of it and most of its border are foreground" in said
    assert "Invert it, or give --mask-rule binary" in said
    assert read_mask(path, rule="binary").labels.max() == 1


def test_no_background_is_refused_by_every_rule(tmp_path: Path) -> None:
    full = saved(tmp_path, "m.png", np.full((5, 6), 255, dtype=np.uint8))
    ilastik = saved(tmp_path, "i.png", FOREGROUND + np.uint8(1))
    for path, said in ((full, "(values 255)"), (ilastik, "(values 1, 2)")):
        for rule in ("auto", "binary", "labels"):
            assert f"no background: no pixel is 0 {said}" in refusal(path, rule=rule)


def test_a_coloured_background_is_refused(tmp_path: Path) -> None:
    rgb = np.where(FOREGROUND[..., None], (255, 0, 0), (255, 255, 255)).astype(np.uint8)
    assert "no background" in refusal(saved(tmp_path, "m.png", rgb))


@pytest.mark.parametrize("rule", ["auto", "binary", "labels"])
def test_fractions_are_refused(tmp_path: Path, rule: str) -> None:
    path = saved(tmp_path, "m.tif", FOREGROUND * np.float32(0.5))
    assert "18 pixels are no whole numbers" in refusal(path, rule=rule)
    path = saved(tmp_path, "n.tif", np.where(FOREGROUND, np.nan, 0).astype(np.float32))
    assert "18 pixels are no whole numbers" in refusal(path, rule=rule)


def disks(radius: float = 5, size: int = 80) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    centres = [(20, 20), (20, 60), (55, 35)]
    return np.any([(y - b) ** 2 + (x - a) ** 2 <= radius**2 for b, a in centres], axis=0)


@pytest.mark.parametrize("quality", [75, 95, 100])
def test_compressed_masks_are_refused(tmp_path: Path, quality: int) -> None:
    for name, pixels in {
        "gray.jpg": disks() * np.uint8(255),
        "rgb.jpg": disks()[..., None] * np.array((128, 6, 216), dtype=np.uint8),
    }.items():
        path = saved(tmp_path, name, encoded(pixels, "JPEG", quality=quality))
        said = refusal(path)
        assert "different values that are no mask" in said
        assert "never as JPEG" in said
        assert "different values" in refusal(path, rule="binary")


@pytest.mark.parametrize("radius", [1.5, 3, 8])
@pytest.mark.parametrize("factor", [0.5, 1.5, 4])
@pytest.mark.parametrize("colour", [None, (128, 6, 216)])
def test_soft_edges_are_refused(
    tmp_path: Path, radius: float, factor: float, colour: tuple[int, int, int] | None
) -> None:
    pixels = disks(radius) * np.uint8(255)
    if colour:
        pixels = disks(radius)[..., None] * np.array(colour, dtype=np.uint8)
    image = Pillow.fromarray(pixels)
    size = int(80 * factor)
    path = tmp_path / "m.png"
    image.resize((size, size), Pillow.Resampling.BILINEAR).save(path)
    assert "different values that are no mask" in refusal(path)


def test_one_soft_granule_is_refused(tmp_path: Path) -> None:
    y, x = np.mgrid[:40, :40]
    soft = np.clip(6 - np.hypot(y - 20, x - 20), 0, 1)
    path = saved(tmp_path, "m.png", (soft * 255).astype(np.uint8))
    assert "different values that are no mask" in refusal(path)


def test_codes_for_kinds_are_refused(tmp_path: Path) -> None:
    kinds = disks().astype(np.uint8)
    kinds[60:70, 60:75] = 2
    said = refusal(saved(tmp_path, "m.png", kinds))
    assert "1 of 2 are scattered, one over 3 places" in said


def test_a_rule_given_by_name_is_taken_at_its_word(tmp_path: Path) -> None:
    kinds = disks().astype(np.uint8)
    kinds[60:70, 60:75] = 2
    path = saved(tmp_path, "m.png", kinds)
    assert np.array_equal(read_mask(path, rule="labels").labels, kinds)
    assert "3 different values (0, 1, 2, ...)" in refusal(path, rule="binary")
    assert "no colour" in refusal(path, rule="colour")
    assert "no ImageJ outlines" in refusal(path, rule="roi")
    with pytest.raises(InputError, match="mask rule 'magic': unknown"):
        read_mask(path, rule="magic")


def test_negative_and_huge_values_are_refused(tmp_path: Path) -> None:
    path = saved(tmp_path, "m.tif", FOREGROUND.astype(np.int16) * -1)
    assert "values from -1 to 0" in refusal(path)
    path = saved(tmp_path, "n.tif", FOREGROUND * np.uint32(2**32 - 1))
    assert "values from 0 to 4294967295" in refusal(path)


def test_several_pages_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.tif"
    tifffile.imwrite(path, np.stack([TWO, TWO]), imagej=True, metadata={"axes": "ZYX"})
    assert "2 slices and 1 channels; expected one picture" in refusal(path)


def test_outlines(tmp_path: Path) -> None:
    path = saved(tmp_path, "m.zip", roi_zip(("a.roi", roi(2, 2)), ("b.roi", roi(20, 10))))
    mask = read_mask(path, shape=TWO.shape)
    assert np.array_equal(mask.labels, TWO)
    assert mask.rule == "ImageJ outlines"
    assert "do not say how large" in refusal(path)
    assert "expected mask rule binary" in refusal(path, rule="binary", shape=TWO.shape)


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    places=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(2, 7), st.integers(2, 7)),
        min_size=2,
        max_size=20,
        unique_by=lambda item: item[:2],
    ),
    numbers=st.randoms(use_true_random=False),
)
def test_any_boxes_apart_or_touching_are_labels(
    tmp_path: Path, places: list[tuple[int, int, int, int]], numbers: object
) -> None:
    # One box in each of the chosen cells of a grid of 8 pixels; boxes of 8 would touch.
    labels = np.zeros((50, 50), dtype=np.uint16)
    values = numbers.sample(range(1, 65536), len(places))  # type: ignore[attr-defined]
    for (row, column, height, width), value in zip(places, values, strict=True):
        top, left = 1 + 8 * row, 1 + 8 * column
        labels[top : top + height, left : left + width] = value
    mask = read_mask(saved(tmp_path, "m.tif", labels))
    assert mask.rule == "labels"
    assert np.array_equal(mask.labels, labels)
