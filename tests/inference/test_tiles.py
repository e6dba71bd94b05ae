"""Tiles cover an image once, keep the pooling grid whichever way they are turned, and blend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter

from sgseg.inference import tiles
from sgseg.inference.network import OnnxNetwork, run_in_orientations
from sgseg.inference.tiles import TURNS, pieces

MARGIN, STRIDE = 32, 4


def pooled(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means over 4 x 4 px from the first pixel on, then over 9 of these: sees less than 32 px."""
    height, width = image.shape
    padded = np.pad(image, [(0, -height % STRIDE), (0, -width % STRIDE)], mode="edge")
    rows, columns = (size // STRIDE for size in padded.shape)
    means = padded.reshape(rows, STRIDE, columns, STRIDE).mean(axis=(1, 3))
    wide = uniform_filter(means, 9, mode="nearest")
    large = np.repeat(np.repeat(wide, STRIDE, 0), STRIDE, 1)[:height, :width]
    return (large + image / 2).astype(np.float32)


def noise(height: int, width: int) -> NDArray[np.float32]:
    return np.random.default_rng([height, width]).random((height, width), dtype=np.float32)


def computed(image: NDArray[np.float32], orientations: int) -> NDArray[np.float32]:
    result = np.zeros_like(image)
    for piece in pieces(image.shape, MARGIN, TURNS[:orientations]):
        piece.add(run_in_orientations(pooled, image[piece.window], orientations), result)
    return result


@pytest.mark.parametrize("orientations", [1, 8])
@pytest.mark.parametrize("size", [(200, 263), (161, 130), (96, 300), (130, 129), (1, 200)])
def test_tiles_equal_the_whole_in_every_orientation(
    size: tuple[int, int], orientations: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = noise(*size)
    whole = run_in_orientations(pooled, image, orientations)
    monkeypatch.setattr(tiles, "CORE_PX", 64)
    assert np.abs(computed(image, orientations) - whole).max() < 1e-6


def test_a_grid_that_is_not_kept_would_show(monkeypatch: pytest.MonkeyPatch) -> None:
    # The control: windows that are right for the image as it is are wrong for the turned one.
    image = noise(203, 262)
    monkeypatch.setattr(tiles, "CORE_PX", 64)
    result = np.zeros_like(image)
    for piece in pieces(image.shape, MARGIN, TURNS[:1]):
        piece.add(run_in_orientations(pooled, image[piece.window], 8), result)
    assert np.abs(result - run_in_orientations(pooled, image, 8)).max() > 1e-3


@given(st.integers(1, 90), st.integers(1, 90), st.sampled_from([0, 4, 16]), st.booleans())
def test_every_pixel_is_computed_once(height: int, width: int, margin: int, turned: bool) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tiles, "CORE_PX", 16)
        count = np.zeros((height, width), int)
        for piece in pieces((height, width), margin, TURNS if turned else TURNS[:1]):
            assert piece.weights is None
            count[piece.place] += 1
            for place, window, size in zip(piece.place, piece.window, (height, width), strict=True):
                assert window.start == 0 or place.start - window.start >= margin
                assert window.stop == size or window.stop - place.stop >= margin
                assert 0 <= window.start <= place.start < place.stop <= window.stop <= size
        assert (count == 1).all()


@pytest.mark.parametrize("turn", TURNS)
def test_a_turn_and_back(turn: tiles.Turn) -> None:
    image = noise(5, 7)
    assert np.array_equal(turn.back(turn.turned(image)), image)


def test_all_turns_differ() -> None:
    image = noise(5, 5)
    assert len({turn.turned(image).tobytes() for turn in TURNS}) == 8


# --- networks that see everything ----------------------------------------------------------------


@pytest.fixture
def small_blends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "WHOLE_PX", 100 * 100)
    monkeypatch.setattr(tiles, "BLEND_CORE_PX", 64)
    monkeypatch.setattr(tiles, "BLEND_PX", 16)
    monkeypatch.setattr(tiles, "GRID_PX", 8)


@pytest.mark.usefixtures("small_blends")
@pytest.mark.parametrize("size", [(200, 131), (12, 4000), (3000, 15), (145, 144), (101, 100)])
def test_weights_add_up_to_one(size: tuple[int, int]) -> None:
    total = np.zeros(size, np.float32)
    largest = 0
    for piece in pieces(size, None, TURNS):
        assert piece.weights is not None
        assert piece.weights.min() > 0
        total[piece.place] += piece.weights
        largest = max(largest, piece.weights.size)
    assert np.abs(total - 1).max() < 1e-6
    assert largest <= 88 * 88  # a core with what it shares, and up to the grid


@pytest.mark.usefixtures("small_blends")
def test_an_ordinary_image_is_not_cut() -> None:
    (piece,) = pieces((100, 100), None, TURNS)
    assert piece.weights is None
    assert piece.place == piece.window == (slice(0, 100), slice(0, 100))
    assert len(list(pieces((100, 101), None, TURNS))) == 4


@pytest.mark.usefixtures("small_blends")
@pytest.mark.parametrize("orientations", [1, 8])
def test_borders_of_blended_tiles_do_not_show(orientations: int) -> None:
    # A network that subtracts the mean of all it sees, as group normalisation does: what a tile
    # shows depends on the tile.
    def centred(image: NDArray[np.float32]) -> NDArray[np.float32]:
        return image - image.mean()

    rng = np.random.default_rng(1)
    image = gaussian_filter(rng.normal(0, 1, (240, 200)), 8).astype(np.float32)
    image *= np.float32(0.1 / image.std())
    blended, hard, means = np.zeros_like(image), np.zeros_like(image), []
    for piece in pieces(image.shape, None, TURNS[:orientations]):
        tile = run_in_orientations(centred, image[piece.window], orientations)
        piece.add(tile, blended)
        hard[piece.place] = tile
        means.append(image[piece.window].mean())
    apart = float(np.ptp(means))
    assert apart > 0.02
    # An approximation, as good as the tiles' means are that of the image.
    assert np.abs(blended - (image - image.mean())).max() <= apart + 1e-6
    # A hard border is a step from one mean to the next; blended, each of 16 px takes a part of it.
    for axis in (0, 1):
        assert np.abs(np.diff(blended - image, axis=axis)).max() <= apart / 16 + 1e-6
    assert np.abs(np.diff(hard - image, axis=0)).max() > apart / 4


@pytest.mark.usefixtures("small_blends")
def test_blended_tiles_of_a_network_that_sees_little_are_right_away_from_borders(
    unets: dict[tuple[int, str], Path],
) -> None:
    # Seams alone: a network that sees less than 16 px is run as if it saw everything. Where two
    # tiles share 16 px, one of them does not see enough; everywhere else both are right.
    blended = OnnxNetwork(unets[1, "none"], margin_px=None, threads=1)
    exact = OnnxNetwork(unets[1, "none"], margin_px=16, threads=1)
    smooth = gaussian_filter(noise(200, 150), 6)
    smooth /= smooth.std()
    found, whole = blended(smooth), exact(smooth)
    near = np.zeros(smooth.shape, bool)
    for piece in pieces(smooth.shape, None, TURNS[:1]):
        assert piece.weights is not None
        near[piece.place] |= piece.weights < 1
    near = uniform_filter(near.astype(float), 33, mode="nearest") > 0
    assert not near.all()
    assert np.abs(found - whole)[~near].max() < 1e-4
    assert float(np.ptp(whole)) > 0.05
