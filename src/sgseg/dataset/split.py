"""Train, validation, held out, test: by group, stratified. No group is ever on two sides."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from sgseg.config import Split
from sgseg.dataset.folders import replacing_folder
from sgseg.dataset.groups import groups_needed
from sgseg.dataset.manifest import read_accepted, read_manifest
from sgseg.dataset.registry import (
    DEVELOPMENT,
    TEST,
    extend,
    read_registry,
    sides_of_groups,
    write_registry,
)
from sgseg.dataset.strata import choose_groups, counts_by_group, strata
from sgseg.errors import InputError, Problem

logger = logging.getLogger(__name__)

TRAIN, VALIDATION, HELD_OUT = "train", "validation", "held_out"


def split(
    dataset: str | Path,
    validated: str | Path,
    out: str | Path,
    *,
    registry: str | Path,
    params: Split,
) -> None:
    """Give every usable image its roles.

    Parameters
    ----------
    dataset, validated : folders that `ingest` and `validate` wrote
    out : folder to write, with `roles.csv`: image_id, group, set (development or test) and for each
        fold `role_<fold>` (train, validation or held_out; empty for test images)
    registry : splits/<source>.csv, extended by the images it does not hold yet
    params : section `split` of params.yaml

    Raises
    ------
    InputError
        Too few groups, a group that links test and development, or a damaged registry. Nothing is
        written then.
    """
    usable = read_accepted(dataset, validated)
    before = read_registry(registry)
    # Also an image that cannot be used today binds its group.
    sides = sides_of_groups(read_manifest(dataset), before, path=registry)
    sets = assign_sets(usable, sides, params, path=registry)
    roles = assign_roles(usable, sets, params)
    after = extend(before, usable, sets)
    with replacing_folder(out) as folder:
        roles.to_csv(folder / "roles.csv", index=False, lineterminator="\n")
        if not after.equals(before) or not Path(registry).exists():
            write_registry(registry, after)
            logger.info("%s: %d images added; commit it", registry, len(after) - len(before))
    n_test = int((roles["set"] == TEST).sum())
    logger.info("%d images for development, %d for the test", len(roles) - n_test, n_test)


def assign_sets(
    manifest: pd.DataFrame,
    sides: Mapping[str, str],
    params: Split,
    *,
    path: str | Path = "splits",
) -> list[str]:
    """Test or development for each image; a group that has a side keeps it.

    New groups go to the test set until it has `params.test_fraction` of the images there are now.

    Parameters
    ----------
    manifest : usable images, see `manifest`
    sides : test or development for each group that was assigned before
    path : of the registry, for messages

    Raises
    ------
    InputError
        Too few groups are left for the folds or for a test set.
    """
    labels = strata(manifest, smallest=_smallest(params.test_fraction))
    names, counts = counts_by_group(manifest["group"], labels)
    new = np.array([name not in sides for name in names], dtype=bool)
    visible = _visible(manifest, names)
    test = np.array([sides.get(name) == TEST for name in names], dtype=bool)
    needed = groups_needed(params) - (params.test_fraction > 0)
    test = choose_groups(
        names,
        counts,
        fraction=params.test_fraction,
        seed=f"test {params.seed}",
        chosen=test,
        # Development needs the only granules there are more than the test does.
        allowed=new & ~(visible & (visible.sum() == 1)),
        first=visible,
        at_most=max(0, len(names) - int(test.sum()) - needed),
    )
    n_test = int(test.sum())
    if len(names) - n_test < needed or (params.test_fraction > 0 and not n_test and new.any()):
        raise _too_few(len(names) - n_test, n_test, needed, params, path)
    if params.test_fraction > 0 and not n_test:
        logger.warning("no test set: all images were assigned to development before (%s)", path)
    of_group = dict(zip(names, test, strict=True))
    return [TEST if of_group[group] else DEVELOPMENT for group in manifest["group"]]


def assign_roles(manifest: pd.DataFrame, sets: Sequence[str], params: Split) -> pd.DataFrame:
    """Roles of each image in each fold.

    Every development image is held out in exactly one fold. Of the rest of a fold about
    `params.validation_fraction` is validation: it stops the training, so that scores of held-out
    images stay unbiased.

    Returns
    -------
    DataFrame with image_id, group, set and a column `role_<fold>` per fold, rows as in `manifest`
    """
    roles = manifest[["image_id", "group"]].assign(set=list(sets))
    inside = (roles["set"] == DEVELOPMENT).to_numpy()
    images = manifest[inside]
    labels = strata(images, smallest=len(params.folds))
    part = _parts(images, labels, params)
    for index, fold in enumerate(params.folds):
        role = np.full(len(roles), "", dtype=object)
        role[inside] = _roles_of_fold(images, labels, part == index, params, fold)
        roles[f"role_{fold}"] = role
    return roles


def _parts(images: pd.DataFrame, labels: NDArray[np.str_], params: Split) -> NDArray[np.intp]:
    """For each image the fold, counted from 0, in which it is held out."""
    folds = len(params.folds)
    groups = images["group"].to_numpy(dtype=str)
    kfold = StratifiedGroupKFold(folds, shuffle=True, random_state=params.seed)
    fold_of: dict[str, int] = {}
    for index, (_, held_out) in enumerate(kfold.split(np.zeros(len(images)), labels, groups)):
        fold_of |= dict.fromkeys(groups[held_out].tolist(), index)
    sizes = dict(zip(*np.unique(groups, return_counts=True), strict=True))
    visible = set(images.loc[images["n_objects"] > 0, "group"])
    # What one of two folds holds out is all that the other has to train on and to stop by.
    at_least = 2 if folds == 2 and params.validation_fraction > 0 else 1
    _spread(fold_of, set(sizes), at_least, folds, order=lambda name: (sizes[name], name))
    _spread(fold_of, visible, 1, folds, order=lambda name: (sizes[name], name))
    # The last step may have left a fold with too few; groups that show nothing go back first.
    again = {name: (name in visible, sizes[name], name) for name in sizes}
    _spread(fold_of, set(sizes), at_least, folds, order=again.__getitem__)
    return np.array([fold_of[group] for group in groups], dtype=np.intp)


def _spread(
    fold_of: dict[str, int],
    kind: set[str],
    at_least: int,
    folds: int,
    *,
    order: Callable[[str], tuple[object, ...]],
) -> None:
    """Give each fold that many groups of a kind, if there are enough (in place).

    A fold that lacks one gets the first, by `order`, of the fold that has most of them.
    """
    for index in range(folds):
        while True:
            having = [[name for name in kind if fold_of[name] == other] for other in range(folds)]
            richest = max(having, key=len)
            if len(having[index]) >= at_least or len(richest) <= at_least:
                break
            fold_of[min(richest, key=order)] = index


def _visible(images: pd.DataFrame, names: Sequence[str]) -> NDArray[np.bool_]:
    """Which groups have at least one granule."""
    visible = set(images.loc[images["n_objects"] > 0, "group"])
    return np.array([name in visible for name in names], dtype=bool)


def _roles_of_fold(
    images: pd.DataFrame,
    labels: NDArray[np.str_],
    held_out: NDArray[np.bool_],
    params: Split,
    fold: int,
) -> NDArray[np.object_]:
    """Role of each development image in one fold."""
    if params.validation_fraction == 0:
        return np.where(held_out, HELD_OUT, TRAIN).astype(object)
    rest = images[~held_out]
    names, counts = counts_by_group(rest["group"], labels[~held_out])
    visible = _visible(rest, names)
    validation = choose_groups(
        names,
        counts,
        fraction=params.validation_fraction,
        seed=f"validation {params.seed} {fold}",
        chosen=np.zeros(len(names), dtype=bool),
        # Training needs the only granules there are more than validation does.
        allowed=~(visible & (visible.sum() == 1)),
        first=visible,
        at_most=len(names) - 1,
    )
    if visible.any() and not visible[~validation].any():
        validation[np.flatnonzero(visible)[-1]] = False
    chosen = {name for name, picked in zip(names, validation, strict=True) if picked}
    is_validation = images["group"].isin(chosen).to_numpy()
    role = np.where(held_out, HELD_OUT, np.where(is_validation, VALIDATION, TRAIN))
    return role.astype(object)


def _smallest(fraction: float) -> int:
    """Images of which one can be a test image without being more than its share."""
    return round(1 / fraction) if fraction > 0 else 1


def _too_few(
    development: int, test: int, needed: int, params: Split, path: str | Path
) -> InputError:
    what = f"{development} groups of images for development"
    what += f" ({test} are in the test set for ever)" if test else ""
    expected = f"at least {needed} for {len(params.folds)} folds"
    expected += " and one more for the test set" if params.test_fraction > 0 and not test else ""
    remedy = "Add images of further groups, or list fewer folds in split.folds (params.yaml)."
    return InputError(Problem(str(path), what, expected, remedy))
