"""No group crosses, every image is held out once, and the test set stays what it was."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sgseg.config import Split
from sgseg.dataset.groups import groups_needed
from sgseg.dataset.importer import import_folder
from sgseg.dataset.ingest import ingest
from sgseg.dataset.manifest import write_manifest
from sgseg.dataset.registry import extend, read_registry, sides_of_groups
from sgseg.dataset.split import assign_roles, assign_sets, split
from sgseg.errors import InputError

from .lab import manifest_of

NOBODY = read_registry("no such file")


def params(folds: int = 4, *, test: float = 0.15, validation: float = 0.2, seed: int = 1) -> Split:
    return Split(
        seed=seed, test_fraction=test, folds=list(range(folds)), validation_fraction=validation
    )


def assign(
    manifest: pd.DataFrame, settings_: Split, registry: pd.DataFrame = NOBODY
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Roles, and the registry afterwards."""
    sides = sides_of_groups(manifest, registry, path="splits/few.csv")
    sets = assign_sets(manifest, sides, settings_)
    return assign_roles(manifest, sets, settings_), extend(registry, manifest, sets)


def role_columns(roles: pd.DataFrame) -> list[str]:
    return [name for name in roles.columns if name.startswith("role_")]


@st.composite
def data_sets(draw: st.DrawFn, *, least: int = 1, prefix: str = "") -> pd.DataFrame:
    """Any number of groups of any size, conditions and amounts of foreground, empty ones too."""
    sizes = draw(st.lists(st.integers(1, 6), min_size=least, max_size=14))
    rows = [
        (
            f"{prefix}group {number}",
            draw(st.sampled_from(["control", "arsenite", ""])),
            draw(st.sampled_from([0.0, 0.001, 0.01, 0.05, 0.4])),
        )
        for number, size in enumerate(sizes)
        for _ in range(size)
    ]
    group, condition, fraction = (list(column) for column in zip(*rows, strict=True))
    names = [f"{prefix}image {number}" for number in range(len(rows))]
    return manifest_of(
        image_id=names,
        pixel_hash=[f"{name} pixels" for name in names],
        group=group,
        condition=condition,
        foreground_fraction=fraction,
        n_objects=[int(value > 0) for value in fraction],
    )


any_params = st.builds(
    params,
    st.integers(2, 6),
    test=st.sampled_from([0.0, 0.1, 0.3, 0.7]),
    validation=st.sampled_from([0.0, 0.05, 0.2, 0.8]),
    seed=st.integers(0, 99),
)


@settings(max_examples=80)
@given(data_sets(), any_params)
def test_no_group_crosses_for_any_data_set(manifest: pd.DataFrame, chosen: Split) -> None:
    enough = manifest["group"].nunique() >= groups_needed(chosen)
    if not enough:
        with pytest.raises(InputError, match="groups of images for development"):
            assign(manifest, chosen)
        return
    roles, _ = assign(manifest, chosen)
    columns = role_columns(roles)
    assert columns == [f"role_{fold}" for fold in chosen.folds]
    for column in ["set", *columns]:
        assert len(roles[["group", column]].drop_duplicates()) == manifest["group"].nunique()
    development = roles[roles["set"] == "development"]
    test = roles[roles["set"] == "test"]
    assert len(development) + len(test) == len(manifest)
    assert (len(test) > 0) == (chosen.test_fraction > 0)
    assert (test[columns] == "").all(axis=None)
    assert ((development[columns] == "held_out").sum(axis=1) == 1).all()
    for column in columns:
        expected = {"train", "held_out"} | ({"validation"} if chosen.validation_fraction else set())
        assert set(development[column]) == expected


@settings(max_examples=40)
@given(data_sets(least=6), any_params)
def test_granules_are_where_they_are_needed(manifest: pd.DataFrame, chosen: Split) -> None:
    assume(manifest["group"].nunique() >= groups_needed(chosen))
    roles, _ = assign(manifest, chosen)
    roles["visible"] = manifest["n_objects"] > 0
    development = roles[roles["set"] == "development"]
    visible = development[development["visible"]]["group"].nunique()
    assert visible > 0 or not roles["visible"].any()
    for column in role_columns(roles):
        shows = development.groupby(column)["visible"].any()
        # As many of the three parts show granules as there are groups to show them.
        if visible >= len(chosen.folds) + 2:
            assert shows.all()
        rest = development[(development[column] != "held_out") & development["visible"]]
        assert shows["train"] == (len(rest) > 0)


@settings(max_examples=20)
@given(data_sets(least=7), data_sets(prefix="new "), any_params)
def test_adding_images_moves_no_old_one_and_again_changes_nothing(
    old: pd.DataFrame, new: pd.DataFrame, chosen: Split
) -> None:
    assume(old["group"].nunique() >= groups_needed(chosen))
    roles, registry = assign(old, chosen)
    again, registry_again = assign(old, chosen, registry)
    assert again.equals(roles)
    assert registry_again.equals(registry)
    # Some new images belong to old groups.
    new.loc[new.index[::3], "group"] = old["group"].iloc[0]
    both = pd.concat([old, new], ignore_index=True)
    later, after = assign(both, chosen, registry)
    sets = later.set_index("image_id")["set"]
    assert sets[list(old["image_id"])].tolist() == roles["set"].tolist()
    assert set(map(tuple, registry.to_numpy())) <= set(map(tuple, after.to_numpy()))
    assert assign(both, chosen, after)[0].equals(later)
    # Taken away and brought back.
    assert assign(old, chosen, after)[0]["set"].tolist() == roles["set"].tolist()


def many(groups: int = 60, per_group: int = 2) -> pd.DataFrame:
    n = groups * per_group
    rng = np.random.default_rng(0)
    return manifest_of(
        image_id=[f"i{number}" for number in range(n)],
        group=[f"g{number // per_group}" for number in range(n)],
        condition=[("control", "low", "high")[number // per_group % 3] for number in range(n)],
        foreground_fraction=rng.uniform(0, 0.1, n).tolist(),
    )


def test_parts_have_their_share_of_every_condition() -> None:
    manifest = many()
    roles, _ = assign(manifest, params(4, test=0.2, validation=0.25))
    roles["condition"] = manifest["condition"]
    # 120 images, 40 of each condition: 8 in the test set, 8 held out in each fold, and of the
    # other 24 a quarter, 6, in validation. Groups have 2 images.
    for column, part, wanted in [
        ("set", "test", 8),
        *((name, "held_out", 8) for name in role_columns(roles)),
        *((name, "validation", 6) for name in role_columns(roles)),
    ]:
        counts = roles[roles[column] == part].groupby("condition").size()
        assert ((counts - wanted).abs() <= 4).all(), (column, part, counts)
    assert (roles["set"] == "test").sum() == pytest.approx(24, abs=2)


def test_the_test_share_is_approached_as_data_come_in() -> None:
    manifest = many()
    registry = NOBODY
    for n in range(30, 121, 15):
        roles, registry = assign(manifest[:n], params(4, test=0.2), registry)
        assert (roles["set"] == "test").sum() == pytest.approx(0.2 * n, abs=2)


def test_folds_are_named_as_in_the_parameters() -> None:
    chosen = params(3).model_copy(update={"folds": [7, 0, 3]})
    roles, _ = assign(many(), chosen)
    assert role_columns(roles) == ["role_7", "role_0", "role_3"]


def test_a_test_fraction_asked_for_too_late(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    _, registry = assign(many(), params(test=0.0))
    roles, after = assign(many(), params(test=0.2), registry)
    assert (roles["set"] == "development").all()
    assert after.equals(registry)
    assert "no test set" in caplog.text


def test_the_test_set_took_too_many_groups() -> None:
    manifest = many(8)
    _, registry = assign(manifest, params(2, test=0.5))
    with pytest.raises(InputError) as caught:
        assign(manifest, params(6, test=0.5), registry)
    assert "4 groups of images for development (4 are in the test set for ever)" in str(
        caught.value
    )
    assert "at least 6 for 6 folds" in str(caught.value)


def files(tmp_path: Path, rows: list[dict[str, object]], accepted: list[str]) -> dict[str, Path]:
    dataset, validated = tmp_path / "dataset", tmp_path / "validated"
    for folder in (dataset, validated):
        folder.mkdir(exist_ok=True)
    write_manifest(dataset, rows)
    pd.DataFrame({"image_id": accepted}).to_csv(validated / "accepted.csv", index=False)
    return {"dataset": dataset, "validated": validated, "out": tmp_path / "split"}


def row(name: str, **values: object) -> dict[str, object]:
    plain = {
        "image_id": name,
        "pixel_hash": f"pixels of {name}",
        "group": name,
        **{"height": 9, "width": 9, "mask_height": 9, "mask_width": 9, "bit_depth": 8},
        **{"foreground_fraction": 0.1, "n_objects": 1},
    }
    return plain | values


def test_only_accepted_images_get_roles_and_are_registered(tmp_path: Path) -> None:
    names = [f"i{number}" for number in range(8)]
    registry = tmp_path / "splits" / "few.csv"
    where = files(tmp_path, [row(name) for name in names], names[:-1])
    split(**where, registry=registry, params=params())
    roles = pd.read_csv(where["out"] / "roles.csv", dtype=str, keep_default_na=False)
    assert list(roles["image_id"]) == names[:-1]
    assert list(roles.columns) == ["image_id", "group", "set", *(f"role_{k}" for k in range(4))]
    assert sorted(read_registry(registry)["image_id"]) == names[:-1]
    before = (registry.read_bytes(), (where["out"] / "roles.csv").read_bytes())
    split(**where, registry=registry, params=params())
    assert (registry.read_bytes(), (where["out"] / "roles.csv").read_bytes()) == before


def test_an_image_that_is_unusable_today_still_binds_its_group(tmp_path: Path) -> None:
    names = [f"i{number}" for number in range(12)]
    registry = tmp_path / "few.csv"
    where = files(tmp_path, [row(name) for name in names], names)
    split(**where, registry=registry, params=params())
    known = read_registry(registry).set_index("image_id")["set"]
    tested = known.index[known == "test"][0]
    # The test image cannot be read any more, and a new one shows the same cell.
    rows = [row(name) for name in names if name != tested]
    rows += [row(tested, pixel_hash="", problem="truncated", group="g"), row("new", group="g")]
    usable = [*(name for name in names if name != tested), "new"]
    where = files(tmp_path, rows, usable)
    split(**where, registry=registry, params=params())
    assert read_registry(registry).set_index("image_id")["set"]["new"] == "test"


def test_refused_nothing_is_written(tmp_path: Path) -> None:
    registry = tmp_path / "few.csv"
    where = files(tmp_path, [row("a"), row("b")], ["a", "b"])
    with pytest.raises(InputError, match="at least 4 for 4 folds and one more for the test set"):
        split(**where, registry=registry, params=params())
    assert not registry.exists()
    assert not where["out"].exists()


@pytest.mark.skipif("SGSEG_REAL_DATA" not in os.environ, reason="SGSEG_REAL_DATA is not set")
def test_real_copies_never_cross(tmp_path: Path) -> None:
    cells = Path(os.environ["SGSEG_REAL_DATA"], "sg_cells")
    raw = import_folder(cells, images="unlabel", masks="label", name="cells", root=tmp_path)
    ingest(raw, tmp_path / "dataset", copy_correlation=0.95, near_correlation=0.85, object_iou=0.3)
    names = [path.stem for path in (tmp_path / "dataset" / "masks").iterdir()]
    (tmp_path / "validated").mkdir()
    pd.DataFrame({"image_id": names}).to_csv(tmp_path / "validated" / "accepted.csv", index=False)
    split(
        tmp_path / "dataset",
        tmp_path / "validated",
        tmp_path / "split",
        registry=tmp_path / "cells.csv",
        params=params(),
    )
    roles = pd.read_csv(tmp_path / "split" / "roles.csv", dtype=str).set_index("image_id")
    # One cell in two focal planes, each with a copy.
    together = roles.loc[["1 (21)", "1 (24)", "1 (112)", "1 (116)"]]
    assert together.nunique().max() == 1
    assert len(roles) == 87
    assert (roles["set"] == "test").sum() == pytest.approx(0.15 * 87, abs=2)
