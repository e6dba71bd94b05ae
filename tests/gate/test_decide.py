"""Two bundles and frozen images in, a decision out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tifffile

from sgseg.errors import InputError
from sgseg.gate import decide as gate
from sgseg.gate.decision import Latency
from sgseg.gate.images import file_md5
from sgseg.inference.bundle import digest, networks_digest

from .cases import TestSet, empty, fields, names, rule_with, write_bundle, write_test_set

# 6 fields of 8 granules, 4 of them faint, and an empty control: found by one at middle 2.0 (F1 1),
# and half of them by one at 2.5: TP 24, FN 24, F1 48 / 72 = 0.667.
FIELDS = {**fields(6, faint=4), "control": empty(20)}
HASHES = ["0000000000000000", "0000000000000001"]


@pytest.fixture(scope="module")
def test_set(tmp_path_factory: pytest.TempPathFactory) -> TestSet:
    return write_test_set(tmp_path_factory.mktemp("frozen") / "set", FIELDS)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("good") / "bundle", middle=2.0)


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("poor") / "bundle", middle=2.5)


def test_a_better_one_is_promoted(test_set: TestSet, good: Path, poor: Path) -> None:
    found = test_set.decide(good, poor, rule=rule_with(on_tie="keep"))
    assert (found.outcome, found.verdict) == ("promote", "win")
    assert "object F1 1.000 against 0.667, +0.333 [+0.333, +0.333]" in found.reasons[0]
    assert not found.warnings
    assert not found.failed
    assert found.champion is not None
    assert (found.challenger.digest, found.champion.digest) == (digest(good), digest(poor))
    assert found.challenger.facts == {"data": "d1", "commit": "c0ffee"}
    assert found.champion.scores["object_f1"] == {
        "value": 0.666667,
        "low": 0.666667,
        "high": 0.666667,
    }
    assert names(found.images) == list(FIELDS)
    first = found.images[0]
    assert first.champion is not None
    assert (first.challenger.found, first.champion.found, first.granules) == (8, 4, 8)
    assert first.image_md5 == file_md5(test_set.dataset / "images" / "field_0.tif")
    assert found.rule == rule_with(on_tie="keep").model_dump()
    assert found.settings == {"object_iou": 0.3, "resamples": 200, "seed": 1}


def test_a_worse_one_is_refused(test_set: TestSet, good: Path, poor: Path) -> None:
    found = test_set.decide(poor, good)
    assert (found.outcome, found.verdict) == ("keep", "loss")
    assert found.reasons[0].startswith("The challenger loses: object F1 0.667 against 1.000")
    assert any(said.startswith("Object recall 0.500 against 1.000") for said in found.failed)


@pytest.mark.parametrize(
    ("case", "outcome"),
    [
        (("promote", HASHES[:1]), "promote"),
        (("keep", HASHES), "keep"),
        (("more_data", HASHES), "promote"),
        (("more_data", HASHES[:1] * 2), "keep"),
        (("more_data", []), "keep"),
    ],
)
def test_a_tie(
    case: tuple[str, list[str]], outcome: str, test_set: TestSet, good: Path, tmp_path: Path
) -> None:
    on_tie, trained_on = case
    # The same network in another use: the champion was trained on one image.
    statistics = {"images": 2}
    again = write_bundle(tmp_path / "again", trained_on=trained_on, statistics=statistics)
    found = test_set.decide(again, good, rule=rule_with(on_tie=on_tie))
    assert (found.outcome, found.verdict) == (outcome, "tie")
    unknown = "The bundle of the challenger does not say which images it was trained on"
    assert [w.startswith(unknown) for w in found.warnings] == ([] if trained_on else [True])


def test_without_champion_the_floors_decide(test_set: TestSet, good: Path, poor: Path) -> None:
    found = test_set.decide(good, None)
    assert (found.outcome, found.verdict, found.champion) == ("promote", "first", None)
    assert found.latency is None
    assert found.images[0].champion is None
    found = test_set.decide(poor, None, rule=rule_with(floors__object_f1=0.7))
    assert (found.outcome, found.verdict) == ("keep", "first")
    assert found.failed == ["Object F1 0.667, at least 0.7 is asked for."] == found.reasons


def test_the_champion_itself(test_set: TestSet, good: Path, tmp_path: Path) -> None:
    # Evaluated again, at another commit: nothing that a mask depends on.
    copied = write_bundle(tmp_path / "copied", facts={"commit": "another"})
    found = test_set.decide(copied, good)
    assert (found.outcome, found.verdict) == ("keep", "same")
    assert found.champion is not None
    assert found.challenger.digest != found.champion.digest
    assert found.challenger.networks == found.champion.networks == networks_digest(good)
    assert found.reasons == ["The challenger is the champion already."]
    assert (found.images, found.checks, found.left_out) == ([], [], [])


def test_a_champion_that_was_trained_on_a_test_image(
    test_set: TestSet, good: Path, tmp_path: Path
) -> None:
    seen = [test_set.hash("field_2"), *HASHES]
    champion = write_bundle(tmp_path / "champion", middle=2.5, trained_on=seen)
    found = test_set.decide(good, champion)
    assert names(found.left_out) == ["field_2"]
    assert found.left_out[0].why == "the champion was trained on it"
    assert names(found.images) == [name for name in FIELDS if name != "field_2"]
    assert found.outcome == "promote"


def test_nothing_is_left(test_set: TestSet, good: Path, tmp_path: Path) -> None:
    seen = [test_set.hash(name) for name in FIELDS]
    champion = write_bundle(tmp_path / "champion", trained_on=seen)
    for mine, theirs in ((good, champion), (champion, None)):
        found = test_set.decide(mine, theirs)
        assert (found.outcome, found.verdict) == ("keep", "unknown")
        assert found.reasons == [
            "All 7 of them were left out: no test images to compare the models on."
        ]
        assert names(found.left_out) == list(FIELDS)


def test_no_test_images_at_all(good: Path, tmp_path: Path) -> None:
    made = write_test_set(tmp_path / "set", {}, development=fields(1))
    found = made.decide(good, None)
    assert found.reasons == ["There are none: no test images to compare the models on."]


def test_a_changed_image_is_an_error(good: Path, tmp_path: Path) -> None:
    made = write_test_set(tmp_path / "set", fields(2))
    path = made.dataset / "images" / "field_1.tif"
    tifffile.imwrite(path, tifffile.imread(path) + 1)
    with pytest.raises(InputError, match=r"field_1\.tif: changed"):
        made.decide(good, None)
    # An image that is left out may be what it likes.
    seen = write_bundle(tmp_path / "seen", trained_on=[made.hash("field_1")])
    assert names(made.decide(seen, None).images) == ["field_0"]


def test_masks_handed_over_are_checked_where_they_are(good: Path, tmp_path: Path) -> None:
    made = write_test_set(tmp_path / "set", fields(2))
    (made.raw / "few" / "masks" / "field_0.tif").write_bytes(b"another")
    assert made.decide(good, None).outcome == "promote"
    with pytest.raises(InputError, match=r"masks/field_0\.tif: changed: MD5"):
        made.decide(good, None, handed_over=made.raw)


def test_what_is_wrong_with_both_bundles_is_named(test_set: TestSet, tmp_path: Path) -> None:
    one, two = write_bundle(tmp_path / "one"), tmp_path / "none"
    (one / "bundle.json").write_text("{", encoding="utf-8")
    with pytest.raises(InputError) as caught:
        test_set.decide(one, two)
    first, second = (problem.where for problem in caught.value.problems)
    assert first == f"challenger: {one / 'bundle.json'}"
    assert second == f"champion: {two}"


def test_a_damaged_network_is_named(test_set: TestSet, good: Path, tmp_path: Path) -> None:
    broken = write_bundle(tmp_path / "broken")
    (broken / "model.onnx").write_bytes(b"\x08\x07")
    with pytest.raises(InputError, match=r"challenger: .*model\.onnx"):
        test_set.decide(broken, good)


def test_a_champion_of_another_preprocessing_and_pixel_size_runs(
    good: Path, tmp_path: Path
) -> None:
    made = write_test_set(tmp_path / "set", fields(3), pixel_size_um=0.2)
    settings = {"normalise": "background", "target_pixel_size_um": 0.1, "resize": None}
    other = write_bundle(tmp_path / "other", preprocessing=settings, orientations=8)
    found = made.decide(good, other, rule=rule_with(on_tie="promote"))
    assert found.champion is not None
    assert found.champion.orientations == 8
    assert found.images[0].champion is not None
    assert found.images[0].champion.found == 8


def test_decided_twice_is_decided_alike(test_set: TestSet, good: Path, poor: Path) -> None:
    one, two = (test_set.decide(good, poor) for _ in range(2))
    assert one == two
    later = iter(float(second) for second in range(10**6, 10**7, 7))
    three = test_set.decide(good, poor, clock=lambda: next(later))
    assert three.latency != one.latency
    assert three.without_latency() == one.without_latency()


def test_a_slow_one_is_refused(
    test_set: TestSet, good: Path, poor: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Latency(challenger=3.2, champion=2.0, ratio=1.6, most=1.5, pairs=7, machine="m")
    asked: dict[str, Any] = {}

    def measured(*models: Any, most: float, **_: Any) -> Latency:
        asked["most"] = most
        return replace(slow, most=most)

    monkeypatch.setattr(gate, "compare_latency", measured)
    found = test_set.decide(good, poor)
    assert (found.outcome, found.verdict) == ("keep", "win")
    assert found.reasons[-1] == "It takes more than 1.5 times as long as the champion."
    assert found.failed == [slow.said]
    assert asked == {"most": 1.5}
    assert test_set.decide(good, poor, rule=rule_with(most_slowdown=1.6)).outcome == "promote"


def test_one_group(good: Path, tmp_path: Path) -> None:
    made = write_test_set(tmp_path / "set", fields(3), groups=dict.fromkeys(fields(3), "plate"))
    found = made.decide(good, None)
    assert found.outcome == "promote"
    assert "there is no interval" in found.warnings[0]
    assert found.challenger.scores["object_f1"] == {"value": 1.0, "low": None, "high": None}
