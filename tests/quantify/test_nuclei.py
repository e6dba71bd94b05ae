"""Nuclei of known shape and number are found, in every kind of image, and nothing in none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from sgseg.config import load_params
from sgseg.dataset.simulate import Field, simulate_field
from sgseg.quantify.nuclei import NucleusOptions, nucleus_diameter_px, segment_nuclei
from sgseg.scores import ObjectCounts, count_objects, pairwise_iou

from .shapes import disks, picture

SHAPE = (200, 260)
PLACES = [(50, 50, 20), (60, 140, 20), (140, 60, 20), (150, 190, 20)]
TRUTH = disks(SHAPE, PLACES)
SIZE_UM = 12 / 40  # a nucleus of 12 um is 40 px wide


def found_all(truth: NDArray[np.integer], found: NDArray[np.integer]) -> ObjectCounts:
    counts = count_objects(truth, found, iou=0.8)
    assert (counts.fp, counts.fn) == (0, 0), counts
    return counts


@pytest.mark.parametrize("size", [SIZE_UM, None], ids=["um", "px"])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32"])
def test_separate_nuclei_in_every_type_with_and_without_pixel_size(
    kind: str, size: float | None
) -> None:
    image = picture([(TRUTH > 0, 120)], background=40).astype(kind)
    found = segment_nuclei(image, pixel_size_um=size)
    assert found.dtype == np.int32
    found_all(TRUTH, found)


def test_the_edge_is_where_the_brightness_is_half_whatever_its_height() -> None:
    # A low threshold for all would make the bright nuclei larger than the dim ones.
    image = picture([(TRUTH == 1, 100), (TRUTH == 2, 1000), (TRUTH > 2, 300)], blur=3)
    found = segment_nuclei(image, pixel_size_um=SIZE_UM, options=NucleusOptions(edge=0.5))
    iou = pairwise_iou(TRUTH, found)
    areas = np.bincount(found.ravel())[1:][iou.argmax(axis=1)]
    # A disk of radius 20 has about 1257 pixels; a blurred edge lies a little inside of it.
    assert np.bincount(TRUTH.ravel())[1] == 1257
    np.testing.assert_allclose(areas, 1257, rtol=0.06)


def test_brightness_times_a_factor_and_plus_an_offset_changes_nothing() -> None:
    image = picture([(TRUTH > 0, 200)]).astype(np.float32)
    plain = segment_nuclei(image, pixel_size_um=SIZE_UM)
    np.testing.assert_array_equal(segment_nuclei(4 * image + 512, pixel_size_um=SIZE_UM), plain)


def test_uneven_background_is_taken_off() -> None:
    # From one side to the other the background rises by the height of a nucleus.
    ramp = np.linspace(0, 200, SHAPE[1])[None, :]
    image = picture([(TRUTH > 0, 200)]) + ramp
    found_all(TRUTH, segment_nuclei(image, pixel_size_um=SIZE_UM))


@pytest.mark.parametrize("apart", [1.6, 1.8, 2.0], ids="{}r".format)
def test_touching_nuclei_are_separated(apart: float) -> None:
    # Half the neck of two disks of radius 1 is sqrt(1 - (apart / 2)^2): 0.6 at 1.6.
    truth = disks(SHAPE, [(100, 90, 22), (100, 90 + apart * 22, 22)])
    image = picture([(truth > 0, 200)])
    found_all(truth, segment_nuclei(image, pixel_size_um=12 / 44))
    whole = segment_nuclei(image, pixel_size_um=12 / 44, options=NucleusOptions(split_neck=0))
    assert whole.max() == 1


def test_a_nucleus_that_is_only_long_or_bent_stays_whole() -> None:
    rows, columns = np.indices(SHAPE)
    ellipse = ((rows - 100) / 14) ** 2 + ((columns - 90) / 28) ** 2 <= 1
    kidney = disks(SHAPE, [(100, 190, 24), (100, 217, 12)]) == 1
    assert segment_nuclei(picture([(ellipse | kidney, 200)]), pixel_size_um=SIZE_UM).max() == 2


def test_nucleoli_are_no_holes_and_specks_no_nuclei() -> None:
    nucleoli = disks(SHAPE, [(50, 50, 5), (60, 142, 6)]) > 0
    specks = disks(SHAPE, [(100, 100, 3), (20, 220, 4)]) > 0
    image = picture([(TRUTH > 0, 300), (nucleoli, -200), (specks, 600)])
    found_all(TRUTH, segment_nuclei(image, pixel_size_um=SIZE_UM))


def test_nuclei_cut_by_the_border_are_kept() -> None:
    truth = disks(SHAPE, [(0, 60, 20), (100, 259, 20), (100, 100, 20)])
    found_all(truth, segment_nuclei(picture([(truth > 0, 200)]), pixel_size_um=SIZE_UM))


@pytest.mark.parametrize("size", [SIZE_UM, None], ids=["um", "px"])
@pytest.mark.parametrize("noise", [0.0, 5.0])
def test_a_field_without_nuclei_has_none(noise: float, size: float | None) -> None:
    found = segment_nuclei(picture([(np.zeros(SHAPE, bool), 0)], noise=noise), pixel_size_um=size)
    assert found.shape == SHAPE
    assert not found.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (7, 5)], ids=str)
def test_tiny_images(shape: tuple[int, int]) -> None:
    assert segment_nuclei(np.full(shape, 7, np.uint8), pixel_size_um=0.2).shape == shape
    assert segment_nuclei(np.full(shape, 7, np.uint8)).shape == shape


def test_saturated_nuclei() -> None:
    image = np.where(TRUTH > 0, 255, 3).astype(np.uint8)
    assert found_all(TRUTH, segment_nuclei(image)).iou_sum > 4 * 0.97


def test_one_dim_nucleus_in_a_large_field() -> None:
    # 1257 of a million pixels: Otsu's threshold alone lies in the noise.
    truth = disks((1000, 1000), [(500, 500, 20)])
    found_all(truth, segment_nuclei(picture([(truth > 0, 30)]), pixel_size_um=SIZE_UM))


def test_diameter() -> None:
    image = picture([(TRUTH > 0, 200)])
    given = NucleusOptions(diameter_um=10, diameter_px=33)
    assert nucleus_diameter_px(image, pixel_size_um=0.25, options=given) == 10 / 0.25
    assert nucleus_diameter_px(image, options=given) == 33
    assert nucleus_diameter_px(image) == pytest.approx(40, rel=0.1)


@pytest.fixture(scope="module")
def field() -> Field:
    """Another seed than those that the defaults were chosen with."""
    params = load_params().simulate.model_copy(update={"size": 384, "seed": 4321})
    return simulate_field(params, condition="arsenite_high", replicate=1, field=1)


@pytest.mark.parametrize("size", [0.2, None], ids=["um", "px"])
def test_simulated_field(field: Field, size: float | None) -> None:
    found = segment_nuclei(field.image[1], pixel_size_um=size)
    counts = count_objects(field.nuclei, found, iou=0.5)
    assert counts.f1 > 0.9
    assert counts.iou_sum / counts.tp > 0.88
    assert (found > 0).sum() == pytest.approx((field.nuclei > 0).sum(), rel=0.05)


def test_a_crowd_of_touching_nuclei_of_different_brightness() -> None:
    rng = np.random.default_rng(0)
    places: list[tuple[float, float, float]] = []
    while len(places) < 45:
        row, column, radius = rng.uniform(15, 285), rng.uniform(15, 385), rng.uniform(14, 20)
        # Neighbours overlap by up to an eighth of their radii.
        if all(np.hypot(row - a, column - b) > 0.875 * (radius + c) for a, b, c in places):
            places.append((row, column, radius))
    truth = disks((300, 400), places)
    layers = [(truth == k, rng.uniform(100, 400)) for k in range(1, len(places) + 1)]
    found = segment_nuclei(picture(layers, blur=1.5, noise=6), pixel_size_um=12 / 36)
    assert count_objects(truth, found, iou=0.5).f1 > 0.95
