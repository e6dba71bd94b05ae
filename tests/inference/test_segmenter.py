"""A bundle at work: pixels in, granules out, by as many members and orientations as asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from examples import draw_field
from numpy.typing import NDArray

from sgseg.errors import InputError
from sgseg.inference import segmenter as segmenter_module
from sgseg.inference import tiles
from sgseg.inference.bundle import read_spec
from sgseg.inference.preprocess import Preprocessing
from sgseg.inference.segment import to_labels
from sgseg.inference.segmenter import Segmenter

MakeBundle = Callable[..., Path]
GRANULES = [(10, 10), (20, 30), (40, 12)]


def test_bright_granules_are_found(make_bundle: MakeBundle) -> None:
    counts, truth = draw_field(GRANULES)
    found = Segmenter.load(make_bundle()).segment(counts)
    assert found.dtype == np.int32
    # The network looks at single pixels and the granules are twice as bright as its middle.
    assert np.array_equal(found > 0, truth > 0)
    assert found.max() == 3


def test_an_empty_field_holds_none(make_bundle: MakeBundle) -> None:
    segmenter = Segmenter.load(make_bundle())
    assert not segmenter.segment(draw_field([])[0]).any()
    noise = np.random.default_rng(0).normal(500, 20, (64, 64)).astype(np.float32)
    assert not segmenter.segment(noise).any()


def test_threshold_and_minimum_area_are_those_of_the_bundle(make_bundle: MakeBundle) -> None:
    counts, _ = draw_field(GRANULES)
    assert not Segmenter.load(make_bundle(min_area_px=10)).segment(counts).any()
    assert Segmenter.load(make_bundle(min_area_px=9)).segment(counts).max() == 3
    # 1 / (1 + exp(-10 (1 - 2))) = 4.5e-5 in the cell, the left 53 columns; nothing is above 1.
    whole_cell = Segmenter.load(make_bundle(threshold=1e-6)).segment(counts) == 1
    assert np.array_equal(whole_cell, np.broadcast_to(np.arange(80) < 53, (60, 80)))
    assert not Segmenter.load(make_bundle(threshold=1.0)).segment(counts).any()


def test_members_are_averaged(make_bundle: MakeBundle) -> None:
    counts, _ = draw_field(GRANULES)
    segmenter = Segmenter.load(make_bundle(1.5, 2.0, 2.5))
    maps = segmenter.probabilities(counts)
    assert maps.shape == (3, *counts.shape)
    mean = segmenter.probability(counts)
    # To the bit, so that `evaluate`, which keeps the maps, scores what `predict` shows.
    assert np.array_equal(mean, maps.mean(axis=0))
    assert mean.dtype == np.float32
    chosen = segmenter.probability(counts, members=[2])
    assert np.array_equal(chosen, maps[2])
    assert np.array_equal(segmenter.probabilities(counts, members=[2, 0]), maps[[2, 0]])
    expected = to_labels(mean, threshold=0.5, min_area_px=4)
    assert np.array_equal(segmenter.segment(counts), expected)


@pytest.mark.parametrize(
    ("preprocessing", "pixel_size_um"),
    [
        ({"normalise": "background", "resize": [90, 120]}, None),
        ({"normalise": "background", "target_pixel_size_um": 0.1}, 0.15),
        ({"normalise": "background", "target_pixel_size_um": 0.1}, 0.2),
    ],
)
def test_granules_come_back_at_the_image_s_own_size(
    preprocessing: dict[str, Any], pixel_size_um: float | None, make_bundle: MakeBundle
) -> None:
    # All three show the network an image half as large again, or twice as large.
    counts, truth = draw_field(GRANULES, brightness=4.0)
    segmenter = Segmenter.load(make_bundle(preprocessing=preprocessing))
    found = segmenter.segment(counts, pixel_size_um=pixel_size_um)
    assert found.shape == counts.shape
    assert found.max() == 3
    # The border of 3 x 3 px may move by a pixel, the middles may not.
    middles = tuple(np.transpose(GRANULES))
    assert sorted(found[middles]) == [1, 2, 3]
    both, either = ((found > 0) & (truth > 0)).sum(), ((found > 0) | (truth > 0)).sum()
    assert both / either > 0.5


def test_the_pixel_size_sets_the_scale_at_which_the_network_looks(make_bundle: MakeBundle) -> None:
    counts, _ = draw_field(GRANULES)
    settings = {"normalise": "background", "target_pixel_size_um": 0.1}
    segmenter = Segmenter.load(make_bundle(1.5, 2.0, preprocessing=settings))
    known = segmenter.probability(counts, pixel_size_um=0.2)
    assert np.array_equal(known, segmenter.probabilities(counts, pixel_size_um=0.2).mean(axis=0))
    assert not np.array_equal(known, segmenter.probability(counts))
    # At the target size, and where nothing is known, the network sees the image as it is.
    assert np.array_equal(
        segmenter.probability(counts, pixel_size_um=0.1), segmenter.probability(counts)
    )


def test_orientations_are_averaged_where_the_bundle_says_so(make_bundle: MakeBundle) -> None:
    # A network that knows nothing but left from right: 0 in the first column, 1 in the last.
    def ramp(image: NDArray[np.float32]) -> NDArray[np.float32]:
        columns = np.linspace(0, 1, image.shape[1], dtype=np.float32)
        return np.broadcast_to(columns, image.shape)

    field = np.zeros((9, 9), np.uint16)
    for orientations in (1, 8):
        spec = read_spec(make_bundle(orientations=orientations))
        segmenter = Segmenter(spec, [ramp], Preprocessing("background"))
        # From all sides alike, left and right cancel out: (c + (1 - c)) / 2.
        expected = ramp(field) if orientations == 1 else np.full((9, 9), 0.5)
        assert np.allclose(segmenter.probability(field), expected)


def test_members_of_a_moved_folder_are_found(make_bundle: MakeBundle, tmp_path: Path) -> None:
    counts, truth = draw_field(GRANULES)
    moved = make_bundle().rename(tmp_path / "elsewhere é")
    assert np.array_equal(Segmenter.load(str(moved)).segment(counts) > 0, truth > 0)


def test_orientations_can_be_asked_for_image_by_image(make_bundle: MakeBundle) -> None:
    def ramp(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.broadcast_to(np.linspace(0, 1, image.shape[1], dtype=np.float32), image.shape)

    spec = read_spec(make_bundle(2.0, 2.0, orientations=8))
    segmenter = Segmenter(spec, [ramp, ramp], Preprocessing("background"))
    field = np.zeros((9, 9), np.uint16)
    assert np.array_equal(segmenter.probability(field, orientations=1), ramp(field))
    assert np.array_equal(segmenter.probabilities(field, orientations=1), [ramp(field)] * 2)
    assert np.allclose(segmenter.probability(field), 0.5)


@pytest.mark.parametrize(("asked", "used"), [("all", 3), ("one", 1), (1, 1), (2, 2), (3, 3)])
def test_the_first_members_are_used(asked: str | int, used: int, make_bundle: MakeBundle) -> None:
    counts, _ = draw_field(GRANULES)
    folder = make_bundle(1.5, 2.0, 2.5)
    segmenter = Segmenter.load(folder, members=asked)
    maps = Segmenter.load(folder).probabilities(counts)
    assert segmenter.n_members == used
    assert segmenter.spec.members == [f"fold_{k}" for k in range(used)]
    assert np.array_equal(segmenter.probability(counts), maps[:used].mean(axis=0))


def test_the_bundle_says_how_many_members_unless_the_call_does(make_bundle: MakeBundle) -> None:
    folder = make_bundle(1.5, 2.0, members_in_use="one")
    assert Segmenter.load(folder).n_members == 1
    assert Segmenter.load(folder, members="all").n_members == 2


@pytest.mark.parametrize("members", [3, 0, -1])
def test_more_members_than_there_are(members: int, make_bundle: MakeBundle) -> None:
    with pytest.raises(InputError, match=f"members: {members} asked for; expected 1 to 2"):
        Segmenter.load(make_bundle(1.5, 2.0), members=members)


def test_other_orientations_bring_their_own_threshold(make_bundle: MakeBundle) -> None:
    points = {"1": {"threshold": 0.7, "min_area_px": 9}}
    folder = make_bundle(threshold=0.4, orientations=8, points_at_orientations=points)
    for asked, expected in ((None, (8, 0.4, 4)), (8, (8, 0.4, 4)), (1, (1, 0.7, 9))):
        spec = Segmenter.load(folder, orientations=asked).spec
        assert (spec.orientations, spec.threshold, spec.min_area_px) == expected
    # A bundle that has none for it goes by the one it has.
    spec = Segmenter.load(make_bundle(threshold=0.4, orientations=8), orientations=1).spec
    assert (spec.orientations, spec.threshold) == (1, 0.4)


def test_a_prediction_knows_where_the_members_disagree(make_bundle: MakeBundle) -> None:
    # The first granule is 3 times as bright as the cell, the second 2.2 times. Members that want
    # 1.5, 2 and 2.5 times: all three find the first, and two the second.
    bright, first = draw_field([(10, 10)])
    dim, second = draw_field([(40, 12)], brightness=2.2)
    pixels = np.where(second > 0, dim, bright)
    segmenter = Segmenter.load(make_bundle(1.5, 2.0, 2.5))
    found = segmenter.predict(pixels, with_deviation=True)
    assert np.array_equal(found.labels, first + 2 * second)
    assert np.array_equal(found.labels, segmenter.segment(pixels))
    maps = segmenter.probabilities(pixels)
    assert np.array_equal(found.probability, maps.mean(axis=0))
    assert found.deviation is not None
    assert np.allclose(found.deviation, maps.std(axis=0), atol=1e-6)
    assert found.deviation.max() <= 0.5
    assert found.disagreement is not None
    # IoU with the second granule: 1, 1 and 0. Of the image: 18 / 18, 18 / 18 and 9 / 18.
    assert found.disagreement.granules == pytest.approx([0, 1 / 3])
    assert found.disagreement.image == pytest.approx(1 - (1 + 1 + 0.5) / 3)


def test_members_are_compared_as_they_would_segment_alone(make_bundle: MakeBundle) -> None:
    # 2.2 times as bright: at 2.0 and 2.1 found. With at least 10 px the 9 px go, for both alike.
    pixels, _ = draw_field([(40, 12)], brightness=2.2)
    found = Segmenter.load(make_bundle(2.0, 2.1, min_area_px=10)).predict(pixels)
    assert found.disagreement is not None
    assert (found.disagreement.image, len(found.disagreement.granules)) == (0, 0)
    # 1 / (1 + exp(-10 (2.2 - m))) at m = 2.1: 0.73, at 2.3: 0.27, together 0.5: below 0.6, so that
    # neither the ensemble nor the second member finds anything, and the first does.
    apart = Segmenter.load(make_bundle(2.1, 2.3, threshold=0.6)).predict(pixels)
    assert apart.disagreement is not None
    assert apart.labels.max() == 0
    assert apart.disagreement.image == 1 - (0 + 1) / 2


def test_one_member_alone_is_not_certain_but_silent(make_bundle: MakeBundle) -> None:
    pixels, _ = draw_field(GRANULES)
    found = Segmenter.load(make_bundle()).predict(pixels, with_deviation=True)
    assert found.labels.max() == 3
    assert found.disagreement is None
    assert found.deviation is None


def test_the_map_is_made_on_request_only(make_bundle: MakeBundle) -> None:
    found = Segmenter.load(make_bundle(1.5, 2.0)).predict(draw_field(GRANULES)[0])
    assert found.deviation is None
    assert found.disagreement is not None


def test_each_network_sees_each_tile_once_and_no_map_of_it_is_kept(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each array that a network returns is counted until nobody holds it any more.
    alive, most, seen = set(), 0, []

    class Watched(np.ndarray):
        def __del__(self) -> None:
            alive.discard(id(self))

    def network(number: int, image: NDArray[np.float32]) -> NDArray[np.float32]:
        nonlocal most
        found = (image > 2).astype(np.float32).view(Watched)
        alive.add(id(found))
        most = max(most, len(alive))
        seen.append((number, image.shape))
        return found

    monkeypatch.setattr(tiles, "CORE_PX", 32)
    spec = read_spec(make_bundle(*np.linspace(1.5, 2.5, 8)))
    networks = [partial(network, number) for number in range(8)]
    segmenter = Segmenter(spec, networks, Preprocessing("background"))
    pixels, _ = draw_field(GRANULES)
    found = segmenter.predict(pixels, with_deviation=True)
    # 60 x 80 px in tiles of 32 and a margin of 16: two rows of 48 and 44, three columns of 48, 64
    # and 32 px.
    windows = [(rows, columns) for rows in (48, 44) for columns in (48, 64, 32)]
    assert seen == [(number, window) for window in windows for number in range(8)]
    # The one that is added and the one before it, which the loop still names.
    assert most <= 2
    assert found.labels.max() == 3


def test_members_in_tiles_are_those_of_the_whole_image(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, _ = draw_field(GRANULES)
    segmenter = Segmenter.load(make_bundle(1.5, 2.5, 3.2, orientations=8))
    whole = segmenter.predict(pixels, with_deviation=True)
    monkeypatch.setattr(tiles, "CORE_PX", 32)
    tiled = segmenter.predict(pixels, with_deviation=True)
    assert np.array_equal(tiled.labels, whole.labels)
    assert np.array_equal(tiled.probability, whole.probability)
    assert np.array_equal(tiled.deviation, whole.deviation)
    assert tiled.disagreement is not None
    assert whole.disagreement is not None
    assert np.array_equal(tiled.disagreement.granules, whole.disagreement.granules)
    assert tiled.disagreement.image == whole.disagreement.image > 0


def test_threshold_and_minimum_area_of_a_call(make_bundle: MakeBundle) -> None:
    # At 2.2 times the cell: 1 / (1 + exp(-10 (2.2 - 2))) = 0.88 for one member, at 2.1 0.73 for the
    # other, 0.81 together.
    pixels, truth = draw_field([(40, 12)], brightness=2.2)
    segmenter = Segmenter.load(make_bundle(2.0, 2.1, threshold=0.9))
    assert not segmenter.predict(pixels).labels.any()
    found = segmenter.predict(pixels, threshold=0.5)
    assert np.array_equal(found.labels, truth)
    assert found.disagreement is not None
    assert found.disagreement.granules.tolist() == [0]
    assert not segmenter.predict(pixels, threshold=0.5, min_area_px=10).labels.any()
    assert segmenter.predict(pixels, threshold=0.5, min_area_px=9).labels.any()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 1.5}, r"threshold: got 1\.5; expected a number in \[0, 1\]"),
        ({"threshold": float("nan")}, "threshold: got nan"),
        ({"min_area_px": 0}, "min_area_px: got 0; expected a whole number, at least 1"),
        ({"min_area_px": 2.5}, "min_area_px: got 2.5"),
    ],
)
def test_a_threshold_that_is_none(
    options: dict[str, Any], said: str, make_bundle: MakeBundle
) -> None:
    with pytest.raises(InputError, match=said):
        Segmenter.load(make_bundle()).predict(draw_field([])[0], **options)


def test_a_prediction_says_what_is_unlike_the_training_images(make_bundle: MakeBundle) -> None:
    pixels, _ = draw_field(GRANULES)
    known = {"images": 5, "pixel_size_um": [0.2, 0.2]}
    segmenter = Segmenter.load(make_bundle(statistics=known))
    assert segmenter.predict(pixels, pixel_size_um=0.2).warnings == ()
    assert segmenter.predict(pixels).warnings == ()
    (warning,) = segmenter.predict(pixels, pixel_size_um=0.65).warnings
    assert warning == (
        "pixel size: 0.65 um; the training images had 0.2 um: granules look 3.2 times smaller to "
        "the model"
    )
    # Where images are brought to one pixel size, the network never sees another.
    settings = {"normalise": "background", "target_pixel_size_um": 0.2}
    rescaling = Segmenter.load(make_bundle(statistics=known, preprocessing=settings))
    assert rescaling.predict(pixels, pixel_size_um=0.65).warnings == ()


def test_granules_are_compared_as_the_network_sees_them(make_bundle: MakeBundle) -> None:
    # Five granules of 9 px: circles of sqrt(4 / pi x 9) = 3.39 px.
    pixels, _ = draw_field([(10, 10), (20, 30), (40, 12), (50, 40), (30, 45)])
    known = {"images": 5, "diameter_px": [3.2, 3.5]}
    assert Segmenter.load(make_bundle(statistics=known)).predict(pixels).warnings == ()
    # Three times as large: about 10 px, more than 1.5 x 3.5.
    settings = {"normalise": "background", "resize": [180, 240]}
    enlarged = Segmenter.load(make_bundle(statistics=known, preprocessing=settings))
    (warning,) = enlarged.predict(pixels).warnings
    assert warning.startswith("granule size: half of those found are more than ")


def test_memory_is_given_back_after_a_large_image(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = []
    spec = read_spec(make_bundle())
    network = partial(np.multiply, np.float32(0))
    segmenter = Segmenter(
        spec, [network], Preprocessing("background"), release=lambda: released.append(1)
    )
    pixels, _ = draw_field([])
    segmenter.predict(pixels)
    assert released == []
    monkeypatch.setattr(segmenter_module, "LARGE_PX", 60 * 80 - 1)
    segmenter.predict(pixels)
    assert released == [1]
    # And a bundle works on after it.
    loaded = Segmenter.load(make_bundle(1.5, 2.0))
    pixels, truth = draw_field(GRANULES)
    for _ in range(2):
        assert np.array_equal(loaded.predict(pixels).labels > 0, truth > 0)


def test_a_processor_that_cannot_add_8_bit_products_is_pointed_out(
    make_bundle: MakeBundle, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(segmenter_module, "computes_8_bits", lambda: False)
    Segmenter.load(make_bundle())
    assert not caplog.text
    Segmenter.load(make_bundle(facts={"precision": "int8"}))
    assert "predict.precision: float32" in caplog.text
