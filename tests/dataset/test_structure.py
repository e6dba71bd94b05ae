"""What images are compared by: the same for a turned image, nothing for light and noise."""

from __future__ import annotations

import numpy as np
import pytest

from sgseg.dataset.structure import ORIENTATIONS, candidates, descriptor, structure, turn

from .lab import cell


def test_the_eight_orientations_are_different_and_closed() -> None:
    image = np.arange(6).reshape(2, 3)
    seen = {turn(image, item).tobytes() + bytes(turn(image, item).shape) for item in ORIENTATIONS}
    assert len(seen) == 8
    twice = {
        turn(turn(image, a), b).tobytes() + bytes(turn(turn(image, a), b).shape)
        for a in ORIENTATIONS
        for b in ORIENTATIONS
    }
    assert twice == seen


@pytest.mark.parametrize("transform", ORIENTATIONS)
@pytest.mark.parametrize("shape", [(64, 64), (50, 71)])
def test_descriptor_and_structure_turn_with_the_image(
    transform: int, shape: tuple[int, int]
) -> None:
    image = cell(1, size=80)[: shape[0], : shape[1]]
    turned = turn(image, transform)
    assert np.allclose(descriptor(turned), turn(descriptor(image), transform), atol=1e-4)
    assert np.allclose(structure(turned)[0], turn(structure(image)[0], transform), atol=1e-4)


def test_length_and_mean() -> None:
    for values in (descriptor(cell(1)), structure(cell(1))[0]):
        assert values.mean() == pytest.approx(0, abs=1e-6)
        assert np.linalg.norm(values) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("value", [0, 7, 65535])
def test_a_blank_image_has_no_structure(value: int) -> None:
    blank = np.full((40, 50), value, np.uint16)
    assert not descriptor(blank).any()
    assert not structure(blank)[0].any()


def test_a_large_image_is_shrunk_by_a_whole_factor() -> None:
    # 4100 px are more than 2 x 2048: the factor is 3, 4100 // 3 = 1366; the rim of 8 px is cut off.
    values, factor = structure(np.random.default_rng(0).integers(0, 99, (60, 4100)).astype("u2"))
    assert factor == 3
    assert values.shape == (20 - 2 * (20 // 8), 1366 - 2 * (20 // 8))


def test_uneven_light_makes_no_candidates() -> None:
    # Empty fields under one lamp, 30 % darker in the corners: alike in nothing but the light.
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    light = np.cos(np.arctan(np.hypot(y - 48, x - 48) / 150)) ** 4
    fields = [rng.poisson(3000 * light).astype(np.uint16) for _ in range(20)]
    descriptors = np.stack([descriptor(field) for field in fields])
    assert list(candidates(descriptors, [(96, 96)] * 20)) == []


def test_candidates_have_one_shape_after_turning() -> None:
    wide = cell(3, size=80)[:50]
    images = [wide, turn(wide, 1), turn(wide, 5)[:, :-1]]
    found = list(
        candidates(np.stack([descriptor(image) for image in images]), [i.shape for i in images])
    )
    # a = turn(b, t), b = turn(a, 1): t is three quarter turns.
    assert {(a, b) for _, a, b, _ in found} == {(0, 1)}
    assert max(found)[3] == 3
