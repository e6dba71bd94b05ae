"""Drift of image statistics: numbers by hand, few images, what was constant, what a model knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile
from examples import draw_field
from hypothesis import given, settings
from hypothesis import strategies as st

from sgseg.dataset.manifest import COLUMNS, TEXT
from sgseg.inference.bundle import BundleSpec
from sgseg.inference.watch import describe, training_statistics
from sgseg.retrain.drift import (
    FEWEST,
    NUMBERS,
    Drift,
    Shift,
    find_drift,
    unlike_training,
)
from sgseg.retrain.drift_figure import drawn, save_drift


def manifest(prefix: str, count: int, **columns: Any) -> pd.DataFrame:
    """So many images with pixels of their own; a column is a value or one per image."""
    plain = {name: "" if name in TEXT else np.nan for name in COLUMNS}
    rows = [
        plain
        | {"image_id": f"{prefix}{n}", "pixel_hash": f"{prefix}{n}", "bit_depth": 16}
        | {name: v[n] if isinstance(v, list) else v for name, v in columns.items()}
        for n in range(count)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def together(*parts: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True)


def shift_of(drift: Drift, name: str) -> Shift:
    return next(shift for shift in drift.shifts if shift.name == name)


def test_the_numbers_by_hand() -> None:
    old = manifest("a", 8, mean=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    new = manifest("b", 6, mean=[6.5, 9.0, 9.0, 9.0, 9.0, 9.0])
    shift = shift_of(find_drift(old, together(old, new)), "mean")
    # Below 8.5: all 8 of 8 old, 1 of 6 new. D = 1 - 1/6.
    assert shift.distance == pytest.approx(5 / 6)
    # Medians 4.5 and 9; deviations from 4.5 are .5 .5 1.5 1.5 2.5 2.5 3.5 3.5: their median is 2.
    assert shift.moved == pytest.approx(4.5 / (1.4826 * 2))
    assert shift.flagged


def test_p_is_held_against_the_number_of_statistics() -> None:
    # 5 below 5: of C(10, 5) = 252 orders, all as likely, two are as far apart. p = 2/252.
    old, new = [1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]
    alone = find_drift(manifest("a", 5, mean=old), manifest("b", 5, mean=new))
    assert shift_of(alone, "mean").p == pytest.approx(2 / 252)
    assert shift_of(alone, "mean").flagged
    # With seven: 7 * 2/252 > 0.05.
    seven = ("mean", "p1", "p50", "p99", "saturated_fraction", "height", "width")
    many = find_drift(
        manifest("a", 5, **dict.fromkeys(seven, old)), manifest("b", 5, **dict.fromkeys(seven, new))
    )
    assert many.flagged == []


def test_a_small_difference_of_many_images_is_no_flag() -> None:
    old = [float(n) for n in range(2000)]
    drift = find_drift(
        manifest("a", 2000, mean=old), manifest("b", 2000, mean=[n + 300 for n in old])
    )
    shift = shift_of(drift, "mean")
    # A shift by 300 of 2000: D = 0.15, as certain as can be.
    assert shift.distance == pytest.approx(0.15)
    assert shift.p is not None
    assert shift.p < 1e-9
    assert not shift.flagged


@pytest.mark.parametrize(
    ("new", "flagged"), [([0.5, 9.0], True), ([5.0, 9.0], True), ([5.0, 6.0, 9.0], False)]
)
def test_of_too_few_images_those_outside_the_range_count(new: list[float], flagged: bool) -> None:
    old = manifest("a", 8, mean=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])
    drift = find_drift(old, manifest("b", len(new), mean=new))
    shift = shift_of(drift, "mean")
    assert drift.too_few
    assert (shift.distance, shift.p) == (None, None)
    assert shift.flagged == flagged
    assert f"of {len(new)} outside" in shift.why


def test_what_was_always_the_same_is_flagged_by_one() -> None:
    old = manifest("a", 40, pixel_size_um=0.2, height=256)
    new = manifest("b", 6, pixel_size_um=[0.2, 0.2, 0.2, 0.2, 0.2, 0.4], height=256)
    drift = find_drift(old, new)
    assert drift.flagged == ["pixel size (um)"]
    assert "another value in 1 new" in shift_of(drift, "pixel_size_um").why
    assert shift_of(drift, "height").constant


def test_a_pixel_size_that_is_no_more_known() -> None:
    drift = find_drift(manifest("a", 6, pixel_size_um=0.2), manifest("b", 6))
    shift = shift_of(drift, "pixel_size_um")
    assert (shift.flagged, shift.unknown_new) == (True, 6)
    # Nor is it flagged if it never was.
    assert find_drift(manifest("a", 6), manifest("b", 6)).flagged == []


def test_a_property_that_no_image_had() -> None:
    old = manifest("a", 6, channel="green of RGB")
    new = manifest("b", 6, channel=["green of RGB"] * 5 + ["red of RGB"], bit_depth=8)
    drift = find_drift(old, new)
    assert drift.flagged == ["bit depth", "channel"]
    kind = next(kind for kind in drift.kinds if kind.title == "channel")
    assert kind.unseen == ["red of RGB"]
    assert kind.new == {"green of RGB": 5, "red of RGB": 1}


def test_new_are_images_of_new_pixels() -> None:
    old = manifest("a", 3, mean=1.0)
    renamed = old.assign(image_id=["x", "y", "z"], n_objects=5)
    broken = manifest("c", 1, problem="no image")
    assert find_drift(old, together(renamed, broken)).names == []
    assert find_drift(old, together(renamed, manifest("b", 1))).names == ["b0"]


def test_nothing_before() -> None:
    drift = find_drift(manifest("a", 0), manifest("b", 3, mean=1.0))
    assert (drift.names, drift.before, drift.shifts) == (["b0", "b1", "b2"], 0, [])


values = st.lists(st.one_of(st.just(np.nan), st.floats(0, 1e6)), min_size=0, max_size=9)


@settings(max_examples=40)
@given(old=values, new=values)
def test_any_numbers_give_an_answer(old: list[float], new: list[float]) -> None:
    drift = find_drift(manifest("a", len(old), mean=old), manifest("b", len(new), mean=new))
    for shift in drift.shifts:
        assert shift.distance is None or 0 <= shift.distance <= 1
        assert (shift.distance is not None) == (min(len(shift.before), len(shift.new)) >= FEWEST)
        assert len(shift.before) + shift.unknown_before == len(old)


def test_equal_sets_are_flagged_seldom() -> None:
    rng = np.random.default_rng(0)
    flags = 0
    for _ in range(30):
        draw = {name: rng.normal(10, 2, 30).tolist() for name in NUMBERS}
        old = manifest("a", 20, **{name: v[:20] for name, v in draw.items()})
        new = manifest("b", 10, **{name: v[20:] for name, v in draw.items()})
        flags += bool(find_drift(old, new).flagged)
    # One in 20 at most; of 30 draws 1.5 are expected, and 6 or more come once in 300 times.
    assert flags <= 5


def test_a_figure_of_what_varies(tmp_path: Path) -> None:
    old = manifest("a", 6, mean=[1.0, 2, 3, 4, 5, 600], height=9, p1=[0.0, 0, 0, 0, 0, 1])
    new = manifest("b", 6, mean=[700.0, 701, 702, 703, 704, 705], height=9, p1=0.0)
    shifts = drawn(find_drift(old, new))
    # The flagged one first; the height says nothing.
    assert [shift.name for shift in shifts] == ["mean", "p1"]
    for name in ("one.png", "two.png"):
        save_drift(tmp_path / name, shifts)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_what_the_model_was_trained_on(tmp_path: Path) -> None:
    spots = [(8, 8), (8, 20), (8, 32), (20, 8), (20, 20), (20, 32)]
    known = [draw_field(spots, seed=seed) for seed in range(4)]
    areas = [np.bincount(labels.ravel())[1:] for _, labels in known]
    statistics = training_statistics([describe(pixels, 0.2) for pixels, _ in known], areas)
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    noisy = np.random.default_rng(0).normal(0, 200, (60, 80))
    for name, extra in (("like", 0), ("noisy", noisy)):
        pixels, labels = draw_field(spots, seed=9)
        changed = np.clip(pixels + extra, 0, None).astype(np.uint16)
        tifffile.imwrite(tmp_path / "images" / f"{name}.tif", changed)
        tifffile.imwrite(tmp_path / "masks" / f"{name}.tif", labels.astype(np.uint16))
    rows = manifest("x", 2, pixel_size_um=[0.2, 0.9]).assign(image_id=["like", "noisy"])
    spec = BundleSpec(
        members=["a"],
        preprocessing={"normalise": "percentile", "target_pixel_size_um": None, "resize": None},
        threshold=0.5,
        min_area_px=4,
        margin_px=8,
        statistics=statistics,
    )
    found, count = unlike_training(tmp_path, rows, spec)
    assert count == 2
    assert found["noise"] == ["noisy"]
    assert found["pixel size"] == ["noisy"]
    assert all("like" not in names for names in found.values())
    assert unlike_training(tmp_path, rows, BundleSpec(**{**vars(spec), "statistics": {}})) == (
        {},
        0,
    )
