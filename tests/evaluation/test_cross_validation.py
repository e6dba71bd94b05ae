"""A cross-validation scored: no image is scored with what was chosen on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sgseg.config import with_values
from sgseg.errors import InputError
from sgseg.evaluation.cross_validation import bundle_spec, evaluate
from sgseg.evaluation.data import DataSet
from sgseg.evaluation.operating import OperatingPoint
from sgseg.evaluation.results import Scored
from sgseg.evaluation.summary import probability_histogram
from sgseg.inference.bundle import BundleSpec, read_spec
from sgseg.inference.preprocess import Preprocessing
from sgseg.inference.segment import to_labels
from sgseg.inference.segmenter import Segmenter
from sgseg.inference.uncertainty import disagreement
from sgseg.scores import ObjectCounts, count_objects

from .cases import Field, field, params_with, roles, write_dataset

MakeBundle = Callable[..., Path]
FOLDS = {"a": 0, "b": 0, "c": 1, "d": 1}
TEST = ["t", "u"]


def bright(seed: int) -> Field:
    """Granules of 3 and distractors of 2.2: a high threshold tells them apart.

    The network says 1 / (1 + exp(-10 (3 - 2))) = 0.99995 and 1 / (1 + exp(-2)) = 0.88.
    """
    return field(seed, brightness=3.0, distractors=[(30, 10), (52, 30), (10, 40)])


def dim(seed: int) -> Field:
    """Granules of 1.95, to which the network gives 1 / (1 + exp(0.5)) = 0.38: a low threshold."""
    return field(seed, brightness=1.95)


@pytest.fixture
def data(tmp_path: Path) -> DataSet:
    fields = {"a": bright(1), "b": bright(2), "c": dim(3), "d": dim(4), "t": bright(5), "u": dim(6)}
    folder = write_dataset(tmp_path / "dataset", fields)
    return DataSet(folder, roles(FOLDS, TEST), [0, 1])


@pytest.fixture
def segmenter(make_bundle: MakeBundle) -> Segmenter:
    """Two members that differ a little, so that it shows which one has been used."""
    return Segmenter.load(make_bundle(2.0, 2.01, orientations=8))


def test_a_fold_s_score_does_not_come_from_its_own_choice(
    data: DataSet, segmenter: Segmenter, tmp_path: Path
) -> None:
    evaluation, _ = evaluate(params_with(), data, segmenter, tmp_path / "maps")
    # The bright images choose 0.95, without distractors; the dim ones 0.2. Each uses the other's:
    assert evaluation.points[0].threshold == 0.2
    assert evaluation.points[1].threshold == 0.95
    scores = {c.image_id: c.objects for c in evaluation.out_of_fold.counts}
    # bright at 0.2: 3 granules and 3 distractors found; dim at 0.95: nothing found.
    assert [(scores[i].tp, scores[i].fp, scores[i].fn) for i in "abcd"] == [
        (3, 3, 0),
        (3, 3, 0),
        (0, 0, 3),
        (0, 0, 3),
    ]
    # Chosen on themselves they would have been perfect.
    for image_id, threshold in (("a", 0.95), ("c", 0.2)):
        found = to_labels(
            segmenter.probability(data.pixels(image_id), members=[FOLDS[image_id]]),
            threshold=threshold,
            min_area_px=4,
        )
        assert count_objects(data.truth(image_id), found, iou=0.3).f1 == 1


def test_the_baseline_is_cross_fitted_as_well(
    data: DataSet, segmenter: Segmenter, tmp_path: Path
) -> None:
    grid = {"sigmas_small": [1.0], "sigmas_large": [4.0], "deviations": [4.0, 6.0]}
    evaluation, _ = evaluate(params_with(baseline=grid), data, segmenter, tmp_path / "maps")
    # 6 deviations leave out the distractors of the bright images and all granules of the dim ones,
    # 4 find both. Each would choose what suits it, and is scored with what suits the others.
    scores = {c.image_id: c.objects for c in evaluation.baseline_out_of_fold.counts}
    assert [(scores[i].tp, scores[i].fp, scores[i].fn) for i in "abcd"] == [
        (3, 3, 0),
        (3, 3, 0),
        (0, 0, 3),
        (0, 0, 3),
    ]
    # One setting for all of them, chosen on all of them: at 4, TP 12, FP 6 and FN 0 (F1 0.8); at 6,
    # TP 6, FP 0 and FN 6 (F1 0.67).
    assert evaluation.baseline_point.deviations == 4.0
    flattered = {c.image_id: c.objects for c in evaluation.baseline_tuned_on_itself.counts}
    assert [(flattered[i].tp, flattered[i].fp) for i in "abcd"] == [(3, 3), (3, 3), (3, 0), (3, 0)]
    assert [(c.objects.tp, c.objects.fp) for c in evaluation.baseline_test.counts] == [
        (3, 3),
        (3, 0),
    ]


def test_each_image_is_predicted_by_the_member_that_has_not_seen_it(
    data: DataSet, segmenter: Segmenter, tmp_path: Path
) -> None:
    evaluation, maps = evaluate(params_with(), data, segmenter, tmp_path / "maps")
    for image_id, fold in FOLDS.items():
        expected = segmenter.probability(data.pixels(image_id), members=[fold])
        assert np.array_equal(maps(image_id), expected)
        other = segmenter.probability(data.pixels(image_id), members=[1 - fold])
        assert not np.array_equal(maps(image_id), other)
    for image_id in TEST:
        assert np.array_equal(maps(image_id), segmenter.probability(data.pixels(image_id)))
    assert (
        dict(zip([c.image_id for c in evaluation.out_of_fold.counts], [0, 0, 1, 1], strict=True))
        == FOLDS
    )
    assert evaluation.out_of_fold.folds == [0, 0, 1, 1]


def test_members_are_found_by_position_where_folds_are_not_numbered_from_0(
    tmp_path: Path, segmenter: Segmenter
) -> None:
    folder = write_dataset(tmp_path / "dataset", {"a": bright(1), "c": dim(3)})
    table = roles({"a": 0, "c": 1}).rename(columns={"role_0": "role_7", "role_1": "role_2"})
    data = DataSet(folder, table, [7, 2])
    params = params_with()
    params = params.model_copy(update={"split": params.split.model_copy(update={"folds": [7, 2]})})
    evaluation, maps = evaluate(params, data, segmenter, tmp_path / "maps")
    assert evaluation.out_of_fold.folds == [7, 2]
    for image_id, position in (("a", 0), ("c", 1)):
        expected = segmenter.probability(data.pixels(image_id), members=[position])
        assert np.array_equal(maps(image_id), expected)


def test_the_test_set_has_no_say(data: DataSet, segmenter: Segmenter, tmp_path: Path) -> None:
    params = params_with()
    evaluation, _ = evaluate(params, data, segmenter, tmp_path / "maps")
    fields = {i: (data.pixels(i), data.truth(i)) for i in FOLDS}
    folder = write_dataset(tmp_path / "development", fields)  # type: ignore[arg-type]
    without = DataSet(folder, roles(FOLDS), [0, 1])
    again, _ = evaluate(params, without, segmenter, tmp_path / "maps 2")
    assert (again.point, again.points) == (evaluation.point, evaluation.points)
    assert again.baseline_point == evaluation.baseline_point
    assert again.out_of_fold.folds == evaluation.out_of_fold.folds
    assert again.test.counts == []
    assert all(scored.counts == [] for scored in again.in_use.test_members.values())


def test_test_images_are_scored_by_the_ensemble_and_by_each_member(
    data: DataSet, segmenter: Segmenter, tmp_path: Path
) -> None:
    evaluation, _ = evaluate(params_with(), data, segmenter, tmp_path / "maps")
    at = evaluation.point
    for scored, members in (
        (evaluation.test, None),
        (evaluation.in_use.test_members[0], [0]),
        (evaluation.in_use.test_members[1], [1]),
    ):
        assert [c.image_id for c in scored.counts] == TEST
        assert scored.folds == [-1, -1]
        for counts in scored.counts:
            found = to_labels(
                segmenter.probability(data.pixels(counts.image_id), members=members),
                threshold=at.threshold,
                min_area_px=at.min_area_px,
            )
            assert counts.objects == count_objects(data.truth(counts.image_id), found, iou=0.3)
            assert counts.group == f"group of {counts.image_id}"
            probability = segmenter.probability(data.pixels(counts.image_id), members=members)
            expected = probability_histogram(data.truth(counts.image_id) > 0, probability)
            assert np.array_equal(counts.histogram, expected)


def test_no_image_held_out(tmp_path: Path, segmenter: Segmenter) -> None:
    folder = write_dataset(tmp_path / "dataset", {"t": dim(1)})
    with pytest.raises(InputError, match="no image is held out in any fold"):
        evaluate(params_with(), DataSet(folder, roles({}, ["t"]), [0, 1]), segmenter, tmp_path)


def test_the_network_is_given_the_pixel_size(tmp_path: Path, make_bundle: MakeBundle) -> None:
    settings = {"normalise": "background", "target_pixel_size_um": 0.1}
    segmenter = Segmenter.load(make_bundle(2.0, 2.0, preprocessing=settings, orientations=8))
    fields = {"a": bright(1), "c": dim(3), "t": bright(2)}
    folder = write_dataset(tmp_path / "dataset", fields, pixel_sizes_um=dict.fromkeys(fields, 0.2))
    data = DataSet(folder, roles({"a": 0, "c": 1}, ["t"]), [0, 1])
    _, maps = evaluate(params_with(), data, segmenter, tmp_path / "maps")
    for image_id in fields:
        rescaled = segmenter.probability(data.pixels(image_id), pixel_size_um=0.2)
        assert np.array_equal(maps(image_id), rescaled)
        assert not np.array_equal(maps(image_id), segmenter.probability(data.pixels(image_id)))


def test_the_bundle_s_description() -> None:
    params = params_with()
    point = OperatingPoint(threshold=0.65, min_area_px=8)
    assert bundle_spec(params, ["fold_0"], point, 64, {"x": 1}) == BundleSpec(
        members=["fold_0"],
        preprocessing={"normalise": "background", "target_pixel_size_um": None, "resize": None},
        threshold=0.65,
        min_area_px=8,
        margin_px=64,
        orientations=8,
        members_in_use="all",
        facts={"x": 1},
    )


def test_the_bundle_knows_what_it_was_trained_on(data: DataSet) -> None:
    params = params_with()
    spec = bundle_spec(params, ["fold_0"], OperatingPoint(0.65, 8), 64, data=data)
    assert spec.pixel_size_um == data.median_pixel_size_um
    assert spec.trained_on == data.trained_on
    assert spec.statistics == data.training_statistics(Preprocessing("background"))
    assert spec.statistics["images"] == len(FOLDS)


def test_the_bundle_knows_the_point_of_other_orientations() -> None:
    params = with_values(params_with(), {"predict.members": "one"})
    others = {1: OperatingPoint(threshold=0.5, min_area_px=4)}
    spec = bundle_spec(params, ["fold_0"], OperatingPoint(0.65, 8), 64, other_points=others)
    assert spec.members_in_use == "one"
    assert spec.points_at_orientations == {"1": {"threshold": 0.5, "min_area_px": 4}}


class Sided:
    """A network that finds granules, and calls them less likely the further left they lie."""

    def __init__(self, weight: float) -> None:
        self._weight = weight

    def __call__(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        slope = np.linspace(self._weight, 1, image.shape[1], dtype=np.float32)
        return np.where(image > 1.5, slope, 0).astype(np.float32)


@pytest.fixture
def sided(make_bundle: MakeBundle) -> Segmenter:
    spec = read_spec(make_bundle(2.0, 2.0))
    return Segmenter(spec, [Sided(0.0), Sided(0.4)], Preprocessing("background"))


def test_each_number_of_orientations_is_scored_with_its_own_threshold(
    data: DataSet, sided: Segmenter, tmp_path: Path
) -> None:
    # Granules in columns 10, 30 and 12 of 80. Without turning, the first member gives them
    # 10 / 79 = 0.13, 0.38 and 0.15, the second 0.4 + 0.6 times that: 0.48, 0.63 and 0.49. Turned
    # all ways, left and right cancel out and up and down as well: 0.5 for the first, 0.7 for the
    # second, wherever a granule lies.
    evaluation, _ = evaluate(params_with(), data, sided, tmp_path / "maps")
    one, eight = evaluation.networks[1], evaluation.networks[8]
    assert evaluation.in_use is eight
    assert eight.point.threshold == 0.2

    def found(scored: Scored, image_id: str) -> int:
        (counts,) = [c for c in scored.counts if c.image_id == image_id]
        return counts.objects.tp

    # Image t has three granules, of the brightness that both members notice.
    assert found(eight.test_members[0], "t") == found(eight.test_members[1], "t") == 3
    assert one.point.threshold == 0.2
    assert found(one.test_members[0], "t") == 1
    assert found(one.test_members[1], "t") == 3
    # Together 0.31, 0.51 and 0.32.
    assert found(one.test, "t") == 3


def test_with_one_member_in_use_the_first_is_what_the_test_images_show(
    data: DataSet, sided: Segmenter, tmp_path: Path
) -> None:
    params = with_values(params_with(), {"predict.members": "one", "predict.orientations": 1})
    evaluation, maps = evaluate(params, data, sided, tmp_path / "maps")
    assert evaluation.test is evaluation.networks[1].test_members[0]
    for image_id in TEST:
        expected = sided.probability(data.pixels(image_id), members=[0], orientations=1)
        assert np.array_equal(maps(image_id), expected)
    # Out of fold there is but one anyway.
    expected = sided.probability(data.pixels("c"), members=[1], orientations=1)
    assert np.array_equal(maps("c"), expected)


def test_the_members_disagreement_is_that_at_the_point_in_use(
    data: DataSet, sided: Segmenter, tmp_path: Path
) -> None:
    params = with_values(params_with(), {"predict.orientations": 1})
    evaluation, _ = evaluate(params, data, sided, tmp_path / "maps")
    point = evaluation.point
    assert [d.image_id for d in evaluation.disagreement] == TEST
    for item, scored in zip(evaluation.disagreement, evaluation.test.counts, strict=True):
        maps = sided.probabilities(data.pixels(item.image_id), orientations=1)

        def labels(found: NDArray[np.float32]) -> NDArray[np.int32]:
            return to_labels(found, threshold=point.threshold, min_area_px=point.min_area_px)

        expected = disagreement(labels(maps.mean(axis=0)), [labels(m) > 0 for m in maps])
        assert item.uncertainty == expected.image > 0
        assert np.array_equal(item.granules, expected.granules)
        assert item.is_right.sum() == scored.objects.tp
        assert (~item.is_right).sum() == scored.objects.fp
        assert (item.iou, item.group) == (scored.pixels.iou, scored.group)


def test_tuned_on_itself_every_image_has_the_point_chosen_on_all(
    data: DataSet, segmenter: Segmenter, tmp_path: Path
) -> None:
    evaluation, maps = evaluate(params_with(), data, segmenter, tmp_path / "maps")
    point = evaluation.point
    for counts in evaluation.in_use.tuned_on_itself.counts:
        found = to_labels(
            maps(counts.image_id), threshold=point.threshold, min_area_px=point.min_area_px
        )
        assert counts.objects == count_objects(data.truth(counts.image_id), found, iou=0.3)

    def found_f1(scored: Scored) -> float:
        return sum((c.objects for c in scored.counts), ObjectCounts(0, 0, 0, 0.0)).f1

    # In this data set nothing suits both folds: cross-fitted, each has what suits the other.
    assert found_f1(evaluation.in_use.tuned_on_itself) > found_f1(evaluation.out_of_fold)
