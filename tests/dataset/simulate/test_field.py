from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError
from scipy import ndimage
from skimage.measure import regionprops

from sgseg.dataset.simulate import Field, simulate_field
from sgseg.dataset.simulate.distractors import KINDS
from sgseg.dataset.simulate.field import SMALLEST_GRANULE_PX, contrast_to_noise
from sgseg.dataset.simulate.granules import Granule, GranuleLayer
from sgseg.dataset.simulate.grid import Grid
from sgseg.dataset.simulate.optics import Day, Microscope

from .simulation import simulation

FULL = 65535


def same(a: Field, b: Field) -> bool:
    return (
        np.array_equal(a.image, b.image)
        and np.array_equal(a.granules, b.granules)
        and np.array_equal(a.cells, b.cells)
        and np.array_equal(a.nuclei, b.nuclei)
        and a.table.equals(b.table)
    )


def test_a_field_depends_on_its_own_numbers_alone() -> None:
    params = simulation(size=96)
    field = simulate_field(params, condition="high", replicate=2, field=3)
    more = simulation(
        size=96,
        fields_per_replicate=9,
        replicates=8,
        conditions={"another": {"positive_cells": 0.5, "granules_per_cell": 3.0}}
        | {name: value.model_dump() for name, value in params.conditions.items()},
    )
    assert same(field, simulate_field(more, condition="high", replicate=2, field=3))
    others = [
        simulate_field(params, condition="high", replicate=2, field=2),
        simulate_field(params, condition="high", replicate=1, field=3),
        simulate_field(params, condition="low", replicate=2, field=3),
        simulate_field(simulation(size=96, seed=8), condition="high", replicate=2, field=3),
    ]
    for other in others:
        assert not np.array_equal(field.cells, other.cells)


def test_shapes_and_kinds(all_fields: list[Field]) -> None:
    for field in all_fields:
        assert field.image.shape == (2, 256, 256)
        assert field.image.dtype == np.uint16
        for labels in (field.granules, field.cells, field.nuclei):
            assert labels.shape == (256, 256)
            assert labels.dtype == np.int32
        assert 3 <= field.cells.max() <= 14


def test_truth_is_consistent(all_fields: list[Field]) -> None:
    for field in all_fields:
        inside = field.granules > 0
        assert (field.cells[inside] > 0).all()
        assert not field.nuclei[inside].any()
        for labels in (field.granules, field.cells):
            assert set(np.unique(labels)) == set(range(labels.max() + 1))
        nuclei = field.nuclei > 0
        np.testing.assert_array_equal(field.nuclei[nuclei], field.cells[nuclei])
        assert not field.distractors[inside].any()


def test_the_table_describes_the_labels(all_fields: list[Field]) -> None:
    for field in all_fields:
        regions = regionprops(field.granules)
        table = field.table
        assert list(table["label"]) == [region.label for region in regions]
        assert list(table["area_px"]) == [region.area for region in regions]
        centroids = np.array([region.centroid for region in regions]).reshape(-1, 2)
        np.testing.assert_allclose(table[["y", "x"]], centroids)
        cells = [field.cells[tuple(region.coords[0])] for region in regions]
        assert list(table["cell"]) == cells
        assert (table["area_px"] >= SMALLEST_GRANULE_PX).all()
        assert (table["contrast_to_noise"] >= simulation().visible_contrast).all()


def test_more_stress_more_granules(fields: dict[str, list[Field]]) -> None:
    control, low, high = (
        np.array([len(field.table) for field in fields[name]])
        for name in ("control", "low", "high")
    )
    assert control.mean() < low.mean() / 2
    assert low.mean() < high.mean() / 2
    assert (control == 0).any()
    assert (control > 0).any()
    assert (high > 5).all()


def test_the_marker_is_darker_in_nuclei_where_the_dye_is_bright(all_fields: list[Field]) -> None:
    darker = brighter = total = 0
    for field in all_fields:
        diffuse = (field.granules == 0) & (field.distractors == 0)
        for number in np.unique(field.nuclei)[1:]:
            nucleus = (field.nuclei == number) & diffuse
            around = ndimage.binary_dilation(field.nuclei == number, iterations=12)
            around &= (field.cells == number) & (field.nuclei == 0) & diffuse
            if nucleus.sum() < 100 or around.sum() < 100:
                continue
            total += 1
            darker += np.median(field.image[0][nucleus]) < np.median(field.image[0][around])
            brighter += np.median(field.image[1][nucleus]) > 2 * np.median(field.image[1][around])
    assert total > 50
    assert darker > 0.97 * total
    assert brighter > 0.9 * total


def test_granules_stand_out_from_their_surroundings(all_fields: list[Field]) -> None:
    brighter = total = 0
    for field in all_fields:
        marker = field.image[0].astype(float)
        for number in field.table["label"]:
            mine = field.granules == number
            ring = ndimage.binary_dilation(mine, iterations=4)
            ring &= (field.granules == 0) & (field.cells > 0) & (field.distractors == 0)
            if ring.sum() >= 10:
                total += 1
                brighter += marker[mine].max() > np.median(marker[ring]) * 1.15
    assert total > 100
    assert brighter > 0.97 * total


def test_some_granules_of_the_truth_touch(all_fields: list[Field]) -> None:
    merged = sum(
        field.granules.max() - ndimage.label(field.granules > 0, np.ones((3, 3)))[1]
        for field in all_fields
    )
    total = sum(len(field.table) for field in all_fields)
    # each touching pair costs one connected component
    assert 0.01 < merged / total < 0.25


def test_areas_are_spread_as_a_log_normal_gives_them(fields: dict[str, list[Field]]) -> None:
    areas = np.concatenate([field.table["area_px"] for field in fields["high"]])
    # Median diameter 0.9 um = 4.5 px: pi / 4 * 4.5^2 = 15.9 px. An area goes with the square of the
    # diameter: standard deviation of the logarithm 2 * 0.35 = 0.7. The faintest, mostly small, are
    # not in the truth, and the smallest diameter is 0.5 um.
    assert np.median(areas) == pytest.approx(15.9, rel=0.3)
    assert np.log(areas).std() == pytest.approx(0.7, abs=0.15)
    assert np.percentile(areas, 99) > 50


def test_saturation_is_occasional(all_fields: list[Field]) -> None:
    full = np.array([(field.image[0] == FULL).mean() for field in all_fields])
    assert (full > 0).any()
    assert np.median(full) == 0
    assert full.max() < 0.02


def test_hard_negatives_are_bright_and_not_in_the_truth(all_fields: list[Field]) -> None:
    for index, kind in enumerate(KINDS, start=1):
        inside, around = [], []
        for field in all_fields:
            where = field.distractors == index
            ring = ndimage.binary_dilation(where, iterations=4) & (field.distractors == 0)
            ring &= field.granules == 0
            inside.append(field.image[0][where])
            around.append(field.image[0][ring])
            assert not field.granules[where].any()
        assert len(np.concatenate(inside)) > 100, kind
        assert np.mean(np.concatenate(inside)) > 1.15 * np.mean(np.concatenate(around)), kind


def test_without_distractors_none_are_left() -> None:
    field = simulate_field(
        simulation(size=96, distractors=0.0), condition="high", replicate=1, field=1
    )
    assert not field.distractors.any()


def test_what_cannot_be_seen_is_not_in_the_truth_but_in_the_image() -> None:
    seen = simulate_field(simulation(size=128), condition="high", replicate=1, field=1)
    everything = simulate_field(
        simulation(size=128, visible_contrast=0.0), condition="high", replicate=1, field=1
    )
    np.testing.assert_array_equal(seen.image, everything.image)
    faint = everything.table["contrast_to_noise"] < 8
    assert faint.any()
    assert len(seen.table) == (~faint).sum()


def test_contrast_to_noise_by_hand() -> None:
    # Flat illumination, no haze, 100 photons for each unit of marker. A granule of 2 units all over
    # a window adds 200 electrons. With 293.75 in all, the others are 93.75; with the read noise,
    # 2.5^2 = 6.25, the variance is 100: 200 / 10 = 20.
    grid = Grid(64, 0.2)
    day = Day((100.0, 100.0), 0.0, 0.0, 0.0, (0.5, 0.5), 0.0)
    scope = Microscope(grid, day, np.ones(grid.shape), 0.0)
    labels = np.zeros(grid.shape, dtype=np.int32)
    labels[30, 30] = 1
    window = (slice(20, 41), slice(20, 41))
    granule = Granule(6, 6, 1, 1, 0, 0, 0, 1, cell=1)
    hidden = (slice(0, 3), slice(0, 3))  # a second one owns no pixel
    layer = GranuleLayer(
        [granule, granule], labels, [(window, np.full((21, 21), 2.0)), (hidden, np.ones((3, 3)))]
    )
    found = contrast_to_noise(scope, layer, np.full(grid.shape, 293.75))
    np.testing.assert_allclose(found, [20.0, 0.0])


@pytest.mark.parametrize(
    "changes",
    [
        {"conditions": {}},
        {"conditions": {"a/b": {"positive_cells": 0.5, "granules_per_cell": 2.0}}},
        {"conditions": {"a": {"positive_cells": 1.5, "granules_per_cell": 2.0}}},
        {"conditions": {"a": {"positive_cells": 0.5, "granules_per_cell": 0.5}}},
        {"seed": -1},
        {"photons": 0.0},
        {"pixel_size_um": 5.0},
    ],
)
def test_senseless_parameters_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        simulation(**changes)


@pytest.mark.parametrize(("size", "pixel_size"), [(64, 0.05), (64, 1.0), (200, 0.6)])
def test_other_sizes_work(size: int, pixel_size: float) -> None:
    field = simulate_field(
        simulation(size=size, pixel_size_um=pixel_size), condition="high", replicate=1, field=1
    )
    assert field.image.shape == (2, size, size)
    assert field.cells.max() >= 1
